// SPDX-License-Identifier: BSD-2-Clause
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/rule.h"
#include "engine/settings.h"

#define SEC UINT64_C(1000000000)

static void standards_are_in_range_and_read_back(void **state)
{
	struct settings standard, read;
	size_t count;
	const struct setting *row = settings_table(&count);

	(void)state;
	settings_default(&standard);
	memset(&read, 0, sizeof(read));
	assert_int_equal(count * sizeof(uint64_t), sizeof(struct settings));
	for (size_t i = 0; i < count; i++, row++) {
		uint64_t value = *(uint64_t *)((char *)&standard + row->offset);
		char text[32], assignment[64];

		assert_true(value == row->standard && value >= row->min && value <= row->max);
		setting_format(row, value, text, sizeof(text));
		snprintf(assignment, sizeof(assignment), "%s=%s", row->key, text);
		assert_int_equal(settings_parse(&read, assignment, NULL), 0);
	}
	assert_memory_equal(&standard, &read, sizeof(read));
	assert_true(standard.leak_window_ns == 10 * SEC && standard.leak_min_age_ns == 30 * SEC);
	assert_true(standard.memory_max_bytes == 256u << 20 &&
		    standard.ring_size_bytes == 16u << 20);
	assert_true(standard.drain_interval_ns == SEC / 50);
	assert_true(standard.leak_exit_severity == SEVERITY_INFO);
}

static void values_are_understood(void **state)
{
	struct settings s;

	(void)state;
	settings_default(&s);
	assert_int_equal(settings_parse(&s, "leak.window=1500ms", NULL), 0);
	assert_true(s.leak_window_ns == 3 * SEC / 2);
	assert_int_equal(settings_parse(&s, "leak.min_age=2m", NULL), 0);
	assert_true(s.leak_min_age_ns == 120 * SEC);
	assert_int_equal(settings_parse(&s, "leak.min_age=7", NULL), 0);
	assert_true(s.leak_min_age_ns == 7 * SEC);
	assert_int_equal(settings_parse(&s, "audit.interval=0", NULL), 0);
	assert_true(s.audit_interval_ns == 0);
	assert_int_equal(settings_parse(&s, "memory.max=1G", NULL), 0);
	assert_true(s.memory_max_bytes == 1u << 30);
	assert_int_equal(settings_parse(&s, "leak.exit=warning", NULL), 0);
	assert_true(s.leak_exit_severity == SEVERITY_WARNING);
}

static void refuse(const char *assignment, int expected, bool known)
{
	const struct setting *row = NULL;
	struct settings s, before;

	settings_default(&s);
	before = s;
	assert_int_equal(settings_parse(&s, assignment, &row), expected);
	assert_memory_equal(&s, &before, sizeof(s));
	assert_int_equal(row != NULL, known);
}

static void nonsense_is_refused_and_changes_nothing(void **state)
{
	(void)state;
	refuse("leak.windows=1s", -ENOENT, false);
	refuse("", -ENOENT, false);
	refuse("=1s", -ENOENT, false);
	refuse("leak.window", -EINVAL, true);
	refuse("leak.window=", -EINVAL, true);
	refuse("leak.window=-1s", -EINVAL, true);
	refuse("leak.window=1 s", -EINVAL, true);
	refuse("leak.window=1sx", -EINVAL, true);
	refuse("leak.min_count=5s", -EINVAL, true);
	refuse("leak.exit=bad", -EINVAL, true);
	refuse("leak.window=1ms", -ERANGE, true);
	refuse("leak.window=99999999999999999999s", -ERANGE, true);
	refuse("leak.window=18446744073709551615d", -ERANGE, true);
	refuse("leak.min_count=1", -ERANGE, true);
	refuse("ring.size=3M", -ERANGE, true);
	refuse("ring.size=4K", -ERANGE, true);
	refuse("drain.interval=0", -ERANGE, true);
	refuse("drain.interval=1001ms", -ERANGE, true);
}

/* A row belongs to one side: what is live is taken over, the rest is named. */
static void count_row(void *ctx, const struct setting *setting)
{
	assert_int_equal(setting->reload, RELOAD_RESTART);
	++*(unsigned int *)ctx;
}

static void a_reload_takes_over_what_is_live(void **state)
{
	struct settings in_force, next;
	unsigned int waiting = 0, live = 0;
	size_t count;
	const struct setting *row = settings_table(&count);

	(void)state;
	settings_default(&in_force);
	memset(&next, 0x5a, sizeof(next));
	settings_each_restart(&in_force, &next, count_row, &waiting);
	settings_reload(&in_force, &next);
	for (size_t i = 0; i < count; i++) {
		bool taken = setting_value(&row[i], &in_force) == setting_value(&row[i], &next);

		assert_int_equal(taken, row[i].reload == RELOAD_LIVE);
		live += taken;
		if (strcmp(row[i].key, "budget") == 0)
			assert_true(taken);
		if (strcmp(row[i].key, "ring.size") == 0)
			assert_false(taken);
	}
	assert_int_equal(live + waiting, count);
	settings_each_restart(&in_force, &in_force, count_row, &waiting);
	assert_int_equal(live + waiting, count);
}

static void formats_take_the_largest_unit(void **state)
{
	const struct setting time = { .type = SETTING_TIME }, size = { .type = SETTING_SIZE };
	char text[16];

	(void)state;
	setting_format(&time, 90 * SEC, text, sizeof(text));
	assert_string_equal(text, "90s");
	setting_format(&time, 3600 * SEC, text, sizeof(text));
	assert_string_equal(text, "1h");
	setting_format(&time, SEC / 2, text, sizeof(text));
	assert_string_equal(text, "500ms");
	setting_format(&time, 0, text, sizeof(text));
	assert_string_equal(text, "0s");
	setting_format(&size, 1536, text, sizeof(text));
	assert_string_equal(text, "1536");
	setting_format(&size, 64 << 10, text, 3);
	assert_string_equal(text, "64");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(standards_are_in_range_and_read_back),
		cmocka_unit_test(values_are_understood),
		cmocka_unit_test(nonsense_is_refused_and_changes_nothing),
		cmocka_unit_test(a_reload_takes_over_what_is_live),
		cmocka_unit_test(formats_take_the_largest_unit),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
