// SPDX-License-Identifier: BSD-2-Clause
/* What a frame says, and how it is shown to people. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "model/stack.h"

enum language stack_frame_language(const struct stack_frame *frame)
{
	unsigned int number = FDT_SITE_FRAME_LANGUAGE(frame->flags);

	return number < LANGUAGE_COUNT ? (enum language)number : LANGUAGE_NATIVE;
}

static bool is_native(const struct stack_frame *frame)
{
	return stack_frame_language(frame) == LANGUAGE_NATIVE;
}

enum frame_rank stack_frame_rank(const struct stack_frame *frame)
{
	bool of_library = frame->flags & FDT_SITE_FRAME_LIBRARY;

	if (frame->flags & FDT_SITE_FRAME_SYSTEM)
		return FRAME_SYSTEM;
	if (!is_native(frame)) /* without identity: nothing is known of it */
		return of_library || !frame->identity ? FRAME_LIBRARY : FRAME_APPLICATION;
	if (strncmp(frame->text, "_start (", 8) == 0)
		return FRAME_SYSTEM; /* it lies in the program, but comes from the C library */
	if (!frame->identity && strncmp(frame->text, "?? (0x", 6) == 0)
		return FRAME_SYSTEM; /* an address of this run, which says nothing to anybody */
	return of_library ? FRAME_NATIVE_LIBRARY : FRAME_NATIVE;
}

enum frame_rank stack_best_rank(const struct stack *stack)
{
	enum frame_rank best = FRAME_SYSTEM;

	for (unsigned int i = 0; stack && i < stack->frame_count && best; i++) {
		enum frame_rank rank = stack_frame_rank(&stack->frames[i]);

		if (rank < best)
			best = rank;
	}
	return best;
}

int stack_next_frame(const struct stack *stack, enum frame_rank rank, unsigned int from)
{
	for (; stack && from < stack->frame_count; from++)
		if (stack_frame_rank(&stack->frames[from]) == rank)
			return (int)from;
	return -1;
}

struct parts {
	size_t function;   /* bytes */
	const char *place; /* what stands in the parentheses; NULL: nothing does */
	size_t place_size;
};

/* C++ names may have blanks and parentheses; in other languages the first " (" ends the name. */
static const char *find_place(const struct stack_frame *frame)
{
	const char *found = strstr(frame->text, " ("), *later = found;

	if (!is_native(frame))
		return found;
	while (later && (later = strstr(later + 1, " (")))
		found = later;
	return found;
}

static struct parts take_apart(const struct stack_frame *frame)
{
	const char *place = find_place(frame);
	size_t size = strlen(frame->text);

	if (!place || frame->text[size - 1] != ')')
		return (struct parts){ .function = size };
	return (struct parts){ .function = (size_t)(place - frame->text),
			       .place = place + 2,
			       .place_size = (size_t)(frame->text + size - 1 - (place + 2)) };
}

/* "pool.py:88" or, in a language other than native, "pool.py"; not "app+0x1139" or "perf map". */
static bool is_source(const struct parts *p, const struct stack_frame *frame)
{
	size_t digits = 0;

	while (digits < p->place_size &&
	       isdigit((unsigned char)p->place[p->place_size - 1 - digits]))
		digits++;
	return !is_native(frame) ||
	       (digits && digits < p->place_size && p->place[p->place_size - 1 - digits] == ':');
}

/* Bytes of the module's name in "app+0x1139"; 0: the frame names its source instead. */
static size_t module_size(const struct parts *p)
{
	const char *plus = p->place ? memrchr(p->place, '+', p->place_size) : NULL;

	return plus ? (size_t)(plus - p->place) : 0;
}

static bool same_module(const struct stack_frame *a, const struct stack_frame *b)
{
	struct parts x = take_apart(a), y = take_apart(b);
	size_t size = module_size(&x);

	return size == module_size(&y) && (!size || memcmp(x.place, y.place, size) == 0);
}

uint64_t stack_caller(const struct stack *stack)
{
	for (unsigned int i = 0; stack && i < stack->frame_count; i++) {
		if (!is_native(&stack->frames[i]))
			break;
		if (!same_module(&stack->frames[0], &stack->frames[i]))
			return stack->frames[i].identity;
	}
	return 0;
}

/*
 * "ld-linux-x86-64.so.2+0x1c2f0", "ld-2.31.so+0x..."; musl's loader is its C library, too.
 */
static bool is_in_loader(const struct stack_frame *frame)
{
	struct parts p = take_apart(frame);
	size_t size = module_size(&p);

	return is_native(frame) && size > 3 && memcmp(p.place, "ld-", 3) == 0 &&
	       (size < 7 || memcmp(p.place, "ld-musl", 7) != 0);
}

bool stack_is_loader(const struct stack *stack)
{
	bool found = false;

	for (unsigned int i = 0; stack && !stack->left_out && i < stack->frame_count; i++) {
		if (!stack->frames[i].identity)
			continue;
		if (!is_in_loader(&stack->frames[i]))
			return false;
		found = true;
	}
	return found;
}

bool stack_is_runtime(const struct stack *stack)
{
	bool found = false;

	for (unsigned int i = 0; stack && i < stack->frame_count; i++) {
		if (!stack->frames[i].identity)
			continue;
		if (stack_frame_rank(&stack->frames[i]) < FRAME_NATIVE_LIBRARY)
			return false;
		found |= stack_frame_rank(&stack->frames[i]) == FRAME_NATIVE_LIBRARY;
	}
	return found;
}

bool stack_same_line(const struct stack *a, const struct stack *b)
{
	enum frame_rank rank = stack_best_rank(a);
	int i = stack_next_frame(a, rank, 0), j = stack_next_frame(b, rank, 0);

	return rank < FRAME_SYSTEM && rank == stack_best_rank(b) && i >= 0 && j >= 0 &&
	       strcmp(a->frames[i].text, b->frames[j].text) == 0;
}

bool stack_interrupts(const struct stack *handler, const struct stack *call)
{
	unsigned int depth;
	char function[64], interrupted[64];

	if (!handler || !call || handler->left_out || call->left_out || call->frame_count < 2 ||
	    handler->frame_count < call->frame_count + 2)
		return false;
	depth = handler->frame_count - call->frame_count;
	stack_frame_function(&call->frames[0], function, sizeof(function));
	stack_frame_function(&handler->frames[depth], interrupted, sizeof(interrupted));
	if (!function[0] || strcmp(function, interrupted) != 0)
		return false;
	for (unsigned int i = 1; i < call->frame_count; i++)
		if (strcmp(handler->frames[depth + i].text, call->frames[i].text) != 0)
			return false;
	return true;
}

static size_t after_last_slash(const struct parts *p)
{
	size_t from = p->place_size;

	while (from && p->place[from - 1] != '/')
		from--;
	return from;
}

/* Bytes of the file's or the module's name: without ":57" or "+0x1139". */
static size_t home_size(const struct parts *p)
{
	size_t size = module_size(p), digits = 0;

	if (size)
		return size;
	while (digits < p->place_size &&
	       isdigit((unsigned char)p->place[p->place_size - 1 - digits]))
		digits++;
	return digits && digits < p->place_size && p->place[p->place_size - 1 - digits] == ':'
		       ? p->place_size - 1 - digits
		       : p->place_size;
}

static bool is_nameless(const struct stack_frame *frame, const struct parts *p)
{
	return p->function == 2 && memcmp(frame->text, "??", 2) == 0;
}

void stack_frame_format(const struct stack_frame *frame, char *buffer, size_t size)
{
	struct parts p = take_apart(frame);
	size_t from;

	if (!p.place || (!is_nameless(frame, &p) && !is_source(&p, frame))) {
		snprintf(buffer, size, "%s", frame->text);
		return;
	}
	from = after_last_slash(&p);
	if (is_nameless(frame, &p))
		snprintf(buffer, size, "%.*s", (int)p.place_size, p.place);
	else
		snprintf(buffer, size, "%.*s %.*s", (int)(p.place_size - from), p.place + from,
			 (int)p.function, frame->text);
}

void stack_frame_function(const struct stack_frame *frame, char *buffer, size_t size)
{
	struct parts p = take_apart(frame);

	snprintf(buffer, size, "%.*s", is_nameless(frame, &p) ? 0 : (int)p.function, frame->text);
}

/* ---- the place of a stack ---- */

/* How far out a stack was kept differs between hosts; the innermost functions are the same. */
#define PLACE_FUNCTIONS 16

struct functions {
	unsigned int count;
	const struct stack_frame *frame[PLACE_FUNCTIONS];
	struct parts parts[PLACE_FUNCTIONS];
};

/* The same function, if not at the same call: by name where it has one. */
static bool is_same_function(const struct stack_frame *a, const struct parts *x,
			     const struct stack_frame *b, const struct parts *y)
{
	size_t home = home_size(x);

	if (a->identity == b->identity)
		return true;
	if (is_nameless(a, x) || !x->place || !y->place || x->function != y->function ||
	    home != home_size(y))
		return false;
	return memcmp(a->text, b->text, x->function) == 0 && memcmp(x->place, y->place, home) == 0;
}

static void functions_add(struct functions *f, const struct stack_frame *frame)
{
	struct parts parts = take_apart(frame);

	for (unsigned int i = 0; i < f->count; i++)
		if (is_same_function(frame, &parts, f->frame[i], &f->parts[i]))
			return;
	f->frame[f->count] = frame;
	f->parts[f->count++] = parts;
}

/* The best kind of frames that has identities. false: none has. */
static bool identified_rank(const struct stack *stack, enum frame_rank *ret_rank)
{
	bool found = false;

	for (unsigned int i = 0; i < stack->frame_count; i++) {
		enum frame_rank rank = stack_frame_rank(&stack->frames[i]);

		if (!stack->frames[i].identity || (found && rank >= *ret_rank))
			continue;
		*ret_rank = rank;
		found = true;
	}
	return found;
}

struct stack_place stack_find_place(const struct stack *stack)
{
	struct stack_place place = { .hash = HASH_START, .language = LANGUAGE_NATIVE };
	struct functions functions = { 0 };
	enum frame_rank rank = FRAME_SYSTEM;

	place.is_known = identified_rank(stack, &rank);
	if (!place.is_known)
		return place;
	for (int i = -1; functions.count < PLACE_FUNCTIONS &&
			 (i = stack_next_frame(stack, rank, (unsigned int)(i + 1))) >= 0;)
		if (stack->frames[i].identity)
			functions_add(&functions, &stack->frames[i]);
	for (unsigned int i = 0; i < functions.count; i++)
		place.hash = hash_number(place.hash, functions.frame[i]->identity);
	if (rank <= FRAME_LIBRARY)
		place.language = stack_frame_language(functions.frame[0]);
	return place;
}
