/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef FDTRACE_DETECT_EPOLL_FOREIGN_H
#define FDTRACE_DETECT_EPOLL_FOREIGN_H

#define EPOLL_CLOSED_MAX 256 /* closes that wait to be looked at; more are let go */

struct engine;

/* How many closes wait. */
unsigned int epoll_closed_count(struct engine *e);

#endif
