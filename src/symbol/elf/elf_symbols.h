/* SPDX-License-Identifier: BSD-2-Clause */
/* The symbol tables of an ELF file. */
#ifndef FDTRACE_SYMBOL_ELF_SYMBOLS_H
#define FDTRACE_SYMBOL_ELF_SYMBOLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <gelf.h>

/* A symbol table and its names, as libelf holds them: valid while the Elf is open. */
struct elf_table {
	Elf_Data *symbols;
	Elf_Data *strings; /* ends with a NUL */
	size_t count;
	bool complete; /* .symtab, not .dynsym */
};

/* false: this section is not a symbol table, or a malformed one. */
bool elf_table_open(Elf *elf, Elf_Scn *section, struct elf_table *ret_table);

/* Returns the name; NULL: there is no such symbol, or its name is malformed. */
const char *elf_table_symbol(const struct elf_table *table, size_t index, GElf_Sym *ret_symbol);

/* Functions by their address: of one or two files, sorted. */
struct elf_symbols;

#define ELF_FUNCTIONS_MAX (4u << 20) /* of a file; what lies beyond has no name */

struct elf_function {
	uint64_t vaddr, size;
	const char *name; /* as in the table, with its "@VERSION" */
};

/* From the file's tables and those of its debug file (may be NULL). 0 or -ENOMEM. */
int elf_symbols_new(Elf *elf, Elf *debug, struct elf_symbols **ret_symbols);
void elf_symbols_free(struct elf_symbols *symbols); /* NULL is allowed */

/* The innermost function that holds an address, under its best known name. */
bool elf_symbols_find(const struct elf_symbols *symbols, uint64_t vaddr,
		      struct elf_function *ret_function);

#endif
