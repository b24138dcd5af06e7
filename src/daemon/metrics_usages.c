// SPDX-License-Identifier: BSD-2-Clause
#include <stdlib.h>
#include <string.h>

#include "model/process.h"
#include "daemon/metrics.h"
#include "util/escape.h"

/* A table must be fuller by a quarter to displace a published one. */
#define STAYS 1.25

void metrics_usages_begin(struct metrics_usages *u)
{
	u->offered_count = 0;
}

static bool is_same(const struct metrics_usage *a, const struct metrics_usage *b)
{
	return strcmp(a->exe, b->exe) == 0 && strcmp(a->unit, b->unit) == 0;
}

static struct metrics_usage *find_usage(struct metrics_usage *list, unsigned int count,
					const struct metrics_usage *wanted)
{
	for (unsigned int i = 0; i < count; i++)
		if (is_same(&list[i], wanted))
			return &list[i];
	return NULL;
}

void metrics_usages_offer(struct metrics_usages *u, const char *exe, const char *unit, double ratio)
{
	struct metrics_usage offer = { .ratio = ratio }, *same;

	escape_text(offer.exe, sizeof(offer.exe), exe, strlen(exe));
	escape_text(offer.unit, sizeof(offer.unit), unit, strlen(unit));
	same = find_usage(u->offered, u->offered_count, &offer);
	if (same)
		same->ratio = ratio > same->ratio ? ratio : same->ratio;
	else if (u->offered_count < METRICS_OFFERED)
		u->offered[u->offered_count++] = offer;
}

/* Updates those published before that still exist. */
static void keep_usages(struct metrics_usages *u)
{
	unsigned int kept = 0;

	for (unsigned int i = 0; i < u->reported_count; i++) {
		const struct metrics_usage *now =
			find_usage(u->offered, u->offered_count, &u->reported[i]);

		if (now)
			u->reported[kept++] = *now;
	}
	u->reported_count = kept;
}

static struct metrics_usage *least_usage(struct metrics_usages *u)
{
	struct metrics_usage *found = &u->reported[0];

	for (unsigned int i = 1; i < u->reported_count; i++)
		if (u->reported[i].ratio < found->ratio)
			found = &u->reported[i];
	return found;
}

static int fullest_first(const void *a, const void *b)
{
	const struct metrics_usage *x = a, *y = b;
	int order;

	if (x->ratio != y->ratio)
		return x->ratio < y->ratio ? 1 : -1;
	order = strcmp(x->exe, y->exe);
	return order ? order : strcmp(x->unit, y->unit);
}

void metrics_usages_end(struct metrics_usages *u)
{
	qsort(u->offered, u->offered_count, sizeof(u->offered[0]), fullest_first);
	keep_usages(u);
	for (unsigned int i = 0; i < u->offered_count; i++) {
		const struct metrics_usage *offer = &u->offered[i];

		if (find_usage(u->reported, u->reported_count, offer))
			continue;
		if (u->reported_count < METRICS_USAGES)
			u->reported[u->reported_count++] = *offer;
		else if (offer->ratio > least_usage(u)->ratio * STAYS)
			*least_usage(u) = *offer;
	}
	qsort(u->reported, u->reported_count, sizeof(u->reported[0]), fullest_first);
}

double metrics_usages_update(struct metrics_usages *u, const struct engine *engine,
			     void (*unit)(void *ctx, uint32_t pid, char *buffer, size_t size),
			     void *ctx)
{
	struct usage_row rows[METRICS_OFFERED];
	size_t count = engine_fullest(engine, rows, METRICS_OFFERED);

	metrics_usages_begin(u);
	for (size_t i = 0; i < count; i++) {
		const struct process *process = rows[i].process;
		char name[METRICS_LABEL_BYTES + 1] = "";

		unit(ctx, process->pid, name, sizeof(name));
		metrics_usages_offer(u, process->exe ? process->exe : process->name, name,
				     (double)rows[i].open / (double)rows[i].nofile);
	}
	metrics_usages_end(u);
	return count ? (double)rows[0].open / (double)rows[0].nofile : 0;
}

void metrics_usages_give(const struct metrics_usages *u, struct metrics *metrics)
{
	metrics->usage_count = u->reported_count;
	for (unsigned int i = 0; i < u->reported_count; i++) {
		metrics->usages[i].exe = u->reported[i].exe;
		metrics->usages[i].unit = u->reported[i].unit;
		metrics->usages[i].ratio = u->reported[i].ratio;
	}
}
