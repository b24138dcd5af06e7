// SPDX-License-Identifier: BSD-2-Clause
#include "run/naming.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "run/sockets.h"

#define WATCHED 1024  /* a power of two */
#define NAME_SIZE 512 /* longer paths are cut */
#define SOCKET_TRIES 3
#define SOCKET_BATCH 64
#define SCANS_MAX 4             /* of socket tables, in one naming_resolve() */
#define CREDIT_MAX_NS 200000000 /* time that scans may take at once ... */
#define CREDIT_SHARE 10         /* ... and one tenth of all time in the long run */

#ifndef BTRFS_SUPER_MAGIC
#define BTRFS_SUPER_MAGIC 0x9123683E
#endif

struct watched {
	uint64_t table;
	uint32_t pid;
	int32_t fd;
	struct fdt_file file; /* all zero: the place is free */
	uint64_t due_ns;
	unsigned int tries;
	bool pending;
};

struct naming {
	struct watched watched[WATCHED];
	unsigned int pending; /* how many of them are */
	unsigned int cursor;  /* where the next round begins */
	uint64_t credit_ns, credited_ns;
};

int naming_new(struct naming **ret_naming)
{
	struct naming *n = calloc(1, sizeof(*n));

	if (!n)
		return -ENOMEM;
	n->credit_ns = CREDIT_MAX_NS;
	*ret_naming = n;
	return 0;
}

void naming_free(struct naming *naming)
{
	free(naming);
}

static uint64_t now_monotonic(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* --- one descriptor --- */

/*
 * btrfs (subvolumes) and overlayfs (layers) show stat(2) another device than the super block's;
 * there the inode number has to do.
 */
static bool devices_differ_by_design(const char *link)
{
	struct statfs fs;

	return statfs(link, &fs) == 0 && (fs.f_type == OVERLAYFS_SUPER_MAGIC ||
					  fs.f_type == (__typeof__(fs.f_type))BTRFS_SUPER_MAGIC);
}

static bool is_same(const char *link, const struct stat *st, const struct fdt_file *file)
{
	uint32_t dev = (uint32_t)(major(st->st_dev) << 20 | minor(st->st_dev));

	if (st->st_ino != file->inode)
		return false;
	return dev == file->dev || devices_differ_by_design(link);
}

/*
 * What the kernel knows without asking the file system: a server of a network or FUSE file
 * system, which may be the traced program itself, could let us wait for ever.
 */
static bool stat_without_asking(int dir, const char *path, int flags, struct stat *ret_stat)
{
	struct statx known;

	if (statx(dir, path, flags | AT_STATX_DONT_SYNC, STATX_INO | STATX_NLINK, &known) < 0)
		return false;
	*ret_stat = (struct stat){ .st_ino = known.stx_ino,
				   .st_nlink = known.stx_nlink,
				   .st_dev = makedev(known.stx_dev_major, known.stx_dev_minor) };
	return true;
}

/* The same for a walk along a path: all of it is cached while the file is open under that name. */
static int open_without_asking(uint32_t pid, const char *path)
{
	struct open_how how = { .flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
				.resolve = RESOLVE_CACHED | RESOLVE_IN_ROOT };
	char text[64];
	int root, fd;

	snprintf(text, sizeof(text), "/proc/%" PRIu32 "/root", pid);
	root = open(text, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return -errno;
	fd = (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
	close(root);
	return fd;
}

/* A file whose own name ends in " (deleted)", rather than one that has lost its name. */
static bool still_there(uint32_t pid, const char *path, const struct stat *st)
{
	int fd = open_without_asking(pid, path);
	struct stat there;
	bool same;

	if (fd < 0)
		return false;
	same = stat_without_asking(fd, "", AT_EMPTY_PATH, &there) && there.st_ino == st->st_ino &&
	       there.st_dev == st->st_dev;
	close(fd);
	return same;
}

static void tidy_path(uint32_t pid, char *path, const struct stat *st)
{
	static const char deleted[] = " (deleted)", memfd[] = "/memfd:";
	size_t length = strlen(path), suffix = sizeof(deleted) - 1;

	if (length < suffix || strcmp(path + length - suffix, deleted) != 0)
		return;
	if (st->st_nlink == 0 && strncmp(path, memfd, sizeof(memfd) - 1) == 0) {
		path[length - suffix] = '\0';
		memmove(path, path + 1, length - suffix);
	} else if (st->st_nlink > 0 && still_there(pid, path, st)) {
		memmove(path + 2, path,
			length + 1); /* the caller left room: "./" says it is no mark */
		memcpy(path, "/.", 2);
	}
}

static int path_name(uint32_t pid, int32_t fd, const struct fdt_file *file, char *buffer,
		     size_t size)
{
	char link[64], path[NAME_SIZE];
	struct stat st;
	ssize_t length;

	snprintf(link, sizeof(link), "/proc/%" PRIu32 "/fd/%" PRId32, pid, fd);
	length = readlink(link, path, sizeof(path) - 3);
	if (length < 0)
		return -errno;
	if (!stat_without_asking(AT_FDCWD, link, 0, &st))
		return -ESTALE;
	path[length] = '\0';
	if (!is_same(link, &st, file))
		return -ESTALE;
	if (strncmp(path, "pipe:", 5) == 0 || strncmp(path, "anon_inode:", 11) == 0)
		return -ENODATA;
	tidy_path(pid, path, &st);
	snprintf(buffer, size, "%s", path);
	return 0;
}

static bool has_credit(struct naming *n)
{
	uint64_t now = now_monotonic();

	n->credit_ns += (now - n->credited_ns) / CREDIT_SHARE;
	if (n->credit_ns > CREDIT_MAX_NS)
		n->credit_ns = CREDIT_MAX_NS;
	n->credited_ns = now;
	return n->credit_ns > CREDIT_MAX_NS / 100;
}

static int scan(struct naming *n, uint32_t pid, enum socket_table table,
		struct socket_query *queries, unsigned int count)
{
	uint64_t spent;
	int err;

	if (!has_credit(n))
		return -EAGAIN;
	err = sockets_lookup(pid, table, queries, count);
	spent = now_monotonic() - n->credited_ns;
	n->credit_ns -= spent < n->credit_ns ? spent : n->credit_ns;
	return err;
}

static int socket_name(struct naming *n, uint32_t pid, const struct fdt_file *file, char *buffer,
		       size_t size)
{
	struct socket_query query = { .inode = file->inode };
	enum socket_table table;
	int err;

	if (!socket_table_of(file->detail, &table))
		return -ENODATA;
	err = scan(n, pid, table, &query, 1);
	if (err)
		return err;
	if (!query.found)
		return -ENODATA;
	snprintf(buffer, size, "%s", query.text);
	return 0;
}

static bool has_name(const struct fdt_file *file)
{
	enum socket_table table;

	switch (file->mode & S_IFMT) {
	case 0: return false;
	case S_IFSOCK: return socket_table_of(file->detail, &table);
	case S_IFIFO: return file->magic != PIPEFS_MAGIC;
	default: return true;
	}
}

int naming_lookup(struct naming *naming, uint32_t pid, int32_t fd, const struct fdt_file *file,
		  char *buffer, size_t size)
{
	if (!has_name(file))
		return -ENODATA;
	if (S_ISSOCK(file->mode))
		return socket_name(naming, pid, file, buffer, size);
	return path_name(pid, fd, file, buffer, size);
}

size_t naming_event(void *event, uint32_t pid, int32_t fd, const struct fdt_file *file,
		    uint64_t time_ns, const char *name)
{
	struct fdt_name *e = event;
	size_t length = strlen(name);

	if (length > NAME_SIZE)
		length = NAME_SIZE;
	memset(e, 0, sizeof(*e));
	e->head.kind = FDT_NAME;
	e->head.size = (uint16_t)(sizeof(*e) + length);
	e->head.tgid = pid;
	e->head.tid = pid;
	e->head.time_ns = time_ns;
	e->fd = fd;
	e->file = *file;
	memcpy(e->text, name, length);
	return e->head.size;
}

/* --- in passing --- */

static struct watched *place_of(struct naming *n, uint64_t table, int32_t fd)
{
	uint64_t mixed = table * UINT64_C(0x9e3779b97f4a7c15);

	return &n->watched[((mixed >> 32) + (uint32_t)fd) & (WATCHED - 1)];
}

static void set_pending(struct naming *n, struct watched *w, bool pending)
{
	n->pending += pending;
	n->pending -= w->pending;
	w->pending = pending;
}

static bool is_about(const struct watched *w, const struct fdt_slot *event)
{
	return w->file.file && w->table == event->head.table && w->fd == event->fd;
}

void naming_note(struct naming *n, const struct fdt_slot *event)
{
	struct watched *w = place_of(n, event->head.table, event->fd);
	const struct fdt_file *file = &event->file;

	if (!file->file || !has_name(file)) {
		if (is_about(w, event)) {
			set_pending(n, w, false);
			w->file.file = 0;
		}
		return;
	}
	if (is_about(w, event) && w->file.file == file->file && w->file.inode == file->inode)
		return;
	set_pending(n, w, true);
	w->table = event->head.table;
	w->pid = event->head.tgid;
	w->fd = event->fd;
	w->file = *file;
	w->due_ns = 0;
	w->tries = 0;
}

struct round {
	struct naming *naming;
	uint64_t now_ns;
	unsigned int budget, scans;
	naming_fn tell;
	void *ctx;
};

static void tell_name(const struct round *r, struct watched *w, const char *name)
{
	_Alignas(8) char event[sizeof(struct fdt_name) + NAME_SIZE];
	size_t size = naming_event(event, w->pid, w->fd, &w->file, r->now_ns, name);

	((struct fdt_name *)event)->head.table = w->table;
	r->tell(r->ctx, (struct fdt_name *)event, size);
}

static void resolve_path(const struct round *r, struct watched *w)
{
	char name[NAME_SIZE];

	set_pending(r->naming, w, false);
	if (path_name(w->pid, w->fd, &w->file, name, sizeof(name)) == 0)
		tell_name(r, w, name);
}

/* Sockets of the same process and table as `first`, itself included: one scan serves all. */
static unsigned int gather(const struct round *r, const struct watched *first,
			   enum socket_table table, struct watched *batch[SOCKET_BATCH],
			   struct socket_query queries[SOCKET_BATCH])
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < WATCHED && count < SOCKET_BATCH; i++) {
		struct watched *w = &r->naming->watched[i];
		enum socket_table own;

		if (!w->pending || w->due_ns > r->now_ns || w->pid != first->pid ||
		    !S_ISSOCK(w->file.mode) || !socket_table_of(w->file.detail, &own) ||
		    own != table)
			continue;
		queries[count].inode = w->file.inode;
		queries[count].found = false;
		batch[count++] = w;
	}
	return count;
}

/* A client's socket is in no table until it is connected: 0.2 s and 2 s later it may be. */
static void try_later(const struct round *r, struct watched *w)
{
	w->due_ns = r->now_ns + (w->tries ? 2000000000 : 200000000);
	if (++w->tries >= SOCKET_TRIES)
		set_pending(r->naming, w, false);
}

static void resolve_sockets(struct round *r, struct watched *first)
{
	struct socket_query queries[SOCKET_BATCH];
	struct watched *batch[SOCKET_BATCH];
	enum socket_table table;
	unsigned int count;
	int err;

	if (r->scans >= SCANS_MAX || !socket_table_of(first->file.detail, &table))
		return;
	r->scans++;
	count = gather(r, first, table, batch, queries);
	err = scan(r->naming, first->pid, table, queries, count);
	if (err == -EAGAIN)
		return;
	for (unsigned int i = 0; i < count; i++) {
		if (!queries[i].found) {
			try_later(r, batch[i]);
			continue;
		}
		set_pending(r->naming, batch[i], false);
		tell_name(r, batch[i], queries[i].text);
	}
}

void naming_resolve(struct naming *n, uint64_t now_ns, unsigned int budget, naming_fn tell,
		    void *ctx)
{
	struct round r = {
		.naming = n, .now_ns = now_ns, .budget = budget, .tell = tell, .ctx = ctx
	};

	for (unsigned int i = 0; i < WATCHED && n->pending && r.budget; i++) {
		struct watched *w = &n->watched[n->cursor++ & (WATCHED - 1)];

		if (!w->pending || w->due_ns > now_ns)
			continue;
		r.budget--;
		if (S_ISSOCK(w->file.mode))
			resolve_sockets(&r, w);
		else
			resolve_path(&r, w);
	}
}
