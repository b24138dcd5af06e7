/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What files are called: paths and socket endpoints, from FDT_NAME events. Kept for the
 * last NAMES_MAX names, so that a descriptor that has just been closed still has its name. What a
 * file is known by (address, inode, device) comes again: an older name of the same is kept, too,
 * for the generations that ended before the newer one came.
 */
#ifndef FDTRACE_CORE_NAMES_H
#define FDTRACE_CORE_NAMES_H

#include <stddef.h>
#include <stdint.h>
#include "base/map.h"

struct mem;

#define NAMES_MAX 16384
#define NAME_SIZE_MAX 512

struct fdt_name;
struct name;
struct names {
	struct mem *mem;
	struct map map;     /* by key, the newest */
	struct name **ring; /* NAMES_MAX of them, allocated with the first; by serial */
	uint64_t serial;    /* of the next name */
};

enum name_origin {
	NAME_LOOKED_UP,
	NAME_AS_OPENED, /* by the kernel; it may have been renamed or unlinked since */
};

/* Goes before an older name of the same file. The name is not stored if there is no memory. */
void names_put(struct names *names, uint64_t file, uint64_t inode, uint32_t dev, const char *text,
	       size_t size, enum name_origin origin);
/* An event of `size` bytes. */
void names_put_event(struct names *names, const struct fdt_name *event, size_t size);
/*
 * NUL-terminated, any byte; lives until the next names_put(). NULL: not known. ret_origin: may be
 * NULL.
 */
const char *names_get(const struct names *names, uint64_t file, uint64_t inode, uint32_t dev,
		      enum name_origin *ret_origin);
/*
 * For a file that has been closed: what names_key() gave while it was open, and what names_now()
 * gave when it was closed.
 */
uint64_t names_key(uint64_t file, uint64_t inode, uint32_t dev);
uint32_t names_now(const struct names *names);
const char *names_get_key(const struct names *names, uint64_t key, uint32_t then);
void names_done(struct names *names);

#endif
