/* SPDX-License-Identifier: BSD-2-Clause */
/* Writing a recording (format: include/fdtrace/tracefile.h). */
#ifndef FDTRACE_OUTPUT_RECORD_H
#define FDTRACE_OUTPUT_RECORD_H

#include <stddef.h>

struct recorder;

/* Writes the file header to fd (borrowed). 0 or -errno. */
int recorder_new(int fd, struct recorder **ret_recorder);

/*
 * Appends one event; buffered. 0 or -errno; after an error the recording ends at the last
 * whole record and every later call returns the same error at once.
 */
int recorder_write(struct recorder *recorder, const void *event, size_t size);
int recorder_flush(struct recorder *recorder);

/* Flushes; NULL allowed. Returns the first error of its life, or 0. */
int recorder_free(struct recorder *recorder);

#endif
