/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What has been told already, kept over a restart so that it is not told again: fingerprints
 * with time, count and severity, in a small JSON file written anew beside the old one and
 * renamed. A file that cannot be understood is told once and begun anew.
 */
#ifndef FDTRACE_DAEMON_REPORTED_H
#define FDTRACE_DAEMON_REPORTED_H

#include <stdint.h>

#define REPORTED_PATH "/var/lib/fdtrace/told.json"
#define REPORTED_MAX 10000

struct engine;

/* Gives the engine what the file knows (engine_restore_reported()). The number of entries, or -errno (-ENOENT: none yet). */
int reported_load(const char *path, struct engine *engine);
/* 0 or -errno. */
int reported_save(const char *path, struct engine *engine);

#endif
