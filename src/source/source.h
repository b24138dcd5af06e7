/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A source of events: the kernel (bpf.h) or a recording (replay.h). Both give the same stream.
 */
#ifndef FDTRACE_SOURCE_SOURCE_H
#define FDTRACE_SOURCE_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fdt_detail;
struct trouble;

/* One event of event.h, `size` bytes, borrowed. Return 0 to go on, else draining stops with that. */
typedef int (*source_event_fn)(void *ctx, const void *event, size_t size);

struct source;

struct source_ops {
	/* Starts the stream and delivers what describes the start: META, FOPS, then the snapshot. */
	int (*start)(struct source *source, source_event_fn event, void *ctx,
		     struct trouble *trouble);
	/* A descriptor that polls readable when drain() has something; -1: always has. */
	int (*poll_fd)(const struct source *source);
	/*
	 * Delivers all that is there, FDT_LOSS where something is missing, then one FDT_TICK.
	 * 0: more may come; 1: the stream has ended; or -errno with *trouble filled.
	 */
	int (*drain)(struct source *source, source_event_fn event, void *ctx,
		     struct trouble *trouble);
	/* Asks the kernel for every table again, as VEC events in the stream. flags: enum fdt_why. */
	int (*snapshot)(struct source *source, unsigned int why, source_event_fn event, void *ctx,
			struct trouble *trouble);
	/* What an open descriptor is like now: as inspector_ask(). NULL: there is nobody to ask. */
	int (*inspect)(struct source *source, uint32_t tgid, int32_t fd,
		       struct fdt_detail *ret_detail);
	void (*free)(struct source *source);
};

/* Embed as the first member. */
struct source {
	const struct source_ops *ops;
};

static inline void source_free(struct source *source)
{
	if (source)
		source->ops->free(source);
}

#endif
