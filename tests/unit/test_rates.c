// SPDX-License-Identifier: BSD-2-Clause
/* How many findings are told, withheld and kept, when there are too many of them. */
#include "stream.h"

#define KEPT 10000 /* FINDINGS_MAX of finding.c */

struct run {
	struct stream s;
	unsigned int reported, fresh, lines;
	uint64_t withheld, rows, told_rows, times;
	enum finding_state state;
	uint64_t count;
};

static void on_finding(void *ctx, const struct finding *f)
{
	struct run *run = ctx;

	run->reported++;
	run->fresh += f->state == FINDING_NEW;
	run->state = f->state;
	run->count = f->count;
}

static void on_withheld(void *ctx, const struct withheld *w)
{
	struct run *run = ctx;

	run->lines++;
	for (unsigned int r = 0; r < RULE_COUNT; r++) {
		assert_int_equal(w->count[r] > 0, w->severity[r] > 0);
		run->withheld += w->count[r];
	}
	assert_true(w->first_ns <= w->time_ns);
}

static const struct engine_listener listener = { .finding = on_finding, .withheld = on_withheld };
static const struct engine_listener findings_only = { .finding = on_finding };

static void start_with(struct run *run, uint64_t burst, uint64_t every_ns)
{
	struct engine_options options = stream_options(&run->s, ENGINE_PID);

	*run = (struct run){ .s.now_ns = 1000 * S };
	options.settings.findings_burst = burst;
	options.settings.findings_every_ns = every_ns;
	options.listener = &listener;
	options.ctx = run;
	assert_int_equal(engine_new(&options, &run->s.engine), 0);
	opens(&run->s, PID, 3, 1);
	closes(&run->s, PID, 3);
}

/* A use of a closed number, in a place of its own for each site. */
static void use_at(struct run *run, uint64_t site)
{
	tells(&run->s, site, 0, 1, &(struct frame){ "f (a.c:1)", site, 0 });
	fails_at(&run->s, FDT_SYS_read, PID, 3, EBADF, site);
}

static void on_row(void *ctx, const struct finding_row *row)
{
	struct run *run = ctx;

	run->rows++;
	run->told_rows += row->reported;
	run->times += row->count;
	assert_true(row->first_ns <= row->last_ns && row->last_ns <= run->s.now_ns);
}

static struct engine_counters counters(struct run *run)
{
	struct engine_counters c;

	run->rows = run->told_rows = run->times = 0;
	engine_each_finding(run->s.engine, on_row, run);
	engine_counters(run->s.engine, &c);
	return c;
}

static void the_burst_is_told_then_one_by_time(void **state)
{
	struct run run;

	(void)state;
	start_with(&run, 5, 10 * S);
	for (uint64_t site = 1; site <= 8; site++)
		use_at(&run, site);
	assert_int_equal(run.reported, 5);
	tick(&run.s, 10 * S - 1);
	use_at(&run, 20);
	assert_int_equal(run.reported, 5);
	tick(&run.s, 1);
	use_at(&run, 21);
	assert_int_equal(run.reported, 6);
	use_at(&run, 22);
	assert_int_equal(run.reported, 6);
	tick(&run.s, 3600 * S); /* tokens do not pile up beyond the burst */
	for (uint64_t site = 100; site < 110; site++)
		use_at(&run, site);
	assert_int_equal(run.reported, 11);
	stream_end(&run.s);
}

static void each_rule_and_image_has_its_own(void **state)
{
	struct run run;

	(void)state;
	start_with(&run, 1, 10 * S);
	met(&run.s);
	use_at(&run, 1);
	use_at(&run, 2);
	assert_int_equal(run.reported, 1);
	fails(&run.s, FDT_SYS_openat, PID, -1, EMFILE);
	assert_int_equal(run.reported, 2);
	task(&run.s, FDT_OP_EXEC, PID, PID, TABLE, PID, 0);
	opens(&run.s, PID, 3, 2);
	closes(&run.s, PID, 3);
	use_at(&run, 4);
	assert_int_equal(run.reported, 3);
	stream_end(&run.s);
}

static void zero_tells_all(void **state)
{
	struct run run;

	(void)state;
	start_with(&run, 1, 0);
	for (uint64_t site = 1; site <= 50; site++)
		use_at(&run, site);
	assert_int_equal(run.reported, 50);
	assert_int_equal(counters(&run).findings_withheld, 0);
	stream_end(&run.s);
}

static void withheld_ones_are_told_by_number_once_a_minute(void **state)
{
	struct run run;

	(void)state;
	start_with(&run, 2, 3600 * S);
	for (uint64_t site = 1; site <= 10; site++)
		use_at(&run, site);
	tick(&run.s, MS);
	assert_int_equal(run.lines, 1);
	assert_int_equal(run.withheld, 8);
	for (uint64_t site = 1; site <= 11; site++)
		use_at(&run, site); /* all but one were counted before */
	tick(&run.s, 59 * S);
	assert_int_equal(run.lines, 1);
	tick(&run.s, S);
	assert_int_equal(run.lines, 2);
	assert_int_equal(run.withheld, 9);
	tick(&run.s, 600 * S);
	assert_int_equal(run.lines, 2);
	use_at(&run, 12);
	engine_finish(run.s.engine, run.s.now_ns);
	assert_int_equal(run.lines, 3);
	assert_int_equal(run.withheld, 10);
	assert_int_equal(counters(&run).findings[SEVERITY_WARNING], 12);
	stream_end(&run.s);
}

static void a_withheld_cause_is_told_when_it_may(void **state)
{
	struct run run;

	(void)state;
	start_with(&run, 1, 10 * S);
	use_at(&run, 1);
	use_at(&run, 2);
	assert_int_equal(counters(&run).findings_withheld, 1);
	tick(&run.s, 10 * S);
	use_at(&run, 2);
	assert_int_equal(run.reported, 2);
	assert_int_equal(run.state, FINDING_NEW);
	assert_int_equal(run.count, 2);
	assert_int_equal(counters(&run).findings_withheld, 0);
	assert_int_equal(counters(&run).findings[SEVERITY_WARNING], 2);
	stream_end(&run.s);
}

static void after_an_hour_it_goes_on(void **state)
{
	struct run run;

	(void)state;
	start_with(&run, 20, 10 * S);
	for (int minute = 0; minute < 61; minute++) {
		use_at(&run, 1);
		tick(&run.s, 60 * S);
	}
	assert_int_equal(run.reported, 2);
	assert_int_equal(run.state, FINDING_ONGOING);
	assert_int_equal(run.count, 61);
	stream_end(&run.s);
}

/* New causes turn over the unreported ones; what was told stays, and stays unreported for its hour. */
static void a_storm_turns_over_the_untold(void **state)
{
	struct engine_counters c;
	struct run run;

	(void)state;
	start_with(&run, 20, 3600 * S);
	for (uint64_t site = 1; site <= 3 * KEPT; site++) {
		use_at(&run, site);
		if (site % 100 == 0)
			tick(&run.s, MS);
	}
	for (uint64_t site = 1; site <= 20; site++)
		use_at(&run, site);
	assert_int_equal(run.reported, 20);
	engine_finish(run.s.engine, run.s.now_ns);
	c = counters(&run);
	assert_int_equal(run.rows, KEPT);
	assert_int_equal(run.told_rows, 20);
	assert_int_equal(run.times, KEPT + 20);
	assert_int_equal(c.findings_dropped, 2 * KEPT);
	assert_int_equal(c.by_rule[RULE_USE_CLOSED].found, 3 * KEPT + 20);
	assert_int_equal(c.by_rule[RULE_USE_CLOSED].causes, 3 * KEPT);
	assert_int_equal(run.withheld, 3 * KEPT - 20);
	assert_int_equal(c.findings_withheld, 3 * KEPT - 20);
	assert_true(run.lines <= 2);
	assert_true(c.memory_peak_bytes < 64 << 20);
	stream_end(&run.s);
}

/* With room for next to nothing, a finding is told, and the same one not again. */
static void a_full_engine_can_tell(void **state)
{
	struct run run = { .s.now_ns = 1000 * S };
	struct engine_options options = stream_options(&run.s, ENGINE_PID);

	(void)state;
	options.settings.memory_max_bytes = 1 << 20;
	options.listener = &findings_only;
	options.ctx = &run;
	assert_int_equal(engine_new(&options, &run.s.engine), 0);
	for (uint32_t fd = 0; run.s.last_err != -ENOMEM; fd++)
		opens(&run.s, PID + fd, (int)fd, fd + 1);
	fails(&run.s, FDT_SYS_openat, PID, -1, EMFILE);
	fails(&run.s, FDT_SYS_openat, PID, -1, EMFILE);
	assert_int_equal(run.reported, 1);
	stream_end(&run.s);
}

/* What is told again is counted once. */
static void a_repeat_is_no_second_finding(void **state)
{
	struct engine_counters c;
	struct run run;

	(void)state;
	start_with(&run, 1, 3600 * S);
	use_at(&run, 1);
	for (int i = 0; i < 3; i++) {
		tick(&run.s, 3601 * S);
		use_at(&run, 1);
	}
	c = counters(&run);
	assert_int_equal(run.reported, 4);
	assert_int_equal(run.fresh, 1);
	assert_int_equal(c.findings[SEVERITY_WARNING], 1);
	assert_int_equal(c.findings[SEVERITY_ERROR] + c.findings[SEVERITY_INFO], 0);
	stream_end(&run.s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_burst_is_told_then_one_by_time),
		cmocka_unit_test(each_rule_and_image_has_its_own),
		cmocka_unit_test(zero_tells_all),
		cmocka_unit_test(withheld_ones_are_told_by_number_once_a_minute),
		cmocka_unit_test(a_withheld_cause_is_told_when_it_may),
		cmocka_unit_test(after_an_hour_it_goes_on),
		cmocka_unit_test(a_storm_turns_over_the_untold),
		cmocka_unit_test(a_full_engine_can_tell),
		cmocka_unit_test(a_repeat_is_no_second_finding),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
