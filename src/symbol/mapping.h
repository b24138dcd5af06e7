/* SPDX-License-Identifier: BSD-2-Clause */
/* Executable mappings of a process, and the files behind them. */
#ifndef FDTRACE_SYMBOL_MAPPING_H
#define FDTRACE_SYMBOL_MAPPING_H

#include <sys/types.h>
#include "symbol/unwind/unwind_copy.h"

#define MAPPINGS_MAX 4096         /* executable ones; what comes behind is not known */
#define MAPS_MAX_BYTES (8u << 20) /* of /proc/PID/maps */

/*
 * Ascending, to be freed by the caller. 0; -ESRCH: the process has ended; -ENOMEM; or another
 * -errno.
 */
int mappings_read(pid_t pid, struct unwind_mapping **ret_mappings, unsigned int *ret_count);

/*
 * Opens the mapped file itself, even if it was deleted, replaced or is in another mount
 * namespace; where map_files may not be used (CAP_CHECKPOINT_RESTORE), the file of that name
 * below the process's root, if it is still the same. Only regular files. An fd, or -errno.
 */
int mapping_open(pid_t pid, const struct unwind_mapping *mapping);

#endif
