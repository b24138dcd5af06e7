/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stacks, as FDT_SITE events describe them. Events identify a stack by the kernel's hash of it,
 * which includes addresses: two processes, or two runs of one program, have different hashes for
 * one place. Hashes with the same frames share one struct stack.
 *
 * Hashes that no site holds may be forgotten, least recently used first, to stay within the bound.
 */
#ifndef FDTRACE_CORE_STACK_H
#define FDTRACE_CORE_STACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/map.h"
#include "fdtrace/event.h"
#include "model/language.h"

struct mem;
struct site;

struct stack_frame {
	const char *text;  /* "function (file:line)" or "function (module+0xoffset)", any byte */
	uint64_t identity; /* as in struct fdt_site_frame; 0: none */
	uint16_t flags;    /* FDT_SITE_FRAME_* */
};

/*
 * What identifies the place of a call wherever the program runs: the functions of the best rank that
 * has identities. How deep a recursion was is no part of it.
 */
struct stack_place {
	uint64_t hash;
	enum language language; /* of the innermost of them; LANGUAGE_NATIVE for code without one */
	bool is_known;          /* false: no frame has an identity */
};

struct stack {
	uint16_t flags; /* FDT_SITE_* */
	uint16_t frame_count;
	uint16_t left_out; /* frames missing before frames[left_out_at] */
	uint16_t left_out_at;
	const struct stack_frame *frames; /* innermost first */
	struct stack_place place;
	/* the store's own */
	uint64_t content; /* hash of all above: equal wherever the stack was taken */
	struct stack *next;
	unsigned int refs;
	size_t bytes;
};

/* What a hash in an event stands for. */
struct stack_hash {
	uint64_t hash;
	struct stack *stack; /* NULL: not received (yet) */
	struct site *sites;  /* site.c: those that an event with this hash was the first of */
	struct stack_hash *older, *newer; /* while idle */
	bool idle;                        /* no site holds it: it may be forgotten */
};

/* All zero but mem and max_bytes is empty. */
struct stacks {
	struct mem *mem;
	size_t max_bytes, used_bytes;
	struct map hashes, contents;
	struct stack_hash *oldest, *newest; /* idle ones, by use */
	uint64_t count;                     /* different stacks now */
	uint64_t forgotten;                 /* hashes dropped to make room */
	uint64_t unknown;                   /* hashes that came with an event but without a stack */
	void (*ask)(void *ctx, uint64_t hash); /* send it again with its next event; may be NULL */
	void *ctx;
};

/* 0, or -EINVAL: sizes and counts do not agree. */
int stack_check(const struct fdt_site *event, size_t size);

/*
 * The stack of an event that was found good; made if need be. The caller owns a reference.
 * NULL: no room, or out of memory.
 */
struct stack *stacks_put(struct stacks *stacks, const struct fdt_site *event, size_t size);
void stacks_drop(struct stacks *stacks, struct stack *stack); /* a reference; NULL is allowed */

/*
 * The entry of a hash; made, without a stack, if need be. Counts as use of it. NULL: out of
 * memory. A caller that adds its first site or removes the last calls stacks_settle().
 */
struct stack_hash *stacks_hash(struct stacks *stacks, uint64_t hash);
/* No site: it may be forgotten from now on, and is at once if it has no stack. Else it stays. */
void stacks_settle(struct stacks *stacks, struct stack_hash *entry);
void stacks_done(struct stacks *stacks); /* every site must be gone */

/* How much a frame says about who is responsible for a call; most first. */
enum frame_rank {
	FRAME_APPLICATION, /* of a language, not of its standard library */
	FRAME_LIBRARY,     /* of its standard library */
	FRAME_NATIVE,
	FRAME_NATIVE_LIBRARY,
	FRAME_SYSTEM, /* the C library, the inside of an interpreter or runtime */
};
/* LANGUAGE_NATIVE also for a number that this version does not know. */
enum language stack_frame_language(const struct stack_frame *frame);
enum frame_rank stack_frame_rank(const struct stack_frame *frame);
/* The best there is in the stack; FRAME_SYSTEM for NULL and where there are no frames. */
enum frame_rank stack_best_rank(const struct stack *stack);
/* The next frame of this rank, outwards from index `from` on, it included; -1: none. */
int stack_next_frame(const struct stack *stack, enum frame_rank rank, unsigned int from);

struct stack_place stack_find_place(const struct stack *stack); /* what stack->place is */

/*
 * Who called the C library: the identity of the innermost native frame that lies in another
 * module than the innermost one, and no further out than the first frame of another language.
 * 0: unknown.
 */
uint64_t stack_caller(const struct stack *stack);

/* The dynamic loader alone: every frame that has an identity lies in it, and none is missing. */
bool stack_is_loader(const struct stack *stack);

/*
 * A runtime's own frames alone are known: those of the program that it runs were not walked, and all
 * of its functions seem to be one place.
 */
bool stack_is_runtime(const struct stack *stack);

/* The same line of the same function is the innermost of the application's, or of the best there is. */
bool stack_same_line(const struct stack *a, const struct stack *b);

/*
 * The first was taken in a signal handler that ran in the middle of the second's call: below its own
 * frames it has the call, and all of the call's callers at the same places.
 */
bool stack_interrupts(const struct stack *handler, const struct stack *call);

/* "pool.py:88 Pool.connect"; "worker (app+0x1139)", "app+0x1139" where no line is known. */
void stack_frame_format(const struct stack_frame *frame, char *buffer, size_t size);
/* "Pool.connect"; "" where it has no name. */
void stack_frame_function(const struct stack_frame *frame, char *buffer, size_t size);

#endif
