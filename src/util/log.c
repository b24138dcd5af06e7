// SPDX-License-Identifier: BSD-2-Clause
#include "util/log.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/escape.h"
#include "util/io.h"
#include "util/error.h"

#define PREFIX "fdtrace: "
#define TEXT_BYTES 1024    /* longer messages (a verifier's log) take memory from the heap */
#define ESCAPED_PER_BYTE 4 /* no byte becomes longer than that: \xHH */

static enum log_level level_now = LOG_INFO;

void log_set_level(enum log_level level)
{
	level_now = level;
}

enum log_level log_level(void)
{
	return level_now;
}

/* Writes prefix, text and a newline at once. Only a library's own log may span lines. */
static void emit_message(const char *text, bool keep_newlines)
{
	size_t length = strlen(text), size, done;
	char small[sizeof(PREFIX) + TEXT_BYTES * ESCAPED_PER_BYTE + 1], *line = small;

	while (length && text[length - 1] == '\n')
		length--;
	size = sizeof(PREFIX) + length * ESCAPED_PER_BYTE + 1;
	if (size > sizeof(small))
		line = malloc(size);
	if (!line) {
		line = small;
		size = sizeof(small);
	}
	done = (size_t)sprintf(line, PREFIX);
	while (keep_newlines && memchr(text, '\n', length)) {
		size_t part = (size_t)((const char *)memchr(text, '\n', length) - text);

		done += escape_text(line + done, size - 1 - done, text, part);
		if (done + 2 < size)
			line[done++] = '\n';
		text += part + 1;
		length -= part + 1;
	}
	done += escape_text(line + done, size - 1 - done, text, length);
	line[done++] = '\n';
	write_all(STDERR_FILENO, line, done); /* a failure cannot be reported anywhere */
	if (line != small)
		free(line);
}

static void log_v(const char *format, va_list args, bool keep_newlines)
	__attribute__((format(printf, 1, 0)));

static void log_v(const char *format, va_list args, bool keep_newlines)
{
	char small[TEXT_BYTES + 1], *large = NULL;
	int saved_errno = errno, length;
	va_list again;

	va_copy(again, args);
	length = vsnprintf(small, sizeof(small), format, args);
	if (length >= (int)sizeof(small) && vasprintf(&large, format, again) < 0)
		large = NULL;
	va_end(again);
	emit_message(large ? large : small, keep_newlines);
	free(large);
	errno = saved_errno;
}

/* One function per level, so that the compiler can check the format of each caller. */
#define LOG_FUNCTION(name, threshold)        \
	void name(const char *format, ...)   \
	{                                    \
		va_list args;                \
                                             \
		if (level_now < (threshold)) \
			return;              \
		va_start(args, format);      \
		log_v(format, args, false);  \
		va_end(args);                \
	}

LOG_FUNCTION(log_error, LOG_QUIET)
LOG_FUNCTION(log_warn, LOG_WARN)
LOG_FUNCTION(log_info, LOG_INFO)
LOG_FUNCTION(log_debug, LOG_DEBUG)

void log_debug_v(const char *format, va_list args)
{
	if (level_now >= LOG_DEBUG)
		log_v(format, args, true);
}

static size_t put_line(char *out, size_t size, const char *lead, const char *text)
{
	size_t done;

	if (!text[0])
		return 0;
	done = (size_t)snprintf(out, size, "%s", lead);
	done += escape_text(out + done, size - 1 - done, text, strlen(text));
	out[done++] = '\n';
	return done;
}

void error_print(const struct error *error)
{
	char out[sizeof(struct error) * ESCAPED_PER_BYTE + 64];
	size_t done = 0;

	done += put_line(out + done, sizeof(out) - done, PREFIX, error->what);
	done += put_line(out + done, sizeof(out) - done, "  ", error->cause);
	done += put_line(out + done, sizeof(out) - done, "  ", error->remedy);
	write_all(STDERR_FILENO, out, done);
}
