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

#include "engine/rule.h"

#define BIT(rule) ((rule_set)1 << (rule))
#define ALL (BIT(RULE_COUNT) - 1)

static rule_set parsed(const char *text)
{
	const char *bad = NULL;
	size_t length = 0;
	rule_set set = 0;

	assert_int_equal(rule_set_parse(text, &set, &bad, &length), 0);
	return set;
}

static void the_table_is_whole(void **state)
{
	(void)state;
	for (unsigned int r = 0; r < RULE_COUNT; r++) {
		const struct rule_info *info = rule_info((enum rule)r);
		size_t family = strlen(info->category);

		assert_memory_equal(info->id, info->category, family);
		assert_int_equal(info->id[family], '.');
		assert_true(info->severity >= SEVERITY_INFO && info->severity <= SEVERITY_ERROR);
		assert_true(strlen(info->says) > 10);
		assert_true(parsed(info->id) == BIT(r));
	}
}

static void lists_are_read_from_left_to_right(void **state)
{
	rule_set leak = BIT(RULE_LEAK_GROWTH) | BIT(RULE_LEAK_STALE) | BIT(RULE_LEAK_ORPHAN) |
			BIT(RULE_LEAK_EXIT);

	(void)state;
	assert_true(parsed("all") == ALL);
	assert_true(parsed("leak") == leak);
	assert_true(parsed("leak,-leak.exit") == (leak & ~BIT(RULE_LEAK_EXIT)));
	assert_true(parsed("leak,-leak,leak.exit") == BIT(RULE_LEAK_EXIT));
	assert_true(parsed("-leak") == (rule_set_default() & ~leak));
	assert_true(parsed("-all") == 0);
	assert_true(parsed("leak,exec.inherit,-close.double") == (leak | BIT(RULE_EXEC_INHERIT)));
}

static void refuse(const char *text, size_t at, size_t length)
{
	const char *bad = NULL;
	size_t bad_length = 99;
	rule_set set = 0xabcd;

	assert_int_equal(rule_set_parse(text, &set, &bad, &bad_length), -EINVAL);
	assert_true(set == 0xabcd);
	assert_ptr_equal(bad, text + at);
	assert_int_equal(bad_length, length);
}

static void the_bad_item_is_pointed_at(void **state)
{
	(void)state;
	refuse("leek", 0, 4);
	refuse("leak,-leek", 6, 4);
	refuse("leak,clo,exec", 5, 3);
	refuse("leak.", 0, 5);
	refuse("leak,", 5, 0);
	refuse("", 0, 0);
	refuse("-", 1, 0);
	refuse("Leak", 0, 4);
}

static void every_set_reads_back(void **state)
{
	char text[512], tiny[4];

	(void)state;
	for (rule_set set = 0; set <= ALL; set++) {
		rule_set_format(set, text, sizeof(text));
		assert_true(parsed(text) == set);
	}
	rule_set_format(ALL, tiny, sizeof(tiny));
	assert_string_equal(tiny, "lea");
}

static void severities_have_names(void **state)
{
	enum severity severity = SEVERITY_INFO;

	(void)state;
	assert_string_equal(severity_name(SEVERITY_INFO), "info");
	assert_string_equal(severity_name(SEVERITY_WARNING), "warning");
	assert_string_equal(severity_name(SEVERITY_ERROR), "error");
	assert_int_equal(severity_parse("warn", &severity), 0);
	assert_int_equal(severity, SEVERITY_WARNING);
	assert_int_equal(severity_parse("warning", &severity), 0);
	assert_int_equal(severity_parse("error", &severity), 0);
	assert_int_equal(severity, SEVERITY_ERROR);
	assert_int_equal(severity_parse("fatal", &severity), -EINVAL);
	assert_int_equal(severity, SEVERITY_ERROR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_table_is_whole),
		cmocka_unit_test(lists_are_read_from_left_to_right),
		cmocka_unit_test(the_bad_item_is_pointed_at),
		cmocka_unit_test(every_set_reads_back),
		cmocka_unit_test(severities_have_names),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
