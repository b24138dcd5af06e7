// SPDX-License-Identifier: BSD-2-Clause
/*
 * What capacity.py has traced. Reads lines and answers each with one line of numbers; ends at the
 * end of its input. "pairs RATE MS CPU": pairs of dup and close, so many a second (0: as many as
 * there can be), on that CPU (-1: any): how many, and the milliseconds it took. "open COUNT": so
 * many descriptors, or as many as the hard limit allows: how many there are. "fork COUNT": children that stay until we end: the
 * microseconds of our own CPU time a fork. "chain COUNT": processes one after the other: how many.
 * "exec COUNT": runs of /bin/true: the microseconds of CPU time of each, its own included.
 * "sleepers COUNT": processes with a table of their own that sleep until we end, and share the rest:
 * how many there could be.
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include "program.h"

#define BATCH_NS 1000000ull
#define BATCH 1000       /* pairs between two looks at the clock, at full speed */
#define STACK_BYTES 4096 /* of a sleeper: it only waits */
#define SPARE 16         /* descriptors below the limit */

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

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	must(sched_setaffinity(0, sizeof(set), &set));
}

/* What a batch is short of is made up for in the next. */
static void pairs(double rate, double ms, int cpu)
{
	unsigned long long began, now, done = 0;

	if (cpu >= 0)
		pin(cpu);
	began = now = now_on(CLOCK_MONOTONIC);
	while ((double)(now - began) < ms * 1e6) {
		double due = rate > 0 ? (double)(now - began) * 1e-9 * rate : (double)done + BATCH;

		for (; (double)done < due; done++)
			close(dup(0));
		if (rate > 0)
			sleep_until(now + BATCH_NS);
		now = now_on(CLOCK_MONOTONIC);
	}
	printf("%llu %.3f\n", done, (double)(now - began) / 1e6);
}

static void open_more(long wanted)
{
	struct rlimit limit;
	long have = 3;

	must(getrlimit(RLIMIT_NOFILE, &limit));
	limit.rlim_cur = limit.rlim_max;
	must(setrlimit(RLIMIT_NOFILE, &limit));
	if (limit.rlim_max < (rlim_t)wanted + SPARE)
		wanted = (long)limit.rlim_max - SPARE;
	while (have < wanted)
		have = must(dup(0)) + 1;
	printf("%ld\n", have);
}

/* The parent may have ended before we asked to go with it. */
static void stay(pid_t parent)
{
	must(prctl(PR_SET_PDEATHSIG, SIGKILL));
	if (getppid() != parent)
		_exit(0);
	for (;;)
		pause();
}

static void fork_some(long count)
{
	unsigned long long began = now_on(CLOCK_THREAD_CPUTIME_ID);
	pid_t parent = getpid();

	for (long i = 0; i < count; i++)
		if (must(fork()) == 0)
			stay(parent);
	printf("%.1f\n", (double)(now_on(CLOCK_THREAD_CPUTIME_ID) - began) / 1e3 / (double)count);
}

static void live_and_die(void)
{
	pid_t child = must(vfork());

	if (!child)
		_exit(0);
	must(waitpid(child, NULL, 0));
}

static void chain(long count)
{
	for (long i = 0; i < count; i++)
		live_and_die();
	printf("%ld\n", count);
}

static double cpu_us(int who)
{
	struct rusage use;

	must(getrusage(who, &use));
	return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1e6 +
	       (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec);
}

static void exec_some(long count)
{
	double began = cpu_us(RUSAGE_SELF) + cpu_us(RUSAGE_CHILDREN);

	for (long i = 0; i < count; i++) {
		pid_t child = must(fork());

		if (!child) {
			execl("/bin/true", "true", (char *)NULL);
			_exit(127);
		}
		must(waitpid(child, NULL, 0));
	}
	printf("%.2f\n", (cpu_us(RUSAGE_SELF) + cpu_us(RUSAGE_CHILDREN) - began) / (double)count);
}

/* No library call that would touch what all of them share. */
static int sleep_on(void *parent)
{
	syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL);
	if (syscall(SYS_getppid) != (long)(intptr_t)parent)
		syscall(SYS_exit, 0);
	for (;;)
		syscall(SYS_pause);
	return 0;
}

static void sleepers(long count)
{
	char *stacks = mmap(NULL, (size_t)count * STACK_BYTES, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	long made = 0;

	if (stacks == MAP_FAILED)
		abort();
	while (made < count && clone(sleep_on, stacks + (made + 1) * STACK_BYTES,
				     CLONE_VM | SIGCHLD, (void *)(intptr_t)getpid()) > 0)
		made++;
	printf("%ld\n", made);
}

static void obey(const char *command, double a, double b, double c)
{
	if (!strcmp(command, "pairs"))
		pairs(a, b, (int)c);
	else if (!strcmp(command, "open"))
		open_more((long)a);
	else if (!strcmp(command, "fork"))
		fork_some((long)a);
	else if (!strcmp(command, "chain"))
		chain((long)a);
	else if (!strcmp(command, "exec"))
		exec_some((long)a);
	else if (!strcmp(command, "sleepers"))
		sleepers((long)a);
	else
		abort();
	fflush(stdout);
}

int main(void)
{
	char line[80], command[16]; /* as many as sscanf is told */
	double a, b, c;

	while (fgets(line, sizeof(line), stdin)) {
		a = b = c = 0;
		if (sscanf(line, "%15s %lf %lf %lf", command, &a, &b, &c) < 2)
			return 2;
		obey(command, a, b, c);
	}
	return 0;
}
