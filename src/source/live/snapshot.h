/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The processes that a snapshot found. The iterator in the kernel reports their threads and tables;
 * what they are called and were started with is read from /proc afterwards.
 */
#ifndef FDTRACE_SOURCE_SNAPSHOT_H
#define FDTRACE_SOURCE_SNAPSHOT_H

#include <stddef.h>
#include "fdtrace/event.h"
#include "source/source.h"

/* All zero is empty. */
struct snapshot_found {
	struct snapshot_process *process;
	size_t count, capacity;
};

/* Keeps what is needed of an event about a process's first thread. 0 or -ENOMEM. */
int snapshot_note(struct snapshot_found *found, const void *event);

/*
 * Tells an FDT_PROCESS for each process found that is still alive and the same one. 0, or what
 * event returned. The list is empty afterwards.
 */
int snapshot_report(struct snapshot_found *found, uint64_t time_ns, source_event_fn event,
		    void *ctx);

void snapshot_done(struct snapshot_found *found);

#endif
