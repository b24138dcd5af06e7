// SPDX-License-Identifier: BSD-2-Clause
/* Opens one descriptor of each kind; `hold` then waits, so that a test can look at it. */
#include <fcntl.h>
#include <linux/netlink.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include "program.h"

#define MOST 64

static int held[MOST];
static int count;

static void hold(int fd)
{
	held[count++] = fd;
}

static void open_files(void)
{
	int pair[2];

	hold(must(open("/proc/self/exe", O_RDONLY | O_CLOEXEC)));
	hold(must(open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC)));
	hold(must(open("/dev/null", O_RDWR | O_CLOEXEC)));
	hold(must(memfd_create("kinds", MFD_CLOEXEC)));
	must(pipe2(pair, O_CLOEXEC));
	hold(pair[0]);
	hold(pair[1]);
}

static void open_sockets(void)
{
	int pair[2];

	hold(must(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)));
	hold(must(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)));
	hold(must(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE)));
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	hold(pair[0]);
	hold(pair[1]);
}

static void open_anonymous(void)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR1);
	hold(must(eventfd(0, EFD_CLOEXEC)));
	hold(must(epoll_create1(EPOLL_CLOEXEC)));
	hold(must(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC)));
	hold(must(signalfd(-1, &mask, SFD_CLOEXEC)));
	hold(must(inotify_init1(IN_CLOEXEC)));
	hold(must(syscall(SYS_pidfd_open, getpid(), 0)));
}

static void open_all(void)
{
	open_files();
	open_sockets();
	open_anonymous();
}

static int close_all(void)
{
	while (count)
		must(close(held[--count]));
	return 0;
}

static int pass(void)
{
	open_all();
	return close_all();
}

static int stay(void)
{
	open_all();
	ready_and_wait();
	return close_all();
}

static const struct variant variants[] = {
	{ "pass", pass },
	{ "hold", stay },
	{ NULL, NULL },
};

int main(int argc, char **argv)
{
	return run_variant(variants, argc > 1 ? argv[1] : NULL);
}
