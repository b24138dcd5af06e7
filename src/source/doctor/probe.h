/* SPDX-License-Identifier: BSD-2-Clause */
/* What this machine offers, found by trying. For `fdtrace doctor`. */
#ifndef FDTRACE_SOURCE_PROBE_H
#define FDTRACE_SOURCE_PROBE_H

#include <stdbool.h>

/* VERDICT_UNKNOWN: could not be tried, since something above is in the way. */
enum verdict { VERDICT_OK, VERDICT_WARN, VERDICT_FAIL, VERDICT_UNKNOWN };

struct probe_line {
	enum verdict verdict;
	char what[32];         /* "ring buffer" */
	char found[128];       /* "16 MiB were granted" */
	char consequence[128]; /* what is degraded by it; may be "" */
	char remedy[192];      /* what to do about it; may be "" */
};

#define PROBE_LINES_MAX 40
struct probe_report {
	unsigned int count;
	struct probe_line line[PROBE_LINES_MAX];
	bool can_trace;    /* false: exit status 3 */
	char obstacle[24]; /* what makes tracing impossible: obstacle_name(); "none" */
	char summary[544]; /* "every descriptor event ..."; "nothing: " and what stops it */
	char remedy[256];  /* what to do first where tracing is impossible, else "" */
};

/* Never fails: what cannot be found out is a line that says so. Leaves nothing attached. */
void probe_machine(struct probe_report *report);

#endif
