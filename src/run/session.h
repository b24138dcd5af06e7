/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One run: events from a source through the engine to the outputs, until something ends it.
 *
 * For each event the engine comes first and the recording second: facts that were looked up
 * for the event (names) then precede it in the recording, and a replay, which cannot look anything
 * up, finds the same.
 */
#ifndef FDTRACE_RUN_SESSION_H
#define FDTRACE_RUN_SESSION_H

#include <stdbool.h>
#include <stdint.h>
#include "engine/engine.h"
#include "engine/overrides.h"
#include "util/hostinfo.h"

struct output_format;
struct coverage_keeper;
struct launch;
struct outputs;
struct signals;
struct source;
struct suppression_list;
struct error;

/* What the user asked for, for any source. Strings are borrowed. */
struct run_options {
	const struct output_format *format; /* NULL: text */
	bool full;                          /* no size cap on a JSON line */
	bool events;
	bool verify; /* compare the tables with the kernel's */
	bool quiet;
	unsigned int verbosity;
	const char *output;         /* NULL: stdout */
	const char *record;         /* NULL: no recording; "-": stdout */
	uint64_t duration_ns;       /* 0: no end */
	uint64_t interval_ns;       /* 0: no summaries in between */
	struct overrides overrides; /* --set and --rules */
	enum severity min_severity; /* 0: what is usual for the format */
	const char **suppress;      /* files that suppress_read() reads */
	unsigned int suppress_count;
	unsigned int error_exitcode; /* 0: findings do not change the exit status */
};

/*
 * What a service adds to a run: it runs until it is asked to end, and reloads on SIGHUP. All
 * functions but `wanted` are called between events, never from within the engine; each may be NULL.
 */
struct session_service {
	void *ctx;
	/* Whether findings of processes in this cgroup are reported; NULL: it is not known. */
	bool (*wanted)(void *ctx, const char *cgroup);
	/* Not NULL: used instead of the standard ones and the overrides of the options. */
	const struct settings *settings;
	rule_set rules;
	/* The engine exists and knows nothing yet. It lives until `ended` returns. */
	void (*engine)(void *ctx, struct engine *engine);
	/* If a budget is kept: the coverage it allows. Lives until `ended` returns. */
	void (*coverage)(void *ctx, const struct coverage_keeper *keeper);
	/* All hooks are attached and every table has been read once. */
	void (*ready)(void *ctx);
	/* Ten times a second or more often; now_ns: CLOCK_MONOTONIC. */
	void (*turn)(void *ctx, uint64_t now_ns);
	/*
	 * After SIGHUP, at most once a second. True: settings, rules, and the suppressions and the
	 * interval of the session's config have changed and are to be applied.
	 */
	bool (*reload)(void *ctx);
	void (*ending)(void *ctx);
	void (*ended)(void *ctx);
};

struct session_config {
	const struct run_options *options;
	struct source *source;
	bool replay;           /* the source is a recording: nothing is looked up on this machine */
	enum engine_mode mode; /* replay: unless the recording says it */
	struct launch *launch; /* the command to start once all is ready; NULL: none */
	struct signals *signals;
	struct outputs *outputs;
	struct suppression_list *suppressions; /* NULL: none; counted as they are used */
	const struct session_service *service; /* NULL: an ordinary run */
};

struct session_result {
	bool command_started; /* the command was started */
	uint64_t serious;     /* findings at or above warning */
	uint64_t differences; /* from the kernel's tables (--verify) */
};

/*
 * Runs to the end: the source's, the command's, that of the processes, -d, or a signal. 0, or
 * -errno with *error filled if tracing could not begin or broke down; *ret_result is filled
 * in any case. The source is left attached: free it. The outputs know what could not be
 * written.
 */
int session_run(const struct session_config *config, struct session_result *ret_result,
		struct error *error);

#endif
