/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a run waits for: descriptors, and times at which something is due. The thread that runs it
 * reads the ring, so nothing called from here may wait for anything else.
 */
#ifndef FDTRACE_RUN_LOOP_H
#define FDTRACE_RUN_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#define LOOP_WATCHES 12 /* source, signals, command, outputs */
#define DUE_ITEMS 4
#define DUE_NEVER UINT64_MAX

/* Something to do at a time. Embed it where it belongs; `due_ns` may be changed at any time. */
struct due {
	uint64_t due_ns;    /* not before; DUE_NEVER: not until someone sets a time */
	uint64_t period_ns; /* repeated at this interval; 0: once */
	/* 0; anything else stops due_run(), which returns it. now_ns: as given to that. */
	int (*fn)(void *ctx, uint64_t now_ns);
	void *ctx;
	/* The loop wakes up for it; other items can wait for the next turn. */
	bool wakes;
};

/* The items of one clock; those that are due run in the order in which they were added. */
struct due_list {
	struct due *item[DUE_ITEMS];
	unsigned int count;
};

/* Borrowed. At most DUE_ITEMS. */
void due_add(struct due_list *list, struct due *due);

/*
 * Does what is due. The next time is set before fn is called, so that fn may choose another. 0, or
 * the first value other than 0 that a function returned; the items after it stay due.
 */
int due_run(struct due_list *list, uint64_t now_ns);

/* How long to sleep: until the next item that wakes, `most_ms` at most. */
int due_wait_ms(const struct due_list *list, uint64_t now_ns, int most_ms);

/* events: of epoll(7). */
typedef void (*loop_fn)(void *ctx, uint32_t events);

struct loop {
	int epoll_fd; /* -1: not begun */
	int pace_ms;  /* between drains: as asked for, longer when nothing happens */
	unsigned int watch_count;
	struct loop_watch {
		loop_fn fn;
		void *ctx;
	} watch[LOOP_WATCHES];
};

/* 0 or -errno. */
int loop_begin(struct loop *loop);
void loop_done(struct loop *loop);

/*
 * fn is called from loop_wait() when fd has one of these events; NULL: they only wake it. At most
 * LOOP_WATCHES. 0; -EPERM: epoll does not take such files, which are always ready; or -errno.
 */
int loop_watch(struct loop *loop, int fd, uint32_t events, loop_fn fn, void *ctx);

/* Waits for events, `ms` at most; -1: until there are some. */
void loop_wait(struct loop *loop, int ms);

/* After a drain. busy: there were events; drain_interval_ns: the shortest pause. */
void loop_keep_pace(struct loop *loop, uint64_t drain_interval_ns, bool busy);

#endif
