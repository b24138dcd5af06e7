// SPDX-License-Identifier: BSD-2-Clause
/* Text that has no room is cut between characters, never within one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/text.h"

/* One, two, three and four bytes. */
#define MIXED "a\u00e9\u20ac\U0001f600z"

static void whole_characters_are_left(void **state)
{
	static const size_t expected[] = { 0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11 };

	(void)state;
	assert_int_equal(strlen(MIXED), 11);
	for (size_t length = 0; length <= 11; length++)
		assert_int_equal(text_whole(MIXED, length), expected[length]);
}

/* Names hold any bytes: what is no UTF-8 is no character to be cut. */
static void other_bytes_are_left_alone(void **state)
{
	(void)state;
	assert_int_equal(text_whole("ab\xff", 3), 3);
	assert_int_equal(text_whole("\x80\x80\x80\x80", 4), 4);
	assert_int_equal(text_whole("a\xc0", 2), 2);
	assert_int_equal(text_whole("\xc3\xa9\x80", 3), 3);
}

static void only_as_much_as_fits(void **state)
{
	(void)state;
	assert_int_equal(text_fit("", 0), 0);
	assert_int_equal(text_fit("abc", 3), 3);
	assert_int_equal(text_fit("abcd", 3), 3);
	assert_int_equal(text_fit(MIXED, 2), 1);
	assert_int_equal(text_fit(MIXED, 100), 11);
	/* the text itself ends so, and has room */
	assert_int_equal(text_fit("ab\xc3", 3), 3);
}

static void the_buffer_holds_what_is_returned(void **state)
{
	char buffer[8];

	(void)state;
	for (size_t size = 1; size <= sizeof(buffer); size++) {
		size_t length;

		memset(buffer, '#', sizeof(buffer));
		length = text_format(buffer, size, "%s", MIXED);
		assert_int_equal(length, text_whole(MIXED, size - 1));
		assert_int_equal(strlen(buffer), length);
		assert_memory_equal(buffer, MIXED, length);
		for (size_t i = size; i < sizeof(buffer); i++)
			assert_int_equal(buffer[i], '#');
	}
	assert_int_equal(text_format(buffer, sizeof(buffer), "%d", 12345), 5);
	assert_string_equal(buffer, "12345");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_characters_are_left),
		cmocka_unit_test(other_bytes_are_left_alone),
		cmocka_unit_test(only_as_much_as_fits),
		cmocka_unit_test(the_buffer_holds_what_is_returned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
