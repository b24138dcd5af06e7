// SPDX-License-Identifier: BSD-2-Clause
/* What FDT_DETAIL events and names do to findings. */
#include "stream.h"

#include <linux/magic.h>

#define OTHER_TABLE (TABLE + 4096)
#define OTHER_PID 200

static struct fdt_file pipe_end(uint64_t number, unsigned int access)
{
	return (struct fdt_file){ .file = 0xffff888100000000ull + number,
				  .inode = 77,
				  .dev = 14,
				  .magic = PIPEFS_MAGIC,
				  .mode = S_IFIFO | 0600,
				  .flags = (uint16_t)access };
}

static void put_file(struct stream *s, uint32_t pid, uint64_t table, int fd, struct fdt_file file)
{
	struct fdt_slot slot = { .head = { .kind = FDT_SLOT,
					   .op = FDT_OP_OPEN,
					   .size = sizeof(slot),
					   .syscall = FDT_SYS_pipe2,
					   .tgid = pid,
					   .tid = pid,
					   .time_ns = s->now_ns,
					   .table = table },
				 .fd = fd,
				 .file = file };

	stream_apply(s, &slot);
}

static struct fdt_detail pipe_detail(struct fdt_file file, uint32_t readers, uint32_t writers)
{
	return (struct fdt_detail){ .head = { .kind = FDT_DETAIL,
					      .size = sizeof(struct fdt_detail) },
				    .facts = FDT_FACT_PIPE,
				    .file = file,
				    .readers = readers,
				    .writers = writers };
}

/* One byte less than the struct of its kind is malformed, whatever is in it. */
static void short_events_are_malformed(void **state)
{
	static const struct {
		uint8_t kind;
		uint16_t size;
	} kinds[] = {
#define KIND_ROW(NAME, number, type, bytes) { number, sizeof(struct type) },
		FDT_EVENTS(KIND_ROW)
#undef KIND_ROW
	};
	_Alignas(8) static char event[FDT_SIZE_MAX];
	struct fdt_head *head = (struct fdt_head *)event;
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_PID);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		assert_true(kinds[i].size <= sizeof(event));
		head->kind = kinds[i].kind;
		head->size = (uint16_t)(kinds[i].size - 1);
		assert_int_equal(engine_apply(s.engine, event, head->size), -EINVAL);
	}
	stream_end(&s);
}

static struct other_end seen;

static void keep_other_end(void *ctx, const struct finding *f)
{
	(void)ctx;
	seen = f->other_end;
}

/* PID leaves the write end open; OTHER_PID has whatever it has. */
static void leak_at_exit(struct stream *s, const struct fdt_detail *detail)
{
	if (detail)
		stream_apply(s, detail);
	seen = (struct other_end){ 0 };
	task(s, FDT_OP_EXIT, PID, PID, TABLE, 0, FDT_TASK_LAST);
}

static void begin(struct stream *s)
{
	static const struct engine_listener listener = { .finding = keep_other_end };
	struct engine_options options;

	stream_start(s, ENGINE_COMMAND);
	engine_free(s->engine);
	options = stream_options(s, ENGINE_COMMAND);
	options.listener = &listener;
	assert_int_equal(engine_new(&options, &s->engine), 0);
	task(s, FDT_OP_SNAPSHOT, PID, PID, TABLE, 0, 0);
	task(s, FDT_OP_SNAPSHOT, OTHER_PID, OTHER_PID, OTHER_TABLE, 0, 0);
	put_file(s, PID, TABLE, 5, pipe_end(1, O_WRONLY));
}

static void the_other_end_is_the_reader(void **state)
{
	struct stream s;

	(void)state;
	begin(&s);
	put_file(&s, OTHER_PID, OTHER_TABLE, 9, pipe_end(2, O_RDONLY));
	put_file(&s, OTHER_PID, OTHER_TABLE, 8, pipe_end(1, O_WRONLY)); /* the same end */
	leak_at_exit(&s, NULL);
	assert_true(seen.present && !seen.closed && !seen.elsewhere);
	assert_int_equal(seen.holder_total, 1);
	assert_int_equal(seen.holders[0].pid, OTHER_PID);
	assert_int_equal(seen.holders[0].fd, 9);
	stream_end(&s);
}

static void holders_come_in_order_and_are_bounded(void **state)
{
	struct stream s;

	(void)state;
	begin(&s);
	for (int fd = 20; fd > 10; fd--)
		put_file(&s, OTHER_PID, OTHER_TABLE, fd, pipe_end(2, O_RDONLY));
	leak_at_exit(&s, NULL);
	assert_int_equal(seen.holder_total, 10);
	assert_int_equal(seen.holder_count, FINDING_HOLDERS_MAX);
	for (int i = 0; i < FINDING_HOLDERS_MAX; i++)
		assert_int_equal(seen.holders[i].fd, 11 + i);
	stream_end(&s);
}

static void no_readers_means_closed(void **state)
{
	struct fdt_detail detail = pipe_detail(pipe_end(1, O_WRONLY), 0, 1);
	struct stream s;

	(void)state;
	begin(&s);
	leak_at_exit(&s, &detail);
	assert_true(seen.closed);
	stream_end(&s);
}

static void a_reader_who_is_not_traced(void **state)
{
	struct fdt_detail detail = pipe_detail(pipe_end(1, O_WRONLY), 1, 1);
	struct stream s;

	(void)state;
	begin(&s);
	leak_at_exit(&s, &detail);
	assert_true(seen.elsewhere && !seen.closed);
	stream_end(&s);
}

/* The number is the same, the file is not. */
static void a_detail_of_another_file_is_not_believed(void **state)
{
	struct fdt_detail detail = pipe_detail(pipe_end(3, O_WRONLY), 0, 1);
	struct stream s;

	(void)state;
	begin(&s);
	leak_at_exit(&s, &detail);
	assert_true(seen.present && !seen.closed && !seen.elsewhere);
	stream_end(&s);
}

static void a_name_longer_than_its_place_is_malformed(void **state)
{
	struct fdt_detail detail = pipe_detail(pipe_end(1, O_WRONLY), 0, 1);
	struct stream s;

	(void)state;
	begin(&s);
	detail.name_size = FDT_DETAIL_NAME_MAX + 1;
	assert_int_equal(engine_apply(s.engine, &detail, sizeof(detail)), -EINVAL);
	detail.name_size = FDT_DETAIL_NAME_MAX;
	assert_int_equal(engine_apply(s.engine, &detail, sizeof(detail) - 1), -EINVAL);
	assert_int_equal(engine_apply(s.engine, &detail, sizeof(detail)), 0);
	stream_end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(short_events_are_malformed),
		cmocka_unit_test(the_other_end_is_the_reader),
		cmocka_unit_test(holders_come_in_order_and_are_bounded),
		cmocka_unit_test(no_readers_means_closed),
		cmocka_unit_test(a_reader_who_is_not_traced),
		cmocka_unit_test(a_detail_of_another_file_is_not_believed),
		cmocka_unit_test(a_name_longer_than_its_place_is_malformed),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
