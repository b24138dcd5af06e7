/* SPDX-License-Identifier: BSD-2-Clause */
/* One daemon per host: two would report everything twice, at twice the cost. */
#ifndef FDTRACE_DAEMON_LOCK_H
#define FDTRACE_DAEMON_LOCK_H

struct error;

/*
 * Takes the lock in $RUNTIME_DIRECTORY (created by a service manager) or else in /run/fdtrace
 * (created here). *ret_fd holds it until it is closed. -EBUSY: *error names the process that
 * holds it; or -errno.
 */
int lock_take(int *ret_fd, struct error *error);

#endif
