/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Command lines without the secrets in them. Always hidden: what follows an option or a variable
 * whose name suggests a password, a token or a key (--password X, --api-key=X, DB_SECRET=X), the password
 * in scheme://user:password@host and in curl's -u user:password, what follows "Authorization:".
 * A heuristic: for more, configure patterns, or leave arguments out.
 */
#ifndef FDTRACE_UTIL_REDACT_H
#define FDTRACE_UTIL_REDACT_H

#include <stddef.h>

struct trouble;

enum command_line { COMMAND_LINE_FULL, COMMAND_LINE_ARGV0, COMMAND_LINE_OFF };

#define REDACTED "[redacted]"
#define REDACT_BYTES_MAX 16384 /* of arguments looked at; what lies behind is left out */

struct redaction;

/*
 * patterns: POSIX extended regular expressions, matched against the arguments with blanks between
 * them; what matches, or the first group of it, is hidden. 0, -ENOMEM or -EINVAL with *trouble
 * naming the pattern.
 */
int redaction_new(enum command_line mode, const char *const *patterns, unsigned int pattern_count,
		  struct redaction **ret_redaction, struct trouble *trouble);
void redaction_free(struct redaction *redaction); /* NULL is allowed */
/* Does what `from` did from now on; frees that. */
void redaction_take(struct redaction *redaction, struct redaction *from);

/*
 * args: each ended or divided by a NUL, any other bytes. The text to show, blanks between arguments,
 * to be freed by the caller; "" where there is nothing to show. redaction NULL: nothing is hidden.
 * NULL: out of memory.
 */
char *redact_arguments(const struct redaction *redaction, const char *args, size_t size);

#endif
