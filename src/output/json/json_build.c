// SPDX-License-Identifier: BSD-2-Clause
#include "output/json/json_build.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "model/stack.h"
#include "output/json/json_stack.h"
#include "output/json/json_text.h"
#include "util/hostinfo.h"

#define EXACT_MAX ((UINT64_C(1) << 53) - 1)

void json_builder_done(struct builder *b)
{
	json_parts_done(&b->parts);
}

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

json_t *json_short_value(struct builder *b, const char *text, size_t max)
{
	json_t *value = json_text_new(text, strlen(text)), *shorter;

	if (!value)
		return NULL;
	shorter = json_text_cut(value, max);
	b->cut |= shorter != value;
	json_decref(value);
	return shorter;
}

void json_put_text(struct builder *b, json_t *object, const char *key, const char *text)
{
	size_t length = text ? strlen(text) : 0;

	if (!length)
		return;
	json_put(b, object, key, json_text_new(text, length));
	json_note_text(&b->parts, object, key, length);
}

/* Of all frames, innermost first: the same on every host, whatever lines and names are. */
static void put_identities(struct builder *b, json_t *object, const struct stack *stack)
{
	json_t *array = json_put_array(b, object, "stack_ids");
	char text[20];

	for (unsigned int i = 0; i < stack->frame_count; i++) {
		snprintf(text, sizeof(text), "%016" PRIx64, stack->frames[i].identity);
		json_put_item(b, array, json_text_new(text, strlen(text)));
	}
}

void json_put_stack(struct builder *b, json_t *object, const struct site *site)
{
	const struct stack *stack = json_stack_of(site);
	struct json_stack *frames = stack ? json_stack_new(stack) : NULL;

	if (!stack)
		return;
	json_put(b, object, "stack", frames ? json_incref(json_stack_frames(frames)) : NULL);
	json_note_stack(&b->parts, object, "stack", frames);
	if (b->identities)
		put_identities(b, object, stack);
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
	json_put(b, object, key, json_text_new(text, strlen(text)));
}

/* A damaged recording may hold any time: one out of range becomes the nearest that is in range. */
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
