/* SPDX-License-Identifier: BSD-2-Clause */
/* What the kernel allows is found out by doing it with a program that does nothing. Nothing stays. */
#ifndef FDTRACE_SOURCE_ATTEMPT_H
#define FDTRACE_SOURCE_ATTEMPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct btf;

/* All that are here return 0 or -errno. */
int attempt_btf_tracepoint(const struct btf *btf, const char *name); /* "sys_exit" */
int attempt_iterator(const struct btf *btf, const char *name);       /* "task" */
int attempt_fexit(const struct btf *btf, const char *function);
int attempt_kprobe(const char *function, bool at_return);
int attempt_tracepoint(const char *category,
		       const char *name); /* the classic form: needs tracefs */

/* Loading a program of a kind that takes CAP_BPF and CAP_PERFMON. */
int attempt_load(void);

/*
 * Whether programs may call a helper (BPF_FUNC_...). -EINVAL: not this one, while others are
 * allowed; -EOPNOTSUPP: no program could be loaded to find out.
 */
int attempt_helper(int helper);

/* A ring buffer of that size: a power of two, multiple of a page. */
int attempt_ring(uint64_t bytes);

/* First line of a file, without its newline. 0 or -errno. */
int attempt_read_line(const char *path, char *buffer, size_t size);

#endif
