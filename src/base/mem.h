/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The engine's only way to memory: counted, bounded, and made to fail on demand by tests.
 * One struct mem belongs to one engine; it is not thread-safe.
 */
#ifndef FDTRACE_CORE_MEM_H
#define FDTRACE_CORE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mem {
	size_t used_bytes;
	size_t peak_bytes;
	size_t max_bytes; /* 0: no bound */
	uint64_t refused; /* requests turned down: bound reached or malloc failed */
	uint64_t fail_at; /* tests: the n-th request from now fails; 0: none does */
};

/* Whether the bound leaves room for that many more bytes. */
bool mem_has_room(const struct mem *m, size_t bytes);

/* Zeroed memory, or NULL when the bound is reached or the system has none. */
void *mem_alloc(struct mem *m, size_t bytes);

/* The same beyond the bound: for short-lived lists of what a full engine holds. */
void *mem_alloc_beyond(struct mem *m, size_t bytes);

/*
 * Resize to new_bytes; the part that is new is zeroed. On failure returns NULL and leaves the
 * old block as it was. old_bytes must be what the block was last given.
 */
void *mem_resize(struct mem *m, void *block, size_t old_bytes, size_t new_bytes);

/* NULL is allowed. bytes must be what the block was last given. */
void mem_free(struct mem *m, void *block, size_t bytes);

#endif
