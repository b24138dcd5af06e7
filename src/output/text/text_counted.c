// SPDX-License-Identifier: BSD-2-Clause
/* Findings that are only counted: those beyond the rate limit, and suppressed ones. */
#include "output/text/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "model/process.h"
#include "engine/suppression.h"
#include "output/hidden.h"

#define BEYOND "above the limit of findings.burst and findings.every, but counted in the summary"
#define NAMES_SHOWN 10

/* A list that grows in a buffer; items that do not fit are left out. */
struct list {
	char text[512];
	size_t used;
	unsigned int items;
};

static void add_item(struct list *list, const char *item)
{
	size_t needed = strlen(item) + 2;

	list->items++;
	if (list->used + needed >= sizeof(list->text))
		return;
	list->used += (size_t)snprintf(list->text + list->used, sizeof(list->text) - list->used,
				       "%s%s", list->used ? ", " : "", item);
}

/* "close.unowned 4,000, use.closed 711" */
static void add_rule(struct list *list, enum rule rule, uint64_t count)
{
	char number[PHRASE_SIZE], item[2 * PHRASE_SIZE];

	if (!count)
		return;
	phrase_number(number, sizeof(number), count);
	snprintf(item, sizeof(item), "%s %s", rule_info(rule)->id, number);
	add_item(list, item);
}

void text_withheld_line(struct text_sink *t, const struct withheld *w)
{
	struct page *page = &t->page;
	char number[PHRASE_SIZE], who[64] = "several processes", text[768];
	struct list rules = { 0 };
	uint64_t total = 0;

	for (unsigned int r = 0; r < RULE_COUNT; r++) {
		if (!sink_shows(&t->options, (enum rule)r, w->severity[r]))
			continue;
		add_rule(&rules, (enum rule)r, w->count[r]);
		total += w->count[r];
	}
	if (!total)
		return;
	if (w->process)
		snprintf(who, sizeof(who), "%s[%" PRIu32 "]", w->process->name, w->process->pid);
	phrase_count(number, sizeof(number), total, "more finding", "more findings");
	snprintf(text, sizeof(text), "%s in %s not shown: %s; %s", number, who, rules.text, BEYOND);
	page_style(page, STYLE_BOLD);
	page_text(page, "fdtrace: ", PAGE_ALL);
	page_style(page, STYLE_PLAIN);
	page_wrap(page, 9, text, NULL);
}

static void lead_line(struct page *page, const char *word, enum style style)
{
	page_style(page, style);
	page_text(page, word, PAGE_ALL);
	page_style(page, STYLE_PLAIN);
	page_tab(page, 0, 1);
}

void text_withheld_sum(struct page *page, const struct engine_counters *c)
{
	char number[PHRASE_SIZE], text[768];
	struct list rules = { 0 };

	if (!c->findings_withheld)
		return;
	for (unsigned int r = 0; r < RULE_COUNT; r++)
		add_rule(&rules, (enum rule)r, c->by_rule[r].withheld);
	phrase_count(number, sizeof(number), c->findings_withheld, "finding", "findings");
	snprintf(text, sizeof(text),
		 "%s counted but not shown one by one (%s): above findings.burst and "
		 "findings.every.",
		 number, rules.text);
	lead_line(page, "withheld:", STYLE_WARNING);
	page_wrap(page, 10, text, NULL);
}

/* "2 leak.exit" */
static void add_count_of(struct list *list, uint64_t count, const char *what)
{
	char number[PHRASE_SIZE], item[2 * PHRASE_SIZE];

	if (!count)
		return;
	phrase_number(number, sizeof(number), count);
	snprintf(item, sizeof(item), "%s %s", number, what);
	add_item(list, item);
}

/* "hidden: 3 info (2 leak.exit, 1 close.double); show them with --min-severity info" */
void text_hidden_sum(struct page *page, const struct sink_options *options, struct engine *engine)
{
	struct list severities = { 0 }, rules = { 0 };
	struct hidden hidden;
	char text[1200];

	hidden_count(options, engine, &hidden);
	if (!hidden.total)
		return;
	add_count_of(&severities, hidden.by_severity[SEVERITY_WARNING],
		     hidden.by_severity[SEVERITY_WARNING] == 1 ? "warning" : "warnings");
	add_count_of(&severities, hidden.by_severity[SEVERITY_INFO], "info");
	for (unsigned int r = 0; r < RULE_COUNT; r++)
		add_count_of(&rules, hidden.by_rule[r], rule_info((enum rule)r)->id);
	snprintf(text, sizeof(text), "%s (%s); show %s with --min-severity %s", severities.text,
		 rules.text, hidden.total == 1 ? "it" : "them",
		 severity_name(hidden_least(&hidden)));
	lead_line(page, "hidden:", STYLE_DIM);
	page_wrap(page, 8, text, NULL);
}

/* "too short: leak.growth needs 30.0 s, leak.orphan needs 1m00s; ran 10.0 s" */
void text_too_short(struct page *page, const struct summary *s)
{
	char takes[PHRASE_SIZE], item[2 * PHRASE_SIZE];
	struct list rules = { 0 };

	for (unsigned int r = 0; r < RULE_COUNT; r++) {
		uint64_t takes_ns = engine_takes_ns(s->engine, (enum rule)r);

		if (s->duration_ns >= takes_ns || s->counters.by_rule[r].found)
			continue;
		phrase_duration(takes, sizeof(takes), takes_ns);
		snprintf(item, sizeof(item), "%s needs %s", rule_info((enum rule)r)->id, takes);
		add_item(&rules, item);
	}
	if (!rules.items)
		return;
	phrase_duration(takes, sizeof(takes), s->duration_ns);
	snprintf(rules.text + rules.used, sizeof(rules.text) - rules.used, "; ran %s", takes);
	lead_line(page, "too short:", STYLE_DIM);
	page_wrap(page, 11, rules.text, NULL);
}

/* "failed because of: close.unowned, leak.exit; exit status 10" */
void text_failing_sum(struct page *page, const struct summary *s)
{
	struct list rules = { 0 };
	char text[768];

	if (!s->fail_on)
		return;
	for (unsigned int r = 0; r < RULE_COUNT; r++) {
		if (fail_on_count(s->fail_on, (enum rule)r, &s->counters))
			add_item(&rules, rule_info((enum rule)r)->id);
	}
	if (!rules.items)
		return;
	snprintf(text, sizeof(text), "%s; exit status %u", rules.text, s->fail_status);
	lead_line(page, "failed because of:", STYLE_ERROR);
	page_wrap(page, 8, text, NULL);
}

/* "the pool (2), 3 more" of those that were used, or were not. */
static void add_names(struct list *list, const struct suppression_list *suppressions, bool used)
{
	unsigned int more = 0;
	char item[160];

	for (size_t i = 0; i < suppressions->count; i++) {
		const struct suppression *s = &suppressions->entries[i];

		if ((s->used > 0) != used)
			continue;
		if (list->items >= NAMES_SHOWN) {
			more++;
			continue;
		}
		if (used)
			snprintf(item, sizeof(item), "%.120s: %" PRIu64, s->name, s->used);
		else
			snprintf(item, sizeof(item), "\"%.120s\"", s->name);
		add_item(list, item);
	}
	snprintf(item, sizeof(item), "%u more", more);
	if (more)
		add_item(list, item);
}

void text_suppressed_sum(struct page *page, const struct summary *s)
{
	const struct engine_counters *c = &s->counters;
	char number[PHRASE_SIZE], times[PHRASE_SIZE], text[768];
	struct list used = { 0 }, unused = { 0 };

	if (!s->suppressions)
		return;
	add_names(&used, s->suppressions, true);
	add_names(&unused, s->suppressions, false);
	if (c->findings_suppressed) {
		phrase_count(number, sizeof(number), c->findings_suppressed, "finding", "findings");
		phrase_count(times, sizeof(times), c->times_suppressed, "time", "times");
		snprintf(text, sizeof(text), "%s, found %s (%s).", number, times, used.text);
		lead_line(page, "suppressed:", STYLE_DIM);
		page_wrap(page, 12, text, NULL);
	}
	if (s->final && unused.items) {
		snprintf(text, sizeof(text), "%s matched nothing in this run.", unused.text);
		lead_line(page, unused.items > 1 ? "unused suppressions:" : "unused suppression:",
			  STYLE_DIM);
		page_wrap(page, 12, text, NULL);
	}
}

/* Neither the frame nor the width may come between it and a file. */
void text_suppression(struct page *page, const struct finding *f)
{
	char text[SUPPRESSION_TEXT_SIZE], *line = text, *end;
	unsigned int width = page->width;

	suppression_format(f, text, sizeof(text));
	page_style(page, STYLE_FRAME);
	page_text(page, "   = ", PAGE_ALL);
	page_style(page, STYLE_BOLD);
	page_text(page, "to suppress it", PAGE_ALL);
	page_style(page, STYLE_PLAIN);
	page_text(page, " (--suppress FILE):", PAGE_ALL);
	page_newline(page);
	page->width = 0;
	for (; (end = strchr(line, '\n')); line = end + 1) {
		*end = '\0';
		page_text(page, line, PAGE_ALL);
		page_newline(page);
	}
	page->width = width;
}
