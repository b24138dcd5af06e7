// SPDX-License-Identifier: BSD-2-Clause
/* What the descriptors of one site are like: how many lie idle, and how many peers have gone. */
#include "base/clock.h"
#include "base/text.h"
#include "engine/engine_private.h"

/* Pipes keep no times, nor anything else that shows use. */
static bool can_be_asked(const struct slot *slot)
{
	return slot->kind == FD_KIND_TCP || slot->kind == FD_KIND_UNIX;
}

static void idle_count(struct site_row *row, const struct slot *slot, const struct fdt_detail *d,
		       uint64_t idle_from_ns)
{
	row->asked++;
	if (d->facts & FDT_FACT_SOCKET) {
		row->established += d->state == STATE_ESTABLISHED;
		row->close_wait += slot->kind == FD_KIND_TCP && d->state == STATE_CLOSE_WAIT;
	}
	if (!(d->facts & FDT_FACT_IDLE) || d->idle_ns < idle_from_ns)
		return;
	if (!row->idle++ || d->idle_ns < row->idle_ns)
		row->idle_ns = d->idle_ns;
}

void finding_ask_idle(struct engine *e, const struct fdtable *table, struct site_row *row,
		      uint64_t least_age_ns, uint64_t idle_from_ns)
{
	fdtable_each (table, fd) {
		const struct slot *slot = fdtable_slot(table, fd);
		const struct fdt_detail *detail;

		if (site_now(slot->site) != row->site || !can_be_asked(slot) ||
		    e->now_ns - slot->opened_ns < least_age_ns)
			continue;
		detail = slots_look(e, table, fd);
		if (detail)
			idle_count(row, slot, detail, idle_from_ns);
		if (row->asked == ROW_ASKED_MAX)
			return;
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
