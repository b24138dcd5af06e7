/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Suppressions: findings that the user does not want to hear of. This is the matching; where
 * they are read from is run/suppress.h.
 */
#ifndef FDTRACE_CORE_SUPPRESSION_H
#define FDTRACE_CORE_SUPPRESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "engine/finding.h"

/* All conditions that are given must hold. Strings are borrowed. */
struct suppression {
	const char *name;     /* for the summary */
	rule_set rules;       /* 0: any */
	bool has_fingerprint; /* of one cause */
	uint64_t fingerprint;
	const char *exe;   /* glob on the executable's path, or on the program's name if it has no
			      slash; NULL: any */
	const char *frame; /* glob on a frame of the culprit's stack; NULL: any */
	uint64_t used;     /* causes it has silenced */
};

struct suppression_list {
	struct suppression *entries;
	size_t count;
};

/* The first that fits, counted as used; NULL: none does. list NULL is empty. */
struct suppression *suppression_use(const struct suppression_list *list,
				    const struct finding *finding);

/*
 * Globs over the whole text: * any bytes, slashes included, ? one byte, [a-z] and [!a-z] one
 * byte of or not of a set, \ takes the next byte as it is. Time is at most proportional to the
 * product of the lengths, whatever the text holds.
 */
bool glob_match(const char *glob, const char *text);
/* What is wrong with a glob, in words; NULL: nothing. */
const char *glob_fault(const char *glob);

/*
 * The suppression that silences this finding and its like, as YAML to paste: by rule, program
 * and the innermost function of the application (whatever its line); by fingerprint where that
 * is not known, or calls everything the program does ("main").
 * Printable ASCII and newlines. Cut to size, which SUPPRESSION_TEXT_SIZE never makes necessary.
 */
#define SUPPRESSION_TEXT_SIZE 2048
void suppression_format(const struct finding *finding, char *buffer, size_t size);

#endif
