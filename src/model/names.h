/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What files are called: paths and socket endpoints, from FDT_NAME events. Kept for the
 * last NAMES_MAX files, so that a descriptor that has just been closed still has its name.
 */
#ifndef FDTRACE_CORE_NAMES_H
#define FDTRACE_CORE_NAMES_H

#include <stddef.h>
#include <stdint.h>
#include "base/map.h"

struct mem;

#define NAMES_MAX 16384
#define NAME_SIZE_MAX 512

struct name;
struct names {
	struct mem *mem;
	struct map map;
	struct name **ring; /* NAMES_MAX of them, allocated with the first */
	uint32_t next;
};

/* Replaces an older name of the same file. The name is not stored if there is no memory. */
void names_put(struct names *names, uint64_t file, uint64_t inode, uint32_t dev, const char *text,
	       size_t size);
/* NUL-terminated, any byte; lives until the next names_put(). NULL: not known. */
const char *names_get(const struct names *names, uint64_t file, uint64_t inode, uint32_t dev);
/* For a file that has been closed: what names_key() gave while it was open. */
uint64_t names_key(uint64_t file, uint64_t inode, uint32_t dev);
const char *names_get_key(const struct names *names, uint64_t key);
void names_done(struct names *names);

#endif
