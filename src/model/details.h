/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What open files were like when they were last looked at, from FDT_DETAIL events. Kept for
 * the last DETAILS_MAX files, so that one that has just been closed can still be described.
 */
#ifndef FDTRACE_CORE_DETAILS_H
#define FDTRACE_CORE_DETAILS_H

#include "base/map.h"
#include "fdtrace/event.h"

struct mem;

#define DETAILS_MAX 4096

/* Of fdt_detail.state: include/net/tcp_states.h; unix sockets use the same numbers. */
enum { STATE_ESTABLISHED = 1, STATE_CLOSE_WAIT = 8, STATE_LISTEN = 10 };

struct known_detail;
struct details {
	struct mem *mem;
	struct map map;
	struct known_detail **ring; /* DETAILS_MAX of them, allocated with the first */
	uint32_t next;
};

/*
 * Replaces what was known of the same file. serial: of the event that is being applied, so
 * that the host is asked once for each. It is not stored if there is no memory.
 */
void details_put(struct details *details, const struct fdt_detail *detail, uint64_t serial);
/* Lives until DETAILS_MAX others have been put. *ret_serial: of details_put(). NULL: not known. */
const struct fdt_detail *details_get(const struct details *details, const struct fdt_file *file,
				     uint64_t *ret_serial);
void details_done(struct details *details);

#endif
