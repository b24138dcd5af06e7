// SPDX-License-Identifier: BSD-2-Clause
/*
 * What calls cost, by the thread's own CPU time. Reads lines "CALLS FRAMES MS" and answers each
 * with "NS PAIRS": the median nanoseconds of a pair of calls within MS milliseconds, and how many
 * there were. CALLS is w1 (open and close of /dev/null) or w4 (dup and close); FRAMES is how many
 * native frames unwinders see. "sites DEPTH 0" opens and closes from 1 << DEPTH different places
 * and answers with their number.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
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
	bottom(frames);
	qsort(block_ns, blocks, sizeof(block_ns[0]), compare);
	printf("%.1f %u\n", block_ns[blocks / 2], blocks * BLOCK);
}

int main(void)
{
	char calls[8];
	int frames;

	setvbuf(stdout, NULL, _IOLBF, 0);
	while (scanf("%7s %d %u", calls, &frames, &run_ms) == 3)
		if (!strcmp(calls, "sites"))
			sites(frames);
		else
			measure(calls, frames);
	return 0;
}
