/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A hash map from 64-bit keys to pointers: tasks by tid, tables by address. Open addressing,
 * because two look-ups in it are the larger part of what an event costs. Values are borrowed.
 */
#ifndef FDTRACE_CORE_MAP_H
#define FDTRACE_CORE_MAP_H

#include <stddef.h>
#include <stdint.h>

struct mem;

struct map_entry {
	uint64_t key;
	void *value; /* NULL: the place is free */
};

/* All zero is an empty map. */
struct map {
	struct map_entry *entries;
	size_t capacity; /* a power of two, or 0 */
	size_t count;
};

void *map_get(const struct map *map, uint64_t key); /* NULL: not there */

/* Adds or replaces. value is not NULL. 0 or -ENOMEM (map unchanged). */
int map_put(struct mem *m, struct map *map, uint64_t key, void *value);

/* Returns what was there, or NULL. */
void *map_remove(struct map *map, uint64_t key);

/* Frees the map, not the values. */
void map_done(struct mem *m, struct map *map);

/* Visits every value in no order; do not add or remove meanwhile. */
#define map_each(map, entry)                                                                     \
	for (struct map_entry *entry = (map)->entries; entry < (map)->entries + (map)->capacity; \
	     entry++)                                                                            \
		if (!entry->value) {                                                             \
		} else

#endif
