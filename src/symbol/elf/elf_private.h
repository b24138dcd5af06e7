/* SPDX-License-Identifier: BSD-2-Clause */
/* What the parts of an ELF file share: elf_file.c, elf_debug.c, elf_places.c. */
#ifndef FDTRACE_SYMBOL_ELF_PRIVATE_H
#define FDTRACE_SYMBOL_ELF_PRIVATE_H

#include <gelf.h>
#include "symbol/elf/elf_file.h"

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
 * Opens the image anew in place, without what libelf has read of it so far: pointers into that
 * are invalid from here on. 0; or -ENOEXEC: the file has changed, and the image is let go.
 */
int elf_image_renew(struct elf_image *image);

/* Bytes at an offset of the file. 0, or -EFAULT: they are not (all) there. */
int elf_image_bytes(const struct elf_image *image, uint64_t offset, void *buffer, size_t size);

struct elf_symbols;
struct elf_cache;
struct elf_lines;

struct elf_file {
	struct elf_image image;
	char *name;
	/* what places need, made when the first is asked for */
	bool prepared;
	bool used;                   /* since the last elf_file_rest() */
	bool symbols_only;           /* lines are not wanted */
	struct elf_image debug;      /* .elf NULL: there is no separate debug file */
	struct elf_symbols *symbols; /* NULL: none */
	struct elf_lines *lines;     /* NULL: no DWARF */
	struct elf_cache *cache;
};

#endif
