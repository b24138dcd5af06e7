// SPDX-License-Identifier: BSD-2-Clause
#include "util/io.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

static int wait_writable(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLOUT };

	if (poll(&poll_fd, 1, -1) < 0 && errno != EINTR)
		return -errno;
	return 0;
}

int write_all(int fd, const void *data, size_t size)
{
	const char *next = data;

	while (size) {
		ssize_t written = write(fd, next, size);
		int err = 0;

		if (written >= 0) {
			next += written;
			size -= (size_t)written;
			continue;
		}
		if (errno == EAGAIN)
			err = wait_writable(fd);
		else if (errno != EINTR)
			err = -errno;
		if (err)
			return err;
	}
	return 0;
}

/*
 * Close-on-exec: a command started by us then finds closed what was closed. The number is
 * right because open() takes the lowest free one and those below are open by now.
 */
static int guard_one(int fd, unsigned int *was_closed)
{
	if (fcntl(fd, F_GETFD) >= 0)
		return 0;
	if (errno != EBADF)
		return -errno;
	if (open("/dev/null", O_RDWR | O_CLOEXEC) < 0)
		return -errno;
	*was_closed |= 1u << fd;
	return 0;
}

int stdio_guard(unsigned int *ret_was_closed)
{
	unsigned int was_closed = 0;

	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		int err = guard_one(fd, &was_closed);

		if (err)
			return err;
	}
	*ret_was_closed = was_closed;
	return 0;
}
