/* SPDX-License-Identifier: BSD-2-Clause */
/* The kernel as a source. The only user of libbpf, together with probe.c. */
#ifndef FDTRACE_SOURCE_BPF_H
#define FDTRACE_SOURCE_BPF_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "fdtrace/needs.h"
#include "source/live/hooks.h"
#include "source/source.h"
#include "source/live/stacking.h"

struct bpf_source_options {
	const pid_t *pids; /* processes to trace; NULL with count 0: the whole machine */
	unsigned int pid_count;
	bool follow; /* their children, too */
	enum hook_set hooks;
	uint64_t ring_size_bytes; /* power of two, multiple of a page */
	struct stacking_options stacks;
	unsigned int needs; /* needs.h: the rest is not observed, and costs nothing */
	/* cost() will be called; to find out what a hook costs takes some 30 ms */
	bool cost;
};

/*
 * Loads and attaches everything and leaves nothing behind on failure. -EPERM, -ENOENT (no BTF),
 * -ESRCH (a pid does not exist), -ENOMEM (ring refused), -ENOTSUP (hook set not to be had here)
 * or another -errno, with *error filled. fdtrace itself is never traced.
 */
int bpf_source_open(const struct bpf_source_options *options, struct source **ret_source,
		    struct error *error);

#endif
