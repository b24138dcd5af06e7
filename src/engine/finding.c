// SPDX-License-Identifier: BSD-2-Clause
/* The parts of a finding: who did what, earlier generations, who holds a table, and whose bug it is. */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/text.h"
#include "engine/engine_private.h"
#include "fdtrace/syscall.h"

const char *confidence_name(enum confidence confidence)
{
	switch (confidence) {
	case CONFIDENCE_EXACT: return "exact";
	case CONFIDENCE_INFERRED: return "inferred";
	case CONFIDENCE_AFTER_LOSS: break;
	}
	return "after_loss";
}

const char *finding_state_name(enum finding_state state)
{
	switch (state) {
	case FINDING_NEW: return "new";
	case FINDING_ONGOING: return "ongoing";
	case FINDING_RESOLVED: break;
	}
	return "resolved";
}

static struct party party_of(struct site *site, uint32_t tid, uint64_t time_ns)
{
	struct party party = { .tid = tid, .time_ns = time_ns, .site = site_now(site) };

	if (!site)
		return party;
	party.known = true;
	party.pid = site->process->pid;
	party.name = site->process->name;
	party.syscall = site->syscall;
	return party;
}

/* A close that nobody wrote: an object went and took its descriptor along. */
static const char *close_text(const struct site *site)
{
	unsigned int flags = site ? site_flags(site) : 0;

	if (flags & FDT_SITE_AT_EXIT)
		return "close (interpreter exit)";
	if (flags & FDT_SITE_COLLECTOR)
		return "close (garbage collector)";
	return flags & FDT_SITE_FINALIZER ? "close (finalizer)" : ending_text(END_CLOSE);
}

struct party party_opened(const struct slot *slot)
{
	return party_of(slot->site, slot->opener_tid, slot->opened_ns);
}

void party_format(const struct party *party, char *buffer, size_t size)
{
	char function[64] = "";

	if (party->site)
		site_format_function(party->site, function, sizeof(function));
	if (function[0])
		text_format(buffer, size, "%s%s", function, function[0] == '<' ? "" : "()");
	else if (party->known)
		text_format(buffer, size, "tid %u", party->tid);
	else
		text_format(buffer, size, "somebody");
}

struct party party_past_opened(const struct past *past)
{
	return party_of(past->opened_at, past->opener_tid, past->opened_ns);
}

struct party party_past_closed(const struct past *past)
{
	struct party party = party_of(past->closed_at, past->closer_tid, past->closed_ns);

	party.how = past->ending == END_CLOSE ? close_text(party.site) : ending_text(past->ending);
	return party;
}

struct party party_actor(const struct actor *actor, int32_t error)
{
	return (struct party){ .known = true,
			       .pid = actor->process->pid,
			       .tid = actor->tid,
			       .name = actor->process->name,
			       .time_ns = actor->time_ns,
			       .syscall = actor->syscall,
			       .how = actor->syscall == FDT_SYS_close ? close_text(actor->site)
								      : NULL,
			       .error = error,
			       .site = site_now(actor->site) };
}

void finding_history(struct engine *e, struct finding *f, uint32_t index)
{
	f->history_count = 0;
	while (index && f->history_count < FINDING_HISTORY_MAX) {
		const struct past *past = past_at(&e->pasts, index);

		f->history[f->history_count++] =
			(struct lifetime){ .generation = past->generation,
					   .kind = past->kind,
					   .opened = party_past_opened(past),
					   .closed = party_past_closed(past) };
		index = past->next;
	}
}

void finding_describe(const struct descriptor *d, char *buffer, size_t size)
{
	if (d->kind == FD_KIND_UNKNOWN)
		text_format(buffer, size, "fd %d", d->fd);
	else if (!d->name)
		text_format(buffer, size, "fd %d (%s)", d->fd, fd_kind_name(d->kind));
	else if (strncmp(d->name, fd_kind_name(d->kind), strlen(fd_kind_name(d->kind))) == 0)
		text_format(buffer, size, "fd %d (%.*s)", d->fd, text_fit(d->name, 100), d->name);
	else
		text_format(buffer, size, "fd %d (%s %.*s)", d->fd, fd_kind_name(d->kind),
			    text_fit(d->name, 100), d->name);
}

/* One opener's site and what of it is in the table. */
struct tally {
	const struct site *site;
	uint64_t open, oldest_ns;
	int32_t oldest_fd;
};

struct tallies {
	struct mem *mem;
	struct map by_site; /* site address (1: unknown) -> index + 1 */
	struct tally *list;
	size_t count, capacity;
};

static struct tally *tally_for(struct tallies *t, const struct site *site)
{
	uint64_t key = site ? (uint64_t)(uintptr_t)site : 1;
	uintptr_t index = (uintptr_t)map_get(&t->by_site, key);
	size_t capacity = t->capacity ? t->capacity * 2 : 32;

	if (index)
		return &t->list[index - 1];
	if (t->count == t->capacity) {
		struct tally *list = mem_resize(t->mem, t->list, t->capacity * sizeof(*list),
						capacity * sizeof(*list));
		if (!list)
			return NULL;
		t->list = list;
		t->capacity = capacity;
	}
	if (map_put(t->mem, &t->by_site, key, (void *)(uintptr_t)(t->count + 1)))
		return NULL;
	t->list[t->count] = (struct tally){ .site = site };
	return &t->list[t->count++];
}

static void tally_slot(struct tallies *t, const struct slot *slot, int32_t fd)
{
	struct tally *tally = tally_for(t, site_now(slot->site));

	if (!tally)
		return;
	if (!tally->open++ || slot->opened_ns < tally->oldest_ns) {
		tally->oldest_ns = slot->opened_ns;
		tally->oldest_fd = fd;
	}
}

static int more_open_first(const void *a, const void *b)
{
	const struct tally *x = a, *y = b;

	if (x->open != y->open)
		return x->open < y->open ? 1 : -1;
	return (x->oldest_fd > y->oldest_fd) - (x->oldest_fd < y->oldest_fd);
}

static struct site_row finding_row_of(struct engine *e, const struct fdtable *table,
				      const struct tally *tally, char *label, size_t label_size)
{
	struct site_row row = { .site = tally->site,
				.label = label,
				.open = tally->open,
				.example_fd = tally->oldest_fd };

	row.example_name =
		slots_name(e, table, tally->oldest_fd); /* before the kind: it may change that */
	row.kind = fdtable_slot(table, tally->oldest_fd)->kind;
	if (!tally->site) {
		text_format(label, label_size, "opener unknown");
		return row;
	}
	site_format(tally->site, label, label_size);
	row.opened = tally->site->opened;
	row.closed = tally->site->closed;
	row.oldest_ns = e->now_ns - tally->oldest_ns;
	return row;
}

static void tally_table(struct tallies *t, const struct fdtable *table,
			bool (*only)(const struct slot *slot, int32_t fd, const void *ctx),
			const void *ctx)
{
	fdtable_each (table, fd) {
		const struct slot *slot = fdtable_slot(table, fd);

		if (!only || only(slot, fd, ctx))
			tally_slot(t, slot, fd);
	}
	if (t->count)
		qsort(t->list, t->count, sizeof(*t->list), more_open_first);
}

static void tallies_done(struct tallies *t)
{
	map_done(t->mem, &t->by_site);
	mem_free(t->mem, t->list, t->capacity * sizeof(*t->list));
}

void finding_sites(struct engine *e, struct finding *f, const struct fdtable *table,
		   bool (*only)(const struct slot *slot, int32_t fd, const void *ctx),
		   const void *ctx, struct site_labels *labels)
{
	struct tallies t = { .mem = &e->mem };

	tally_table(&t, table, only, ctx);
	f->site_total = t.count;
	f->site_count = t.count < FINDING_SITES_MAX ? t.count : FINDING_SITES_MAX;
	for (unsigned int i = 0; i < f->site_count; i++)
		f->sites[i] = finding_row_of(e, table, &t.list[i], labels->text[i],
					     sizeof(labels->text[i]));
	tallies_done(&t);
}

void finding_put_site(struct finding *f, const struct site_row *row)
{
	f->sites[0] = *row;
	f->site_count = f->site_total = 1;
}

void finding_each_site(struct engine *e, const struct fdtable *table,
		       bool (*only)(const struct slot *slot, int32_t fd, const void *ctx),
		       const void *ctx,
		       void (*row)(struct engine *e, const struct fdtable *table,
				   const struct site_row *row))
{
	struct tallies t = { .mem = &e->mem };
	char label[96];

	tally_table(&t, table, only, ctx);
	for (size_t i = 0; i < t.count; i++) {
		struct site_row out = finding_row_of(e, table, &t.list[i], label, sizeof(label));

		row(e, table, &out);
	}
	tallies_done(&t);
}

struct past *finding_past(struct engine *e, const struct fdtable *table, uint32_t fd,
			  uint32_t generation)
{
	const struct slot *slot = fdtable_slot(table, fd);
	uint32_t index = slot ? slot->past : 0;

	while (index && past_at(&e->pasts, index)->generation != generation)
		index = past_at(&e->pasts, index)->next;
	return index ? past_at(&e->pasts, index) : NULL;
}

bool finding_wanted(const struct engine *e, enum rule rule)
{
	return e->options.rules >> rule & 1;
}

uint64_t finding_fingerprint(enum rule rule, const struct process *process, const struct site *site)
{
	uint64_t hash = hash_text(HASH_START, rule_info(rule)->id);

	if (!site || site_language(site) == LANGUAGE_NATIVE)
		hash = hash_text(hash, process_program(process));
	return hash_number(hash, site ? site_fingerprint(site) : 0);
}

const struct party *finding_culprit_party(const struct finding *f)
{
	if (f->closed_is_culprit && f->closed.site)
		return &f->closed;
	if (f->opened_is_culprit && f->opened.site)
		return &f->opened;
	return f->used.known ? &f->used : f->closed.known ? &f->closed : NULL;
}

const struct site *finding_culprit(const struct finding *f)
{
	const struct party *party = finding_culprit_party(f);

	if (f->site_count)
		return f->sites[0].site;
	return party ? party->site : NULL;
}
