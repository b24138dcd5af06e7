/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * JSON lines that are always valid: every string becomes valid UTF-8, what may have to be cut is noted,
 * numbers stay within what every reader keeps exactly, nothing is ever null, and lack of memory
 * is remembered. The same input gives the same bytes.
 */
#ifndef FDTRACE_OUTPUT_JSON_BUILD_H
#define FDTRACE_OUTPUT_JSON_BUILD_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "output/json/json_cut.h"

struct hostinfo;
struct redaction;
struct process;
struct site;
struct descriptor;
struct site_row;

#define JSON_LINE_MAX 4000 /* bytes, newline included: journalctl makes longer fields null */

struct builder {
	const struct hostinfo *host;
	const struct redaction *redaction; /* NULL: nothing is hidden */
	size_t summary_rows;               /* most rows of a list in a summary */
	bool identities;                   /* of each frame, beside its text */
	bool cut;    /* something was left out already: rows of a summary, part of a name */
	bool failed; /* no memory: the object is incomplete */
	struct json_parts parts; /* that may be cut; freed by json_builder_done() */
};
void json_builder_done(struct builder *b);

/* Takes value; NULL counts as lack of memory. */
void json_put(struct builder *b, json_t *object, const char *key, json_t *value);
void json_put_item(struct builder *b, json_t *array, json_t *value);
/* A new object or array in `object`, borrowed; never NULL unless b->failed. */
json_t *json_put_object(struct builder *b, json_t *object, const char *key);
json_t *json_put_array(struct builder *b, json_t *object, const char *key);

/* NULL and "" are absent. */
void json_put_text(struct builder *b, json_t *object, const char *key, const char *text);
/* A text that is never cut further: of at most max bytes as written, then "...". */
json_t *json_short_value(struct builder *b, const char *text, size_t max);
/* "stack" with the site's frames, innermost first; nothing where there are none. */
void json_put_stack(struct builder *b, json_t *object, const struct site *site);
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
json_t *json_site_row(struct builder *b, const struct site_row *row); /* owned by the caller */
void json_put_host(struct builder *b, json_t *line);
void json_put_process(struct builder *b, json_t *line, const struct process *p);
/* Its "service", "container" and pod; nothing if it is in none, or its cgroup is not known. */
void json_put_workload(struct builder *b, json_t *line, const struct process *p);
/* The path as the kernel reports it, under fdtrace. */
void json_put_cgroup(struct builder *b, json_t *fdtrace, const struct process *p);
/* "file" or "network", by kind; nothing where neither fits. */
void json_put_target(struct builder *b, json_t *line, const struct descriptor *d);
/* Its name under fdtrace, where json_put_target() had no place for it. */
void json_put_target_name(struct builder *b, json_t *fdtrace, const struct descriptor *d);
/* Queues and peers of a socket under fdtrace; nothing where they are not known. */
void json_put_detail(struct builder *b, json_t *fdtrace, const struct descriptor *d);
void json_put_ecs(struct builder *b, json_t *line);

#endif
