// SPDX-License-Identifier: BSD-2-Clause
#include "cli/process_name.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "source/live/procfs.h"

static const char deleted[] = " (deleted)"; /* proc(5): the file has been replaced since */

static bool is_name(const char *text, size_t text_length, const char *name, size_t length)
{
	return text_length == length && memcmp(text, name, length) == 0;
}

static bool has_comm(pid_t pid, const char *name, size_t length)
{
	char path[32], comm[64];
	ssize_t got;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	got = read(fd, comm, sizeof(comm));
	close(fd);
	return got > 0 && is_name(comm, (size_t)got - 1, name, length); /* without the newline */
}

static bool has_executable(pid_t pid, const char *name, size_t length)
{
	char path[PATH_MAX + sizeof(deleted)];
	size_t size = procfs_exe(pid, path, sizeof(path) - 1), tail = sizeof(deleted) - 1;
	const char *base;

	if (size > tail && memcmp(path + size - tail, deleted, tail) == 0)
		size -= tail;
	path[size] = '\0';
	base = strrchr(path, '/');
	return base && is_name(base + 1, strlen(base + 1), name, length);
}

static bool has_descriptors(pid_t pid)
{
	struct procfs_stat stat;

	return procfs_stat(pid, &stat) == 0 && !stat.kernel && !procfs_is_dead(&stat);
}

int process_name_each(const char *name, size_t length, int (*found)(void *ctx, pid_t pid),
		      void *ctx)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	int err = 0;

	if (!proc)
		return -errno;
	while (!err && (entry = readdir(proc))) {
		pid_t pid = atoi(entry->d_name);

		if (pid > 0 && pid != getpid() &&
		    (has_comm(pid, name, length) || has_executable(pid, name, length)) &&
		    has_descriptors(pid))
			err = found(ctx, pid);
	}
	closedir(proc);
	return err;
}
