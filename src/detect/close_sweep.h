/* SPDX-License-Identifier: BSD-2-Clause */
/* What close.unowned asks of sweeps. */
#ifndef FDTRACE_DETECT_CLOSE_SWEEP_H
#define FDTRACE_DETECT_CLOSE_SWEEP_H

#include <stdbool.h>
#include <stdint.h>
#include "fdtrace/event.h"

struct actor;
struct engine;
struct fdtable;
struct ended;

/* A close failed. True: it belongs to a sweep. */
bool sweep_failed(struct engine *e, struct fdtable *table, const struct fdt_error *event,
		  const struct actor *actor);
/*
 * The actor used a number that a sweep had closed: it is counted among those hurt, and reported at
 * once if that sweep is long over. What an image swept before its exec is nobody's mistake.
 * False: another process swept, or one that nobody knows.
 */
bool sweep_hurt(struct engine *e, struct fdtable *table, const struct ended *ended, int32_t fd,
		const struct actor *actor);
/* The closer is closing one number after the other just now: it may become a sweep. */
bool sweep_in_progress(struct engine *e, const struct fdtable *table, const struct ended *ended);
/* fcntl failed with EBADF: a run of a million is reported. */
void sweep_probed(struct engine *e, const struct fdtable *table, const struct fdt_error *event,
		  const struct actor *actor);

#endif
