/* SPDX-License-Identifier: BSD-2-Clause */
/* The kernel as a source. The only user of libbpf, together with probe.c. */
#ifndef FDTRACE_SOURCE_BPF_H
#define FDTRACE_SOURCE_BPF_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "fdtrace/needs.h"
#include "source/live/cost.h"
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
	unsigned int needs; /* bits of enum fdt_need: the rest is not observed, and costs nothing */
	bool cost; /* bpf_source_cost() will be asked for: finds out what a hook costs, some 30 ms */
};

/*
 * Loads and attaches everything and leaves nothing behind on failure. -EPERM, -ENOENT (no BTF),
 * -ESRCH (a pid does not exist), -ENOMEM (ring refused), -ENOTSUP (hook set not to be had here)
 * or another -errno, with *trouble filled. fdtrace itself is never traced.
 */
int bpf_source_open(const struct bpf_source_options *options, struct source **ret_source,
		    struct trouble *trouble);

/* "tracepoint" or "function": what is in force. */
const char *bpf_source_coverage(const struct source *source);
/* hooks_blind() of it. */
const char *bpf_source_blind(const struct source *source);

/*
 * Turns the hooks on system calls off, or on again; those on fork, exec and exit stay. Tells it
 * in the stream (FDT_LOSS_COVERAGE); after turning them on all tables need a snapshot
 * (FDT_WHY_LOSS). 0, also when they are so already; what event returned; or -errno with *trouble
 * filled: they are as before.
 */
int bpf_source_hooks(struct source *source, bool on, source_event_fn event, void *ctx,
		     struct trouble *trouble);

/* What the programs cost so far. To be asked several times a second; else it is less true. */
void bpf_source_cost(struct source *source, uint64_t now_ns, struct bpf_cost *ret_cost);

/* What was done for stacks so far. */
void bpf_source_stacking(const struct source *source, struct stacking_counters *ret_counters);

/* A site's stack is to be told again when it is next met. */
void bpf_source_forget_site(struct source *source, uint64_t hash);

/* True once no traced process is left (never for the whole machine). */
bool bpf_source_idle(const struct source *source);

#endif
