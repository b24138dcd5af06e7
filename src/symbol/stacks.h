/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stacks as the kernel side sends them (fdtrace/stack.h) become stacks in words (FDT_SITE):
 * keeps the files that processes run, their functions, and the copies to be unwound.
 */
#ifndef FDTRACE_SYMBOL_STACKS_H
#define FDTRACE_SYMBOL_STACKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "symbol/files.h"

struct stacks;

struct stacks_counters {
	struct files_counters files;
	uint64_t resolved;   /* stacks resolved */
	uint64_t resolve_ns; /* spent on that */
	uint64_t copies;     /* stacks unwound from a copy */
	uint64_t cut;        /* sites with frames missing */
	uint64_t codes;      /* interpreted functions sent */
	uint64_t malformed;  /* records that made no sense */
};

/* As in source.h: 0 to go on, else stop with that. */
typedef int (*stacks_event_fn)(void *ctx, const void *event, size_t size);

/* 0 or -errno. *kernel is copied. */
int stacks_new(const struct files_kernel *kernel, struct stacks **ret_stacks);
void stacks_free(struct stacks *stacks); /* NULL is allowed */

/* Whether a record is one of those that go to stacks_apply(). */
static inline bool stacks_concern(unsigned int kind)
{
	return kind >= FDT_STACK && kind <= FDT_COPY;
}

/* One record of size bytes; event() gets what becomes of it. 0, or what event returned. */
int stacks_apply(struct stacks *stacks, const void *record, size_t size, stacks_event_fn event,
		 void *ctx);

/* The same for a program that is about to be run; "#!" is followed. */
void stacks_prepare_path(struct stacks *stacks, const char *path);

/* Reads the files of a process that runs already, so that its first stacks are whole. */
void stacks_prepare(struct stacks *stacks, pid_t pid);

/* To be called now and then. Waits up to timeout_ms for files that were asked for; -1: for all. */
void stacks_tick(struct stacks *stacks, int timeout_ms);

void stacks_counters(const struct stacks *stacks, struct stacks_counters *ret_counters);

#endif
