/* SPDX-License-Identifier: BSD-2-Clause */
/* What /proc says about a process. Everything in it is written by the process itself: any byte. */
#ifndef FDTRACE_SOURCE_PROCFS_H
#define FDTRACE_SOURCE_PROCFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct procfs_stat {
	char state;  /* R, S, D, Z ...: of the first thread */
	bool kernel; /* a kernel thread */
	uint64_t threads;
	uint64_t start_ticks; /* since boot, in 1/sysconf(_SC_CLK_TCK) s */
};

/* 0; -ENOENT: there is no such process; or another -errno. */
int procfs_stat(pid_t pid, struct procfs_stat *ret_stat);

/* No thread of it runs any more: it has only its exit code left. */
bool procfs_is_dead(const struct procfs_stat *stat);

/* The executable's path; argv, each ended by NUL. Cut to size; the length, 0: not known. */
size_t procfs_exe(pid_t pid, char *buffer, size_t size);
size_t procfs_args(pid_t pid, char *buffer, size_t size);

/* The initial pid namespace: then the pids here are those that BPF programs see. */
bool procfs_initial_pid_namespace(void);

/* The initial user namespace: only there a capability counts for the kernel itself. */
bool procfs_initial_user_namespace(void);

/* A number of /proc/self/status ("Seccomp"); -ENOENT: it is not there. */
int procfs_own_number(const char *key);

#endif
