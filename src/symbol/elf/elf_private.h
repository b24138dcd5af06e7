/* SPDX-License-Identifier: BSD-2-Clause */
/* What elf_file.c and elf_places.c share of an ELF file. */
#ifndef FDTRACE_SYMBOL_ELF_PRIVATE_H
#define FDTRACE_SYMBOL_ELF_PRIVATE_H

#include "symbol/elf/elf_file.h"
#include "symbol/elf/elf_image.h"

struct elf_symbols;
struct elf_cache;
struct elf_lines;

struct elf_file {
	struct elf_image image;
	char *name;
	bool is_static;
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
