// SPDX-License-Identifier: BSD-2-Clause
/* Closes a number twice and has ended before anybody could look at it. Linked without libc.so, stripped. */
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

NOINLINE static void outer(void)
{
	inner(open("/dev/null", O_RDONLY));
	calls++;
}

int main(void)
{
	outer();
	return calls != 2;
}
