/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the programs of tests/live/patterns share. Each pattern says first what has to be
 * reported of it (see tests/live/patterns.py for the words), then does it.
 */
#ifndef TESTS_LIB_PATTERN_H
#define TESTS_LIB_PATTERN_H

#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <sys/wait.h>
#include "program.h"

/* A function whose name is looked for in stacks. */
#ifdef __clang__
#define NAMED __attribute__((noinline)) static
#else
#define NAMED __attribute__((noinline, noclone)) static
#endif

/* Longer than every time limit that the cases set. */
#define LONG_MS 1100

struct pattern {
	const char *name;
	const char *expect; /* lines after EXPECT; NULL: a second image, which expects nothing */
	void (*run)(void);
};

/* In one write, so that lines of several processes do not mix. */
static inline void say_expected(const char *expect)
{
	char line[512];

	must(write(1, line, snprintf(line, sizeof(line), "EXPECT %s\n", expect)));
}

/* argv: the pattern, then --wait to go on only when a line comes on stdin (for -p). */
static inline int run_pattern(const struct pattern *patterns, int argc, char **argv)
{
	char c;

	for (; argc > 1 && patterns->name; patterns++) {
		if (strcmp(patterns->name, argv[1]) != 0)
			continue;
		if (patterns->expect)
			say_expected(patterns->expect);
		if (argc > 2 && strcmp(argv[2], "--wait") == 0) {
			must(write(1, "ready\n", 6));
			must(read(0, &c, 1));
		}
		patterns->run();
		return 0;
	}
	fprintf(stderr, "no pattern %s\n", argc > 1 ? argv[1] : "given");
	return PROGRAM_BROKEN;
}

/* Stops the program where it is not what it claims to be. */
#define claim(fact) claim_value(fact, #fact)
static inline void claim_value(bool fact, const char *text)
{
	if (fact)
		return;
	fprintf(stderr, "not so: %s (%s)\n", text, strerror(errno));
	_exit(PROGRAM_BROKEN);
}

static inline bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

/* A file to read, under any name; close-on-exec. */
static inline int open_data(void)
{
	return must(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
}

static inline void read_byte(int fd)
{
	char byte;

	must(read(fd, &byte, 1));
}

static inline void reap(pid_t child)
{
	int status;

	claim(must(waitpid(child, &status, 0)) == child);
	claim(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* A thread that does one thing after the other, each when asked and before worker_do() returns. */
struct worker {
	pthread_t thread;
	sem_t go, done;
	void (*work)(void); /* NULL: end */
};

static inline void *worker_loop(void *arg)
{
	struct worker *worker = arg;

	for (;;) {
		must(sem_wait(&worker->go));
		if (!worker->work)
			return NULL;
		worker->work();
		must(sem_post(&worker->done));
	}
}

static inline void worker_start(struct worker *worker)
{
	must(sem_init(&worker->go, 0, 0));
	must(sem_init(&worker->done, 0, 0));
	must(-pthread_create(&worker->thread, NULL, worker_loop, worker));
}

static inline void worker_do(struct worker *worker, void (*work)(void))
{
	worker->work = work;
	must(sem_post(&worker->go));
	must(sem_wait(&worker->done));
}

static inline void worker_end(struct worker *worker)
{
	worker->work = NULL;
	must(sem_post(&worker->go));
	must(-pthread_join(worker->thread, NULL));
}

#endif
