/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * .eh_frame as the kernel side can follow it: for each page of text the rows that hold in it
 * (fdtrace/stack.h). Needs no debug information. Takes time linear in the bytes of .eh_frame.
 */
#ifndef FDTRACE_SYMBOL_UNWIND_TABLE_H
#define FDTRACE_SYMBOL_UNWIND_TABLE_H

#include <stdint.h>
#include "symbol/elf/elf_file.h"

struct unwind_page {
	uint32_t first, count; /* in unwind_table.row */
};

struct unwind_table {
	uint64_t first_vaddr; /* of page 0 */
	uint32_t page_count;
	struct unwind_page *page; /* count 0: no rule in it */
	uint32_t row_count;
	uint32_t *row; /* offset in page | index in rule << 16; at most FDT_SLAB_ROWS a page */
	uint32_t rule_count;
	uint32_t *rule; /* FDT_RULE(), all different: [0] FDT_RULE_NONE, [1] FDT_RULE_OTHER */
	/* how good it is */
	uint32_t rows_described, rows_other; /* other: needs DWARF */
	uint32_t pages_cut; /* pages with more rows than fit: made FDT_RULE_OTHER */
};

/* Of a file; beyond that it gets no table. */
#define UNWIND_ROWS_MAX (16u << 20)
/* Further ones become FDT_RULE_OTHER: no file may use up the room that all share. cc1plus has 652. */
#define UNWIND_RULES_MAX 4096

/*
 * 0; -ENODATA: the file has no .eh_frame or no text; -E2BIG; -ENOMEM; -EBADMSG: nothing in it
 * could be read. A malformed FDE costs its own range only. Gaps below 16 bytes between FDEs belong
 * to the FDE before; an entry point without CFI (ld.so) is FDT_RULE_END.
 */
int unwind_table_build(struct elf_file *file, struct unwind_table *ret_table);
void unwind_table_done(struct unwind_table *table);

#endif
