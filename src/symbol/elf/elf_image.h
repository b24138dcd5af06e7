/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An ELF image as libelf reads it, from a file or from memory. Everything in it may be hostile:
 * its counts are checked before libelf allocates by them.
 */
#ifndef FDTRACE_SYMBOL_ELF_IMAGE_H
#define FDTRACE_SYMBOL_ELF_IMAGE_H

#include <gelf.h>
#include <stddef.h>
#include <stdint.h>

#define ELF_SECTIONS_MAX 65279u      /* SHN_LORESERVE: beyond it numbers are kept elsewhere */
#define ELF_TABLE_MAX (512ull << 20) /* bytes of one symbol or string table */
#define ELF_BUILD_ID_MAX 64u         /* bytes */

/*
 * An ELF file as libelf has it. Never mapped: its owner could truncate it under us (SIGBUS), so
 * libelf is made to read, and keeps copies of what was asked for.
 */
struct elf_image {
	Elf *elf;
	int fd;      /* -1: in memory */
	void *bytes; /* the image in memory, or NULL */
	uint64_t size;
	size_t phnum;
	char build_id[2 * ELF_BUILD_ID_MAX + 1]; /* hex */
};

/* Takes fd over in any case. 0, -ENOEXEC, -EFBIG, -ENOMEM, or another -errno. */
int elf_image_open(int fd, struct elf_image *ret_image);
int elf_image_copy(const void *bytes, size_t size, struct elf_image *ret_image);
void elf_image_done(struct elf_image *image);

/*
 * Opens the image again in place and frees what libelf has read of it so far: pointers into that
 * are invalid from here on. 0; or -ENOEXEC: the file has changed, and the image is closed.
 */
int elf_image_renew(struct elf_image *image);

/* Bytes at an offset of the file. 0, or -EFAULT: they are not (all) there. */
int elf_image_bytes(const struct elf_image *image, uint64_t offset, void *buffer, size_t size);

#endif
