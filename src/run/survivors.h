/* SPDX-License-Identifier: BSD-2-Clause */
/* The end of a traced command is not that of the processes that it has started. */
#ifndef FDTRACE_RUN_SURVIVORS_H
#define FDTRACE_RUN_SURVIVORS_H

#include <sys/types.h>

struct engine;

/*
 * Says which traced processes go on, and how to go on tracing them. ended: the pid of the command,
 * if it has ended; 0: it has not. Says nothing if there are none.
 */
void survivors_report(struct engine *engine, pid_t ended);

#endif
