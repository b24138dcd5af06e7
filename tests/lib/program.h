/* SPDX-License-Identifier: BSD-2-Clause */
/* What the small test programs share: each is one file with several variants, named by argv[1]. */
#ifndef TESTS_LIB_PROGRAM_H
#define TESTS_LIB_PROGRAM_H

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define PROGRAM_BROKEN 99 /* the test program itself went wrong: never an expected status */

/* The value of a call that has to succeed. */
#define must(call) must_value((long)(call), #call)
static inline int must_value(long value, const char *call)
{
	if (value < 0) {
		fprintf(stderr, "%s: %s\n", call, strerror(errno));
		_exit(PROGRAM_BROKEN);
	}
	return (int)value;
}

/* A call that has to fail with this errno: the harm the program is about really happened. */
#define must_fail(call, error) must_fail_value((long)(call), error, #call)
static inline void must_fail_value(long value, int error, const char *call)
{
	if (value >= 0 || errno != error) {
		fprintf(stderr, "%s: expected %s\n", call, strerror(error));
		_exit(PROGRAM_BROKEN);
	}
}

/* So many descriptors, whatever limit the machine has; root may raise the hard one. */
static inline void limit_descriptors(rlim_t count)
{
	struct rlimit limit, asked;

	must(getrlimit(RLIMIT_NOFILE, &limit));
	asked.rlim_cur = count;
	asked.rlim_max = limit.rlim_max > count ? limit.rlim_max : count;
	if (setrlimit(RLIMIT_NOFILE, &asked) == 0)
		return;
	fprintf(stderr, "needs %lu descriptors, the hard limit is %lu: %s\n", (unsigned long)count,
		(unsigned long)limit.rlim_max, strerror(errno));
	_exit(PROGRAM_BROKEN);
}

static inline void pace_ms(long ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	while (nanosleep(&t, &t) < 0 && errno == EINTR)
		;
}

/* Tells the test that everything is in place, then waits until it closes our stdin. */
static inline void ready_and_wait(void)
{
	char c;

	must(write(1, "ready\n", 6));
	while (read(0, &c, 1) > 0)
		;
}

struct variant {
	const char *name;
	int (*run)(void); /* its value is the exit status */
};

static inline int run_variant(const struct variant *variants, const char *name)
{
	for (; variants->name; variants++)
		if (name && !strcmp(variants->name, name))
			return variants->run();
	fprintf(stderr, "no variant %s\n", name ? name : "given");
	return PROGRAM_BROKEN;
}

#endif
