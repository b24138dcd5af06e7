/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * --verify: are the engine's tables the kernel's? Compared with /proc, which shares nothing
 * with the way the tables are kept.
 *
 * A table can be compared only while it does not change: it is read from /proc between two
 * drains, and the comparison counts if no event about it came in between. What differs then
 * is looked at again, a few times, because a change may still have been on its way.
 */
#ifndef FDTRACE_RUN_VERIFY_H
#define FDTRACE_RUN_VERIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct engine;
struct fdt_head;
struct verify;

struct verify_counters {
	uint64_t compared;    /* tables, each time they were compared */
	uint64_t slots;       /* filled slots in them */
	uint64_t tainted;     /* tables that wait for repair after a loss: no comparison */
	uint64_t hidden;      /* tables that we may not read: no comparison */
	uint64_t busy;        /* tables that changed while they were read: no comparison */
	uint64_t differences; /* slots that differ, or tasks that one side does not know */
};

/* 0 or -ENOMEM. */
int verify_new(struct verify **ret_verify);
void verify_free(struct verify *verify); /* NULL is allowed */

/* For tests: the path, which must stay valid, that is read instead of "/proc"; NULL: "/proc" again. */
void verify_set_proc(const char *path);

/* Keeps the last events of all slots, so that a difference can show the recent events of its slot. */
void verify_note(struct verify *verify, const struct fdt_head *event);

/*
 * Compares the tables of the engine, at most `budget` of them, continuing where it stopped last
 * time; 0: all. drain() is called between readings, to bring the engine up to date; what it
 * returns other than 0 ends the round and is returned. The first twenty differences are printed on
 * stderr with the last events of the slot.
 */
int verify_round(struct verify *verify, struct engine *engine, unsigned int budget,
		 int (*drain)(void *ctx), void *ctx);

void verify_counters(const struct verify *verify, struct verify_counters *ret_counters);

#endif
