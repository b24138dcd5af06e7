/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A source of events: the kernel (bpf.h) or a recording (replay.h). Both give the same stream.
 */
#ifndef FDTRACE_SOURCE_SOURCE_H
#define FDTRACE_SOURCE_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bpf_cost;
struct fdt_detail;
struct stacking_counters;
struct error;

/* One event of event.h, `size` bytes, borrowed. Return 0 to go on, else draining stops with that. */
typedef int (*source_event_fn)(void *ctx, const void *event, size_t size);

struct source;

/* What a source can say about itself. The strings live as long as it does. */
struct source_facts {
	/* which hooks are in force, "tracepoint" or "function"; NULL: unknown */
	const char *coverage;
	const char *not_seen; /* what these hooks do not see; NULL or "": nothing */
	bool measures_cost;   /* cost() has figures: a budget can be kept */
};

/* Those from inspect() on are optional: NULL means that this source cannot do it. */
struct source_ops {
	/* Starts the stream and delivers what describes the start: META, FOPS, then the snapshot. */
	int (*start)(struct source *source, source_event_fn event, void *ctx, struct error *error);
	/* A descriptor that polls readable when drain() has something; -1: always has. */
	int (*poll_fd)(const struct source *source);
	/*
	 * Delivers all that is there, FDT_LOSS where something is missing, then one FDT_TICK.
	 * 0: more may come; 1: the stream has ended; or -errno with *error filled.
	 */
	int (*drain)(struct source *source, source_event_fn event, void *ctx, struct error *error);
	/* Asks the kernel for every table again, as VEC events in the stream. flags: enum fdt_why. */
	int (*snapshot)(struct source *source, unsigned int why, source_event_fn event, void *ctx,
			struct error *error);
	void (*free)(struct source *source);

	/* What an open descriptor is like now: as inspector_ask(). */
	int (*inspect)(struct source *source, uint32_t tgid, int32_t fd,
		       struct fdt_detail *ret_detail);
	void (*describe)(const struct source *source, struct source_facts *ret_facts);
	/* True once no traced process is left. NULL: the end of the processes is never seen. */
	bool (*idle)(const struct source *source);
	/* The site's stack is to be sent again with its next event. */
	void (*forget_site)(struct source *source, uint64_t hash);
	/* What was done for stacks so far. */
	void (*stacking)(const struct source *source, struct stacking_counters *ret_counters);
	/*
	 * Turns the hooks on system calls off, or on again; those on fork, exec and exit stay. The
	 * stream says so (FDT_LOSS_COVERAGE); after turning them on all tables need a snapshot
	 * (FDT_WHY_LOSS). 0, also when they are so already; what event returned; or -errno with
	 * *error filled: they are as before.
	 */
	int (*hooks)(struct source *source, bool on, source_event_fn event, void *ctx,
		     struct error *error);
	/*
	 * What the programs cost so far. Ask several times a second, or it becomes less exact.
	 * now_ns: CLOCK_MONOTONIC.
	 */
	void (*cost)(struct source *source, uint64_t now_ns, struct bpf_cost *ret_cost);
};

/* Embed as the first member. */
struct source {
	const struct source_ops *ops;
};

static inline struct source_facts source_facts(const struct source *source)
{
	struct source_facts facts = { 0 };

	if (source->ops->describe)
		source->ops->describe(source, &facts);
	return facts;
}

static inline bool source_is_idle(const struct source *source)
{
	return source->ops->idle && source->ops->idle(source);
}

/* NULL is allowed. */
static inline void source_free(struct source *source)
{
	if (source)
		source->ops->free(source);
}

#endif
