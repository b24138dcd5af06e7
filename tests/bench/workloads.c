// SPDX-License-Identifier: BSD-2-Clause
/*
 * "workloads CPU": the workloads of `make bench`, one process for all of them, pinned to the CPU. Reads
 * lines "NAME COUNT" and answers each with "CPU_NS ELAPSED_NS", both of one iteration. CPU time is the
 * process's, and with the spawning workloads that of the children it waited for as well.
 * "workloads CPU NAME COUNT" runs one and ends. Calls are made some native frames deep.
 *
 * w1 open and close of /dev/null     w6 read of a byte from /dev/zero
 * w2 openat, read, close of a file   w7 posix_spawn of /bin/true, and wait; w7f: by fork and exec
 * w3 pipe and two closes             w8 close of a million numbers in turn, none of them open
 * w4 dup and close                   w9 close of a number beyond the table
 * w5 getppid
 */
#include <fcntl.h>
#include <sched.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline))
#define DEPTH 8 /* frames below the workload's own */
#define RANGE_FIRST 1000
#define RANGE_SIZE 1000000
#define BEYOND (RANGE_FIRST + RANGE_SIZE)

extern char **environ;

static char folder[] = "/tmp/workloads.XXXXXX";
static int folder_fd, zero_fd;
static char *const program[] = { "/bin/true", NULL };
static int went_up; /* so that no call is the last thing its function does */

static void need(int good, const char *what)
{
	if (good)
		return;
	perror(what);
	exit(1);
}

static void w1(long count)
{
	while (count--) {
		int fd = open("/dev/null", O_RDONLY);

		need(fd >= 0 && !close(fd), "/dev/null");
	}
}

static void w2(long count)
{
	char data[64];

	while (count--) {
		int fd = openat(folder_fd, "small", O_RDONLY | O_CLOEXEC);

		need(fd >= 0 && read(fd, data, sizeof(data)) > 0 && !close(fd), "small file");
	}
}

static void w3(long count)
{
	int ends[2];

	while (count--)
		need(!pipe(ends) && !close(ends[0]) && !close(ends[1]), "pipe");
}

static void w4(long count)
{
	while (count--) {
		int fd = dup(zero_fd);

		need(fd >= 0 && !close(fd), "dup");
	}
}

static void w5(long count)
{
	while (count--)
		syscall(SYS_getppid);
}

static void w6(long count)
{
	char byte;

	while (count--)
		need(read(zero_fd, &byte, 1) == 1, "/dev/zero");
}

static void await(pid_t child)
{
	int status;

	need(waitpid(child, &status, 0) == child && !status, program[0]);
}

static void w7(long count)
{
	pid_t child;

	while (count--) {
		need(!posix_spawn(&child, program[0], NULL, NULL, program, environ), "posix_spawn");
		await(child);
	}
}

static void w7f(long count)
{
	while (count--) {
		pid_t child = fork();

		need(child >= 0, "fork");
		if (!child) {
			execv(program[0], program);
			_exit(127);
		}
		await(child);
	}
}

static void w8(long count)
{
	for (long i = 0; i < count; i++)
		need(close(RANGE_FIRST + (int)(i % RANGE_SIZE)),
		     "a number that should not be open");
}

static void w9(long count)
{
	while (count--)
		need(close(BEYOND), "a number that should not be open");
}

static const struct workload {
	const char *name;
	void (*run)(long count);
} workloads[] = { { "w1", w1 }, { "w2", w2 }, { "w3", w3 },   { "w4", w4 }, { "w5", w5 },
		  { "w6", w6 }, { "w7", w7 }, { "w7f", w7f }, { "w8", w8 }, { "w9", w9 } };

static const struct workload *find(const char *name)
{
	for (size_t i = 0; i < sizeof(workloads) / sizeof(*workloads); i++)
		if (!strcmp(workloads[i].name, name))
			return &workloads[i];
	fprintf(stderr, "workloads: no workload is called \"%s\"\n", name);
	exit(2);
}

static double now_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static double timeval_ns(struct timeval time)
{
	return (double)time.tv_sec * 1e9 + (double)time.tv_usec * 1e3;
}

static double cpu_ns(void)
{
	struct rusage children;

	getrusage(RUSAGE_CHILDREN, &children);
	return now_ns(CLOCK_PROCESS_CPUTIME_ID) + timeval_ns(children.ru_utime) +
	       timeval_ns(children.ru_stime);
}

NOINLINE static void down(const struct workload *workload, long count, int levels)
{
	if (levels)
		down(workload, count, levels - 1);
	else
		workload->run(count);
	went_up++;
}

static void measure(const char *name, long count)
{
	const struct workload *workload = find(name);
	double elapsed = now_ns(CLOCK_MONOTONIC), cpu = cpu_ns();

	down(workload, count, DEPTH);
	cpu = cpu_ns() - cpu;
	elapsed = now_ns(CLOCK_MONOTONIC) - elapsed;
	printf("%.2f %.2f\n", cpu / (double)count, elapsed / (double)count);
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	need(!sched_setaffinity(0, sizeof(set), &set), "sched_setaffinity");
}

/* What the workloads need; clean_up() removes the folder. */
static void open_all(void)
{
	int fd;

	need(mkdtemp(folder) && (folder_fd = open(folder, O_DIRECTORY | O_CLOEXEC)) >= 0, folder);
	fd = openat(folder_fd, "small", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	need(fd >= 0 && write(fd, "a small file\n", 13) == 13 && !close(fd), folder);
	zero_fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	need(zero_fd >= 0, "/dev/zero");
}

static void clean_up(void)
{
	unlinkat(folder_fd, "small", 0);
	rmdir(folder);
}

static void serve(void)
{
	char name[8]; /* as many as scanf is told */
	long count;

	while (scanf("%7s %ld", name, &count) == 2 && count > 0)
		measure(name, count);
}

int main(int argc, char **argv)
{
	if (argc != 2 && argc != 4)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	pin(atoi(argv[1]));
	open_all();
	atexit(clean_up);
	if (argc == 2)
		serve();
	else
		measure(argv[2], atol(argv[3]));
	return 0;
}
