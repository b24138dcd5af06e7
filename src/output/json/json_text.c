// SPDX-License-Identifier: BSD-2-Clause
#include "output/json/json_text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/escape.h"
#include "util/utf8.h"

#define ELLIPSIS "..."
#define ELLIPSIS_BYTES strlen(ELLIPSIS)
#define LINE_FLAGS (JSON_COMPACT | JSON_REAL_PRECISION(15))

/* As json_line() will write it. */
static size_t written_bytes(uint32_t character, size_t size)
{
	if (character == '"' || character == '\\')
		return 2;
	if (!utf8_is_unsafe(character))
		return size;
	return character == '\b' || character == '\t' || character == '\n' || character == '\f' ||
			       character == '\r'
		       ? 2
		       : JSON_WRITTEN_MAX;
}

/* Bytes at the beginning of text that are written as they are; nearly all texts have no others. */
static size_t plain_bytes(const char *text, size_t length)
{
	size_t plain = 0;

	while (plain < length && text[plain] >= ' ' && text[plain] <= '~' && text[plain] != '"' &&
	       text[plain] != '\\')
		plain++;
	return plain;
}

/* The longest beginning of valid text that takes at most max bytes as written. */
static struct json_text_fit text_beginning(const char *text, size_t length, size_t max)
{
	struct json_text_fit fit = { 0 };

	for (;;) {
		size_t left = length - fit.length, room = max - fit.written;
		size_t plain = plain_bytes(text + fit.length, left < room ? left : room), size;
		uint32_t character = 0;

		fit.length += plain;
		fit.written += plain;
		size = utf8_decode(text + fit.length, length - fit.length, &character);
		if (!size || written_bytes(character, size) > max - fit.written)
			return fit;
		fit.written += written_bytes(character, size);
		fit.newlines += character == '\n';
		fit.length += size;
	}
}

struct json_text_fit json_text_fit(const char *text, size_t length, size_t max)
{
	struct json_text_fit fit = text_beginning(text, length, max);

	if (fit.length == length)
		return fit;
	fit = (struct json_text_fit){ 0 };
	if (max > ELLIPSIS_BYTES)
		fit = text_beginning(text, length, max - ELLIPSIS_BYTES);
	fit.written += ELLIPSIS_BYTES;
	fit.cut = true;
	return fit;
}

static bool is_ascii(const char *text, size_t length)
{
	unsigned char all = 0;

	for (size_t i = 0; i < length; i++)
		all |= (unsigned char)text[i];
	return all < 0x80;
}

json_t *json_text_new(const char *text, size_t length)
{
	size_t size = 3 * length + 1; /* an invalid byte becomes three */
	char *clean;
	json_t *value;

	if (is_ascii(text, length))
		return json_stringn_nocheck(text, length);
	clean = malloc(size);
	if (!clean)
		return NULL;
	length = sanitize_utf8(clean, size, text, length);
	value = json_stringn_nocheck(clean, length);
	free(clean);
	return value;
}

json_t *json_text_cut(json_t *string, size_t max)
{
	const char *text = json_string_value(string);
	size_t length = json_string_length(string);
	struct json_text_fit fit = json_text_fit(text, length, max);
	json_t *value;
	char *cut;

	if (!fit.cut)
		return json_incref(string);
	cut = malloc(fit.length + ELLIPSIS_BYTES);
	if (!cut)
		return NULL;
	memcpy(cut, text, fit.length);
	memcpy(cut + fit.length, ELLIPSIS, ELLIPSIS_BYTES);
	value = json_stringn_nocheck(cut, fit.length + ELLIPSIS_BYTES);
	free(cut);
	return value;
}

/* Characters that the JSON writer passes but that a terminal or a line splitter acts on. */
static bool must_escape(uint32_t character)
{
	return character >= 0x7f && utf8_is_unsafe(character);
}

int json_line(const json_t *object, char **ret_line, size_t *ret_length)
{
	char *text = json_dumps(object, LINE_FLAGS), *line;
	size_t length = text ? strlen(text) : 0, done = 0;

	line = text ? malloc(JSON_WRITTEN_MAX * length + 2) : NULL;
	if (!line) {
		free(text);
		return -ENOMEM;
	}
	for (size_t i = 0; i < length;) {
		uint32_t character = 0;
		size_t size = utf8_decode(text + i, length - i, &character);

		size += !size;
		if (must_escape(character)) {
			done += (size_t)sprintf(line + done, "\\u%04X", (unsigned int)character);
		} else {
			memcpy(line + done, text + i, size);
			done += size;
		}
		i += size;
	}
	line[done++] = '\n';
	line[done] = '\0';
	free(text);
	*ret_line = line;
	*ret_length = done;
	return 0;
}

static size_t string_written(const char *text, size_t length)
{
	return json_text_fit(text, length, JSON_ALL).written + strlen("\"\"");
}

static size_t integer_written(json_int_t number)
{
	size_t digits = 1 + (number < 0);

	while (number /= 10)
		digits++;
	return digits;
}

static size_t add_written(const json_t *value, bool *failed);

static size_t array_written(const json_t *array, bool *failed)
{
	size_t bytes = strlen("[]"), index;
	json_t *value;

	json_array_foreach(array, index, value) bytes += !!index + add_written(value, failed);
	return bytes;
}

static size_t object_written(const json_t *object, bool *failed)
{
	size_t bytes = strlen("{}") + (json_object_size(object) ? json_object_size(object) - 1 : 0);
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)object, key, value) bytes +=
		strlen(key) + strlen("\"\":") + add_written(value, failed);
	return bytes;
}

static size_t other_written(const json_t *value, bool *failed)
{
	size_t bytes = json_dumpb(value, NULL, 0, LINE_FLAGS | JSON_ENCODE_ANY);

	*failed |= !bytes;
	return bytes;
}

static size_t add_written(const json_t *value, bool *failed)
{
	switch (json_typeof(value)) {
	case JSON_OBJECT: return object_written(value, failed);
	case JSON_ARRAY: return array_written(value, failed);
	case JSON_STRING:
		return string_written(json_string_value(value), json_string_length(value));
	case JSON_INTEGER: return integer_written(json_integer_value(value));
	case JSON_REAL:
	case JSON_TRUE:
	case JSON_FALSE:
	case JSON_NULL: break;
	}
	return other_written(value, failed);
}

size_t json_written(const json_t *value)
{
	bool failed = false;
	size_t bytes = add_written(value, &failed);

	return failed ? 0 : bytes;
}
