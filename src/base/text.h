/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Formatting into buffers of fixed size. What has no room is left out, but never half of a
 * UTF-8 character. Text may hold any other bytes; nothing here is checked or escaped.
 */
#ifndef FDTRACE_BASE_TEXT_H
#define FDTRACE_BASE_TEXT_H

#include <stdarg.h>
#include <stddef.h>

/*
 * How many of the first `length` bytes are left when a character that they cut in half is left
 * out: length, or up to 3 less.
 */
size_t text_whole(const char *text, size_t length);

/* The length of the text, or of as much of it as fits into `most` bytes: for "%.*s". */
int text_fit(const char *text, int most);

/*
 * snprintf(), but returns the length of what is in the buffer: below size, which must not be 0.
 * The buffer always ends with NUL.
 */
size_t text_format(char *buffer, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
size_t text_vformat(char *buffer, size_t size, const char *format, va_list arguments)
	__attribute__((format(printf, 3, 0)));

#endif
