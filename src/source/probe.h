/* SPDX-License-Identifier: BSD-2-Clause */
/* What this machine offers, found by trying. For `fdtrace doctor` and for choosing hooks. */
#ifndef FDTRACE_SOURCE_PROBE_H
#define FDTRACE_SOURCE_PROBE_H

#include <stdbool.h>

enum verdict { VERDICT_OK, VERDICT_WARN, VERDICT_FAIL };

struct probe_line {
	enum verdict verdict;
	char what[32];         /* "BTF" */
	char found[128];       /* "/sys/kernel/btf/vmlinux" */
	char consequence[192]; /* what it means, and what to do if anything; may be "" */
};

#define PROBE_LINES_MAX 32
struct probe_report {
	unsigned int count;
	struct probe_line line[PROBE_LINES_MAX];
	bool can_trace;    /* false: exit status 3 */
	char summary[256]; /* "Would trace: every descriptor event ..." */
};

/* Never fails: what cannot be found out is a line that says so. Leaves nothing attached. */
void probe_machine(struct probe_report *report);

#endif
