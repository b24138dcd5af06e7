// SPDX-License-Identifier: BSD-2-Clause
#include "base/map.h"

#include <errno.h>

#include "base/hash.h"
#include "base/mem.h"

/* Fibonacci hashing: addresses and pids differ in few, low bits; the high bits of the product mix them. */
static size_t map_home(const struct map *map, uint64_t key)
{
	uint64_t mixed = key * HASH_GOLDEN;

	return (mixed ^ mixed >> 32) & (map->capacity - 1);
}

static struct map_entry *map_find(const struct map *map, uint64_t key)
{
	size_t i = map_home(map, key);

	while (map->entries[i].value && map->entries[i].key != key)
		i = (i + 1) & (map->capacity - 1);
	return &map->entries[i];
}

void *map_get(const struct map *map, uint64_t key)
{
	return map->capacity ? map_find(map, key)->value : NULL;
}

static int map_grow(struct mem *m, struct map *map)
{
	struct map bigger = { .capacity = map->capacity ? map->capacity * 2 : 64,
			      .count = map->count };

	bigger.entries = mem_alloc(m, bigger.capacity * sizeof(*bigger.entries));
	if (!bigger.entries)
		return -ENOMEM;
	map_each (map, entry)
		*map_find(&bigger, entry->key) = *entry;
	mem_free(m, map->entries, map->capacity * sizeof(*map->entries));
	*map = bigger;
	return 0;
}

int map_put(struct mem *m, struct map *map, uint64_t key, void *value)
{
	struct map_entry *entry;

	if (map->count >= map->capacity / 4 * 3 && map_grow(m, map))
		return -ENOMEM;
	entry = map_find(map, key);
	map->count += !entry->value;
	*entry = (struct map_entry){ key, value };
	return 0;
}

/* Entries that probed past the freed place move back into it, so no tombstones pile up. */
static void close_gap(struct map *map, size_t gap)
{
	size_t mask = map->capacity - 1;

	for (size_t i = (gap + 1) & mask; map->entries[i].value; i = (i + 1) & mask) {
		size_t from_home = (i - map_home(map, map->entries[i].key)) & mask;

		if (from_home < ((i - gap) & mask))
			continue;
		map->entries[gap] = map->entries[i];
		gap = i;
	}
	map->entries[gap].value = NULL;
}

void *map_remove(struct map *map, uint64_t key)
{
	struct map_entry *entry = map->capacity ? map_find(map, key) : NULL;
	void *value = entry ? entry->value : NULL;

	if (!value)
		return NULL;
	map->count--;
	close_gap(map, entry - map->entries);
	return value;
}

void map_done(struct mem *m, struct map *map)
{
	mem_free(m, map->entries, map->capacity * sizeof(*map->entries));
	*map = (struct map){ 0 };
}
