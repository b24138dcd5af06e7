/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A page of text for a person: lines that keep to a width, columns, colours. Whatever is put
 * on it is escaped on the way, so nothing from a traced program can move the cursor or forge
 * a line. If memory runs out, page_write() reports it.
 */
#ifndef FDTRACE_OUTPUT_PAGE_H
#define FDTRACE_OUTPUT_PAGE_H

#include <stdbool.h>
#include <stddef.h>

enum style {
	STYLE_PLAIN,
	STYLE_BOLD,
	STYLE_DIM,
	STYLE_FRAME, /* arrows, bars, row numbers */
	STYLE_ERROR,
	STYLE_WARNING,
	STYLE_INFO,
};

struct page {
	char *data;
	size_t length, capacity;
	unsigned int width;   /* columns; 0: unlimited */
	unsigned int column;  /* where the next character goes */
	unsigned int written; /* columns of this line in data; the rest is spaces not yet due */
	bool color;
	bool ascii; /* what is not ASCII is escaped: set it before the first text */
	bool failed;
	enum style wanted, in_force;
};

#define PAGE_ALL (~0u)
#define PAGE_HEADLINE_WIDTH 120 /* what stands at the right end stands no further right */
#define PAGE_LEAST_WIDTH 40     /* narrower terminals get lines this wide */

void page_init(struct page *page, unsigned int width, bool color);
void page_done(struct page *page);

/* Style of what is put from now on, up to the end of the line at most. */
void page_style(struct page *page, enum style style);

/* Puts text, cut with "..." to max columns and to the width. */
void page_text(struct page *page, const char *text, unsigned int max);

/* The same, but cut in the middle: both ends of a path are informative. */
void page_path(struct page *page, const char *path, unsigned int max);

void page_printf(struct page *page, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Goes on at this column (from 0), at least `gap` columns after what stands there. */
void page_tab(struct page *page, unsigned int column, unsigned int gap);

/*
 * Puts words from here on, in as many lines as they need; later ones begin at `indent`. `last`,
 * not NULL, is put at the right end of the first line.
 */
void page_wrap(struct page *page, unsigned int indent, const char *text, const char *last);

/* Columns left on this line; PAGE_ALL where the width is unlimited. */
unsigned int page_room(const struct page *page);

/* Columns that page_text() would need. */
unsigned int page_columns(const struct page *page, const char *text);

void page_newline(struct page *page);

/* Writes the page with one call and empties it. 0, -ENOMEM, or as write_all(). */
int page_write(struct page *page, int fd);

#endif
