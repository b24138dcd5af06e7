// SPDX-License-Identifier: BSD-2-Clause
#include "util/escape.h"

#include <stdio.h>
#include <string.h>

#include "util/utf8.h"

#define ESCAPE_MAX 16 /* "\u{10ffff}" and its NUL */

static size_t escape_control(char *out, uint32_t character)
{
	switch (character) {
	case '\n': return (size_t)sprintf(out, "\\n");
	case '\t': return (size_t)sprintf(out, "\\t");
	case '\r': return (size_t)sprintf(out, "\\r");
	}
	if (character < 0x80)
		return (size_t)sprintf(out, "\\x%02X", (unsigned int)character);
	return (size_t)sprintf(out, "\\u{%04X}", (unsigned int)character);
}

/* Reads one character and writes what stands for it. Returns the bytes read. */
typedef size_t (*translate_fn)(const char *text, size_t length, char *out, size_t *ret_written);

static size_t translate_for_terminal(const char *text, size_t length, char *out,
				     size_t *ret_written)
{
	uint32_t character;
	size_t size = utf8_decode(text, length, &character);

	if (!size) {
		*ret_written =
			(size_t)sprintf(out, "\\x%02X", (unsigned int)(unsigned char)text[0]);
		return 1;
	}
	if (utf8_is_unsafe(character)) {
		*ret_written = escape_control(out, character);
		return size;
	}
	memcpy(out, text, size);
	*ret_written = size;
	return size;
}

static size_t translate_for_ascii(const char *text, size_t length, char *out, size_t *ret_written)
{
	if (!((unsigned char)text[0] & 0x80))
		return translate_for_terminal(text, length, out, ret_written);
	*ret_written = (size_t)sprintf(out, "\\x%02X", (unsigned int)(unsigned char)text[0]);
	return 1;
}

static size_t translate_for_json(const char *text, size_t length, char *out, size_t *ret_written)
{
	static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */
	uint32_t character;
	size_t size = utf8_decode(text, length, &character);

	if (!size) {
		memcpy(out, replacement, 3);
		*ret_written = 3;
		return 1;
	}
	memcpy(out, text, size);
	*ret_written = size;
	return size;
}

static size_t translate_character(char *buffer, size_t size, const char *text, size_t length,
				  translate_fn one)
{
	size_t done = 0, written;
	char out[ESCAPE_MAX];

	if (!size)
		return 0;
	while (length) {
		size_t read = one(text, length, out, &written);

		if (written >= size - done)
			break;
		memcpy(buffer + done, out, written);
		done += written;
		text += read;
		length -= read;
	}
	buffer[done] = '\0';
	return done;
}

size_t escape_text(char *buffer, size_t size, const char *text, size_t length)
{
	return translate_character(buffer, size, text, length, translate_for_terminal);
}

size_t escape_ascii(char *buffer, size_t size, const char *text, size_t length)
{
	return translate_character(buffer, size, text, length, translate_for_ascii);
}

size_t sanitize_utf8(char *buffer, size_t size, const char *text, size_t length)
{
	return translate_character(buffer, size, text, length, translate_for_json);
}
