// SPDX-License-Identifier: BSD-2-Clause
/*
 * Opens as fast as it can up to its limit (argv[2], or 20,000). A line on stdin begins.
 *   full     fills the table, empties it, again and again, and stays full
 *   endless  does so for ever, and tells of the first round: to be killed or frozen in the middle
 *   shared   the same by a child that shares the table; its pid is told
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include "program.h"

#define ROUNDS 3
#define STACK_BYTES 65536

static char stack[STACK_BYTES] __attribute__((aligned(16)));

static int fill(void)
{
	int fd, last = 0;

	while ((fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
		last = fd;
	must_fail(fd, EMFILE);
	return last;
}

static void empty(int last)
{
	for (int fd = 3; fd <= last; fd++)
		must(close(fd));
}

static int full(void)
{
	for (int i = 0; i < ROUNDS; i++)
		empty(fill());
	fill();
	ready_and_wait();
	return 0;
}

__attribute__((noreturn)) static void open_for_ever(void)
{
	empty(fill());
	must(write(1, "opening\n", 8));
	for (;;)
		empty(fill());
}

static int endless(void)
{
	open_for_ever();
}

static int child(void *arg)
{
	(void)arg;
	must(prctl(PR_SET_PDEATHSIG, SIGKILL));
	open_for_ever();
}

/* Whoever holds the table when the child has gone stands still. */
static int shared(void)
{
	pid_t pid = must(clone(child, stack + STACK_BYTES, CLONE_FILES | SIGCHLD, NULL));
	char text[32];
	int length = snprintf(text, sizeof(text), "child %d\n", pid);

	must(write(1, text, (size_t)length));
	ready_and_wait();
	return 0;
}

static const struct variant variants[] = {
	{ "full", full },
	{ "endless", endless },
	{ "shared", shared },
	{ NULL, NULL },
};

int main(int argc, char **argv)
{
	char line[2];

	limit_descriptors(argc > 2 ? (rlim_t)atol(argv[2]) : 20000);
	must(write(1, "running\n", 8));
	must(read(0, line, 1));
	return run_variant(variants, argc > 1 ? argv[1] : NULL);
}
