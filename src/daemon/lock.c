// SPDX-License-Identifier: BSD-2-Clause
#include "daemon/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/error.h"

#define FOLDER "/run/fdtrace"

/* systemd may give several, separated by colons; the first is ours. */
static void find_path(char *path, size_t size)
{
	const char *given = getenv("RUNTIME_DIRECTORY");
	int length = given && *given == '/' ? (int)strcspn(given, ":") : 0;

	if (length)
		snprintf(path, size, "%.*s/lock", length, given);
	else
		snprintf(path, size, FOLDER "/lock");
	if (!length)
		mkdir(FOLDER, 0755); /* if this fails, opening the lock fails and is reported */
}

static int lock_is_held(int fd, const char *path, struct error *error)
{
	char pid[16] = "";
	ssize_t got = pread(fd, pid, sizeof(pid) - 1, 0);

	if (got < 0 || strspn(pid, "0123456789") != strcspn(pid, "\n") || !*pid)
		snprintf(pid, sizeof(pid), "?");
	pid[strcspn(pid, "\n")] = '\0';
	return error_set(error, EBUSY, EXIT_CANNOT,
			 "fdtrace is already running as a service: pid %s holds %.160s", pid, path);
}

static int write_pid(int fd)
{
	char pid[16];
	int length = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());

	if (ftruncate(fd, 0) < 0 || pwrite(fd, pid, (size_t)length, 0) < 0)
		return -errno;
	return 0;
}

int lock_take(int *ret_fd, struct error *error)
{
	char path[4096];
	int fd, err;

	find_path(path, sizeof(path));
	fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0644);
	if (fd < 0) {
		error_set(error, errno, EXIT_CANNOT, "cannot open the lock %.160s: %s", path,
			  strerror(errno));
		return error_explain(error, NULL, "set RUNTIME_DIRECTORY to use another folder");
	}
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		err = errno == EWOULDBLOCK
			      ? lock_is_held(fd, path, error)
			      : error_set(error, errno, EXIT_CANNOT, "cannot lock %.160s: %s", path,
					  strerror(errno));
	else
		err = write_pid(fd); /* for the message only: the lock itself is what counts */
	if (err == -EBUSY || (err && flock(fd, LOCK_EX | LOCK_NB) < 0)) {
		close(fd);
		return err;
	}
	*ret_fd = fd;
	return 0;
}
