/* SPDX-License-Identifier: BSD-2-Clause */
/* "Did you mean ...?" */
#ifndef FDTRACE_UTIL_NEAREST_H
#define FDTRACE_UTIL_NEAREST_H

#include <stddef.h>

/* Of several candidates the one most like a mistyped word. Begin with { .word = ..., .length = ... }. */
struct nearest {
	const char *word; /* length bytes */
	size_t length;
	const char *best; /* NULL: nothing is near enough */
	size_t distance;  /* of best: edits, a swap of neighbours counting two */
};

void nearest_try(struct nearest *nearest, const char *candidate);

#endif
