// SPDX-License-Identifier: BSD-2-Clause
#include "run/loop.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"

#define PACE_IDLE_MS 100 /* between drains when nothing happens */

/* --- what is due --- */

void due_add(struct due_list *list, struct due *due)
{
	list->item[list->count++] = due;
}

static void due_set_next(struct due *due, uint64_t now_ns)
{
	due->due_ns = due->period_ns ? now_ns + due->period_ns : DUE_NEVER;
}

int due_run(struct due_list *list, uint64_t now_ns)
{
	int err = 0;

	for (unsigned int i = 0; !err && i < list->count; i++) {
		struct due *due = list->item[i];

		if (now_ns < due->due_ns)
			continue;
		due_set_next(due, now_ns);
		err = due->fn(due->ctx, now_ns);
	}
	return err;
}

/* An overdue item waits for the source's next tick, which runs it: come back soon. */
static int due_left_ms(const struct due *due, uint64_t now_ns, int most_ms)
{
	uint64_t left;

	if (due->due_ns <= now_ns)
		return 1;
	left = (due->due_ns - now_ns - 1) / MSEC_NS + 1;
	return left < (uint64_t)most_ms ? (int)left : most_ms;
}

int due_wait_ms(const struct due_list *list, uint64_t now_ns, int most_ms)
{
	int ms = most_ms;

	for (unsigned int i = 0; i < list->count; i++)
		if (list->item[i]->wakes)
			ms = due_left_ms(list->item[i], now_ns, ms);
	return ms;
}

/* --- descriptors --- */

int loop_begin(struct loop *loop)
{
	*loop = (struct loop){ .epoll_fd = epoll_create1(EPOLL_CLOEXEC) };
	return loop->epoll_fd < 0 ? -errno : 0;
}

void loop_done(struct loop *loop)
{
	if (loop->epoll_fd >= 0)
		close(loop->epoll_fd);
	loop->epoll_fd = -1;
}

int loop_watch(struct loop *loop, int fd, uint32_t events, loop_fn fn, void *ctx)
{
	struct loop_watch *watch = &loop->watch[loop->watch_count];
	struct epoll_event event = { .events = events, .data.ptr = watch };

	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
		return -errno;
	*watch = (struct loop_watch){ fn, ctx };
	loop->watch_count++;
	return 0;
}

void loop_wait(struct loop *loop, int ms)
{
	struct epoll_event events[LOOP_WATCHES];
	int count = epoll_wait(loop->epoll_fd, events, LOOP_WATCHES, ms);

	for (int i = 0; i < count; i++) {
		const struct loop_watch *watch = events[i].data.ptr;

		if (watch->fn)
			watch->fn(watch->ctx, events[i].events);
	}
}

void loop_keep_pace(struct loop *loop, uint64_t drain_interval_ns, bool busy)
{
	int least = (int)(drain_interval_ns / MSEC_NS);
	int most = least > PACE_IDLE_MS ? least : PACE_IDLE_MS;

	loop->pace_ms = busy || loop->pace_ms < least ? least : loop->pace_ms * 2;
	if (loop->pace_ms > most)
		loop->pace_ms = most;
}
