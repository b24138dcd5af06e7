// SPDX-License-Identifier: BSD-2-Clause
/* close() of a number that is closed already, beside dup() and dup2() done right. */
#include <fcntl.h>
#include "program.h"

static int open_one(void)
{
	return must(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
}

static int guilty(void)
{
	int fd = open_one();

	must(close(fd));
	must_fail(close(fd), EBADF);
	return 0;
}

static int duplicates(void)
{
	int fd = open_one();
	int copy = must(dup(fd));

	must(close(fd));
	must(close(copy));
	return 0;
}

/* dup2() onto an open number closes what was there: no close is missing, none is double. */
static int replaced(void)
{
	int fd = open_one();
	int other = open_one();

	for (int i = 0; i < 50; i++)
		must(dup2(fd, other));
	must(close(other));
	must(close(fd));
	return 0;
}

static const struct variant variants[] = {
	{ "guilty", guilty },
	{ "duplicates", duplicates },
	{ "replaced", replaced },
	{ NULL, NULL },
};

int main(int argc, char **argv)
{
	return run_variant(variants, argc > 1 ? argv[1] : NULL);
}
