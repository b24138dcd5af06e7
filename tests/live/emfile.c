// SPDX-License-Identifier: BSD-2-Clause
/* Running into RLIMIT_NOFILE, and stopping one short of it. */
#include <fcntl.h>
#include <sys/resource.h>
#include "program.h"

#define LIMIT 64

static int held[LIMIT];
static int count;

static int open_one(void)
{
	return open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
}

static void limit(void)
{
	struct rlimit r = { LIMIT, LIMIT };

	must(setrlimit(RLIMIT_NOFILE, &r));
}

static void close_all(void)
{
	while (count)
		must(close(held[--count]));
}

static int guilty(void)
{
	limit();
	while ((held[count] = open_one()) >= 0)
		count++;
	must_fail(open_one(), EMFILE);
	close_all();
	return 0;
}

static int innocent(void)
{
	limit();
	do
		held[count++] = must(open_one());
	while (held[count - 1] < LIMIT - 1);
	close_all();
	return 0;
}

static const struct variant variants[] = {
	{ "guilty", guilty },
	{ "innocent", innocent },
	{ NULL, NULL },
};

int main(int argc, char **argv)
{
	return run_variant(variants, argc > 1 ? argv[1] : NULL);
}
