/* SPDX-License-Identifier: BSD-2-Clause */
/* Limits and mounts of this machine, read from /proc and /sys. */
#ifndef FDTRACE_SOURCE_LIMITS_H
#define FDTRACE_SOURCE_LIMITS_H

#include <stddef.h>
#include <stdint.h>

/*
 * Where a file system of that type is mounted; option: one that it has to have ("memory"), or
 * NULL. 0, or -ENOENT.
 */
int limits_mount(const char *type, const char *option, char *path, size_t size);

/*
 * What the control groups of this process allow it, in bytes; UINT64_MAX: there is no limit. 0, or
 * -ENOENT: their files are not to be seen here.
 */
int limits_memory(uint64_t *ret_bytes);

/* "none", "voluntary", "full", "lazy", "rt", or "" where it is not known. */
void limits_preemption(char *buffer, size_t size);

#endif
