/* SPDX-License-Identifier: BSD-2-Clause */
/* Making bytes from traced processes safe to print. */
#ifndef FDTRACE_UTIL_ESCAPE_H
#define FDTRACE_UTIL_ESCAPE_H

#include <stddef.h>

/*
 * For a terminal or a log: valid UTF-8 passes; C0, DEL, C1, U+2028, U+2029, bidirectional
 * controls and invalid bytes become \n, \t, \r, \xHH or \u{HHHH}. Cut to size at a character
 * border, always NUL-terminated. Returns the length written.
 */
size_t escape_text(char *buffer, size_t size, const char *text, size_t length);
/* The same for a terminal that shows ASCII only: each byte of other characters becomes \xHH. */
size_t escape_ascii(char *buffer, size_t size, const char *text, size_t length);

/*
 * For a JSON string: makes valid UTF-8, invalid bytes become U+FFFD. (The JSON writer escapes
 * control characters.) Same cutting and return.
 */
size_t sanitize_utf8(char *buffer, size_t size, const char *text, size_t length);

#endif
