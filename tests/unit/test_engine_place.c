// SPDX-License-Identifier: BSD-2-Clause
/* Where a process is: asked when a finding is told, or early when one may be; recorded; the same in a replay. */
#include "stream.h"

#define UNIT "/system.slice/app.service"

struct world {
	struct stream s;
	unsigned int asked;
	uint32_t asked_pid;
	int answer; /* 0, or -errno */
	char place[FDT_CGROUP_MAX + 1];
	uint32_t inner_pid;
	unsigned int reported;
};

static void keep_place(void *ctx, const struct finding *f)
{
	struct world *w = ctx;

	w->reported++;
	w->place[0] = '\0';
	if (f->process->cgroup)
		snprintf(w->place, sizeof(w->place), "%s", f->process->cgroup);
	w->inner_pid = f->process->inner_pid;
}

static int answer_place(void *ctx, uint32_t pid, char *cgroup, size_t size, size_t *ret_length,
			uint32_t *ret_inner_pid)
{
	struct world *w = ctx;

	w->asked++;
	w->asked_pid = pid;
	if (w->answer)
		return w->answer;
	assert_true(size >= strlen(UNIT));
	*ret_length = strlen(UNIT);
	memcpy(cgroup, UNIT, *ret_length);
	*ret_inner_pid = 7;
	return 0;
}

static const struct engine_listener listener = { .finding = keep_place };
static const struct engine_host host = { .place = answer_place };

static void start(struct world *w, bool live, uint64_t fail_at)
{
	struct engine_options options = stream_options(&w->s, ENGINE_PID);

	*w = (struct world){ .s = { .now_ns = 1000 * S } };
	options.listener = &listener;
	options.host = live ? &host : NULL;
	options.ctx = w;
	options.fail_at = fail_at;
	assert_int_equal(engine_new(&options, &w->s.engine), 0);
}

static void told_place(struct world *w, uint32_t pid, size_t length, const char *cgroup)
{
	_Alignas(8) char buffer[sizeof(struct fdt_cgroup) + FDT_CGROUP_MAX + 8] = { 0 };
	struct fdt_cgroup *e = (struct fdt_cgroup *)buffer;

	*e = (struct fdt_cgroup){ .head = HEAD(&w->s, FDT_CGROUP, 0, fdt_cgroup, pid, pid, 0),
				  .inner_pid = 9 };
	e->head.size = (uint16_t)(sizeof(*e) + length);
	memcpy(e->cgroup, cgroup, length);
	stream_apply(&w->s, e);
}

/* Told at once. */
static void another_limit(struct world *w)
{
	met(&w->s);
	fails(&w->s, FDT_SYS_inotify_init1, PID, -1, EMFILE);
}

static void a_full_table(struct world *w)
{
	for (int fd = 3; fd < 64; fd++)
		put(&w->s, FDT_OP_OPEN, FDT_SYS_accept4, PID, fd, a_file((uint64_t)fd));
	fails(&w->s, FDT_SYS_accept4, PID, -1, EMFILE);
}

static void asked_when_told(void **state)
{
	struct world w;

	(void)state;
	start(&w, true, 0);
	task(&w.s, FDT_OP_SNAPSHOT, PID, PID, TABLE, PID, 0);
	opens(&w.s, PID, 3, 1);
	assert_int_equal(w.asked, 0);
	another_limit(&w);
	assert_int_equal(w.reported, 1);
	assert_int_equal(w.asked, 1);
	assert_int_equal(w.asked_pid, PID);
	assert_string_equal(w.place, UNIT);
	assert_int_equal(w.inner_pid, 7);
	stream_end(&w.s);
}

static void asked_once_for_an_image(void **state)
{
	struct world w;

	(void)state;
	start(&w, true, 0);
	w.answer = -ESRCH;
	task(&w.s, FDT_OP_SNAPSHOT, PID, PID, TABLE, PID, 0);
	another_limit(&w);
	fails(&w.s, FDT_SYS_fanotify_init, PID, -1, EMFILE);
	assert_string_equal(w.place, "");
	assert_int_equal(w.asked, 1);

	w.answer = 0;
	task(&w.s, FDT_OP_EXEC, PID, PID, TABLE, PID, 0);
	a_full_table(&w);
	tick(&w.s, 2 * S);
	assert_int_equal(w.asked, 2);
	assert_string_equal(w.place, UNIT);
	stream_end(&w.s);
}

/* It fails, ends, and only then the finding is told. */
static void asked_before_it_ends(void **state)
{
	struct world w;

	(void)state;
	start(&w, true, 0);
	task(&w.s, FDT_OP_SNAPSHOT, PID, PID, TABLE, PID, 0);
	a_full_table(&w);
	assert_int_equal(w.reported, 0);
	assert_int_equal(w.asked, 1);
	w.answer = -ESRCH;
	task(&w.s, FDT_OP_EXIT, PID, PID, TABLE, PID, 0);
	tick(&w.s, 2 * S);
	assert_int_equal(w.reported, 1);
	assert_int_equal(w.asked, 1);
	assert_string_equal(w.place, UNIT);
	stream_end(&w.s);
}

static bool only_others(void *ctx, const char *cgroup)
{
	struct world *w = ctx;

	snprintf(w->place, sizeof(w->place), "%s", cgroup ? cgroup : "unknown");
	return !cgroup || strcmp(cgroup, UNIT) != 0;
}

static void start_elsewhere(struct world *w)
{
	static const struct engine_policy policy = { .wanted = only_others };
	struct engine_options options = stream_options(&w->s, ENGINE_PID);

	*w = (struct world){ .s = { .now_ns = 1000 * S } };
	options.listener = &listener;
	options.host = &host;
	options.policy = &policy;
	options.ctx = w;
	assert_int_equal(engine_new(&options, &w->s.engine), 0);
	task(&w->s, FDT_OP_SNAPSHOT, PID, PID, TABLE, PID, 0);
}

/* The same cause in a place that is wanted is still news then. */
static void not_even_counted_elsewhere(void **state)
{
	struct engine_counters counters;
	struct world w;

	(void)state;
	start_elsewhere(&w);
	another_limit(&w);
	another_limit(&w);
	assert_string_equal(w.place, UNIT);
	assert_int_equal(w.reported, 0);
	assert_int_equal(w.asked, 1);
	engine_counters(w.s.engine, &counters);
	for (unsigned int r = 0; r < RULE_COUNT; r++)
		assert_int_equal(counters.by_rule[r].found, 0);
	told_place(&w, PID, 4, "/abc");
	another_limit(&w);
	assert_int_equal(w.reported, 1);
	stream_end(&w.s);
}

static void told_where_the_place_is_not_known(void **state)
{
	struct world w;

	(void)state;
	start_elsewhere(&w);
	w.answer = -ESRCH;
	another_limit(&w);
	assert_int_equal(w.reported, 1);
	stream_end(&w.s);
}

static void a_recorded_place(void **state)
{
	struct world w;

	(void)state;
	start(&w, false, 0);
	task(&w.s, FDT_OP_SNAPSHOT, PID, PID, TABLE, PID, 0);
	told_place(&w, PID, 4, "/abcdef");
	assert_int_equal(w.s.last_err, 0);
	another_limit(&w);
	assert_string_equal(w.place, "/abc");
	assert_int_equal(w.inner_pid, 9);
	stream_end(&w.s);
}

/* What was recorded counts: the host is not asked again. */
static void recorded_and_live(void **state)
{
	struct world w;

	(void)state;
	start(&w, true, 0);
	task(&w.s, FDT_OP_SNAPSHOT, PID, PID, TABLE, PID, 0);
	told_place(&w, PID, 4, "/abc");
	another_limit(&w);
	assert_int_equal(w.asked, 0);
	assert_string_equal(w.place, "/abc");
	stream_end(&w.s);
}

static void hostile_places(void **state)
{
	static char text[FDT_CGROUP_MAX + 8];
	struct world w;

	(void)state;
	memset(text, '/', sizeof(text));
	start(&w, false, 0);
	task(&w.s, FDT_OP_SNAPSHOT, PID, PID, TABLE, PID, 0);
	told_place(&w, PID, FDT_CGROUP_MAX + 1, text);
	assert_int_equal(w.s.last_err, -EINVAL);
	told_place(&w, PID, FDT_CGROUP_MAX, text);
	assert_int_equal(w.s.last_err, 0);
	told_place(&w, PID, 0, text);
	assert_int_equal(w.s.last_err, 0);
	told_place(&w, PID, 6, "/a\0bcd");
	another_limit(&w);
	assert_string_equal(w.place, "/a");
	stream_end(&w.s);
}

/* Every allocation fails once: a place may be missing then, and nothing else goes wrong. */
static void want_of_memory(void **state)
{
	unsigned int placed = 0;
	struct world w;

	(void)state;
	for (uint64_t n = 5 + DETECTOR_COUNT; n < 60;
	     n++) { /* the first few are the engine's own */
		start(&w, true, n);
		task(&w.s, FDT_OP_SNAPSHOT, PID, PID, TABLE, PID, 0);
		another_limit(&w);
		assert_true(!w.place[0] || !strcmp(w.place, UNIT));
		placed += w.reported && !w.place[0];
		stream_end(&w.s);
	}
	assert_true(placed > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(asked_when_told),
		cmocka_unit_test(asked_once_for_an_image),
		cmocka_unit_test(asked_before_it_ends),
		cmocka_unit_test(not_even_counted_elsewhere),
		cmocka_unit_test(told_where_the_place_is_not_known),
		cmocka_unit_test(a_recorded_place),
		cmocka_unit_test(recorded_and_live),
		cmocka_unit_test(hostile_places),
		cmocka_unit_test(want_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
