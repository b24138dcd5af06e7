/* SPDX-License-Identifier: BSD-2-Clause */
/* Which capabilities this process has. */
#ifndef FDTRACE_SOURCE_PRIVILEGE_H
#define FDTRACE_SOURCE_PRIVILEGE_H

#include <stdbool.h>
#include <stddef.h>

/* What loading and attaching the programs takes: CAP_BPF and CAP_PERFMON, or CAP_SYS_ADMIN. */
bool privilege_to_trace(void);

/*
 * What reading the descriptors of other users' processes in /proc takes: CAP_SYS_PTRACE, and
 * CAP_DAC_READ_SEARCH or CAP_DAC_OVERRIDE.
 */
bool privilege_to_inspect(void);

/* "CAP_BPF and CAP_PERFMON missing (uid 1000)"; "all present" where nothing is. */
void privilege_describe(char *buffer, size_t size);

/*
 * Gives up, for ever, all that tracing and looking at processes do not need once the hooks are there. On
 * a kernel without CAP_BPF (before 5.8) everything stays. What can't be given up stays.
 */
void privilege_drop(void);

#endif
