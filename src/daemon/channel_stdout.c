// SPDX-License-Identifier: BSD-2-Clause
/*
 * Standard output. Others share its open file description (a shell, the other end of a pipeline's
 * terminal), so it is not made non-blocking: a pipe or terminal is opened again, a socket is sent
 * to without waiting, and where neither can be done as much is written as poll() says there is room
 * for.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/channel_private.h"

#define TERMINAL_PIECE 128 /* POLLOUT promises this much room (n_tty.c: WAKEUP_CHARS 256) */

/* systemd.exec(5): "device:inode" of the stream that journald reads. */
static bool is_journal(const struct stat *out)
{
	const char *stream = getenv("JOURNAL_STREAM");
	char ours[64];

	snprintf(ours, sizeof(ours), "%ju:%ju", (uintmax_t)out->st_dev, (uintmax_t)out->st_ino);
	return stream && !strcmp(stream, ours);
}

static int open_anew(struct channel *c, const struct stat *out)
{
	int fd = open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd >= 0)
		c->fd = fd;
	else if (errno == ENXIO)
		return -EPIPE; /* a FIFO without a reader */
	else
		c->fd = STDOUT_FILENO;
	c->piece = fd >= 0 ? 0 : S_ISFIFO(out->st_mode) ? PIPE_BUF : TERMINAL_PIECE;
	return 0;
}

static int stdout_open(struct channel *c)
{
	struct stat out;

	if (fstat(STDOUT_FILENO, &out) < 0)
		return -errno;
	c->priorities = is_journal(&out);
	c->stream = S_ISSOCK(out.st_mode);
	c->piece = 0;
	if (S_ISFIFO(out.st_mode) || (S_ISCHR(out.st_mode) && isatty(STDOUT_FILENO)))
		return open_anew(c, &out);
	c->fd = STDOUT_FILENO;
	return 0;
}

static bool stdout_for_good(int err)
{
	return err == -EBADF;
}

static const char *stdout_remedy(int err)
{
	(void)err;
	return NULL;
}

static struct waiting *stdout_form(struct channel *c, const struct line *line)
{
	char prefix[16] = "";
	int length =
		c->priorities ? snprintf(prefix, sizeof(prefix), "<%u>", line_priority(line)) : 0;

	return waiting_wrap(prefix, (size_t)length, line, true);
}

/* How much of size may be written without waiting; 0: nothing. */
static size_t room_to_write(const struct channel *c, size_t size)
{
	struct pollfd out = { .fd = c->fd, .events = POLLOUT };

	if (!c->piece)
		return size;
	if (poll(&out, 1, 0) != 1)
		return 0;
	return size < c->piece ? size : c->piece;
}

static ssize_t stdout_send(struct channel *c, const char *data, size_t size)
{
	ssize_t written;

	if (c->stream)
		return socket_send(c, data, size);
	size = room_to_write(c, size);
	if (!size)
		return -EAGAIN;
	written = write(c->fd, data, size);
	return written < 0 ? -errno : written;
}

const struct kind kind_stdout = { .name = "standard output",
				  .open = stdout_open,
				  .for_good = stdout_for_good,
				  .remedy = stdout_remedy,
				  .form = stdout_form,
				  .send = stdout_send,
				  .same_stream = true };
