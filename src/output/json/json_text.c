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

/* The longest beginning of valid text that takes at most max bytes as written. */
static struct json_text_fit text_beginning(const char *text, size_t length, size_t max)
{
	struct json_text_fit fit = { 0 };

	while (fit.length < length) {
		uint32_t character = 0;
		size_t size = utf8_decode(text + fit.length, length - fit.length, &character);
		size_t needed = written_bytes(character, size);

		if (!size || needed > max - fit.written)
			break;
		fit.written += needed;
		fit.newlines += character == '\n';
		fit.length += size;
	}
	return fit;
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

json_t *json_text_new(const char *text, size_t length)
{
	size_t size = 3 * length + 1; /* an invalid byte becomes three */
	char *clean = malloc(size);
	json_t *value;

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

/* The writer hands over whole characters. */
static int count_written(const char *text, size_t length, void *ctx)
{
	size_t *bytes = ctx;

	for (size_t i = 0; i < length;) {
		uint32_t character = 0;
		size_t size = utf8_decode(text + i, length - i, &character);

		size += !size;
		*bytes += must_escape(character) ? JSON_WRITTEN_MAX : size;
		i += size;
	}
	return 0;
}

size_t json_written(const json_t *value)
{
	size_t bytes = 0;

	return json_dump_callback(value, count_written, &bytes, LINE_FLAGS | JSON_ENCODE_ANY)
		       ? 0
		       : bytes;
}
