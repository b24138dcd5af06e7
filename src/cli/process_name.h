/* SPDX-License-Identifier: BSD-2-Clause */
/* Processes by name, for -p. */
#ifndef FDTRACE_CLI_PROCESS_NAME_H
#define FDTRACE_CLI_PROCESS_NAME_H

#include <stddef.h>
#include <sys/types.h>

/*
 * Calls found() for each process but this one whose name (comm) or whose executable's base name is
 * the first `length` bytes of `name`. Zombies and kernel threads have no descriptors and are left
 * out. Stops at the first value other than 0 that found() returns, and returns it; 0; or -errno if
 * /proc cannot be read.
 */
int process_name_each(const char *name, size_t length, int (*found)(void *ctx, pid_t pid),
		      void *ctx);

#endif
