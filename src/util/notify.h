/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reports our state to a service manager by one datagram to $NOTIFY_SOCKET; sd_notify(3) describes
 * the protocol.
 */
#ifndef FDTRACE_UTIL_NOTIFY_H
#define FDTRACE_UTIL_NOTIFY_H

#include <stdint.h>

/*
 * "READY=1", "STATUS=..." and so on, with newlines between several. 0: sent; -ENOTCONN: no service
 * manager listens; another -errno: lost. Never waits.
 */
int notify(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * The longest interval between two "WATCHDOG=1", in ns; 0: no watchdog. $WATCHDOG_USEC,
 * $WATCHDOG_PID.
 */
uint64_t notify_watchdog_ns(void);

#endif
