// SPDX-License-Identifier: BSD-2-Clause
/*
 * leak.orphan: descriptors that are certainly dead, by the kernel's own word: a connection whose
 * peer has closed and which nobody has touched since, a pipe whose other end is gone, a deleted
 * file that is empty and unused. Each must look the same at two looks at least orphan.after
 * apart. All tables are looked through again and again, with a bound on questions in time.
 */
#include "base/hash.h"
#include "detect/detectors.h"
#include "engine/engine_private.h"
#include "engine/report.h"

#define QUESTIONS_A_SECOND 500u /* about 2 us each: a thousandth of one CPU */
#define SLOTS_A_TICK 20000u
/*
 * Fewer of one site may be kept on purpose: make has a pipe without a writer to stand in for
 * its children's stdin; a temporary file or two harm nobody.
 */
#define FEW 3
#define SECOND_NS 1000000000ull

struct leak_orphan {
	struct walk walk;
	struct suspects suspects;
	uint64_t began_ns;
	uint64_t asked_ns; /* when questions were last counted ... */
	uint32_t left;     /* ... and how many may still be asked */
	bool walking;
};

static struct leak_orphan *orphan_state(const struct engine *e)
{
	return detector_state(e, DETECTOR_LEAK_ORPHAN);
}

static uint64_t half_time(const struct engine *e)
{
	return e->options.settings.orphan_after_ns / 2;
}

/* What came by fork or exec is not this program's to close: it may not even know of it. */
static bool opened_itself(const struct fdtable *table, const struct slot *slot, int32_t fd)
{
	return fd > 2 && slot->site && process_same(slot->site->process, table->owner);
}

static bool may_be_dead(const struct engine *e, const struct fdtable *table,
			const struct slot *slot, int32_t fd)
{
	if (slot->opened_ns && e->now_ns - slot->opened_ns < half_time(e))
		return false;
	switch (slot->kind) {
	case FD_KIND_TCP: return true;
	case FD_KIND_PIPE:
	case FD_KIND_FILE: return opened_itself(table, slot, fd);
	default: return false;
	}
}

/* What would change if anybody touched it. 0: it is not dead. */
static uint64_t dead_connection(const struct fdt_detail *d)
{
	if (!(d->facts & FDT_FACT_SOCKET) || d->state != STATE_CLOSE_WAIT)
		return 0;
	return hash_number(HASH_START, d->unread_bytes) | 1;
}

static uint64_t dead_pipe(const struct slot *slot, const struct fdt_detail *d)
{
	bool reads = slot->flags & SLOT_READS, writes = slot->flags & SLOT_WRITES;

	if (!(d->facts & FDT_FACT_PIPE) || reads == writes)
		return 0;
	return (reads ? d->writers : d->readers) ? 0 : 1;
}

static uint64_t dead_file(const struct slot *slot, const struct fdt_detail *d)
{
	const unsigned int in_use = FDT_FACT_MEMFD | FDT_FACT_MAPPED | FDT_FACT_LOCKED;

	if (!(d->facts & FDT_FACT_REGULAR) || !(d->facts & FDT_FACT_UNLINKED) ||
	    d->facts & in_use || slot->kind != FD_KIND_FILE)
		return 0;
	return d->size || d->position ? 0 : 1;
}

static uint64_t death_of(const struct slot *slot, const struct fdt_detail *d)
{
	switch (slot->kind) {
	case FD_KIND_TCP: return dead_connection(d);
	case FD_KIND_PIPE: return dead_pipe(slot, d);
	default: return dead_file(slot, d);
	}
}

/* Since the first look nothing has come or gone, where that is known. */
static bool is_untouched(const struct fdt_detail *d, uint64_t since_ns, uint64_t look_ns)
{
	const uint64_t clocks_ns = 20000000; /* both are as of the last timer tick */

	return !(d->facts & FDT_FACT_IDLE) || d->idle_ns + clocks_ns >= look_ns - since_ns;
}

static void orphan_look(struct engine *e, struct fdtable *table, int32_t fd,
			const struct slot *slot)
{
	const struct fdt_detail *d = slots_look(e, table, fd);
	const struct suspect *before =
		suspects_before(&orphan_state(e)->suspects, table->key, fd, slot->generation);
	uint64_t look_ns = d ? d->head.time_ns : 0, death = d ? death_of(slot, d) : 0;
	struct suspect now = { .table = table->key,
			       .fd = fd,
			       .generation = slot->generation,
			       .since_ns = look_ns,
			       .look_ns = look_ns,
			       .trait = death };

	if (!death || look_ns < slot->opened_ns)
		return;
	if (before && before->trait == death && is_untouched(d, before->since_ns, look_ns)) {
		now.since_ns = before->since_ns;
		now.reported = before->reported;
	}
	now.guilty = look_ns - now.since_ns >= e->options.settings.orphan_after_ns;
	table->has_orphans |= now.guilty;
	suspects_put(&e->mem, &orphan_state(e)->suspects, &now);
}

struct only {
	const struct engine *e;
	const struct fdtable *table;
};

static bool is_guilty(const struct slot *slot, int32_t fd, const void *ctx)
{
	const struct only *only = ctx;
	const struct suspect *s = suspects_now(&orphan_state(only->e)->suspects, only->table->key,
					       fd, slot->generation);

	return slot->file && s && s->guilty;
}

static void format_connections(struct report *r, const struct site_row *row)
{
	report_message(r, "%s keeps %llu connection%s whose peer has closed (CLOSE_WAIT), %s%s",
		       process_program(r->finding.process), (unsigned long long)row->open,
		       row->open == 1 ? "" : "s", row->site ? "opened in " : "", row->label);
	r->finding.help =
		"close a connection when recv returns 0 or fails; give the server's reads a "
		"timeout";
}

static void format_pipes(struct report *r, const struct site_row *row)
{
	report_message(r, "%s keeps %llu pipe end%s whose other end is gone, opened in %s",
		       process_program(r->finding.process), (unsigned long long)row->open,
		       row->open == 1 ? "" : "s", row->label);
	r->finding.help = "close a pipe at end of file, and when its child has ended";
}

static void format_files(struct report *r, const struct site_row *row)
{
	report_message(r, "%s keeps %llu deleted file%s that %s empty and unused, opened in %s",
		       process_program(r->finding.process), (unsigned long long)row->open,
		       row->open == 1 ? "" : "s", row->open == 1 ? "is" : "are", row->label);
	r->finding.help = "close temporary files when they are no longer needed";
}

static void orphan_format(struct report *r, uint64_t for_ns)
{
	const struct site_row *row = &r->finding.sites[0];
	char span[32];

	switch (row->kind) {
	case FD_KIND_TCP: format_connections(r, row); break;
	case FD_KIND_PIPE: format_pipes(r, row); break;
	default: format_files(r, row);
	}
	finding_format_time(for_ns, span, sizeof(span));
	report_why(r, "the kernel says so, and nothing has changed for %s, e.g. of fd %d", span,
		   (int)row->example_fd);
}

static enum severity severity_of(const struct site_row *row)
{
	if (row->kind == FD_KIND_TCP)
		return SEVERITY_WARNING;
	return row->open < FEW ? SEVERITY_INFO : SEVERITY_WARNING;
}

static void orphan_report(struct engine *e, const struct fdtable *table, const struct site_row *row)
{
	const struct slot *slot = fdtable_slot(table, row->example_fd);
	struct suspect *s = suspects_now(&orphan_state(e)->suspects, table->key, row->example_fd,
					 slot->generation);
	struct report r;
	struct finding *f = &r.finding;

	report_begin(&r, e, RULE_LEAK_ORPHAN, table->owner, row->site);
	report_trust(&r, table, CONFIDENCE_EXACT);
	f->fingerprint = hash_text(report_fingerprint(&r), fd_kind_name(row->kind));
	f->severity = severity_of(row);
	f->descriptor = slots_descriptor(e, table, row->example_fd);
	f->opened = slot_opening(slot);
	f->opened_is_culprit = true;
	f->first_ns = s->since_ns;
	finding_put_site(f, row);
	if (!report_is_news(&r) && s->reported)
		return;
	s->reported = true;
	if (r.is_news)
		orphan_format(&r, s->look_ns - s->since_ns);
	report_send(&r);
}

static void orphan_end_round(struct engine *e)
{
	struct leak_orphan *o = orphan_state(e);
	struct fdtable *table;

	walk_rewind(&o->walk);
	while ((table = walk_next_table(&o->walk, &e->tables))) {
		struct only only = { e, table };

		if (table->has_orphans)
			finding_each_site(e, table, is_guilty, &only, orphan_report);
		table->has_orphans = false;
	}
	walk_done(&e->mem, &o->walk);
	suspects_turn(&e->mem, &o->suspects);
	o->walking = false;
}

/* The bound is on event time; none are saved up. */
static void orphan_refill(struct engine *e)
{
	struct leak_orphan *o = orphan_state(e);

	if (o->asked_ns && e->now_ns - o->asked_ns < SECOND_NS)
		return;
	o->asked_ns = e->now_ns;
	o->left = QUESTIONS_A_SECOND;
}

static void orphan_walk(struct engine *e)
{
	struct leak_orphan *o = orphan_state(e);
	struct fdtable *table;
	int32_t fd;

	for (unsigned int left = SLOTS_A_TICK; left && o->left; left--) {
		const struct slot *slot;

		if (!walk_next(&o->walk, &e->tables, &table, &fd)) {
			orphan_end_round(e);
			return;
		}
		slot = fdtable_slot(table, fd);
		if (!may_be_dead(e, table, slot, fd))
			continue;
		o->left--;
		orphan_look(e, table, fd, slot);
	}
}

static bool orphan_begin_round(struct engine *e)
{
	struct leak_orphan *o = orphan_state(e);

	if (o->began_ns && e->now_ns - o->began_ns < half_time(e))
		return false;
	o->began_ns = e->now_ns;
	return !walk_begin(&e->mem, &o->walk, &e->tables);
}

static void orphan_tick(struct engine *e)
{
	orphan_refill(e);
	if (!orphan_state(e)->walking)
		orphan_state(e)->walking = orphan_begin_round(e);
	if (orphan_state(e)->walking)
		orphan_walk(e);
}

static void orphan_done(struct engine *e)
{
	walk_done(&e->mem, &orphan_state(e)->walk);
	suspects_done(&e->mem, &orphan_state(e)->suspects);
}

const struct detector detector_leak_orphan = {
	.name = "leak.orphan",
	.id = DETECTOR_LEAK_ORPHAN,
	.rules = RULE_BIT(LEAK_ORPHAN),
	.state_bytes = sizeof(struct leak_orphan),
	.tick = orphan_tick,
	.done = orphan_done,
};
