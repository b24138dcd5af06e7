/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Answers what the engine asks about this machine (struct engine_host): the name and the state of a
 * descriptor, the environment and the cgroup of a process. Each answer goes into the recording
 * before the event that the engine is working on, so that a replay, which cannot ask, finds it there.
 */
#ifndef FDTRACE_RUN_HOST_H
#define FDTRACE_RUN_HOST_H

#include <stdint.h>

#include "run/naming.h"

struct engine_host;
struct fdt_head;
struct outputs;
struct source;

/* All borrowed but the naming. */
struct host {
	struct source *source;
	struct outputs *outputs;
	const uint64_t *now_ns; /* the time of the event that the engine is working on */
	struct naming *naming;  /* NULL: nothing is looked up */
};

/* 0 or -ENOMEM. The three that are borrowed have been set. */
int host_begin(struct host *host);
void host_done(struct host *host);

/* For engine_options; their ctx is a struct host, or begins with one. */
const struct engine_host *host_answers(void);

/* After each event: remembers what was opened, for host_look_up(). */
void host_note(struct host *host, const struct fdt_head *event);

/* At most `count` of those whose name is not known, each as an event of the stream. */
void host_look_up(struct host *host, unsigned int count, naming_known_fn known, naming_fn event,
		  void *ctx);

#endif
