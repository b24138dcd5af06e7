// SPDX-License-Identifier: BSD-2-Clause
#include "run/output_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "util/escape.h"
#include "util/error.h"

int output_file_standard(struct output_file *file, int fd, unsigned int was_closed,
			 struct error *error)
{
	const char *name = fd == STDERR_FILENO ? "error" : "output";
	char cause[96];

	snprintf(file->name, sizeof(file->name), "standard %s", name);
	file->fd = fd;
	if (!(was_closed & 1u << fd))
		return 0;
	snprintf(cause, sizeof(cause), "fdtrace was started with its standard %s closed", name);
	error_set(error, EBADF, EXIT_USAGE, "cannot write the results to standard %s", name);
	return error_explain(error, cause, "name a file with -o FILE");
}

int output_file_open(struct output_file *file, const char *path, mode_t mode,
		     unsigned int was_closed, struct error *error)
{
	if (strcmp(path, "-") == 0)
		return output_file_standard(file, STDOUT_FILENO, was_closed, error);
	escape_text(file->name, sizeof(file->name), path, strlen(path));
	file->fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY, mode);
	if (file->fd >= 0)
		return 0;
	return error_set(error, errno, EXIT_CANNOT, "cannot write %s: %s", file->name,
			 strerror(errno));
}

/* Major and minor from Documentation/admin-guide/devices.txt of the kernel. */
static bool is_null_device(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == makedev(1, 3);
}

bool output_file_same(const struct output_file *a, const struct output_file *b)
{
	struct stat first, second;

	if (fstat(a->fd, &first) < 0 || fstat(b->fd, &second) < 0 || is_null_device(&first))
		return false;
	return first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

int output_file_empty(struct output_file *file)
{
	struct stat st;

	if (file->fd <= STDERR_FILENO || fstat(file->fd, &st) < 0 || !S_ISREG(st.st_mode))
		return 0;
	return ftruncate(file->fd, 0) < 0 ? -errno : 0;
}

int output_file_close(struct output_file *file)
{
	int fd = file->fd;

	file->fd = -1;
	return fd > STDERR_FILENO && close(fd) < 0 ? -errno : 0;
}
