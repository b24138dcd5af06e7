/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Descriptor numbers named by a process's environment: they were inherited on purpose, even if
 * not used yet (jobservers, socket activation, channels to a parent).
 */
#ifndef FDTRACE_RUN_ENVIRON_H
#define FDTRACE_RUN_ENVIRON_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "fdtrace/event.h"

/*
 * Sets the bits of the numbers from 3 to 4095 that an environment names as descriptors and clears
 * all others. block: NAME=VALUE strings, each ended by NUL, as in /proc/PID/environ; what follows
 * the last NUL was cut off and is ignored. Any byte may occur anywhere. Named are
 *   - numbers, if the variable holds nothing else, alone or as a list with , : ; or blanks, if its name
 *     has FD, FILENO, PIPE, SOCK, LISTEN, NOTIFY, JOBSERVER, CHANNEL, HANDLE or NGINX in it;
 *   - those behind fd: fd= /dev/fd/ /proc/self/fd/ --jobserver-auth= --jobserver-fds= in any value;
 *   - 3 to 2+n if LISTEN_FDS is n and LISTEN_PID is pid or not there (sd_listen_fds(3)).
 */
void environ_parse(const char *block, size_t size, pid_t pid, __u64 ret_word[FDT_ENVIRON_WORDS]);

/*
 * Reads what pid was started with (the first 128 KiB of it) into a whole event but for its time. 0,
 * or -errno: -ENOENT, -ESRCH (no such process), -EACCES ...; *ret_event is untouched then.
 */
int environ_read(pid_t pid, struct fdt_environ *ret_event);

#endif
