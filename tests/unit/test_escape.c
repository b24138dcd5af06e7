// SPDX-License-Identifier: BSD-2-Clause
/* Nothing a traced program can name moves a cursor, forges a line or breaks a JSON string. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "util/escape.h"
#include "util/utf8.h"

static const struct sample {
	const char *in, *terminal, *json;
} samples[] = {
	{ "", "", "" },
	{ "plain /path-1.2~", "plain /path-1.2~", "plain /path-1.2~" },
	{ "g\xc3\xbcltig \xe6\xbc\xa2 \xf0\x9f\x98\x80",
	  "g\xc3\xbcltig \xe6\xbc\xa2 \xf0\x9f\x98\x80",
	  "g\xc3\xbcltig \xe6\xbc\xa2 \xf0\x9f\x98\x80" },
	{ "a\nb\tc\rd", "a\\nb\\tc\\rd", "a\nb\tc\rd" },
	{ "\033[31m\a\b", "\\x1B[31m\\x07\\x08", "\033[31m\a\b" },
	{ "\x7f", "\\x7F", "\x7f" },
	{ "\xc2\x85\xc2\x9b", "\\u{0085}\\u{009B}", "\xc2\x85\xc2\x9b" },
	{ "\xe2\x80\xa8\xe2\x80\xa9", "\\u{2028}\\u{2029}", "\xe2\x80\xa8\xe2\x80\xa9" },
	{ "\xe2\x80\xae\xe2\x81\xa6\xd8\x9c", "\\u{202E}\\u{2066}\\u{061C}",
	  "\xe2\x80\xae\xe2\x81\xa6\xd8\x9c" },
	{ "\xff\xfe", "\\xFF\\xFE", "\xef\xbf\xbd\xef\xbf\xbd" },
	{ "cut\xe6\xbc", "cut\\xE6\\xBC", "cut\xef\xbf\xbd\xef\xbf\xbd" },
	{ "\xc0\xaf", "\\xC0\\xAF", "\xef\xbf\xbd\xef\xbf\xbd" }, /* overlong '/' */
	{ "\xe0\x80\xaf", "\\xE0\\x80\\xAF",
	  "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" }, /* the same */
	{ "\xed\xa0\x80", "\\xED\\xA0\\x80",
	  "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" }, /* surrogate */
	{ "\xf4\x90\x80\x80", "\\xF4\\x90\\x80\\x80",
	  "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" }, /* above U+10FFFF */
};

static void known_samples(void **state)
{
	char out[256];

	(void)state;
	for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
		const struct sample *s = &samples[i];

		assert_int_equal(escape_text(out, sizeof(out), s->in, strlen(s->in)),
				 strlen(s->terminal));
		assert_string_equal(out, s->terminal);
		assert_int_equal(sanitize_utf8(out, sizeof(out), s->in, strlen(s->in)),
				 strlen(s->json));
		assert_string_equal(out, s->json);
	}
}

static void nul_is_a_byte_like_others(void **state)
{
	char out[16];

	(void)state;
	assert_int_equal(escape_text(out, sizeof(out), "a\0b", 3), 6);
	assert_string_equal(out, "a\\x00b");
}

static void cuts_at_a_character_border(void **state)
{
	static const char text[] = "ab\xe6\xbc\xa2\nz";
	char out[16];

	(void)state;
	for (size_t size = 1; size < 6; size++) {
		memset(out, '#', sizeof(out));
		assert_int_equal(escape_text(out, size, text, strlen(text)),
				 size < 4 ? size - 1 : 2);
		assert_int_equal(out[size], '#');
	}
	assert_int_equal(escape_text(out, 6, text, strlen(text)), 5);
	assert_string_equal(out, "ab\xe6\xbc\xa2");
	assert_int_equal(escape_text(out, 7, text, strlen(text)),
			 5); /* half of "\n" would not do */
	assert_int_equal(escape_text(out, 8, text, strlen(text)), 7);
	assert_int_equal(sanitize_utf8(out, 4, "\xff\xff", 2), 3);
}

static void no_room_writes_nothing(void **state)
{
	char out[2] = "#";

	(void)state;
	assert_int_equal(escape_text(out, 0, "abc", 3), 0);
	assert_string_equal(out, "#");
	assert_int_equal(sanitize_utf8(out, 1, "abc", 3), 0);
	assert_string_equal(out, "");
}

static size_t encode(char *out, uint32_t c)
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xc0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xe0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 0x3f));
		out[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 0x3f));
	out[2] = (char)(0x80 | (c >> 6 & 0x3f));
	out[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

static void every_character_decodes_to_itself(void **state)
{
	(void)state;
	for (uint32_t c = 0; c < 0x110100; c++) {
		bool valid = c < 0x110000 && (c < 0xd800 || c > 0xdfff);
		uint32_t decoded = 0;
		char text[4];
		size_t size = encode(text, c);

		assert_int_equal(utf8_decode(text, size, &decoded), valid ? size : 0);
		assert_int_equal(decoded, valid ? c : 0);
		assert_int_equal(utf8_decode(text, size - 1, &decoded), 0);
	}
}

/* Whatever comes in: what comes out is valid, and for a terminal also safe. */
static void assert_valid(const char *text, bool safe)
{
	size_t left = strlen(text);

	while (left) {
		uint32_t c;
		size_t size = utf8_decode(text, left, &c);

		assert_true(size > 0);
		assert_false(safe && utf8_is_unsafe(c));
		text += size;
		left -= size;
	}
}

static void noise_comes_out_harmless(void **state)
{
	static const char pieces[] =
		"\033\n\xe2\x80\xae\xc2\x9b\xf0\x9f\x98\x80\xed\xa0\x80\xff\x7f"
		"a";
	uint32_t random = 12345;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		char in[40], out[170];
		size_t length = 0, size;

		while (length < sizeof(in)) {
			random = random * 1664525 + 1013904223;
			in[length++] = random & 1 << 30
					       ? pieces[(random >> 16) % (sizeof(pieces) - 1)]
					       : (char)(random >> 16);
		}
		size = random % sizeof(out) + 1;
		assert_true(escape_text(out, size, in, length) < size);
		assert_valid(out, true);
		assert_true(sanitize_utf8(out, size, in, length) < size);
		for (size_t i = 0; i < length; i++)
			in[i] = in[i] ? in[i] : 'x'; /* assert_valid() stops at NUL */
		sanitize_utf8(out, size, in, length);
		assert_valid(out, false);
	}
}

static void columns(void **state)
{
	(void)state;
	assert_int_equal(utf8_text_columns("abc", 3), 3);
	assert_int_equal(utf8_text_columns("\xe6\xbc\xa2\xe5\xad\x97", 6), 4);
	assert_int_equal(utf8_text_columns("e\xcc\x81", 3), 1);
	assert_int_equal(utf8_text_columns("\xf0\x9f\x98\x80", 4), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_samples),
		cmocka_unit_test(nul_is_a_byte_like_others),
		cmocka_unit_test(cuts_at_a_character_border),
		cmocka_unit_test(no_room_writes_nothing),
		cmocka_unit_test(every_character_decodes_to_itself),
		cmocka_unit_test(noise_comes_out_harmless),
		cmocka_unit_test(columns),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
