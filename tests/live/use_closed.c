// SPDX-License-Identifier: BSD-2-Clause
/* Using a number that is closed, and the two other ways to be told EBADF. */
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include "program.h"

static int open_one(void)
{
	return must(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
}

static int own_mistake(void)
{
	int fd = open_one();
	char byte;

	must(close(fd));
	must_fail(read(fd, &byte, 1), EBADF);
	return 0;
}

/* EBADF here means "not open for writing": the descriptor is alive. */
static int wrong_mode(void)
{
	int fd = open_one();

	must_fail(write(fd, "x", 1), EBADF);
	must(close(fd));
	return 0;
}

/* Looking for events of a number that is closed. */
static int polled(void)
{
	struct pollfd polled = { .fd = open_one(), .events = POLLIN };

	must(close(polled.fd));
	must(poll(&polled, 1, 0));
	return polled.revents == POLLNVAL ? 0 : 1;
}

/* As xargs does: which of these numbers are open? */
static void ask_for_many(void)
{
	const struct timespec at_once = { 0, 0 };
	struct pollfd polled[64];
	int closed = open_one();

	must(close(closed));
	for (int fd = 0; fd < 64; fd++)
		polled[fd] = (struct pollfd){ .fd = fd, .events = POLLIN | POLLOUT };
	if (must(poll(polled, 64, 0)) < 1 || polled[closed].revents != POLLNVAL)
		exit(1);
	if (must(ppoll(polled, 64, &at_once, NULL)) < 1 || polled[closed].revents != POLLNVAL)
		exit(1);
}

/* Asking whether a number is open is not using it. */
static int probe(void)
{
	struct stat st;

	ask_for_many();
	for (int fd = 100; fd < 200; fd++) {
		must_fail(fcntl(fd, F_GETFD), EBADF);
		must_fail(fcntl(fd, F_GETFL), EBADF);
		must_fail(fstat(fd, &st), EBADF);
	}
	return 0;
}

static const struct variant variants[] = {
	{ "own-mistake", own_mistake },
	{ "polled", polled },
	{ "wrong-mode", wrong_mode },
	{ "probe", probe },
	{ NULL, NULL },
};

int main(int argc, char **argv)
{
	return run_variant(variants, argc > 1 ? argv[1] : NULL);
}
