/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef FDTRACE_DETECT_CLOSE_UNOWNED_H
#define FDTRACE_DETECT_CLOSE_UNOWNED_H

#include <stdbool.h>
#include <stdint.h>

struct actor;
struct engine;
struct fdtable;
struct process;

/* The deferred failures of that thread turn out to be part of a sweep. */
void close_forget(struct engine *e, uint32_t tid, uint64_t table);
/* The process had opened and closed every number from low to high before that time. */
bool close_all_own(struct engine *e, const struct fdtable *table, const struct process *process,
		   int32_t low, int32_t high, uint64_t before_ns);
/* The actor closed all numbers from `first` on to `last`, which were closed: once for all of them. */
void close_report_run(struct engine *e, const struct actor *actor, struct fdtable *table,
		      int32_t first, int32_t last);

#endif
