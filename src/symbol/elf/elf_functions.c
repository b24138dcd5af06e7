// SPDX-License-Identifier: BSD-2-Clause
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "symbol/elf/elf_symbols.h"

#define NESTED_MAX 64 /* functions looked at that begin before an address and end before it, too */

struct entry {
	uint64_t vaddr, end;
	const char *name;
	uint32_t section;
	uint8_t local, weak, unsized;
};

struct elf_symbols {
	struct entry *entry;
	size_t count, room;
};

static bool is_function(const GElf_Sym *symbol)
{
	int type = GELF_ST_TYPE(symbol->st_info);

	return (type == STT_FUNC || type == STT_GNU_IFUNC) && symbol->st_shndx != SHN_UNDEF &&
	       symbol->st_shndx < SHN_LORESERVE && symbol->st_size <= UINT64_MAX - symbol->st_value;
}

static int entry_add(struct elf_symbols *symbols, const struct entry *entry)
{
	if (symbols->count == symbols->room) {
		size_t room = symbols->room ? 2 * symbols->room : 256;
		struct entry *grown = reallocarray(symbols->entry, room, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		symbols->entry = grown;
		symbols->room = room;
	}
	symbols->entry[symbols->count++] = *entry;
	return 0;
}

static int table_add(struct elf_symbols *symbols, const struct elf_table *table)
{
	GElf_Sym symbol;
	int err = 0;

	for (size_t i = 1; i < table->count && symbols->count < ELF_FUNCTIONS_MAX; i++) {
		const char *name = elf_table_symbol(table, i, &symbol);
		int bind = GELF_ST_BIND(symbol.st_info);

		/* .dynsym does not know what follows a function without a size */
		if (!name || !name[0] || !is_function(&symbol) ||
		    (symbol.st_size == 0 && !table->complete))
			continue;
		err = entry_add(symbols, &(struct entry){ .vaddr = symbol.st_value,
							  .end = symbol.st_value + symbol.st_size,
							  .name = name,
							  .section = symbol.st_shndx,
							  .local = bind == STB_LOCAL,
							  .weak = bind == STB_WEAK,
							  .unsized = symbol.st_size == 0 });
		if (err != 0)
			break;
	}
	return err;
}

static int file_add(struct elf_symbols *symbols, Elf *elf)
{
	Elf_Scn *section = NULL;
	struct elf_table table;
	int err = 0;

	while (err == 0 && (section = elf_nextscn(elf, section)))
		if (elf_table_open(elf, section, &table))
			err = table_add(symbols, &table);
	return err;
}

static size_t count_underscores(const char *name)
{
	/* those of _Z and _R are part of the mangling */
	return name[0] == '_' && (name[1] == 'Z' || name[1] == 'R') ? 0 : strspn(name, "_");
}

/*
 * Of several names the one that people know: open, not __libc_open (local), __open (it is
 * global, and open only weak, but that is glibc's own affair) or open64 (longer).
 */
static int function_is_better(const struct entry *a, const struct entry *b)
{
	size_t la = strcspn(a->name, "@"), lb = strcspn(b->name, "@");
	size_t ua = count_underscores(a->name), ub = count_underscores(b->name);

	if (a->unsized != b->unsized)
		return a->unsized ? 1 : -1;
	if (a->local != b->local)
		return a->local ? 1 : -1;
	if (ua != ub)
		return ua < ub ? -1 : 1;
	if (a->weak != b->weak)
		return a->weak ? 1 : -1;
	if (la != lb)
		return la < lb ? -1 : 1;
	return strcmp(a->name, b->name);
}

static int by_address(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	if (x->vaddr != y->vaddr)
		return x->vaddr < y->vaddr ? -1 : 1;
	return function_is_better(x, y);
}

/* A function without a size ends where the next of its section begins, or is not believed. */
static void unsized_end(struct elf_symbols *symbols)
{
	for (size_t i = 0; i < symbols->count; i++) {
		struct entry *entry = &symbols->entry[i];
		const struct entry *next = entry + 1, *last = symbols->entry + symbols->count;

		if (entry->unsized && next < last && next->section == entry->section)
			entry->end = next->vaddr;
	}
}

/* The best name of each address comes first: the others go. */
static void aliases_drop(struct elf_symbols *symbols)
{
	size_t kept = 0;

	for (size_t i = 0; i < symbols->count; i++)
		if (kept == 0 || symbols->entry[kept - 1].vaddr != symbols->entry[i].vaddr)
			symbols->entry[kept++] = symbols->entry[i];
	symbols->count = kept;
}

int elf_symbols_new(Elf *elf, Elf *debug, struct elf_symbols **ret_symbols)
{
	struct elf_symbols *symbols = calloc(1, sizeof(*symbols));
	int err = symbols ? file_add(symbols, elf) : -ENOMEM;

	if (err == 0 && debug)
		err = file_add(symbols, debug);
	if (err != 0) {
		elf_symbols_free(symbols);
		return err;
	}
	if (symbols->count > 0)
		qsort(symbols->entry, symbols->count, sizeof(*symbols->entry), by_address);
	aliases_drop(symbols);
	unsized_end(symbols);
	*ret_symbols = symbols;
	return 0;
}

void elf_symbols_free(struct elf_symbols *symbols)
{
	if (!symbols)
		return;
	free(symbols->entry);
	free(symbols);
}

/* The number of functions that begin at or before an address. */
static size_t functions_begin(const struct elf_symbols *symbols, uint64_t vaddr)
{
	size_t low = 0, high = symbols->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (symbols->entry[middle].vaddr <= vaddr)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool elf_symbols_find(const struct elf_symbols *symbols, uint64_t vaddr,
		      struct elf_function *ret_function)
{
	size_t i = functions_begin(symbols, vaddr), last = i > NESTED_MAX ? i - NESTED_MAX : 0;

	while (i-- > last) {
		const struct entry *entry = &symbols->entry[i];

		if (vaddr >= entry->end)
			continue;
		*ret_function = (struct elf_function){ .vaddr = entry->vaddr,
						       .size = entry->end - entry->vaddr,
						       .name = entry->name };
		return true;
	}
	return false;
}
