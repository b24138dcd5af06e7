// SPDX-License-Identifier: BSD-2-Clause
/* What the descriptors of one site are like: how many lie idle, and how many peers have gone. */
#include "base/clock.h"
#include "base/text.h"
#include "engine/engine_private.h"

/* Pipes keep no times, nor anything else that shows use. */
bool finding_can_be_idle(const struct slot *slot)
{
	return slot->kind == FD_KIND_TCP || slot->kind == FD_KIND_UNIX;
}

void finding_count_idle(struct site_row *row, const struct slot *slot,
			const struct fdt_detail *detail, uint64_t idle_from_ns)
{
	if (!detail)
		return;
	row->asked++;
	if (detail->facts & FDT_FACT_SOCKET) {
		row->established += detail->state == STATE_ESTABLISHED;
		row->close_wait += slot->kind == FD_KIND_TCP && detail->state == STATE_CLOSE_WAIT;
	}
	if (!(detail->facts & FDT_FACT_IDLE) || detail->idle_ns < idle_from_ns)
		return;
	if (!row->idle++ || detail->idle_ns < row->idle_ns)
		row->idle_ns = detail->idle_ns;
}

void finding_ask_idle(struct engine *e, const struct fdtable *table, struct site_row *row,
		      uint64_t least_age_ns, uint64_t idle_from_ns)
{
	fdtable_each (table, fd) {
		const struct slot *slot = fdtable_slot(table, fd);

		if (row->asked == ROW_ASKED_MAX)
			return;
		if (!finding_can_be_idle(slot) || e->now_ns - slot->opened_ns < least_age_ns ||
		    !holdings_is_of(row, slot))
			continue;
		finding_count_idle(row, slot, slots_look(e, table, fd), idle_from_ns);
	}
}

void finding_format_time(uint64_t ns, char *buffer, size_t size)
{
	unsigned long long s = ns / SEC_NS;

	if (s < 120)
		text_format(buffer, size, "%llu s", s);
	else if (s < 120 * 60)
		text_format(buffer, size, "%llu min", s / 60);
	else if (s < 48 * 3600)
		text_format(buffer, size, "%llu h", s / 3600);
	else
		text_format(buffer, size, "%llu days", s / 86400);
}
