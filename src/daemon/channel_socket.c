// SPDX-License-Identifier: BSD-2-Clause
/* Sockets at a path: JSON lines as they are, and what the syslog and the journal kinds need. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/channel_private.h"

static int connect_as(int type, const struct sockaddr_un *address, int *ret_fd)
{
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), err;

	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0) {
		*ret_fd = fd;
		return 0;
	}
	err = -errno;
	close(fd);
	return err;
}

/* Connecting to a path that is not a socket is refused as if there were no listener. */
static int why_refused(const char *path, int err)
{
	struct stat there;

	if (err != -ECONNREFUSED || stat(path, &there) < 0 || S_ISSOCK(there.st_mode))
		return err;
	return -ENOTSOCK;
}

/* A listener whose queue is full says EAGAIN at once, as the socket is non-blocking (unix(7)). */
int socket_open(struct channel *c)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t length = strlen(c->config.path);
	int err;

	if (length >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, c->config.path, length);
	err = connect_as(SOCK_DGRAM, &address, &c->fd);
	c->stream = err == -EPROTOTYPE;
	if (c->stream)
		err = connect_as(SOCK_STREAM, &address, &c->fd);
	return why_refused(c->config.path, err);
}

ssize_t socket_send(struct channel *c, const char *data, size_t size)
{
	ssize_t sent = send(c->fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (sent >= 0)
		return sent;
	return errno == ENOBUFS ? -EAGAIN : -errno;
}

/* A collector may come later; a path that is not a socket will not become one. */
bool socket_for_good(int err)
{
	return err == -ENAMETOOLONG || err == -EACCES || err == -EPERM || err == -ENOTDIR ||
	       err == -ELOOP || err == -ENOTSOCK || err == -EPROTOTYPE || err == -EPROTONOSUPPORT;
}

const char *socket_remedy(int err)
{
	if (err == -ENAMETOOLONG)
		return "the path of a socket has at most 107 bytes";
	return err == -EACCES ? "allow the user running fdtrace to write to the socket" : NULL;
}

static struct waiting *unix_form(struct channel *c, const struct line *line)
{
	(void)c;
	return waiting_wrap("", 0, line, true);
}

const struct kind kind_unix = { .name = "unix socket",
				.open = socket_open,
				.for_good = socket_for_good,
				.remedy = socket_remedy,
				.form = unix_form,
				.send = socket_send };
