// SPDX-License-Identifier: BSD-2-Clause
#include "util/io.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
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

static int read_some(int fd, size_t max, char *text, size_t *size)
{
	ssize_t got;

	do {
		got = read(fd, text + *size, max + 1 - *size);
		if (got > 0)
			*size += (size_t)got;
	} while (got > 0 || (got < 0 && errno == EINTR));
	if (got < 0)
		return -errno;
	return *size > max ? -EFBIG : 0;
}

int read_bounded(int fd, size_t max, char **ret_text, size_t *ret_size)
{
	char *text = malloc(max + 1);
	int err;

	*ret_text = NULL;
	*ret_size = 0;
	if (!text)
		return -ENOMEM;
	err = read_some(fd, max, text, ret_size);
	if (err)
		free(text);
	else
		*ret_text = text;
	return err;
}

/*
 * Close-on-exec: a command that fdtrace starts then finds the same ones closed. The number is
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
