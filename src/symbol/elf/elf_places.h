/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef FDTRACE_SYMBOL_ELF_PLACES_H
#define FDTRACE_SYMBOL_ELF_PLACES_H

#include "symbol/elf/elf_private.h"

/* What elf_file_places() has gathered in a file. */
void elf_places_free(struct elf_file *file);

#endif
