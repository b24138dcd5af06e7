// SPDX-License-Identifier: BSD-2-Clause
#include "model/walk.h"

#include <errno.h>
#include <stdlib.h>

#include "model/fdtable.h"
#include "base/map.h"
#include "base/mem.h"
#include "model/process.h"

struct stop {
	uint64_t key;
	uint32_t pid;
};

static int by_pid_then_key(const void *a, const void *b)
{
	const struct stop *x = a, *y = b;

	if (x->pid != y->pid)
		return x->pid < y->pid ? -1 : 1;
	return x->key < y->key ? -1 : x->key > y->key;
}

static void take_keys(struct walk *walk, const struct map *tables, struct stop *stops)
{
	size_t count = 0;

	map_each (tables, entry) {
		const struct fdtable *table = entry->value;

		stops[count++] = (struct stop){ table->key, table->owner->pid };
	}
	qsort(stops, count, sizeof(*stops), by_pid_then_key);
	for (size_t i = 0; i < count; i++)
		walk->keys[i] = stops[i].key;
	walk->count = count;
}

int walk_begin(struct mem *m, struct walk *walk, const struct map *tables)
{
	size_t bytes = tables->count * sizeof(struct stop);
	struct stop *stops;

	walk_done(m, walk);
	if (!tables->count)
		return 0;
	stops = mem_alloc_beyond(m, bytes);
	walk->keys = stops ? mem_alloc(m, tables->count * sizeof(*walk->keys)) : NULL;
	if (walk->keys)
		take_keys(walk, tables, stops);
	mem_free(m, stops, bytes);
	return walk->keys ? 0 : -ENOMEM;
}

bool walk_next(struct walk *walk, const struct map *tables, struct fdtable **ret_table,
	       int32_t *ret_fd)
{
	for (; walk->at < walk->count; walk->at++, walk->fd = 0) {
		struct fdtable *table = map_get(tables, walk->keys[walk->at]);
		int32_t fd = table ? fdtable_next(table, walk->fd) : -1;

		if (fd < 0)
			continue;
		walk->fd = fd + 1;
		*ret_table = table;
		*ret_fd = fd;
		return true;
	}
	return false;
}

void walk_rewind(struct walk *walk)
{
	walk->at = 0;
	walk->fd = 0;
}

struct fdtable *walk_next_table(struct walk *walk, const struct map *tables)
{
	while (walk->at < walk->count) {
		struct fdtable *table = map_get(tables, walk->keys[walk->at++]);

		if (table)
			return table;
	}
	return NULL;
}

void walk_done(struct mem *m, struct walk *walk)
{
	mem_free(m, walk->keys, walk->count * sizeof(*walk->keys));
	*walk = (struct walk){ 0 };
}
