/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Command lines without the secrets in them. Always hidden: what follows an option or a variable
 * whose name suggests a password, a token or a key (--password X, --api-key=X, DB_SECRET=X), the
 * password in scheme://user:password@host and in curl's -u user:password, what follows
 * "Authorization:". A heuristic: for more, configure patterns, or leave arguments out.
 */
#ifndef FDTRACE_UTIL_REDACT_H
#define FDTRACE_UTIL_REDACT_H

#include <stddef.h>

struct error;

enum command_line { COMMAND_LINE_FULL, COMMAND_LINE_ARGV0, COMMAND_LINE_OFF };

#define REDACTED "[redacted]"
#define REDACT_BYTES_MAX 16384 /* of arguments that are examined; the rest is left out */

struct redaction;

/*
 * patterns: POSIX extended regular expressions, matched against the arguments with blanks between
 * them; what matches, or the first group of it, is hidden. 0, -ENOMEM or -EINVAL with *error
 * naming the pattern.
 */
int redaction_new(enum command_line mode, const char *const *patterns, unsigned int pattern_count,
		  struct redaction **ret_redaction, struct error *error);
void redaction_free(struct redaction *redaction); /* NULL is allowed */
/* Takes over the rules of `from` and frees it. */
void redaction_take(struct redaction *redaction, struct redaction *from);

/*
 * args: separated or terminated by NULs, any other bytes. Returns the text to show, with blanks
 * between arguments, to be freed by the caller; "" if there is nothing to show; NULL if out of
 * memory. redaction may be NULL: nothing is hidden.
 */
char *redact_arguments(const struct redaction *redaction, const char *args, size_t size);

#endif
