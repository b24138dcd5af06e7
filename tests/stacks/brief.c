// SPDX-License-Identifier: BSD-2-Clause
/*
 * Closes a number twice, with an argument in another function, and has ended before anybody could look at it.
 * Linked without libc.so, stripped.
 */
#include <fcntl.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline, noclone))

static int calls; /* so that no call is the last thing its function does */

NOINLINE static void inner(int fd)
{
	close(fd);
	close(fd);
	calls++;
}

NOINLINE static void other(int fd)
{
	calls++;
	close(fd);
	close(fd);
}

NOINLINE static void outer(int argc)
{
	int fd = open("/dev/null", O_RDONLY);

	if (argc > 1)
		other(fd);
	else
		inner(fd);
	calls++;
}

int main(int argc, char **argv)
{
	(void)argv;
	outer(argc);
	return calls != 2;
}
