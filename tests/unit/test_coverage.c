// SPDX-License-Identifier: BSD-2-Clause
/* Times when the hooks are off: what may still be said, and how sure it is. */
#include "stream.h"

static void gap(struct stream *s, unsigned int op)
{
	struct fdt_loss loss = { .head = HEAD(s, FDT_LOSS, op, fdt_loss, 0, 0, 0) };

	loss.head.flags = FDT_LOSS_COVERAGE;
	stream_apply(s, &loss);
}

static void border(struct stream *s, unsigned int op, unsigned int why)
{
	struct fdt_head e = HEAD(s, FDT_SNAPSHOT, op, fdt_head, 0, 0, 0);

	e.flags = (uint16_t)why;
	stream_apply(s, &e);
}

/* A snapshot of a table of `count` files, numbered from `first` on. */
static void look(struct stream *s, unsigned int why, unsigned int count, uint64_t first)
{
	uint64_t numbers[64] = { 0 };

	assert_true(count <= 64);
	for (unsigned int i = 0; i < count; i++)
		numbers[i] = first + i;
	border(s, FDT_OP_BEGIN, why);
	task(s, FDT_OP_SNAPSHOT, PID, PID, TABLE, 0, 0);
	vec(s, FDT_OP_SNAPSHOT, PID, TABLE, 64, numbers);
	border(s, FDT_OP_END, why);
}

static struct table_row row(struct stream *s)
{
	struct table_row row;

	assert_int_equal(engine_table(s->engine, TABLE, PID, &row), 0);
	return row;
}

static struct engine_counters counters(struct stream *s)
{
	struct engine_counters c;

	engine_counters(s->engine, &c);
	return c;
}

static void a_gap_lasts_until_the_snapshot_after_it(void **state)
{
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_ALL);
	look(&s, FDT_WHY_START, 2, 1);
	assert_false(row(&s).tainted);
	gap(&s, FDT_OP_BEGIN);
	assert_true(row(&s).tainted);
	look(&s, FDT_WHY_CENSUS, 3, 1);
	assert_true(row(&s).tainted); /* true then, but who knows of the next moment */
	assert_int_equal(filled_bits(&s, PID), 7);
	gap(&s, FDT_OP_END);
	assert_true(row(&s).tainted);
	look(&s, FDT_WHY_LOSS, 2, 1);
	assert_false(row(&s).tainted);
	stream_end(&s);
}

static void a_table_born_in_a_gap_is_in_doubt(void **state)
{
	struct stream s;
	const uint64_t numbers[] = { 1, 2 };

	(void)state;
	stream_start(&s, ENGINE_ALL);
	gap(&s, FDT_OP_BEGIN);
	task(&s, FDT_OP_FORK, PID, PID, TABLE, 1, 0);
	vec(&s, FDT_OP_FORK, PID, TABLE, 2, numbers);
	assert_true(row(&s).complete && row(&s).tainted);
	stream_end(&s);
}

/* Nobody made a mistake: nobody was looking. */
static void what_changed_unseen_is_no_mistake(void **state)
{
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_ALL);
	look(&s, FDT_WHY_START, 2, 1);
	gap(&s, FDT_OP_BEGIN);
	look(&s, FDT_WHY_CENSUS, 5, 1);
	gap(&s, FDT_OP_END);
	look(&s, FDT_WHY_LOSS, 4, 10);
	look(&s, FDT_WHY_AUDIT, 4, 10);
	look(&s, FDT_WHY_AUDIT, 4, 10);
	assert_int_equal(counters(&s).corrections_by[CORRECTION_FILLED], 0);
	assert_int_equal(counters(&s).corrections_by[CORRECTION_EMPTIED], 0);
	assert_true(counters(&s).corrections_by[CORRECTION_AFTER_LOSS] > 0);
	assert_int_equal(counters(&s).lost, 0);
	stream_end(&s);
}

static void use_of_a_closed_number(struct stream *s, int fd)
{
	closes(s, PID, fd);
	s->now_ns += MS;
	fails(s, FDT_SYS_read, PID + 1, fd, EBADF);
	tick(s, S);
}

static void after_a_gap_is_exact_again_what_lies_in_a_window(void **state)
{
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_ALL);
	look(&s, FDT_WHY_START, 2, 1);
	task(&s, FDT_OP_FORK, PID, PID + 1, TABLE, PID, FDT_TASK_THREAD | FDT_TASK_SHARED);
	opens(&s, PID + 1, 5, 5);
	s.now_ns += S;
	gap(&s, FDT_OP_BEGIN);
	s.now_ns += S;
	gap(&s, FDT_OP_END);
	s.now_ns += MS;
	border(&s, FDT_OP_BEGIN, FDT_WHY_LOSS);
	task(&s, FDT_OP_SNAPSHOT, PID, PID, TABLE, 0, 0);
	task(&s, FDT_OP_SNAPSHOT, PID, PID + 1, TABLE, 0, 0);
	vec(&s, FDT_OP_SNAPSHOT, PID, TABLE, 6, (const uint64_t[]){ 1, 2, 0, 0, 0, 5 });
	border(&s, FDT_OP_END, FDT_WHY_LOSS);
	assert_false(row(&s).tainted);
	use_of_a_closed_number(&s, 5); /* opened before the gap: perhaps not the same any more */
	assert_int_equal(only_finding(&s, RULE_CLOSE_UNOWNED)->confidence, CONFIDENCE_AFTER_LOSS);
	stream_end(&s);

	stream_start(&s, ENGINE_ALL);
	look(&s, FDT_WHY_START, 2, 1);
	task(&s, FDT_OP_FORK, PID, PID + 1, TABLE, PID, FDT_TASK_THREAD | FDT_TASK_SHARED);
	gap(&s, FDT_OP_BEGIN);
	s.now_ns += S;
	gap(&s, FDT_OP_END);
	look(&s, FDT_WHY_LOSS, 2, 1);
	s.now_ns += S;
	opens(&s, PID + 1, 6, 6);
	s.now_ns += MS;
	use_of_a_closed_number(&s, 6);
	assert_int_equal(only_finding(&s, RULE_CLOSE_UNOWNED)->confidence, CONFIDENCE_EXACT);
	stream_end(&s);
}

/* ---- growth by census ---- */

/* A minute of censuses each two seconds that find `open(second)` descriptors. */
static void minutes_of(struct stream *s, unsigned int seconds, unsigned int (*open)(unsigned int))
{
	for (unsigned int i = 0; i < seconds; i++) {
		if (i % 2 == 0)
			look(s, FDT_WHY_CENSUS, open(i), 1);
		tick(s, S);
	}
}

static unsigned int rising(unsigned int second)
{
	return 33 + second / 3;
}

static unsigned int plateau(unsigned int second)
{
	return second < 10 ? 33 + second : 43;
}

static unsigned int saw(unsigned int second)
{
	return 33 + second % 10 * 3;
}

static unsigned int slow_saw(unsigned int second)
{
	return second % 40 < 30 ? 5 + second % 40 : 3;
}

static void census(struct stream *s)
{
	stream_start(s, ENGINE_ALL);
	look(s, FDT_WHY_START, 2, 1);
	gap(s, FDT_OP_BEGIN);
}

static void growth_is_told_without_an_opener(void **state)
{
	struct stream s;
	const struct kept *k;

	(void)state;
	census(&s);
	minutes_of(&s, 80, rising);
	k = only_finding(&s, RULE_LEAK_GROWTH);
	assert_string_equal(k->site, "opener unknown");
	assert_non_null(strstr(k->why, "opener unknown: hooks were off 100 % of the time"));
	assert_non_null(strstr(k->message, "opener is unknown"));
	assert_non_null(strstr(k->help, "fdtrace -p PID"));
	assert_int_equal(k->confidence, CONFIDENCE_AFTER_LOSS);
	assert_int_equal(k->pid, PID);
	assert_true(engine_suspects(s.engine));
	assert_true(engine_gap_ns(s.engine) == 80 * S);
	stream_end(&s);
}

static void what_does_not_grow_is_not_told(void **state)
{
	unsigned int (*const shapes[])(unsigned int) = { plateau, saw, slow_saw };

	(void)state;
	for (size_t i = 0; i < sizeof(shapes) / sizeof(*shapes); i++) {
		struct stream s;

		census(&s);
		minutes_of(&s, 400, shapes[i]);
		assert_int_equal(s.kept_count, 0);
		stream_end(&s);
	}
}

/* Found by audits, though the hooks are on: made in a way that they do not see. */
static void growth_that_no_hook_sees(void **state)
{
	static const enum engine_mode modes[] = { ENGINE_PID, ENGINE_COMMAND, ENGINE_ALL };
	const struct kept *k;
	struct stream s;

	(void)state;
	for (unsigned int m = 0; m < sizeof(modes) / sizeof(*modes); m++) {
		stream_start(&s, modes[m]);
		look(&s, FDT_WHY_START, 33, 1);
		for (unsigned int i = 0; i < 80; i++) {
			if (i % 5 == 0)
				look(&s, FDT_WHY_AUDIT, 33 + i / 3, 1);
			tick(&s, S);
		}
		k = only_finding(&s, RULE_LEAK_GROWTH);
		assert_non_null(strstr(k->why, "no hook has seen them being made"));
		assert_null(strstr(k->help, "-p PID"));
		assert_non_null(strstr(k->help, "--hooks=function"));
		stream_end(&s);
	}
}

/* The same number of descriptors, all of them seen being opened: the site is told, not the table. */
static void growth_that_a_site_explains(void **state)
{
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_ALL);
	look(&s, FDT_WHY_START, 40, 1);
	for (unsigned int i = 0; i < 120; i++) {
		opens(&s, PID, 100 + (int)i, 1000 + i);
		tick(&s, S);
	}
	assert_string_equal(only_finding(&s, RULE_LEAK_GROWTH)->site, "openat");
	stream_end(&s);
}

/* Many were there before us, and that is all. */
static void many_that_were_there_before(void **state)
{
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_ALL);
	look(&s, FDT_WHY_START, 60, 1);
	for (unsigned int i = 0; i < 300; i++) {
		if (i % 10 == 0)
			look(&s, FDT_WHY_AUDIT, 60, 1);
		opens(&s, PID, 100, 1000 + i);
		closes(&s, PID, 100);
		tick(&s, S);
	}
	assert_int_equal(s.kept_count, 0);
	assert_false(engine_suspects(s.engine));
	stream_end(&s);
}

/* Silence says nothing of use while nobody listens. */
static void nothing_is_called_unused(void **state)
{
	(void)state;
	for (int with_gap = 0; with_gap < 2; with_gap++) {
		const uint64_t crossed[] = { 1, 2, 3, 4 };
		struct stream s;

		stream_start(&s, ENGINE_ALL);
		look(&s, FDT_WHY_START, 3, 1);
		opens(&s, PID, 3, 4);
		s.now_ns += S;
		task(&s, FDT_OP_FORK, PID + 50, PID + 50, TABLE + 64, PID, 0);
		vec(&s, FDT_OP_FORK, PID + 50, TABLE + 64, 4, crossed);
		task(&s, FDT_OP_EXEC, PID + 50, PID + 50, TABLE + 64, PID + 50, FDT_TASK_WATCHED);
		vec(&s, FDT_OP_EXEC, PID + 50, TABLE + 64, 4, crossed);
		tick(&s, S);
		if (with_gap) {
			gap(&s, FDT_OP_BEGIN);
			tick(&s, S);
			gap(&s, FDT_OP_END);
		}
		for (int i = 0; i < 10; i++)
			tick(&s, S);
		assert_int_equal(s.kept_count, !with_gap);
		stream_end(&s);
	}
}

static void memory_may_end_anywhere(void **state)
{
	(void)state;
	for (uint64_t at = 1; at < 60; at++) {
		struct stream s = { .now_ns = 1000 * S };
		struct engine_options options = stream_options(&s, ENGINE_ALL);

		options.fail_at = at;
		if (engine_new(&options, &s.engine))
			continue;
		look(&s, FDT_WHY_START, 2, 1);
		gap(&s, FDT_OP_BEGIN);
		minutes_of(&s, 80, rising);
		stream_end(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_gap_lasts_until_the_snapshot_after_it),
		cmocka_unit_test(a_table_born_in_a_gap_is_in_doubt),
		cmocka_unit_test(what_changed_unseen_is_no_mistake),
		cmocka_unit_test(after_a_gap_is_exact_again_what_lies_in_a_window),
		cmocka_unit_test(growth_is_told_without_an_opener),
		cmocka_unit_test(what_does_not_grow_is_not_told),
		cmocka_unit_test(growth_that_no_hook_sees),
		cmocka_unit_test(growth_that_a_site_explains),
		cmocka_unit_test(many_that_were_there_before),
		cmocka_unit_test(nothing_is_called_unused),
		cmocka_unit_test(memory_may_end_anywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
