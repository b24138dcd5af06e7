// SPDX-License-Identifier: BSD-2-Clause
#include "output/text/page.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/escape.h"
#include "util/io.h"
#include "util/utf8.h"

#define TEXT_BYTES 8192 /* one text, escaped; what is longer ends there */
#define ELLIPSIS "..."
#define ELLIPSIS_COLUMNS 3

void page_init(struct page *page, unsigned int width, bool color)
{
	*page = (struct page){ .color = color };
	page->width = width && width < PAGE_LEAST_WIDTH ? PAGE_LEAST_WIDTH : width;
}

void page_done(struct page *page)
{
	free(page->data);
	page->data = NULL;
}

static bool page_reserve(struct page *page, size_t more)
{
	size_t capacity = page->capacity ? page->capacity : 4096;
	char *data;

	while (capacity - page->length < more)
		capacity *= 2;
	if (capacity == page->capacity)
		return true;
	data = realloc(page->data, capacity);
	if (!data) {
		page->failed = true;
		return false;
	}
	page->data = data;
	page->capacity = capacity;
	return true;
}

static void page_append(struct page *page, const char *bytes, size_t count)
{
	if (!page_reserve(page, count))
		return;
	memcpy(page->data + page->length, bytes, count);
	page->length += count;
}

static void append_style(struct page *page, enum style style)
{
	static const char *const code[] = {
		[STYLE_PLAIN] = "\033[0m",      [STYLE_BOLD] = "\033[0;1m",
		[STYLE_DIM] = "\033[0;2m",      [STYLE_FRAME] = "\033[0;1;34m",
		[STYLE_ERROR] = "\033[0;1;31m", [STYLE_WARNING] = "\033[0;1;33m",
		[STYLE_INFO] = "\033[0;1;34m",
	};

	if (!page->color || style == page->in_force)
		return;
	page_append(page, code[style], strlen(code[style]));
	page->in_force = style;
}

void page_style(struct page *page, enum style style)
{
	page->wanted = style;
}

/* Escaped bytes of a known number of columns. Spaces before them become due now. */
static void page_put_bytes(struct page *page, const char *bytes, size_t count, unsigned int columns)
{
	if (!count)
		return;
	if (page->written < page->column)
		append_style(page, STYLE_PLAIN);
	for (; page->written < page->column; page->written++)
		page_append(page, " ", 1);
	append_style(page, page->wanted);
	page_append(page, bytes, count);
	page->column += columns;
	page->written = page->column;
}

unsigned int page_room(const struct page *page)
{
	if (!page->width)
		return PAGE_ALL;
	return page->column < page->width ? page->width - page->column : 0;
}

static size_t page_escape(const struct page *page, char *buffer, size_t size, const char *text)
{
	return page->ascii ? escape_ascii(buffer, size, text, strlen(text))
			   : escape_text(buffer, size, text, strlen(text));
}

/* Bytes of the longest beginning that has at most `columns`. */
static size_t head_bytes(const char *text, size_t length, size_t columns)
{
	size_t done = 0;

	while (done < length) {
		uint32_t character;
		size_t size = utf8_decode(text + done, length - done, &character);
		unsigned int needed = size ? utf8_columns(character) : 1;

		if (needed > columns)
			break;
		columns -= needed;
		done += size ? size : 1;
	}
	return done;
}

/* Where the shortest ending begins that follows at least `columns`. */
static size_t tail_begin(const char *text, size_t length, size_t columns)
{
	size_t begin = head_bytes(text, length, columns);

	/* a wide character may straddle the border: leave it out */
	if (utf8_text_columns(text, begin) < columns)
		begin += head_bytes(text + begin, length - begin, 2);
	return begin;
}

/* Puts escaped text in `room` columns; `head` of them show its beginning if it must be cut. */
static void put_cut(struct page *page, const char *text, size_t length, size_t room, size_t head)
{
	size_t columns = utf8_text_columns(text, length), begin, end, tail;

	if (columns <= room) {
		page_put_bytes(page, text, length, (unsigned int)columns);
		return;
	}
	if (room < ELLIPSIS_COLUMNS) {
		page_put_bytes(page, ELLIPSIS, room, (unsigned int)room);
		return;
	}
	if (head > room - ELLIPSIS_COLUMNS)
		head = room - ELLIPSIS_COLUMNS;
	begin = head_bytes(text, length, head);
	tail = room - ELLIPSIS_COLUMNS - head;
	page_put_bytes(page, text, begin, (unsigned int)utf8_text_columns(text, begin));
	page_put_bytes(page, ELLIPSIS, ELLIPSIS_COLUMNS, ELLIPSIS_COLUMNS);
	end = tail ? tail_begin(text, length, columns - tail) : length;
	page_put_bytes(page, text + end, length - end,
		       (unsigned int)utf8_text_columns(text + end, length - end));
}

static void put_escaped(struct page *page, const char *text, unsigned int max, bool middle)
{
	char escaped[TEXT_BYTES];
	size_t length = page_escape(page, escaped, sizeof(escaped), text);
	size_t room = page_room(page);

	if (max < room)
		room = max;
	put_cut(page, escaped, length, room, middle ? room / 3 : room);
}

void page_text(struct page *page, const char *text, unsigned int max)
{
	put_escaped(page, text, max, false);
}

void page_path(struct page *page, const char *path, unsigned int max)
{
	put_escaped(page, path, max, true);
}

void page_printf(struct page *page, const char *format, ...)
{
	char text[TEXT_BYTES];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	page_text(page, text, PAGE_ALL);
}

void page_tab(struct page *page, unsigned int column, unsigned int gap)
{
	page->column += gap;
	if (page->column < column)
		page->column = column;
}

unsigned int page_columns(const struct page *page, const char *text)
{
	char escaped[TEXT_BYTES];

	return (unsigned int)utf8_text_columns(escaped,
					       page_escape(page, escaped, sizeof(escaped), text));
}

/* Bytes of the words that fit; a single word that is too long is broken. */
static size_t words_bytes(const char *text, size_t length, size_t columns)
{
	size_t fit = head_bytes(text, length, columns), end = fit;

	if (fit == length || text[fit] == ' ')
		return fit;
	while (end && text[end - 1] != ' ')
		end--;
	while (end && text[end - 1] == ' ')
		end--;
	if (end)
		return end;
	return fit ? fit : head_bytes(text, length, 2); /* one wide character always goes on */
}

static void put_last(struct page *page, const char *last)
{
	unsigned int columns = page_columns(page, last);

	if (page->width && page->width > columns)
		page_tab(page, page->width - columns, 0);
	else
		page_tab(page, 0, 3);
	page_style(page, STYLE_DIM);
	page_text(page, last, PAGE_ALL);
	page_style(page, STYLE_PLAIN);
}

void page_wrap(struct page *page, unsigned int indent, const char *text, const char *last)
{
	char escaped[TEXT_BYTES];
	const char *next = escaped;
	size_t length = page_escape(page, escaped, sizeof(escaped), text);
	enum style style = page->wanted;
	unsigned int reserved = last ? page_columns(page, last) + 3 : 0;

	do {
		unsigned int room = page_room(page);
		size_t fit;

		if (room != PAGE_ALL)
			room = room > reserved + 8 ? room - reserved : 8;
		fit = words_bytes(next, length, room);
		page_style(page, style);
		page_put_bytes(page, next, fit, (unsigned int)utf8_text_columns(next, fit));
		if (last)
			put_last(page, last);
		last = NULL;
		reserved = 0;
		page_newline(page);
		page_tab(page, indent, 0);
		next += fit;
		length -= fit;
		while (length && *next == ' ') {
			next++;
			length--;
		}
	} while (length);
	page->column = 0;
}

void page_newline(struct page *page)
{
	append_style(page, STYLE_PLAIN);
	page_append(page, "\n", 1);
	page->column = page->written = 0;
	page->wanted = STYLE_PLAIN;
}

int page_write(struct page *page, int fd)
{
	int err = page->failed ? -ENOMEM : write_all(fd, page->data, page->length);

	page->length = 0;
	page->column = page->written = 0;
	page->failed = false;
	return err;
}
