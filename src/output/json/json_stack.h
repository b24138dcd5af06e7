/* SPDX-License-Identifier: BSD-2-Clause */
/* A stack as an array of frames, innermost first: whole, or with as much as limits allow. */
#ifndef FDTRACE_OUTPUT_JSON_STACK_H
#define FDTRACE_OUTPUT_JSON_STACK_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct site;
struct stack;
struct json_limits;
struct json_stack;

/* The stack of a site that has frames, else NULL. site may be NULL. */
const struct stack *json_stack_of(const struct site *site);

/* stack: borrowed. NULL: no memory. */
struct json_stack *json_stack_new(const struct stack *stack);
void json_stack_free(struct json_stack *stack);
/* The array with all frames; borrowed. */
json_t *json_stack_frames(const struct json_stack *stack);

/* What json_stack_cut() would give; without frames there is no array at all. */
struct json_stack_size {
	size_t rows;     /* frames, and lines about frames that are missing */
	size_t written;  /* their bytes, without quotes and commas */
	size_t newlines; /* in the frames' names */
	bool cut;        /* it is not the whole stack */
};
/* Surely uncut by these limits, however its text is written: cheaper to ask than measuring. */
bool json_stack_fits(const struct json_stack *stack, const struct json_limits *limits);
struct json_stack_size json_stack_measure(struct json_stack *stack,
					  const struct json_limits *limits);
/* A new array. limits->frames is not 0. NULL: no memory. */
json_t *json_stack_cut(struct json_stack *stack, const struct json_limits *limits);

/* The frames as one text with a frame a line, as ECS wants it. NULL: no memory. */
json_t *json_stack_trace(const json_t *frames);
/* Bytes of both forms as written, with brackets or quotes; 0 where there is no frame. */
size_t json_stack_array_bytes(const struct json_stack_size *size);
size_t json_stack_trace_bytes(const struct json_stack_size *size);

#endif
