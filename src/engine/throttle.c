// SPDX-License-Identifier: BSD-2-Clause
/*
 * How many findings are reported one by one. Each image of a process has a bucket of tokens for each
 * rule: findings.burst of them at first, and one more every findings.every of event time. What
 * finds the bucket empty is counted, and reported as a count: once a minute for each image.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "engine/engine_private.h"

#define LINE_NS MINUTE_NS
#define THROTTLES_MAX 4096
#define NO_PROCESS UINT64_MAX

static bool is_empty(const struct throttle *t)
{
	for (unsigned int r = 0; r < RULE_COUNT; r++)
		if (t->pending[r])
			return false;
	return true;
}

/* Tokens that have come since the last look. */
static void refill(const struct engine *e, struct bucket *bucket)
{
	const struct settings *s = &e->options.settings;
	uint64_t more;

	if (!bucket->used || !s->findings_every_ns)
		return;
	more = (e->now_ns - bucket->since_ns) / s->findings_every_ns;
	bucket->used = more < bucket->used ? bucket->used - more : 0;
	bucket->since_ns += more * s->findings_every_ns;
}

/* Nothing to report, and every bucket is full again: a new one would be the same. */
static bool is_idle(const struct engine *e, struct throttle *t)
{
	for (unsigned int r = 0; r < RULE_COUNT; r++) {
		refill(e, &t->bucket[r]);
		if (t->bucket[r].used)
			return false;
	}
	return is_empty(t);
}

static void drop(struct engine *e, uint64_t key, struct throttle *t)
{
	map_remove(&e->throttles, key);
	process_unref(&e->mem, t->process);
	mem_free(&e->mem, t, sizeof(*t));
}

/* Removing moves what follows in the map, so that one pass may leave some for the next. */
static void drop_idle(struct engine *e)
{
	for (size_t i = 0; i < e->throttles.capacity; i++) {
		struct map_entry *entry = &e->throttles.entries[i];

		if (entry->value && is_idle(e, entry->value))
			drop(e, entry->key, entry->value);
	}
}

/* Beyond the bound, or without memory, processes share one. */
static struct throttle *throttle_of(struct engine *e, const struct process *process)
{
	uint64_t key = process ? process->serial : NO_PROCESS;
	struct throttle *t = map_get(&e->throttles, key);

	if (t)
		return t;
	if (e->throttles.count >= THROTTLES_MAX)
		return &e->throttle_shared;
	t = mem_alloc(&e->mem, sizeof(*t));
	if (!t || map_put(&e->mem, &e->throttles, key, t)) {
		mem_free(&e->mem, t, sizeof(*t));
		return &e->throttle_shared;
	}
	if (process)
		t->process = process_ref((struct process *)process);
	return t;
}

bool throttle_pass(struct engine *e, const struct finding *f)
{
	struct bucket *bucket;

	if (!e->options.settings.findings_every_ns)
		return true;
	bucket = &throttle_of(e, f->process)->bucket[f->rule];
	refill(e, bucket);
	if (bucket->used >= e->options.settings.findings_burst)
		return false;
	if (!bucket->used++)
		bucket->since_ns = e->now_ns;
	return true;
}

void throttle_withhold(struct engine *e, const struct finding *f)
{
	struct throttle *t = throttle_of(e, f->process);

	if (is_empty(t))
		t->first_ns = e->now_ns;
	e->withheld_pending = true;
	t->pending[f->rule]++;
	if (f->severity > t->severity[f->rule])
		t->severity[f->rule] = f->severity;
}

static void throttle_report(struct engine *e, struct throttle *t)
{
	struct withheld withheld = { .process = t->process,
				     .time_ns = e->now_ns,
				     .first_ns = t->first_ns };

	for (unsigned int r = 0; r < RULE_COUNT; r++) {
		withheld.count[r] = t->pending[r];
		withheld.severity[r] = t->severity[r];
		t->pending[r] = 0;
		t->severity[r] = 0;
	}
	t->reported_ns = e->now_ns;
	if (e->options.listener->withheld)
		e->options.listener->withheld(e->options.ctx, &withheld);
}

static void throttle_report_if_due(struct engine *e, struct throttle *t, bool at_end)
{
	if (is_empty(t))
		return;
	if (at_end || !t->reported_ns || e->now_ns - t->reported_ns >= LINE_NS)
		throttle_report(e, t);
	else
		e->withheld_pending = true;
}

static int by_serial(const void *a, const void *b)
{
	const struct throttle *x = *(struct throttle *const *)a, *y = *(struct throttle *const *)b;
	uint32_t left = x->process ? x->process->serial : 0;
	uint32_t right = y->process ? y->process->serial : 0;

	return (left > right) - (left < right);
}

/* In the order of processes: the map's depends on what was in it before. */
static void throttle_report_all(struct engine *e, bool at_end)
{
	size_t bytes = e->throttles.count * sizeof(struct throttle *), count = 0;
	struct throttle **list = bytes ? mem_alloc_beyond(&e->mem, bytes) : NULL;

	e->withheld_pending = bytes && !list;
	throttle_report_if_due(e, &e->throttle_shared, at_end);
	if (!list)
		return;
	map_each (&e->throttles, entry)
		list[count++] = entry->value;
	qsort(list, count, sizeof(*list), by_serial);
	for (size_t i = 0; i < count; i++)
		throttle_report_if_due(e, list[i], at_end);
	mem_free(&e->mem, list, bytes);
}

void throttle_tick(struct engine *e)
{
	if (e->withheld_pending)
		throttle_report_all(e, false);
	if (e->throttles.count >= THROTTLES_MAX / 2 || e->now_ns - e->throttled_ns >= LINE_NS) {
		e->throttled_ns = e->now_ns;
		drop_idle(e);
	}
}

void throttle_finish(struct engine *e)
{
	throttle_report_all(e, true);
}

void throttle_done(struct engine *e)
{
	map_each (&e->throttles, entry) {
		struct throttle *t = entry->value;

		process_unref(&e->mem, t->process);
		mem_free(&e->mem, t, sizeof(*t));
	}
	map_done(&e->mem, &e->throttles);
}
