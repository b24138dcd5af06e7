// SPDX-License-Identifier: BSD-2-Clause
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/metrics.h"
#include "util/io.h"

#define SUFFIX ".prom"

struct target {
	int folder;
	const char *name;
	char temporary[256]; /* NAME_MAX and a NUL: a longer name could not be created either */
};

/* Other users who can write there could replace our file, unless the folder is sticky. */
static int check_folder(int folder)
{
	struct stat st;

	if (fstat(folder, &st))
		return -errno;
	return st.st_mode & S_IWOTH && !(st.st_mode & S_ISVTX) ? -EPERM : 0;
}

static int open_textfile_folder(const char *path, size_t length, int *ret_folder)
{
	char folder[4096];
	int fd, err;

	if (length >= sizeof(folder))
		return -ENAMETOOLONG;
	memcpy(folder, path, length);
	folder[length] = '\0';
	fd = open(length ? folder : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = check_folder(fd);
	if (err)
		close(fd);
	else
		*ret_folder = fd;
	return err;
}

static int target_open(const char *path, struct target *ret_target)
{
	const char *slash = strrchr(path, '/');
	size_t length = slash ? strlen(slash + 1) : 0;

	if (path[0] != '/' || length <= strlen(SUFFIX) ||
	    strcmp(slash + 1 + length - strlen(SUFFIX), SUFFIX) != 0)
		return -EINVAL;
	if (length + strlen(".tmp") >= sizeof(ret_target->temporary))
		return -ENAMETOOLONG;
	ret_target->name = slash + 1;
	snprintf(ret_target->temporary, sizeof(ret_target->temporary), "%s.tmp", slash + 1);
	return open_textfile_folder(path, (size_t)(slash - path), &ret_target->folder);
}

/* Always a new file: one left by a crash, or put there by another user, is not written to. */
static int make_temporary(const struct target *target)
{
	int fd;

	if (unlinkat(target->folder, target->temporary, 0) && errno != ENOENT)
		return -errno;
	fd = openat(target->folder, target->temporary,
		    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	return fd < 0 ? -errno : fd;
}

/* Not synced: after a crash of the machine a new one is written within seconds. */
static int fill_textfile(int fd, const char *text, size_t length)
{
	int err = write_all(fd, text, length);

	if (!err && fchmod(fd, 0644)) /* whatever the umask */
		err = -errno;
	if (close(fd) && !err)
		err = -errno;
	return err;
}

static int replace_textfile(const struct target *target, const char *text, size_t length)
{
	int fd = make_temporary(target), err;

	if (fd < 0)
		return fd;
	err = fill_textfile(fd, text, length);
	if (!err && renameat(target->folder, target->temporary, target->folder, target->name))
		err = -errno;
	if (err)
		unlinkat(target->folder, target->temporary, 0);
	return err;
}

int metrics_textfile(const char *path, const char *text, size_t length)
{
	struct target target;
	int err = target_open(path, &target);

	if (err)
		return err;
	err = replace_textfile(&target, text, length);
	close(target.folder);
	return err;
}
