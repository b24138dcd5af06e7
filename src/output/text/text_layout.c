// SPDX-License-Identifier: BSD-2-Clause
#include "output/text/text_layout.h"

void text_frame(struct page *page, unsigned int number)
{
	page_style(page, STYLE_FRAME);
	if (number)
		page_printf(page, "%2u |", number);
	else
		page_text(page, "   |", PAGE_ALL);
	page_style(page, STYLE_PLAIN);
	page_tab(page, 5, 0);
}

void text_make_room(struct page *page, unsigned int columns, unsigned int indent)
{
	if (page_room(page) >= columns)
		return;
	page_newline(page);
	text_frame(page, 0);
	page_tab(page, indent, 0);
}

void text_right(struct page *page, unsigned int column, unsigned int width, const char *text)
{
	unsigned int columns = page_columns(page, text);

	page_tab(page, column + (columns < width ? width - columns : 0), 0);
	page_text(page, text, PAGE_ALL);
}
