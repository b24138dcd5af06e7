/* SPDX-License-Identifier: BSD-2-Clause */
/* One daemon per host: two would report everything twice, at twice the cost. */
#ifndef FDTRACE_DAEMON_LOCK_H
#define FDTRACE_DAEMON_LOCK_H

struct trouble;

/*
 * Takes the lock in $RUNTIME_DIRECTORY (made by a service manager) or else /run/fdtrace (made here).
 * *ret_fd: holds it until it is closed. -EBUSY: *trouble says which process has it; or -errno.
 */
int lock_take(int *ret_fd, struct trouble *trouble);

#endif
