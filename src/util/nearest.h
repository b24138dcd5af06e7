/* SPDX-License-Identifier: BSD-2-Clause */
/* "Did you mean ...?" */
#ifndef FDTRACE_UTIL_NEAREST_H
#define FDTRACE_UTIL_NEAREST_H

#include <stddef.h>

/* The candidate most like a mistyped word. Start with { .word = ..., .length = ... }. */
struct nearest {
	const char *word; /* length bytes */
	size_t length;
	const char *best; /* NULL: nothing is near enough */
	size_t distance;  /* of best: edits; swapping two neighbours counts as two */
};

void nearest_try(struct nearest *nearest, const char *candidate);

#endif
