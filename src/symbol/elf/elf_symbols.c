// SPDX-License-Identifier: BSD-2-Clause
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "symbol/elf/elf_private.h"
#include "symbol/elf/elf_symbols.h"

bool elf_table_open(Elf *elf, Elf_Scn *section, struct elf_table *ret_table)
{
	struct elf_table table = { 0 };
	GElf_Shdr header, strings_header;
	Elf_Scn *strings;

	if (!gelf_getshdr(section, &header) ||
	    (header.sh_type != SHT_SYMTAB && header.sh_type != SHT_DYNSYM) ||
	    header.sh_size > ELF_TABLE_MAX)
		return false;
	strings = elf_getscn(elf, header.sh_link);
	if (!strings || !gelf_getshdr(strings, &strings_header) ||
	    strings_header.sh_type != SHT_STRTAB || strings_header.sh_size > ELF_TABLE_MAX)
		return false;
	table.complete = header.sh_type == SHT_SYMTAB;
	table.symbols = elf_getdata(section, NULL);
	table.strings = elf_getdata(strings, NULL);
	/* one end for all names: then none of them needs a look at its own */
	if (!table.symbols || !table.strings || !table.symbols->d_buf || !table.strings->d_buf ||
	    table.strings->d_size == 0 ||
	    ((char *)table.strings->d_buf)[table.strings->d_size - 1] != '\0')
		return false;
	table.count = table.symbols->d_size / sizeof(Elf64_Sym);
	*ret_table = table;
	return true;
}

const char *elf_table_symbol(const struct elf_table *table, size_t index, GElf_Sym *ret_symbol)
{
	if (index >= table->count || !gelf_getsym(table->symbols, (int)index, ret_symbol) ||
	    ret_symbol->st_name >= table->strings->d_size)
		return NULL;
	return (char *)table->strings->d_buf + ret_symbol->st_name;
}

/* "name", "name@VERSION" and "name@@VERSION" are the same. */
static bool symbol_is_named(const char *symbol, const char *name, size_t length)
{
	return strncmp(symbol, name, length) == 0 &&
	       (symbol[length] == '\0' || symbol[length] == '@');
}

static bool table_find(const struct elf_table *table, const char *name, GElf_Sym *ret_symbol)
{
	size_t length = strlen(name);

	for (size_t i = 1; length > 0 && i < table->count; i++) {
		const char *symbol = elf_table_symbol(table, i, ret_symbol);

		if (symbol && symbol_is_named(symbol, name, length) &&
		    ret_symbol->st_shndx != SHN_UNDEF &&
		    GELF_ST_TYPE(ret_symbol->st_info) != STT_TLS)
			return true;
	}
	return false;
}

int elf_file_symbol(struct elf_file *file, const char *name, uint64_t *ret_vaddr,
		    uint64_t *ret_size)
{
	Elf_Scn *section = NULL;
	struct elf_table table;
	GElf_Sym symbol;

	while ((section = elf_nextscn(file->image.elf, section))) {
		if (!elf_table_open(file->image.elf, section, &table) ||
		    !table_find(&table, name, &symbol))
			continue;
		*ret_vaddr = symbol.st_value;
		*ret_size = symbol.st_size;
		return 0;
	}
	return -ENOENT;
}
