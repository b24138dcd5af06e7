/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef FDTRACE_DETECT_EXEC_HELD_H
#define FDTRACE_DETECT_EXEC_HELD_H

#include <stdbool.h>

struct fdtable;
struct process;

/* The image may be holding what others wait for: exec.inherit keeps it on its list. */
bool held_is_of_interest(const struct fdtable *table, const struct process *process);

#endif
