// SPDX-License-Identifier: BSD-2-Clause
/*
 * The summary: the verdict in one line, the findings as a table, the processes by how full
 * their tables are, and what fdtrace has not seen.
 */
#include "base/clock.h"
#include "output/text/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/hash.h"
#include "model/process.h"
#include "util/hostinfo.h"

#define PROCESSES_SHOWN 10
#define FINDINGS_SHOWN 100
#define INTERVAL_FINDINGS_SHOWN 10
#define SEVERITY_COLUMN 2 /* of the table of findings: where a column begins */
#define RULE_COLUMN 11
#define OPEN_END 30 /* ... or ends, where its text stands at the right */
#define RATE_END 38
#define SITE_COLUMN 40
#define FINGERPRINT_COLUMNS 14 /* "1b7e0c55 x9999" */
#define NARROW 79              /* below this a site gets a line of its own */
#define WIDE 110               /* from here on there is room for times, too */
#define SEEN_COLUMNS 21        /* "  23:59:59 - 23:59:59" */
#define TIME_COLUMNS 8
#define DATE_COLUMNS 19
#define KINDS_SHOWN 6
#define HELD_TABLES_SHOWN 3 /* processes of which it is shown who holds the table ... */
#define WORTH_ROWS 16       /* ... if there are so many in it ... */
#define HOLDINGS_SHOWN 6    /* ... and so many rows of each */

/* A copy of a row of engine_each_process(): the row is only borrowed. */
struct table_use {
	char name[PROCESS_NAME_SIZE];
	uint32_t pid, image;
	uint64_t open, soft, opened, closed, short_lived;
	uint64_t by_kind[FD_KIND_COUNT];
	uint64_t peak;
	const struct process_left *left; /* borrowed of the process, which the engine keeps */
	bool ended;
	int32_t exit_code;
};

struct overview {
	struct page *page;
	int64_t wall_offset_ns;
	enum severity min_severity;
	bool attached; /* an inventory: nothing has happened yet */
	/* processes */
	struct table_use top[PROCESSES_SHOWN];
	unsigned int top_count, name_columns;
	uint64_t processes, unknown_opener;
	/* findings */
	unsigned int findings, findings_max, site_columns; /* of those shown */
	uint64_t withheld;
	uint64_t sites_seen[FINDINGS_SHOWN];
	unsigned int sites;
};

static double use_ratio(const struct table_use *use)
{
	return use->soft ? (double)use->open / (double)use->soft : 0;
}

static bool is_table_fuller(const struct table_use *a, const struct table_use *b)
{
	double ratio_a = use_ratio(a), ratio_b = use_ratio(b);

	if (ratio_a > ratio_b || ratio_a < ratio_b)
		return ratio_a > ratio_b;
	if (a->open != b->open)
		return a->open > b->open;
	return a->opened > b->opened;
}

static void keep_if_among_top(struct overview *o, const struct table_use *use)
{
	unsigned int at = o->top_count;

	while (at && is_table_fuller(use, &o->top[at - 1]))
		at--;
	if (at == PROCESSES_SHOWN)
		return;
	if (o->top_count < PROCESSES_SHOWN)
		o->top_count++;
	memmove(&o->top[at + 1], &o->top[at], (o->top_count - 1 - at) * sizeof(*use));
	o->top[at] = *use;
}

static void read_process(void *ctx, const struct process_row *row)
{
	const struct process *p = row->process;
	struct table_use use = {
		.pid = p->pid,
		.image = p->image,
		.open = row->open,
		.soft = p->nofile,
		.opened = p->opened,
		.closed = p->closed,
		.short_lived = p->short_lived,
		.peak = row->peak,
		.left = p->left,
		.ended = p->ended_ns,
		.exit_code = p->exit_code,
	};
	struct overview *o = ctx;

	memcpy(use.name, p->name, sizeof(use.name));
	memcpy(use.by_kind, row->by_kind, sizeof(use.by_kind));
	o->processes++;
	o->unknown_opener += row->unknown_opener;
	keep_if_among_top(o, &use);
}

static void count_site(struct overview *o, const char *site)
{
	uint64_t hash = hash_text(HASH_START, site);

	for (unsigned int i = 0; i < o->sites; i++)
		if (o->sites_seen[i] == hash)
			return;
	if (o->sites < FINDINGS_SHOWN)
		o->sites_seen[o->sites++] = hash;
}

static void measure_finding(void *ctx, const struct finding_row *row)
{
	struct overview *o = ctx;
	unsigned int columns;

	if (row->severity < o->min_severity)
		return;
	o->withheld += !row->reported;
	if (!row->reported)
		return;
	o->findings++;
	if (!row->site)
		return;
	count_site(o, row->site);
	columns = page_columns(row->site);
	if (o->findings <= o->findings_max && columns > o->site_columns)
		o->site_columns = columns;
}

static void append_count(char *buffer, size_t size, uint64_t count, const char *one,
			 const char *many)
{
	char text[PHRASE_SIZE];
	size_t done = strlen(buffer);

	if (!count)
		return;
	phrase_count(text, sizeof(text), count, one, many);
	snprintf(buffer + done, size - done, "%s%s", done ? ", " : "", text);
}

static void put_verdict(struct overview *o, const struct engine_counters *c)
{
	char counts[4 * PHRASE_SIZE] = "";

	append_count(counts, sizeof(counts), c->findings[SEVERITY_ERROR], "error", "errors");
	if (o->min_severity <= SEVERITY_WARNING)
		append_count(counts, sizeof(counts), c->findings[SEVERITY_WARNING], "warning",
			     "warnings");
	if (o->min_severity <= SEVERITY_INFO)
		append_count(counts, sizeof(counts), c->findings[SEVERITY_INFO], "info", "info");
	page_style(o->page, STYLE_BOLD);
	page_text(o->page, "fdtrace: ", PAGE_ALL);
	if (!counts[0]) {
		page_text(o->page, "nothing found", PAGE_ALL);
		return;
	}
	page_style(o->page, text_severity_style(c->findings[SEVERITY_ERROR]     ? SEVERITY_ERROR
						: c->findings[SEVERITY_WARNING] ? SEVERITY_WARNING
										: SEVERITY_INFO));
	page_text(o->page, counts, PAGE_ALL);
	page_style(o->page, STYLE_BOLD);
	append_count(strcpy(counts, ""), sizeof(counts), o->sites, "site", "sites");
	if (counts[0])
		page_printf(o->page, " in %s", counts);
}

static void first_line(struct overview *o, const struct summary *s)
{
	char took[PHRASE_SIZE], events[PHRASE_SIZE], lost[PHRASE_SIZE], text[512];
	size_t done;

	put_verdict(o, &s->counters);
	phrase_duration(took, sizeof(took), s->duration_ns);
	phrase_count(events, sizeof(events), s->counters.events, "event", "events");
	phrase_number(lost, sizeof(lost), s->counters.lost);
	done = (size_t)snprintf(text, sizeof(text), "; %s, %s, %s lost", took, events, lost);
	if (s->host->coverage[0])
		done += (size_t)snprintf(text + done, sizeof(text) - done, ", coverage %s",
					 s->host->coverage);
	if (s->cpu_ratio >= 0)
		snprintf(text + done, sizeof(text) - done, ", %u.%u %% cpu",
			 (unsigned int)(s->cpu_ratio * 1000 + 0.5) / 10,
			 (unsigned int)(s->cpu_ratio * 1000 + 0.5) % 10);
	page_style(o->page, STYLE_PLAIN);
	page_wrap(o->page, 9, text, NULL);
}

static bool is_narrow(const struct overview *o)
{
	return o->page->width && o->page->width < NARROW;
}

/* Columns for the site in a row of the table. */
static unsigned int site_room(const struct overview *o)
{
	unsigned int columns = o->site_columns < 4 ? 4 : o->site_columns;
	unsigned int room =
		o->page->width ? o->page->width - SITE_COLUMN - 2 - FINGERPRINT_COLUMNS : PAGE_ALL;

	if (o->page->width >= WIDE)
		room -= SEEN_COLUMNS;

	return columns < room ? columns : room;
}

/* On a narrow page the site has a line of its own: the row has no room for it. */
static unsigned int fingerprint_column(const struct overview *o)
{
	return SITE_COLUMN + 2 + site_room(o);
}

static unsigned int seen_column(const struct overview *o)
{
	return fingerprint_column(o) + FINGERPRINT_COLUMNS + 2;
}

/* "23:59:59 - 23:59:59" right of all other columns. */
static bool has_seen_column(const struct overview *o)
{
	return !o->page->width || o->page->width >= WIDE;
}

static void put_right_aligned(struct page *page, unsigned int end, const char *text)
{
	unsigned int columns = page_columns(text);

	page_tab(page, end > columns ? end - columns : 0, 1);
	page_text(page, text, PAGE_ALL);
}

static void table_head(struct overview *o)
{
	struct page *page = o->page;

	page_style(page, STYLE_DIM);
	page_tab(page, SEVERITY_COLUMN, 0);
	page_text(page, "SEVERITY", PAGE_ALL);
	page_tab(page, RULE_COLUMN, 0);
	page_text(page, "RULE", PAGE_ALL);
	put_right_aligned(page, OPEN_END, "OPEN");
	put_right_aligned(page, RATE_END, "/MIN");
	page_tab(page, SITE_COLUMN, 0);
	if (!is_narrow(o)) {
		page_text(page, "SITE", PAGE_ALL);
		page_tab(page, fingerprint_column(o), 0);
	}
	page_text(page, "FINGERPRINT", PAGE_ALL);
	if (has_seen_column(o)) {
		page_tab(page, seen_column(o), 2);
		page_text(page, "SEEN", PAGE_ALL);
	}
	page_newline(page);
}

/* "23:59:59", or when it was first and last found, by the day where that is needed. */
static void say_seen(const struct overview *o, const struct finding_row *row, char *buffer,
		     size_t size)
{
	bool days = row->last_ns - row->first_ns >= DAY_NS;
	int columns = days ? DATE_COLUMNS : TIME_COLUMNS;
	char first[PHRASE_SIZE], last[PHRASE_SIZE];

	phrase_wall(first, sizeof(first), row->first_ns, o->wall_offset_ns, days);
	phrase_wall(last, sizeof(last), row->last_ns, o->wall_offset_ns, days);
	if (strncmp(first, last, (size_t)columns) == 0)
		snprintf(buffer, size, "%.*s", columns, last);
	else
		snprintf(buffer, size, "%.*s - %.*s", columns, first, columns, last);
}

/* Where a row has no room for it, only what was found repeatedly gets a line for it. */
static void put_seen(struct overview *o, const struct finding_row *row)
{
	struct page *page = o->page;
	char seen[2 * PHRASE_SIZE];

	if (row->count < 2 && o->page->width && !has_seen_column(o))
		return;
	say_seen(o, row, seen, sizeof(seen));
	if (has_seen_column(o)) {
		page_tab(page, seen_column(o), 2);
	} else {
		page_newline(page);
		page_tab(page, 8, 0);
	}
	page_text(page, seen, PAGE_ALL);
}

static void table_row(void *ctx, const struct finding_row *row)
{
	struct overview *o = ctx;
	struct page *page = o->page;
	char open[PHRASE_SIZE] = "-", rate[PHRASE_SIZE];

	if (row->severity < o->min_severity || !row->reported || o->findings++ >= o->findings_max)
		return;
	if (row->open)
		snprintf(open, sizeof(open), "%" PRIu64, row->open);
	phrase_rate(rate, sizeof(rate), row->rate_per_min);
	page_tab(page, SEVERITY_COLUMN, 0);
	page_style(page, text_severity_style(row->severity));
	page_text(page, severity_name(row->severity), PAGE_ALL);
	page_style(page, STYLE_PLAIN);
	page_tab(page, RULE_COLUMN, 1);
	page_text(page, rule_info(row->rule)->id, PAGE_ALL);
	put_right_aligned(page, OPEN_END, open);
	put_right_aligned(page, RATE_END, rate);
	page_tab(page, SITE_COLUMN, 1);
	if (!is_narrow(o)) {
		page_text(page, row->site ? row->site : "-", site_room(o));
		page_tab(page, fingerprint_column(o), 0);
	}
	page_printf(page, "%08" PRIx32, (uint32_t)(row->fingerprint >> 32));
	if (row->count > 1)
		page_printf(page, " x%" PRIu64, row->count);
	put_seen(o, row);
	page_newline(page);
	if (is_narrow(o) && row->site) {
		page_tab(page, 8, 0);
		page_text(page, row->site, PAGE_ALL);
		page_newline(page);
	}
}

static void finding_table(struct overview *o, struct engine *engine)
{
	unsigned int total = o->findings;
	char more[PHRASE_SIZE];
	uint64_t more_rows;

	if (!total)
		return;
	table_head(o);
	o->findings = 0;
	engine_each_finding(engine, table_row, o);
	more_rows = o->withheld + (total > o->findings_max ? total - o->findings_max : 0);
	if (!more_rows)
		return;
	phrase_number(more, sizeof(more), more_rows);
	page_printf(o->page, "  and %s more", more);
	page_newline(o->page);
}

/* Puts text after a gap, or on a line of its own where this one has no room for it. */
static void go_on(struct page *page, unsigned int gap, const char *text)
{
	if (page_room(page) < gap + page_columns(text)) {
		page_newline(page);
		page_tab(page, 4, 0);
	} else {
		page_tab(page, 0, gap);
	}
	page_text(page, text, PAGE_ALL);
}

static void put_end(struct page *page, const struct table_use *use)
{
	int status = use->exit_code;
	char text[PHRASE_SIZE];

	if (!use->ended)
		return;
	if (WIFSIGNALED(status))
		snprintf(text, sizeof(text), "killed by signal %d", WTERMSIG(status));
	else
		snprintf(text, sizeof(text), "exited %d", WEXITSTATUS(status));
	page_style(page, STYLE_DIM);
	go_on(page, 2, text);
}

static void put_traffic(struct page *page, const struct table_use *use)
{
	char opened[PHRASE_SIZE], closed[PHRASE_SIZE], brief[PHRASE_SIZE], text[4 * PHRASE_SIZE];

	phrase_number(opened, sizeof(opened), use->opened);
	phrase_number(closed, sizeof(closed), use->closed);
	phrase_number(brief, sizeof(brief), use->short_lived);
	snprintf(text, sizeof(text), "opened %s  closed %s  short-lived %s", opened, closed, brief);
	go_on(page, 3, text);
}

/* With -v: "612 tcp, 33 file"; the most frequent kinds. */
static void put_top_kinds(struct page *page, struct table_use *use)
{
	for (unsigned int shown = 0; shown < KINDS_SHOWN; shown++) {
		unsigned int most = 0;

		for (unsigned int kind = 1; kind < FD_KIND_COUNT; kind++)
			if (use->by_kind[kind] > use->by_kind[most])
				most = kind;
		if (!use->by_kind[most])
			break;
		if (!shown)
			page_tab(page, 4, 0);
		page_printf(page, "%s%" PRIu64 " %s", shown ? ", " : "", use->by_kind[most],
			    fd_kind_name((enum fd_kind)most));
		use->by_kind[most] = 0;
	}
	if (page->column)
		page_newline(page);
}

static void put_more_rows(struct page *page, unsigned int more)
{
	if (!more)
		return;
	page_tab(page, 7, 0);
	page_printf(page, "and %u more %s", more, more == 1 ? "site" : "sites");
	page_newline(page);
}

/* "left open when it ended: 199", and by which places. */
static void put_left(struct page *page, const struct process_left *left)
{
	char open[PHRASE_SIZE];

	phrase_count(open, sizeof(open), left->open, "descriptor", "descriptors");
	page_tab(page, 4, 0);
	page_printf(page, "left open when it ended: %s it had opened", open);
	page_newline(page);
	for (unsigned int i = 0; i < left->row_count; i++) {
		phrase_number(open, sizeof(open), left->rows[i].open);
		text_right(page, 5, 6, open);
		page_tab(page, 13, 2);
		page_text(page, fd_kind_name(left->rows[i].kind), 9);
		page_tab(page, 24, 2);
		page_text(page, left->rows[i].label, page_room(page));
		page_newline(page);
	}
	put_more_rows(page, left->row_total - left->row_count);
}

struct holding_rows {
	struct page *page;
	unsigned int shown, total;
};

static void put_holding(void *ctx, const struct site_row *row, unsigned int total)
{
	struct holding_rows *rows = ctx;

	rows->total = total;
	if (rows->shown >= HOLDINGS_SHOWN)
		return;
	if (!rows->shown++)
		text_site_head(rows->page);
	text_site_row(rows->page, row);
}

/* Who holds its table. */
static void put_holdings(struct page *page, struct engine *engine, uint32_t pid)
{
	struct holding_rows rows = { .page = page };

	engine_each_holding(engine, pid, put_holding, &rows);
	put_more_rows(page, rows.total - rows.shown);
}

static void process_line(struct overview *o, struct table_use *use, bool kinds)
{
	struct page *page = o->page;
	char name[64];

	snprintf(name, sizeof(name), "%s[%" PRIu32 "]", use->name, use->pid);
	page_text(page, name, o->name_columns);
	page_tab(page, o->name_columns + 2, 0);
	page_text(page, use->ended ? "peak " : "open ", PAGE_ALL);
	text_limit(page, use->ended ? use->peak : use->open, use->soft);
	if (!o->attached)
		put_traffic(page, use);
	put_end(page, use);
	page_newline(page);
	if (kinds)
		put_top_kinds(page, use);
	if (use->left)
		put_left(page, use->left);
}

static void process_table(struct overview *o, const struct summary *s, unsigned int verbosity)
{
	char more[PHRASE_SIZE];

	for (unsigned int i = 0; i < o->top_count; i++) {
		char name[64];
		unsigned int columns;

		snprintf(name, sizeof(name), "%s[%" PRIu32 "]", o->top[i].name, o->top[i].pid);
		columns = page_columns(name);
		columns = columns > 30 ? 30 : columns;
		o->name_columns = columns > o->name_columns ? columns : o->name_columns;
	}
	for (unsigned int i = 0; i < o->top_count; i++) {
		process_line(o, &o->top[i], verbosity > 0);
		if (s->holdings && i < HELD_TABLES_SHOWN && !o->top[i].ended &&
		    o->top[i].open >= WORTH_ROWS)
			put_holdings(o->page, s->engine, o->top[i].pid);
	}
	if (o->processes <= o->top_count)
		return;
	phrase_count(more, sizeof(more), o->processes - o->top_count, "more process",
		     "more processes");
	page_printf(o->page, "and %s", more);
	page_newline(o->page);
}

static void summary_note(struct page *page, const char *lead, uint64_t count, const char *one,
			 const char *many, const char *meaning)
{
	char number[PHRASE_SIZE], text[256];

	if (!count)
		return;
	phrase_count(number, sizeof(number), count, one, many);
	snprintf(text, sizeof(text), "%s %s", number, meaning);
	page_style(page, STYLE_WARNING);
	page_text(page, lead, PAGE_ALL);
	page_style(page, STYLE_PLAIN);
	page_tab(page, 0, 1);
	page_wrap(page, 10, text, NULL);
}

static void hooks_are_blind(struct page *page, const char *not_seen)
{
	char text[160];

	if (!*not_seen)
		return;
	snprintf(text, sizeof(text), "by these hooks: %s.", not_seen);
	page_style(page, STYLE_WARNING);
	page_text(page, "not seen:", PAGE_ALL);
	page_style(page, STYLE_PLAIN);
	page_tab(page, 0, 1);
	page_wrap(page, 10, text, NULL);
}

static uint64_t hidden_notes(const struct overview *o, const struct engine_counters *c)
{
	uint64_t hidden = 0;

	for (int severity = SEVERITY_INFO; severity < (int)o->min_severity; severity++)
		hidden += c->findings[severity];
	return hidden;
}

/* "3 slots differed from the kernel's table at an audit (2 filled ...) and were corrected." */
static void what_was_corrected(struct page *page, const struct engine_counters *c)
{
	char meaning[160];

	snprintf(meaning, sizeof(meaning),
		 "differed from the kernel's table at an audit (%" PRIu64 " filled and %" PRIu64
		 " emptied unseen, %" PRIu64 " after a loss) and were corrected.",
		 c->corrections_by[CORRECTION_FILLED], c->corrections_by[CORRECTION_EMPTIED],
		 c->corrections_by[CORRECTION_AFTER_LOSS]);
	summary_note(page, "corrected:", c->corrections, "slot", "slots", meaning);
}

static void what_is_missing(struct overview *o, const struct summary *s)
{
	const struct engine_counters *c = &s->counters;
	struct page *page = o->page;

	summary_note(page, "not seen:", o->unknown_opener, "fd opened before attach",
		     "fds opened before attach", "(opener unknown).");
	summary_note(page, "lost:", c->lost, "event", "events",
		     "dropped; findings near the gap are marked after_loss.");
	what_was_corrected(page, c);
	summary_note(page, "refused:", c->refused, "request", "requests",
		     "for memory refused (memory.max); the affected tables are incomplete.");
	text_withheld_sum(page, c);
	summary_note(page, "dropped:", c->findings_dropped, "finding", "findings",
		     "least recently seen, dropped to make room; the table above is incomplete.");
	summary_note(page, "forgotten:", c->ended_dropped, "earlier generation",
		     "earlier generations",
		     "to save memory (memory.max); histories may be shorter.");
	summary_note(page, "no stack:", s->stacks_skipped, "call", "calls",
		     "without a stack, to stay within stacks.budget (see --set help).");
	summary_note(page, "lost:", s->stacks_lost, "stack", "stacks",
		     "dropped because the ring was full (ring.size); sent again at the next use.");
	summary_note(page, "forgotten:", c->stacks_forgotten, "stack", "stacks",
		     "least used, to stay within stacks.memory; sent again at the next use.");
	summary_note(page, "malformed:", c->malformed, "event", "events", "invalid and skipped.");
	summary_note(page, "damaged:", s->damaged, "record", "records",
		     "of the recording could not be read.");
	if (s->final)
		summary_note(page, "not shown:", hidden_notes(o, c), "finding", "findings",
			     "below --min-severity.");
	text_suppressed_sum(page, s);
}

static void next_step(struct page *page, uint64_t fingerprint)
{
	page_style(page, STYLE_BOLD);
	page_text(page, "Next:", PAGE_ALL);
	page_style(page, STYLE_PLAIN);
	page_printf(page, " fdtrace explain %08" PRIx64, fingerprint >> 32);
	page_newline(page);
}

void text_summary(struct text_sink *t, const struct summary *s)
{
	struct overview o = {
		.page = &t->page,
		.wall_offset_ns = t->options.host->wall_offset_ns,
		.min_severity = t->options.min_severity,
		.findings_max = s->final ? FINDINGS_SHOWN : INTERVAL_FINDINGS_SHOWN,
	};

	engine_each_finding(s->engine, measure_finding, &o);
	engine_each_process(s->engine, read_process, &o);
	first_line(&o, s);
	finding_table(&o, s->engine);
	process_table(&o, s, t->options.verbosity);
	hooks_are_blind(&t->page, t->options.host->not_seen);
	what_is_missing(&o, s);
	if (s->final && t->next_severity)
		next_step(&t->page, t->next);
	if (!s->final)
		page_newline(&t->page);
}

/* "fdtrace: attached to 2 processes; 619 descriptors are open" */
static void put_attached(struct overview *o, const struct summary *s)
{
	char processes[PHRASE_SIZE], open[PHRASE_SIZE], text[4 * PHRASE_SIZE];

	phrase_count(processes, sizeof(processes), o->processes, "process", "processes");
	phrase_count(open, sizeof(open), s->counters.descriptors, "descriptor is",
		     "descriptors are");
	snprintf(text, sizeof(text), "attached to %s; %s open", processes, open);
	page_style(o->page, STYLE_BOLD);
	page_text(o->page, "fdtrace: ", PAGE_ALL);
	page_style(o->page, STYLE_PLAIN);
	page_wrap(o->page, 9, text, NULL);
}

void text_inventory(struct text_sink *t, const struct summary *s)
{
	struct overview o = { .page = &t->page, .attached = true };

	engine_each_process(s->engine, read_process, &o);
	put_attached(&o, s);
	process_table(&o, s, t->options.verbosity);
	page_newline(&t->page);
}
