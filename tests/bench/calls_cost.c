// SPDX-License-Identifier: BSD-2-Clause
/*
 * What calls cost, by the thread's own CPU time. Reads lines "CALLS FRAMES MS" and answers each
 * with "NS PAIRS": the median nanoseconds of a pair of calls within MS milliseconds, and how many
 * there were. CALLS is w1 (open and close of /dev/null) or w4 (dup and close); FRAMES is how many
 * native frames unwinders see. Or it is one of these, whatever FRAMES: getppid, lock (a record lock
 * set and removed), mod (epoll_ctl), foreign (the same on an epoll that another process made), mark
 * (F_SETFD), write (of a byte, to /dev/null), again (open and close of this program's file), paths (of
 * that and of its folder in turn). "sites DEPTH 0" opens and closes from 1 << DEPTH different places
 * and answers with their number.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline, noclone))
#define BLOCK 100 /* pairs between two looks at the clock */
#define BLOCKS_MAX 65536

static int dup_wanted;
static int went_up; /* so that no call is the last thing its function does */
static unsigned int run_ms;
static unsigned int blocks;
static double block_ns[BLOCKS_MAX];

static double cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static long bare(long number, long a, long b, long c)
{
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c)
			 : "rcx", "r11", "memory");
	return result;
}

/* Inlined: the frame is that of its caller. */
static inline __attribute__((always_inline)) void pairs_bare(void)
{
	for (int i = 0; i < BLOCK; i++) {
		long fd = dup_wanted ? bare(SYS_dup, 0, 0, 0)
				     : bare(SYS_open, (long)"/dev/null", O_RDONLY, 0);

		bare(SYS_close, fd, 0, 0);
	}
}

static inline __attribute__((always_inline)) void pairs(void)
{
	for (int i = 0; i < BLOCK; i++)
		close(dup_wanted ? dup(0) : open("/dev/null", O_RDONLY));
}

static inline __attribute__((always_inline)) void run(int is_bare)
{
	double start = cpu_ns(), before = start, now = start;

	for (blocks = 0; blocks < BLOCKS_MAX && now - start < run_ms * 1e6; before = now) {
		if (is_bare)
			pairs_bare();
		else
			pairs();
		now = cpu_ns();
		block_ns[blocks++] = (now - before) / BLOCK;
	}
}

static int data = -1, null = -1, poll = -1, polled[2]; /* descriptors that calls are made on */

static void call_getppid(void)
{
	syscall(SYS_getppid);
}

static void call_lock(void)
{
	struct flock lock = { .l_type = F_WRLCK, .l_len = 1 };

	fcntl(data, F_SETLK, &lock);
	lock.l_type = F_UNLCK;
	fcntl(data, F_SETLK, &lock);
}

static void call_mod(void)
{
	struct epoll_event event = { .events = EPOLLIN };

	epoll_ctl(poll, EPOLL_CTL_MOD, polled[0], &event);
}

static void call_mark(void)
{
	fcntl(null, F_SETFD, FD_CLOEXEC);
}

static void call_write(void)
{
	if (write(null, "", 1) != 1)
		abort();
}

static char own[2][4096]; /* this program's file, and its folder */

static void call_again(void)
{
	close(open(own[0], O_RDONLY));
}

static void call_paths(void)
{
	static unsigned int turn;

	close(open(own[turn++ & 1], O_RDONLY));
}

static void run_calls(void (*call)(void))
{
	double start = cpu_ns(), before = start, now = start;

	for (blocks = 0; blocks < BLOCKS_MAX && now - start < run_ms * 1e6; before = now) {
		for (int i = 0; i < BLOCK; i++)
			call();
		now = cpu_ns();
		block_ns[blocks++] = (now - before) / BLOCK;
	}
}

static void open_all(void)
{
	struct epoll_event event = { .events = EPOLLIN };

	if (poll >= 0)
		return;
	data = open("/tmp", O_TMPFILE | O_RDWR, 0600);
	null = open("/dev/null", O_WRONLY);
	poll = epoll_create1(0);
	if (readlink("/proc/self/exe", own[0], sizeof(own[0]) - 1) < 0)
		abort();
	strcpy(own[1], own[0]);
	*strrchr(own[1], '/') = '\0';
	if (data < 0 || null < 0 || pipe(polled) ||
	    epoll_ctl(poll, EPOLL_CTL_ADD, polled[0], &event))
		abort();
}

/* Whether it is one of these. */
static int run_named(const char *calls)
{
	static const struct {
		const char *name;
		void (*call)(void);
	} named[] = { { "getppid", call_getppid }, { "lock", call_lock },   { "mod", call_mod },
		      { "mark", call_mark },       { "write", call_write }, { "again", call_again },
		      { "paths", call_paths } };

	for (size_t i = 0; i < sizeof(named) / sizeof(*named); i++)
		if (!strcmp(calls, named[i].name)) {
			open_all();
			run_calls(named[i].call);
			return 1;
		}
	return 0;
}

NOINLINE static void down(int levels)
{
	if (levels)
		down(levels - 1);
	else
		run(0);
	went_up++;
}

/* What stands below is no caller to an unwinder; the C library's function is the innermost frame. */
NOINLINE static void bottom(int frames)
{
	__asm__ volatile(".cfi_undefined rip");
	if (frames > 2)
		down(frames - 3);
	else
		run(1);
	went_up++;
}

NOINLINE static int left(int depth, unsigned int way);

NOINLINE static int right(int depth, unsigned int way)
{
	if (!depth)
		return close(open("/dev/null", O_RDONLY)) + went_up++;
	return (way & 1 ? right(depth - 1, way >> 1) : left(depth - 1, way >> 1)) + went_up++;
}

NOINLINE static int left(int depth, unsigned int way)
{
	if (!depth)
		return close(open("/dev/null", O_RDONLY)) - went_up++;
	return (way & 1 ? right(depth - 1, way >> 1) : left(depth - 1, way >> 1)) - went_up++;
}

static void sites(int depth)
{
	for (unsigned int way = 0; way < 1u << depth; way++)
		went_up += left(depth, way);
	printf("%u\n", 1u << depth);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void measure(const char *calls, int frames)
{
	dup_wanted = !strcmp(calls, "w4");
	if (!run_named(calls))
		bottom(frames);
	qsort(block_ns, blocks, sizeof(block_ns[0]), compare);
	printf("%.1f %u\n", block_ns[blocks / 2], blocks * BLOCK);
}

/* By a child, on our epoll. */
static void foreign(void)
{
	pid_t child;

	open_all();
	fflush(stdout);
	child = fork();
	if (!child) {
		measure("mod", 0);
		fflush(stdout);
		_exit(0);
	}
	waitpid(child, NULL, 0);
}

int main(void)
{
	char calls[8]; /* as many as scanf is told */
	int frames;

	setvbuf(stdout, NULL, _IOLBF, 0);
	while (scanf("%7s %d %u", calls, &frames, &run_ms) == 3)
		if (!strcmp(calls, "sites"))
			sites(frames);
		else if (!strcmp(calls, "foreign"))
			foreign();
		else
			measure(calls, frames);
	return 0;
}
