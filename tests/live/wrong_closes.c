// SPDX-License-Identifier: BSD-2-Clause
/*
 * A storm of wrong closes: pairs of threads, one of which uses what the other has closed twice, as
 * fast as they can, from functions made at run time and named in a map for perf, as a JIT does.
 * Usage: wrong_closes PLACES ROUNDS. Prints how many uses and second closes failed, how many of
 * either went wrong otherwise, and how many a second that was.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/mman.h>
#include "program.h"

#define PAIRS 2
#define BATCH 16 /* shorter than what makes a sweep */
#define PLACE_BYTES 64

typedef void (*work_fn)(int fd);
typedef void (*place_fn)(work_fn work, int fd);

static char *places;
static unsigned long place_count, rounds;
static int null;

struct pair {
	pthread_t user, closer;
	pthread_barrier_t handover;
	int base;
};

/* Failures of a thread. */
static __thread struct tally {
	unsigned long bad, other;
} tally;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct tally uses, closes;

static void count(long value)
{
	if (value < 0 && errno == EBADF)
		tally.bad++;
	else
		tally.other++;
}

static void add_up(struct tally *sum)
{
	pthread_mutex_lock(&lock);
	sum->bad += tally.bad;
	sum->other += tally.other;
	pthread_mutex_unlock(&lock);
}

static void bad_use(int fd)
{
	char byte;

	count(read(fd, &byte, 1));
}

static void bad_close(int fd)
{
	must(close(fd));
	count(close(fd));
}

/* Whoever opens between a failure and the next keeps the kernel side from seeing a run of them. */
static void open_at(int fd)
{
	must(dup3(null, fd, O_CLOEXEC));
}

static void at_place(unsigned long number, work_fn work, int fd)
{
	char *place = places + number % place_count * PLACE_BYTES;

	((place_fn)(uintptr_t)place)(work, fd);
}

static void *use(void *arg)
{
	struct pair *pair = arg;
	unsigned long number = (unsigned long)pair->base;

	for (unsigned long round = 0; round < rounds; round++) {
		for (int i = 0; i < BATCH; i++)
			open_at(pair->base + i);
		pthread_barrier_wait(&pair->handover);
		pthread_barrier_wait(&pair->handover);
		for (int i = 0; i < BATCH; i++) {
			at_place(number++, bad_use, pair->base + i);
			open_at(pair->base + BATCH);
		}
	}
	add_up(&uses);
	return NULL;
}

static void *close_all(void *arg)
{
	struct pair *pair = arg;
	unsigned long number = (unsigned long)pair->base + place_count / 2;

	for (unsigned long round = 0; round < rounds; round++) {
		pthread_barrier_wait(&pair->handover);
		for (int i = 0; i < BATCH; i++)
			at_place(number++, bad_close, pair->base + i * 7 % BATCH);
		pthread_barrier_wait(&pair->handover);
	}
	add_up(&closes);
	return NULL;
}

static void write_map(void)
{
	char path[64];
	FILE *map;

	snprintf(path, sizeof(path), "/tmp/perf-%d.map", (int)getpid());
	map = fopen(path, "wxe");
	must(map ? 0 : -1);
	for (unsigned long i = 0; i < place_count; i++)
		fprintf(map, "%lx %x place_%lu\n", (unsigned long)(places + i * PLACE_BYTES),
			PLACE_BYTES, i);
	must(fclose(map));
}

/* Each has a frame, and calls what it is given. */
static void make_places(void)
{
#if defined(__x86_64__)
	/* push %rbp; mov %rsp,%rbp; mov %rdi,%rax; mov %esi,%edi; call *%rax; pop %rbp; ret */
	static const unsigned char code[] = { 0x55, 0x48, 0x89, 0xe5, 0x48, 0x89, 0xf8,
					      0x89, 0xf7, 0xff, 0xd0, 0x5d, 0xc3 };
#elif defined(__aarch64__)
	/* stp x29,x30,[sp,#-16]!; mov x29,sp; mov x2,x0; mov w0,w1; blr x2; ldp; ret */
	static const uint32_t code[] = { 0xa9bf7bfd, 0x910003fd, 0xaa0003e2, 0x2a0103e0,
					 0xd63f0040, 0xa8c17bfd, 0xd65f03c0 };
#endif
	size_t size = place_count * PLACE_BYTES;

	places = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	must(places == MAP_FAILED ? -1 : 0);
	for (unsigned long i = 0; i < place_count; i++)
		memcpy(places + i * PLACE_BYTES, code, sizeof(code));
	must(mprotect(places, size, PROT_READ | PROT_EXEC));
	__builtin___clear_cache(places, places + size);
	write_map();
}

static void start(struct pair *pair, int base)
{
	pair->base = base;
	must(-pthread_barrier_init(&pair->handover, NULL, 2));
	must(-pthread_create(&pair->user, NULL, use, pair));
	must(-pthread_create(&pair->closer, NULL, close_all, pair));
}

static double now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	static struct pair pairs[PAIRS];
	char path[64];
	double began_s;

	if (argc != 3)
		return PROGRAM_BROKEN;
	place_count = strtoul(argv[1], NULL, 10);
	rounds = strtoul(argv[2], NULL, 10);
	null = must(open("/dev/null", O_RDONLY | O_CLOEXEC));
	make_places();
	began_s = now_s();
	for (int i = 0; i < PAIRS; i++)
		start(&pairs[i], 100 + 32 * i);
	for (int i = 0; i < PAIRS; i++) {
		must(-pthread_join(pairs[i].user, NULL));
		must(-pthread_join(pairs[i].closer, NULL));
	}
	snprintf(path, sizeof(path), "/tmp/perf-%d.map", (int)getpid());
	fprintf(stderr, "uses %lu closes %lu other %lu rate %.0f\n", uses.bad, closes.bad,
		uses.other + closes.other, (double)(uses.bad + closes.bad) / (now_s() - began_s));
	return unlink(path) != 0;
}
