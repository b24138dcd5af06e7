// SPDX-License-Identifier: BSD-2-Clause
#include "source/replay.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "fdtrace/event.h"
#include "fdtrace/tracefile.h"
#include "util/escape.h"
#include "util/error.h"

#define BUFFER_SIZE (256 * 1024)
#define HEADER_SIZE_MAX 4096

struct replay_source {
	struct source source;
	int fd;
	bool owns_fd;
	bool is_file;
	bool ended;
	size_t used; /* bytes in buffer; the first record begins at its start */
	uint64_t delivered;
	uint64_t unread;
	char damage[256];
	_Alignas(8) unsigned char buffer[BUFFER_SIZE];
};

/* What is known of a kind; name NULL: it is not known here. */
static const struct {
	const char *name;
	uint16_t minimum_size;
} kinds[FDT_EVENT_KINDS] = {
#define KIND_ROW(NAME, number, type, bytes) [number] = { #NAME, bytes },
	FDT_EVENTS(KIND_ROW)
#undef KIND_ROW
};

/* 1204 as "1,204". */
static const char *grouped(uint64_t number, char buffer[32])
{
	char digits[24];
	size_t length = (size_t)snprintf(digits, sizeof(digits), "%" PRIu64, number);
	size_t used = 0;

	for (size_t i = 0; i < length; i++) {
		if (i && (length - i) % 3 == 0)
			buffer[used++] = ',';
		buffer[used++] = digits[i];
	}
	buffer[used] = '\0';
	return buffer;
}

static void damaged(struct replay_source *r, const char *how)
{
	char number[32];

	r->unread++;
	if (!r->damage[0])
		snprintf(r->damage, sizeof(r->damage), "%s after %s record%s", how,
			 grouped(r->delivered, number), r->delivered == 1 ? "" : "s");
}

static int deliver(struct replay_source *r, const struct fdt_head *head, source_event_fn event,
		   void *ctx)
{
	char how[64];

	if (head->kind >= FDT_EVENT_KINDS || !kinds[head->kind].name) {
		r->unread++;
		return 0;
	}
	if (head->size < kinds[head->kind].minimum_size) {
		snprintf(how, sizeof(how), "holds a %s record that is too short",
			 kinds[head->kind].name);
		damaged(r, how);
		return 0;
	}
	r->delivered++;
	return event(ctx, head, head->size);
}

static size_t padded(size_t size)
{
	return (size + 7) & ~(size_t)7;
}

/*
 * Delivers the whole records at the start of the buffer and moves the rest to the front. A
 * size that cannot be leaves no way to find the next record: the stream ends there.
 */
static int deliver_buffer(struct replay_source *r, source_event_fn event, void *ctx)
{
	size_t at = 0;
	int err = 0;

	while (!err && r->used - at >= sizeof(struct fdt_head)) {
		const struct fdt_head *head = (const struct fdt_head *)(r->buffer + at);

		if (head->size < sizeof(*head) || head->size > FDT_SIZE_MAX) {
			damaged(r, "is damaged");
			r->ended = true;
			at = r->used;
			break;
		}
		if (r->used - at < padded(head->size))
			break;
		at += padded(head->size);
		err = deliver(r, head, event, ctx);
	}
	r->used -= at;
	memmove(r->buffer, r->buffer + at, r->used);
	return err;
}

/* What the writer left behind when it was stopped in the middle of a record. */
static int end_of_file(struct replay_source *r)
{
	r->ended = true;
	if (r->used)
		damaged(r, "is cut");
	return 1;
}

static int replay_drain(struct source *source, source_event_fn event, void *ctx,
			struct error *error)
{
	struct replay_source *r = (struct replay_source *)source;
	ssize_t got;
	int err;

	if (r->ended)
		return 1;
	got = read(r->fd, r->buffer + r->used, BUFFER_SIZE - r->used);
	if (got < 0 && (errno == EINTR || errno == EAGAIN))
		return 0;
	if (got < 0) {
		error_set(error, errno, EXIT_CANNOT, "cannot go on reading the recording");
		return error_explain(error, strerror(errno), NULL);
	}
	if (got == 0)
		return end_of_file(r);
	r->used += (size_t)got;
	err = deliver_buffer(r, event, ctx);
	if (err)
		return err;
	return r->ended;
}

static int replay_start(struct source *source, source_event_fn event, void *ctx,
			struct error *error)
{
	(void)source;
	(void)event;
	(void)ctx;
	(void)error;
	return 0;
}

static int replay_poll_fd(const struct source *source)
{
	const struct replay_source *r = (const struct replay_source *)source;

	return r->is_file ? -1 : r->fd;
}

static int replay_snapshot(struct source *source, unsigned int why, source_event_fn event,
			   void *ctx, struct error *error)
{
	(void)source;
	(void)why;
	(void)event;
	(void)ctx;
	return error_set(error, ENOTSUP, EXIT_INTERNAL, "a recording has no tables to look at");
}

static void replay_free(struct source *source)
{
	struct replay_source *r = (struct replay_source *)source;

	if (r->owns_fd)
		close(r->fd);
	free(r);
}

static const struct source_ops replay_ops = {
	.start = replay_start,
	.poll_fd = replay_poll_fd,
	.drain = replay_drain,
	.snapshot = replay_snapshot,
	.free = replay_free,
};

/* Reads exactly size bytes unless the file ends before; the number read, or -errno. */
static ssize_t read_full(int fd, void *data, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t got = read(fd, (char *)data + done, size - done);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		done += (size_t)got;
	}
	return (ssize_t)done;
}

struct opening {
	char name[128]; /* of the file, safe to print */
	struct error *error;
};

static int replay_refuse(const struct opening *o, int err, const char *cause)
{
	error_set(o->error, err, EXIT_CANNOT, "cannot replay %s", o->name);
	return error_explain(o->error, cause, NULL);
}

static int check_header(const struct opening *o, const struct fdt_tracefile_header *header,
			size_t got)
{
	char cause[128];

	if (got == 0)
		return replay_refuse(o, ENODATA, "the file is empty");
	if (memcmp(header->magic, FDT_TRACEFILE_MAGIC, got < 8 ? got : 8) != 0)
		return replay_refuse(o, EINVAL, "it is not a recording made with fdtrace -r");
	if (got < sizeof(*header))
		return replay_refuse(o, ENODATA, "the recording is cut within its header");
	if (header->byte_order != FDT_TRACEFILE_BYTE_ORDER)
		return replay_refuse(o, EPROTO,
				     "it was recorded on a machine of the other byte order");
	if (header->abi != FDT_ABI) {
		snprintf(cause, sizeof(cause),
			 "its format is %" PRIu32
			 ", this fdtrace reads format %d: use the fdtrace that recorded it",
			 header->abi, FDT_ABI);
		return replay_refuse(o, EPROTO, cause);
	}
	if (header->header_size < sizeof(*header) || header->header_size > HEADER_SIZE_MAX ||
	    header->header_size % 8)
		return replay_refuse(o, EINVAL, "its header is damaged");
	return 0;
}

static int read_header(const struct opening *o, int fd)
{
	struct fdt_tracefile_header header = { 0 };
	char rest[HEADER_SIZE_MAX];
	ssize_t got = read_full(fd, &header, sizeof(header));
	int err;

	if (got < 0)
		return replay_refuse(o, (int)-got, strerror((int)-got));
	err = check_header(o, &header, (size_t)got);
	if (err)
		return err;
	got = read_full(fd, rest, header.header_size - sizeof(header));
	if (got < 0)
		return replay_refuse(o, (int)-got, strerror((int)-got));
	if ((size_t)got < header.header_size - sizeof(header))
		return replay_refuse(o, ENODATA, "the recording is cut within its header");
	return 0;
}

static int replay_new(const struct opening *o, int fd, bool owns_fd, struct source **ret_source)
{
	struct replay_source *r;
	struct stat st;
	int err = read_header(o, fd);

	if (err)
		return err;
	r = malloc(sizeof(*r));
	if (!r)
		return replay_refuse(o, ENOMEM, strerror(ENOMEM));
	memset(r, 0, offsetof(struct replay_source, buffer));
	r->source.ops = &replay_ops;
	r->fd = fd;
	r->owns_fd = owns_fd;
	r->is_file = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
	*ret_source = &r->source;
	return 0;
}

int replay_source_open(const char *path, struct source **ret_source, struct error *error)
{
	struct opening o = { .error = error };
	int fd, err;

	if (strcmp(path, "-") == 0) {
		snprintf(o.name, sizeof(o.name), "standard input");
		return replay_new(&o, STDIN_FILENO, false, ret_source);
	}
	escape_text(o.name, sizeof(o.name), path, strlen(path));
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return replay_refuse(&o, errno, strerror(errno));
	err = replay_new(&o, fd, true, ret_source);
	if (err)
		close(fd);
	return err;
}

const char *replay_source_damage(const struct source *source)
{
	const struct replay_source *r = (const struct replay_source *)source;

	return r->damage[0] ? r->damage : NULL;
}

uint64_t replay_source_unread(const struct source *source)
{
	return ((const struct replay_source *)source)->unread;
}
