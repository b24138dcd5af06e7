/* SPDX-License-Identifier: BSD-2-Clause */
/* The symbol tables of an ELF file. */
#ifndef FDTRACE_SYMBOL_ELF_SYMBOLS_H
#define FDTRACE_SYMBOL_ELF_SYMBOLS_H

#include <stdbool.h>
#include <stddef.h>
#include <gelf.h>

/* A symbol table and its names, as libelf holds them: valid while the Elf is open. */
struct elf_table {
	Elf_Data *symbols;
	Elf_Data *strings; /* ends with a NUL */
	size_t count;
	bool complete; /* .symtab, not .dynsym */
};

/* false: this section is no symbol table, or a malformed one. */
bool elf_table_open(Elf *elf, Elf_Scn *section, struct elf_table *ret_table);

/* Returns the name; NULL: there is no such symbol, or its name is malformed. */
const char *elf_table_symbol(const struct elf_table *table, size_t index, GElf_Sym *ret_symbol);

#endif
