/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How much of the machine fdtrace may cost, and what that buys. Pure: it is given measurements
 * and says what to do; the daemon does it.
 *
 * The hooks on system calls are on all the time while they cost less than the budget. If they
 * cost more they are on for as large a share of the time as the budget pays for (a duty cycle
 * of windows of a second or more), and tables are read by a census in between. Hooks on exec, fork
 * and exit stay on always.
 *
 * The budget is an account: what may be spent comes in with time, what all of it costs goes out
 * (our programs in the kernel, and fdtrace itself). Hooks go off when the account is empty and on
 * again when it can pay for a window; half a minute's income can be saved, so that a short burst
 * of work on the machine changes nothing, and what a window has cost beyond the account is paid
 * back before the next. The average keeps to the budget so, however wrong a forecast was.
 * A quarter of the income may go into censuses; a twentieth while there are suspects, as
 * windows, which show who opens, are worth more then.
 */
#ifndef FDTRACE_RUN_BUDGET_H
#define FDTRACE_RUN_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

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

#define BUDGET_WINDOW_NS SEC_NS

struct budget {
	uint64_t ppm; /* of the time of all CPUs; 0: hooks never, 1000000: always */
	/* private */
	uint64_t last_ns, run_ns, own_ns; /* the latest sample */
	uint64_t since_ns;                /* hooks are on, or off, since then */
	uint64_t age_ns;                  /* of share and overhead; no more than they look back */
	uint64_t census_ns;               /* the last one, or the end of the last window */
	double credit;                    /* CPU time that may still be spent, ns; below 0: debt */
	double debt;                      /* the credit when the last window ended, or 0 */
	double cost;                      /* of one CPU's time while hooks are on, smoothed */
	double census_cost;               /* ns of CPU time of one, smoothed */
	double share, overhead;
	enum coverage coverage;
	bool on;
	bool cost_known, census_known, census_ordered;
};

void budget_init(struct budget *budget, uint64_t ppm, uint64_t now_ns);

/*
 * Another budget from now on. Debts of the old one are forgotten, and share and overhead begin
 * again: they then describe what the new one comes to.
 */
void budget_set(struct budget *budget, uint64_t ppm);

struct budget_decision budget_step(struct budget *budget, const struct budget_sample *sample);

#endif
