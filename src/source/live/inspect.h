/* SPDX-License-Identifier: BSD-2-Clause */
/* Asks the kernel, by a program of ours, what one open descriptor is like at this moment. */
#ifndef FDTRACE_SOURCE_INSPECT_H
#define FDTRACE_SOURCE_INSPECT_H

#include <stdint.h>
#include "fdtrace/event.h"

struct inspector;

/* Loads the program. 0, or -errno of what the kernel refused. */
int inspector_new(struct inspector **ret_inspector);
void inspector_free(struct inspector *inspector); /* NULL is allowed */

/*
 * tgid: in the initial pid namespace; the descriptor is looked for in the table of its first
 * thread. 0; -EBADF: there is no such process, or that number is closed; or another -errno.
 * head.time_ns of the answer is 0. Takes some microseconds and never waits for anybody.
 */
int inspector_ask(struct inspector *inspector, uint32_t tgid, int32_t fd,
		  struct fdt_detail *ret_detail);

#endif
