/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which findings fail a run (--fail-on, --error-exitcode): the one place that decides it. A
 * suppressed finding never does.
 */
#ifndef FDTRACE_ENGINE_FAIL_ON_H
#define FDTRACE_ENGINE_FAIL_ON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "engine/rule.h"

struct engine_counters;

/* All zero: nothing fails a run. Otherwise what matches any of these does. */
struct fail_on {
	rule_set rules;         /* a finding of one of these rules, whatever its severity ... */
	enum severity severity; /* ... or one that is at least so severe; 0: no such severity */
	bool unknown;           /* "new" was named: the caller sets from which severity on */
};

/*
 * "close.unowned,leak,exec.*,warning,new": rules, families (with or without ".*"), severities and
 * "new". Adds to *fail_on. 0, or -EINVAL with *ret_bad pointing into text at the word that is
 * none of these and *ret_bad_length its length; *fail_on is untouched then.
 */
int fail_on_parse(struct fail_on *fail_on, const char *text, const char **ret_bad,
		  size_t *ret_bad_length);

/* Fails also what is at least so severe. */
void fail_on_severity(struct fail_on *fail_on, enum severity severity);

bool fail_on_matches(const struct fail_on *fail_on, enum rule rule, enum severity severity);

/* How often such a finding of the rule was found in this run. */
uint64_t fail_on_count(const struct fail_on *fail_on, enum rule rule,
		       const struct engine_counters *counters);
/* The same for all rules. */
uint64_t fail_on_total(const struct fail_on *fail_on, const struct engine_counters *counters);

#endif
