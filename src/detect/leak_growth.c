// SPDX-License-Identifier: BSD-2-Clause
/*
 * leak.growth: a site's open descriptors keep rising. Judged by the smallest open count in
 * each of three windows: a sawtooth or a plateau has equal minima, a leak has rising ones.
 * Windows of four lengths run side by side, so that a leak of one an hour shows as well as
 * one of a hundred a second.
 *
 * leak.exit: what a program had opened itself and left open when it ended.
 */
#include <stdio.h>

#include "detect/detectors.h"
#include "engine/engine_private.h"

#define SECOND_NS 1000000000ull
#define YEAR_S (366ull * 24 * 3600)

static const unsigned int window_multiple[GROWTH_SCALES] = { 1, 6, 36, 216 };

struct leak_growth {
	uint64_t window_ns[GROWTH_SCALES]; /* when the running windows began */
};

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

static bool is_site(const struct slot *slot, int32_t fd, const void *ctx)
{
	(void)fd;
	return site_now(slot->site) == ctx;
}

/* "; of 64 asked 60 were idle for 12 s or longer, 30 in CLOSE_WAIT"; "" where nothing is known. */
static void growth_format_idle(const struct site_row *row, char *buffer, size_t size)
{
	char span[32];
	size_t used;

	buffer[0] = '\0';
	if (!row->idle && !row->close_wait)
		return;
	finding_format_time(row->idle_ns, span, sizeof(span));
	used = (size_t)snprintf(buffer, size, "; of %u asked %u were idle for %s or longer",
				row->asked, row->idle, span);
	if (row->close_wait && used < size)
		snprintf(buffer + used, size - used, ", %u in CLOSE_WAIT", row->close_wait);
}

static double rate_per_s(const struct engine *e, const struct site *site, int scale)
{
	const struct site_growth *growth = &site->growth[scale];
	double window_s = e->options.settings.leak_window_ns * 1e-9 * window_multiple[scale];

	return (growth->minimum[0] - growth->minimum[2]) / (2 * window_s);
}

static struct finding_limit growth_forecast(const struct engine *e, const struct site *site,
					    const struct fdtable *table, int scale)
{
	double per_s = rate_per_s(e, site, scale);
	struct finding_limit limit = { .present = true,
				       .soft = site->process->nofile,
				       .open = table->open,
				       .rate_per_min = per_s * 60 };
	double left_s = limit.soft > limit.open ? (limit.soft - limit.open) / per_s : 0;

	if (limit.soft && left_s < YEAR_S)
		limit.exhausted_in_s = left_s < 1 ? 1 : left_s;
	return limit;
}

static void report_growth(struct engine *e, struct site *site, const struct fdtable *table,
			  int scale)
{
	struct finding f = { .rule = RULE_LEAK_GROWTH,
			     .severity = SEVERITY_WARNING,
			     .process = site->process,
			     .descriptor = { .fd = -1 } };
	struct site_labels labels;
	char message[256], why[384], left[32], idle[96];

	finding_sites(e, &f, table, is_site, site, &labels);
	if (!f.site_count || f.sites[0].oldest_ns < e->options.settings.leak_min_age_ns)
		return;
	f.limit = growth_forecast(e, site, table, scale);
	if (f.limit.exhausted_in_s && f.limit.exhausted_in_s <= 3600)
		f.severity = SEVERITY_ERROR;
	f.first_ns = e->now_ns - f.sites[0].oldest_ns;
	f.confidence = finding_confidence(table, CONFIDENCE_INFERRED);
	f.fingerprint = finding_fingerprint(f.rule, site->process, site);
	site->growth_told = true;
	if (finding_is_news(e, &f))
		finding_ask_idle(e, table, &f.sites[0], 0, ROW_IDLE_NS);
	snprintf(message, sizeof(message),
		 "%s leaks %s descriptors: %llu open from %s, %.*f more each minute",
		 process_program(site->process), fd_kind_name(site->kind),
		 (unsigned long long)site->open, labels.text[0], f.limit.rate_per_min < 10,
		 f.limit.rate_per_min);
	finding_format_time(f.limit.exhausted_in_s * SECOND_NS, left, sizeof(left));
	growth_format_idle(&f.sites[0], idle, sizeof(idle));
	snprintf(why, sizeof(why),
		 "%llu opened here, %llu closed; fewest open in three windows running: %llu, %llu, "
		 "%llu%s%s%s",
		 (unsigned long long)site->opened, (unsigned long long)site->closed,
		 (unsigned long long)site->growth[scale].minimum[2],
		 (unsigned long long)site->growth[scale].minimum[1],
		 (unsigned long long)site->growth[scale].minimum[0],
		 f.limit.exhausted_in_s ? "; at this rate RLIMIT_NOFILE is reached in " : "",
		 f.limit.exhausted_in_s ? left : "", idle);
	f.message = message;
	f.why = why;
	f.help = "close it on every path, including error and retry paths";
	finding_report(e, &f);
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

static void growth_judge(struct engine *e, struct site *site, int scale)
{
	const struct fdtable *table = process_table(site->process);

	e->suspect_count += growth_rises(&site->growth[scale]);
	if (table && growth_is_leak(e, site, scale))
		report_growth(e, site, table, scale);
}

/* ---- descriptors whose opener is not known ---- */

static bool is_unknown(const struct slot *slot, int32_t fd, const void *ctx)
{
	(void)fd, (void)ctx;
	return !slot->site;
}

/* "hooks were off 95 % of the time", or what else it may be. */
static void format_unknown(const struct engine *e, const struct unknown_growth *growth,
			   char *buffer, size_t size)
{
	uint64_t gap_ns = engine_gap_ns(e) - growth->gap_ns, passed = e->now_ns - growth->began_ns;

	if (gap_ns && passed)
		snprintf(buffer, size, "hooks were off %llu %% of the time",
			 (unsigned long long)((gap_ns * 100 + passed / 2) / passed));
	else
		snprintf(buffer, size, "no hook has seen them being made");
}

/* What makes the next ones seen. The hooks are off only where the whole machine is traced. */
static const char *help_unknown(const struct engine *e, const struct unknown_growth *growth)
{
	if (e->options.mode == ENGINE_ALL && engine_gap_ns(e) != growth->gap_ns)
		return "trace this process alone (fdtrace -p PID): then every opener is seen";
	return "no tracepoint shows how they are made (man fdtrace, CAVEATS): with "
	       "--hooks=function every opener is seen";
}

static void report_unknown(struct engine *e, const struct fdtable *table, int scale)
{
	const struct site *counts = &table->growth->counts;
	struct finding f = { .rule = RULE_LEAK_GROWTH,
			     .severity = SEVERITY_WARNING,
			     .process = table->owner,
			     .first_ns = table->growth->began_ns,
			     .descriptor = { .fd = -1 } };
	struct site_labels labels;
	char message[256], why[384], left[32], reason[64];

	finding_sites(e, &f, table, is_unknown, NULL, &labels);
	if (!f.site_count)
		return;
	f.limit = growth_forecast(e, counts, table, scale);
	if (f.limit.exhausted_in_s && f.limit.exhausted_in_s <= 3600)
		f.severity = SEVERITY_ERROR;
	f.confidence = finding_confidence(table, CONFIDENCE_INFERRED);
	f.fingerprint = finding_fingerprint(f.rule, table->owner, NULL);
	if (finding_is_news(e, &f))
		finding_ask_idle(e, table, &f.sites[0], 0, ROW_IDLE_NS);
	snprintf(message, sizeof(message),
		 "%s leaks descriptors: %u open whose opener is unknown, %.*f more each minute",
		 process_program(table->owner), table->unknown, f.limit.rate_per_min < 10,
		 f.limit.rate_per_min);
	finding_format_time(f.limit.exhausted_in_s * SECOND_NS, left, sizeof(left));
	format_unknown(e, table->growth, reason, sizeof(reason));
	snprintf(why, sizeof(why),
		 "opener unknown: %s; fewest such open in three windows running: %llu, %llu, "
		 "%llu%s%s",
		 reason, (unsigned long long)counts->growth[scale].minimum[2],
		 (unsigned long long)counts->growth[scale].minimum[1],
		 (unsigned long long)counts->growth[scale].minimum[0],
		 f.limit.exhausted_in_s ? "; at this rate RLIMIT_NOFILE is reached in " : "",
		 f.limit.exhausted_in_s ? left : "");
	f.message = message;
	f.why = why;
	f.help = help_unknown(e, table->growth);
	finding_report(e, &f);
}

/* A site of the process has been reported: that says more. */
static bool is_explained(struct engine *e, const struct process *process)
{
	map_each (&e->sites.map, entry) {
		const struct site *site = entry->value;

		if (site->growth_told && process_same(site->process, process))
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
		report_unknown(e, table, scale);
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
	if (!scale)
		e->suspect_count = 0;
	map_each (&e->sites.map, entry) {
		struct site *site = entry->value;

		if (!site->opened)
			continue;
		growth_roll(&site->growth[scale], site->open, site->falls);
		growth_judge(e, site, scale);
	}
	end_window_of_tables(e, scale);
}

static void leak_tick(struct engine *e)
{
	struct leak_growth *state = detector_state(e, DETECTOR_LEAK_GROWTH);

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

const struct detector detector_leak_growth = {
	.name = "leak.growth",
	.id = DETECTOR_LEAK_GROWTH,
	.rules = RULE_BIT(LEAK_GROWTH),
	.state_bytes = sizeof(struct leak_growth),
	.tick = leak_tick,
	.done = leak_done,
};

/* ---- leak.exit ---- */

/* The standard three are everybody's; what came by fork or exec is its opener's to account for. */
static bool left_open(const struct slot *slot, int32_t fd, const void *owner)
{
	return fd > 2 && slot->site && slot->site->process == owner;
}

static void report_exit(struct engine *e, const struct fdtable *table, const struct site_row *row)
{
	const struct slot *slot = fdtable_slot(table, row->example_fd);
	struct finding f = { .rule = RULE_LEAK_EXIT,
			     .process = table->owner,
			     .severity = e->options.settings.leak_exit_severity,
			     .descriptor = slots_descriptor(e, table, row->example_fd),
			     .opened = party_opened(slot),
			     .opened_is_culprit = true,
			     .sites = { *row },
			     .site_count = 1,
			     .site_total = 1 };
	char message[256], what[160];

	finding_describe(&f.descriptor, what, sizeof(what));
	f.first_ns = slot->opened_ns;
	f.confidence = finding_confidence(table, CONFIDENCE_EXACT);
	f.fingerprint = finding_fingerprint(f.rule, table->owner, row->site);
	if (row->open == 1)
		snprintf(message, sizeof(message), "%s ended with %s still open, opened by %s",
			 process_program(table->owner), what, row->label);
	else
		snprintf(message, sizeof(message),
			 "%s ended with %llu descriptors still open from %s, the oldest %s",
			 process_program(table->owner), (unsigned long long)row->open, row->label,
			 what);
	f.message = message;
	f.help = "the kernel closes it at exit; close it when it is no longer needed";
	finding_report(e, &f);
}

static void exit_table_ended(struct engine *e, struct fdtable *table)
{
	if (table->replaced || e->options.mode != ENGINE_COMMAND || e->finished ||
	    !table->owner->ended_ns)
		return;
	finding_each_site(e, table, left_open, table->owner, report_exit);
}

const struct detector detector_leak_exit = {
	.name = "leak.exit",
	.id = DETECTOR_LEAK_EXIT,
	.rules = RULE_BIT(LEAK_EXIT),
	.table_ended = exit_table_ended,
};
