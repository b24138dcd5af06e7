/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Telling a service manager how we are: one datagram to $NOTIFY_SOCKET, as sd_notify(3) describes
 * the protocol.
 */
#ifndef FDTRACE_UTIL_NOTIFY_H
#define FDTRACE_UTIL_NOTIFY_H

#include <stdint.h>

/*
 * "READY=1", "STATUS=..." and so on, with newlines between several. 0: sent; -ENOTCONN: nobody
 * wants to know; another -errno: lost. Never waits.
 */
int notify(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* How often "WATCHDOG=1" is to be told at least, in ns; 0: never. $WATCHDOG_USEC, $WATCHDOG_PID. */
uint64_t notify_watchdog_ns(void);

#endif
