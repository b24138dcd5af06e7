/* SPDX-License-Identifier: BSD-2-Clause */
/* Numbers, times and errors as people read them. All cut to size and NUL-terminated. */
#ifndef FDTRACE_OUTPUT_PHRASE_H
#define FDTRACE_OUTPUT_PHRASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/finding.h"

#define PHRASE_SIZE 40 /* enough for each of them */

/* "1,048,576" */
void phrase_number(char *buffer, size_t size, uint64_t number);

/* "1 event", "41,203 events" */
void phrase_count(char *buffer, size_t size, uint64_t count, const char *one, const char *many);

/* "850 us", "21.4 ms", "18.1 s", "5m02s", "3h05m", "12d03h" */
void phrase_duration(char *buffer, size_t size, uint64_t duration_ns);

/*
 * How far time is from moment, both of one clock: "-18.1 s", "+2.0 s", "0". Less than
 * a timer tick (up to 4 ms) is "<4 ms": one of the two was read from a coarse clock.
 * The last two columns are the unit or blank, so that a column of them is aligned.
 */
void phrase_relative(char *buffer, size_t size, uint64_t time_ns, uint64_t moment_ns);

/* Local time: "2026-11-20 23:59:59.123", without the date "23:59:59.123". */
void phrase_wall(char *buffer, size_t size, uint64_t time_ns, int64_t wall_offset_ns, bool date);

/* "EBADF"; "errno 4711" for a number that has no name here. error is positive. */
void phrase_error(char *buffer, size_t size, int error);

/*
 * A name as it stands behind its kind: "tcp 10.0.0.5:80 -> ..." without the
 * "tcp ". Points into name; "" for NULL.
 */
const char *phrase_name(enum fd_kind kind, const char *name);

/* Of a TCP socket: "established", "close-wait", "listening" ...; NULL: none, or not known. */
const char *phrase_tcp_state(const struct descriptor *d);

/* "other end: python3[123] fd 4, cat[124] fd 0, 3 more", "other end closed"; "" for none. */
void phrase_other_end(char *buffer, size_t size, const struct other_end *end);

/* "+2.5"; "-" for 0 or NaN */
void phrase_rate(char *buffer, size_t size, double per_minute);

#endif
