/* SPDX-License-Identifier: BSD-2-Clause */
/* The rules: what fdtrace can find, how serious it is, and which rules are switched on. */
#ifndef FDTRACE_CORE_RULE_H
#define FDTRACE_CORE_RULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum severity { SEVERITY_INFO = 1, SEVERITY_WARNING = 2, SEVERITY_ERROR = 3 };

/* "info", "warning", "error". Never NULL. */
const char *severity_name(enum severity severity);
/* The same names, and "warn", as a warning was called until November 2026. 0, or -EINVAL. */
int severity_parse(const char *text, enum severity *ret_severity);

/* Order is the order of --help and of the documentation. */
enum rule {
	RULE_LEAK_GROWTH,
	RULE_LEAK_STALE,
	RULE_LEAK_ORPHAN,
	RULE_LEAK_EXIT,
	RULE_LIMIT_EMFILE,
	RULE_EXEC_INHERIT,
	RULE_EXEC_HELD,
	RULE_CLOSE_UNOWNED,
	RULE_CLOSE_DOUBLE,
	RULE_CLOSE_SWEEP,
	RULE_CLOSE_STDIO,
	RULE_CLOSE_LOCK,
	RULE_USE_CLOSED,
	RULE_USE_STALE,
	RULE_EPOLL_FOREIGN,
	RULE_EPOLL_STALE,
	RULE_COUNT
};

struct rule_info {
	const char *id;         /* "leak.growth": family, dot, name */
	const char *category;   /* "leak" */
	enum severity severity; /* usual one; a finding may have another */
	bool on;                /* by default */
	const char *says;       /* one line for --help and the documentation */
};
const struct rule_info *rule_info(enum rule rule);

/* A set of rules that are switched on: bit 1 << rule. */
typedef uint32_t rule_set;
rule_set rule_set_default(void);

/*
 * "leak,exec,-close.double": families and rules, read from left to right. If the first item
 * is a removal the set starts as the default, else empty. "all" names every rule.
 * 0, or -EINVAL with *ret_bad (not NULL) pointing into text at the item not understood and
 * *ret_bad_length its length; *ret_set is untouched then.
 */
int rule_set_parse(const char *text, rule_set *ret_set, const char **ret_bad,
		   size_t *ret_bad_length);

/* Writes what rule_set_parse reads: ids with commas. Cut to size, always NUL-terminated. */
void rule_set_format(rule_set set, char *buffer, size_t size);

#endif
