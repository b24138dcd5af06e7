/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * JSON lines without mishaps: every string becomes valid UTF-8 and is cut to what the line
 * allows, numbers stay within what every reader keeps exactly, nothing is ever null, and lack
 * of memory is remembered. The same input gives the same bytes.
 */
#ifndef FDTRACE_OUTPUT_JSON_BUILD_H
#define FDTRACE_OUTPUT_JSON_BUILD_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "model/stack.h"

struct hostinfo;
struct redaction;
struct process;
struct descriptor;

#define JSON_LINE_MAX 4000 /* bytes, newline included: journalctl makes longer fields null */
#define JSON_ALL ((size_t)-1)

/* How much a line takes of the parts that may be long. */
struct json_limits {
	size_t frames;      /* of a stack; from its middle drop the rest */
	size_t frame_bytes; /* of one frame, as all sizes here: as written, escapes included */
	size_t rows;        /* of sites, victims, history */
	size_t command_bytes;
	size_t text_bytes;     /* of any other string */
	enum frame_rank worst; /* leave out frames of a worse rank, unless all are */
};

struct builder {
	const struct hostinfo *host;
	const struct redaction *redaction; /* NULL: nothing is hidden */
	struct json_limits limits;
	bool identities; /* of each frame, beside its words */
	bool cut;        /* something did not fit the limits */
	bool failed;     /* no memory: the object is incomplete */
};

/* Takes value; NULL counts as lack of memory. */
void json_put(struct builder *b, json_t *object, const char *key, json_t *value);
void json_put_item(struct builder *b, json_t *array, json_t *value);
/* A new object or array in `object`, borrowed; never NULL unless b->failed. */
json_t *json_put_object(struct builder *b, json_t *object, const char *key);
json_t *json_put_array(struct builder *b, json_t *object, const char *key);

/* NULL and "" are absent. */
void json_put_text(struct builder *b, json_t *object, const char *key, const char *text);
/* At most max bytes as written; cut text ends in "...". */
json_t *json_text_value(struct builder *b, const char *text, size_t length, size_t max);
/* Counts; above 2^53 - 1, where readers begin to round, it stays there. */
void json_put_number(struct builder *b, json_t *object, const char *key, uint64_t number);
/* Rounded to this many decimals; absent if not finite. */
void json_put_real(struct builder *b, json_t *object, const char *key, double number,
		   unsigned int decimals);
/* 64-bit names (inodes, fingerprints) are strings. */
void json_put_format(struct builder *b, json_t *object, const char *key, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* CLOCK_MONOTONIC as "2026-11-20T23:59:59.123456789Z". */
void json_put_time(struct builder *b, json_t *object, const char *key, uint64_t time_ns);

/* Objects that several datasets have. */
void json_put_host(struct builder *b, json_t *line);
void json_put_process(struct builder *b, json_t *line, const struct process *p);
/* Its "service", "container" and pod; nothing where it is in none, or its place is not known. */
void json_put_place(struct builder *b, json_t *line, const struct process *p);
/* The path as the kernel reports it, under fdtrace. */
void json_put_cgroup(struct builder *b, json_t *fdtrace, const struct process *p);
/* "file" or "network", by kind; nothing where neither fits. */
void json_put_target(struct builder *b, json_t *line, const struct descriptor *d);
/* Its name under fdtrace, where json_put_target() had no place for it. */
void json_put_target_name(struct builder *b, json_t *fdtrace, const struct descriptor *d);
/* Queues and peers of a socket under fdtrace; nothing where they are not known. */
void json_put_detail(struct builder *b, json_t *fdtrace, const struct descriptor *d);
void json_put_ecs(struct builder *b, json_t *line);

/*
 * One line of text, newline included, to be freed by the caller: compact, keys in the order
 * they were put, all control and direction-changing characters as \uXXXX. 0 or -ENOMEM.
 */
int json_line(const json_t *object, char **ret_line, size_t *ret_length);

#endif
