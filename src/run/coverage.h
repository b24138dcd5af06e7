/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Keeps a run to its overhead budget (run/budget.h): asks the source what it costs, turns the
 * hooks on system calls off and on, and describes the present coverage in words. To be called
 * in each turn of the session's loop.
 */
#ifndef FDTRACE_RUN_COVERAGE_H
#define FDTRACE_RUN_COVERAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "run/budget.h"
#include "output/sink.h"

struct source;

struct coverage_keeper {
	struct source *source; /* has hooks() and cost() */
	const char *hook_set;  /* "tracepoint" */
	unsigned int cpus;
	struct budget budget;
	/* the latest: share, overhead and mode, to be published */
	struct budget_decision decision;
	uint64_t asked_ns, worded_ns;
	/* reported last */
	enum coverage reported;
	uint64_t reported_ns;
};

/* What the session is to do now. */
struct coverage_orders {
	bool turn; /* the hooks on or off, as `hooks` says */
	bool hooks;
	bool census; /* FDT_WHY_CENSUS */
	bool words;  /* coverage_words() may have changed */
	bool report; /* *change is to be reported */
	struct coverage_change change;
};

/* ppm: budget=, of the time of all CPUs. The source, which has cost(), and hook_set are borrowed. */
void coverage_begin(struct coverage_keeper *keeper, struct source *source, const char *hook_set,
		    uint64_t ppm);

/* Changes the budget from the next step on. The same budget again changes nothing. */
void coverage_set_budget(struct coverage_keeper *keeper, uint64_t ppm);

/* Decides at most a few times a second. suspects: engine_suspects(). */
struct coverage_orders coverage_step(struct coverage_keeper *keeper, bool suspects);

/* "tracepoint", "tracepoint 12 %", "census": which coverage was in force in the last minute. */
void coverage_words(const struct coverage_keeper *keeper, char *buffer, size_t size);

#endif
