// SPDX-License-Identifier: BSD-2-Clause
#include "output/json/json_stack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/site.h"
#include "model/stack.h"
#include "output/json/json_cut.h"
#include "output/json/json_text.h"

#define GAP_SIZE 48

struct frame_facts {
	enum frame_rank rank;
	size_t written, newlines; /* of the whole text; see measured */
};

struct json_stack {
	const struct stack *stack;
	enum frame_rank best; /* of its frames */
	json_t *array;        /* all of them */
	size_t longest;       /* bytes of the longest frame, not as written */
	bool measured;
	struct frame_facts frames[];
};

/* Which frames are shown: the first and the last of those that may be, and how many are not. */
struct stack_view {
	const struct json_stack *stack;
	enum frame_rank worst;
	size_t count, head, hidden, tail;
};

static bool may_show(const struct stack_view *view, unsigned int index)
{
	return view->stack->frames[index].rank <= view->worst;
}

static struct stack_view view_stack(const struct json_stack *s, const struct json_limits *limits)
{
	struct stack_view view = { .stack = s, .worst = s->best };
	size_t shown;

	if (view.worst < limits->worst)
		view.worst = limits->worst;
	for (unsigned int i = 0; i < s->stack->frame_count; i++)
		view.count += may_show(&view, i);
	shown = view.count < limits->frames ? view.count : limits->frames;
	view.head = shown - shown / 2;
	view.hidden = view.count - shown;
	view.tail = shown / 2;
	return view;
}

/* One row of the array: a frame, or words about those that are missing. */
typedef void (*row_fn)(void *ctx, unsigned int frame, const char *words);
#define NO_FRAME ((unsigned int)-1)

static void give_gap(size_t frames, row_fn row, void *ctx)
{
	char text[GAP_SIZE];

	snprintf(text, sizeof(text), "... %zu more", frames);
	row(ctx, NO_FRAME, text);
}

/* `done` of the frames that may be shown lie before this one. */
static void give_next(const struct stack_view *view, unsigned int index, size_t done, row_fn row,
		      void *ctx)
{
	const struct stack *stack = view->stack->stack;

	if (stack->left_out && index == stack->left_out_at)
		give_gap(stack->left_out, row, ctx);
	if (!may_show(view, index))
		return;
	if (view->hidden && done == view->head)
		give_gap(view->hidden, row, ctx);
	if (done < view->head || done >= view->count - view->tail)
		row(ctx, index, NULL);
}

static void give_rows(const struct stack_view *view, row_fn row, void *ctx)
{
	const struct stack *stack = view->stack->stack;
	size_t done = 0;

	for (unsigned int i = 0; i < stack->frame_count; i++) {
		give_next(view, i, done, row, ctx);
		done += may_show(view, i);
	}
	if (stack->flags & FDT_SITE_CUT)
		row(ctx, NO_FRAME, "...");
}

const struct stack *json_stack_of(const struct site *site)
{
	return site && site->stack && site->stack->frame_count ? site->stack : NULL;
}

struct stack_array {
	struct json_stack *stack;
	json_t *array;
	size_t frame_bytes;
	bool failed;
};

static void append_whole(void *ctx, unsigned int frame, const char *words)
{
	struct stack_array *a = ctx;
	const char *text = frame == NO_FRAME ? words : a->stack->stack->frames[frame].text;
	size_t length = strlen(text);

	a->failed |= json_array_append_new(a->array, json_text_new(text, length)) != 0;
	if (length > a->stack->longest)
		a->stack->longest = length;
}

static struct json_stack *stack_alloc(const struct stack *stack)
{
	struct json_stack *s = calloc(1, sizeof(*s) + stack->frame_count * sizeof(s->frames[0]));

	if (!s)
		return NULL;
	s->stack = stack;
	s->best = stack_best_rank(stack);
	for (unsigned int i = 0; i < stack->frame_count; i++)
		s->frames[i].rank = stack_frame_rank(&stack->frames[i]);
	s->array = json_array();
	return s;
}

struct json_stack *json_stack_new(const struct stack *stack)
{
	static const struct json_limits unlimited = { .frames = JSON_ALL, .worst = FRAME_SYSTEM };
	struct json_stack *s = stack_alloc(stack);
	struct stack_array whole = { .stack = s };
	struct stack_view view;

	if (!s)
		return NULL;
	view = view_stack(s, &unlimited);
	whole.array = s->array;
	give_rows(&view, append_whole, &whole);
	if (!whole.failed)
		return s;
	json_stack_free(s);
	return NULL;
}

void json_stack_free(struct json_stack *stack)
{
	if (!stack)
		return;
	json_decref(stack->array);
	free(stack);
}

json_t *json_stack_frames(const struct json_stack *stack)
{
	return stack->array;
}

/* The array has a row more than the stack has frames, from where some were left out. */
static json_t *frame_string(const struct json_stack *s, unsigned int frame)
{
	bool behind_gap = s->stack->left_out && frame >= s->stack->left_out_at;

	return json_array_get(s->array, frame + behind_gap);
}

static struct json_text_fit fit_frame(const struct json_stack *s, unsigned int frame, size_t max)
{
	const json_t *string = frame_string(s, frame);

	return json_text_fit(json_string_value(string), json_string_length(string), max);
}

static void measure_frames(struct json_stack *s)
{
	for (unsigned int i = 0; i < s->stack->frame_count; i++) {
		struct json_text_fit fit = fit_frame(s, i, JSON_ALL);

		s->frames[i].written = fit.written;
		s->frames[i].newlines = fit.newlines;
	}
	s->measured = true;
}

struct stack_sum {
	const struct json_stack *stack;
	struct json_stack_size size;
	size_t frame_bytes;
};

static void sum_row(void *ctx, unsigned int frame, const char *words)
{
	struct stack_sum *sum = ctx;
	const struct frame_facts *whole;
	struct json_text_fit fit;

	sum->size.rows++;
	if (frame == NO_FRAME) {
		sum->size.written += strlen(words);
		return;
	}
	whole = &sum->stack->frames[frame];
	fit = (struct json_text_fit){ .written = whole->written, .newlines = whole->newlines };
	if (fit.written > sum->frame_bytes)
		fit = fit_frame(sum->stack, frame, sum->frame_bytes);
	sum->size.written += fit.written;
	sum->size.newlines += fit.newlines;
	sum->size.cut |= fit.cut;
}

bool json_stack_fits(const struct json_stack *s, const struct json_limits *limits)
{
	struct stack_view view;

	if (s->stack->frame_count > limits->frames ||
	    JSON_WRITTEN_MAX * s->longest > limits->frame_bytes)
		return false;
	view = view_stack(s, limits);
	return view.count == s->stack->frame_count;
}

struct json_stack_size json_stack_measure(struct json_stack *s, const struct json_limits *limits)
{
	struct stack_sum sum = { .stack = s, .frame_bytes = limits->frame_bytes };
	struct stack_view view = view_stack(s, limits);

	sum.size.cut = view.head + view.tail < s->stack->frame_count;
	if (!view.head)
		return sum.size;
	if (!s->measured)
		measure_frames(s);
	give_rows(&view, sum_row, &sum);
	return sum.size;
}

static void append_cut(void *ctx, unsigned int frame, const char *words)
{
	struct stack_array *a = ctx;
	json_t *value = frame == NO_FRAME
				? json_text_new(words, strlen(words))
				: json_text_cut(frame_string(a->stack, frame), a->frame_bytes);

	a->failed |= json_array_append_new(a->array, value) != 0;
}

json_t *json_stack_cut(struct json_stack *s, const struct json_limits *limits)
{
	struct stack_array cut = { .stack = s, .frame_bytes = limits->frame_bytes };
	struct stack_view view = view_stack(s, limits);

	cut.array = json_array();
	give_rows(&view, append_cut, &cut);
	if (!cut.failed)
		return cut.array;
	json_decref(cut.array);
	return NULL;
}

json_t *json_stack_trace(const json_t *frames)
{
	char *text = NULL;
	size_t size = 1, done = 0, index;
	json_t *frame, *value;

	json_array_foreach(frames, index, frame) size += json_string_length(frame) + 1;
	text = malloc(size);
	if (!text)
		return NULL;
	json_array_foreach(frames, index, frame)
	{
		const char *from = json_string_value(frame);

		if (index)
			text[done++] = '\n';
		for (size_t i = 0; i < json_string_length(frame); i++)
			text[done++] =
				from[i] == '\n' ? ' ' : from[i]; /* a name must not forge a frame */
	}
	value = json_text_new(text, done);
	free(text);
	return value;
}

size_t json_stack_array_bytes(const struct json_stack_size *size)
{
	return size->rows ? size->written + 2 * size->rows + size->rows - 1 + 2 : 0;
}

/* A newline between two frames takes two bytes, and one in a name has become a blank. */
size_t json_stack_trace_bytes(const struct json_stack_size *size)
{
	return size->rows ? size->written - size->newlines + 2 * (size->rows - 1) + 2 : 0;
}
