// SPDX-License-Identifier: BSD-2-Clause
/* An epoll that goes on watching what was closed, and one changed by a forked process. */
#include <signal.h>
#include <sys/epoll.h>
#include "pattern.h"

static int epoll, end[2];

static void watch_pipe(void)
{
	struct epoll_event event = { .events = EPOLLIN };

	epoll = must(epoll_create1(EPOLL_CLOEXEC));
	must(pipe2(end, O_CLOEXEC));
	event.data.fd = end[0];
	must(epoll_ctl(epoll, EPOLL_CTL_ADD, end[0], &event));
}

/* Does an event come for the number that was closed? */
static bool is_haunted(void)
{
	struct epoll_event event;
	int count;

	claim(!is_open(end[0]));
	signal(SIGPIPE, SIG_IGN);
	claim(write(end[1], "x", 1) == 1 || errno == EPIPE);
	count = must(epoll_wait(epoll, &event, 1, 100));
	claim(!count || event.data.fd == end[0]);
	return count;
}

/* fdtrace looks one to two seconds after the close. */
#define HAUNTED_MS 4000

NAMED void close_watched(void)
{
	must(close(end[0]));
}

static void kept_by_dup(void)
{
	watch_pipe();
	must(fcntl(end[0], F_DUPFD_CLOEXEC, 3));
	close_watched();
	claim(is_haunted());
	pace_ms(HAUNTED_MS);
}

/* The child that has a copy waits until the pipe to it ends. */
static void kept_by_fork(void)
{
	int alive[2];
	pid_t child;
	char byte;

	watch_pipe();
	must(pipe2(alive, O_CLOEXEC));
	child = must(fork());
	if (!child) {
		must(close(alive[1]));
		claim(read(alive[0], &byte, 1) == 0);
		_exit(0);
	}
	close_watched();
	claim(is_haunted());
	pace_ms(HAUNTED_MS);
	must(close(alive[1]));
	reap(child);
}

static void removed_first(void)
{
	watch_pipe();
	must(fcntl(end[0], F_DUPFD_CLOEXEC, 3));
	must(epoll_ctl(epoll, EPOLL_CTL_DEL, end[0], NULL));
	close_watched();
	claim(!is_haunted());
	pace_ms(LONG_MS);
}

static void closed_alone(void)
{
	watch_pipe();
	close_watched();
	claim(!is_haunted());
	pace_ms(LONG_MS);
}

NAMED void child_tidies_up(void)
{
	must(epoll_ctl(epoll, EPOLL_CTL_DEL, end[0], NULL));
}

/* The parent then waits in vain. */
static void foreign(void)
{
	struct epoll_event event;
	pid_t child;

	watch_pipe();
	child = must(fork());
	if (!child) {
		child_tidies_up();
		_exit(0);
	}
	reap(child);
	must(write(end[1], "x", 1));
	claim(epoll_wait(epoll, &event, 1, 100) == 0);
}

static void of_its_own(void)
{
	struct epoll_event event;
	pid_t child;

	watch_pipe();
	child = must(fork());
	if (!child) {
		must(close(epoll));
		watch_pipe();
		child_tidies_up();
		_exit(0);
	}
	reap(child);
	must(write(end[1], "x", 1));
	claim(epoll_wait(epoll, &event, 1, 100) == 1);
}

#define STALE "epoll.stale warning shows=close_watched"

static const struct pattern patterns[] = {
	{ "kept-by-dup", STALE, kept_by_dup },
	{ "kept-by-fork", STALE, kept_by_fork },
	{ "removed-first", "silent none=epoll.stale", removed_first },
	{ "closed-alone", "silent none=epoll.stale", closed_alone },
	{ "foreign", "epoll.foreign warning culprit=child_tidies_up", foreign },
	{ "of-its-own", "silent none=epoll.foreign", of_its_own },
	{ NULL, NULL, NULL },
};

int main(int argc, char **argv)
{
	return run_pattern(patterns, argc, argv);
}
