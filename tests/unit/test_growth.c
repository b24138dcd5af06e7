// SPDX-License-Identifier: BSD-2-Clause
/* leak.growth by place: calls add up, the forecast is the table's, places that grow together are one report. */
#include "stream.h"
#include "engine/help.h"
#include "model/stack.h"

#define ROWS_MAX 10
#define NOFILE 2000

struct told {
	enum severity severity;
	bool joined;
	unsigned int rows;
	uint64_t open[ROWS_MAX], fingerprint;
	double rate[ROWS_MAX], table_rate;
	uint64_t exhausted_in_s, table_open;
	char label[ROWS_MAX][96], message[512];
};

struct world {
	struct stream s;
	struct told told[16];
	unsigned int count;
	const char *silent; /* a place whose findings are suppressed */
	int next_fd;
	uint64_t next_file;
};

static void hear(void *ctx, const struct finding *f)
{
	struct world *w = ctx;
	struct told *t = &w->told[w->count++];

	assert_true(w->count <= 16);
	if (f->rule != RULE_LEAK_GROWTH) {
		w->count--;
		return;
	}
	*t = (struct told){ .severity = f->severity,
			    .joined = f->joined,
			    .rows = f->site_count,
			    .fingerprint = f->fingerprint,
			    .table_rate = f->limit.rate_per_min,
			    .table_open = f->limit.open,
			    .exhausted_in_s = f->limit.exhausted_in_s };
	for (unsigned int i = 0; i < f->site_count; i++) {
		t->open[i] = f->sites[i].open;
		t->rate[i] = f->sites[i].rate_per_min;
		snprintf(t->label[i], sizeof(t->label[i]), "%s", f->sites[i].label);
	}
	snprintf(t->message, sizeof(t->message), "%s", f->message);
}

static bool is_silent(void *ctx, const struct finding *f)
{
	const struct world *w = ctx;

	return w->silent && f->site_count && !strcmp(f->sites[0].label, w->silent);
}

static const struct engine_listener listener = { .finding = hear };
static const struct engine_policy policy = { .suppressed = is_silent };

static void start(struct world *w)
{
	struct engine_options options = stream_options(&w->s, ENGINE_PID);
	struct fdt_limit limit;

	*w = (struct world){ .s = { .now_ns = 1000 * S }, .next_fd = 3, .next_file = 1 };
	options.listener = &listener;
	options.policy = &policy;
	options.ctx = w;
	assert_int_equal(engine_new(&options, &w->s.engine), 0);
	opens(&w->s, PID, 0, 100000);
	limit = (struct fdt_limit){ .head = HEAD(&w->s, FDT_LIMIT, 0, fdt_limit, PID, PID, 0),
				    .nofile = NOFILE };
	stream_apply(&w->s, &limit);
}

/* The stack of a function, called from line `line` of its caller. */
static void knows(struct world *w, uint64_t site, const char *function, uint64_t identity,
		  uint64_t caller)
{
	const struct frame frames[] = { { "open (libc.so.6+1)", 0, FDT_SITE_FRAME_SYSTEM },
					{ "call (python+2)", caller, FDT_SITE_FRAME_SYSTEM },
					{ function, identity, 0 } };

	tells(&w->s, site, 0, 3, frames);
}

static void leak(struct world *w, uint64_t site, int count)
{
	for (int i = 0; i < count; i++)
		opens_at(&w->s, w->next_fd++, w->next_file++, site);
}

/* Half of a leak goes through either of two stacks of one line: neither alone is large enough. */
static void calls_of_a_line_are_judged_as_one(void **state)
{
	static struct world w;

	(void)state;
	start(&w);
	knows(&w, 1, "connect (pool.py:88)", 77, 5);
	knows(&w, 2, "connect (pool.py:88)", 77, 6);
	for (int second = 0; second < 50; second++) {
		leak(&w, 1 + (uint64_t)second % 2, second % 2 + 1);
		tick(&w.s, S);
	}
	assert_int_equal(w.count, 1);
	assert_int_equal(w.told[0].rows, 1);
	assert_true(w.told[0].open[0] > 40);
	assert_non_null(strstr(w.told[0].message, "pool.py:88 connect (2 calls)"));
	stream_end(&w.s);
}

static void keep_open(void *ctx, const struct finding_row *row)
{
	if (row->rule == RULE_LEAK_GROWTH)
		*(uint64_t *)ctx = row->open;
}

/* What opens and closes after the report shows in the summary. */
static void the_summary_counts_what_is_open_now(void **state)
{
	static struct world w;
	uint64_t open = 0;

	(void)state;
	start(&w);
	knows(&w, 1, "connect (pool.py:88)", 77, 5);
	knows(&w, 2, "connect (pool.py:88)", 77, 6);
	for (int second = 0; second < 42; second++) {
		leak(&w, 1, 2);
		tick(&w.s, S);
	}
	assert_int_equal(w.count, 1);
	leak(&w, 1, 20);
	leak(&w, 2, 11);
	closes(&w.s, PID, 3);
	engine_each_finding(w.s.engine, keep_open, &open);
	assert_int_equal(open, 42 * 2 + 20 + 11 - 1);
	stream_end(&w.s);
}

static void a_short_run_cannot_find_all(void **state)
{
	static struct world w;

	(void)state;
	start(&w);
	assert_int_equal(engine_takes_ns(w.s.engine, RULE_LEAK_GROWTH), 30 * S);
	assert_int_equal(engine_takes_ns(w.s.engine, RULE_LEAK_ORPHAN), 60 * S);
	assert_int_equal(engine_takes_ns(w.s.engine, RULE_CLOSE_UNOWNED), 0);
	stream_end(&w.s);
}

/* What has to be closed depends on who made it. */
static void the_help_names_what_has_to_be_closed(void **state)
{
	struct stack_frame frames[] = {
		{ .text = "socketpair (/usr/lib/python3.11/socket.py:608)" },
		{ .text = "new_event_loop (/usr/lib/python3.11/asyncio/events.py:806)" },
		{ .text = "serve (app.py:8)" },
	};
	struct stack stack = { .frames = frames, .frame_count = 3 };
	struct site site = { .stack = &stack };
	struct site_row row = { .site = &site, .kind = FD_KIND_UNIX };

	(void)state;
	assert_non_null(strstr(help_growth(&row), "loop.close()"));
	frames[1].text = "_launch (/usr/lib/python3.11/multiprocessing/popen_fork.py:64)";
	assert_non_null(strstr(help_growth(&row), "close() on each Process"));
	frames[1].text = "g_main_context_new (libglib-2.0.so.0+0x5a7c2)";
	assert_non_null(strstr(help_growth(&row), "on every path, including error"));
	row.kind = FD_KIND_EVENTFD;
	assert_non_null(strstr(help_growth(&row), "g_main_context_unref()"));
	row = (struct site_row){ .kind = FD_KIND_PIPE };
	assert_non_null(strstr(help_growth(&row), "both ends of each pipe"));
}

static unsigned int told_alone(const struct world *w)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < w->count; i++)
		count += !w->told[i].joined;
	return count;
}

static void three_places(struct world *w)
{
	knows(w, 1, "connect (pool.py:88)", 77, 5);
	knows(w, 2, "reopen (log.py:20)", 78, 5);
	knows(w, 3, "spawn (job.py:7)", 79, 5);
	for (int second = 0; second < 45; second++) {
		leak(w, 1, 3);
		leak(w, 2, 2);
		leak(w, 3, 2);
		tick(&w->s, S);
	}
}

/* Seven a second in all: by one place alone the limit would seem twice as far away, or further. */
static void the_forecast_is_the_tables(void **state)
{
	static struct world w;
	const struct told *t = &w.told[0];
	double left_s;

	(void)state;
	start(&w);
	three_places(&w);
	assert_int_equal(told_alone(&w), 1);
	assert_int_equal(w.count, 3);
	assert_int_equal(t->rows, 3);
	left_s = (NOFILE - t->table_open) / 7.0;
	assert_true(t->exhausted_in_s > left_s * 0.8 && t->exhausted_in_s < left_s * 1.2);
	assert_true(t->table_rate > 400 && t->table_rate < 450);
	assert_true(t->rate[0] > 170 && t->rate[0] < 190);
	assert_int_equal(t->severity, SEVERITY_ERROR);
	assert_non_null(strstr(t->message, "3 places that grow together"));
	stream_end(&w.s);
}

/* Each is a cause of its own: one that is suppressed is left out, and leads none. */
static void a_silent_place_is_left_out(void **state)
{
	static struct world w;
	struct engine_counters counters;

	(void)state;
	start(&w);
	w.silent = "pool.py:88 connect";
	three_places(&w);
	assert_int_equal(told_alone(&w), 1);
	assert_int_equal(w.told[0].rows, 2);
	assert_string_equal(w.told[0].label[0], "log.py:20 reopen");
	engine_counters(w.s.engine, &counters);
	assert_int_equal(counters.findings_suppressed, 1);
	stream_end(&w.s);
}

/* A place that begins to grow later is news; those reported before are not reported again for it. */
static void a_newcomer_leads(void **state)
{
	static struct world w;

	(void)state;
	start(&w);
	three_places(&w);
	knows(&w, 4, "watch (conf.py:3)", 80, 5);
	for (int second = 0; second < 60; second++) {
		leak(&w, 1, 2);
		leak(&w, 4, 1);
		tick(&w.s, S);
	}
	assert_int_equal(told_alone(&w), 2);
	assert_string_equal(w.told[3].label[0], "conf.py:3 watch");
	assert_string_equal(w.told[3].label[1], "pool.py:88 connect");
	stream_end(&w.s);
}

static void limit_at(struct stream *s, unsigned int syscall, int open)
{
	stream_start(s, ENGINE_PID);
	met(s);
	for (int fd = 0; fd < open; fd++)
		opens(s, PID, fd, fd + 1);
	fails(s, syscall, PID, -1, EMFILE); /* of 64 */
}

/* Only the last number tells an instance limit from a full table; a table that is nearly full is no proof. */
static void a_call_with_a_limit_of_its_own(void **state)
{
	struct stream s;

	(void)state;
	limit_at(&s, FDT_SYS_inotify_init1, 62);
	assert_non_null(
		strstr(only_finding(&s, RULE_LIMIT_EMFILE)->message, "another limit was hit"));
	stream_end(&s);
	limit_at(&s, FDT_SYS_inotify_init1, 64);
	assert_non_null(strstr(only_finding(&s, RULE_LIMIT_EMFILE)->message,
			       "64 of 64 descriptors are open, most of them (64 file)"));
	stream_end(&s);
	limit_at(&s, FDT_SYS_openat, 62);
	assert_non_null(strstr(only_finding(&s, RULE_LIMIT_EMFILE)->message,
			       "62 of 64 descriptors are open"));
	stream_end(&s);
}

/* It fails before its table is known: what is open is not "0 of 64", and no other limit was hit. */
static void full_before_it_is_known(void **state)
{
	uint64_t numbers[64];
	struct stream s;

	(void)state;
	for (unsigned int i = 0; i < 64; i++)
		numbers[i] = i + 1;
	stream_start(&s, ENGINE_PID);
	fails(&s, FDT_SYS_openat, PID, -1, EMFILE);
	fails(&s, FDT_SYS_openat, PID, -1, EMFILE);
	tick(&s, 5 * S);
	assert_int_equal(s.kept_count, 0);
	vec(&s, FDT_OP_SNAPSHOT, PID, TABLE, 64, numbers);
	tick(&s, S);
	assert_int_equal(only_finding(&s, RULE_LIMIT_EMFILE)->severity, SEVERITY_ERROR);
	assert_non_null(strstr(s.kept[0].message, "64 of 64 descriptors are open"));
	stream_end(&s);
}

/* Its snapshot never comes: that is said, too. */
static void a_table_that_stays_unknown(void **state)
{
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_PID);
	opens(&s, PID, 3, 1);
	fails(&s, FDT_SYS_openat, PID, -1, EMFILE);
	tick(&s, 61 * S);
	assert_non_null(strstr(only_finding(&s, RULE_LIMIT_EMFILE)->message,
			       "of 64 descriptors at least 1 are open"));
	stream_end(&s);
}

/* "0 of 0 descriptors, most of them" says nothing. */
static void a_limit_lowered_below_what_is_open(void **state)
{
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_PID);
	for (int fd = 0; fd < 8; fd++)
		opens(&s, PID, 60 + fd, fd + 1);
	fails(&s, FDT_SYS_mq_open, PID, -1, EMFILE);
	fails(&s, FDT_SYS_openat, PID, -1, EMFILE);
	for (unsigned int i = 0; i < s.kept_count; i++) {
		assert_null(strstr(s.kept[i].message, "0 of 0"));
		assert_null(strstr(s.kept[i].message, "most of them (0"));
	}
	stream_end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(calls_of_a_line_are_judged_as_one),
		cmocka_unit_test(the_summary_counts_what_is_open_now),
		cmocka_unit_test(a_short_run_cannot_find_all),
		cmocka_unit_test(the_help_names_what_has_to_be_closed),
		cmocka_unit_test(the_forecast_is_the_tables),
		cmocka_unit_test(a_silent_place_is_left_out),
		cmocka_unit_test(a_newcomer_leads),
		cmocka_unit_test(a_call_with_a_limit_of_its_own),
		cmocka_unit_test(full_before_it_is_known),
		cmocka_unit_test(a_table_that_stays_unknown),
		cmocka_unit_test(a_limit_lowered_below_what_is_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
