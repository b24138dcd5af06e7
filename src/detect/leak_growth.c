// SPDX-License-Identifier: BSD-2-Clause
/*
 * leak.growth: the open descriptors of a place keep rising. Judged by the smallest open count in
 * each of three windows: a sawtooth or a plateau has equal minima, a leak has rising ones.
 * Windows of four lengths run side by side, so that a leak of one an hour shows as well as
 * one of a hundred a second.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "base/hash.h"
#include "detect/detectors.h"
#include "engine/engine_private.h"
#include "engine/report.h"

#define SOON_S 3600
#define YEAR_S (366ull * 24 * 3600)

static const unsigned int window_multiple[GROWTH_SCALES] = { 1, 6, 36, 216 };

struct leak_growth {
	uint64_t window_ns[GROWTH_SCALES]; /* when the running windows began */
	uint32_t windows;                  /* that have ended */
};

static struct leak_growth *growth_state(const struct engine *e)
{
	return detector_state(e, DETECTOR_LEAK_GROWTH);
}

static void growth_roll(struct site_growth *growth, uint64_t open, uint32_t falls)
{
	for (int i = GROWTH_WINDOWS - 1; i > 0; i--) {
		growth->minimum[i] = growth->minimum[i - 1];
		growth->falls[i] = growth->falls[i - 1];
	}
	growth->minimum[0] = growth->min_now;
	growth->min_now = open;
	growth->falls[0] = falls;
	if (growth->windows < GROWTH_WINDOWS)
		growth->windows++;
}

static bool growth_rises(const struct site_growth *growth)
{
	return growth->windows == GROWTH_WINDOWS && growth->minimum[0] > growth->minimum[1] &&
	       growth->minimum[1] > growth->minimum[2];
}

/* "; of the 64 looked at 60 were idle for 12 s or longer, 30 in CLOSE_WAIT", where it is known. */
static void growth_add_idle(struct report *r)
{
	const struct site_row *row = &r->finding.sites[0];
	char span[32];

	if (!row->idle && !row->close_wait)
		return;
	finding_format_time(row->idle_ns, span, sizeof(span));
	report_add_why(r, "; of the %u looked at %u were idle for %s or longer", row->asked,
		       row->idle, span);
	if (row->close_wait)
		report_add_why(r, ", %u in CLOSE_WAIT", row->close_wait);
}

/* "1, 2, 3; at this rate RLIMIT_NOFILE is reached in 2 h" */
static void growth_add_minima(struct report *r, const struct site_growth *growth)
{
	uint64_t left_s = r->finding.limit.exhausted_in_s;
	char left[32];

	report_add_why(r, "%llu, %llu, %llu", (unsigned long long)growth->minimum[2],
		       (unsigned long long)growth->minimum[1],
		       (unsigned long long)growth->minimum[0]);
	if (!left_s)
		return;
	finding_format_time(left_s * SEC_NS, left, sizeof(left));
	report_add_why(r, "; at this rate RLIMIT_NOFILE is reached in %s", left);
}

static double rate_per_s(const struct engine *e, double gained, int scale)
{
	double window_s = e->options.settings.leak_window_ns * 1e-9 * window_multiple[scale];

	return gained / (2 * window_s);
}

/* By the rate of the whole table: one place's alone would reach the limit later. */
static struct finding_limit growth_forecast(const struct engine *e, const struct process *process,
					    const struct fdtable *table, double gained, int scale)
{
	double per_s = rate_per_s(e, gained, scale);
	struct finding_limit limit = { .present = true,
				       .soft = process->nofile,
				       .open = table->open,
				       .rate_per_min = per_s * 60 };
	double left_s = limit.soft > limit.open ? (limit.soft - limit.open) / per_s : 0;

	if (limit.soft && left_s < YEAR_S)
		limit.exhausted_in_s = left_s < 1 ? 1 : left_s;
	return limit;
}

static enum severity growth_severity(const struct finding_limit *limit)
{
	return limit->exhausted_in_s && limit->exhausted_in_s <= SOON_S ? SEVERITY_ERROR
									: SEVERITY_WARNING;
}

/*
 * A saw (a garbage collector): after the first tooth it is known how high they grow. Minima are
 * those of the saw only if each of the last windows has seen it come down; within one tooth
 * they rise whether or not there is a leak, until they rise beyond every tooth before. Where
 * the limit leaves no room for that, half of the room must do.
 */
static bool is_within_a_tooth(const struct site *site, int scale)
{
	const uint32_t *falls = site->growth[scale].falls;
	uint64_t limit = site->process->nofile, margin = site->tooth / 4;

	if (!site->tooth || (falls[0] != falls[1] && falls[1] != falls[2]))
		return false;
	if (limit > site->tooth && margin > (limit - site->tooth) / 2)
		margin = (limit - site->tooth) / 2;
	return site->open <= site->tooth + margin;
}

/* Well below its highest: it has come down before and may again (a collector's sawtooth). */
static bool growth_is_leak(const struct engine *e, const struct site *site, int scale)
{
	return growth_rises(&site->growth[scale]) &&
	       site->open >= e->options.settings.leak_min_count &&
	       site->open >= site->peak - site->peak / 8 && !is_within_a_tooth(site, scale);
}

/* ---- places: sites of one fingerprint in one process are judged as one ---- */

struct growing_place {
	struct site counts; /* of its sites, added up; the process is borrowed */
	bool leaks;
};

/* A process in which some site has gained in this window. */
struct growing_process {
	struct process *process;
	double gained; /* by all its sites: of the minima of three windows the last less the first */
	unsigned int leaks;
};

/* What a window that ends is judged by. */
struct growing {
	struct engine *engine;
	int scale;
	struct map processes; /* serial -> struct growing_process */
	struct map by_place;  /* serial and place -> index in the list + 1 */
	struct growing_place *list;
	unsigned int count, capacity;
};

static double growth_gain(const struct site_growth *growth)
{
	return (double)growth->minimum[0] - (double)growth->minimum[2];
}

static void growing_note_process(struct growing *g, struct process *process)
{
	struct mem *mem = &g->engine->mem;
	struct growing_process *gp = map_get(&g->processes, process->serial);

	if (gp)
		return;
	gp = mem_alloc(mem, sizeof(*gp));
	if (!gp)
		return;
	gp->process = process;
	if (map_put(mem, &g->processes, process->serial, gp))
		mem_free(mem, gp, sizeof(*gp));
}

static struct growing_place *growing_add_place(struct growing *g, uint64_t key)
{
	unsigned int capacity = g->capacity ? g->capacity * 2 : 16;
	struct growing_place *list = g->list;

	if (g->count == g->capacity) {
		list = mem_resize(&g->engine->mem, list, g->capacity * sizeof(*list),
				  capacity * sizeof(*list));
		if (!list)
			return NULL;
		g->list = list;
		g->capacity = capacity;
	}
	if (map_put(&g->engine->mem, &g->by_place, key, (void *)(uintptr_t)(g->count + 1)))
		return NULL;
	list[g->count] = (struct growing_place){ 0 };
	return &list[g->count++];
}

static struct growing_place *growing_place_of(struct growing *g, const struct site *site)
{
	uint64_t place = holdings_place(site), key = hash_number(place, site->process->serial);
	uintptr_t index = (uintptr_t)map_get(&g->by_place, key);

	return index ? &g->list[index - 1] : growing_add_place(g, key);
}

/* A site that was not there in a window had nothing open in it: its minimum is 0. */
static void growing_add_counts(struct site *counts, const struct site *site, int scale)
{
	const struct site_growth *from = &site->growth[scale];
	struct site_growth *to = &counts->growth[scale];

	if (!counts->process || site->open > counts->open)
		counts->kind = site->kind;
	counts->process = site->process;
	counts->open += site->open;
	counts->opened += site->opened;
	counts->closed += site->closed;
	counts->peak += site->peak;
	counts->tooth += site->tooth;
	for (int i = 0; i < GROWTH_WINDOWS; i++) {
		to->minimum[i] += from->minimum[i];
		to->falls[i] += from->falls[i];
	}
	if (from->windows > to->windows)
		to->windows = from->windows;
}

static void growing_add_site(struct growing *g, struct site *site)
{
	struct growing_process *gp = map_get(&g->processes, site->process->serial);
	struct growing_place *place = gp ? growing_place_of(g, site) : NULL;

	if (!place)
		return;
	gp->gained += growth_gain(&site->growth[g->scale]);
	growing_add_counts(&place->counts, site, g->scale);
	site->growth_window = growth_state(g->engine)->windows;
	site->growth_place = (uint32_t)(place - g->list);
}

static const struct growing_place *growing_find(const struct growing *g, const struct site *site)
{
	if (!site || site->growth_window != growth_state(g->engine)->windows)
		return NULL;
	return &g->list[site->growth_place];
}

static bool is_of_leak(const struct slot *slot, int32_t fd, const void *ctx)
{
	const struct growing_place *place = growing_find(ctx, site_now(slot->site));

	(void)fd;
	return place && place->leaks;
}

/* ---- the report: one block for the places of a process that grow together ---- */

/* Rows too young to be judged go; each of the others gets its rate. */
static void growth_choose_rows(struct growing *g, struct finding *f)
{
	uint64_t least_ns = g->engine->options.settings.leak_min_age_ns;
	unsigned int kept = 0;

	for (unsigned int i = 0; i < f->site_count; i++) {
		struct site_row *row = &f->sites[i];
		const struct growing_place *place = growing_find(g, row->site);

		if (row->oldest_ns < least_ns || !place)
			continue;
		row->rate_per_min =
			60 * rate_per_s(g->engine, growth_gain(&place->counts.growth[g->scale]),
					g->scale);
		row->opened = place->counts.opened;
		row->closed = place->counts.closed;
		f->sites[kept++] = *row;
	}
	f->site_total -= f->site_count - kept;
	f->site_count = kept;
}

static void growth_format_message(struct report *r)
{
	const struct finding *f = &r->finding;
	const struct site_row *row = &f->sites[0];
	const char *program = process_program(f->process);
	unsigned long long open = 0;
	double per_min = 0;
	char place[160];

	site_row_format(row, place, sizeof(place));
	if (f->site_count == 1) {
		report_message(r,
			       "%s leaks %s descriptors: %llu open from %s, %.*f more each minute",
			       program, fd_kind_name(row->kind), (unsigned long long)row->open,
			       place, row->rate_per_min < 10, row->rate_per_min);
		return;
	}
	for (unsigned int i = 0; i < f->site_count; i++) {
		open += f->sites[i].open;
		per_min += f->sites[i].rate_per_min;
	}
	report_message(r,
		       "%s leaks descriptors at %u places that grow together: %llu open, %.*f more "
		       "each minute, %llu of them %s from %s",
		       program, f->site_count, open, per_min < 10, per_min,
		       (unsigned long long)row->open, fd_kind_name(row->kind), place);
}

static void growth_format(struct report *r, const struct growing *g)
{
	const struct finding *f = &r->finding;
	const struct site_row *row = &f->sites[0];
	const struct growing_place *place = growing_find(g, row->site);

	growth_format_message(r);
	report_why(r, "%llu opened %s, %llu closed; fewest open in three windows running: ",
		   (unsigned long long)row->opened,
		   f->site_count == 1 ? "here" : "at the first of them",
		   (unsigned long long)row->closed);
	if (place)
		growth_add_minima(r, &place->counts.growth[g->scale]);
	growth_add_idle(r);
	r->finding.help = help_growth(row);
}

static void growing_mark_reported(const struct growing *g, const struct process *process)
{
	map_each (&g->engine->sites.map, entry) {
		struct site *site = entry->value;
		const struct growing_place *place = growing_find(g, site);

		if (place && place->leaks && site->process == process)
			site->growth_reported = true;
	}
}

static void growth_report(struct growing *g, const struct growing_process *gp,
			  const struct fdtable *table)
{
	struct engine *e = g->engine;
	struct report r;
	struct finding *f = &r.finding;
	struct site_labels labels;

	report_begin(&r, e, RULE_LEAK_GROWTH, gp->process, NULL);
	finding_sites(e, f, table, is_of_leak, g, &labels);
	growth_choose_rows(g, f);
	if (!f->site_count)
		return;
	report_trust(&r, table, CONFIDENCE_INFERRED);
	f->limit = growth_forecast(e, gp->process, table, gp->gained, g->scale);
	f->severity = growth_severity(&f->limit);
	f->first_ns = e->now_ns - f->sites[0].oldest_ns;
	growing_mark_reported(g, gp->process);
	if (!report_lead(&r))
		return;
	if (report_is_news(&r)) {
		finding_ask_idle(e, table, &f->sites[0], 0, ROW_IDLE_NS);
		growth_format(&r, g);
	}
	report_send(&r);
}

static int growing_by_serial(const void *a, const void *b)
{
	const struct growing_process *x = *(struct growing_process *const *)a;
	const struct growing_process *y = *(struct growing_process *const *)b;

	return (x->process->serial > y->process->serial) -
	       (x->process->serial < y->process->serial);
}

/* In the order in which the processes were met: that of the map depends on its size. */
static void growing_report_all(struct growing *g)
{
	size_t bytes = g->processes.count * sizeof(struct growing_process *), count = 0;
	struct growing_process **list = bytes ? mem_alloc_beyond(&g->engine->mem, bytes) : NULL;

	if (!list)
		return;
	map_each (&g->processes, entry)
		list[count++] = entry->value;
	qsort(list, count, sizeof(*list), growing_by_serial);
	for (size_t i = 0; i < count; i++) {
		const struct fdtable *table = process_table(list[i]->process);

		if (table && list[i]->leaks)
			growth_report(g, list[i], table);
	}
	mem_free(&g->engine->mem, list, bytes);
}

static void growing_judge(struct growing *g)
{
	for (unsigned int i = 0; i < g->count; i++) {
		struct growing_place *place = &g->list[i];
		struct growing_process *gp = map_get(&g->processes, place->counts.process->serial);

		place->leaks = growth_is_leak(g->engine, &place->counts, g->scale);
		gp->leaks += place->leaks;
	}
	growing_report_all(g);
}

static void growing_done(struct growing *g)
{
	struct mem *mem = &g->engine->mem;

	map_each (&g->processes, entry)
		mem_free(mem, entry->value, sizeof(struct growing_process));
	map_done(mem, &g->processes);
	map_done(mem, &g->by_place);
	mem_free(mem, g->list, g->capacity * sizeof(*g->list));
}

/* ---- descriptors whose opener is not known ---- */

static bool is_unknown(const struct slot *slot, int32_t fd, const void *ctx)
{
	(void)fd, (void)ctx;
	return !slot->site;
}

/* "hooks were off 95 % of the time", or what else it may be. */
static void unknown_add_reason(struct report *r, const struct unknown_growth *growth)
{
	const struct engine *e = r->engine;
	uint64_t gap_ns = engine_gap_ns(e) - growth->gap_ns, passed = e->now_ns - growth->began_ns;

	if (gap_ns && passed)
		report_add_why(r, "hooks were off %llu %% of the time",
			       (unsigned long long)((gap_ns * 100 + passed / 2) / passed));
	else
		report_add_why(r, "no hook has seen them being made");
}

/* What makes the next ones seen. The hooks are off only where the whole machine is traced. */
static const char *unknown_help(const struct engine *e, const struct unknown_growth *growth)
{
	if (e->options.mode == ENGINE_ALL && engine_gap_ns(e) != growth->gap_ns)
		return "trace this process alone (fdtrace -p PID): then every opener is seen";
	return "no tracepoint shows how they are made (man fdtrace, CAVEATS): with "
	       "--hooks=function every opener is seen";
}

static void unknown_format(struct report *r, const struct fdtable *table, int scale)
{
	double per_min = r->finding.limit.rate_per_min;

	report_message(
		r, "%s leaks descriptors: %u open whose opener is unknown, %.*f more each minute",
		process_program(table->owner), table->unknown, per_min < 10, per_min);
	report_why(r, "opener unknown: ");
	unknown_add_reason(r, table->growth);
	report_add_why(r, "; fewest such open in three windows running: ");
	growth_add_minima(r, &table->growth->counts.growth[scale]);
	r->finding.help = unknown_help(r->engine, table->growth);
}

static void unknown_report(struct engine *e, const struct fdtable *table, int scale)
{
	struct report r;
	struct finding *f = &r.finding;
	struct site_labels labels;

	report_begin(&r, e, RULE_LEAK_GROWTH, table->owner, NULL);
	finding_sites(e, f, table, is_unknown, NULL, &labels);
	if (!f->site_count)
		return;
	report_trust(&r, table, CONFIDENCE_INFERRED);
	f->limit = growth_forecast(e, table->owner, table,
				   growth_gain(&table->growth->counts.growth[scale]), scale);
	f->severity = growth_severity(&f->limit);
	f->first_ns = table->growth->began_ns;
	if (report_is_news(&r)) {
		finding_ask_idle(e, table, &f->sites[0], 0, ROW_IDLE_NS);
		unknown_format(&r, table, scale);
	}
	report_send(&r);
}

/* A site of the process has been reported: that says more. */
static bool is_explained(struct engine *e, const struct process *process)
{
	map_each (&e->sites.map, entry) {
		const struct site *site = entry->value;

		if (site->growth_reported && process_same(site->process, process))
			return true;
	}
	return false;
}

static void begin_unknown(struct engine *e, struct fdtable *table)
{
	struct unknown_growth *growth = mem_alloc(&e->mem, sizeof(*growth));

	if (!growth)
		return;
	*growth = (struct unknown_growth){ .began_ns = e->now_ns, .gap_ns = engine_gap_ns(e) };
	growth->counts.open = growth->counts.peak = growth->counts.high = table->unknown;
	for (int scale = 0; scale < GROWTH_SCALES; scale++)
		growth->counts.growth[scale].min_now = table->unknown;
	table->growth = growth;
}

static void judge_unknown(struct engine *e, struct fdtable *table, int scale)
{
	struct site *counts = &table->growth->counts;

	growth_roll(&counts->growth[scale], counts->open, counts->falls);
	e->suspect_count += growth_rises(&counts->growth[scale]);
	counts->process = table->owner;
	if (e->now_ns - table->growth->began_ns >= e->options.settings.leak_min_age_ns &&
	    growth_is_leak(e, counts, scale) && !is_explained(e, table->owner))
		unknown_report(e, table, scale);
	counts->process = NULL;
}

/* Where all is seen being opened there are no more of these than were there before us. */
static void end_window_of_tables(struct engine *e, int scale)
{
	map_each (&e->tables, entry) {
		struct fdtable *table = entry->value;

		e->suspect_count +=
			table->owner->nofile && table->open >= table->owner->nofile / 4 * 3;
		if (table->growth)
			judge_unknown(e, table, scale);
		else if (!scale && table->unknown >= e->options.settings.leak_min_count)
			begin_unknown(e, table);
	}
}

static void end_window(struct engine *e, int scale)
{
	struct growing g = { .engine = e, .scale = scale };

	if (!scale)
		e->suspect_count = 0;
	growth_state(e)->windows++;
	map_each (&e->sites.map, entry) {
		struct site *site = entry->value;

		if (!site->opened)
			continue;
		growth_roll(&site->growth[scale], site->open, site->falls);
		e->suspect_count += growth_rises(&site->growth[scale]);
		if (growth_gain(&site->growth[scale]) > 0)
			growing_note_process(&g, site->process);
	}
	if (g.processes.count) {
		map_each (&e->sites.map, entry)
			growing_add_site(&g, entry->value);
		growing_judge(&g);
	}
	growing_done(&g);
	end_window_of_tables(e, scale);
}

static void leak_tick(struct engine *e)
{
	struct leak_growth *state = growth_state(e);

	for (int scale = 0; scale < GROWTH_SCALES; scale++) {
		uint64_t length = e->options.settings.leak_window_ns * window_multiple[scale];

		if (!state->window_ns[scale])
			state->window_ns[scale] = e->now_ns;
		if (e->now_ns - state->window_ns[scale] < length)
			continue;
		state->window_ns[scale] = e->now_ns;
		end_window(e, scale);
	}
}

static void forget_windows(struct site *site)
{
	for (int scale = 0; scale < GROWTH_SCALES; scale++)
		site->growth[scale].windows = 0;
}

static void leak_done(struct engine *e)
{
	e->suspect_count = 0;
	map_each (&e->sites.map, entry)
		forget_windows(entry->value);
	map_each (&e->tables, entry) {
		struct fdtable *table = entry->value;

		if (table->growth)
			forget_windows(&table->growth->counts);
	}
}

static uint64_t growth_takes_ns(const struct settings *settings)
{
	uint64_t windows_ns = settings->leak_window_ns * GROWTH_WINDOWS;

	return windows_ns > settings->leak_min_age_ns ? windows_ns : settings->leak_min_age_ns;
}

const struct detector detector_leak_growth = {
	.name = "leak.growth",
	.id = DETECTOR_LEAK_GROWTH,
	.rules = RULE_BIT(LEAK_GROWTH),
	.state_bytes = sizeof(struct leak_growth),
	.takes_ns = growth_takes_ns,
	.tick = leak_tick,
	.done = leak_done,
};
