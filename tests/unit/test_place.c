// SPDX-License-Identifier: BSD-2-Clause
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "daemon/config.h"
#include "daemon/place.h"

static const char *only[] = { "/system.slice/*", "/kubepods*" };
static const char *except[] = { "*/noisy.service", "/system.slice/a\\x2db.service", "[" };

static const struct config both = {
	.cgroups = only, .cgroup_count = 2, .exclude_cgroups = except, .exclude_cgroup_count = 3
};
static const struct config exclusion = { .exclude_cgroups = except, .exclude_cgroup_count = 3 };
static const struct config none = { .cgroup_count = 0 };

static void by_globs(void **state)
{
	(void)state;
	assert_true(place_wanted(&both, "/system.slice/web.service"));
	assert_true(place_wanted(&both, "/system.slice/docker.service/deeper/still"));
	assert_true(place_wanted(&both, "/kubepods.slice/x"));
	assert_false(place_wanted(&both, "/user.slice/user-1000.slice"));
	assert_false(place_wanted(&both, "/"));
	assert_false(place_wanted(&both, "/system.slice")); /* of whole paths */
}

static void an_exclusion_wins(void **state)
{
	(void)state;
	assert_false(place_wanted(&both, "/system.slice/noisy.service"));
	assert_false(place_wanted(&exclusion, "/any/where/noisy.service"));
	assert_true(place_wanted(&exclusion, "/any/where"));
}

static void a_backslash_is_one(void **state)
{
	(void)state;
	assert_false(place_wanted(&both, "/system.slice/a\\x2db.service"));
	assert_true(place_wanted(&both, "/system.slice/ax2db.service"));
}

static void where_nothing_is_said_or_known(void **state)
{
	(void)state;
	assert_true(place_wanted(&none, "/"));
	assert_true(place_wanted(&none, "/system.slice/noisy.service"));
	assert_true(place_wanted(&both, ""));
	assert_true(place_wanted(&both, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_globs),
		cmocka_unit_test(an_exclusion_wins),
		cmocka_unit_test(a_backslash_is_one),
		cmocka_unit_test(where_nothing_is_said_or_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
