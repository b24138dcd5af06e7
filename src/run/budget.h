/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How much CPU time fdtrace may cost, and how much coverage that buys. Pure: it is given
 * measurements and decides; run/coverage.c acts.
 *
 * The hooks on system calls are on all the time while they cost less than the budget. If they
 * cost more, they are on for the share of the time that the budget pays for (a duty cycle
 * of windows of a second or more), and a census reads the tables in between. Hooks on exec, fork
 * and exit stay on always.
 *
 * The budget is an account: the budget is paid in as time passes, and the cost is paid out (our
 * programs in the kernel, and fdtrace itself). Hooks are switched off when the account is empty
 * and on again when it can pay for a window. Half a minute's income can be saved, so that a short
 * burst of work on the machine changes nothing; what a window has cost beyond the account is paid
 * back before the next. So the average keeps to the budget, even if a forecast was wrong.
 * A quarter of the income may go into censuses; a twentieth while there are suspects, as
 * windows, which show where descriptors are opened, are worth more then.
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
	bool suspects; /* a table grows or is nearly full: coverage is worth more now */
};

enum coverage { COVERAGE_FULL, COVERAGE_DUTY, COVERAGE_CENSUS };
const char *coverage_name(enum coverage coverage); /* "full" "duty" "census" */

struct budget_decision {
	bool hooks;       /* on system calls: on or off from now */
	bool census;      /* read all tables now */
	uint64_t next_ns; /* the next decision is due then, or earlier */
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
 * Changes the budget. Debts of the old one are forgotten, and share and overhead are measured
 * from here on: they describe the new one.
 */
void budget_set(struct budget *budget, uint64_t ppm);

struct budget_decision budget_step(struct budget *budget, const struct budget_sample *sample);

#endif
