// SPDX-License-Identifier: BSD-2-Clause
#include "output/json/json_build.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "util/escape.h"
#include "util/hostinfo.h"
#include "util/utf8.h"

#define EXACT_MAX ((UINT64_C(1) << 53) - 1)
#define ELLIPSIS "..."

void json_put(struct builder *b, json_t *object, const char *key, json_t *value)
{
	if (json_object_set_new_nocheck(object, key, value))
		b->failed = true;
}

void json_put_item(struct builder *b, json_t *array, json_t *value)
{
	if (json_array_append_new(array, value))
		b->failed = true;
}

json_t *json_put_object(struct builder *b, json_t *object, const char *key)
{
	json_put(b, object, key, json_object());
	return json_object_get(object, key);
}

json_t *json_put_array(struct builder *b, json_t *object, const char *key)
{
	json_put(b, object, key, json_array());
	return json_object_get(object, key);
}

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
		       : 6;
}

/* Bytes of the beginning of valid text that take at most max as written. */
static size_t fitting_bytes(const char *text, size_t length, size_t max)
{
	size_t done = 0;

	while (done < length) {
		uint32_t character = 0;
		size_t size = utf8_decode(text + done, length - done, &character);
		size_t needed = written_bytes(character, size);

		if (!size || needed > max)
			break;
		max -= needed;
		done += size;
	}
	return done;
}

json_t *json_text_value(struct builder *b, const char *text, size_t length, size_t max)
{
	size_t size = 3 * length + sizeof(ELLIPSIS), fit; /* an invalid byte becomes three */
	char *clean = malloc(size);
	json_t *value;

	if (!clean)
		return NULL;
	length = sanitize_utf8(clean, size, text, length);
	fit = fitting_bytes(clean, length, max);
	if (fit < length) {
		fit = max < strlen(ELLIPSIS) ? 0
					     : fitting_bytes(clean, length, max - strlen(ELLIPSIS));
		memcpy(clean + fit, ELLIPSIS, strlen(ELLIPSIS));
		length = fit + strlen(ELLIPSIS);
		b->cut = true;
	}
	value = json_stringn_nocheck(clean, length);
	free(clean);
	return value;
}

void json_put_text(struct builder *b, json_t *object, const char *key, const char *text)
{
	if (text && text[0])
		json_put(b, object, key,
			 json_text_value(b, text, strlen(text), b->limits.text_bytes));
}

void json_put_number(struct builder *b, json_t *object, const char *key, uint64_t number)
{
	json_put(b, object, key,
		 json_integer((json_int_t)(number > EXACT_MAX ? EXACT_MAX : number)));
}

void json_put_real(struct builder *b, json_t *object, const char *key, double number,
		   unsigned int decimals)
{
	double scale = 1;

	while (decimals--)
		scale *= 10;
	if (!isfinite(number) || fabs(number) > 1e12)
		return;
	number = (double)(int64_t)(number * scale + (number < 0 ? -0.5 : 0.5)) / scale;
	json_put(b, object, key, json_real(number));
}

void json_put_format(struct builder *b, json_t *object, const char *key, const char *format, ...)
{
	char text[128];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	json_put(b, object, key, json_text_value(b, text, strlen(text), JSON_ALL));
}

/* A damaged recording may hold any time: a time outside the format's range becomes the nearest end of it. */
static int64_t wall_ns_clamped(uint64_t time_ns, int64_t wall_offset_ns)
{
	__int128 wall = (__int128)time_ns + wall_offset_ns;

	if (wall < 0)
		return 0;
	return wall > INT64_MAX ? INT64_MAX : (int64_t)wall;
}

_Static_assert(INT64_MAX / 1000000000 < 253402300799,
	       "four digits hold every year that 64 bits of ns reach");

void json_put_time(struct builder *b, json_t *object, const char *key, uint64_t time_ns)
{
	int64_t wall = wall_ns_clamped(time_ns, b->host->wall_offset_ns);
	time_t seconds = (time_t)(wall / (int64_t)SEC_NS);
	struct tm utc = { 0 };

	gmtime_r(&seconds, &utc);
	json_put_format(b, object, key, "%04d-%02d-%02dT%02d:%02d:%02d.%09dZ", utc.tm_year + 1900,
			utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
			(int)(wall % (int64_t)SEC_NS));
}

/* Characters that the JSON writer passes but that a terminal or a line splitter acts on. */
static bool must_escape(uint32_t character)
{
	return character >= 0x7f && utf8_is_unsafe(character);
}

int json_line(const json_t *object, char **ret_line, size_t *ret_length)
{
	char *text = json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(15)), *line;
	size_t length = text ? strlen(text) : 0, done = 0;

	line = text ? malloc(6 * length + 2) : NULL;
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
