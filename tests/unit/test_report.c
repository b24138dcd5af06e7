// SPDX-License-Identifier: BSD-2-Clause
/* How a detector reports: what is news, what becomes of the words, and in which language it helps. */
#include "stream.h"

#include "engine/detector.h"
#include "engine/report.h"

#define RULE RULE_LEAK_EXIT
#define HOUR_S (3600 * S)

/* What the detector of these tests reports at each open, and what it has seen. */
static struct {
	enum severity severity;
	const char *message, *more;
	bool asks;
	unsigned int news;
	struct report last;
} said;

static void say(struct engine *e, struct fdtable *table, const struct fdt_slot *event,
		const struct actor *actor)
{
	struct report *r = &said.last;

	(void)event, (void)actor;
	report_begin(r, e, RULE, table->owner, NULL);
	r->finding.severity = said.severity;
	if (said.asks && report_is_news(r))
		said.news++;
	report_message(r, "%s", said.message);
	report_add_message(r, "%s", said.more);
	report_why(r, "forgotten");
	report_why(r, "since %d", 1);
	report_add_why(r, ", or %d", 2);
	report_send(r);
}

static const struct detector sayer = {
	.name = "sayer",
	.rules = RULE_BIT(LEAK_EXIT),
	.serves = RULE_BIT(CLOSE_LOCK),
	.opened_below = FD_MAX,
	.opened = say,
};

static void begin(struct stream *s, rule_set rules)
{
	static const struct detector *const alone[] = { &sayer, NULL };
	struct engine_options options = stream_options(s, ENGINE_PID);

	*s = (struct stream){ .now_ns = 1000 * S };
	memset(&said, 0, sizeof(said));
	said.severity = SEVERITY_INFO;
	said.message = said.more = "";
	said.asks = true;
	options.detectors = alone;
	options.rules = rules;
	assert_int_equal(engine_new(&options, &s->engine), 0);
}

static void finds(struct stream *s, enum severity severity)
{
	said.severity = severity;
	opens(s, PID, 4, 1);
	closes(s, PID, 4);
}

static void words_are_set_and_added(void **state)
{
	struct stream s;

	(void)state;
	begin(&s, RULE_BIT(LEAK_EXIT));
	said.message = "one";
	said.more = ", two";
	finds(&s, SEVERITY_INFO);
	assert_int_equal(s.kept_count, 1);
	assert_string_equal(s.kept[0].message, "one, two");
	assert_string_equal(s.kept[0].why, "since 1, or 2");
	assert_int_equal(s.kept[0].fd, -1);
	stream_end(&s);
}

/* A text of `count` characters of three bytes. */
static void fill(char *buffer, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		memcpy(buffer + 3 * i, "\u20ac", 3);
	buffer[3 * count] = '\0';
}

static void long_words_are_cut_between_characters(void **state)
{
	char text[2 * REPORT_TEXT_SIZE];
	struct stream s;

	(void)state;
	fill(text, REPORT_TEXT_SIZE / 2);
	begin(&s, RULE_BIT(LEAK_EXIT));
	said.message = text;
	finds(&s, SEVERITY_INFO);
	assert_int_equal(said.last.message.length, (REPORT_TEXT_SIZE - 1) / 3 * 3);
	assert_int_equal(strlen(said.last.message.text), said.last.message.length);
	assert_memory_equal(said.last.message.text, text, said.last.message.length);
	stream_end(&s);
}

/* Where nothing more has room, adding changes nothing. */
static void adding_to_a_full_text_is_safe(void **state)
{
	char text[2 * REPORT_TEXT_SIZE];
	struct stream s;

	(void)state;
	memset(text, 'a', REPORT_TEXT_SIZE - 2);
	text[REPORT_TEXT_SIZE - 2] = '\0';
	begin(&s, RULE_BIT(LEAK_EXIT));
	said.message = text;
	said.more = "\u00e9\u00e9";
	finds(&s, SEVERITY_INFO);
	assert_string_equal(said.last.message.text, text);
	said.more = "bc";
	finds(&s, SEVERITY_WARNING);
	assert_int_equal(said.last.message.length, REPORT_TEXT_SIZE - 1);
	assert_string_equal(said.last.message.text + REPORT_TEXT_SIZE - 2, "b");
	stream_end(&s);
}

static void only_news_has_words(void **state)
{
	struct stream s;

	(void)state;
	begin(&s, RULE_BIT(LEAK_EXIT));
	said.message = "one";
	finds(&s, SEVERITY_INFO);
	assert_int_equal(said.last.message.length, 3);
	finds(&s, SEVERITY_INFO);
	assert_int_equal(said.last.message.length + said.last.why.length, 0);
	assert_int_equal(said.news, 1);
	assert_int_equal(s.kept_count, 1);
	s.now_ns += HOUR_S;
	finds(&s, SEVERITY_INFO);
	assert_int_equal(said.news, 2);
	assert_int_equal(s.kept_count, 2);
	assert_string_equal(s.kept[1].message, "one");
	assert_int_equal(s.kept[1].count, 3); /* all were counted */
	stream_end(&s);
}

/* Whoever has not asked says nothing: words cost more than the question. */
static void nobody_words_without_asking(void **state)
{
	struct stream s;

	(void)state;
	begin(&s, RULE_BIT(LEAK_EXIT));
	said.message = "one";
	said.asks = false;
	finds(&s, SEVERITY_INFO);
	assert_int_equal(s.kept_count, 1);
	assert_string_equal(s.kept[0].message, "");
	stream_end(&s);
}

/* What is news is delivered with its words, and nothing is delivered that was not: in any order. */
static void news_is_what_is_delivered(void **state)
{
	static const struct {
		enum severity severity;
		uint64_t after_ns;
		bool news;
	} steps[] = {
		{ SEVERITY_ERROR, 0, true },
		{ SEVERITY_INFO, S, false },
		{ SEVERITY_INFO, HOUR_S, true }, /* less severe by now ... */
		{ SEVERITY_INFO, S, false },
		{ SEVERITY_ERROR, S, true }, /* ... and worse than the last report again */
		{ SEVERITY_ERROR, S, false },
	};
	unsigned int kept = 0;
	struct stream s;

	(void)state;
	begin(&s, RULE_BIT(LEAK_EXIT));
	said.message = "one";
	for (unsigned int i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		s.now_ns += steps[i].after_ns;
		finds(&s, steps[i].severity);
		kept += steps[i].news;
		assert_int_equal(said.news, kept);
		assert_int_equal(s.kept_count, kept);
		if (steps[i].news)
			assert_string_equal(s.kept[kept - 1].message, "one");
	}
	stream_end(&s);
}

/* A detector may be on for the sake of another rule. */
static void a_rule_that_is_off_has_no_news(void **state)
{
	struct stream s;

	(void)state;
	begin(&s, RULE_BIT(CLOSE_LOCK));
	said.message = "one";
	finds(&s, SEVERITY_INFO);
	assert_int_equal(said.news, 0);
	assert_int_equal(s.kept_count, 0);
	stream_end(&s);
}

static void nothing_is_left_of_an_earlier_report(void **state)
{
	struct stream s;

	(void)state;
	begin(&s, RULE_BIT(LEAK_EXIT));
	memset(&said.last, 0xff, sizeof(said.last));
	said.message = "one";
	finds(&s, SEVERITY_INFO);
	assert_string_equal(s.kept[0].message, "one");
	assert_int_equal(s.kept[0].history_count, 0);
	assert_int_equal(s.kept[0].confidence, CONFIDENCE_EXACT);
	stream_end(&s);
}

static void every_language_has_help(void **state)
{
	(void)state;
	for (int help = 0; help < HELP_COUNT; help++) {
		for (int language = 0; language < LANGUAGE_COUNT; language++)
			assert_non_null(help_text(help, language));
		assert_string_equal(help_text(help, LANGUAGE_COUNT + 7),
				    help_text(help, LANGUAGE_NATIVE));
	}
}

/* The remedy is for who closed it, whatever language failed. */
static void help_is_in_the_language_of_the_culprit(void **state)
{
	const struct frame frames[] = {
		{ "drop (x.py:1)", 1, FDT_SITE_FRAME_OF(LANGUAGE_PYTHON) },
	};
	const struct frame native[] = { { "worker (a.c:1)", 2, 0 } };
	struct process process = { 0 };
	struct stream s;
	struct report r;

	(void)state;
	stream_start(&s, ENGINE_PID);
	tells(&s, 77, 0, 1, frames);
	tells(&s, 78, 0, 1, native);
	opens(&s, PID, 4, 1);
	closes_at(&s, 4, 77);
	fails_at(&s, FDT_SYS_sendto, PID + 1, 4, EBADF, 78);
	tick(&s, S);
	assert_int_equal(s.kept_count, 1);
	assert_string_equal(s.kept[0].help, help_text(HELP_OWNER, LANGUAGE_PYTHON));
	report_begin(&r, s.engine, RULE, &process, NULL);
	report_help(&r, HELP_OWNER);
	assert_string_equal(r.finding.help, help_text(HELP_OWNER, LANGUAGE_NATIVE));
	stream_end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_are_set_and_added),
		cmocka_unit_test(long_words_are_cut_between_characters),
		cmocka_unit_test(adding_to_a_full_text_is_safe),
		cmocka_unit_test(only_news_has_words),
		cmocka_unit_test(nobody_words_without_asking),
		cmocka_unit_test(news_is_what_is_delivered),
		cmocka_unit_test(a_rule_that_is_off_has_no_news),
		cmocka_unit_test(nothing_is_left_of_an_earlier_report),
		cmocka_unit_test(every_language_has_help),
		cmocka_unit_test(help_is_in_the_language_of_the_culprit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
