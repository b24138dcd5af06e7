// SPDX-License-Identifier: BSD-2-Clause
/*
 * One finding per cause: each is kept under its fingerprint, counted, and delivered when it is
 * news. Suppressions and throttle.c have a say in that.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "engine/engine_private.h"
#include "model/syscall_name.h"

#define REPEAT_AFTER_NS HOUR_NS
#define FINDINGS_MAX 10000

struct cause {
	uint64_t fingerprint, count, reported_ns, first_ns, last_ns, open, sequence;
	double rate_per_min;
	enum rule rule;
	enum severity severity; /* gravest so far; 0: yet to be counted */
	enum severity reported; /* as it was last reported; 0: never */
	bool seen;   /* found in this run; false: only known to have been reported before it */
	bool judged; /* by the suppressions in force */
	bool suppressed;
	bool withheld;               /* counted as such */
	struct process *process;     /* owned reference; may be NULL */
	struct cause *older, *newer; /* in e->reported or e->unreported */
	char site[96];
	char message[256];
};

/*
 * What was reported lasts longer than what was not: its entry keeps it from being reported again
 * within the hour. Reporting is bounded (throttle.c), so that a storm of ever new causes turns over
 * the unreported ones alone, and of these nothing is lost but their rows in the summary.
 */
static struct cause_list *cause_list_of(struct engine *e, const struct cause *cause)
{
	return cause->reported ? &e->reported : &e->unreported;
}

static void cause_unlink(struct engine *e, struct cause *cause)
{
	struct cause_list *list = cause_list_of(e, cause);

	*(cause->older ? &cause->older->newer : &list->oldest) = cause->newer;
	*(cause->newer ? &cause->newer->older : &list->newest) = cause->older;
	cause->older = cause->newer = NULL;
}

static void cause_link_newest(struct engine *e, struct cause *cause)
{
	struct cause_list *list = cause_list_of(e, cause);

	cause->older = list->newest;
	*(list->newest ? &list->newest->newer : &list->oldest) = cause;
	list->newest = cause;
}

/* The least recently seen one, of the unreported first. False: there is none. */
static bool cause_make_room(struct engine *e)
{
	struct cause *cause = e->unreported.oldest ? e->unreported.oldest : e->reported.oldest;

	if (!cause)
		return false;
	map_remove(&e->findings, cause->fingerprint);
	cause_unlink(e, cause);
	process_unref(&e->mem, cause->process);
	mem_free(&e->mem, cause, sizeof(*cause));
	e->counters.findings_dropped++;
	return true;
}

static struct cause *cause_alloc(struct engine *e)
{
	struct cause *cause;

	if (e->findings.count >= FINDINGS_MAX)
		cause_make_room(e);
	cause = mem_alloc(&e->mem, sizeof(*cause));
	if (!cause && cause_make_room(e))
		cause = mem_alloc(&e->mem, sizeof(*cause));
	return cause;
}

static bool cause_is_suppressed(struct engine *e, const struct finding *f)
{
	const struct engine_policy *policy = e->options.policy;

	return policy->suppressed && policy->suppressed(e->options.ctx, f);
}

/* A full engine must be able to say what filled it: the last of the memory is for that. */
static struct cause *cause_insert(struct engine *e, uint64_t fingerprint)
{
	size_t reserve = e->options.settings.memory_max_bytes - e->mem.max_bytes;
	struct cause *cause;

	e->mem.max_bytes += reserve;
	cause = cause_alloc(e);
	if (cause && map_put(&e->mem, &e->findings, fingerprint, cause)) {
		mem_free(&e->mem, cause, sizeof(*cause));
		cause = NULL;
	}
	e->mem.max_bytes -= reserve;
	return cause;
}

static struct cause *cause_new(struct engine *e, uint64_t fingerprint, enum rule rule,
			       enum severity reported)
{
	struct cause *cause = cause_insert(e, fingerprint);

	if (!cause) {
		e->counters.findings_dropped++;
		return NULL;
	}
	cause->fingerprint = fingerprint;
	cause->rule = rule;
	cause->reported = reported;
	cause_link_newest(e, cause);
	return cause;
}

/* The first time in this run, and again when there are other suppressions. */
static void cause_judge(struct engine *e, struct cause *cause, const struct finding *f)
{
	bool was = cause->suppressed;

	cause->judged = true;
	cause->suppressed = cause_is_suppressed(e, f);
	e->counters.findings_suppressed += cause->suppressed && !was;
	e->counters.by_rule[f->rule].suppressed += cause->suppressed && !was;
	e->counters.by_rule[f->rule].causes += !cause->suppressed && (!cause->seen || was);
	if (cause->seen)
		return;
	cause->seen = true;
	cause->first_ns = f->first_ns;
	if (f->process)
		cause->process = process_ref((struct process *)f->process);
}

static void cause_format_site(const struct finding *f, char *buffer, size_t size)
{
	const struct operation *operation = finding_culprit_operation(f);

	if (f->site_count && f->sites[0].site && f->sites[0].site->stack)
		text_format(buffer, size, "%s (%s)", f->sites[0].label,
			    fd_kind_name(f->sites[0].kind));
	else if (f->site_count)
		text_format(buffer, size, "%s", f->sites[0].label);
	else if (operation && operation->site)
		site_format(operation->site, buffer, size);
	else if (operation)
		text_format(buffer, size, "%s", syscall_name(operation->syscall));
}

/* To a suppression, which may name an executable. */
static bool cause_is_of_program(const struct cause *cause, const struct process *process)
{
	const struct process *first = cause->process;

	if (!first || !process || first == process)
		return first == process;
	if (first->exe && process->exe)
		return !strcmp(first->exe, process->exe);
	return !strcmp(process_program(first), process_program(process));
}

/* The same cause may be found in another program, which the suppression does not name. */
static bool cause_is_judged(const struct cause *cause, const struct finding *f)
{
	return cause->judged && (!cause->suppressed || cause_is_of_program(cause, f->process));
}

/* What the summary will say of it. */
static void cause_remember(struct cause *cause, const struct finding *f)
{
	bool of_table = f->rule == RULE_LIMIT_EMFILE || !f->site_count;

	cause->open = of_table ? f->limit.open : f->sites[0].open;
	cause->rate_per_min = of_table || f->sites[0].rate_per_min <= 0 ? f->limit.rate_per_min
									: f->sites[0].rate_per_min;
	cause_format_site(f, cause->site, sizeof(cause->site));
	text_format(cause->message, sizeof(cause->message), "%s", f->message);
}

/* Reported or not, a cause counts once, as the gravest it has been. */
static void cause_count_severity(struct engine *e, struct cause *cause, enum severity severity)
{
	if (severity <= cause->severity)
		return;
	if (cause->severity)
		e->counters.findings[cause->severity]--;
	e->counters.findings[severity]++;
	cause->severity = severity;
}

static void cause_deliver(struct engine *e, struct cause *cause, struct finding *f)
{
	f->sequence = f->joined ? e->sequence : ++e->sequence;
	f->state = cause->reported ? FINDING_ONGOING : FINDING_NEW;
	f->count = cause->count;
	other_end_find(e, &f->descriptor, &f->other_end);
	if (f->process)
		tasks_ask_place(e, (struct process *)f->process);
	cause_unlink(e, cause);
	if (cause->withheld) {
		cause->withheld = false;
		e->counters.findings_withheld--;
		e->counters.by_rule[f->rule].withheld--;
	}
	cause->reported = f->severity;
	cause->reported_ns = e->now_ns;
	cause->sequence = f->sequence;
	cause_link_newest(e, cause);
	cause_remember(cause, f);
	e->options.listener->finding(e->options.ctx, f);
}

/* Signed: what was reported before this run may have been so a moment after the event. */
static bool cause_is_long_ago(const struct engine *e, const struct cause *cause)
{
	return (int64_t)(e->now_ns - cause->reported_ns) >= (int64_t)REPEAT_AFTER_NS;
}

static void cause_withhold(struct engine *e, struct cause *cause, const struct finding *f)
{
	if (cause->reported || cause->withheld)
		return;
	cause->withheld = true;
	e->counters.findings_withheld++;
	e->counters.by_rule[f->rule].withheld++;
	cause_remember(cause, f);
	throttle_withhold(e, f);
}

/* Not yet reported, more severe than when it last was, or an hour old. */
static bool cause_is_due(const struct engine *e, const struct cause *cause, enum severity severity)
{
	return !cause->reported || severity > cause->reported || cause_is_long_ago(e, cause);
}

/* What has become more severe is reported at once, however many there are. */
static void cause_deliver_if_due(struct engine *e, struct cause *cause, struct finding *f)
{
	bool worse = cause->reported && f->severity > cause->reported;

	if (!cause_is_due(e, cause, f->severity))
		return;
	if (cause->process != f->process && cause_is_suppressed(e, f))
		return;
	if (worse || f->joined || throttle_pass(e, f))
		cause_deliver(e, cause, f);
	else
		cause_withhold(e, cause, f);
}

static bool operation_is_older(const struct operation *operation, uint64_t time_ns)
{
	return operation->known && operation->time_ns && operation->time_ns < time_ns;
}

/* Something of it lies before the end of the latest time when the hooks were off. */
static bool cause_rests_on_gap(const struct engine *e, const struct finding *f)
{
	return e->uncovered || f->first_ns < e->gap_end_ns ||
	       operation_is_older(&f->opened, e->gap_end_ns) ||
	       operation_is_older(&f->closed, e->gap_end_ns);
}

static void cause_complete(const struct engine *e, struct finding *f)
{
	f->time_ns = e->now_ns;
	if (!f->first_ns)
		f->first_ns = e->now_ns;
	if (cause_rests_on_gap(e, f))
		f->confidence = CONFIDENCE_AFTER_LOSS;
	f->why = f->why ? f->why : "";
	f->help = f->help ? f->help : "";
}

bool cause_is_news(const struct engine *e, const struct finding *f)
{
	const struct cause *cause = map_get(&e->findings, f->fingerprint);

	if (!cause || !cause_is_judged(cause, f))
		return true;
	return !cause->suppressed && cause_is_due(e, cause, f->severity);
}

static bool cause_is_elsewhere(struct engine *e, const struct finding *f)
{
	const struct engine_policy *policy = e->options.policy;

	if (!policy->wanted || !f->process)
		return false;
	tasks_ask_place(e, (struct process *)f->process);
	return !policy->wanted(e->options.ctx, f->process->cgroup);
}

/* Made and judged if need be. NULL: no memory. */
static struct cause *cause_of(struct engine *e, const struct finding *f)
{
	struct cause *cause = map_get(&e->findings, f->fingerprint);

	if (!cause)
		cause = cause_new(e, f->fingerprint, f->rule, 0);
	if (cause && !cause_is_judged(cause, f))
		cause_judge(e, cause, f);
	return cause;
}

bool cause_is_silent(struct engine *e, const struct finding *f)
{
	const struct cause *cause = cause_of(e, f);

	return cause && cause->suppressed;
}

void cause_report(struct engine *e, struct finding *f)
{
	struct cause *cause;

	if (!finding_wanted(e, f->rule) || e->finished || cause_is_elsewhere(e, f))
		return;
	cause_complete(e, f);
	e->counters.by_rule[f->rule].found++;
	cause = cause_of(e, f);
	if (!cause || !cause->suppressed)
		e->counters.by_rule[f->rule].reported[f->severity]++;
	if (!cause)
		return;
	cause->count++;
	cause->last_ns = e->now_ns;
	cause_unlink(e, cause);
	cause_link_newest(e, cause);
	e->counters.times_suppressed += cause->suppressed;
	if (cause->suppressed)
		return;
	cause_count_severity(e, cause, f->severity);
	cause_deliver_if_due(e, cause, f);
}

static int gravest_then_newest(const void *a, const void *b)
{
	const struct cause *x = *(struct cause *const *)a;
	const struct cause *y = *(struct cause *const *)b;

	if (x->severity != y->severity)
		return x->severity < y->severity ? 1 : -1;
	if (x->sequence != y->sequence) /* 0: withheld, after what was reported */
		return x->sequence < y->sequence ? 1 : -1;
	if (x->last_ns != y->last_ns)
		return x->last_ns < y->last_ns ? 1 : -1;
	return x->fingerprint < y->fingerprint ? -1 : x->fingerprint > y->fingerprint;
}

static void cause_row(const struct cause *cause,
		      void (*row)(void *ctx, const struct finding_row *row), void *ctx)
{
	struct finding_row out = { .rule = cause->rule,
				   .severity = cause->severity,
				   .fingerprint = cause->fingerprint,
				   .count = cause->count,
				   .first_ns = cause->first_ns,
				   .last_ns = cause->last_ns,
				   .reported = cause->reported,
				   .open = cause->open,
				   .rate_per_min = cause->rate_per_min,
				   .site = cause->site,
				   .message = cause->message };

	row(ctx, &out);
}

void engine_each_finding(struct engine *e, void (*row)(void *ctx, const struct finding_row *row),
			 void *ctx)
{
	size_t bytes = e->findings.count * sizeof(struct cause *), count = 0;
	struct cause **list = bytes ? mem_alloc_beyond(&e->mem, bytes) : NULL;

	if (!list)
		return;
	map_each (&e->findings, entry) {
		struct cause *found = entry->value;

		if (found->seen && !found->suppressed)
			list[count++] = found;
	}
	qsort(list, count, sizeof(*list), gravest_then_newest);
	for (size_t i = 0; i < count; i++)
		cause_row(list[i], row, ctx);
	mem_free(&e->mem, list, bytes);
}

/* The one found least recently first, so that it is the first to go again. */
void engine_each_reported(struct engine *e, void (*row)(void *ctx, const struct reported_row *row),
			  void *ctx)
{
	for (const struct cause *cause = e->reported.oldest; cause; cause = cause->newer) {
		struct reported_row out = { .fingerprint = cause->fingerprint,
					    .rule = cause->rule,
					    .severity = cause->reported,
					    .count = cause->count,
					    .reported_ns = cause->reported_ns };

		row(ctx, &out);
	}
}

int engine_restore_reported(struct engine *e, const struct reported_row *row)
{
	struct cause *cause = map_get(&e->findings, row->fingerprint);

	if (cause)
		return 0;
	cause = cause_new(e, row->fingerprint, row->rule, row->severity);
	if (!cause)
		return -ENOMEM;
	cause->count = row->count;
	cause->reported_ns = row->reported_ns;
	return 0;
}

void causes_judge_again(struct engine *e)
{
	map_each (&e->findings, entry)
		((struct cause *)entry->value)->judged = false;
}

struct process *cause_process(const struct cause *cause)
{
	return cause->process;
}

void causes_done(struct engine *e)
{
	map_each (&e->findings, entry) {
		struct cause *found = entry->value;

		process_unref(&e->mem, found->process);
		mem_free(&e->mem, found, sizeof(*found));
	}
	map_done(&e->mem, &e->findings);
}
