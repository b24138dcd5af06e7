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

/*
 * NAME, id, family, usual severity, on by default, one line for --help. The order is that of --help
 * and of the documentation.
 */
/* clang-format off */
#define RULES(X) \
	X(LEAK_GROWTH, "leak.growth", "leak", WARNING, true, \
	  "one site's open descriptors keep rising") \
	X(LEAK_STALE, "leak.stale", "leak", WARNING, true, \
	  "a growing few stay open long after others from the same site were closed") \
	X(LEAK_ORPHAN, "leak.orphan", "leak", WARNING, true, \
	  "certainly dead: the peer has gone, or the file is deleted and unused") \
	X(LEAK_EXIT, "leak.exit", "leak", INFO, true, \
	  "descriptors still open at exit, grouped by opening site") \
	X(LIMIT_EMFILE, "limit.emfile", "limit", ERROR, true, \
	  "a call failed because the table was full; lists what fills it") \
	X(EXEC_INHERIT, "exec.inherit", "exec", INFO, true, \
	  "descriptors inherited across exec, which the new program never used") \
	X(EXEC_HELD, "exec.held", "exec", WARNING, true, \
	  "a child still holds, unused, what its opener has closed") \
	X(CLOSE_UNOWNED, "close.unowned", "close", ERROR, true, \
	  "a descriptor was closed by one thread while another still used it") \
	X(CLOSE_DOUBLE, "close.double", "close", INFO, true, \
	  "a descriptor was closed twice, with no visible effect") \
	X(CLOSE_SWEEP, "close.sweep", "close", WARNING, true, \
	  "a loop over descriptor numbers closed descriptors of others") \
	X(CLOSE_STDIO, "close.stdio", "close", WARNING, true, \
	  "0, 1 or 2 was closed and a data file or socket opened there") \
	X(CLOSE_LOCK, "close.lock", "close", WARNING, true, \
	  "closing another descriptor of the file released a record lock") \
	X(USE_CLOSED, "use.closed", "use", WARNING, true, \
	  "a thread used a descriptor it had already closed") \
	X(USE_STALE, "use.stale", "use", WARNING, false, \
	  "a thread kept using a number that was meanwhile reused") \
	X(EPOLL_FOREIGN, "epoll.foreign", "epoll", WARNING, true, \
	  "a forked process changed an epoll that it shares with its parent") \
	X(EPOLL_STALE, "epoll.stale", "epoll", WARNING, true, \
	  "an epoll still watches a closed descriptor, because a copy is open")
/* clang-format on */

enum rule {
#define RULE_NUMBER(NAME, id, family, severity, on, says) RULE_##NAME,
	RULES(RULE_NUMBER)
#undef RULE_NUMBER
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
