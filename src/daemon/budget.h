/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How much of the machine fdtrace may cost, and what that buys. Pure: it is given measurements
 * and says what to do; the daemon does it.
 *
 * The hooks on system calls are on all the time while they cost less than the budget. If they
 * cost more they are on for as large a share of the time as the budget pays for (a duty cycle
 * of windows of a second or more), and tables are read by a census in between. Hooks on exec, fork
 * and exit stay on always.
 */
#ifndef FDTRACE_DAEMON_BUDGET_H
#define FDTRACE_DAEMON_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

struct budget_sample {
	uint64_t now_ns;     /* CLOCK_MONOTONIC */
	uint64_t run_ns;     /* time in our programs so far, all CPUs */
	uint64_t own_cpu_ns; /* of fdtrace itself so far */
	unsigned int cpus;
	bool suspects; /* some table grows or fills: coverage is worth more just now */
};

enum coverage { COVERAGE_FULL, COVERAGE_DUTY, COVERAGE_CENSUS };
const char *coverage_name(enum coverage coverage); /* "full" "duty" "census" */

struct budget_decision {
	bool hooks;       /* on system calls: on or off from now */
	bool census;      /* read all tables now */
	uint64_t next_ns; /* ask again then, or earlier */
	enum coverage coverage;
	double share;    /* of the time with hooks on, over the last minutes */
	double overhead; /* measured, of all CPUs' time */
};

#define BUDGET_WINDOW_NS 1000000000ull

struct budget {
	uint64_t ppm; /* of the time of all CPUs; 0: hooks never, 1000000: always */
	/* private */
	uint64_t began_ns, run_ns, own_ns; /* at the beginning of the window */
	uint64_t window_end_ns, off_until_ns, census_ns;
	double cost; /* ns a second while hooks are on, smoothed; of one CPU */
	double own;  /* fdtrace's own ns a second, smoothed */
	double share, overhead;
	bool on;
};

void budget_init(struct budget *budget, uint64_t ppm, uint64_t now_ns);
struct budget_decision budget_step(struct budget *budget, const struct budget_sample *sample);

#endif
