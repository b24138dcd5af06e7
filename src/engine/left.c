// SPDX-License-Identifier: BSD-2-Clause
/* What a process leaves open when it ends: kept with it for the summary of a traced command. */
#include <stdio.h>

#include "engine/engine_private.h"

/* The standard three are everybody's; what came by fork or exec is its opener's to account for. */
bool left_is_own(const struct slot *slot, int32_t fd, const void *process)
{
	return fd > 2 && slot->site && slot->site->process == process;
}

static uint64_t left_count(const struct fdtable *table)
{
	uint64_t open = 0;

	fdtable_each (table, fd)
		open += left_is_own(fdtable_slot(table, fd), fd, table->owner);
	return open;
}

static void left_fill(struct process_left *left, const struct finding *f, uint64_t open)
{
	left->open = open;
	left->row_total = f->site_total;
	for (unsigned int i = 0; i < f->site_count && i < LEFT_ROWS_MAX; i++) {
		struct left_row *row = &left->rows[left->row_count++];

		row->kind = f->sites[i].kind;
		row->open = f->sites[i].open;
		site_row_format(&f->sites[i], row->label, sizeof(row->label));
	}
}

void left_note(struct engine *e, const struct fdtable *table)
{
	struct process *owner = table->owner;
	struct finding f = { 0 };
	struct site_labels labels;
	uint64_t open;

	if (e->options.mode != ENGINE_COMMAND || e->finished || table->replaced ||
	    !owner->ended_ns || owner->left)
		return;
	open = left_count(table);
	owner->left = open ? mem_alloc(&e->mem, sizeof(*owner->left)) : NULL;
	if (!owner->left)
		return;
	finding_sites(e, &f, table, left_is_own, owner, &labels);
	left_fill(owner->left, &f, open);
}
