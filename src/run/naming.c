// SPDX-License-Identifier: BSD-2-Clause
#include "run/naming.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "model/sockets.h"

#define WATCHED 1024  /* a power of two */
#define NAME_SIZE 512 /* longer paths are cut */
#define SOCKET_TRIES 3

struct watched {
	uint64_t table;
	uint32_t pid;
	int32_t fd;
	struct fdt_file file; /* all zero: the entry is free */
	uint64_t due_ns;
	unsigned int tries;
	bool pending;
};

struct naming {
	naming_inspect_fn inspect;
	void *ctx;
	struct watched watched[WATCHED];
	unsigned int pending; /* how many of them are */
	unsigned int cursor;  /* where the next round begins */
};

int naming_new(naming_inspect_fn inspect, void *ctx, struct naming **ret_naming)
{
	struct naming *n = calloc(1, sizeof(*n));

	if (!n)
		return -ENOMEM;
	n->inspect = inspect;
	n->ctx = ctx;
	*ret_naming = n;
	return 0;
}

void naming_free(struct naming *naming)
{
	free(naming);
}

/* --- one descriptor --- */

int naming_inspect(struct naming *naming, uint32_t pid, int32_t fd, const struct fdt_file *file,
		   struct fdt_detail *ret_detail)
{
	struct fdt_detail detail;
	int err = naming->inspect(naming->ctx, pid, fd, &detail);

	if (err)
		return err;
	if (detail.file.file != file->file || detail.file.inode != file->inode ||
	    detail.file.dev != file->dev)
		return -ESTALE;
	*ret_detail = detail;
	return 0;
}

/*
 * The kernel's mark of an unlinked file, " (deleted)", may also be how a file's own name ends;
 * "/." before it then says that it is not the mark. The caller left room.
 */
static void tidy_path(char *path, const struct fdt_detail *detail)
{
	static const char deleted[] = " (deleted)";
	size_t length = strlen(path), suffix = sizeof(deleted) - 1;

	if (length < suffix || strcmp(path + length - suffix, deleted) != 0)
		return;
	if (detail->facts & FDT_FACT_MEMFD) {
		path[length - suffix] = '\0';
		memmove(path, path + 1, length - suffix);
	} else if (!(detail->facts & FDT_FACT_UNLINKED) && detail->links) {
		memmove(path + 2, path, length + 1);
		memcpy(path, "/.", 2);
	}
}

/*
 * No file system is asked: a server of a network or FUSE file system, which may be the traced
 * program itself, could block us for ever. The file is compared after the path was read.
 */
static int path_name(struct naming *n, uint32_t pid, int32_t fd, const struct fdt_file *file,
		     char *buffer, size_t size)
{
	char link[64], path[NAME_SIZE];
	struct fdt_detail detail;
	ssize_t length;
	int err;

	snprintf(link, sizeof(link), "/proc/%" PRIu32 "/fd/%" PRId32, pid, fd);
	length = readlink(link, path, sizeof(path) - 3);
	if (length < 0)
		return -errno;
	path[length] = '\0';
	err = naming_inspect(n, pid, fd, file, &detail);
	if (err)
		return err;
	if (strncmp(path, "pipe:", 5) == 0 || strncmp(path, "anon_inode:", 11) == 0)
		return -ENODATA;
	tidy_path(path, &detail);
	snprintf(buffer, size, "%s", path);
	return 0;
}

static bool is_socket_with_name(uint32_t detail)
{
	switch (FDT_SOCK_FAMILY(detail)) {
	case AF_UNIX: return true;
	case AF_INET:
	case AF_INET6:
		return FDT_SOCK_TYPE(detail) == SOCK_STREAM || FDT_SOCK_TYPE(detail) == SOCK_DGRAM;
	default: return false;
	}
}

static bool has_name(const struct fdt_file *file)
{
	switch (file->mode & S_IFMT) {
	case 0: return false;
	case S_IFSOCK: return is_socket_with_name(file->detail);
	case S_IFIFO: return file->magic != PIPEFS_MAGIC;
	default: return true;
	}
}

int naming_lookup(struct naming *naming, uint32_t pid, int32_t fd, const struct fdt_file *file,
		  char *buffer, size_t size)
{
	struct fdt_detail detail;
	int err;

	if (!has_name(file))
		return -ENODATA;
	if (!S_ISSOCK(file->mode))
		return path_name(naming, pid, fd, file, buffer, size);
	err = naming_inspect(naming, pid, fd, file, &detail);
	if (err)
		return err;
	return socket_name(&detail, buffer, size) ? 0 : -ENODATA;
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

static struct watched *watched_place(struct naming *n, uint64_t table, int32_t fd)
{
	uint64_t mixed = table * HASH_GOLDEN;

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
	struct watched *w = watched_place(n, event->head.table, event->fd);
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

/* As memfd_create(2) makes them: only the name shows it. */
static bool may_be_memfd(const struct fdt_file *file)
{
	return file->file && S_ISREG(file->mode) && (file->mode & 0777) == 0777 &&
	       (file->magic == TMPFS_MAGIC || file->magic == HUGETLBFS_MAGIC);
}

void naming_note_found(struct naming *n, const struct fdt_vec *event)
{
	struct fdt_slot slot = { .head = event->head };

	for (unsigned int i = 0; i < FDT_VEC_SLOTS; i++) {
		if (!may_be_memfd(&event->file[i]))
			continue;
		slot.fd = (int32_t)(event->first_fd + i);
		slot.file = event->file[i];
		naming_note(n, &slot);
	}
}

struct round {
	struct naming *naming;
	uint64_t now_ns;
	naming_fn emit;
	void *ctx;
};

static bool round_takes(const struct round *r, struct watched *w, naming_known_fn known)
{
	if (!w->pending || w->due_ns > r->now_ns)
		return false;
	if (S_ISSOCK(w->file.mode))
		return true;
	set_pending(r->naming, w, false);
	return !known(r->ctx, &w->file);
}

static void emit_name(const struct round *r, const struct watched *w, const char *name)
{
	_Alignas(8) char event[sizeof(struct fdt_name) + NAME_SIZE];
	size_t size = naming_event(event, w->pid, w->fd, &w->file, r->now_ns, name);

	((struct fdt_name *)event)->head.table = w->table;
	r->emit(r->ctx, event, size);
}

static void resolve_path(const struct round *r, struct watched *w)
{
	char name[NAME_SIZE];

	if (path_name(r->naming, w->pid, w->fd, &w->file, name, sizeof(name)) == 0)
		emit_name(r, w, name);
}

/* A client's socket has no name until it is connected: 0.2 s and 2 s later it may have. */
static void try_later(const struct round *r, struct watched *w)
{
	w->due_ns = r->now_ns + (w->tries ? 2000000000 : 200000000);
	if (++w->tries >= SOCKET_TRIES)
		set_pending(r->naming, w, false);
}

static void resolve_socket(const struct round *r, struct watched *w)
{
	struct fdt_detail detail;
	char name[SOCKET_TEXT_SIZE];

	if (naming_inspect(r->naming, w->pid, w->fd, &w->file, &detail)) {
		set_pending(r->naming, w, false);
		return;
	}
	if (!socket_name(&detail, name, sizeof(name))) {
		try_later(r, w);
		return;
	}
	set_pending(r->naming, w, false);
	detail.head.time_ns = r->now_ns;
	r->emit(r->ctx, &detail, sizeof(detail));
	emit_name(r, w, name);
}

void naming_resolve(struct naming *n, uint64_t now_ns, unsigned int budget, naming_known_fn known,
		    naming_fn emit, void *ctx)
{
	struct round r = { .naming = n, .now_ns = now_ns, .emit = emit, .ctx = ctx };

	for (unsigned int i = 0; i < WATCHED && n->pending && budget; i++) {
		struct watched *w = &n->watched[n->cursor++ & (WATCHED - 1)];

		if (!round_takes(&r, w, known))
			continue;
		budget--;
		if (S_ISSOCK(w->file.mode))
			resolve_socket(&r, w);
		else
			resolve_path(&r, w);
	}
}
