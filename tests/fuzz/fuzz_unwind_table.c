// SPDX-License-Identifier: BSD-2-Clause
/*
 * Unwind tables of any bytes: fuzz_unwind_table ROUNDS FILE...; see feed.h.
 */
#include "feed.h"

#include "fdtrace/stack.h"
#include "symbol/unwind/unwind_table.h"

static void check_page(const struct unwind_table *table, const struct unwind_page *page)
{
	const uint32_t *row = table->row + page->first;

	check(page->count <= FDT_SLAB_ROWS, "rows of a page");
	check(page->first <= table->row_count && page->count <= table->row_count - page->first,
	      "a page's rows are among all");
	for (uint32_t i = 0; i < page->count; i++) {
		check(FDT_ROW_RULE(row[i]) < table->rule_count, "a row's rule exists");
		check(i ? FDT_ROW_OFFSET(row[i]) > FDT_ROW_OFFSET(row[i - 1])
			: FDT_ROW_OFFSET(row[i]) == 0,
		      "rows ascend from the page's beginning");
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct unwind_table table;
	struct elf_file *file;

	if (elf_file_from_memory(data, size, "fuzz", &file))
		return 0;
	if (!unwind_table_build(file, &table)) {
		check(table.rule_count >= 2 && table.rule_count <= UNWIND_RULES_MAX, "rules");
		for (uint32_t i = 0; i < table.page_count; i++)
			check_page(&table, &table.page[i]);
		unwind_table_done(&table);
	}
	elf_file_free(file);
	return 0;
}
