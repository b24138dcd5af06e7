// SPDX-License-Identifier: BSD-2-Clause
#include "output/json/json_cut.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "output/json/json_stack.h"
#include "output/json/json_text.h"

#define ALL JSON_ALL
/* In each row at least as tight as in the one before: a larger line never shows less. */
static const struct json_limits levels[] = {
	/* frames, bytes of a frame, rows, bytes of the command line, of a text, worst frame */
	{ ALL, 1024, ALL, ALL, ALL, FRAME_SYSTEM },
	{ ALL, 1024, ALL, ALL, ALL, FRAME_NATIVE_LIBRARY },
	{ 32, 256, ALL, ALL, ALL, FRAME_NATIVE },
	{ 16, 256, ALL, ALL, ALL, FRAME_NATIVE },
	{ 16, 256, ALL, ALL, ALL, FRAME_LIBRARY },
	{ 12, 256, ALL, ALL, ALL, FRAME_LIBRARY },
	{ 8, 256, ALL, ALL, ALL, FRAME_LIBRARY },
	{ 8, 256, ALL, ALL, ALL, FRAME_APPLICATION },
	{ 6, 256, ALL, ALL, ALL, FRAME_APPLICATION },
	{ 4, 256, ALL, ALL, ALL, FRAME_APPLICATION },
	{ 4, 160, 6, ALL, ALL, FRAME_APPLICATION },
	{ 4, 160, 4, ALL, ALL, FRAME_APPLICATION },
	{ 4, 160, 2, ALL, ALL, FRAME_APPLICATION },
	{ 4, 160, 1, ALL, ALL, FRAME_APPLICATION },
	{ 4, 160, 0, ALL, ALL, FRAME_APPLICATION },
	{ 4, 160, 0, 1024, ALL, FRAME_APPLICATION },
	{ 4, 160, 0, 256, ALL, FRAME_APPLICATION },
	{ 4, 160, 0, 64, ALL, FRAME_APPLICATION },
	{ 4, 160, 0, 0, ALL, FRAME_APPLICATION },
	{ 4, 120, 0, 0, 1024, FRAME_APPLICATION },
	{ 4, 120, 0, 0, 512, FRAME_APPLICATION },
	{ 2, 120, 0, 0, 256, FRAME_APPLICATION },
	{ 1, 80, 0, 0, 128, FRAME_APPLICATION },
	{ 0, 0, 0, 0, 80, FRAME_APPLICATION },
};
#define LEVELS (sizeof(levels) / sizeof(levels[0]))
#define TRUNCATED "truncated"
#define TEXT_BYTES_MIN 80 /* a shorter text is never cut */

static const struct json_limits unlimited = { ALL, ALL, ALL, ALL, ALL, FRAME_SYSTEM };
#undef ALL

enum part_kind { PART_TEXT, PART_COMMAND, PART_STACK, PART_TRACE, PART_LIST, PART_ROW };

struct json_part {
	enum part_kind kind;
	json_t *in;      /* the object or, of a row, the array that it is part of; borrowed */
	const char *key; /* in that object */
	size_t written;  /* bytes of the value in the whole line; 0: not measured yet */
	struct json_stack *stack; /* owned */

	/* of a list */
	const char *total_key;
	uint64_t total;
	size_t rows;
	/* of a row */
	enum json_list list;
	json_t *value; /* borrowed */
	size_t rank;   /* rows before it */
	size_t end;    /* the first part that is not in it */
	bool first;    /* of its array: no comma goes with it */
};

void json_parts_done(struct json_parts *parts)
{
	for (size_t i = 0; i < parts->count; i++)
		json_stack_free(parts->part[i].stack);
	free(parts->part);
	*parts = (struct json_parts){ 0 };
}

static bool parts_have_room(struct json_parts *parts)
{
	size_t room = parts->room ? 2 * parts->room : 32;
	struct json_part *part;

	if (parts->count < parts->room)
		return true;
	part = realloc(parts->part, room * sizeof(*part));
	if (!part)
		return false;
	parts->part = part;
	parts->room = room;
	return true;
}

static void note_part(struct json_parts *parts, const struct json_part *part)
{
	if (parts_have_room(parts)) {
		parts->part[parts->count++] = *part;
	} else {
		json_stack_free(part->stack);
		parts->failed = true;
	}
}

void json_note_text(struct json_parts *parts, json_t *object, const char *key, size_t length)
{
	if (JSON_WRITTEN_MAX * length > TEXT_BYTES_MIN)
		note_part(parts,
			  &(struct json_part){ .kind = PART_TEXT, .in = object, .key = key });
}

void json_note_command(struct json_parts *parts, json_t *object, const char *key)
{
	note_part(parts, &(struct json_part){ .kind = PART_COMMAND, .in = object, .key = key });
}

static void note_frames(struct json_parts *parts, enum part_kind kind, json_t *object,
			const char *key, struct json_stack *stack)
{
	if (stack)
		note_part(parts, &(struct json_part){
					 .kind = kind, .in = object, .key = key, .stack = stack });
	else
		parts->failed = true;
}

void json_note_stack(struct json_parts *parts, json_t *object, const char *key,
		     struct json_stack *stack)
{
	note_frames(parts, PART_STACK, object, key, stack);
}

void json_note_trace(struct json_parts *parts, json_t *object, const char *key,
		     struct json_stack *stack)
{
	note_frames(parts, PART_TRACE, object, key, stack);
}

size_t json_note_row(struct json_parts *parts, enum json_list list, json_t *array, size_t rank)
{
	note_part(parts, &(struct json_part){ .kind = PART_ROW,
					      .in = array,
					      .list = list,
					      .rank = rank,
					      .first = !json_array_size(array) });
	return parts->count - 1;
}

void json_note_row_end(struct json_parts *parts, size_t row)
{
	struct json_part *part;

	if (parts->failed)
		return;
	part = &parts->part[row];
	part->value = json_array_get(part->in, json_array_size(part->in) - 1);
	part->end = parts->count;
}

void json_note_list(struct json_parts *parts, json_t *object, const char *key, size_t rows,
		    const char *total_key, uint64_t total)
{
	note_part(parts, &(struct json_part){ .kind = PART_LIST,
					      .in = object,
					      .key = key,
					      .rows = rows,
					      .total_key = total_key,
					      .total = total });
}

static size_t least_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

static bool row_is_dropped(const struct json_part *row, const struct json_limits *limits)
{
	return row->rank >= (row->list == JSON_LIST_OF_SUMMARY
				     ? least_size(limits->rows, limits->frames)
				     : limits->rows);
}

/* Bytes of `,"key":` and a value. */
static size_t member_bytes(const char *key, size_t value)
{
	return strlen(key) + strlen(",\"\":") + value;
}

/* What limits do to the length of a line. */
struct cut {
	const struct json_limits *limits;
	size_t saved, added;
	bool any, failed;
};

static void measure_text(struct json_part *part, struct cut *cut, size_t max)
{
	const json_t *string = json_object_get(part->in, part->key);
	const char *text = json_string_value(string);
	size_t length = json_string_length(string);

	if (JSON_WRITTEN_MAX * length <= max)
		return;
	if (!part->written)
		part->written = json_text_fit(text, length, JSON_ALL).written;
	if (part->written <= max)
		return;
	cut->any = true;
	if (part->kind == PART_COMMAND && !max)
		cut->saved += member_bytes(part->key, part->written + strlen("\"\""));
	else
		cut->saved += part->written - json_text_fit(text, length, max).written;
}

static size_t frames_bytes(const struct json_part *part, const struct json_stack_size *size)
{
	return part->kind == PART_TRACE ? json_stack_trace_bytes(size)
					: json_stack_array_bytes(size);
}

static void measure_frames_part(struct json_part *part, struct cut *cut)
{
	struct json_stack_size size;

	if (json_stack_fits(part->stack, cut->limits))
		return;
	if (!part->written) {
		size = json_stack_measure(part->stack, &unlimited);
		part->written = frames_bytes(part, &size);
	}
	size = json_stack_measure(part->stack, cut->limits);
	cut->any |= size.cut;
	if (size.rows) {
		cut->saved += part->written;
		cut->added += frames_bytes(part, &size);
	} else if (part->kind == PART_TRACE && json_object_size(part->in) == 1) {
		cut->saved += member_bytes("error", member_bytes(part->key, part->written) + 1);
	} else {
		cut->saved += member_bytes(part->key, part->written);
	}
}

static void measure_list(const struct json_part *part, struct cut *cut)
{
	size_t shown = least_size(part->rows, cut->limits->rows);

	cut->any |= shown < part->rows;
	if (part->rows && !shown)
		cut->saved += member_bytes(part->key, strlen("[]"));
	if (part->total_key && part->total <= part->rows && part->total > shown)
		cut->added += member_bytes(part->total_key,
					   (size_t)snprintf(NULL, 0, "%" PRIu64, part->total));
}

static void measure_row(struct json_part *part, struct cut *cut)
{
	if (!part->written)
		part->written = json_written(part->value);
	cut->failed |= !part->written;
	cut->saved += part->written + !part->first;
	cut->any = true;
}

static void measure_part(struct json_part *part, struct cut *cut)
{
	switch (part->kind) {
	case PART_TEXT: measure_text(part, cut, cut->limits->text_bytes); break;
	case PART_COMMAND: measure_text(part, cut, cut->limits->command_bytes); break;
	case PART_STACK:
	case PART_TRACE: measure_frames_part(part, cut); break;
	case PART_LIST: measure_list(part, cut); break;
	case PART_ROW:
		if (row_is_dropped(part, cut->limits))
			measure_row(part, cut);
		break;
	}
}

/* The next part that is still in the line under these limits. */
static size_t next_part(const struct json_parts *parts, size_t i, const struct json_limits *limits)
{
	const struct json_part *part = &parts->part[i];

	return part->kind == PART_ROW && row_is_dropped(part, limits) ? part->end : i + 1;
}

static struct cut measure_cut(struct json_parts *parts, const struct json_limits *limits)
{
	struct cut cut = { .limits = limits };

	for (size_t i = 0; i < parts->count; i = next_part(parts, i, limits))
		measure_part(&parts->part[i], &cut);
	return cut;
}

/* A value takes the place of the one there was. Returns whether it failed: no memory. */
static bool replace_value(struct json_part *part, json_t *value)
{
	return json_object_set_new_nocheck(part->in, part->key, value) != 0;
}

static bool cut_text(struct json_part *part, size_t max)
{
	json_t *string = json_object_get(part->in, part->key);

	if (JSON_WRITTEN_MAX * json_string_length(string) <= max)
		return false;
	if (part->kind == PART_COMMAND && !max)
		return json_object_del(part->in, part->key) != 0;
	return replace_value(part, json_text_cut(string, max));
}

static bool cut_frames(struct json_part *part, json_t *line, const struct json_limits *limits)
{
	json_t *array;
	bool failed;

	if (json_stack_fits(part->stack, limits))
		return false;
	if (!limits->frames) {
		json_object_del(part->in, part->key);
		if (part->kind == PART_TRACE && !json_object_size(part->in))
			json_object_del(line, "error");
		return false;
	}
	array = json_stack_cut(part->stack, limits);
	if (part->kind == PART_STACK || !array)
		return replace_value(part, array);
	failed = replace_value(part, json_stack_trace(array));
	json_decref(array);
	return failed;
}

/* The writer keeps the order in which keys came: those after `before` are put once more. */
static bool put_behind(json_t *object, const char *before, const char *key, uint64_t number)
{
	void *at = json_object_iter_next(object, json_object_iter_at(object, before));
	json_t *later = json_object(), *value;
	bool failed = !later;
	const char *name;

	for (; at; at = json_object_iter_next(object, at))
		failed |= json_object_set_nocheck(later, json_object_iter_key(at),
						  json_object_iter_value(at)) != 0;
	failed = failed ||
		 json_object_set_new_nocheck(object, key, json_integer((json_int_t)number)) != 0;
	json_object_foreach(later, name, value)
	{
		json_object_del(object, name);
		failed |= json_object_set_nocheck(object, name, value) != 0;
	}
	json_decref(later);
	return failed;
}

static bool cut_list(struct json_part *part, const struct json_limits *limits)
{
	size_t shown = least_size(part->rows, limits->rows);
	bool failed = false;

	if (part->total_key && part->total <= part->rows && part->total > shown)
		failed = put_behind(part->in, part->key, part->total_key, part->total);
	if (!shown)
		json_object_del(part->in, part->key);
	return failed;
}

/* Of an array, either the last rows are dropped or none. */
static bool cut_row(struct json_part *part, const struct json_limits *limits)
{
	return row_is_dropped(part, limits) &&
	       json_array_remove(part->in, json_array_size(part->in) - 1) != 0;
}

/* Returns whether it failed: no memory. */
static bool cut_part(struct json_part *part, json_t *line, const struct json_limits *limits)
{
	switch (part->kind) {
	case PART_TEXT: return cut_text(part, limits->text_bytes);
	case PART_COMMAND: return cut_text(part, limits->command_bytes);
	case PART_STACK:
	case PART_TRACE: return cut_frames(part, line, limits);
	case PART_LIST: return cut_list(part, limits);
	case PART_ROW: return cut_row(part, limits);
	}
	return false;
}

static int cut_parts(struct json_parts *parts, json_t *line, const struct json_limits *limits)
{
	bool failed = false;

	for (size_t i = 0; i < parts->count; i = next_part(parts, i, limits))
		failed |= cut_part(&parts->part[i], line, limits);
	failed |= json_object_set_new_nocheck(json_object_get(line, "fdtrace"), TRUNCATED,
					      json_true()) != 0;
	return failed ? -ENOMEM : 0;
}

void json_drop_identities(struct json_parts *parts)
{
	for (size_t i = 0; i < parts->count; i++)
		if (parts->part[i].kind == PART_STACK)
			json_object_del(parts->part[i].in, "stack_ids");
}

/* The first limits by which a line of `length` bytes fits; at least the last. 0 or -ENOMEM. */
static int choose_limits(struct json_parts *parts, const json_t *line, size_t length, size_t max,
			 struct cut *ret)
{
	bool says_so = json_object_get(json_object_get(line, "fdtrace"), TRUNCATED) != NULL;

	for (size_t i = 0; i < LEVELS; i++) {
		*ret = measure_cut(parts, &levels[i]);
		if (ret->any && !says_so)
			ret->added += member_bytes(TRUNCATED, strlen("true"));
		if (ret->failed || length + ret->added <= max + ret->saved)
			break;
	}
	return ret->failed ? -ENOMEM : 0;
}

/* The limits that the line needs, by which it is cut. 0 or -ENOMEM. */
static int cut_to_fit(struct json_parts *parts, json_t *line, size_t max)
{
	struct cut cut;
	size_t length = json_written(line);
	int err = length ? choose_limits(parts, line, length + strlen("\n"), max, &cut) : -ENOMEM;

	return err || !cut.any ? err : cut_parts(parts, line, cut.limits);
}

int json_cut_line(struct json_parts *parts, json_t *line, size_t max, char **ret_line,
		  size_t *ret_length)
{
	int err = parts->failed ? -ENOMEM : 0;

	if (!err && max != JSON_ALL)
		err = cut_to_fit(parts, line, max);
	return err ? err : json_line(line, ret_line, ret_length);
}
