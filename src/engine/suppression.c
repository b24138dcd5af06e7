// SPDX-License-Identifier: BSD-2-Clause
#include "engine/suppression.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "model/process.h"
#include "model/site.h"

/* --- globs --- */

/* The first byte after the set that begins at `set` ("[...]"); NULL: it does not end. */
static const char *set_end(const char *set)
{
	const char *p = set + 1 + (set[1] == '!');

	for (bool first = true; *p && (first || *p != ']'); first = false) {
		p += *p == '\\' && p[1];
		p++;
	}
	return *p ? p + 1 : NULL;
}

static unsigned char member(const char **p)
{
	if (**p == '\\')
		++*p;
	return (unsigned char)*(*p)++;
}

static bool in_set(const char *set, const char *end, unsigned char c)
{
	bool negated = set[1] == '!', found = false;
	const char *p = set + 1 + negated;

	while (p < end - 1) {
		unsigned char low = member(&p), high = low;

		if (*p == '-' && p + 1 < end - 1) {
			p++;
			high = member(&p);
		}
		found |= c >= low && c <= high;
	}
	return found != negated;
}

/* Does one element (not '*') take c? Moves *glob behind it. */
static bool takes(const char **glob, unsigned char c)
{
	const char *element = *glob, *end;

	switch (*element) {
	case '?': ++*glob; return true;
	case '[':
		end = set_end(element);
		*glob = end ? end : element + 1;
		return end ? in_set(element, end, c) : c == '[';
	case '\\': element += element[1] != '\0'; break;
	}
	*glob = element + 1;
	return (unsigned char)*element == c;
}

/* Only the latest star is ever tried again: what earlier ones took can stay as it is. */
bool glob_match(const char *glob, const char *text)
{
	const char *star = NULL, *from = NULL;

	while (*text) {
		const char *next = glob;

		if (*glob == '*') {
			star = ++glob;
			from = text;
		} else if (*glob && takes(&next, (unsigned char)*text)) {
			glob = next;
			text++;
		} else if (star) {
			glob = star;
			text = ++from;
		} else {
			return false;
		}
	}
	while (*glob == '*')
		glob++;
	return !*glob;
}

const char *glob_fault(const char *glob)
{
	while (*glob) {
		if (*glob == '\\' && !glob[1])
			return "it ends in a backslash";
		if (*glob != '[')
			glob += 1 + (*glob == '\\');
		else if (!(glob = set_end(glob)))
			return "a [ has no ]";
	}
	return NULL;
}

/* --- matching --- */

static bool fits_exe(const char *glob, const struct process *process)
{
	if (!process)
		return false;
	if (!strchr(glob, '/'))
		return glob_match(glob, process_program(process));
	return process->exe && glob_match(glob, process->exe);
}

static bool fits_frame(const char *glob, const struct site *site)
{
	const struct stack *stack = site ? site->stack : NULL;

	for (unsigned int i = 0; stack && i < stack->frame_count; i++)
		if (glob_match(glob, stack->frames[i].text))
			return true;
	return false;
}

static bool fits(const struct suppression *s, const struct finding *f)
{
	return (!s->rules || s->rules >> f->rule & 1) &&
	       (!s->has_fingerprint || s->fingerprint == f->fingerprint) &&
	       (!s->exe || fits_exe(s->exe, f->process)) &&
	       (!s->frame || fits_frame(s->frame, finding_culprit(f)));
}

struct suppression *suppression_use(const struct suppression_list *list, const struct finding *f)
{
	for (size_t i = 0; list && i < list->count; i++)
		if (fits(&list->entries[i], f)) {
			list->entries[i].used++;
			return &list->entries[i];
		}
	return NULL;
}

/* --- writing one --- */

#define GLOB_BYTES 320 /* of a text; with every byte escaped twice as many are written */

struct out {
	char *buffer;
	size_t size, used;
};

static void suppression_put(struct out *out, char c)
{
	if (out->used + 1 < out->size)
		out->buffer[out->used++] = c;
}

static void put_text(struct out *out, const char *text)
{
	while (*text)
		suppression_put(out, *text++);
}

/*
 * Text as a glob within YAML's single quotes. What a terminal or a YAML reader might take amiss
 * becomes "?", which takes any byte; what is too long ends in "*".
 */
static void put_glob(struct out *out, const char *text, size_t length)
{
	bool cut = length > GLOB_BYTES;

	for (size_t i = 0; i < (cut ? GLOB_BYTES : length); i++) {
		unsigned char c = (unsigned char)text[i];

		if (c < 0x20 || c >= 0x7f) {
			suppression_put(out, '?');
			continue;
		}
		if (strchr("*?[\\", c))
			suppression_put(out, '\\');
		if (c == '\'')
			suppression_put(out, '\'');
		suppression_put(out, (char)c);
	}
	if (cut)
		suppression_put(out, '*');
}

/* "worker (app.py:57)" but for the line, which the next edit of the file moves. */
static void put_frame(struct out *out, const char *text)
{
	size_t length = strlen(text), digits = 0;
	bool line;

	if (length && text[length - 1] == ')')
		while (digits + 1 < length && strchr("0123456789", text[length - 2 - digits]))
			digits++;
	line = digits && digits + 2 < length && text[length - 2 - digits] == ':';
	put_text(out, "  frame: '");
	put_glob(out, text, line ? length - 1 - digits : length);
	put_text(out, line ? "*)'\n" : "'\n");
}

static void put_program(struct out *out, const struct process *p)
{
	const char *program = p->exe ? p->exe : process_program(p);

	put_text(out, "  exe: '");
	put_glob(out, program, strlen(program));
	put_text(out, "'\n");
}

/*
 * The application's innermost function. NULL where that would silence too much: if it is all there
 * is of the application ("main" is in every stack), or if only a runtime or a library is known.
 */
static const char *telling_frame(const struct site *site)
{
	const struct stack *stack = site ? site->stack : NULL;
	enum frame_rank rank = stack_best_rank(stack);
	int at = stack_next_frame(stack, rank, 0);

	if ((rank != FRAME_APPLICATION && rank != FRAME_NATIVE) || at < 0 ||
	    !stack->frames[at].identity || !stack->frames[at].text[0] ||
	    stack_next_frame(stack, rank, (unsigned int)at + 1) < 0)
		return NULL;
	return stack->frames[at].text;
}

void suppression_format(const struct finding *f, char *buffer, size_t size)
{
	const char *frame = telling_frame(finding_culprit(f));
	struct out out = { .buffer = buffer, .size = size };
	char fingerprint[48];

	put_text(&out, "- name: why this is no fault\n  rule: ");
	put_text(&out, rule_info(f->rule)->id);
	suppression_put(&out, '\n');
	if (f->process)
		put_program(&out, f->process);
	snprintf(fingerprint, sizeof(fingerprint), "  fingerprint: '%016" PRIx64 "'\n",
		 f->fingerprint);
	if (frame)
		put_frame(&out, frame);
	else
		put_text(&out, fingerprint);
	if (size)
		buffer[out.used] = '\0';
}
