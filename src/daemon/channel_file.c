// SPDX-License-Identifier: BSD-2-Clause
/*
 * A file that others rotate and collect: appended to with one write per line. A line that was only
 * partly written is removed again, so that there is never half a line in the file.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/channel_private.h"

/* Never append to a file that another user could read or make us overwrite. */
static int check_log_file(const struct stat *file)
{
	if (S_ISDIR(file->st_mode))
		return -EISDIR;
	if (!S_ISREG(file->st_mode))
		return -EINVAL;
	if (file->st_uid && file->st_uid != geteuid())
		return -EPERM;
	return file->st_mode & S_IWOTH || file->st_nlink > 1 ? -EPERM : 0;
}

/* The last writer may have been killed in the middle of a line. */
static int end_last_line(int fd, off_t size)
{
	char last;

	if (!size || pread(fd, &last, 1, size - 1) != 1 || last == '\n')
		return 0;
	return write(fd, "\n", 1) == 1 ? 0 : -errno;
}

static int prepare_log_file(int fd)
{
	struct stat file;
	int err;

	if (fstat(fd, &file) < 0)
		return -errno;
	err = check_log_file(&file);
	return err ? err : end_last_line(fd, file.st_size);
}

/* O_NONBLOCK: a FIFO in its place must not block us; it has no effect on a file. */
static int file_open(struct channel *c)
{
	int fd = open(c->config.path,
		      O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
		      0640);
	int err = fd < 0 ? -errno : prepare_log_file(fd);

	if (!err)
		c->fd = fd;
	else if (fd >= 0)
		close(fd);
	return err;
}

static bool file_for_good(int err)
{
	return err != -ENOSPC && err != -EDQUOT && err != -EMFILE && err != -ENFILE &&
	       err != -ENOMEM && err != -EIO && err != -ESTALE && err != -EINTR && err != -EFBIG;
}

static const char *file_remedy(int err)
{
	switch (-err) {
	case EISDIR:
	case EINVAL:
	case ENXIO: return "name a regular file";
	case ELOOP: return "name the file itself: symbolic links are not followed";
	case EACCES:
	case EPERM:
		return "it must be owned by root or the user running fdtrace, have no other hard "
		       "link, and not be writable by others";
	case ENOENT: return "create the folder first";
	case EROFS: return "name a writable folder, or add this one to ReadWritePaths=";
	default: return NULL;
	}
}

static struct waiting *file_form(struct channel *c, const struct line *line)
{
	(void)c;
	return waiting_wrap("", 0, line, true);
}

/*
 * The position after an O_APPEND write is the end of what it wrote. True: the file is as if it had
 * never been written.
 */
static bool take_back(int fd, ssize_t written)
{
	off_t end = lseek(fd, 0, SEEK_CUR);
	struct stat file;

	if (end < written || fstat(fd, &file) < 0 || file.st_size != end)
		return false;
	return ftruncate(fd, end - written) == 0;
}

static ssize_t file_send(struct channel *c, const char *data, size_t size)
{
	ssize_t written = write(c->fd, data, size);

	if (written < 0)
		return -errno;
	if ((size_t)written < size && take_back(c->fd, written))
		return -ENOSPC;
	return written;
}

static bool file_moved(const struct channel *c)
{
	struct stat ours, there;

	if (fstat(c->fd, &ours) < 0 || lstat(c->config.path, &there) < 0)
		return true;
	return ours.st_dev != there.st_dev || ours.st_ino != there.st_ino;
}

const struct kind kind_file = { .name = "file",
				.open = file_open,
				.for_good = file_for_good,
				.remedy = file_remedy,
				.form = file_form,
				.send = file_send,
				.moved = file_moved };
