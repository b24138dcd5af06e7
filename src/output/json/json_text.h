/* SPDX-License-Identifier: BSD-2-Clause */
/* Strings of JSON lines: valid UTF-8, and how many bytes they take once they are written. */
#ifndef FDTRACE_OUTPUT_JSON_TEXT_H
#define FDTRACE_OUTPUT_JSON_TEXT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define JSON_ALL ((size_t)-1)
#define JSON_WRITTEN_MAX 6 /* bytes that one byte of text can take: \u0001 */

/* How much of a text a string shows that is cut to a number of bytes, as written with escapes. */
struct json_text_fit {
	size_t length;   /* bytes of the text, not as written; "..." follows where it is cut */
	size_t written;  /* without the quotes */
	size_t newlines; /* in the shown part, each of them written as two bytes */
	bool cut;
};

/* text: valid UTF-8, as json_text_new() makes it. */
struct json_text_fit json_text_fit(const char *text, size_t length, size_t max);

/* A string of any bytes; what is invalid becomes U+FFFD. NULL: no memory. */
json_t *json_text_new(const char *text, size_t length);

/* A copy of string that takes at most max bytes as written, or string itself. NULL: no memory. */
json_t *json_text_cut(json_t *string, size_t max);

/*
 * One line of text, newline included, to be freed by the caller: compact, keys in the order
 * they were put, all control and direction-changing characters as \uXXXX. 0 or -ENOMEM.
 */
int json_line(const json_t *object, char **ret_line, size_t *ret_length);

/* The bytes that value takes in a line, found without writing it; 0: no memory. */
size_t json_written(const json_t *value);

#endif
