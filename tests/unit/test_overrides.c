// SPDX-License-Identifier: BSD-2-Clause
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engine/overrides.h"

#define SEC UINT64_C(1000000000)
#define BIT(rule) ((rule_set)1 << RULE_##rule)

static int set(struct overrides *o, const char *assignment)
{
	return overrides_parse_setting(o, assignment, NULL);
}

static int choose(struct overrides *o, const char *list)
{
	const char *bad;
	size_t length;

	return overrides_parse_rules(o, list, &bad, &length);
}

static void what_is_below_shows_where_nothing_was_set(void **state)
{
	struct overrides o = { 0 };
	struct settings settings;
	rule_set rules = BIT(USE_STALE);

	(void)state;
	settings_default(&settings);
	settings.leak_min_age_ns = 5 * SEC;
	settings.sweep_min = 77;
	overrides_apply(&o, &settings, &rules);
	assert_true(settings.leak_min_age_ns == 5 * SEC);
	assert_int_equal(rules, BIT(USE_STALE));
	assert_int_equal(set(&o, "leak.min_age=7s"), 0);
	assert_int_equal(choose(&o, "close.lock"), 0);
	overrides_apply(&o, &settings, &rules);
	assert_true(settings.leak_min_age_ns == 7 * SEC);
	assert_int_equal(settings.sweep_min, 77);
	assert_int_equal(rules, BIT(CLOSE_LOCK));
}

/* A value like the standard one is an answer, too; and so is a list that switches all off. */
static void the_standard_value_can_be_set(void **state)
{
	struct overrides o = { 0 };
	struct settings settings, standard;
	rule_set rules = BIT(USE_STALE);

	(void)state;
	settings_default(&standard);
	memset(&settings, 0x5a, sizeof(settings));
	assert_int_equal(set(&o, "budget=1%"), 0);
	assert_int_equal(choose(&o, "-all"), 0);
	overrides_apply(&o, &settings, &rules);
	assert_true(settings.budget_ppm == standard.budget_ppm);
	assert_int_equal(rules, 0);
	assert_true(overrides_has(&o, offsetof(struct settings, budget_ppm)));
	assert_false(overrides_has(&o, offsetof(struct settings, stacks_budget_ppm)));
}

static void the_later_one_counts(void **state)
{
	struct overrides o = { 0 };
	struct settings settings;
	rule_set rules;

	(void)state;
	assert_int_equal(set(&o, "sweep.min=5"), 0);
	assert_int_equal(set(&o, "leak.exit=error"), 0);
	assert_int_equal(set(&o, "sweep.min=6"), 0);
	assert_int_equal(choose(&o, "leak"), 0);
	assert_int_equal(choose(&o, "-leak.exit"), 0); /* from the standard ones, not from leak */
	overrides_effective(&o, &settings, &rules);
	assert_int_equal(settings.sweep_min, 6);
	assert_int_equal(settings.leak_exit_severity, SEVERITY_ERROR);
	assert_int_equal(rules, rule_set_default() & ~BIT(LEAK_EXIT));
}

static void an_error_changes_nothing(void **state)
{
	const struct setting *row = NULL;
	struct overrides o = { 0 }, before;

	(void)state;
	assert_int_equal(set(&o, "sweep.min=5"), 0);
	before = o;
	assert_int_equal(overrides_parse_setting(&o, "sweep.min=1", &row), -ERANGE);
	assert_string_equal(row->key, "sweep.min");
	assert_int_equal(overrides_parse_setting(&o, "sweep.max=1", &row), -ENOENT);
	assert_null(row);
	assert_int_equal(choose(&o, "leak,leek"), -EINVAL);
	assert_memory_equal(&o, &before, sizeof(o));
}

static void every_setting_has_a_bit_of_its_own(void **state)
{
	size_t count;
	const struct setting *row = settings_table(&count);
	uint64_t seen = 0;

	(void)state;
	for (size_t i = 0; i < count; i++) {
		struct overrides o = { 0 };
		char text[96];
		size_t length = strlen(row[i].key);

		memcpy(text, row[i].key, length);
		text[length] = '=';
		setting_format(&row[i], row[i].max, text + length + 1, sizeof(text) - length - 1);
		assert_int_equal(set(&o, text), 0);
		assert_true(overrides_has(&o, row[i].offset));
		assert_int_equal(seen & o.given, 0);
		seen |= o.given;
	}
	assert_int_equal(__builtin_popcountll(seen), count);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_below_shows_where_nothing_was_set),
		cmocka_unit_test(the_standard_value_can_be_set),
		cmocka_unit_test(the_later_one_counts),
		cmocka_unit_test(an_error_changes_nothing),
		cmocka_unit_test(every_setting_has_a_bit_of_its_own),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
