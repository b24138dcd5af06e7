// SPDX-License-Identifier: BSD-2-Clause
/* Which detectors are called for what: those of which some rule is switched on. */
#include <errno.h>
#include <string.h>

#include "engine/engine_private.h"

static bool detector_is_wanted(const struct engine *e, const struct detector *d)
{
	return (d->rules | d->serves) & e->options.rules;
}

static void hearing_add(struct detector_hearing *hearing, const struct detector *d)
{
	unsigned int count = hearing->count++;

	hearing->all[count] = d;
#define ADD_IF_HEARD(hook) \
	if (d->hook)       \
		hearing->hook[hearing->hook##_count++] = d;
	DETECTOR_HOOKS(ADD_IF_HEARD)
#undef ADD_IF_HEARD
	if (d->opened_below > hearing->opened_below)
		hearing->opened_below = d->opened_below;
	hearing->closed_where |= d->closed_where;
	for (unsigned int kind = 0; kind < FDT_EVENT_KINDS; kind++)
		if (d->kinds >> kind & 1)
			hearing->event_of[kind] = d;
}

static bool is_heard(const struct detector_hearing *hearing, const struct detector *d)
{
	for (unsigned int i = 0; i < hearing->count; i++)
		if (hearing->all[i] == d)
			return true;
	return false;
}

static void detector_stop(struct engine *e, const struct detector *d)
{
	if (d->done)
		d->done(e);
	if (e->detector_states[d->id])
		memset(e->detector_states[d->id], 0, d->state_bytes);
}

/* What is switched off forgets all: switched on again it must not rest on what it has missed. */
void detectors_choose(struct engine *e)
{
	const struct detector_hearing before = e->hearing;

	e->hearing = (struct detector_hearing){ 0 };
	for (const struct detector *const *d = e->options.detectors; d && *d; d++) {
		if (detector_is_wanted(e, *d))
			hearing_add(&e->hearing, *d);
		else if (is_heard(&before, *d))
			detector_stop(e, *d);
	}
}

uint64_t engine_takes_ns(const struct engine *e, enum rule rule)
{
	for (unsigned int i = 0; i < e->hearing.count; i++) {
		const struct detector *d = e->hearing.all[i];

		if (d->takes_ns && d->rules & e->options.rules & (rule_set)1 << rule)
			return d->takes_ns(&e->options.settings);
	}
	return 0;
}

int detectors_begin(struct engine *e)
{
	for (const struct detector *const *d = e->options.detectors; d && *d; d++) {
		if (!(*d)->state_bytes)
			continue;
		e->detector_states[(*d)->id] = mem_alloc(&e->mem, (*d)->state_bytes);
		if (!e->detector_states[(*d)->id])
			return -ENOMEM;
	}
	detectors_choose(e);
	return 0;
}

void detectors_end(struct engine *e)
{
	for (unsigned int i = 0; i < e->hearing.count; i++)
		detector_stop(e, e->hearing.all[i]);
	e->hearing = (struct detector_hearing){ 0 };
	for (const struct detector *const *d = e->options.detectors; d && *d; d++)
		mem_free(&e->mem, e->detector_states[(*d)->id], (*d)->state_bytes);
}

int detectors_apply(struct engine *e, const struct fdt_head *event)
{
	const struct detector *d = e->hearing.event_of[event->kind];

	return d ? d->event(e, event) : 0;
}
