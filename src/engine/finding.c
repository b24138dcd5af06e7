// SPDX-License-Identifier: BSD-2-Clause
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/text.h"
#include "engine/engine_private.h"
#include "model/syscall_name.h"
#include "fdtrace/syscall.h"

#define REPEAT_AFTER_NS (3600ull * 1000000000ull)
#define FINDINGS_MAX 10000

struct finding_entry {
	uint64_t fingerprint, count, reported_ns, first_ns, last_ns, open, sequence;
	double rate_per_min;
	enum rule rule;
	enum severity severity; /* gravest so far; 0: yet to be counted */
	enum severity reported; /* as it was last reported; 0: never */
	bool seen;   /* found in this run; false: only known to have been reported before it */
	bool judged; /* by the suppressions in force */
	bool suppressed;
	bool withheld;                       /* counted as such */
	struct process *process;             /* owned reference; may be NULL */
	struct finding_entry *older, *newer; /* in e->reported or e->unreported */
	char site[96];
	char message[256];
};

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

/*
 * What was reported lasts longer than what was not: its entry keeps it from being reported again
 * within the hour. Telling is bounded (throttle.c), so that a storm of ever new causes turns over
 * the unreported ones alone, and of these nothing is lost but their rows in the summary.
 */
static struct finding_list *list_of(struct engine *e, const struct finding_entry *entry)
{
	return entry->reported ? &e->reported : &e->unreported;
}

static void unlink_entry(struct engine *e, struct finding_entry *entry)
{
	struct finding_list *list = list_of(e, entry);

	*(entry->older ? &entry->older->newer : &list->oldest) = entry->newer;
	*(entry->newer ? &entry->newer->older : &list->newest) = entry->older;
	entry->older = entry->newer = NULL;
}

static void link_newest(struct engine *e, struct finding_entry *entry)
{
	struct finding_list *list = list_of(e, entry);

	entry->older = list->newest;
	*(list->newest ? &list->newest->newer : &list->oldest) = entry;
	list->newest = entry;
}

/* The least recently seen one, of the unreported first. False: there is none. */
static bool make_room(struct engine *e)
{
	struct finding_entry *entry =
		e->unreported.oldest ? e->unreported.oldest : e->reported.oldest;

	if (!entry)
		return false;
	map_remove(&e->findings, entry->fingerprint);
	unlink_entry(e, entry);
	process_unref(&e->mem, entry->process);
	mem_free(&e->mem, entry, sizeof(*entry));
	e->counters.findings_dropped++;
	return true;
}

static struct finding_entry *entry_alloc(struct engine *e)
{
	struct finding_entry *entry;

	if (e->findings.count >= FINDINGS_MAX)
		make_room(e);
	entry = mem_alloc(&e->mem, sizeof(*entry));
	if (!entry && make_room(e))
		entry = mem_alloc(&e->mem, sizeof(*entry));
	return entry;
}

static bool is_suppressed(struct engine *e, const struct finding *f)
{
	const struct engine_policy *policy = e->options.policy;

	return policy->suppressed && policy->suppressed(e->options.ctx, f);
}

/* A full engine must be able to say what filled it: the last of the memory is for that. */
static struct finding_entry *entry_insert(struct engine *e, uint64_t fingerprint)
{
	size_t reserve = e->options.settings.memory_max_bytes - e->mem.max_bytes;
	struct finding_entry *entry;

	e->mem.max_bytes += reserve;
	entry = entry_alloc(e);
	if (entry && map_put(&e->mem, &e->findings, fingerprint, entry)) {
		mem_free(&e->mem, entry, sizeof(*entry));
		entry = NULL;
	}
	e->mem.max_bytes -= reserve;
	return entry;
}

static struct finding_entry *entry_new(struct engine *e, uint64_t fingerprint, enum rule rule,
				       enum severity reported)
{
	struct finding_entry *entry = entry_insert(e, fingerprint);

	if (!entry) {
		e->counters.findings_dropped++;
		return NULL;
	}
	entry->fingerprint = fingerprint;
	entry->rule = rule;
	entry->reported = reported;
	link_newest(e, entry);
	return entry;
}

/* The first time in this run, and again when there are other suppressions. */
static void judge(struct engine *e, struct finding_entry *entry, const struct finding *f)
{
	bool was = entry->suppressed;

	entry->judged = true;
	entry->suppressed = is_suppressed(e, f);
	e->counters.findings_suppressed += entry->suppressed && !was;
	e->counters.by_rule[f->rule].suppressed += entry->suppressed && !was;
	e->counters.by_rule[f->rule].causes += !entry->suppressed && (!entry->seen || was);
	if (entry->seen)
		return;
	entry->seen = true;
	entry->first_ns = f->first_ns;
	if (f->process)
		entry->process = process_ref((struct process *)f->process);
}

static const struct party *culprit_party(const struct finding *f)
{
	if (f->closed_is_culprit && f->closed.site)
		return &f->closed;
	if (f->opened_is_culprit && f->opened.site)
		return &f->opened;
	return f->used.known ? &f->used : f->closed.known ? &f->closed : NULL;
}

const struct site *finding_culprit(const struct finding *f)
{
	const struct party *party = culprit_party(f);

	if (f->site_count)
		return f->sites[0].site;
	return party ? party->site : NULL;
}

static void site_of(const struct finding *f, char *buffer, size_t size)
{
	const struct party *party = culprit_party(f);

	if (f->site_count && f->sites[0].site && f->sites[0].site->stack)
		text_format(buffer, size, "%s (%s)", f->sites[0].label,
			    fd_kind_name(f->sites[0].kind));
	else if (f->site_count)
		text_format(buffer, size, "%s", f->sites[0].label);
	else if (party && party->site)
		site_format(party->site, buffer, size);
	else if (party)
		text_format(buffer, size, "%s", syscall_name(party->syscall));
}

/* What the summary will say of it. */
static void remember(struct finding_entry *entry, const struct finding *f)
{
	entry->open = f->limit.present ? f->limit.open : f->site_count ? f->sites[0].open : 0;
	entry->rate_per_min = f->limit.rate_per_min;
	site_of(f, entry->site, sizeof(entry->site));
	text_format(entry->message, sizeof(entry->message), "%s", f->message);
}

/* Told or not, a cause counts once, as the gravest it has been. */
static void count_severity(struct engine *e, struct finding_entry *entry, enum severity severity)
{
	if (severity <= entry->severity)
		return;
	if (entry->severity)
		e->counters.findings[entry->severity]--;
	e->counters.findings[severity]++;
	entry->severity = severity;
}

static void finding_deliver(struct engine *e, struct finding_entry *entry, struct finding *f)
{
	f->sequence = ++e->sequence;
	f->state = entry->reported ? FINDING_ONGOING : FINDING_NEW;
	f->count = entry->count;
	other_end_find(e, &f->descriptor, &f->other_end);
	if (f->process)
		tasks_ask_place(e, (struct process *)f->process);
	unlink_entry(e, entry);
	if (entry->withheld) {
		entry->withheld = false;
		e->counters.findings_withheld--;
		e->counters.by_rule[f->rule].withheld--;
	}
	entry->reported = f->severity;
	entry->reported_ns = e->now_ns;
	entry->sequence = f->sequence;
	link_newest(e, entry);
	remember(entry, f);
	e->options.listener->finding(e->options.ctx, f);
}

/* Signed: what was reported before this run may have been so a moment after the event. */
static bool is_long_ago(const struct engine *e, const struct finding_entry *entry)
{
	return (int64_t)(e->now_ns - entry->reported_ns) >= (int64_t)REPEAT_AFTER_NS;
}

static void withhold(struct engine *e, struct finding_entry *entry, const struct finding *f)
{
	if (entry->reported || entry->withheld)
		return;
	entry->withheld = true;
	e->counters.findings_withheld++;
	e->counters.by_rule[f->rule].withheld++;
	remember(entry, f);
	throttle_withhold(e, f);
}

/* Not yet reported, more severe than when it last was, or an hour old. */
static bool entry_is_due(const struct engine *e, const struct finding_entry *entry,
			 enum severity severity)
{
	return !entry->reported || severity > entry->reported || is_long_ago(e, entry);
}

/* What has become more severe is reported at once, however many there are. */
static void tell_if_news(struct engine *e, struct finding_entry *entry, struct finding *f)
{
	bool worse = entry->reported && f->severity > entry->reported;

	if (!entry_is_due(e, entry, f->severity))
		return;
	if (worse || throttle_pass(e, f))
		finding_deliver(e, entry, f);
	else
		withhold(e, entry, f);
}

static bool is_older(const struct party *party, uint64_t time_ns)
{
	return party->known && party->time_ns && party->time_ns < time_ns;
}

/* Something of it lies before the end of the latest time when the hooks were off. */
static bool rests_on_gap(const struct engine *e, const struct finding *f)
{
	return e->uncovered || f->first_ns < e->gap_end_ns || is_older(&f->opened, e->gap_end_ns) ||
	       is_older(&f->closed, e->gap_end_ns);
}

static void complete(const struct engine *e, struct finding *f)
{
	f->time_ns = e->now_ns;
	if (!f->first_ns)
		f->first_ns = e->now_ns;
	if (rests_on_gap(e, f))
		f->confidence = CONFIDENCE_AFTER_LOSS;
	f->why = f->why ? f->why : "";
	f->help = f->help ? f->help : "";
}

bool finding_is_news(const struct engine *e, const struct finding *f)
{
	const struct finding_entry *entry = map_get(&e->findings, f->fingerprint);

	if (!entry || !entry->judged)
		return true;
	return !entry->suppressed && entry_is_due(e, entry, f->severity);
}

static bool is_elsewhere(struct engine *e, const struct finding *f)
{
	const struct engine_policy *policy = e->options.policy;

	if (!policy->wanted || !f->process)
		return false;
	tasks_ask_place(e, (struct process *)f->process);
	return !policy->wanted(e->options.ctx, f->process->cgroup);
}

void finding_report(struct engine *e, struct finding *f)
{
	struct finding_entry *entry;

	if (!finding_wanted(e, f->rule) || e->finished || is_elsewhere(e, f))
		return;
	complete(e, f);
	e->counters.by_rule[f->rule].found++;
	entry = map_get(&e->findings, f->fingerprint);
	if (!entry)
		entry = entry_new(e, f->fingerprint, f->rule, 0);
	if (entry && !entry->judged)
		judge(e, entry, f);
	if (!entry || !entry->suppressed)
		e->counters.by_rule[f->rule].reported[f->severity]++;
	if (!entry)
		return;
	entry->count++;
	entry->last_ns = e->now_ns;
	unlink_entry(e, entry);
	link_newest(e, entry);
	e->counters.times_suppressed += entry->suppressed;
	if (entry->suppressed)
		return;
	count_severity(e, entry, f->severity);
	tell_if_news(e, entry, f);
}

static int gravest_then_newest(const void *a, const void *b)
{
	const struct finding_entry *x = *(struct finding_entry *const *)a;
	const struct finding_entry *y = *(struct finding_entry *const *)b;

	if (x->severity != y->severity)
		return x->severity < y->severity ? 1 : -1;
	if (x->sequence != y->sequence) /* 0: withheld, after what was reported */
		return x->sequence < y->sequence ? 1 : -1;
	if (x->last_ns != y->last_ns)
		return x->last_ns < y->last_ns ? 1 : -1;
	return x->fingerprint < y->fingerprint ? -1 : x->fingerprint > y->fingerprint;
}

static void entry_row(const struct finding_entry *entry,
		      void (*row)(void *ctx, const struct finding_row *row), void *ctx)
{
	struct finding_row out = { .rule = entry->rule,
				   .severity = entry->severity,
				   .fingerprint = entry->fingerprint,
				   .count = entry->count,
				   .first_ns = entry->first_ns,
				   .last_ns = entry->last_ns,
				   .reported = entry->reported,
				   .open = entry->open,
				   .rate_per_min = entry->rate_per_min,
				   .site = entry->site,
				   .message = entry->message };

	row(ctx, &out);
}

void engine_each_finding(struct engine *e, void (*row)(void *ctx, const struct finding_row *row),
			 void *ctx)
{
	size_t bytes = e->findings.count * sizeof(struct finding_entry *), count = 0;
	struct finding_entry **list = bytes ? mem_alloc_beyond(&e->mem, bytes) : NULL;

	if (!list)
		return;
	map_each (&e->findings, entry) {
		struct finding_entry *found = entry->value;

		if (found->seen && !found->suppressed)
			list[count++] = found;
	}
	qsort(list, count, sizeof(*list), gravest_then_newest);
	for (size_t i = 0; i < count; i++)
		entry_row(list[i], row, ctx);
	mem_free(&e->mem, list, bytes);
}

/* The one found least recently first, so that it is the first to go again. */
void engine_each_reported(struct engine *e, void (*row)(void *ctx, const struct reported_row *row),
			  void *ctx)
{
	for (const struct finding_entry *entry = e->reported.oldest; entry; entry = entry->newer) {
		struct reported_row out = { .fingerprint = entry->fingerprint,
					    .rule = entry->rule,
					    .severity = entry->reported,
					    .count = entry->count,
					    .reported_ns = entry->reported_ns };

		row(ctx, &out);
	}
}

int engine_restore_reported(struct engine *e, const struct reported_row *row)
{
	struct finding_entry *entry = map_get(&e->findings, row->fingerprint);

	if (entry)
		return 0;
	entry = entry_new(e, row->fingerprint, row->rule, row->severity);
	if (!entry)
		return -ENOMEM;
	entry->count = row->count;
	entry->reported_ns = row->reported_ns;
	return 0;
}

void findings_judge_anew(struct engine *e)
{
	map_each (&e->findings, entry)
		((struct finding_entry *)entry->value)->judged = false;
}

struct process *finding_entry_process(const struct finding_entry *entry)
{
	return entry->process;
}

void findings_done(struct engine *e)
{
	map_each (&e->findings, entry) {
		struct finding_entry *found = entry->value;

		process_unref(&e->mem, found->process);
		mem_free(&e->mem, found, sizeof(*found));
	}
	map_done(&e->mem, &e->findings);
}
