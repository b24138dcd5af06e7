// SPDX-License-Identifier: BSD-2-Clause
/*
 * use.stale: one thread closed a number, it or another opened a file that got the same number,
 * and a third goes on using it. No call fails. A worker that is handed number after number does
 * the same by design, so the rule is off unless asked for.
 */
#include "detect/detectors.h"
#include "engine/engine_private.h"
#include "engine/report.h"
#include "model/syscall_name.h"

/* dup2() onto a number in use is how a log is changed under those who write to it. */
static bool was_closed_by_other(const struct ended *ended, const struct actor *actor)
{
	return ended->closed_at && ended->closer_tid != actor->tid &&
	       ended->closed_at->process->pid == actor->process->pid &&
	       (ended->ending == END_CLOSE || ended->ending == END_RANGE ||
		ended->ending == END_URING);
}

static bool was_opened_by_other(const struct slot *slot, const struct actor *actor)
{
	return slot->site && slot->opener_tid != actor->tid &&
	       slot->site->process->pid == actor->process->pid;
}

static void use_format(struct report *r, const struct fdtable *table, int32_t fd,
		       const struct ended *ended)
{
	const struct finding *f = &r->finding;
	char what[160];

	r->finding.descriptor = slots_descriptor(r->engine, table, fd);
	finding_describe(&f->descriptor, what, sizeof(what));
	report_message(r, "tid %u kept using %s, which meanwhile is another file", f->used.tid,
		       what);
	report_why(r,
		   "it had used generation %u of the number, which tid %u closed; tid %u opened "
		   "generation %u; %s went there, and nothing failed",
		   ended->generation, ended->closer_tid, f->opened.tid, f->descriptor.generation,
		   syscall_name(f->used.syscall));
	r->finding.help = "close only after every user has let go, or give the users a duplicate";
}

static void use_report(struct engine *e, const struct fdtable *table, int32_t fd,
		       const struct actor *actor)
{
	const struct slot *slot = fdtable_slot(table, fd);
	const struct ended *ended = ended_at(&e->ended, slot->ended);
	struct report r;

	report_begin(&r, e, RULE_USE_STALE, actor->process, site_now(actor->site));
	report_trust(&r, table, CONFIDENCE_INFERRED);
	r.finding.opened = slot_opening(slot);
	r.finding.used = actor_operation(actor, 0);
	r.finding.first_ns = ended->closed_ns;
	finding_history(e, &r.finding, slot->ended);
	if (report_is_news(&r))
		use_format(&r, table, fd, ended);
	report_send(&r);
}

static void use_stale(struct engine *e, struct fdtable *table, uint32_t fd,
		      const struct actor *actor)
{
	const struct slot *slot = fdtable_slot(table, fd);
	struct actor user = *actor;

	if (!slot->ended || !was_opened_by_other(slot, actor) ||
	    !was_closed_by_other(ended_at(&e->ended, slot->ended), actor))
		return;
	user.site = site_get(&e->sites, actor->process, actor->syscall, actor->site_hash);
	use_report(e, table, fd, &user);
	site_unref(&e->sites, user.site);
}

const struct detector detector_use_stale = {
	.name = "use.stale",
	.id = DETECTOR_USE_STALE,
	.rules = RULE_BIT(USE_STALE),
	.needs = 1u << FDT_STALE_USES,
	.used_stale = use_stale,
};
