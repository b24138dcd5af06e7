// SPDX-License-Identifier: BSD-2-Clause
#include "output/record.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fdtrace/event.h"
#include "fdtrace/tracefile.h"
#include "util/io.h"

#define BUFFER_BYTES 65536
#define ALIGNMENT 8

struct recorder {
	int fd;
	int err; /* the first one; nothing is written after it */
	size_t used;
	char buffer[BUFFER_BYTES];
};

static size_t padded_size(size_t size)
{
	return (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

int recorder_new(int fd, struct recorder **ret_recorder)
{
	struct fdt_tracefile_header header = {
		.magic = FDT_TRACEFILE_MAGIC,
		.byte_order = FDT_TRACEFILE_BYTE_ORDER,
		.abi = FDT_ABI,
		.header_size = sizeof(header),
	};
	struct recorder *recorder;
	int err;

	err = write_all(fd, &header, sizeof(header));
	if (err)
		return err;
	recorder = malloc(sizeof(*recorder));
	if (!recorder)
		return -ENOMEM;
	recorder->fd = fd;
	recorder->err = 0;
	recorder->used = 0;
	*ret_recorder = recorder;
	return 0;
}

/* Bytes of the buffer's whole records among the first `written`. */
static size_t whole_records(const struct recorder *recorder, size_t written)
{
	size_t done = 0;

	while (done < recorder->used) {
		struct fdt_head head;
		size_t size;

		memcpy(&head, recorder->buffer + done, sizeof(head));
		size = padded_size(head.size);
		if (size > written - done)
			break;
		done += size;
	}
	return done;
}

/*
 * After a failed write a file ends in the middle of a record: the part is cut off. A pipe
 * cannot be cut, but its reader copes with a cut tail.
 */
static void cut_to_whole_records(const struct recorder *recorder, off_t begin)
{
	off_t end = lseek(recorder->fd, 0, SEEK_CUR), whole;

	if (begin < 0 || end < begin || (size_t)(end - begin) > recorder->used)
		return;
	whole = begin + (off_t)whole_records(recorder, (size_t)(end - begin));
	if (whole < end && !ftruncate(recorder->fd, whole))
		lseek(recorder->fd, whole, SEEK_SET);
}

int recorder_flush(struct recorder *recorder)
{
	off_t begin;

	if (recorder->err || !recorder->used)
		return recorder->err;
	begin = lseek(recorder->fd, 0, SEEK_CUR);
	recorder->err = write_all(recorder->fd, recorder->buffer, recorder->used);
	if (recorder->err)
		cut_to_whole_records(recorder, begin);
	recorder->used = 0;
	return recorder->err;
}

int recorder_write(struct recorder *recorder, const void *event, size_t size)
{
	struct fdt_head head;

	if (recorder->err)
		return recorder->err;
	if (size < sizeof(head) || size > FDT_SIZE_MAX)
		return -EINVAL;
	memcpy(&head, event, sizeof(head));
	if (head.size != size)
		return -EINVAL;
	if (padded_size(size) > BUFFER_BYTES - recorder->used && recorder_flush(recorder))
		return recorder->err;
	memcpy(recorder->buffer + recorder->used, event, size);
	memset(recorder->buffer + recorder->used + size, 0, padded_size(size) - size);
	recorder->used += padded_size(size);
	return 0;
}

int recorder_free(struct recorder *recorder)
{
	int err;

	if (!recorder)
		return 0;
	err = recorder_flush(recorder);
	free(recorder);
	return err;
}
