// SPDX-License-Identifier: BSD-2-Clause
/*
 * recycle THREADS ROUNDS: threads that share a table and mind their own business. Each opens,
 * uses and closes; every number goes from hand to hand, and nobody uses what is not his.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include "program.h"

static long rounds;

static void one_file(void)
{
	int fd = must(open("/dev/null", O_WRONLY | O_CLOEXEC));

	must(write(fd, "x", 1));
	must(write(fd, "x", 1));
	must(close(fd));
}

static void one_pair(void)
{
	char byte;
	int pair[2];

	must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	must(write(pair[0], "x", 1));
	must(read(pair[1], &byte, 1));
	must(dup2(pair[0], pair[1]));
	must(close_range((unsigned int)pair[1], (unsigned int)pair[1], 0));
	must(close(pair[0]));
}

static void *work(void *unused)
{
	for (long i = 0; i < rounds; i++) {
		one_file();
		one_pair();
	}
	return unused;
}

int main(int argc, char **argv)
{
	long threads = argc == 3 ? atol(argv[1]) : 0;
	pthread_t thread;

	rounds = argc == 3 ? atol(argv[2]) : 0;
	for (long i = 0; i < threads; i++)
		if (pthread_create(&thread, NULL, work, NULL))
			return PROGRAM_BROKEN;
	pthread_exit(NULL);
}
