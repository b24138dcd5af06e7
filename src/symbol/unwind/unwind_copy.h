/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The slow way: unwinding a copy of a stack by DWARF (elfutils' libdwfl), where the kernel side
 * could not follow. One Dwfl per address space, made from /proc/PID/maps when it is first
 * needed, kept for the last UNWIND_COPY_SPACES of them. The memory behind the copy is never
 * asked for, so the process may be gone by then.
 */
#ifndef FDTRACE_SYMBOL_UNWIND_COPY_H
#define FDTRACE_SYMBOL_UNWIND_COPY_H

#include <stdint.h>
#include <sys/types.h>
#include "fdtrace/stack.h"

struct unwind_copy;

#define UNWIND_COPY_SPACES 64

/* 0 or -ENOMEM. */
int unwind_copy_new(struct unwind_copy **ret_unwind);
void unwind_copy_free(struct unwind_copy *unwind); /* NULL is allowed */

/* What space maps is to be read again before the next use: it has loaded or unloaded something. */
void unwind_copy_stale(struct unwind_copy *unwind, uint64_t space);

/* A mapping of that process, from what was read of /proc/PID/maps. */
struct unwind_mapping {
	uint64_t start, end, offset_bytes;
	uint64_t inode;
	uint32_t dev; /* major << 20 | minor */
	char name[256];
};

/*
 * What else is known of a process's mappings, for one that has ended: ascending. open() gives a
 * descriptor of the file of one of them, or -errno.
 */
struct unwind_known {
	const struct unwind_mapping *mapping;
	unsigned int count;
	int (*open)(void *ctx, const struct unwind_mapping *mapping);
	void *ctx;
};

/*
 * Addresses of the frames, innermost first, at most max: the first is copy->reg[16], the others
 * return addresses. *ret_end: FDT_END_WHOLE, or why there are no more (FDT_END_UNREADABLE: the copy
 * was too short). 0; -ESRCH: the process has ended and nothing is known of its mappings; -ENOMEM; or
 * another -errno. known: NULL for nothing.
 */
int unwind_copy_frames(struct unwind_copy *unwind, pid_t pid, const struct fdt_copy *copy,
		       const struct unwind_known *known, uint64_t *addresses, unsigned int max,
		       unsigned int *ret_count, enum fdt_walk_end *ret_end);

/* The mapping that holds an address. 0, or -ENOENT. */
int unwind_copy_mapping(struct unwind_copy *unwind, uint64_t space, uint64_t address,
			struct unwind_mapping *ret_mapping);

#endif
