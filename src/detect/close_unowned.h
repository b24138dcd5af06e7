/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef FDTRACE_DETECT_CLOSE_UNOWNED_H
#define FDTRACE_DETECT_CLOSE_UNOWNED_H

#include <stdint.h>

struct engine;

/* The deferred failures of that thread turn out to be part of a sweep. */
void close_forget(struct engine *e, uint32_t tid, uint64_t table);

#endif
