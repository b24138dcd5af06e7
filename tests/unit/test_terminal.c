// SPDX-License-Identifier: BSD-2-Clause
#include <pty.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmocka.h>

#include "util/terminal.h"

static int terminal, other_end, pipe_end;

static void set_columns(unsigned short columns)
{
	struct winsize size = { .ws_row = 24, .ws_col = columns };

	assert_int_equal(ioctl(terminal, TIOCSWINSZ, &size), 0);
}

static int no_environment(void **state)
{
	static const char *const names[] = { "NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "COLUMNS",
					     "LC_ALL",   "LC_CTYPE",    "LANG",           "TERM" };

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unsetenv(names[i]);
	return 0;
}

static void columns_are_asked_for_then_the_terminals(void **state)
{
	(void)state;
	set_columns(97);
	assert_int_equal(terminal_width(terminal, 0), 97);
	assert_int_equal(terminal_width(terminal, 60), 60);
	assert_int_equal(terminal_width(pipe_end, 0), 0);
	setenv("COLUMNS", "70", 1);
	assert_int_equal(terminal_width(terminal, 0), 97);
	assert_int_equal(terminal_width(pipe_end, 0), 70);
	set_columns(0);
	assert_int_equal(terminal_width(terminal, 0), 70);
	setenv("COLUMNS", "-7", 1);
	assert_int_equal(terminal_width(pipe_end, 0), 0);
	assert_int_equal(terminal_width(terminal, 0), 80);
	setenv("COLUMNS", "7x", 1);
	assert_int_equal(terminal_width(pipe_end, 0), 0);
}

static void color_is_chosen(void **state)
{
	(void)state;
	assert_false(terminal_color(terminal, COLOR_AUTO)); /* no TERM */
	setenv("TERM", "dumb", 1);
	assert_false(terminal_color(terminal, COLOR_AUTO));
	setenv("TERM", "xterm", 1);
	assert_true(terminal_color(terminal, COLOR_AUTO));
	assert_false(terminal_color(pipe_end, COLOR_AUTO));
	setenv("CLICOLOR_FORCE", "0", 1);
	assert_false(terminal_color(pipe_end, COLOR_AUTO));
	setenv("CLICOLOR_FORCE", "1", 1);
	assert_true(terminal_color(pipe_end, COLOR_AUTO));
	unsetenv("CLICOLOR_FORCE");
	setenv("FORCE_COLOR", "3", 1);
	assert_true(terminal_color(pipe_end, COLOR_AUTO));
	assert_false(terminal_color(pipe_end, COLOR_NEVER));
	setenv("NO_COLOR", "1", 1);
	assert_false(terminal_color(terminal, COLOR_AUTO));
	assert_true(terminal_color(pipe_end, COLOR_ALWAYS));
	setenv("NO_COLOR", "", 1); /* as if it were not set */
	assert_true(terminal_color(pipe_end, COLOR_AUTO));
}

static void other_character_sets_get_ascii(void **state)
{
	(void)state;
	assert_true(terminal_is_ascii(terminal));
	assert_false(terminal_is_ascii(pipe_end));
	setenv("LANG", "C.UTF-8", 1);
	assert_false(terminal_is_ascii(terminal));
	setenv("LANG", "xx_YY.utf8", 1); /* not installed here, but its name says enough */
	assert_false(terminal_is_ascii(terminal));
	setenv("LC_ALL", "C", 1);
	assert_true(terminal_is_ascii(terminal));
}

#define TEST(function) cmocka_unit_test_setup(function, no_environment)
int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(columns_are_asked_for_then_the_terminals),
		TEST(color_is_chosen),
		TEST(other_character_sets_get_ascii),
	};
	int ends[2];

	if (openpty(&other_end, &terminal, NULL, NULL, NULL) < 0 || pipe(ends) < 0)
		return 1;
	pipe_end = ends[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
