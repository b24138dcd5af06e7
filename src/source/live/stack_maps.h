/* SPDX-License-Identifier: BSD-2-Clause */
/* The tables by which the kernel side walks stacks, filled from what symbol/files.h has read. */
#ifndef FDTRACE_SOURCE_STACK_MAPS_H
#define FDTRACE_SOURCE_STACK_MAPS_H

#include <stdint.h>

#include "symbol/files.h"

struct stack_maps;

/* The maps, by descriptor (borrowed), and how many entries those have that differ in size. */
struct stack_map_fds {
	int elfs, text_pages, slabs, rules;
	int interpreters[LANGUAGE_COUNT]; /* what the walk of each language needs */
	uint32_t page_count, slab_count;
};

/* 0 or -errno. */
int stack_maps_open(const struct stack_map_fds *fds, struct stack_maps **ret_maps);
void stack_maps_free(struct stack_maps *maps); /* NULL is allowed */

/* What symbol/files.h wants; ctx is the struct stack_maps. */
struct files_kernel stack_maps_kernel(struct stack_maps *maps);

/* Bytes of the tables that are in use, and of all. */
void stack_maps_usage(const struct stack_maps *maps, uint64_t *ret_used, uint64_t *ret_size);

#endif
