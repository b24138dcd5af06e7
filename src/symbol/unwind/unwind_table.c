// SPDX-License-Identifier: BSD-2-Clause
#include <errno.h>
#include <gelf.h>
#include <stdlib.h>
#include <string.h>

#include "fdtrace/stack.h"
#include "symbol/unwind/eh_frame.h"
#include "symbol/unwind/unwind_table.h"

#define PADDING_BYTES 16 /* a gap below that holds no code */
#define ENTRY_BYTES 128  /* of _start without CFI (ld.so): taken for the outermost frame */
#define PAGE_ROWS_MAX (FDT_PAGE_SIZE + 1)
#define RULE_PLACES 16384
#define RULE_PROBES 32 /* with as few rules as there are, a search ends much earlier */
#define RULE_OTHER FDT_RULE(FDT_RULE_OTHER, 0, 0)
#define OTHER 1 /* its index */

struct builder {
	struct unwind_table *table;
	uint64_t text_end; /* rows are made for [first_vaddr, text_end) */
	uint32_t row_capacity;
	uint32_t page;        /* the one being filled */
	uint32_t current;     /* index of the rule that holds from the last row on */
	uint32_t *rule_place; /* hash of rules: index + 1; 0: free */
	int err;
};

/* ---- rules ---- */

/*
 * The index of a rule. Who makes up more rules than there are in a whole distribution, or such
 * that the search takes long, is sent the slow way.
 */
static uint32_t table_rule_index(struct builder *b, uint32_t rule)
{
	struct unwind_table *table = b->table;
	uint32_t at = rule * 0x9e3779b1u >> 18;

	for (uint32_t end = at + RULE_PROBES; at < end; at++) {
		uint32_t *place = &b->rule_place[at % RULE_PLACES];

		if (*place && table->rule[*place - 1] == rule)
			return *place - 1;
		if (*place)
			continue;
		if (table->rule_count == UNWIND_RULES_MAX)
			break;
		table->rule[table->rule_count++] = rule;
		*place = table->rule_count;
		return *place - 1;
	}
	return OTHER;
}

/* ---- pages ---- */

static void row_append(struct builder *b, uint32_t offset)
{
	struct unwind_table *table = b->table;

	table->row[table->row_count++] = FDT_ROW(offset, b->current);
	table->page[b->page].count++;
}

/* Room for a page's rows at once, so that adding one can't fail. */
static int rows_reserve(struct builder *b)
{
	uint32_t wanted = b->table->row_count + PAGE_ROWS_MAX, *row;

	if (wanted <= b->row_capacity)
		return 0;
	if (wanted > UNWIND_ROWS_MAX)
		return -E2BIG;
	wanted += wanted / 2;
	row = realloc(b->table->row, wanted * sizeof(*row));
	if (!row)
		return -ENOMEM;
	b->table->row = row;
	b->row_capacity = wanted;
	return 0;
}

/* A page without code before its first row begins with the rule of the page before. */
static void page_open(struct builder *b)
{
	b->err = rows_reserve(b);
	b->table->page[b->page] = (struct unwind_page){ b->table->row_count, 0 };
	if (!b->err && b->current)
		row_append(b, 0);
}

static void page_close(struct builder *b)
{
	struct unwind_page *page = &b->table->page[b->page];
	uint32_t current = b->current;

	if (page->count <= FDT_SLAB_ROWS)
		return;
	b->table->pages_cut++;
	b->table->row_count = page->first;
	page->count = 0;
	b->current = OTHER;
	row_append(b, 0);
	b->current = current;
}

static void pages_up_to(struct builder *b, uint32_t page)
{
	while (!b->err && b->page < page) {
		page_close(b);
		b->page++;
		page_open(b);
	}
}

/* Sets the rule that holds from an offset of the page on. */
static void row_put(struct builder *b, uint32_t offset, uint32_t index)
{
	struct unwind_table *table = b->table;
	struct unwind_page *page = &table->page[b->page];

	if (!page->count && offset)
		row_append(b, 0); /* of rule 0 */
	b->current = index;
	if (page->count && FDT_ROW_OFFSET(table->row[table->row_count - 1]) == offset) {
		table->row_count--;
		page->count--;
	} else if (!page->count && !index) {
		return;
	}
	if (!page->count || FDT_ROW_RULE(table->row[table->row_count - 1]) != index)
		row_append(b, offset);
}

static void table_put_row(void *ctx, uint64_t vaddr, uint32_t rule)
{
	struct builder *b = ctx;
	uint32_t index;
	uint64_t offset;

	if (b->err || vaddr >= b->text_end)
		return;
	if (vaddr < b->table->first_vaddr)
		vaddr = b->table->first_vaddr;
	index = table_rule_index(b, rule);
	if (index == b->current)
		return;
	offset = vaddr - b->table->first_vaddr;
	pages_up_to(b, offset / FDT_PAGE_SIZE);
	if (!b->err)
		row_put(b, offset % FDT_PAGE_SIZE, index);
}

/* ---- the whole ---- */

/* Between FDEs. ld.so's entry has none: it has no caller, so it is an end and not a hole. */
static void table_put_gap(struct builder *b, uint64_t start, uint64_t end, uint64_t entry)
{
	if (end - start < PADDING_BYTES)
		return;
	table_put_row(b, start, FDT_RULE(FDT_RULE_NONE, 0, 0));
	if (entry < start || entry >= end)
		return;
	table_put_row(b, entry, FDT_RULE(FDT_RULE_END, 0, 0));
	if (end - entry > ENTRY_BYTES)
		table_put_row(b, entry + ENTRY_BYTES, FDT_RULE(FDT_RULE_NONE, 0, 0));
}

static void table_put_rows(struct builder *b, const struct eh_frame *frame,
			   const struct eh_fde *fdes, size_t count, uint64_t entry)
{
	struct eh_reader reader = { .frame = frame };
	uint64_t end = b->table->first_vaddr;

	for (size_t i = 0; i < count && !b->err && fdes[i].start < b->text_end; i++) {
		if (fdes[i].end <= end)
			continue;
		if (fdes[i].start > end)
			table_put_gap(b, end, fdes[i].start, entry);
		eh_frame_rules(&reader, &fdes[i], table_put_row, b);
		end = fdes[i].end;
	}
	if (end < b->text_end)
		table_put_gap(b, end, b->text_end, entry);
	pages_up_to(b, b->table->page_count - 1);
	if (!b->err)
		page_close(b);
}

static void count_rows(struct unwind_table *table)
{
	for (uint32_t i = 0; i < table->row_count; i++) {
		uint32_t rule = table->rule[FDT_ROW_RULE(table->row[i])];

		if (FDT_RULE_KIND(rule) == FDT_RULE_OTHER)
			table->rows_other++;
		else
			table->rows_described++;
	}
}

static int text_pages(const struct elf_file *file, struct builder *b)
{
	struct elf_text text;
	uint64_t pages;

	if (!elf_file_text(file, &text) || !text.size)
		return -ENODATA;
	if (text.size > ELF_TEXT_MAX || text.vaddr > UINT64_MAX - ELF_TEXT_MAX)
		return -E2BIG;
	b->table->first_vaddr = text.vaddr / FDT_PAGE_SIZE * FDT_PAGE_SIZE;
	b->text_end = text.vaddr + text.size;
	pages = (b->text_end - b->table->first_vaddr + FDT_PAGE_SIZE - 1) / FDT_PAGE_SIZE;
	b->table->page_count = pages;
	b->table->page = calloc(pages, sizeof(*b->table->page));
	return b->table->page ? 0 : -ENOMEM;
}

static int rules_begin(struct builder *b)
{
	b->rule_place = calloc(RULE_PLACES, sizeof(*b->rule_place));
	b->table->rule = calloc(UNWIND_RULES_MAX, sizeof(*b->table->rule));
	if (!b->rule_place || !b->table->rule)
		return -ENOMEM;
	table_rule_index(b, FDT_RULE(FDT_RULE_NONE, 0, 0));
	table_rule_index(b, RULE_OTHER);
	return 0;
}

/* Gives back what was reserved in vain. */
static void table_trim(struct unwind_table *table)
{
	uint32_t *row = realloc(table->row, (table->row_count + 1) * sizeof(*row));
	uint32_t *rule = realloc(table->rule, table->rule_count * sizeof(*rule));

	table->row = row ? row : table->row;
	table->rule = rule ? rule : table->rule;
}

static int table_build(struct builder *b, const struct elf_file *file, const struct eh_frame *frame)
{
	struct eh_fde *fdes;
	size_t count;
	GElf_Ehdr header;
	int err = text_pages(file, b);

	if (!err)
		err = rules_begin(b);
	if (!err)
		err = eh_frame_fdes(frame, &fdes, &count);
	if (err)
		return err;
	page_open(b);
	table_put_rows(b, frame, fdes, count,
		       gelf_getehdr(elf_file_elf(file), &header) ? header.e_entry : 0);
	free(fdes);
	return b->err;
}

int unwind_table_build(struct elf_file *file, struct unwind_table *ret_table)
{
	struct unwind_table table = { 0 };
	struct builder b = { .table = &table };
	struct eh_frame frame;
	int err = eh_frame_find(elf_file_elf(file), &frame);

	if (!err)
		err = table_build(&b, file, &frame);
	free(b.rule_place);
	if (err) {
		unwind_table_done(&table);
		return err;
	}
	count_rows(&table);
	table_trim(&table);
	*ret_table = table;
	return 0;
}

void unwind_table_done(struct unwind_table *table)
{
	free(table->page);
	free(table->row);
	free(table->rule);
	*table = (struct unwind_table){ 0 };
}
