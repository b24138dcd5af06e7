/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A round through every slot of every table, a few at a time. The tables it visits are
 * fixed when it begins, in the order of their owners' pids: one that ends meanwhile is left out, a
 * new one waits for the next round.
 */
#ifndef FDTRACE_CORE_WALK_H
#define FDTRACE_CORE_WALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fdtable;
struct map;
struct mem;

/* All zero: no round. */
struct walk {
	uint64_t *keys; /* of tables; owned */
	size_t count, at;
	int32_t fd; /* where to go on in keys[at] */
};

/* Ends the one before. 0, or -ENOMEM: then the round is over at once. */
int walk_begin(struct mem *m, struct walk *walk, const struct map *tables);
/* The next filled slot. False: the round is over. */
bool walk_next(struct walk *walk, const struct map *tables, struct fdtable **ret_table,
	       int32_t *ret_fd);
/* From the first table on again. */
void walk_rewind(struct walk *walk);
/* The next table alone; NULL: there is none left. Not to be mixed with walk_next(). */
struct fdtable *walk_next_table(struct walk *walk, const struct map *tables);
void walk_done(struct mem *m, struct walk *walk);

#endif
