/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How a line is made to fit. It is built once, with everything in it, and each part that may be
 * cut is noted on the way. If the line is too long, its length under ever tighter limits is
 * worked out from the sizes of those parts; then they are cut in the tree by the first limits
 * that are enough. What gives way, in this order: frames (those inside an interpreter first, the
 * application's own last), rows of lists, the command line, then all other texts.
 */
#ifndef FDTRACE_OUTPUT_JSON_CUT_H
#define FDTRACE_OUTPUT_JSON_CUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "model/stack.h"

struct json_part;
struct json_stack;

/* How much a line takes of the parts that may be long; bytes are as written, escapes included. */
struct json_limits {
	size_t frames;      /* of a stack; from its middle drop the rest */
	size_t frame_bytes; /* of one frame */
	size_t rows;        /* of a list */
	size_t command_bytes;
	size_t text_bytes;     /* of any other string */
	enum frame_rank worst; /* leave out frames of a worse rank, unless all are */
};

/* The parts of a line that may be cut. All zero is empty; json_parts_done() empties it. */
struct json_parts {
	struct json_part *part; /* in the order of the line; the parts of a row follow it */
	size_t count, room;
	bool failed; /* no memory: not all are noted */
};
void json_parts_done(struct json_parts *parts);

/* The string `key` of object, whose length before any escaping is given. Keys are literals. */
void json_note_text(struct json_parts *parts, json_t *object, const char *key, size_t length);
/* The same for the command line, which may be dropped as a whole. */
void json_note_command(struct json_parts *parts, json_t *object, const char *key);
/* The array `key` of object. Takes the stack; NULL counts as lack of memory. */
void json_note_stack(struct json_parts *parts, json_t *object, const char *key,
		     struct json_stack *stack);
/* The same where `key` is a text with a frame a line; an object that is empty then is dropped. */
void json_note_trace(struct json_parts *parts, json_t *object, const char *key,
		     struct json_stack *stack);

enum json_list {
	JSON_LIST_OF_FINDING,
	JSON_LIST_OF_SUMMARY, /* as long as the shorter of the limits for rows and for frames */
};
/* A row is begun before its parts are noted, and ended once it is the last of array. */
size_t json_note_row(struct json_parts *parts, enum json_list list, json_t *array, size_t rank);
void json_note_row_end(struct json_parts *parts, size_t row);
/*
 * After its rows: the list `key` of object, dropped if no row stays. total_key: the number of
 * rows there really were, which stands behind the list if that shows fewer; NULL: no such number.
 */
void json_note_list(struct json_parts *parts, json_t *object, const char *key, size_t rows,
		    const char *total_key, uint64_t total);

/* "stack_ids" of all stacks: removed. */
void json_drop_identities(struct json_parts *parts);

/*
 * Writes the line, to be freed by the caller, in at most max bytes, newline included; JSON_ALL:
 * uncut. Any line of this program fits 4,000 bytes. A line that was cut says so ("truncated" of
 * its "fdtrace"). Changes line. 0 or -ENOMEM.
 */
int json_cut_line(struct json_parts *parts, json_t *line, size_t max, char **ret_line,
		  size_t *ret_length);

#endif
