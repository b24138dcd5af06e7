// SPDX-License-Identifier: BSD-2-Clause
/*
 * Holds argv[1] descriptors, or as many as the hard limit allows. For each line on stdin: "f" forks a
 * child that stays until we end, "c" closes all of them; answered with the milliseconds it took.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include "program.h"

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static int open_many(int wanted)
{
	int first = must(open("/dev/null", O_RDONLY)), last = first;
	struct rlimit limit;

	must(getrlimit(RLIMIT_NOFILE, &limit));
	if (limit.rlim_max < (rlim_t)wanted + 16)
		wanted = (int)limit.rlim_max - 16;
	limit.rlim_cur = limit.rlim_max;
	must(setrlimit(RLIMIT_NOFILE, &limit));
	while (last < wanted)
		last = must(dup(first));
	return last;
}

static void stay_until_it_ends(void)
{
	must(prctl(PR_SET_PDEATHSIG, SIGKILL));
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	int last = open_many(argc > 1 ? atoi(argv[1]) : 100000);
	char line[8];

	printf("%d\n", last);
	fflush(stdout);
	while (read(0, line, 2) == 2) {
		double start = now_ms();

		if (line[0] == 'f' && must(fork()) == 0)
			stay_until_it_ends();
		for (int fd = 3; line[0] == 'c' && fd <= last; fd++)
			must(close(fd));
		printf("%.1f\n", now_ms() - start);
		fflush(stdout);
	}
	return 0;
}
