/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * /tmp/perf-PID.map: names of functions made at run time (node, java, python -X perf), written
 * by the process itself, one "START SIZE NAME" in hex a line. Nothing in it is trusted.
 */
#ifndef FDTRACE_SYMBOL_PERF_MAP_H
#define FDTRACE_SYMBOL_PERF_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct perf_map;

#define PERF_MAP_MAX_BYTES (32u << 20) /* of a file, the rest is not read */

/*
 * Reads the map of a process through /proc/PID/root, by the number that it has in its own pid
 * namespace. Only a regular file owned by the process's user or root is read. 0; -ENOENT; -EPERM;
 * -ENOMEM; or another -errno.
 */
int perf_map_open(pid_t pid, struct perf_map **ret_map);
/* The same from an open file (closed by it). For tests and fuzzing. */
int perf_map_read(int fd, struct perf_map **ret_map);
void perf_map_free(struct perf_map *map); /* NULL is allowed */

/* The file has grown or was replaced since it was read. false, too, if it is gone: keep what was read. */
bool perf_map_is_stale(const struct perf_map *map, pid_t pid);

/*
 * The name of the function at that address, lives as long as the map; NULL: none. The latest line wins,
 * of the 64 that begin closest before the address. Not made safe to print.
 */
const char *perf_map_find(const struct perf_map *map, uint64_t address);

#endif
