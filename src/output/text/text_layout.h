/* SPDX-License-Identifier: BSD-2-Clause */
/* How the lines of a block of text are laid out on a page. */
#ifndef FDTRACE_OUTPUT_TEXT_LAYOUT_H
#define FDTRACE_OUTPUT_TEXT_LAYOUT_H

#include "output/text/page.h"

/* The left edge of a block, "   | " or with a number " 1 | "; what follows begins at column 5. */
void text_frame(struct page *page, unsigned int number);

/* Continues on the next line of the block, at `indent`, if fewer columns are left on this one. */
void text_make_room(struct page *page, unsigned int columns, unsigned int indent);

/* Puts text so that it ends `width` columns after `column`. */
void text_right(struct page *page, unsigned int column, unsigned int width, const char *text);

#endif
