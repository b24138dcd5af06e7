/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Units of time, and reading a clock in them. Times and durations are uint64_t in nanoseconds. The
 * core reads no clock: there, only the units are used.
 */
#ifndef FDTRACE_BASE_CLOCK_H
#define FDTRACE_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define USEC_NS UINT64_C(1000)
#define MSEC_NS UINT64_C(1000000)
#define SEC_NS UINT64_C(1000000000)
#define MINUTE_NS (60 * SEC_NS)
#define HOUR_NS (60 * MINUTE_NS)
#define DAY_NS (24 * HOUR_NS)

/* The clock's time; 0 if there is no such clock. */
static inline uint64_t clock_ns(clockid_t clock)
{
	struct timespec now = { 0 };

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * SEC_NS + (uint64_t)now.tv_nsec;
}

/* The clock of the events' times: it does not jump when the machine's time is set. */
static inline uint64_t clock_monotonic_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

#endif
