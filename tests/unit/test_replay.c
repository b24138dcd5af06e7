// SPDX-License-Identifier: BSD-2-Clause
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <unistd.h>

#include "fdtrace/event.h"
#include "fdtrace/tracefile.h"
#include "source/replay.h"
#include "util/error.h"

/* A recording in memory, behind a descriptor that is read as standard input or by path. */
struct recording {
	_Alignas(8) unsigned char data[1 << 20];
	size_t size;
	char path[32];
};

static struct recording rec;

static void begin(void)
{
	struct fdt_tracefile_header header = { .magic = FDT_TRACEFILE_MAGIC,
					       .abi = FDT_ABI,
					       .byte_order = FDT_TRACEFILE_BYTE_ORDER,
					       .header_size = sizeof(header) };

	memset(&rec, 0, sizeof(rec));
	memcpy(rec.data, &header, sizeof(header));
	rec.size = sizeof(header);
}

/* A record of `size` bytes with these in its head; the rest zero. */
static struct fdt_head *add(unsigned int kind, size_t size)
{
	struct fdt_head *head = (struct fdt_head *)(rec.data + rec.size);

	head->kind = (__u8)kind;
	head->size = (__u16)size;
	rec.size += (size + 7) & ~(size_t)7;
	return head;
}

static struct source *open_recording(struct error *error, int expected)
{
	struct source *source = NULL;
	int fd;

	strcpy(rec.path, "/tmp/test_replay.XXXXXX");
	fd = mkstemp(rec.path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, rec.data, rec.size), (ssize_t)rec.size);
	close(fd);
	assert_int_equal(replay_source_open(rec.path, &source, error), expected);
	unlink(rec.path);
	return source;
}

struct seen {
	unsigned int count;
	unsigned char kinds[64];
	size_t bytes;
	int answer;             /* what the callback gives back ... */
	unsigned int answer_at; /* ... at this event, from 1 */
};

static int on_event(void *ctx, const void *event, size_t size)
{
	struct seen *seen = ctx;
	const struct fdt_head *head = event;

	assert_int_equal(head->size, size);
	assert_int_equal((uintptr_t)event % 8, 0);
	if (seen->count < sizeof(seen->kinds))
		seen->kinds[seen->count] = head->kind;
	seen->count++;
	seen->bytes += size;
	return seen->count == seen->answer_at ? seen->answer : 0;
}

/* Drains to the end. */
static void drain_all(struct source *source, struct seen *seen)
{
	struct error error;
	int err = source->ops->start(source, on_event, seen, &error);

	while (!err)
		err = source->ops->drain(source, on_event, seen, &error);
	assert_int_equal(err, 1);
	assert_int_equal(source->ops->drain(source, on_event, seen, &error), 1);
}

static void events_come_in_order(void **state)
{
	struct seen seen = { 0 };
	struct error error;
	struct source *source;

	(void)state;
	begin();
	add(FDT_META, sizeof(struct fdt_meta) + 5);
	add(FDT_VEC, sizeof(struct fdt_vec));
	add(FDT_SLOT, sizeof(struct fdt_slot));
	add(FDT_TICK, sizeof(struct fdt_head));
	source = open_recording(&error, 0);
	assert_int_equal(source->ops->poll_fd(source), -1);
	drain_all(source, &seen);
	assert_int_equal(seen.count, 4);
	assert_memory_equal(seen.kinds,
			    ((unsigned char[]){ FDT_META, FDT_VEC, FDT_SLOT, FDT_TICK }), 4);
	assert_null(replay_source_damage(source));
	assert_true(replay_source_unread(source) == 0);
	source_free(source);
}

static void many_records_cross_the_buffer(void **state)
{
	struct seen seen = { 0 };
	struct error error;
	struct source *source;

	(void)state;
	begin();
	for (int i = 0; i < 400; i++) {
		add(FDT_VEC, sizeof(struct fdt_vec));
		add(FDT_NAME, sizeof(struct fdt_name) + (size_t)i % 13);
	}
	source = open_recording(&error, 0);
	drain_all(source, &seen);
	assert_int_equal(seen.count, 800);
	assert_null(replay_source_damage(source));
	source_free(source);
}

static void unknown_kinds_are_passed_over(void **state)
{
	struct seen seen = { 0 };
	struct error error;
	struct source *source;

	(void)state;
	begin();
	add(0, 32);
	add(200, 4096);
	add(12, 40);
	add(FDT_TICK, sizeof(struct fdt_head));
	source = open_recording(&error, 0);
	drain_all(source, &seen);
	assert_int_equal(seen.count, 1);
	assert_true(replay_source_unread(source) == 3);
	assert_null(replay_source_damage(source));
	source_free(source);
}

static void a_record_too_short_for_its_kind_is_told(void **state)
{
	struct seen seen = { 0 };
	struct error error;
	struct source *source;

	(void)state;
	begin();
	add(FDT_SLOT, sizeof(struct fdt_slot) - 1);
	add(FDT_TICK, sizeof(struct fdt_head));
	source = open_recording(&error, 0);
	drain_all(source, &seen);
	assert_int_equal(seen.count, 1);
	assert_non_null(strstr(replay_source_damage(source), "too short"));
	source_free(source);
}

/* One byte less than its struct, and it is passed over; the same whole comes through. */
static void every_kind_has_its_size(void **state)
{
	static const struct {
		__u8 kind;
		size_t size;
	} kinds[] = {
#define KIND_ROW(NAME, number, type, bytes) { number, sizeof(struct type) },
		FDT_EVENTS(KIND_ROW)
#undef KIND_ROW
	};
	struct error error;
	struct source *source;

	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct seen seen = { 0 };
		bool is_head = kinds[i].size == sizeof(struct fdt_head);

		begin();
		add(kinds[i].kind, is_head ? kinds[i].size : kinds[i].size - 1);
		add(kinds[i].kind, kinds[i].size);
		source = open_recording(&error, 0);
		drain_all(source, &seen);
		assert_int_equal(seen.count, is_head ? 2 : 1);
		if (!is_head)
			assert_non_null(strstr(replay_source_damage(source), "too short"));
		source_free(source);
	}
}

static void sizes_that_cannot_be_end_it(void **state)
{
	static const size_t sizes[] = { 0, 1, 31, FDT_SIZE_MAX + 1, 65535 };
	struct error error;
	struct source *source;

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct seen seen = { 0 };

		begin();
		add(FDT_TICK, sizeof(struct fdt_head));
		add(FDT_TICK, sizeof(struct fdt_head))->size = (__u16)sizes[i];
		add(FDT_TICK, sizeof(struct fdt_head));
		source = open_recording(&error, 0);
		drain_all(source, &seen);
		assert_int_equal(seen.count, 1);
		assert_string_equal(replay_source_damage(source), "is damaged after 1 record");
		source_free(source);
	}
}

/* Cut anywhere: what is whole is delivered, the rest is told. */
static void a_cut_tail_is_told(void **state)
{
	size_t whole = sizeof(struct fdt_tracefile_header), full;
	struct error error;

	(void)state;
	begin();
	add(FDT_SLOT, sizeof(struct fdt_slot));
	add(FDT_LIMIT, sizeof(struct fdt_limit));
	full = rec.size;
	for (rec.size = whole; rec.size < full; rec.size++) {
		struct seen seen = { 0 };
		struct source *source = open_recording(&error, 0);

		drain_all(source, &seen);
		assert_int_equal(seen.count, rec.size >= whole + sizeof(struct fdt_slot));
		if (rec.size == whole || rec.size == whole + sizeof(struct fdt_slot))
			assert_null(replay_source_damage(source));
		else
			assert_non_null(strstr(replay_source_damage(source), "is cut after"));
		source_free(source);
	}
}

static void refuse(int err, const char *cause)
{
	struct error error = { 0 };

	assert_null(open_recording(&error, err));
	assert_int_equal(error.status, EXIT_CANNOT);
	if (!strstr(error.cause, cause))
		fail_msg("%s", error.cause);
	assert_non_null(strstr(error.what, rec.path));
}

static void what_is_no_recording_is_refused(void **state)
{
	struct fdt_tracefile_header *header = (struct fdt_tracefile_header *)rec.data;
	struct error error = { 0 };
	struct source *source = NULL;

	(void)state;
	begin();
	rec.size = 0;
	refuse(-ENODATA, "empty");
	begin();
	rec.size = 11;
	refuse(-ENODATA, "cut within its header");
	begin();
	memcpy(rec.data, "root:x:0", 8);
	refuse(-EINVAL, "not a recording");
	begin();
	header->byte_order = 0x04030201;
	refuse(-EPROTO, "byte order");
	begin();
	header->abi = FDT_ABI + 1;
	refuse(-EPROTO, "format");
	begin();
	header->header_size = 25;
	refuse(-EINVAL, "damaged");
	begin();
	header->header_size = 0xfffffff8;
	refuse(-EINVAL, "damaged");
	begin();
	header->header_size = 4096;
	refuse(-ENODATA, "cut within its header");
	assert_int_equal(replay_source_open("/tmp", &source, &error), -EISDIR);
	assert_int_equal(replay_source_open("/nonexistent/x", &source, &error), -ENOENT);
	assert_null(source);
}

static void a_longer_header_is_skipped(void **state)
{
	struct fdt_tracefile_header *header = (struct fdt_tracefile_header *)rec.data;
	struct seen seen = { 0 };
	struct error error;
	struct source *source;

	(void)state;
	begin();
	header->header_size = rec.size = 64;
	add(FDT_TICK, sizeof(struct fdt_head));
	source = open_recording(&error, 0);
	drain_all(source, &seen);
	assert_int_equal(seen.count, 1);
	source_free(source);
}

static void the_callback_can_stop_and_go_on(void **state)
{
	struct seen seen = { .answer = -ECANCELED, .answer_at = 2 };
	struct error error;
	struct source *source;

	(void)state;
	begin();
	for (int i = 0; i < 5; i++)
		add(FDT_TICK, sizeof(struct fdt_head));
	source = open_recording(&error, 0);
	assert_int_equal(source->ops->drain(source, on_event, &seen, &error), -ECANCELED);
	assert_int_equal(seen.count, 2);
	source_free(source);
}

/* A pipe that gives a few bytes at a time. */
static void a_pipe_is_read_as_it_fills(void **state)
{
	int saved = dup(STDIN_FILENO), pair[2];
	struct seen seen = { 0 };
	struct source *source = NULL;
	struct error error;
	size_t at = sizeof(struct fdt_tracefile_header);

	(void)state;
	begin();
	add(FDT_SLOT, sizeof(struct fdt_slot));
	add(FDT_TICK, sizeof(struct fdt_head));
	assert_int_equal(pipe(pair), 0);
	assert_int_equal(dup2(pair[0], STDIN_FILENO), STDIN_FILENO);
	assert_int_equal(write(pair[1], rec.data, at), (ssize_t)at);
	assert_int_equal(replay_source_open("-", &source, &error), 0);
	assert_int_equal(source->ops->poll_fd(source), STDIN_FILENO);
	for (; at < rec.size; at += 8) {
		assert_int_equal(write(pair[1], rec.data + at, 8), 8);
		assert_int_equal(source->ops->drain(source, on_event, &seen, &error), 0);
	}
	assert_int_equal(seen.count, 2);
	close(pair[1]);
	drain_all(source, &seen);
	assert_null(replay_source_damage(source));
	source_free(source);
	dup2(saved, STDIN_FILENO);
	close(saved);
	close(pair[0]);
}

/* Bytes at random after a true header: no crash, and nothing outside the promise. */
static void noise_does_no_harm(void **state)
{
	uint64_t random = 88172645463325252u;
	struct error error;

	(void)state;
	for (int round = 0; round < 200; round++) {
		struct seen seen = { 0 };
		struct source *source;

		begin();
		for (size_t i = 0; i < 8192; i++) {
			random ^= random << 13;
			random ^= random >> 7;
			random ^= random << 17;
			rec.data[rec.size++] = (unsigned char)random;
		}
		((struct fdt_head *)(rec.data + 24))->size = 48; /* let it get somewhere */
		source = open_recording(&error, 0);
		drain_all(source, &seen);
		assert_true(seen.bytes <= rec.size);
		source_free(source);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(events_come_in_order),
		cmocka_unit_test(many_records_cross_the_buffer),
		cmocka_unit_test(unknown_kinds_are_passed_over),
		cmocka_unit_test(a_record_too_short_for_its_kind_is_told),
		cmocka_unit_test(every_kind_has_its_size),
		cmocka_unit_test(sizes_that_cannot_be_end_it),
		cmocka_unit_test(a_cut_tail_is_told),
		cmocka_unit_test(what_is_no_recording_is_refused),
		cmocka_unit_test(a_longer_header_is_skipped),
		cmocka_unit_test(the_callback_can_stop_and_go_on),
		cmocka_unit_test(a_pipe_is_read_as_it_fills),
		cmocka_unit_test(noise_does_no_harm),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
