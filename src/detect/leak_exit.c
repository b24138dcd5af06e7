// SPDX-License-Identifier: BSD-2-Clause
/* leak.exit: what a program that fdtrace had started had opened itself and left open when it ended. */
#include "detect/detectors.h"
#include "engine/engine_private.h"
#include "engine/report.h"

static void exit_format(struct report *r)
{
	const struct finding *f = &r->finding;
	const struct site_row *row = &f->sites[0];
	char what[160];

	finding_describe(&f->descriptor, what, sizeof(what));
	if (row->open == 1)
		report_message(r, "%s ended with %s still open, opened by %s",
			       process_program(f->process), what, row->label);
	else
		report_message(r,
			       "%s ended with %llu descriptors still open from %s, the oldest %s",
			       process_program(f->process), (unsigned long long)row->open,
			       row->label, what);
	r->finding.help = "the kernel closes it at exit; close it when it is no longer needed";
}

static void exit_report(struct engine *e, const struct fdtable *table, const struct site_row *row)
{
	const struct slot *slot = fdtable_slot(table, row->example_fd);
	struct report r;

	report_begin(&r, e, RULE_LEAK_EXIT, table->owner, row->site);
	report_trust(&r, table, CONFIDENCE_EXACT);
	r.finding.severity = e->options.settings.leak_exit_severity;
	r.finding.descriptor = slots_descriptor(e, table, row->example_fd);
	r.finding.opened = slot_opening(slot);
	r.finding.opened_is_culprit = true;
	r.finding.first_ns = slot->opened_ns;
	finding_put_site(&r.finding, row);
	if (report_is_news(&r))
		exit_format(&r);
	report_send(&r);
}

static void exit_table_ended(struct engine *e, struct fdtable *table)
{
	if (table->replaced || e->options.mode != ENGINE_COMMAND || e->finished ||
	    !table->owner->ended_ns)
		return;
	finding_each_site(e, table, left_is_own, table->owner, exit_report);
}

const struct detector detector_leak_exit = {
	.name = "leak.exit",
	.id = DETECTOR_LEAK_EXIT,
	.rules = RULE_BIT(LEAK_EXIT),
	.table_ended = exit_table_ended,
};
