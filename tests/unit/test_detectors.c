// SPDX-License-Identifier: BSD-2-Clause
/* Which detectors are called, and what is left of one that was switched off. */
#include "stream.h"

#include "detect/close_lock.h"
#include "engine/detector.h"

#define RULES_BUT(rule) (rule_set_default() & ~RULE_BIT(rule))

/* A detector of these tests alone: counts what it hears. */
static struct {
	unsigned int closed, ended, ticks, done;
} heard;

static void count_closed(struct engine *e, const struct slot_closed *change)
{
	(void)e, (void)change;
	heard.closed++;
}

static void count_ended(struct engine *e, struct task *task)
{
	(void)e, (void)task;
	heard.ended++;
}

static void count_tick(struct engine *e)
{
	(void)e;
	heard.ticks++;
}

static void count_done(struct engine *e)
{
	(void)e;
	heard.done++;
}

static const struct detector counter = {
	.name = "counter",
	.rules = RULE_BIT(LEAK_EXIT),
	.serves = RULE_BIT(CLOSE_LOCK),
	.closed = count_closed,
	.task_ended = count_ended,
	.tick = count_tick,
	.done = count_done,
};

static void start_with(struct stream *s, const struct detector *const *detectors, rule_set rules)
{
	struct engine_options options = stream_options(s, ENGINE_PID);

	*s = (struct stream){ .now_ns = 1000 * S };
	options.detectors = detectors;
	options.rules = rules;
	assert_int_equal(engine_new(&options, &s->engine), 0);
}

static void choose(struct stream *s, rule_set rules)
{
	struct settings settings;

	settings_default(&settings);
	engine_reconfigure(s->engine, &settings, rules);
}

static void a_close_and_a_tick(struct stream *s)
{
	opens(s, PID, 4, 1);
	closes(s, PID, 4);
	tick(s, S);
}

/* One detector alone: called for its own rules and for those that rest on it, else not. */
static void only_wanted_ones_are_called(void **state)
{
	static const struct detector *const alone[] = { &counter, NULL };
	struct stream s;

	(void)state;
	memset(&heard, 0, sizeof(heard));
	start_with(&s, alone, RULE_BIT(LEAK_GROWTH));
	a_close_and_a_tick(&s);
	assert_int_equal(heard.closed + heard.ticks + heard.done, 0);
	choose(&s, RULE_BIT(CLOSE_LOCK));
	a_close_and_a_tick(&s);
	assert_int_equal(heard.closed, 1);
	assert_int_equal(heard.ticks, 1);
	choose(&s, RULE_BIT(CLOSE_LOCK) | RULE_BIT(LEAK_EXIT));
	assert_int_equal(heard.done, 0);
	choose(&s, 0);
	assert_int_equal(heard.done, 1);
	a_close_and_a_tick(&s);
	assert_int_equal(heard.closed + heard.ticks, 2);
	choose(&s, RULE_BIT(LEAK_EXIT));
	task(&s, FDT_OP_EXIT, PID, PID, TABLE, 0, FDT_TASK_LAST);
	assert_int_equal(heard.ended, 1);
	stream_end(&s);
	assert_int_equal(heard.done, 2);
}

static void nobody_looks(void **state)
{
	struct stream s;

	(void)state;
	start_with(&s, NULL, rule_set_default());
	a_close_and_a_tick(&s);
	fails(&s, FDT_SYS_sendto, PID, 4, EBADF);
	tick(&s, S);
	assert_int_equal(s.kept_count, 0);
	stream_end(&s);
}

static void sets_lock(struct stream *s, int fd, struct fdt_file file)
{
	struct fdt_lock e = { .head = HEAD(s, FDT_LOCK, 0, fdt_lock, PID, PID, TABLE),
			      .fd = fd,
			      .type = FDT_LOCK_WRITE,
			      .file = file };

	stream_apply(s, &e);
}

/* Two numbers of one file, a lock set through the first, the rules changed, the second closed. */
static void lock_and_change(struct stream *s, rule_set rules)
{
	stream_start(s, ENGINE_PID);
	opens(s, PID, 4, 1);
	opens(s, PID, 5, 1);
	sets_lock(s, 4, a_file(1));
	assert_int_equal(lock_file_count(s->engine), 1);
	choose(s, rules);
	choose(s, rule_set_default());
	closes(s, PID, 5);
}

/* The lock may have gone while the rule was off: whoever missed that must not report its loss. */
static void switched_off_it_forgets(void **state)
{
	struct stream s;

	(void)state;
	lock_and_change(&s, rule_set_default());
	only_finding(&s, RULE_CLOSE_LOCK);
	stream_end(&s);
	lock_and_change(&s, RULES_BUT(CLOSE_LOCK));
	assert_int_equal(s.kept_count, 0);
	assert_int_equal(lock_file_count(s.engine), 0);
	stream_end(&s);
}

/* All at once, with something kept back in each, again and again: no memory is left behind. */
static void on_and_off(void **state)
{
	struct engine_counters now;
	size_t settled_bytes = 0;
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_ALL);
	for (int round = 0; round < 20; round++) {
		choose(&s, rule_set_default());
		for (int fd = 10; fd < 60; fd++)
			opens(&s, PID, fd, fd);
		sets_lock(&s, 10, a_file(10));
		for (int fd = 10; fd < 60; fd++)
			closes(&s, PID, fd);
		fails(&s, FDT_SYS_close, PID, 61, EBADF);
		fails(&s, FDT_SYS_accept4, PID, 0, EMFILE);
		choose(&s, 0);
		tick(&s, S);
		engine_counters(s.engine, &now);
		if (round == 9) /* as many earlier generations as are kept */
			settled_bytes = now.memory_bytes;
	}
	assert_int_equal(now.memory_bytes, settled_bytes);
	stream_end(&s);
}

static void needs_and_served_agree(void **state)
{
	(void)state;
	assert_int_equal(detectors_needs(0), 0);
	assert_int_equal(detectors_needs(RULE_BIT(CLOSE_LOCK)), FDT_NEED(LOCK));
	assert_int_equal(detectors_needs(RULE_BIT(EPOLL_STALE)), FDT_NEED(REGISTER));
	assert_int_equal(detectors_needs(RULE_BIT(EXEC_HELD)), FDT_NEED(MARK));
	assert_int_equal(detectors_needs(RULE_BIT(USE_STALE)), 1u << FDT_STALE_USES);
	for (unsigned int r = 0; r < RULE_COUNT; r++) {
		rule_set one = (rule_set)1 << r;

		assert_true(detectors_served(detectors_needs(one)) & one);
	}
	/* with EPOLL_FOREIGN on, EPOLL_STALE can be switched on without a restart; CLOSE_LOCK can't */
	assert_true(detectors_served(detectors_needs(RULE_BIT(EPOLL_FOREIGN))) &
		    RULE_BIT(EPOLL_STALE));
	assert_false(detectors_served(detectors_needs(RULE_BIT(EPOLL_FOREIGN))) &
		     RULE_BIT(CLOSE_LOCK));
}

/* Each rule has one detector that reports it, and each detector its own place for its state. */
static void every_rule_has_one_detector(void **state)
{
	rule_set all = 0;
	unsigned int ids = 0;

	(void)state;
	for (const struct detector *const *d = detectors_all; *d; d++) {
		assert_false(all & (*d)->rules);
		all |= (*d)->rules;
		assert_false(ids >> (*d)->id & 1);
		ids |= 1u << (*d)->id;
	}
	assert_int_equal(all, RULE_BIT(COUNT) - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_wanted_ones_are_called),
		cmocka_unit_test(nobody_looks),
		cmocka_unit_test(switched_off_it_forgets),
		cmocka_unit_test(on_and_off),
		cmocka_unit_test(needs_and_served_agree),
		cmocka_unit_test(every_rule_has_one_detector),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
