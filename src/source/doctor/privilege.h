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
 * Gives up for good what tracing does not need once the hooks are in place, in the calling thread
 * and those it starts later. Kept, if held: CAP_BPF and CAP_PERFMON for the hooks; CAP_SYS_PTRACE,
 * CAP_DAC_READ_SEARCH and CAP_CHECKPOINT_RESTORE for /proc of other processes; with `signals`
 * CAP_KILL, for a command that may have changed its user. On a kernel without CAP_BPF (before 5.8)
 * everything stays.
 */
void privilege_drop(bool signals);

#endif
