// SPDX-License-Identifier: BSD-2-Clause
/*
 * Files are written beside their name and renamed, under a lock that all runs of fdtrace share.
 * Other files in the folder are not followed, read, counted or removed.
 */
#include "run/evidence.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "util/escape.h"
#include "util/io.h"
#include "util/trouble.h"

#define DIGITS 16
#define SUFFIX ".jsonl"
#define NAME_SIZE (DIGITS + sizeof(SUFFIX))
#define LOCK_NAME ".lock"
#define NEW_NAME ".new"
#define FILE_MAX (16u << 20) /* a longer one was not written by us */
#define BLOCK 4096           /* the least that a file takes on disk */
#define LOCK_TRIES 100       /* 1 ms apart: its holder writes one file */
#define COUNT_EVERY 64       /* puts; other runs write, too */

struct evidence {
	int folder, lock;
	uint64_t max_bytes, used_bytes;
	unsigned int until_count; /* puts until used_bytes is counted again */
};

const char *evidence_path(void)
{
	const char *path = getenv(EVIDENCE_ENVIRON);

	return path && path[0] ? path : EVIDENCE_PATH;
}

/* --- names and files --- */

static bool is_hex_digit(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

static bool is_name(const char *name)
{
	size_t digits = 0;

	while (is_hex_digit(name[digits]))
		digits++;
	return digits == DIGITS && !strcmp(name + DIGITS, SUFFIX);
}

static uint64_t bytes_of(const struct stat *file)
{
	return ((uint64_t)file->st_size + BLOCK - 1) / BLOCK * BLOCK;
}

static bool is_ours(const struct stat *file)
{
	return S_ISREG(file->st_mode) && (!file->st_uid || file->st_uid == geteuid());
}

/* The whole file; "" if there is none or it is not one of ours. To be freed. 0 or -errno. */
static int read_evidence_file(int folder, const char *name, char **ret_text, size_t *ret_size)
{
	int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat file = { 0 };
	size_t size = 0;
	char *text;

	if (fd < 0 && errno != ENOENT && errno != ELOOP)
		return -errno;
	if (fd >= 0 && (fstat(fd, &file) < 0 || !is_ours(&file) || file.st_size > FILE_MAX))
		file.st_size = 0;
	text = malloc((size_t)file.st_size + 1);
	while (text && size < (size_t)file.st_size) {
		ssize_t got = read(fd, text + size, (size_t)file.st_size - size);

		if (got <= 0)
			break;
		size += (size_t)got;
	}
	if (fd >= 0)
		close(fd);
	*ret_text = text;
	*ret_size = size;
	return text ? 0 : -ENOMEM;
}

/* --- the folder --- */

static int make_folder(const char *path)
{
	char parent[4096];
	char *slash;

	if (mkdir(path, 0700) == 0 || errno == EEXIST)
		return 0;
	snprintf(parent, sizeof(parent), "%s", path);
	slash = strrchr(parent, '/');
	if (errno != ENOENT || !slash || slash == parent)
		return -errno;
	*slash = '\0';
	if (mkdir(parent, 0755) < 0 && errno != EEXIST)
		return -errno;
	return mkdir(path, 0700) == 0 || errno == EEXIST ? 0 : -errno;
}

static int open_store_folder(const char *path, int *ret_folder)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat folder;
	int err = 0;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &folder) < 0)
		err = -errno;
	else if ((folder.st_uid && folder.st_uid != geteuid()) || folder.st_mode & 022)
		err = -EPERM;
	if (err)
		close(fd);
	else
		*ret_folder = fd;
	return err;
}

static DIR *list_folder(int folder)
{
	int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = fd < 0 ? NULL : fdopendir(fd);

	if (!list && fd >= 0)
		close(fd);
	return list;
}

/* The next of our files; NULL: no more. */
static const char *next_file(DIR *list, struct stat *ret_file)
{
	struct dirent *entry;

	while ((entry = readdir(list)))
		if (is_name(entry->d_name) &&
		    fstatat(dirfd(list), entry->d_name, ret_file, AT_SYMLINK_NOFOLLOW) == 0 &&
		    is_ours(ret_file))
			return entry->d_name;
	return NULL;
}

/* --- the size limit --- */

struct kept {
	struct timespec time;
	uint64_t bytes;
	char name[NAME_SIZE];
};

static int compare_age(const void *a, const void *b)
{
	const struct timespec *left = &((const struct kept *)a)->time;
	const struct timespec *right = &((const struct kept *)b)->time;

	if (left->tv_sec != right->tv_sec)
		return left->tv_sec < right->tv_sec ? -1 : 1;
	return (left->tv_nsec > right->tv_nsec) - (left->tv_nsec < right->tv_nsec);
}

static struct kept *read_list(int folder, size_t *ret_count)
{
	struct kept *kept = NULL, *grown;
	DIR *list = list_folder(folder);
	size_t count = 0;
	struct stat file;
	const char *name;

	while (list && (name = next_file(list, &file))) {
		if (!(count & (count - 1))) {
			grown = realloc(kept, (2 * count + 1) * sizeof(*kept));
			if (!grown)
				break;
			kept = grown;
		}
		kept[count] = (struct kept){ .time = file.st_mtim, .bytes = bytes_of(&file) };
		memcpy(kept[count++].name, name, NAME_SIZE);
	}
	if (list)
		closedir(list);
	*ret_count = count;
	return kept;
}

/* Counts the files and removes the oldest until `room` more bytes fit. */
static void make_store_room(struct evidence *e, uint64_t room)
{
	size_t count;
	struct kept *kept = read_list(e->folder, &count);

	e->used_bytes = 0;
	e->until_count = COUNT_EVERY;
	for (size_t i = 0; i < count; i++)
		e->used_bytes += kept[i].bytes;
	if (e->used_bytes + room > e->max_bytes && count)
		qsort(kept, count, sizeof(*kept), compare_age);
	for (size_t i = 0; i < count && e->used_bytes + room > e->max_bytes; i++)
		if (unlinkat(e->folder, kept[i].name, 0) == 0)
			e->used_bytes -= kept[i].bytes;
	free(kept);
}

/* --- writing --- */

int evidence_open(const char *path, uint64_t max_bytes, struct evidence **ret_evidence,
		  struct trouble *trouble)
{
	struct evidence *e = calloc(1, sizeof(*e));
	char name[128];
	int err = e ? make_folder(path) : -ENOMEM;

	escape_text(name, sizeof(name), path, strlen(path));
	if (e)
		*e = (struct evidence){ .folder = -1, .lock = -1, .max_bytes = max_bytes };
	if (!err)
		err = open_store_folder(path, &e->folder);
	if (!err) {
		e->lock = openat(e->folder, LOCK_NAME,
				 O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
		err = e->lock < 0 ? -errno : 0;
	}
	if (!err) {
		*ret_evidence = e;
		return 0;
	}
	evidence_free(e);
	return trouble_set(trouble, -err, EXIT_CANNOT,
			   err == -EPERM ? "it must be owned by root or the user running fdtrace "
					   "and not be writable by others"
					 : NULL,
			   NULL, "cannot store evidence in %s: %s", name, strerror(-err));
}

void evidence_free(struct evidence *e)
{
	if (!e)
		return;
	if (e->lock >= 0)
		close(e->lock);
	if (e->folder >= 0)
		close(e->folder);
	free(e);
}

static int lock_store(struct evidence *e)
{
	static const struct timespec pause = { .tv_nsec = 1000000 };

	for (unsigned int i = 0; i < LOCK_TRIES; i++) {
		if (flock(e->lock, LOCK_EX | LOCK_NB) == 0)
			return 0;
		if (errno != EWOULDBLOCK && errno != EINTR)
			return -errno;
		nanosleep(&pause, NULL);
	}
	return -EAGAIN;
}

/* Where the last EVIDENCE_KEPT - 1 lines begin. A line without its newline is not counted. */
static const char *latest_lines(const char *text, size_t *size)
{
	size_t lines = 0, from;

	while (*size && text[*size - 1] != '\n')
		--*size;
	for (from = *size; from; from--) {
		if (text[from - 1] == '\n' && lines++ == EVIDENCE_KEPT - 1)
			break;
	}
	*size -= from;
	return text + from;
}

static int write_both(int fd, const char *before, size_t before_size, const char *line,
		      size_t length)
{
	int err = write_all(fd, before, before_size);

	if (!err)
		err = write_all(fd, line, length);
	if (close(fd) < 0 && !err)
		err = -errno;
	return err;
}

static int write_new(struct evidence *e, const char *before, size_t before_size, const char *line,
		     size_t length)
{
	int fd, err;

	unlinkat(e->folder, NEW_NAME, 0); /* left by a run that was killed */
	fd = openat(e->folder, NEW_NAME, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		    0600);
	if (fd < 0)
		return -errno;
	err = write_both(fd, before, before_size, line, length);
	if (err)
		unlinkat(e->folder, NEW_NAME, 0);
	return err;
}

static int replace_evidence_file(struct evidence *e, const char *name, const char *line,
				 size_t length)
{
	char *text = NULL;
	size_t size = 0;
	const char *before;
	uint64_t bytes;
	int err = read_evidence_file(e->folder, name, &text, &size);

	if (err)
		return err;
	before = latest_lines(text, &size);
	while (size + length > FILE_MAX)
		size = 0;
	bytes = size + length + BLOCK;
	if (e->used_bytes + bytes > e->max_bytes || !e->until_count--)
		make_store_room(e, bytes);
	err = write_new(e, before, size, line, length);
	free(text);
	if (!err && renameat(e->folder, NEW_NAME, e->folder, name) < 0) {
		err = -errno;
		unlinkat(e->folder, NEW_NAME, 0);
	}
	if (!err)
		e->used_bytes += bytes;
	return err;
}

int evidence_put(struct evidence *e, uint64_t fingerprint, const char *line, size_t length)
{
	char name[NAME_SIZE];
	int err;

	if (!length || line[length - 1] != '\n')
		return -EINVAL;
	if (length + BLOCK > e->max_bytes || length > FILE_MAX)
		return -EFBIG;
	err = lock_store(e);
	if (err)
		return err;
	snprintf(name, sizeof(name), "%016" PRIx64 SUFFIX, fingerprint);
	err = replace_evidence_file(e, name, line, length);
	flock(e->lock, LOCK_UN);
	return err;
}

/* --- reading --- */

struct found {
	char name[NAME_SIZE]; /* the first */
	unsigned int count;
	char names[512]; /* all, as many as fit */
};

static void note_found(struct found *found, const char *name)
{
	size_t done = strlen(found->names);

	if (!found->count++)
		memcpy(found->name, name, NAME_SIZE);
	if (done + DIGITS + 2 < sizeof(found->names))
		snprintf(found->names + done, sizeof(found->names) - done, "%s%.*s",
			 done ? " " : "", DIGITS, name);
}

static void look_for_prefix(int folder, const char *prefix, struct found *found)
{
	DIR *list = list_folder(folder);
	struct stat file;
	const char *name;

	while (list && (name = next_file(list, &file)))
		if (!strncasecmp(name, prefix, strlen(prefix)))
			note_found(found, name);
	if (list)
		closedir(list);
}

static int give_lines(const char *text, size_t size,
		      int (*line)(void *ctx, const char *line, size_t length), void *ctx)
{
	while (size) {
		const char *end = memchr(text, '\n', size);
		size_t length = end ? (size_t)(end - text) + 1 : size;
		int err = end ? line(ctx, text, length) : 0;

		if (err)
			return err;
		text += length;
		size -= length;
	}
	return 0;
}

static int check_prefix(const char *prefix, struct trouble *trouble)
{
	size_t length = strspn(prefix, "0123456789abcdefABCDEF");

	if (!prefix[length] && length >= 4 && length <= DIGITS)
		return 0;
	return trouble_set(trouble, EINVAL, EXIT_USAGE, NULL,
			   "use the fingerprint shown with a finding: \"fingerprint\" in JSON, the "
			   "last column of the "
			   "summary",
			   "a fingerprint has 4 to 16 hexadecimal digits");
}

static int cannot_read_evidence(int err, const char *path, struct trouble *trouble)
{
	return trouble_set(trouble, -err, EXIT_CANNOT, err == -EACCES ? "try: with sudo" : NULL,
			   err == -EPERM
				   ? "it is not owned by root or by you, or others may write to it"
			   : err == -ENOENT ? "nothing has been stored on this host yet: only runs "
					      "as root store evidence"
					    : NULL,
			   "cannot read the evidence in %s: %s", path, strerror(-err));
}

static int read_found(int folder, const struct found *found,
		      int (*line)(void *ctx, const char *line, size_t length), void *ctx,
		      const char *path, struct trouble *trouble)
{
	char *text = NULL;
	size_t size = 0;
	int err = read_evidence_file(folder, found->name, &text, &size);

	if (err)
		return cannot_read_evidence(err, path, trouble);
	err = give_lines(text, size, line, ctx);
	free(text);
	return err ? trouble_set(trouble, -err, EXIT_INTERNAL, NULL, strerror(-err),
				 "cannot print the stored evidence")
		   : 0;
}

int evidence_find(const char *path, const char *prefix,
		  int (*line)(void *ctx, const char *line, size_t length), void *ctx,
		  struct trouble *trouble)
{
	struct found found = { 0 };
	char name[128];
	int folder = -1, err = check_prefix(prefix, trouble);

	if (err)
		return err;
	escape_text(name, sizeof(name), path, strlen(path));
	err = open_store_folder(path, &folder);
	if (err)
		return cannot_read_evidence(err, name, trouble);
	look_for_prefix(folder, prefix, &found);
	if (!found.count)
		err = trouble_set(trouble, ENOENT, EXIT_CANNOT, NULL,
				  "the oldest evidence is removed to make room, and only runs as "
				  "root store any",
				  "no evidence of %s in %s", prefix, name);
	else if (found.count > 1)
		err = trouble_set(trouble, ENOTUNIQ, EXIT_USAGE, "give more digits", found.names,
				  "%u fingerprints begin with %s", found.count, prefix);
	else
		err = read_found(folder, &found, line, ctx, name, trouble);
	close(folder);
	return err;
}
