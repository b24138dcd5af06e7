// SPDX-License-Identifier: BSD-2-Clause
/* Tables: what events make of them, in whatever order they are heard. */
#include <limits.h>

#include "stream.h"

#include "engine/engine_private.h"

#define CHILD 200
#define CHILD_TABLE 0xffff888000002000ull

static void opens_and_closes(void **state)
{
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_PID);
	opens(&s, PID, 3, 1);
	opens(&s, PID, 4, 2);
	closes(&s, PID, 3);
	opens(&s, PID, 3, 3);
	assert_int_equal(filled_bits(&s, PID), 1 << 3 | 1 << 4);
	assert_int_equal(s.changes, 4);
	assert_int_equal(s.kept_count, 0);
	stream_end(&s);
}

/* B's open of the number A has closed is heard first; A's close then sees the new file. */
static void close_heard_after_reuse(void **state)
{
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_PID);
	opens(&s, PID, 3, 1);
	opens(&s, PID + 1, 3, 2);
	put(&s, FDT_OP_CLOSE, FDT_SYS_close, PID, 3, a_file(2));
	assert_int_equal(filled_bits(&s, PID), 1 << 3);
	closes(&s, PID + 1, 3);
	fails(&s, FDT_SYS_read, PID + 2, 3, EBADF);
	assert_int_equal(only_finding(&s, RULE_CLOSE_UNOWNED)->generation, 2);
	assert_int_equal(s.kept[0].closed_tid, PID + 1);
	assert_int_equal(s.kept[0].history_count, 1);
	stream_end(&s);
}

/* A's close is heard first but already sees the file B has opened since. */
static void close_sees_the_next_file(void **state)
{
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_PID);
	opens(&s, PID, 3, 1);
	put(&s, FDT_OP_CLOSE, FDT_SYS_close, PID, 3, a_file(2));
	opens(&s, PID + 1, 3, 2);
	closes(&s, PID + 5, 3);
	fails(&s, FDT_SYS_read, PID + 1, 3, EBADF);
	assert_int_equal(only_finding(&s, RULE_CLOSE_UNOWNED)->generation, 2);
	assert_int_equal(s.kept[0].opened_tid, PID + 1);
	assert_int_equal(s.kept[0].closed_tid, PID + 5);
	stream_end(&s);
}

/* The open is heard when another thread has closed the number already. */
static void open_sees_nothing(void **state)
{
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_PID);
	put(&s, FDT_OP_OPEN, FDT_SYS_openat, PID, 3, (struct fdt_file){ 0 });
	closes(&s, PID + 1, 3);
	assert_int_equal(filled_bits(&s, PID), 0);
	fails(&s, FDT_SYS_read, PID, 3, EBADF);
	assert_int_equal(only_finding(&s, RULE_CLOSE_UNOWNED)->opened_tid, PID);
	assert_int_equal(s.kept[0].closed_tid, PID + 1);
	stream_end(&s);
}

static void fork_copies_openers(void **state)
{
	const uint64_t files[] = { 0, 0, 0, 1, 2 };
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_PID);
	opens(&s, PID, 3, 1);
	opens(&s, PID + 1, 4, 2);
	task(&s, FDT_OP_FORK, CHILD, CHILD, CHILD_TABLE, PID, 0);
	vec(&s, FDT_OP_FORK, CHILD, CHILD_TABLE, 5, files);
	assert_int_equal(filled_bits(&s, CHILD), 1 << 3 | 1 << 4);
	closes(&s, PID, 3);
	assert_int_equal(filled_bits(&s, CHILD), 1 << 3 | 1 << 4);
	assert_int_equal(filled_bits(&s, PID), 1 << 4);
	stream_end(&s);
}

static void thread_shares_the_table(void **state)
{
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_PID);
	opens(&s, PID, 3, 1);
	task(&s, FDT_OP_FORK, PID, PID + 1, TABLE, PID, FDT_TASK_THREAD | FDT_TASK_SHARED);
	task(&s, FDT_OP_EXIT, PID, PID, TABLE, 0, 0);
	assert_int_equal(filled_bits(&s, PID), 1 << 3);
	task(&s, FDT_OP_EXIT, PID, PID + 1, TABLE, 0, FDT_TASK_LAST);
	assert_int_equal(engine_each_slot(s.engine, PID, note_slot, &(struct filled){ 0 }), -ESRCH);
	stream_end(&s);
}

static void thread_ends(struct stream *s, uint32_t tid, unsigned int flags, int32_t exit_code)
{
	struct fdt_task e = a_task(s, FDT_OP_EXIT, PID, tid, TABLE);

	e.head.flags = (uint16_t)flags;
	e.exit_code = exit_code;
	stream_apply(s, &e);
}

/* The last to end is a thread of io_uring's, of which nothing was heard before. */
static void a_thread_never_announced_ends_last(void **state)
{
	struct process *process;
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_COMMAND);
	opens(&s, PID, 3, 1);
	process = process_ref(map_get(&s.engine->processes, PID));
	thread_ends(&s, PID, 0, 256);
	assert_int_equal(filled_bits(&s, PID), 1 << 3);
	assert_int_equal(s.exits, 0);
	thread_ends(&s, PID + 1, FDT_TASK_LAST, 0);
	assert_int_equal(engine_each_slot(s.engine, PID, note_slot, &(struct filled){ 0 }), -ESRCH);
	assert_int_equal(s.exits, 1);
	assert_int_equal(process->exit_code, 256);
	only_finding(&s, RULE_LEAK_EXIT);
	process_unref(&s.engine->mem, process);
	stream_end(&s);
}

static void exec_from_a_thread_closes_on_exec(void **state)
{
	const uint64_t survivors[] = { 0, 0, 0, 0, 2 };
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_PID);
	opens(&s, PID, 3, 1);
	opens(&s, PID + 7, 4, 2);
	task(&s, FDT_OP_EXIT, PID, PID, TABLE, 0, 0);
	task(&s, FDT_OP_EXEC, PID, PID, TABLE, PID + 7, 0);
	vec(&s, FDT_OP_EXEC, PID, TABLE, 5, survivors);
	assert_int_equal(filled_bits(&s, PID), 1 << 4);
	stream_end(&s);
}

/* The kernel reuses a files_struct address at once: birth clears what was known of it. */
static void address_reuse(void **state)
{
	const uint64_t files[] = { 0, 0, 0, 0, 0, 9 };
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_PID);
	opens(&s, PID, 3, 1);
	task(&s, FDT_OP_FORK, CHILD, CHILD, TABLE, 1, 0);
	vec(&s, FDT_OP_FORK, CHILD, TABLE, 6, files);
	assert_int_equal(filled_bits(&s, CHILD), 1 << 5);
	task(&s, FDT_OP_EXIT, PID, PID, TABLE, 0, FDT_TASK_LAST);
	assert_int_equal(filled_bits(&s, CHILD), 1 << 5);
	stream_end(&s);
}

static void pid_reuse(void **state)
{
	struct stream s;
	struct fdt_task again;

	(void)state;
	stream_start(&s, ENGINE_PID);
	opens(&s, PID, 3, 1);
	task(&s, FDT_OP_SNAPSHOT, PID, PID, TABLE, 0, 0);
	again = a_task(&s, FDT_OP_SNAPSHOT, PID, PID, CHILD_TABLE);
	again.start_ns += S;
	stream_apply(&s, &again);
	assert_int_equal(filled_bits(&s, PID), 0);
	stream_end(&s);
}

static void close_range_clears_only_empty_slots(void **state)
{
	struct fdt_words e;
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_PID);
	for (int fd = 3; fd < 8; fd++)
		opens(&s, PID, fd, fd);
	e = (struct fdt_words){ .head = HEAD(&s, FDT_WORDS, FDT_OP_RANGE, fdt_words, PID, PID,
					     TABLE),
				.max_fds = 64,
				.low = 4,
				.high = 6,
				.word = { 1 << 3 | 1 << 5 | 1 << 7 } };
	e.head.syscall = FDT_SYS_close_range;
	stream_apply(&s, &e);
	assert_int_equal(filled_bits(&s, PID), 1 << 3 | 1 << 5 | 1 << 7);
	stream_end(&s);
}

static void border(struct stream *s, enum fdt_op op)
{
	struct fdt_head event = HEAD(s, FDT_SNAPSHOT, op, fdt_head, 0, 0, 0);

	event.flags = FDT_WHY_AUDIT;
	stream_apply(s, &event);
}

static void snapshot(struct stream *s, int count, const uint64_t *files)
{
	border(s, FDT_OP_BEGIN);
	task(s, FDT_OP_SNAPSHOT, PID, PID, TABLE, 0, 0);
	vec(s, FDT_OP_SNAPSHOT, PID, TABLE, count, files);
	border(s, FDT_OP_END);
}

static uint64_t corrections(struct stream *s)
{
	struct engine_counters counters;

	engine_counters(s->engine, &counters);
	return counters.corrections;
}

static void audit_counts_only_what_stays_unexplained(void **state)
{
	const uint64_t before[] = { 0, 0, 0, 1 }, after[] = { 0, 0, 0, 1, 2, 3 };
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_PID);
	snapshot(&s, 4, before);
	assert_int_equal(filled_bits(&s, PID), 1 << 3);
	snapshot(&s, 6, after);
	opens(&s, PID, 4, 2); /* was on its way; number 5 was never heard of */
	snapshot(&s, 6, after);
	assert_int_equal(corrections(&s), 1);
	snapshot(&s, 6, after);
	assert_int_equal(corrections(&s), 1);
	assert_int_equal(filled_bits(&s, PID), 1 << 3 | 1 << 4 | 1 << 5);
	stream_end(&s);
}

/* The end of a thread was lost: its table must not live on for ever. */
static void vanished_tasks_end_at_the_second_look(void **state)
{
	const uint64_t files[] = { 0, 0, 0, 1 };
	struct engine_counters counters;
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_PID);
	snapshot(&s, 4, files);
	task(&s, FDT_OP_FORK, CHILD, CHILD, CHILD_TABLE, PID, 0);
	vec(&s, FDT_OP_FORK, CHILD, CHILD_TABLE, 4, files);
	snapshot(&s, 4, files);
	assert_int_equal(filled_bits(&s, CHILD), 1 << 3);
	snapshot(&s, 4, files);
	assert_int_equal(engine_each_slot(s.engine, CHILD, note_slot, &(struct filled){ 0 }),
			 -ESRCH);
	assert_int_equal(filled_bits(&s, PID), 1 << 3);
	engine_counters(s.engine, &counters);
	assert_int_equal(counters.tasks, 1);
	stream_end(&s);
}

/* However many they are: a fork bomb may end while nobody reads. */
static void a_crowd_vanishes_at_once(void **state)
{
	const uint64_t files[] = { 0, 0, 0, 1 };
	struct engine_counters counters;
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_PID);
	snapshot(&s, 4, files);
	for (uint32_t i = 0; i < 1000; i++)
		task(&s, FDT_OP_FORK, CHILD + i, CHILD + i, CHILD_TABLE + i * 4096, PID, 0);
	snapshot(&s, 4, files);
	engine_counters(s.engine, &counters);
	assert_int_equal(counters.tasks, 1001);
	snapshot(&s, 4, files);
	engine_counters(s.engine, &counters);
	assert_int_equal(counters.tasks, 1);
	assert_int_equal(counters.tables, 1);
	assert_int_equal(filled_bits(&s, PID), 1 << 3);
	stream_end(&s);
}

static void loss_marks_findings_until_the_next_snapshot(void **state)
{
	struct fdt_loss loss;
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_PID);
	opens(&s, PID, 3, 1);
	loss = (struct fdt_loss){ .head = HEAD(&s, FDT_LOSS, 0, fdt_loss, 0, 0, 0), .count = 7 };
	stream_apply(&s, &loss);
	closes(&s, PID + 1, 3);
	fails(&s, FDT_SYS_read, PID, 3, EBADF);
	assert_int_equal(only_finding(&s, RULE_CLOSE_UNOWNED)->confidence, CONFIDENCE_AFTER_LOSS);
	stream_end(&s);
}

/* It may stand behind a record that was still being written, and be older than what was lost. */
static void a_late_record_of_a_snapshot_repairs_nothing(void **state)
{
	const uint64_t files[] = { 0, 0, 0, 1 };

	(void)state;
	for (int in_time = 0; in_time <= 1; in_time++) {
		struct fdt_loss loss;
		struct stream s;

		stream_start(&s, ENGINE_PID);
		opens(&s, PID, 3, 1);
		snapshot(&s, 4, files);
		loss = (struct fdt_loss){ .head = HEAD(&s, FDT_LOSS, 0, fdt_loss, 0, 0, 0),
					  .count = 1 };
		stream_apply(&s, &loss);
		in_time ? snapshot(&s, 4, files) : vec(&s, FDT_OP_SNAPSHOT, PID, TABLE, 4, files);
		closes(&s, PID + 1, 3);
		fails(&s, FDT_SYS_read, PID, 3, EBADF);
		assert_int_equal(only_finding(&s, RULE_CLOSE_UNOWNED)->confidence,
				 in_time ? CONFIDENCE_EXACT : CONFIDENCE_AFTER_LOSS);
		stream_end(&s);
	}
}

static void malformed_events_change_nothing(void **state)
{
	struct engine_counters counters;
	struct fdt_slot e;
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_PID);
	opens(&s, PID, 3, 1);
	e = (struct fdt_slot){ .head = HEAD(&s, FDT_SLOT, FDT_OP_OPEN, fdt_slot, PID, PID, TABLE),
			       .fd = -5,
			       .file = a_file(2) };
	assert_int_equal(engine_apply(s.engine, &e, sizeof(e)), -EINVAL);
	assert_int_equal(engine_apply(s.engine, &e, 20), -EINVAL);
	assert_int_equal(engine_apply(s.engine, &e, sizeof(e) - 1), -EINVAL);
	e.head.kind = 99;
	assert_int_equal(engine_apply(s.engine, &e, sizeof(e)), 0);
	engine_counters(s.engine, &counters);
	assert_int_equal(counters.malformed, 3);
	assert_int_equal(filled_bits(&s, PID), 1 << 3);
	stream_end(&s);
}

/* Any number may be asked for, if only to be refused. */
static void numbers_beyond_any_table_are_refused(void **state)
{
	static const int numbers[] = { FD_MAX - 1, FD_MAX, 1500000000, INT_MAX };
	struct engine_counters counters;
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_PID);
	opens(&s, PID, 3, 1);
	for (unsigned int i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
		fails(&s, FDT_SYS_close, PID, numbers[i], EBADF);
		assert_int_equal(s.last_err, 0);
		fails(&s, FDT_SYS_read, PID, numbers[i], EBADF);
		assert_int_equal(s.last_err, 0);
	}
	engine_counters(s.engine, &counters);
	assert_int_equal(counters.malformed, 0);
	assert_int_equal(counters.changes[CHANGE_ERROR], 8);
	assert_int_equal(s.kept_count, 0);
	assert_int_equal(filled_bits(&s, PID), 1 << 3);
	stream_end(&s);
}

/* Everything at once, over and over, with the n-th allocation failing: no crash, no leak (valgrind). */
static void a_busy_life(struct stream *s)
{
	const uint64_t files[] = { 0, 0, 0, 1, 2, 3 };

	for (int fd = 3; fd < 70; fd++)
		opens(s, PID, fd, fd);
	task(s, FDT_OP_FORK, CHILD, CHILD, CHILD_TABLE, PID, 0);
	vec(s, FDT_OP_FORK, CHILD, CHILD_TABLE, 6, files);
	task(s, FDT_OP_EXEC, CHILD, CHILD, CHILD_TABLE, CHILD, 0);
	vec(s, FDT_OP_EXEC, CHILD, CHILD_TABLE, 6, files);
	for (int round = 0; round < 6; round++) {
		closes(s, PID + round, 5);
		fails(s, FDT_SYS_read, PID, 5, EBADF);
		fails(s, FDT_SYS_close, PID, 5, EBADF);
		opens(s, PID, 5, 1000 + round);
		fails(s, FDT_SYS_openat, PID, -1, EMFILE);
		tick(s, 400 * MS);
	}
	for (int fd = 3; fd < 200; fd++)
		fd % 3 ? closes(s, PID + 9, fd) : fails(s, FDT_SYS_close, PID + 9, fd, EBADF);
	tick(s, 6 * S);
	task(s, FDT_OP_EXIT, CHILD, CHILD, CHILD_TABLE, 0, FDT_TASK_LAST);
	task(s, FDT_OP_EXIT, PID, PID, TABLE, 0, FDT_TASK_LAST);
	engine_finish(s->engine, s->now_ns);
}

static void nth_allocation_fails(void **state)
{
	(void)state;
	for (uint64_t n = 1; n < 400; n++) {
		struct stream s = { .now_ns = 1000 * S };
		struct engine_options options = stream_options(&s, ENGINE_COMMAND);

		options.fail_at = n;
		if (engine_new(&options, &s.engine)) {
			assert_true(n <= 1 + DETECTOR_COUNT);
			continue;
		}
		a_busy_life(&s);
		stream_end(&s);
	}
}

static void memory_is_bounded(void **state)
{
	struct engine_counters counters;
	struct stream s = { .now_ns = 1000 * S };
	struct engine_options options = stream_options(&s, ENGINE_PID);

	(void)state;
	options.settings.memory_max_bytes = 1 << 20;
	assert_int_equal(engine_new(&options, &s.engine), 0);
	for (int fd = 0; fd < 200000; fd++)
		opens(&s, PID, fd, fd + 1);
	engine_counters(s.engine, &counters);
	assert_true(counters.memory_peak_bytes <= 1 << 20);
	assert_true(counters.refused > 0);
	assert_true(counters.descriptors > 5000);
	stream_end(&s);
}

static void note_taint(void *ctx, const struct table_row *row)
{
	*(bool *)ctx |= row->tainted;
}

static bool is_tainted(struct stream *s)
{
	bool tainted = false;

	engine_each_table(s->engine, note_taint, &tainted);
	return tainted;
}

/* 64 slots of a snapshot, from there on; count of them are filled. */
static void snapshot_from(struct stream *s, uint32_t first, uint32_t count, unsigned int flags)
{
	struct fdt_vec e = { .head = HEAD(s, FDT_VEC, FDT_OP_SNAPSHOT, fdt_vec, PID, PID, TABLE),
			     .first_fd = first,
			     .max_fds = 1 << 20 };

	e.head.flags = flags;
	for (uint32_t i = 0; i < count; i++)
		e.file[i] = a_file(first + i + 1);
	stream_apply(s, &e);
}

/* A snapshot repairs what it has memory for; the next one may find all that fits. */
static void a_snapshot_that_did_not_fit_repairs_nothing(void **state)
{
	struct stream s = { .now_ns = 1000 * S };
	struct engine_options options = stream_options(&s, ENGINE_PID);
	uint32_t first;

	(void)state;
	options.settings.memory_max_bytes = 1 << 20;
	assert_int_equal(engine_new(&options, &s.engine), 0);
	put_at(&s, FDT_OP_OPEN, FDT_SYS_openat, PID + 1, TABLE + 4096, 3, a_file(1), 0);
	border(&s, FDT_OP_BEGIN);
	snapshot_from(&s, 0, 64, FDT_FIRST);
	for (first = 64; first < 64000; first += 64)
		snapshot_from(&s, first, 64, 0);
	snapshot_from(&s, first, 0, FDT_LAST);
	assert_true(is_tainted(&s));
	snapshot_from(&s, 0, 64, FDT_FIRST);
	snapshot_from(&s, 64, 0, FDT_LAST);
	assert_false(is_tainted(&s));
	for (int fd = 64; fd < 64000; fd++)
		opens(&s, PID, fd, fd);
	assert_true(is_tainted(&s));
	assert_int_equal(s.kept_count, 0);
	/* Its table makes room for a finding. */
	task(&s, FDT_OP_EXIT, PID + 1, PID + 1, TABLE + 4096, 0, FDT_TASK_LAST);
	fails(&s, FDT_SYS_openat, PID, -1, EMFILE);
	assert_int_equal(only_finding(&s, RULE_LIMIT_EMFILE)->confidence, CONFIDENCE_AFTER_LOSS);
	stream_end(&s);
}

static void count_row(void *ctx, const struct process_row *row)
{
	(void)row;
	++*(uint64_t *)ctx;
}

/* Whatever is left when the bound is reached, what is known can be told. */
static void a_full_engine_tells_its_processes(void **state)
{
	struct engine_counters counters;
	struct stream s = { .now_ns = 1000 * S };
	struct engine_options options = stream_options(&s, ENGINE_PID);
	uint64_t rows = 0, refused;

	(void)state;
	options.settings.memory_max_bytes = 1 << 20;
	assert_int_equal(engine_new(&options, &s.engine), 0);
	for (uint32_t pid = 1000; pid < 10000; pid++)
		task(&s, FDT_OP_FORK, pid, pid, 0, 0, 0);
	engine_counters(s.engine, &counters);
	refused = counters.refused;
	assert_true(refused > 0);
	engine_each_process(s.engine, count_row, &rows);
	engine_counters(s.engine, &counters);
	assert_true(rows >= counters.tasks && counters.tasks > 1000);
	assert_int_equal(counters.refused, refused);
	stream_end(&s);
}

static void forgotten_generations_are_counted(void **state)
{
	struct engine_counters counters;
	struct stream s = { .now_ns = 1000 * S };
	struct engine_options options = stream_options(&s, ENGINE_PID);

	(void)state;
	options.settings.memory_max_bytes = 1 << 20;
	assert_int_equal(engine_new(&options, &s.engine), 0);
	opens(&s, PID, 3, 1);
	closes(&s, PID, 3);
	engine_counters(s.engine, &counters);
	assert_int_equal(counters.ended_dropped, 0);
	for (int round = 0; round < 3; round++)
		for (int fd = 3; fd < 4000; fd++) {
			opens(&s, PID, fd, fd);
			closes(&s, PID, fd);
		}
	engine_counters(s.engine, &counters);
	assert_true(counters.ended_dropped > 0);
	stream_end(&s);
}

/* A program that re-executes itself for ever must not make the chain of images grow. */
static void endless_exec(void **state)
{
	const uint64_t files[] = { 0, 0, 0, 1 };
	struct engine_counters early, late;
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_PID);
	opens(&s, PID, 3, 1);
	for (int i = 0; i < 2000; i++) {
		task(&s, FDT_OP_EXEC, PID, PID, TABLE, PID, 0);
		vec(&s, FDT_OP_EXEC, PID, TABLE, 4, files);
		tick(&s, 10 * S);
		if (i == 100)
			engine_counters(s.engine, &early);
	}
	engine_counters(s.engine, &late);
	assert_true(late.memory_bytes <= early.memory_bytes);
	stream_end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(opens_and_closes),
		cmocka_unit_test(close_heard_after_reuse),
		cmocka_unit_test(close_sees_the_next_file),
		cmocka_unit_test(open_sees_nothing),
		cmocka_unit_test(fork_copies_openers),
		cmocka_unit_test(thread_shares_the_table),
		cmocka_unit_test(a_thread_never_announced_ends_last),
		cmocka_unit_test(exec_from_a_thread_closes_on_exec),
		cmocka_unit_test(address_reuse),
		cmocka_unit_test(pid_reuse),
		cmocka_unit_test(close_range_clears_only_empty_slots),
		cmocka_unit_test(audit_counts_only_what_stays_unexplained),
		cmocka_unit_test(loss_marks_findings_until_the_next_snapshot),
		cmocka_unit_test(vanished_tasks_end_at_the_second_look),
		cmocka_unit_test(a_crowd_vanishes_at_once),
		cmocka_unit_test(a_late_record_of_a_snapshot_repairs_nothing),
		cmocka_unit_test(malformed_events_change_nothing),
		cmocka_unit_test(numbers_beyond_any_table_are_refused),
		cmocka_unit_test(nth_allocation_fails),
		cmocka_unit_test(memory_is_bounded),
		cmocka_unit_test(a_snapshot_that_did_not_fit_repairs_nothing),
		cmocka_unit_test(a_full_engine_tells_its_processes),
		cmocka_unit_test(forgotten_generations_are_counted),
		cmocka_unit_test(endless_exec),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
