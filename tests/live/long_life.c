// SPDX-License-Identifier: BSD-2-Clause
/*
 * long_life PARTS PROCESSES DESCRIPTORS: in each part so many processes one after the other, which
 * together open so many descriptors and close all but a few of each process. Prints "part" and waits
 * for a line after each part and before the first.
 * long_life hold COUNT: holds that many descriptors, and closes one twice for each line it reads.
 */
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include "program.h"

#define LEFT_OPEN 4
#define EXECS 8 /* one process of so many runs a program of its own */

static void wait_for_line(void)
{
	char c = 0;

	while (c != '\n')
		if (!must(read(0, &c, 1)))
			_exit(0);
}

static void part_done(void)
{
	must(write(1, "part\n", 5));
	wait_for_line();
}

/* Six descriptors. */
static void one_round(void)
{
	int pair[2], fd = must(open("/dev/null", O_RDONLY | O_CLOEXEC));

	must(close(fd));
	must(pipe2(pair, O_CLOEXEC));
	must(close(pair[0]));
	must(close(pair[1]));
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	fd = must(fcntl(pair[0], F_DUPFD_CLOEXEC, 0));
	must(close(fd));
	must(close(pair[1]));
	must(close(pair[0]));
}

static void be_child(long descriptors)
{
	for (; descriptors > LEFT_OPEN; descriptors -= 6)
		one_round();
	for (int i = 0; i < LEFT_OPEN; i++)
		must(open("/dev/null", O_RDONLY | O_CLOEXEC));
	_exit(0);
}

static void one_process(long number, long descriptors)
{
	char count[32];
	int status;
	pid_t child = must(fork());

	if (!child) {
		if (number % EXECS)
			be_child(descriptors);
		snprintf(count, sizeof(count), "%ld", descriptors);
		must(execl("/proc/self/exe", "long_life", count, NULL));
	}
	must(waitpid(child, &status, 0));
	if (status)
		_exit(PROGRAM_BROKEN);
}

static void churn(long parts, long processes, long descriptors)
{
	part_done();
	for (; parts > 0; parts--) {
		for (long i = 0; i < processes; i++)
			one_process(i, descriptors / processes);
		part_done();
	}
}

static void close_twice(void)
{
	int fd = must(open("/dev/null", O_RDONLY | O_CLOEXEC));

	must(close(fd));
	must_fail(close(fd), EBADF);
}

static void hold(long count)
{
	limit_descriptors((rlim_t)count + 64);
	for (long i = 0; i < count; i++)
		must(open("/dev/null", O_RDONLY | O_CLOEXEC));
	for (;;) {
		part_done();
		close_twice();
	}
}

int main(int argc, char **argv)
{
	if (argc == 2)
		be_child(atol(argv[1]));
	if (argc == 3)
		hold(atol(argv[2]));
	if (argc == 4)
		churn(atol(argv[1]), atol(argv[2]), atol(argv[3]));
	return argc == 4 ? 0 : 2;
}
