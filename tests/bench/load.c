// SPDX-License-Identifier: BSD-2-Clause
/*
 * "load RATE SECONDS [CPU]": so many pairs of open and close of /dev/null a second (0: as many as
 * there can be), pinned to the CPU. Prints "started", and at the end or on SIGTERM the pairs a second and the
 * nanoseconds of CPU time of each.
 * "load leak RATE SECONDS": leaves so many descriptors open a second instead, from one place.
 * "load hold COUNT": opens so many, in several processes if need be, each of which prints "started"
 * when it has, and waits for the end of its standard input.
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BATCH_NS 1000000ull
#define SPARE 64 /* descriptors */

static volatile sig_atomic_t over;

static void end(int signal)
{
	(void)signal;
	over = 1;
}

static unsigned long long now_on(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (unsigned long long)now.tv_sec * 1000000000 + (unsigned long long)now.tv_nsec;
}

static void sleep_until(unsigned long long ns)
{
	struct timespec at = { .tv_sec = (time_t)(ns / 1000000000),
			       .tv_nsec = (long)(ns % 1000000000) };

	while (!over && clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL))
		;
}

static void pair(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (fd < 0 || close(fd))
		abort();
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		abort();
}

/* What a batch is short of is made up for in the next. */
static void load(double rate, double seconds)
{
	unsigned long long began = now_on(CLOCK_MONOTONIC), now = began, cpu, done = 0;

	cpu = now_on(CLOCK_PROCESS_CPUTIME_ID);
	while (!over && now - began < seconds * 1e9) {
		unsigned long long due =
			rate > 0 ? (unsigned long long)((now - began) * 1e-9 * rate) : done + 1000;

		for (; done < due; done++)
			pair();
		if (rate > 0)
			sleep_until(now + BATCH_NS);
		now = now_on(CLOCK_MONOTONIC);
	}
	cpu = now_on(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	printf("%.0f pairs/s, %.0f ns each\n", done / ((now - began) * 1e-9),
	       done ? (double)cpu / done : 0);
}

/* As many as may be, at most so many. Returns how many are. */
static unsigned long long allow(unsigned long long count)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		abort();
	limit.rlim_cur = limit.rlim_max < count + SPARE ? limit.rlim_max : count + SPARE;
	if (setrlimit(RLIMIT_NOFILE, &limit))
		abort();
	return limit.rlim_cur - SPARE;
}

static void leak(double rate, double seconds)
{
	unsigned long long began = now_on(CLOCK_MONOTONIC), next = began;

	while (!over && next - began < seconds * 1e9) {
		if (open("/dev/null", O_RDONLY | O_CLOEXEC) < 0)
			abort();
		next += (unsigned long long)(1e9 / rate);
		sleep_until(next);
	}
}

/* In as many processes as the limit on descriptors makes necessary. */
static void hold(unsigned long long count)
{
	unsigned long long most = allow(count);
	char c;

	if (count > most) {
		pid_t child = fork();

		if (!child) {
			hold(count - most);
			_exit(0);
		}
		count = most;
	}
	while (count--)
		if (open("/dev/null", O_RDONLY) < 0)
			abort();
	puts("started");
	while (read(0, &c, 1) > 0)
		;
	while (wait(NULL) > 0)
		;
}

int main(int argc, char **argv)
{
	signal(SIGTERM, end);
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 3 && !strcmp(argv[1], "hold")) {
		hold(strtoull(argv[2], NULL, 10));
		return 0;
	}
	if (argc < 3)
		return 2;
	puts("started");
	if (argc == 4 && !strcmp(argv[1], "leak")) {
		allow(100000);
		leak(atof(argv[2]), atof(argv[3]));
		return 0;
	}
	if (argc > 3)
		pin(atoi(argv[3]));
	load(atof(argv[1]), atof(argv[2]));
	return 0;
}
