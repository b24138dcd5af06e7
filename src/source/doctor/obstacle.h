/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What stands between fdtrace and the kernel: found out by asking, judged in one place, and reported
 * in the same words by `fdtrace doctor` and by a tracer that cannot begin.
 */
#ifndef FDTRACE_SOURCE_OBSTACLE_H
#define FDTRACE_SOURCE_OBSTACLE_H

#include <stdbool.h>
#include <stdint.h>
#include "util/error.h"

/* The deepest first: nothing further down helps while one above stands. */
enum obstacle {
	OBSTACLE_NONE,           /* none that is known */
	OBSTACLE_PROC,           /* /proc is not mounted */
	OBSTACLE_USER_NAMESPACE, /* capabilities of a user namespace are none for the kernel */
	OBSTACLE_CAPABILITIES,
	OBSTACLE_SECCOMP,         /* a filter forbids bpf(2) */
	OBSTACLE_NO_BPF,          /* the kernel was built without bpf(2) */
	OBSTACLE_SECURITY_MODULE, /* bpf(2) is refused, and nothing of the above is the reason */
	OBSTACLE_SYSFS,           /* /sys is not mounted */
	OBSTACLE_BTF,
	OBSTACLE_PID_NAMESPACE,
	OBSTACLE_LOCKDOWN, /* confidentiality */
	OBSTACLE_OLD_KERNEL,
	OBSTACLE_MEMORY, /* the ring buffer was refused */
	OBSTACLE_COUNT,
};

/* Facts. An answer is 0: yes, or -errno: refused; of those not asked for 0. */
struct circumstances {
	bool proc;                   /* /proc is mounted */
	bool initial_user_namespace; /* true as well where it is not known */
	bool initial_pid_namespace;
	bool may_trace;  /* has the capabilities, of whatever namespace */
	bool filtered;   /* a seccomp filter is in force */
	bool sysfs;      /* /sys is mounted */
	int load;        /* bpf(2) loads a program that takes CAP_BPF and CAP_PERFMON */
	int btf;         /* /sys/kernel/btf/vmlinux can be read */
	int read_kernel; /* programs may read the kernel's memory; -EOPNOTSUPP: not known */
	int loop;        /* bpf_loop, of Linux 5.17, is there */
	int ring;        /* a ring buffer of ring_bytes is granted */
	uint64_t ring_bytes;
	char capabilities[128]; /* what is missing, in words */
	char lockdown[64];      /* "none [integrity] confidentiality"; "": not known */
};

/* All but read_kernel, loop and ring: well below a millisecond. */
void circumstances_gather(struct circumstances *ret_c);

/* These, too: tries a ring buffer of that size. */
void circumstances_gather_all(struct circumstances *ret_c, uint64_t ring_bytes);

/* What explains that tracing does not work under these circumstances. */
enum obstacle obstacle_of(const struct circumstances *c);

/* "user_namespace"; "none": a word for programs. */
const char *obstacle_name(enum obstacle obstacle);

/* What to do about it. */
const char *obstacle_remedy(enum obstacle obstacle);

/*
 * Fills *error with what was tried, what stopped it, and what to do. err: -errno of what was
 * tried; log: what libbpf said, for reasons that nobody foresaw. Returns what
 * bpf_source_open() is to return.
 */
int obstacle_explain(enum obstacle obstacle, const struct circumstances *c, int err,
		     const char *log, struct error *error);

#endif
