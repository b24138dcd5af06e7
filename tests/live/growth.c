// SPDX-License-Identifier: BSD-2-Clause
/* One site's descriptors over two seconds: rising without end, a sawtooth, a plateau. */
#include <fcntl.h>
#include <sys/resource.h>
#include "program.h"

#define STEPS 240
#define STEP_MS 10
#define HEAP 60 /* more than leak.min_count, so that only the shape acquits */

static int held[STEPS];
static int count;

static void open_one(void)
{
	held[count++] = must(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
}

static void close_all(void)
{
	while (count)
		must(close(held[--count]));
}

static int growing(int steps, long step_ms)
{
	for (int i = 0; i < steps; i++) {
		open_one();
		pace_ms(step_ms);
	}
	close_all();
	return 0;
}

static int growing_near_the_limit(void)
{
	struct rlimit r = { 512, 512 };

	must(setrlimit(RLIMIT_NOFILE, &r));
	return growing(STEPS, STEP_MS);
}

/* Some 150 a minute: more than an hour away from the limit. */
static int growing_far_from_the_limit(void)
{
	limit_descriptors(20000);
	return growing(STEPS / 20, STEP_MS * 40);
}

static int sawtooth(void)
{
	for (int i = 0; i < STEPS; i++) {
		for (int j = 0; j < 4; j++)
			open_one();
		if (count >= HEAP)
			close_all();
		pace_ms(STEP_MS);
	}
	close_all();
	return 0;
}

static int plateau(void)
{
	while (count < HEAP)
		open_one();
	for (int i = 0; i < STEPS; i++) {
		must(close(held[--count]));
		open_one();
		pace_ms(STEP_MS);
	}
	close_all();
	return 0;
}

static const struct variant variants[] = {
	{ "near", growing_near_the_limit },
	{ "far", growing_far_from_the_limit },
	{ "sawtooth", sawtooth },
	{ "plateau", plateau },
	{ NULL, NULL },
};

int main(int argc, char **argv)
{
	return run_variant(variants, argc > 1 ? argv[1] : NULL);
}
