// SPDX-License-Identifier: BSD-2-Clause
#include "source/live/stack_maps.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/map.h"
#include "base/mem.h"

struct stack_maps {
	struct stack_map_fds fds;
	/* Mapped only while something is written: a mapping of all of it counts as our memory. */
	struct fdt_text_page *page;
	struct fdt_slab *slab;
	uint32_t *rule;
	uint32_t pages_used, slabs_used; /* the last slab in use may have room left: */
	uint32_t rows_used;              /* rows of it that are taken */
	uint32_t rules_used;
	struct mem mem;
	struct map rule_index; /* rule + 1 -> its index + 1, as a pointer */
};

/* Array maps are made of elements of 8 bytes at least. */
#define RULE_STRIDE 2

static void *map_memory(int fd, size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

static size_t pages_bytes(const struct stack_maps *maps)
{
	return maps->fds.page_count * sizeof(*maps->page);
}

static size_t slabs_bytes(const struct stack_maps *maps)
{
	return maps->fds.slab_count * sizeof(*maps->slab);
}

#define RULES_BYTES (FDT_RULES_MAX * RULE_STRIDE * sizeof(uint32_t))

static void unmap_all(struct stack_maps *maps)
{
	if (maps->page)
		munmap(maps->page, pages_bytes(maps));
	if (maps->slab)
		munmap(maps->slab, slabs_bytes(maps));
	if (maps->rule)
		munmap(maps->rule, RULES_BYTES);
	maps->page = NULL;
	maps->slab = NULL;
	maps->rule = NULL;
}

/* 0 or -errno. */
static int map_all(struct stack_maps *maps)
{
	int err;

	maps->page = map_memory(maps->fds.text_pages, pages_bytes(maps));
	maps->slab = map_memory(maps->fds.slabs, slabs_bytes(maps));
	maps->rule = map_memory(maps->fds.rules, RULES_BYTES);
	if (maps->page && maps->slab && maps->rule)
		return 0;
	err = -errno;
	unmap_all(maps);
	return err;
}

int stack_maps_open(const struct stack_map_fds *fds, struct stack_maps **ret_maps)
{
	struct stack_maps *maps = calloc(1, sizeof(*maps));
	int err;

	if (!maps)
		return -ENOMEM;
	maps->fds = *fds;
	err = map_all(maps); /* whether it can be done is known from the start */
	if (err) {
		stack_maps_free(maps);
		return err;
	}
	unmap_all(maps);
	maps->rules_used = 1; /* rule 0 is FDT_RULE_NONE: all zero */
	*ret_maps = maps;
	return 0;
}

void stack_maps_free(struct stack_maps *maps)
{
	if (!maps)
		return;
	map_done(&maps->mem, &maps->rule_index);
	free(maps);
}

/* ---- rules ---- */

/* The index of a rule in the map; 0 for FDT_RULE_NONE. -ENOSPC, -ENOMEM. */
static int rule_put(struct stack_maps *maps, uint32_t rule)
{
	uintptr_t found;

	if (FDT_RULE_KIND(rule) == FDT_RULE_NONE)
		return 0;
	found = (uintptr_t)map_get(&maps->rule_index, rule + 1ull);
	if (found)
		return (int)(found - 1);
	if (maps->rules_used >= FDT_RULES_MAX)
		return -ENOSPC;
	if (map_put(&maps->mem, &maps->rule_index, rule + 1ull,
		    (void *)(uintptr_t)(maps->rules_used + 1)))
		return -ENOMEM;
	maps->rule[maps->rules_used * RULE_STRIDE] = rule;
	return (int)maps->rules_used++;
}

/* local[i]: the index in the map of the table's rule i. 0 or -errno. */
static int rules_put(struct stack_maps *maps, const struct unwind_table *table, uint16_t *local)
{
	for (uint32_t i = 0; i < table->rule_count; i++) {
		int index = rule_put(maps, table->rule[i]);

		if (index < 0)
			return index;
		local[i] = (uint16_t)index;
	}
	return 0;
}

/* ---- pages ---- */

/* The rows of a page stand together in a slab. -ENOSPC. */
static int page_put(struct stack_maps *maps, uint32_t at, const uint32_t *row, uint32_t count,
		    const uint16_t *local)
{
	struct fdt_slab *slab;

	if (count > FDT_SLAB_ROWS)
		return -EINVAL;
	if (!maps->slabs_used || maps->rows_used + count > FDT_SLAB_ROWS) {
		if (maps->slabs_used == maps->fds.slab_count)
			return -ENOSPC;
		maps->slabs_used++;
		maps->rows_used = 0;
	}
	slab = &maps->slab[maps->slabs_used - 1];
	for (uint32_t i = 0; i < count; i++)
		slab->row[maps->rows_used + i] =
			FDT_ROW(FDT_ROW_OFFSET(row[i]), local[FDT_ROW_RULE(row[i])]);
	maps->page[at] = (struct fdt_text_page){ .slab = maps->slabs_used - 1,
						 .first = (uint16_t)maps->rows_used,
						 .count = (uint16_t)count };
	maps->rows_used += count;
	return 0;
}

/* What was put of a table that does not fit is given back. */
static int pages_put(struct stack_maps *maps, const struct unwind_table *table,
		     const uint16_t *local)
{
	uint32_t slabs = maps->slabs_used, rows = maps->rows_used;

	if (table->page_count > maps->fds.page_count - maps->pages_used)
		return -ENOSPC;
	for (uint32_t i = 0; i < table->page_count; i++) {
		const struct unwind_page *page = &table->page[i];
		int err = page_put(maps, maps->pages_used + i, table->row + page->first,
				   page->count, local);

		if (err) {
			maps->slabs_used = slabs;
			maps->rows_used = rows;
			return err;
		}
	}
	return 0;
}

static int table_put(struct stack_maps *maps, const struct unwind_table *table, uint32_t *ret_page0)
{
	uint16_t *local = calloc(table->rule_count + 1, sizeof(*local));
	int err = local ? map_all(maps) : -ENOMEM;

	err = err ?: rules_put(maps, table, local);
	err = err ?: pages_put(maps, table, local);
	unmap_all(maps);
	free(local);
	if (err)
		return err;
	*ret_page0 = maps->pages_used;
	maps->pages_used += table->page_count;
	return 0;
}

/* The entry comes last: whoever finds it finds all of its table. */
static int put_elf(void *ctx, const struct fdt_elf_key *key, struct fdt_elf *elf,
		   const struct unwind_table *table)
{
	struct stack_maps *maps = ctx;
	int err = table ? table_put(maps, table, &elf->page0) : 0;

	if (err)
		return err;
	__atomic_thread_fence(__ATOMIC_RELEASE);
	return bpf_map_update_elem(maps->fds.elfs, key, elf, BPF_ANY);
}

static int put_interpreter(void *ctx, uint32_t interpreter, const void *parameters)
{
	struct stack_maps *maps = ctx;
	uint32_t index = FDT_INTERPRETER_INDEX(interpreter);
	int map = maps->fds.interpreters[FDT_INTERPRETER_LANGUAGE(interpreter)];

	return bpf_map_update_elem(map, &index, parameters, BPF_ANY);
}

struct files_kernel stack_maps_kernel(struct stack_maps *maps)
{
	return (struct files_kernel){ .ctx = maps,
				      .put_elf = put_elf,
				      .put_interpreter = put_interpreter };
}

void stack_maps_usage(const struct stack_maps *maps, uint64_t *ret_used, uint64_t *ret_size)
{
	*ret_used = maps->slabs_used * sizeof(*maps->slab) + maps->pages_used * sizeof(*maps->page);
	*ret_size = slabs_bytes(maps) + pages_bytes(maps);
}
