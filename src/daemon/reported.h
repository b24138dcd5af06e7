/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What has been reported, kept over a restart so that it is not reported again: fingerprints with
 * time, count and severity, in a small JSON file. A new one is written beside it and renamed. A
 * file that cannot be read is replaced by the next save.
 */
#ifndef FDTRACE_DAEMON_REPORTED_H
#define FDTRACE_DAEMON_REPORTED_H

#include <stdint.h>

#define REPORTED_PATH "/var/lib/fdtrace/reported.json"
#define REPORTED_MAX 10000

struct engine;

/*
 * Gives the engine the entries of the file (engine_restore_reported()). If there is no such file,
 * but a told.json in the same directory, that one is read: earlier versions used that name by
 * default. Returns the number of entries, or -errno (-ENOENT: no file yet).
 */
int reported_load(const char *path, struct engine *engine);
/* Writes the file, always under the given name. 0 or -errno. */
int reported_save(const char *path, struct engine *engine);

#endif
