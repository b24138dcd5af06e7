/* SPDX-License-Identifier: BSD-2-Clause */
/* Which cgroups an operator wants findings from. */
#ifndef FDTRACE_DAEMON_PLACE_H
#define FDTRACE_DAEMON_PLACE_H

#include <stdbool.h>

struct config;

/*
 * Whether findings of processes in this cgroup are reported: none of exclude_cgroups matches it,
 * and one of cgroups does, if there are any. Globs of whole paths as fnmatch(3) has them; '*'
 * takes slashes too, a backslash stands for itself (units have it in their names). A place
 * that is not known (NULL or "") is wanted: the filter keeps noise out, it hides nothing.
 */
bool place_wanted(const struct config *config, const char *cgroup);

#endif
