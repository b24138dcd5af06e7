// SPDX-License-Identifier: BSD-2-Clause
/*
 * leak.stale: a site that closes what it opens within t left some open for many times t: there
 * is a path that forgets to close. What is usual, the site's own lifetimes show; that it is a
 * path, and not a few connections kept on purpose, their number shows: it rises in
 * window after window and never falls. Of connections only those count through which
 * nothing has gone for as long: one that is used now and then is held on purpose. Pipes, of
 * which nobody knows that, do not count at all.
 *
 * One walk through all tables in each leak.window counts the stragglers.
 */
#include "detect/detectors.h"
#include "engine/engine_private.h"
#include "engine/report.h"

#define CLOSED_MIN 100      /* fewer lifetimes say nothing of what is usual */
#define USUAL_PERCENT 99    /* so many of them were shorter than t */
#define TIMES 64            /* a straggler is older than so many t */
#define STRAGGLERS_MIN 4    /* fewer are no path */
#define SLOTS_A_TICK 20000u /* ticks come every 0.1 s: at most about 2 ms of a second */

struct leak_stale {
	struct walk walk;
	uint64_t began_ns; /* of the round that goes on, or of the last one; 0: none yet */
	uint32_t round;
	bool walking;
};

static struct leak_stale *stale_state(struct engine *e)
{
	return detector_state(e, DETECTOR_LEAK_STALE);
}

static const unsigned int window_multiple[GROWTH_SCALES] = { 1, 6, 36, 216 };

static uint64_t straggler_age(const struct engine *e, const struct site *site)
{
	uint64_t closed, usual_ns = site_lifetime_ns(site, USUAL_PERCENT, &closed);
	uint64_t age_ns = usual_ns * TIMES;

	if (closed < CLOSED_MIN)
		return 0;
	return age_ns > e->options.settings.leak_min_age_ns ? age_ns
							    : e->options.settings.leak_min_age_ns;
}

static bool is_straggler(const struct engine *e, const struct slot *slot, const struct site *site)
{
	return slot->flags & SLOT_COUNTED && !(slot->flags & SLOT_CROSSED_EXEC) &&
	       site->stale.age_ns && e->now_ns - slot->opened_ns >= site->stale.age_ns;
}

static void straggler_count(struct engine *e, uint32_t round, const struct slot *slot)
{
	struct site *site = slot->flags & SLOT_COUNTED ? site_now(slot->site) : NULL;

	if (!site)
		return;
	if (site->stale.round != round) {
		site->stale.round = round;
		site->stale.now = 0;
		site->stale.age_ns = straggler_age(e, site);
	}
	site->stale.now += is_straggler(e, slot, site);
}

struct only {
	const struct engine *e;
	const struct site *site;
};

static bool is_straggler_slot(const struct slot *slot, int32_t fd, const void *ctx)
{
	const struct only *only = ctx;

	(void)fd;
	return site_now(slot->site) == only->site && is_straggler(only->e, slot, only->site);
}

static bool can_be_idle(enum fd_kind kind)
{
	return kind == FD_KIND_TCP || kind == FD_KIND_PIPE;
}

/* Their silence is asked for only where the host knows. */
static bool are_unused(struct engine *e, const struct fdtable *table, struct site_row *row)
{
	uint64_t age_ns = row->site->stale.age_ns;

	if (!can_be_idle(row->kind))
		return true;
	finding_ask_idle(e, table, row, age_ns, age_ns / 2);
	return row->idle >= STRAGGLERS_MIN && row->idle * 2 > row->asked;
}

static void straggler_format(struct report *r, const struct site *site, int scale)
{
	const struct site_row *row = &r->finding.sites[0];
	const uint32_t *count_of = site->stale.count[scale];
	uint64_t closed, usual_ns = site_lifetime_ns(site, USUAL_PERCENT, &closed);
	char age[32];

	finding_format_time(row->oldest_ns, age, sizeof(age));
	report_message(
		r,
		"%s forgets to close some %s descriptors: %llu of %llu from %s are still open, the "
		"oldest for %s",
		process_program(site->process), fd_kind_name(row->kind),
		(unsigned long long)row->open, (unsigned long long)row->opened, row->label, age);
	report_why(
		r,
		"of %llu closed ones %d %% lived less than %llu ms; those open more than %d times "
		"as long were %u, %u, %u, %u in four windows running",
		(unsigned long long)closed, USUAL_PERCENT, (unsigned long long)usual_ns / 1000000,
		TIMES, count_of[3], count_of[2], count_of[1], count_of[0]);
	r->finding.help =
		"most paths close what is opened here; look for one that returns early, an error "
		"or a timeout";
}

static void straggler_report(struct engine *e, const struct site *site, const struct fdtable *table,
			     int scale)
{
	struct only only = { e, site };
	struct site_labels labels;
	struct report r;
	struct finding *f = &r.finding;

	report_begin(&r, e, RULE_LEAK_STALE, site->process, site);
	report_trust(&r, table, CONFIDENCE_INFERRED);
	if (stack_is_runtime(site->stack)) /* a pool and what is closed at once seem to be one */
		f->severity = SEVERITY_INFO;
	finding_sites(e, f, table, is_straggler_slot, &only, &labels);
	if (!f->site_count || f->sites[0].open < STRAGGLERS_MIN)
		return;
	if (report_is_news(&r) && !are_unused(e, table, &f->sites[0]))
		return;
	f->first_ns = e->now_ns - f->sites[0].oldest_ns;
	f->descriptor = slots_descriptor(e, table, f->sites[0].example_fd);
	f->opened = slot_opening(fdtable_slot(table, f->sites[0].example_fd));
	if (r.is_news)
		straggler_format(&r, site, scale);
	report_send(&r);
}

static bool straggler_rises(const struct site_stale *stale, int scale)
{
	const uint32_t *count_of = stale->count[scale];

	return stale->counts[scale] == STALE_COUNTS && count_of[0] >= STRAGGLERS_MIN &&
	       count_of[0] > count_of[1] && count_of[1] > count_of[2] && count_of[2] > count_of[3];
}

static void straggler_push(struct site_stale *stale, int scale)
{
	for (int i = STALE_COUNTS - 1; i > 0; i--)
		stale->count[scale][i] = stale->count[scale][i - 1];
	stale->count[scale][0] = stale->now;
	if (stale->counts[scale] < STALE_COUNTS)
		stale->counts[scale]++;
}

/* How many were closed at an age at which they would have been stragglers. */
static uint64_t closed_late(const struct site *site)
{
	uint64_t late = 0;

	for (int i = 0; i < LIFETIME_BUCKETS; i++)
		if (1ull << (LIFETIME_FIRST_BIT + i) > site->stale.age_ns)
			late += site->lifetime[i];
	return late;
}

/* One was closed after all: they are slow, not forgotten. All counting begins again. */
static void note_round(struct site *site)
{
	struct site_stale *stale = &site->stale;
	uint64_t late = stale->age_ns ? closed_late(site) : 0;

	if (!stale->age_ns || stale->now < stale->last || late != stale->late)
		for (int scale = 0; scale < GROWTH_SCALES; scale++)
			stale->counts[scale] = 0;
	stale->last = stale->now;
	stale->late = late;
}

static void straggler_judge(struct engine *e, struct site *site)
{
	const struct fdtable *table = process_table(site->process);
	struct site_stale *stale = &site->stale;

	note_round(site);
	for (int scale = 0; stale->age_ns && scale < GROWTH_SCALES; scale++) {
		if (stale_state(e)->round % window_multiple[scale])
			continue;
		straggler_push(stale, scale);
		if (table && !site->growth_reported && straggler_rises(stale, scale)) {
			straggler_report(e, site, table, scale);
			return;
		}
	}
}

static void straggler_end_round(struct engine *e)
{
	stale_state(e)->walking = false;
	walk_done(&e->mem, &stale_state(e)->walk);
	map_each (&e->sites.map, entry) {
		struct site *site = entry->value;

		if (site->stale.round == stale_state(e)->round)
			straggler_judge(e, site);
		else
			site->stale = (struct site_stale){ 0 }; /* none is open */
	}
}

static void straggler_walk(struct engine *e)
{
	struct leak_stale *stale = stale_state(e);
	struct fdtable *table;
	int32_t fd;

	for (unsigned int left = SLOTS_A_TICK; left; left--) {
		if (!walk_next(&stale->walk, &e->tables, &table, &fd)) {
			straggler_end_round(e);
			return;
		}
		straggler_count(e, stale->round, fdtable_slot(table, fd));
	}
}

/* A round that could not begin for want of memory says nothing: what is seen of it is not a count. */
static bool straggler_begin_round(struct engine *e)
{
	struct leak_stale *stale = stale_state(e);

	if (stale->began_ns && e->now_ns - stale->began_ns < e->options.settings.leak_window_ns)
		return false;
	stale->began_ns = e->now_ns;
	if (walk_begin(&e->mem, &stale->walk, &e->tables))
		return false;
	stale->round++;
	return true;
}

static void stale_tick(struct engine *e)
{
	if (!stale_state(e)->walking)
		stale_state(e)->walking = straggler_begin_round(e);
	if (stale_state(e)->walking)
		straggler_walk(e);
}

static void stale_done(struct engine *e)
{
	map_each (&e->sites.map, entry)
		((struct site *)entry->value)->stale = (struct site_stale){ 0 };
	walk_done(&e->mem, &stale_state(e)->walk);
}

/* Nothing is stale earlier, and then it has to rise over several windows. */
static uint64_t stale_takes_ns(const struct settings *settings)
{
	return settings->leak_min_age_ns + settings->leak_window_ns;
}

const struct detector detector_leak_stale = {
	.name = "leak.stale",
	.id = DETECTOR_LEAK_STALE,
	.rules = RULE_BIT(LEAK_STALE),
	.state_bytes = sizeof(struct leak_stale),
	.takes_ns = stale_takes_ns,
	.tick = stale_tick,
	.done = stale_done,
};
