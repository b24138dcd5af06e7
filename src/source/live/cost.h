/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What our programs in the kernel cost. They are timed for a tenth of a second every two seconds
 * and once more whenever the hooks on system calls are turned on; in between each goes on costing
 * what it did then (those on system calls: only while they are on). To the time inside the hook on
 * system calls comes what the kernel spends to get there, found once by calls of our own with
 * and without it.
 */
#ifndef FDTRACE_SOURCE_COST_H
#define FDTRACE_SOURCE_COST_H

#include <stdbool.h>
#include <stdint.h>
#include "fdtrace/loader.h"

struct fdtrace_bpf;

struct bpf_cost {
	uint64_t run_ns; /* of all CPUs so far, but the snapshots': those run in our own process */
	unsigned int program_count;
	struct {
		const char *name;
		uint64_t run_ns;
	} program[FDT_PROGRAMS];
};

struct cost_meter;

/* skel: loaded, borrowed. NULL: out of memory. */
struct cost_meter *cost_meter_new(struct fdtrace_bpf *skel);
void cost_meter_free(struct cost_meter *meter); /* NULL is allowed */

/* Before the hook on system calls is attached, and after: some milliseconds each. */
void cost_meter_calibrate(struct cost_meter *meter, bool attached);

/* The hook on system calls has been attached or detached. now_ns: CLOCK_MONOTONIC. */
void cost_meter_hooks(struct cost_meter *meter, bool on, uint64_t now_ns);

/* To be called several times a second: begins and ends the times of measuring. */
void cost_meter_tick(struct cost_meter *meter, uint64_t now_ns);
void cost_meter_read(const struct cost_meter *meter, struct bpf_cost *ret_cost);

#endif
