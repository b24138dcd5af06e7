/* SPDX-License-Identifier: BSD-2-Clause */
/* Messages for the person at the terminal: stderr, one write each, never on stdout. */
#ifndef FDTRACE_UTIL_LOG_H
#define FDTRACE_UTIL_LOG_H

#include <stdarg.h>

struct error;

enum log_level { LOG_QUIET = 0, LOG_WARN = 1, LOG_INFO = 2, LOG_DEBUG = 3 };
void log_set_level(enum log_level level); /* default LOG_INFO */
enum log_level log_level(void);

/* Prefixed "fdtrace: "; a newline is added. */
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2))); /* at every level */
void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_debug_v(const char *format, va_list args) __attribute__((format(printf, 1, 0)));

/* The three lines of an error: what, cause, remedy. */
void error_print(const struct error *error);

#endif
