// SPDX-License-Identifier: BSD-2-Clause
/* Stacks: who called whom in one line, or with -v every frame. */
#include "output/text/text.h"

#include <inttypes.h>
#include <stdio.h>

#include "model/site.h"

#define BY " < "
#define MORE "..."
#define CALLERS_MAX 4 /* where the width sets no bound */
#define INDENT 9

/* True: there was room for it, and for a sign that more follows. */
static bool put_caller(struct page *page, const char *text, unsigned int reserve)
{
	unsigned int needed = page_columns(page, BY) + page_columns(page, text) + reserve;

	if (page_room(page) < needed)
		return false;
	page_text(page, BY, PAGE_ALL);
	page_text(page, text, PAGE_ALL);
	return true;
}

void text_callers(struct page *page, const struct site *site, unsigned int reserve)
{
	const struct stack *stack = site ? site->stack : NULL;
	enum frame_rank rank = stack_best_rank(stack);
	int at = rank == FRAME_SYSTEM ? -1 : stack_next_frame(stack, rank, 0);
	unsigned int more = page_columns(page, BY MORE), count = 0;
	bool cut = stack && stack->flags & FDT_SITE_CUT;

	if (at < 0)
		return;
	while ((at = stack_next_frame(stack, rank, (unsigned int)at + 1)) >= 0) {
		bool last = !cut && stack_next_frame(stack, rank, (unsigned int)at + 1) < 0;
		char text[TEXT_LABEL_BYTES];

		stack_frame_format(&stack->frames[at], text, sizeof(text));
		if (++count > CALLERS_MAX || !put_caller(page, text, reserve + (last ? 0 : more)))
			break;
	}
	if (at >= 0 || cut)
		put_caller(page, MORE, reserve);
}

bool text_has_callers(const struct site *site)
{
	const struct stack *stack = site ? site->stack : NULL;
	enum frame_rank rank = stack_best_rank(stack);
	int first = rank == FRAME_SYSTEM ? -1 : stack_next_frame(stack, rank, 0);

	return first >= 0 && stack_next_frame(stack, rank, (unsigned int)first + 1) >= 0;
}

/* `framed`: as part of a block. */
static void put_stack_line(struct page *page, bool framed, enum style style, const char *text)
{
	if (framed)
		text_frame(page, 0);
	page_tab(page, INDENT, 0);
	page_style(page, style);
	page_text(page, text, PAGE_ALL);
	page_newline(page);
}

static void put_stack_gap(struct page *page, bool framed, unsigned int frames)
{
	char count[PHRASE_SIZE], text[2 * PHRASE_SIZE];

	phrase_count(count, sizeof(count), frames, "frame", "frames");
	snprintf(text, sizeof(text), MORE " %s omitted", count);
	put_stack_line(page, framed, STYLE_DIM, text);
}

static void put_stack_remarks(struct page *page, bool framed, unsigned int flags)
{
	if (flags & FDT_SITE_CUT)
		put_stack_line(page, framed, STYLE_DIM,
			       MORE " (stack cut: the outer frames could not be read)");
	if (flags & FDT_SITE_AT_EXIT)
		put_stack_line(page, framed, STYLE_DIM, "while the interpreter was shutting down");
	else if (flags & FDT_SITE_NO_INTERPRETED)
		put_stack_line(
			page, framed, STYLE_DIM,
			"no Python frames: the interpreter is starting, or this is not one of its "
			"threads");
	if (flags & FDT_SITE_UNKNOWN_BUILD)
		put_stack_line(page, framed, STYLE_DIM,
			       "no Python frames: this build of Python is not supported");
}

static void put_frames(struct page *page, bool framed, const struct site *site)
{
	const struct stack *stack = site ? site->stack : NULL;

	for (unsigned int i = 0; stack && i < stack->frame_count; i++) {
		const struct stack_frame *frame = &stack->frames[i];

		if (stack->left_out && i == stack->left_out_at)
			put_stack_gap(page, framed, stack->left_out);
		put_stack_line(page, framed,
			       stack_frame_rank(frame) == FRAME_SYSTEM ? STYLE_DIM : STYLE_PLAIN,
			       frame->text);
	}
	if (stack)
		put_stack_remarks(page, framed, stack->flags);
}

void text_frames(struct page *page, const struct site *site)
{
	put_frames(page, true, site);
}

void text_plain_frames(struct page *page, const struct site *site)
{
	put_frames(page, false, site);
}
