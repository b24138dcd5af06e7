/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef FDTRACE_DETECT_CLOSE_LOCK_H
#define FDTRACE_DETECT_CLOSE_LOCK_H

#include <stddef.h>

struct engine;

/* Files whose record locks are kept just now. */
size_t lock_file_count(struct engine *e);

#endif
