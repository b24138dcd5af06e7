/* SPDX-License-Identifier: BSD-2-Clause */
/* Where findings go: a sink writes them in one format (format.h). The session owns the sinks. */
#ifndef FDTRACE_OUTPUT_SINK_H
#define FDTRACE_OUTPUT_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "engine/engine.h"
#include "engine/fail_on.h"

struct hostinfo;
struct redaction;
struct suppression_list;

/* The state at the end of a run or of an interval. */
struct summary {
	const struct hostinfo *host;
	struct engine *engine; /* for engine_each_process(), engine_each_finding() */
	const struct suppression_list *suppressions; /* NULL: none */
	const struct fail_on *fail_on;               /* NULL: nothing fails the run ... */
	unsigned int fail_status;                    /* ... with this exit status */
	struct engine_counters counters;
	uint64_t duration_ns;
	double cpu_ratio;      /* of one CPU that fdtrace itself used; < 0: not known (replay) */
	double coverage_ratio; /* of the last minute with hooks on; < 0: no budget to keep to */
	double overhead_ratio; /* of the time of all CPUs in it, measured */
	bool final;            /* false: an interval summary */
	bool limited;  /* it was not a command that ended by itself: it may have been too short */
	bool holdings; /* say who holds the tables: the host is asked for much */
	uint64_t damaged; /* replay: records that could not be read */
	/* live: stacks that were not captured whole; all 0 in a replay */
	uint64_t stacks_skipped; /* calls without one, to stay within stacks.budget */
	uint64_t stacks_lost; /* new ones dropped because the ring was full; they are sent again */
	uint64_t stacks_cut;  /* reported without their outer frames */
};

enum run_state { RUN_START, RUN_STOP };

/* The hooks are on for another share of the time than before. */
struct coverage_change {
	const char *from, *to; /* "full", "duty", "census" */
	double share;          /* of the last minute with hooks on, 0 to 1 */
	double overhead;       /* of the time of all CPUs in it, 0 to 1 */
	uint64_t time_ns;
};

struct sink;
struct sink_ops {
	/*
	 * All return 0 or -errno (-EPIPE: the reader has gone; the run should end quietly). All
	 * but finding and free may be NULL: the format has no way to express it.
	 */
	int (*state)(struct sink *sink, enum run_state state, uint64_t time_ns);
	int (*coverage)(struct sink *sink, const struct coverage_change *change);
	int (*finding)(struct sink *sink, const struct finding *finding);
	/*
	 * The same as the store of evidence takes it: see json_finding_line(), which is to be used
	 * where this is NULL. finding() of the same finding comes next and shares the work.
	 */
	int (*evidence)(struct sink *sink, const struct finding *finding, char **ret_line,
			size_t *ret_length);
	int (*withheld)(struct sink *sink, const struct withheld *withheld);
	int (*change)(struct sink *sink, const struct change *change);
	int (*summary)(struct sink *sink, const struct summary *summary);
	/* What was found open by a run that attaches, before anything has happened. */
	int (*inventory)(struct sink *sink, const struct summary *summary);
	void (*free)(struct sink *sink); /* does not close the descriptor it was given */
};
struct sink {
	const struct sink_ops *ops;
	bool kept; /* set before finding(): its full evidence is stored, for explain to print */
};

struct sink_options {
	int fd; /* data goes here: stdout or the -o file */
	/*
	 * json: takes each line, newline included, instead of fd; finding: what it reports, NULL
	 * for other datasets. 0 or -errno. NULL: lines go to fd.
	 */
	int (*write)(void *ctx, const char *line, size_t length, const struct finding *finding);
	void *write_ctx;
	/* Borrowed, must outlive the sink; may still be filled in until the first call. */
	const struct hostinfo *host;
	/* Of command lines; borrowed; NULL: nothing is hidden. */
	const struct redaction *redaction;
	enum severity min_severity;
	const struct fail_on *fail_on; /* of findings that are shown in any case; NULL: none */
	unsigned int width;            /* text: columns; 0: unlimited (not a terminal) */
	bool color;                    /* text */
	bool ascii;                    /* text: the terminal shows nothing else */
	unsigned int verbosity;        /* text: 0, 1 (-v) ... */
	bool quiet;                    /* text: no summary (-q) */
	bool summaries;                /* text: print summary() (json always does) */
	bool full;                     /* json: no 4,000-byte cap (--json=full) */
};

/* What fails the run is shown, however low its severity. */
static inline bool sink_shows(const struct sink_options *options, enum rule rule,
			      enum severity severity)
{
	return severity >= options->min_severity ||
	       (options->fail_on && fail_on_matches(options->fail_on, rule, severity));
}

static inline void sink_free(struct sink *sink)
{
	if (sink)
		sink->ops->free(sink);
}

#endif
