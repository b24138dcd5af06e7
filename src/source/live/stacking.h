/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stacks, as a part of the kernel as a source: sets up the maps by which the programs walk,
 * turns their records into FDT_SITE events (symbol/stacks.h), and keeps to stacks.budget.
 */
#ifndef FDTRACE_SOURCE_STACKING_H
#define FDTRACE_SOURCE_STACKING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "symbol/stacks.h"

struct fdtrace_bpf;
struct stacking;

/* --stacks */
enum stack_mode { STACKS_AUTO, STACKS_NATIVE, STACKS_PYTHON, STACKS_OFF };

struct stacking_options {
	bool native;           /* frames of native code; both false: no stacks at all */
	bool python;           /* interpreted frames, of whatever language */
	uint64_t budget_ppm;   /* of one CPU, for walking; 1000000 or more: no bound */
	uint64_t tables_bytes; /* for unwind tables, in kernel memory */
	const char *command;   /* the program that is to be run, as given; NULL: none */
};

/* Before the skeleton is loaded. */
void stacking_configure(struct fdtrace_bpf *skel, const struct stacking_options *options);

/* Afterwards. 0 or -errno. The skeleton is borrowed. */
int stacking_open(struct fdtrace_bpf *skel, const struct stacking_options *options,
		  struct stacking **ret_stacking);
void stacking_free(struct stacking *stacking); /* NULL is allowed */

/* What is there to be walked: files of these processes are read, and those waited for. */
void stacking_prepare(struct stacking *stacking, const pid_t *pids, unsigned int count);

/* From now on stacks are taken. */
void stacking_start(struct stacking *stacking);

/* A record for which stacks_concern(). 0, or what event returned. */
int stacking_record(struct stacking *stacking, const void *record, size_t size,
		    stacks_event_fn event, void *ctx);

/* At each drain: installs what has been read, grants copies, looks after the budget. */
void stacking_tick(struct stacking *stacking, uint64_t now_ns);

/* The site is forgotten in user space: its stack is to be sent again. */
void stacking_forget(struct stacking *stacking, uint64_t hash);

struct stacking_counters {
	struct stacks_counters stacks;
	uint64_t taken;   /* walks */
	uint64_t sent;    /* new stacks */
	uint64_t lost;    /* new stacks for which the ring had no room */
	uint64_t skipped; /* calls left without one to keep to the budget */
	uint64_t frames;
	uint64_t walk_ns;                  /* spent on walking, by samples */
	uint64_t tables_used, tables_size; /* bytes */
};
void stacking_counters(const struct stacking *stacking, struct stacking_counters *ret_counters);

#endif
