// SPDX-License-Identifier: BSD-2-Clause
#include "util/notify.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define TEXT_SIZE 512

static int send_to(const char *path, const char *text)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t length = strlen(path);
	ssize_t sent;
	int fd, err;

	if (length >= sizeof(address.sun_path) || (*path != '/' && *path != '@'))
		return -EINVAL;
	memcpy(address.sun_path, path, length);
	if (*path == '@')
		address.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	sent = sendto(fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL,
		      (struct sockaddr *)&address,
		      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length));
	err = sent < 0 ? -errno : 0;
	close(fd);
	return err;
}

int notify(const char *format, ...)
{
	const char *path = getenv("NOTIFY_SOCKET");
	char text[TEXT_SIZE];
	va_list args;

	if (!path || !*path)
		return -ENOTCONN;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return send_to(path, text);
}

uint64_t notify_watchdog_ns(void)
{
	const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	unsigned long long value = usec ? strtoull(usec, NULL, 10) : 0;

	if (pid && strtol(pid, NULL, 10) != getpid())
		return 0;
	return value > UINT64_MAX / 1000 ? 0 : value * 1000;
}
