/* SPDX-License-Identifier: BSD-2-Clause */
/* Lines and inlined functions, from DWARF. */
#ifndef FDTRACE_SYMBOL_ELF_LINES_H
#define FDTRACE_SYMBOL_ELF_LINES_H

#include <stdbool.h>
#include <stdint.h>
#include <libelf.h>

struct elf_lines;

#define ELF_DWARF_MAX_BYTES (256u << 20) /* of .debug_* sections; files with more have no lines */
#define ELF_LINES_DEPTH 64 /* inlined functions looked at, innermost ones may be lost */

/* 0; -ENOENT: no DWARF that can be used; -ENOMEM. The Elf is borrowed. */
int elf_lines_new(Elf *elf, struct elf_lines **ret_lines);
void elf_lines_free(struct elf_lines *lines); /* NULL is allowed */

struct elf_line {
	const char *function; /* mangled where the compiler said so; NULL: not known */
	const char *source;   /* NULL: not known */
	unsigned int line;
	bool inlined; /* into the next one */
};

/* Innermost first, at most max; 0: nothing is known. Strings live until the next call. */
unsigned int elf_lines_find(struct elf_lines *lines, uint64_t vaddr, struct elf_line *ret_line,
			    unsigned int max);

#endif
