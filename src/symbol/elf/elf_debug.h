/* SPDX-License-Identifier: BSD-2-Clause */
/* Separate debug files: where distributions and strip(1) put them. */
#ifndef FDTRACE_SYMBOL_ELF_DEBUG_H
#define FDTRACE_SYMBOL_ELF_DEBUG_H

#include "symbol/elf/elf_image.h"

/*
 * By build-id below /usr/lib/debug; by .gnu_debuglink, its checksum compared, beside the file, in
 * .debug/ there, and below /usr/lib/debug. The network is never asked. 0 or -ENOENT.
 */
int elf_debug_find(const struct elf_image *image, const char *name, struct elf_image *ret_debug);

/* What dwz(1) has moved out of several debug files, by build-id (bytes). 0 or -ENOENT. */
int elf_debug_supplement(const unsigned char *build_id, size_t size, struct elf_image *ret_debug);

#endif
