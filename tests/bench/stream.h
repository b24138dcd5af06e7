/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Event streams without a kernel, for the benches of the engine: the same calls make the same
 * bytes, on every machine. They are what the kernel tells of programs that keep opening and
 * closing, forking, executing and ending, and what a snapshot finds of them.
 *
 * Process 0 is found by a snapshot, the others are its children. All have descriptors 0 to 2
 * and, after stream_fill(), `descriptors` more. A number holds the same file each time it is
 * opened, as the kernel's slab would have it.
 */
#ifndef FDTRACE_TESTS_BENCH_STREAM_H
#define FDTRACE_TESTS_BENCH_STREAM_H

#include <stddef.h>
#include <stdint.h>

struct stream_counts {
	uint32_t descriptors; /* of each process, beyond 0 to 2; at least 1 */
	uint32_t processes;   /* at least 1 */
	uint32_t threads;     /* of each process, at least 1; they share its table */
	uint32_t sites;       /* different stacks of opens, and as many of closes; 0: none */
	uint64_t rounds;      /* of what is repeated */
};

struct stream {
	struct stream_counts counts;
	void (*event)(void *ctx, const void *event, size_t size); /* where events go; borrowed */
	void *ctx;
	uint64_t now_ns;                /* CLOCK_MONOTONIC of the stream */
	uint64_t step_ns;               /* between two events */
	uint64_t made;                  /* events so far */
	uint64_t turn;                  /* churn goes on where it stopped */
	uint64_t ticked_ns, audited_ns; /* stream_mix() */
	uint32_t newborn;               /* children of stream_lives() so far */
};

/* A stream that begins at a fixed time; counts of 0 that must not be are taken for 1. */
void stream_init(struct stream *s, const struct stream_counts *counts,
		 void (*event)(void *ctx, const void *event, size_t size), void *ctx);

void stream_meta(struct stream *s, const char *key_value);
/* Who is there: a snapshot of process 0, then the births of the others and of all threads. */
void stream_people(struct stream *s);
/* What the hashes of all sites stand for: stacks of a dozen frames. */
void stream_sites(struct stream *s);
/* Every process opens its descriptors. */
void stream_fill(struct stream *s);
/* `rounds` times a close and an open, spread over processes, threads, numbers and sites. */
void stream_churn(struct stream *s);
/* `rounds` children of process 0: each is forked, executes, uses what it got, and ends. */
void stream_lives(struct stream *s);
/* Process 0 forks once; the child stays, with a copy of the whole table. */
void stream_fork(struct stream *s);
/* An audit that finds everything as it was left. */
void stream_audit(struct stream *s);
/* A snapshot that finds nobody but process 0. */
void stream_lonely_audit(struct stream *s);
/* All processes but 0 execute, keep what they had and use none of it. */
void stream_inherit(struct stream *s);
/* `rounds` ticks, a tenth of a second apart. */
void stream_ticks(struct stream *s);
/* `rounds` calls of process 0 that fail with EMFILE, each by another call than the one before. */
void stream_full(struct stream *s);
/* A day in small: churn and lives, ticks each 0.1 s and audits each 10 s; `rounds` of the churn. */
void stream_mix(struct stream *s);

#endif
