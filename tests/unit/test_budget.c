// SPDX-License-Identifier: BSD-2-Clause
/* The overhead budget against machines that are made up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "run/budget.h"

#define MS 1000000ull
#define S 1000000000ull
#define PERCENT 10000

/* What it would cost, of one CPU, and what became of it. */
struct machine {
	struct budget budget;
	struct budget_sample sample;
	struct budget_decision last;
	double on, off; /* cost of the hooks and of ourselves; of ourselves without them */
	double census;  /* CPU time of one, ns */
	double used, hooks_ns;
	uint64_t began_ns, turned_ns, shortest_window_ns;
	uint64_t longest_pause_ns; /* between two looks at the tables while hooks are off */
	uint64_t looked_ns;
	unsigned int censuses, turns, changes;
};

static void start(struct machine *m, uint64_t ppm, unsigned int cpus)
{
	*m = (struct machine){ .sample = { .now_ns = 1000 * S, .cpus = cpus } };
	budget_init(&m->budget, ppm, m->sample.now_ns);
	m->last = budget_step(&m->budget, &m->sample);
	m->shortest_window_ns = UINT64_MAX;
	m->turned_ns = m->looked_ns = m->began_ns = m->sample.now_ns;
}

static void note_turn(struct machine *m, bool was)
{
	uint64_t now = m->sample.now_ns;

	if (was && now - m->turned_ns < m->shortest_window_ns)
		m->shortest_window_ns = now - m->turned_ns;
	m->turned_ns = m->looked_ns = now;
	m->turns++;
}

static void step(struct machine *m, uint64_t ns)
{
	struct budget_decision was = m->last;
	double cost;

	ns += was.census ? (uint64_t)m->census : 0;
	cost = (double)ns * (was.hooks ? m->on : m->off);
	m->sample.now_ns += ns;
	m->hooks_ns += was.hooks ? (double)ns : 0;
	if (was.census)
		cost += m->census;
	m->used += cost;
	m->sample.run_ns += (uint64_t)(cost / 2);
	m->sample.own_cpu_ns += (uint64_t)(cost / 2);
	m->last = budget_step(&m->budget, &m->sample);
	assert_true(m->last.next_ns > m->sample.now_ns);
	m->changes += m->last.coverage != was.coverage;
	if (!m->last.hooks && m->sample.now_ns - m->looked_ns > m->longest_pause_ns)
		m->longest_pause_ns = m->sample.now_ns - m->looked_ns;
	if (m->last.census) {
		assert_false(m->last.hooks);
		m->censuses++;
		m->looked_ns = m->sample.now_ns;
	}
	if (m->last.hooks != was.hooks)
		note_turn(m, was.hooks);
}

/* For so long, asking each 20 ms as the session does. Counts anew. */
static void run(struct machine *m, uint64_t ns)
{
	m->used = m->hooks_ns = 0;
	m->censuses = m->turns = m->changes = 0;
	m->longest_pause_ns = 0;
	m->began_ns = m->sample.now_ns;
	while (m->sample.now_ns - m->began_ns < ns)
		step(m, 20 * MS);
}

static double overhead(const struct machine *m)
{
	return m->used / (double)(m->sample.now_ns - m->began_ns) / m->sample.cpus;
}

static double share(const struct machine *m)
{
	return m->hooks_ns / (double)(m->sample.now_ns - m->began_ns);
}

#define assert_between(value, low, high)                                             \
	do {                                                                         \
		if ((value) < (low) || (value) > (high))                             \
			fail_msg("%s is %g, not between %g and %g", #value, (value), \
				 (double)(low), (double)(high));                     \
	} while (0)

static void what_fits_is_on_all_the_time(void **state)
{
	struct machine m;

	(void)state;
	start(&m, PERCENT, 2);
	m.on = 0.018;
	run(&m, 600 * S);
	assert_int_equal(m.turns, 0);
	assert_int_equal(m.last.coverage, COVERAGE_FULL);
	assert_between(m.last.share, 0.999, 1);
	assert_between(m.last.overhead, 0.0088, 0.0092);
}

static void what_does_not_fit_is_on_for_a_share_that_does(void **state)
{
	static const double costs[] = { 0.03, 0.08, 0.3, 1.0, 2.0 };

	(void)state;
	for (size_t i = 0; i < sizeof(costs) / sizeof(*costs); i++) {
		struct machine m;

		start(&m, PERCENT, 2);
		m.on = costs[i];
		m.off = 0.002;
		m.census = 5 * MS;
		run(&m, 200 * S);
		assert_int_equal(m.last.coverage, COVERAGE_DUTY);
		run(&m, 3600 * S);
		assert_int_equal(m.last.coverage, COVERAGE_DUTY);
		assert_between(overhead(&m), 0.0085, 0.0102);
		assert_between(share(&m), 0.7 * 0.018 / costs[i],
			       1.05 * 0.018 / (costs[i] - 0.002));
		assert_true(m.shortest_window_ns >= BUDGET_WINDOW_NS);
		assert_true(m.longest_pause_ns <= 61 * S);
	}
}

static void a_burst_changes_nothing(void **state)
{
	struct machine m;

	(void)state;
	start(&m, PERCENT, 2);
	m.on = 0.005;
	run(&m, 60 * S);
	m.on = 0.1;
	run(&m, 4 * S);
	m.on = 0.005;
	run(&m, 60 * S);
	assert_int_equal(m.turns, 0);
	assert_int_equal(m.last.coverage, COVERAGE_FULL);
}

static void it_comes_back_when_the_load_ends(void **state)
{
	struct machine m;

	(void)state;
	start(&m, PERCENT, 2);
	m.on = 0.4;
	m.off = 0.001;
	run(&m, 300 * S);
	assert_int_equal(m.last.coverage, COVERAGE_DUTY);
	m.on = 0.004;
	run(&m, 60 * S);
	assert_int_equal(m.last.coverage, COVERAGE_FULL);
	assert_true(m.last.hooks);
	assert_true(m.changes <= 1);
}

static void at_the_edge_it_does_not_flap(void **state)
{
	static const double costs[] = { 0.0195, 0.0199, 0.0201, 0.0205, 0.022 };

	(void)state;
	for (size_t i = 0; i < sizeof(costs) / sizeof(*costs); i++) {
		struct machine m;

		start(&m, PERCENT, 2);
		m.on = costs[i];
		m.off = 0.002;
		run(&m, 4000 * S);
		assert_true(m.changes <= 1);
		assert_between(overhead(&m), 0.0085, 0.0105);
	}
}

static void a_noisy_cost_keeps_to_the_budget(void **state)
{
	struct machine m;

	(void)state;
	start(&m, PERCENT, 2);
	srand(1);
	m.off = 0.001;
	for (int i = 0; i < 2000; i++) {
		m.on = (double)(rand() % 1000) / 1000;
		step(&m, (uint64_t)(rand() % 400) * MS);
	}
	m.on = 0.5;
	run(&m, 1000 * S);
	assert_between(overhead(&m), 0.007, 0.0102);
}

static void censuses_cost_a_quarter_at_most(void **state)
{
	struct machine m;

	(void)state;
	start(&m, PERCENT, 2);
	m.on = 1;
	m.census = 5 * MS;
	run(&m, 200 * S);
	run(&m, 1000 * S);
	assert_between(m.censuses * m.census / 1000 / (double)S, 0, 0.02 / 4);
	assert_true(m.censuses > 300); /* every two seconds, less the windows */
	m.census = 100 * MS;
	run(&m, 200 * S);
	run(&m, 2000 * S);
	assert_between(m.censuses * m.census / 2000 / (double)S, 0, 0.02 / 4 * 1.1);
	assert_true(m.censuses > 50);
}

static void suspects_are_worth_windows(void **state)
{
	struct machine m;
	double before;

	(void)state;
	start(&m, PERCENT, 2);
	m.on = 0.5;
	m.census = 40 * MS;
	run(&m, 300 * S);
	run(&m, 2000 * S);
	before = share(&m);
	m.sample.suspects = true;
	run(&m, 300 * S);
	run(&m, 2000 * S);
	assert_true(share(&m) > before * 1.1);
	assert_true(m.longest_pause_ns <= 61 * S);
	assert_between(overhead(&m), 0.008, 0.0102);
}

static void nothing_is_allowed(void **state)
{
	struct machine m;

	(void)state;
	start(&m, 0, 4);
	assert_false(m.last.hooks);
	assert_int_equal(m.last.coverage, COVERAGE_CENSUS);
	m.off = 0.001;
	run(&m, 600 * S);
	assert_int_equal(m.turns, 0);
	assert_between(m.censuses, 9, 11);
	assert_between(m.last.share, 0, 0);
}

static void everything_is_allowed(void **state)
{
	struct machine m;

	(void)state;
	start(&m, 100 * PERCENT, 2);
	m.on = 2;
	run(&m, 600 * S);
	assert_int_equal(m.turns, 0);
	assert_int_equal(m.last.coverage, COVERAGE_FULL);
	assert_between(m.last.overhead, 0.99, 1.01);
}

/* What fdtrace costs without hooks is more than the budget: they stay off, and censuses go on. */
/* Both ways: what the old budget came to does not linger. */
static void another_budget_is_obeyed_at_once(void **state)
{
	struct machine m;

	(void)state;
	start(&m, 0, 2);
	m.on = 0.2;
	run(&m, 400 * S);
	assert_false(m.last.hooks);
	budget_set(&m.budget, 100 * PERCENT);
	run(&m, 5 * S);
	assert_true(m.last.hooks);
	assert_int_equal(m.last.coverage, COVERAGE_FULL);
	run(&m, 100 * S);
	assert_between(m.last.share, 0.95, 1);
	budget_set(&m.budget, PERCENT);
	run(&m, 300 * S);
	assert_between(overhead(&m), 0, 0.013);
	assert_int_equal(m.last.coverage, COVERAGE_DUTY);
}

static void we_ourselves_cost_too_much(void **state)
{
	struct machine m;

	(void)state;
	start(&m, PERCENT / 10, 1);
	m.on = 0.5;
	m.off = 0.01;
	run(&m, 1000 * S);
	assert_false(m.last.hooks);
	assert_int_equal(m.last.coverage, COVERAGE_CENSUS);
	assert_true(m.longest_pause_ns <= 61 * S);
	m.off = 0.0001;
	m.on = 0.0002;
	run(&m, 900 * S);
	assert_int_equal(m.last.coverage, COVERAGE_FULL);
}

static void counters_that_lie_do_no_harm(void **state)
{
	struct machine m;

	(void)state;
	start(&m, PERCENT, 2);
	m.on = 0.01;
	run(&m, 100 * S);
	m.sample.run_ns = 0; /* began anew */
	m.sample.own_cpu_ns = 0;
	run(&m, 100 * S);
	assert_int_equal(m.turns, 0);
	m.sample.run_ns =
		UINT64_MAX - 1000000 * S; /* a jump: no more than all CPUs since the last look */
	run(&m, 100 * S);
	assert_int_equal(m.turns, 0);
	m.sample.run_ns = 5;
	m.sample.now_ns -= 50 * S; /* time runs back */
	m.last = budget_step(&m.budget, &m.sample);
	m.sample.now_ns += 50 * S;
	run(&m, 100 * S);
	assert_int_equal(m.turns, 0);
	m.sample.cpus = 0;
	step(&m, 20 * MS);
	m.sample.cpus = 2;
	step(&m, 0);
	step(&m, 1000000 * S);
	run(&m, 100 * S);
	assert_true(m.last.hooks);
	assert_between(m.last.share, 0.9, 1);
	assert_between(m.last.overhead, 0, 0.02);
}

static void names(void **state)
{
	(void)state;
	assert_string_equal(coverage_name(COVERAGE_FULL), "full");
	assert_string_equal(coverage_name(COVERAGE_DUTY), "duty");
	assert_string_equal(coverage_name(COVERAGE_CENSUS), "census");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_fits_is_on_all_the_time),
		cmocka_unit_test(what_does_not_fit_is_on_for_a_share_that_does),
		cmocka_unit_test(a_burst_changes_nothing),
		cmocka_unit_test(it_comes_back_when_the_load_ends),
		cmocka_unit_test(at_the_edge_it_does_not_flap),
		cmocka_unit_test(a_noisy_cost_keeps_to_the_budget),
		cmocka_unit_test(censuses_cost_a_quarter_at_most),
		cmocka_unit_test(suspects_are_worth_windows),
		cmocka_unit_test(nothing_is_allowed),
		cmocka_unit_test(everything_is_allowed),
		cmocka_unit_test(another_budget_is_obeyed_at_once),
		cmocka_unit_test(we_ourselves_cost_too_much),
		cmocka_unit_test(counters_that_lie_do_no_harm),
		cmocka_unit_test(names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
