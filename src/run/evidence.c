// SPDX-License-Identifier: BSD-2-Clause
/*
 * A line is a file of its own, FINGERPRINT.TIME.SIZE.jsonl, written once and never changed. So runs
 * beside each other need no lock and wait for nobody, and a list of the names says which files are
 * the oldest and how large they are, without a look at each. Older versions kept the lines of a
 * fingerprint in FINGERPRINT.jsonl; such files are read and grow old like the others. Whatever else
 * lies in the folder is neither followed, read, counted nor removed.
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
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "util/escape.h"
#include "util/io.h"
#include "util/error.h"

#define DIGITS 16
#define SIZE_DIGITS 8
#define SUFFIX ".jsonl"
#define NAME_SIZE (DIGITS + 1 + DIGITS + 1 + SIZE_DIGITS + sizeof(SUFFIX))
#define FILE_MAX (16u << 20)  /* a longer one was not written by us */
#define BLOCK 4096            /* what a file takes at least */
#define COUNT_PARTS 32        /* of the bound: after as much the others are counted again */
#define FUTURE_NS 60000000000 /* written later than in a minute: the clock was wrong */
#define FREE_PARTS 10         /* of the bound: as much is free after making room */

struct evidence {
	int folder;
	uint64_t max_bytes, used_bytes;
	uint64_t uncounted_bytes; /* written since used_bytes was counted */
	uint64_t last_stamp;
	bool counted;
};

const char *evidence_path(void)
{
	const char *path = getenv(EVIDENCE_ENVIRON);

	return path && path[0] ? path : EVIDENCE_PATH;
}

/* --- names and files --- */

struct stored {
	uint64_t fingerprint;
	uint64_t stamp;   /* in the name: nanoseconds since 1970 */
	uint64_t time_ns; /* the same, or that of the file */
	uint32_t size;
	bool is_old; /* FINGERPRINT.jsonl */
};

static void write_name(char name[NAME_SIZE], const struct stored *f)
{
	if (f->is_old)
		snprintf(name, NAME_SIZE, "%016" PRIx64 SUFFIX, f->fingerprint);
	else
		snprintf(name, NAME_SIZE, "%016" PRIx64 ".%016" PRIx64 ".%08" PRIx32 SUFFIX,
			 f->fingerprint, f->stamp, f->size);
}

static bool read_digits(const char **at, size_t digits, uint64_t *ret)
{
	*ret = 0;
	for (; digits; digits--, ++*at) {
		if (**at >= '0' && **at <= '9')
			*ret = *ret << 4 | (uint64_t)(**at - '0');
		else if (**at >= 'a' && **at <= 'f')
			*ret = *ret << 4 | (uint64_t)(**at - 'a' + 10);
		else
			return false;
	}
	return true;
}

static bool parse_name(const char *name, struct stored *ret)
{
	uint64_t size = 0;

	*ret = (struct stored){ 0 };
	if (!read_digits(&name, DIGITS, &ret->fingerprint))
		return false;
	ret->is_old = !strcmp(name, SUFFIX);
	if (ret->is_old)
		return true;
	if (*name++ != '.' || !read_digits(&name, DIGITS, &ret->stamp) || *name++ != '.' ||
	    !read_digits(&name, SIZE_DIGITS, &size))
		return false;
	ret->time_ns = ret->stamp;
	ret->size = (uint32_t)size;
	return !strcmp(name, SUFFIX);
}

static uint64_t blocks_bytes(uint64_t size)
{
	return (size + BLOCK - 1) / BLOCK * BLOCK;
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

/* Of a file that only its inode describes. false: it is none of ours. */
static bool stat_stored(int folder, struct stored *f)
{
	char name[NAME_SIZE];
	struct stat file;

	write_name(name, f);
	if (fstatat(folder, name, &file, AT_SYMLINK_NOFOLLOW) < 0 || !is_ours(&file))
		return false;
	if (f->is_old) {
		f->time_ns =
			(uint64_t)file.st_mtim.tv_sec * 1000000000 + (uint64_t)file.st_mtim.tv_nsec;
		f->size = file.st_size < FILE_MAX ? (uint32_t)file.st_size : FILE_MAX;
	}
	return true;
}

static uint64_t realtime_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* The next file of ours; false: no more. Those of older versions are looked at, others seldom. */
static bool next_stored(DIR *list, struct stored *ret)
{
	struct dirent *entry;

	while ((entry = readdir(list))) {
		if (!parse_name(entry->d_name, ret))
			continue;
		if (!ret->is_old && entry->d_type == DT_REG)
			return true;
		if (stat_stored(dirfd(list), ret))
			return true;
	}
	return false;
}

struct stored_list {
	struct stored *files; /* to be freed */
	size_t count;
};

static bool append_stored(struct stored_list *list, const struct stored *f)
{
	struct stored *grown = list->files;

	if (!(list->count & (list->count - 1)))
		grown = realloc(grown, (2 * list->count + 1) * sizeof(*grown));
	if (!grown)
		return false;
	list->files = grown;
	grown[list->count++] = *f;
	return true;
}

static bool has_prefix(uint64_t fingerprint, const char *prefix)
{
	char digits[DIGITS + 1];

	if (!prefix[0])
		return true;
	snprintf(digits, sizeof(digits), "%016" PRIx64, fingerprint);
	return !strncasecmp(digits, prefix, strlen(prefix));
}

/* The files whose names begin with these digits ("": all). */
static struct stored_list list_stored(int folder, const char *prefix)
{
	struct stored_list all = { 0 };
	DIR *list = list_folder(folder);
	uint64_t future = realtime_ns() + FUTURE_NS;
	struct stored f;

	while (list && next_stored(list, &f)) {
		if (f.time_ns > future)
			f.time_ns = 0;
		if (has_prefix(f.fingerprint, prefix) && !append_stored(&all, &f))
			break;
	}
	if (list)
		closedir(list);
	return all;
}

/* --- the size limit --- */

static int compare_stored_age(const void *a, const void *b)
{
	const struct stored *left = a, *right = b;

	return (left->time_ns > right->time_ns) - (left->time_ns < right->time_ns);
}

/* One fingerprint after the other, the oldest line of each first. */
static int compare_fingerprint(const void *a, const void *b)
{
	const struct stored *left = a, *right = b;

	if (left->fingerprint != right->fingerprint)
		return left->fingerprint < right->fingerprint ? -1 : 1;
	return compare_stored_age(a, b);
}

static void remove_stored(struct evidence *e, struct stored *f)
{
	char name[NAME_SIZE];

	write_name(name, f);
	if (stat_stored(e->folder, f))
		unlinkat(e->folder, name, 0);
}

/* Removes what is beyond the latest lines of its fingerprint, from the list, too. */
static void remove_superseded(struct evidence *e, struct stored_list *list)
{
	size_t kept = 0;

	qsort(list->files, list->count, sizeof(*list->files), compare_fingerprint);
	for (size_t i = 0; i < list->count; i++) {
		size_t newer = i + EVIDENCE_KEPT;

		if (newer < list->count &&
		    list->files[newer].fingerprint == list->files[i].fingerprint)
			remove_stored(e, &list->files[i]);
		else
			list->files[kept++] = list->files[i];
	}
	list->count = kept;
}

/* One that another run has removed meanwhile, or that is not ours to remove, does not count either. */
static void remove_oldest(struct evidence *e, struct stored_list *list, uint64_t target)
{
	qsort(list->files, list->count, sizeof(*list->files), compare_stored_age);
	for (size_t i = 0; i < list->count && e->used_bytes > target; i++) {
		e->used_bytes -= blocks_bytes(list->files[i].size);
		remove_stored(e, &list->files[i]);
	}
}

/* Counts what there is. Where `room` more would not fit, a part is freed for those that follow, too. */
static void make_store_room(struct evidence *e, uint64_t room)
{
	struct stored_list list = list_stored(e->folder, "");
	uint64_t target = e->max_bytes - e->max_bytes / FREE_PARTS;

	if (list.count)
		remove_superseded(e, &list);
	e->used_bytes = 0;
	for (size_t i = 0; i < list.count; i++)
		e->used_bytes += blocks_bytes(list.files[i].size);
	if (e->used_bytes + room > e->max_bytes && list.count)
		remove_oldest(e, &list, room < target ? target - room : 0);
	e->uncounted_bytes = 0;
	e->counted = true;
	free(list.files);
}

/* Others write, too: they are counted again after each part of the bound that this run has written. */
static void keep_bound(struct evidence *e, uint64_t room)
{
	if (!e->counted || e->used_bytes + room > e->max_bytes ||
	    e->uncounted_bytes + room > e->max_bytes / COUNT_PARTS)
		make_store_room(e, room);
}

/* --- writing --- */

int evidence_open(const char *path, uint64_t max_bytes, struct evidence **ret_evidence,
		  struct error *error)
{
	struct evidence *e = calloc(1, sizeof(*e));
	char name[128];
	int err = e ? make_folder(path) : -ENOMEM;

	escape_text(name, sizeof(name), path, strlen(path));
	if (e)
		*e = (struct evidence){ .folder = -1, .max_bytes = max_bytes };
	if (!err)
		err = open_store_folder(path, &e->folder);
	if (!err) {
		*ret_evidence = e;
		return 0;
	}
	evidence_free(e);
	error_set(error, -err, EXIT_CANNOT, "cannot store evidence in %s: %s", name,
		  strerror(-err));
	return error_explain(error, NULL,
			     err == -EPERM ? "it must be owned by root or the user running fdtrace "
					     "and not be writable by others"
					   : NULL);
}

void evidence_free(struct evidence *e)
{
	if (!e)
		return;
	if (e->folder >= 0)
		close(e->folder);
	free(e);
}

/* A name that no other line has: in one run by its time; another run's is met when it is there. */
static int create_stored(struct evidence *e, struct stored *f)
{
	uint64_t now = realtime_ns();
	char name[NAME_SIZE];
	int fd;

	f->stamp = now > e->last_stamp ? now : e->last_stamp + 1;
	do {
		write_name(name, f);
		fd = openat(e->folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			    0600);
		if (fd >= 0)
			e->last_stamp = f->stamp;
		f->stamp += fd < 0;
	} while (fd < 0 && errno == EEXIST);
	return fd < 0 ? -errno : fd;
}

static int write_stored(struct evidence *e, struct stored *f, const char *line)
{
	int fd = create_stored(e, f), err;
	char name[NAME_SIZE];

	if (fd < 0)
		return fd;
	err = write_all(fd, line, f->size);
	if (close(fd) < 0 && !err)
		err = -errno;
	write_name(name, f);
	if (err)
		unlinkat(e->folder, name, 0);
	return err;
}

int evidence_put(struct evidence *e, uint64_t fingerprint, const char *line, size_t length)
{
	struct stored f = { .fingerprint = fingerprint, .size = (uint32_t)length };
	uint64_t bytes = blocks_bytes(length);
	int err;

	if (!length || line[length - 1] != '\n')
		return -EINVAL;
	if (bytes > e->max_bytes || length > FILE_MAX)
		return -EFBIG;
	keep_bound(e, bytes);
	err = write_stored(e, &f, line);
	if (err)
		return err;
	e->used_bytes += bytes;
	e->uncounted_bytes += bytes;
	return 0;
}

/* --- reading --- */

struct found {
	unsigned int count;
	char names[512]; /* all fingerprints, as many as fit */
};

static void note_found(struct found *found, uint64_t fingerprint)
{
	size_t done = strlen(found->names);

	found->count++;
	if (done + DIGITS + 2 < sizeof(found->names))
		snprintf(found->names + done, sizeof(found->names) - done, "%s%016" PRIx64,
			 done ? " " : "", fingerprint);
}

static struct found note_fingerprints(const struct stored_list *list)
{
	struct found found = { 0 };

	if (list->count)
		qsort(list->files, list->count, sizeof(*list->files), compare_fingerprint);
	for (size_t i = 0; i < list->count; i++)
		if (!i || list->files[i].fingerprint != list->files[i - 1].fingerprint)
			note_found(&found, list->files[i].fingerprint);
	return found;
}

/* Where the last EVIDENCE_KEPT lines begin. */
static const char *latest_lines(const char *text, size_t *size)
{
	size_t lines = 0, from;

	for (from = *size; from; from--)
		if (text[from - 1] == '\n' && lines++ == EVIDENCE_KEPT)
			break;
	*size -= from;
	return text + from;
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

static int check_prefix(const char *prefix, struct error *error)
{
	size_t length = strspn(prefix, "0123456789abcdefABCDEF");

	if (!prefix[length] && length >= 4 && length <= DIGITS)
		return 0;
	error_set(error, EINVAL, EXIT_USAGE, "a fingerprint has 4 to 16 hexadecimal digits");
	return error_explain(
		error,
		"use the fingerprint shown with a finding: \"fingerprint\" in JSON, the "
		"last column of the "
		"summary",
		NULL);
}

static int cannot_read_evidence(int err, const char *path, struct error *error)
{
	error_set(error, -err, EXIT_CANNOT, "cannot read the evidence in %s: %s", path,
		  strerror(-err));
	return error_explain(
		error,
		err == -EPERM    ? "it is not owned by root or by you, or others may write to it"
		: err == -ENOENT ? "nothing has been stored on this host yet: only runs "
				   "as root store evidence"
				 : NULL,
		err == -EACCES ? "try: with sudo" : NULL);
}

/* A line without its newline is none: whoever wrote it was killed, or is still writing. */
static int append_lines(int folder, const struct stored *f, char **text, size_t *size)
{
	char name[NAME_SIZE], *more = NULL, *grown;
	size_t more_size = 0;
	int err;

	write_name(name, f);
	err = read_evidence_file(folder, name, &more, &more_size);
	while (!err && more_size && more[more_size - 1] != '\n')
		more_size--;
	grown = err ? NULL : realloc(*text, *size + more_size + 1);
	if (grown) {
		memcpy(grown + *size, more, more_size);
		*text = grown;
		*size += more_size;
	}
	free(more);
	return err ? err : grown ? 0 : -ENOMEM;
}

static int read_found(int folder, const struct stored_list *list,
		      int (*line)(void *ctx, const char *line, size_t length), void *ctx,
		      const char *path, struct error *error)
{
	size_t size = 0, i = list->count > EVIDENCE_KEPT ? list->count - EVIDENCE_KEPT : 0;
	const char *latest;
	char *text = NULL;
	int err = 0;

	for (; !err && i < list->count; i++)
		err = append_lines(folder, &list->files[i], &text, &size);
	if (err) {
		free(text);
		return cannot_read_evidence(err, path, error);
	}
	latest = latest_lines(text, &size);
	err = give_lines(latest, size, line, ctx);
	free(text);
	if (!err)
		return 0;
	error_set(error, -err, EXIT_INTERNAL, "cannot print the stored evidence");
	return error_explain(error, strerror(-err), NULL);
}

int evidence_find(const char *path, const char *prefix,
		  int (*line)(void *ctx, const char *line, size_t length), void *ctx,
		  struct error *error)
{
	struct stored_list list;
	struct found found;
	char name[128];
	int folder = -1, err = check_prefix(prefix, error);

	if (err)
		return err;
	escape_text(name, sizeof(name), path, strlen(path));
	err = open_store_folder(path, &folder);
	if (err)
		return cannot_read_evidence(err, name, error);
	list = list_stored(folder, prefix);
	found = note_fingerprints(&list);
	if (!found.count) {
		error_set(error, ENOENT, EXIT_CANNOT, "no evidence of %s in %s", prefix, name);
		err = error_explain(error,
				    "the oldest evidence is removed to make room, and only runs as "
				    "root store any",
				    NULL);
	} else if (found.count > 1) {
		error_set(error, ENOTUNIQ, EXIT_USAGE, "%u fingerprints begin with %s", found.count,
			  prefix);
		err = error_explain(error, found.names, "give more digits");
	} else
		err = read_found(folder, &list, line, ctx, name, error);
	free(list.files);
	close(folder);
	return err;
}
