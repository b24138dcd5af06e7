// SPDX-License-Identifier: BSD-2-Clause
/* Dataset fdtrace.finding. The order of keys is part of the interface: what identifies it first. */
#include "base/clock.h"
#include "output/json/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/process.h"
#include "model/site.h"
#include "model/syscall_name.h"
#include "output/json/json_stack.h"
#include "output/text/phrase.h"
#include "util/hostinfo.h"

/* OpenTelemetry's severity numbers. */
static unsigned int severity_number(enum severity severity)
{
	switch (severity) {
	case SEVERITY_ERROR: return 17;
	case SEVERITY_WARNING: return 13;
	case SEVERITY_INFO: break;
	}
	return 9;
}

static void put_error_name(struct builder *b, json_t *object, const char *key, int32_t error)
{
	char name[PHRASE_SIZE];

	if (!error)
		return;
	phrase_error(name, sizeof(name), error);
	json_put_text(b, object, key, name);
}

static void put_operation(struct builder *b, json_t *parent, const char *key,
			  const struct operation *operation)
{
	json_t *object;

	if (!operation->known)
		return;
	object = json_put_object(b, parent, key);
	json_put_time(b, object, "at", operation->time_ns);
	json_put_number(b, object, "pid", operation->pid);
	json_put_number(b, object, "tid", operation->tid);
	json_put_text(b, object, "name", operation->name);
	if (operation->syscall)
		json_put_text(b, object, "syscall", syscall_name(operation->syscall));
	if (operation->how && strcmp(operation->how, syscall_name(operation->syscall)))
		json_put_text(b, object, "how", operation->how);
	put_error_name(b, object, "error", operation->error);
	json_put_stack(b, object, operation->site);
}

/* A list of a finding: what makes its rows, and how many there really are. */
struct finding_list {
	const char *key, *total_key; /* total_key: NULL: all of them are in the finding */
	json_t *(*row)(struct builder *b, const struct finding *f, unsigned int index);
	unsigned int count, total;
};

static void put_list(struct builder *b, json_t *fdtrace, const struct finding *f,
		     const struct finding_list *list)
{
	json_t *array = list->count ? json_put_array(b, fdtrace, list->key) : NULL;

	for (unsigned int i = 0; i < list->count; i++) {
		size_t row = json_note_row(&b->parts, JSON_LIST_OF_FINDING, array, i);

		json_put_item(b, array, list->row(b, f, i));
		json_note_row_end(&b->parts, row);
	}
	if (list->total > list->count)
		json_put_number(b, fdtrace, list->total_key, list->total);
	if (list->count)
		json_note_list(&b->parts, fdtrace, list->key, list->count, list->total_key,
			       list->total);
}

static json_t *lifetime_value(struct builder *b, const struct finding *f, unsigned int index)
{
	const struct lifetime *l = &f->history[index];
	json_t *row = json_object();

	json_put_number(b, row, "generation", l->generation);
	json_put_text(b, row, "kind", fd_kind_name(l->kind));
	put_operation(b, row, "opened", &l->opened);
	put_operation(b, row, "closed", &l->closed);
	return row;
}

/* Newest first, so that a cut drops the oldest. */
static void put_history(struct builder *b, json_t *fdtrace, const struct finding *f)
{
	put_list(b, fdtrace, f,
		 &(struct finding_list){
			 .key = "history", .row = lifetime_value, .count = f->history_count });
}

static void put_site_history(struct builder *b, json_t *row, const struct site *site)
{
	uint64_t median_ns = site ? site_median_lifetime_ns(site) : 0;

	if (site && site->peak)
		json_put_number(b, row, "peak", site->peak);
	if (median_ns)
		json_put_real(b, row, "median_lifetime_s", (double)median_ns / 1e9, 3);
}

static void put_asked(struct builder *b, json_t *row, const struct site_row *s)
{
	if (!s->asked)
		return;
	json_put_number(b, row, "asked", s->asked);
	json_put_number(b, row, "idle", s->idle);
	if (s->idle)
		json_put_number(b, row, "idle_s", s->idle_ns / SEC_NS);
	json_put_number(b, row, "established", s->established);
	json_put_number(b, row, "close_wait", s->close_wait);
}

json_t *json_site_row(struct builder *b, const struct site_row *s)
{
	json_t *row = json_object();

	json_put_number(b, row, "open", s->open);
	json_put_number(b, row, "opened", s->opened);
	json_put_number(b, row, "closed", s->closed);
	if (s->rate_per_min > 0)
		json_put_real(b, row, "rate_per_min", s->rate_per_min, 2);
	json_put_number(b, row, "oldest_s", s->oldest_ns / SEC_NS);
	put_asked(b, row, s);
	json_put_text(b, row, "kind", fd_kind_name(s->kind));
	if (s->example_fd >= 0)
		json_put_number(b, row, "example_fd", (uint64_t)s->example_fd);
	json_put_text(b, row, "example_name", phrase_name(s->kind, s->example_name));
	json_put_text(b, row, "label", s->label);
	if (s->calls > 1)
		json_put_number(b, row, "calls", s->calls);
	json_put_text(b, row, "target", s->target);
	json_put_text(b, row, "state", s->state);
	if (s->looked) {
		json_put_number(b, row, "looked", s->looked);
		json_put_number(b, row, "alike", s->alike);
	}
	put_site_history(b, row, s->site);
	return row;
}

static json_t *site_value(struct builder *b, const struct finding *f, unsigned int index)
{
	json_t *row = json_site_row(b, &f->sites[index]);

	json_put_stack(b, row, f->sites[index].site);
	return row;
}

static void put_sites(struct builder *b, json_t *fdtrace, const struct finding *f)
{
	put_list(b, fdtrace, f,
		 &(struct finding_list){ .key = "sites",
					 .total_key = "sites_total",
					 .row = site_value,
					 .count = f->site_count,
					 .total = f->site_total });
}

static void put_limit(struct builder *b, json_t *fdtrace, const struct finding_limit *l)
{
	json_t *limit;

	if (!l->present)
		return;
	limit = json_put_object(b, fdtrace, "limit");
	json_put_number(b, limit, "soft", l->soft);
	json_put_number(b, limit, "open", l->open);
	if (l->rate_per_min > 0 || l->rate_per_min < 0)
		json_put_real(b, limit, "rate_per_min", l->rate_per_min, 2);
	if (l->exhausted_in_s)
		json_put_number(b, limit, "exhausted_in_s", l->exhausted_in_s);
}

static void put_sweep(struct builder *b, json_t *fdtrace, const struct finding_sweep *s)
{
	json_t *sweep;

	if (!s->present)
		return;
	sweep = json_put_object(b, fdtrace, "sweep");
	json_put(b, sweep, "first", json_integer(s->first));
	json_put(b, sweep, "last", json_integer(s->last));
	json_put_number(b, sweep, "tries", s->tries);
	json_put_number(b, sweep, "closed", s->closed);
	json_put_real(b, sweep, "duration_s", (double)s->duration_ns / 1e9, 6);
}

static json_t *victim_value(struct builder *b, const struct finding *f, unsigned int index)
{
	const struct victim *v = &f->victims[index];
	json_t *row = json_object();

	json_put(b, row, "fd", json_integer(v->fd));
	json_put_text(b, row, "kind", fd_kind_name(v->kind));
	json_put_text(b, row, "name", phrase_name(v->kind, v->name));
	put_operation(b, row, "opened", &v->opened);
	put_operation(b, row, "hurt", &v->failed_use);
	return row;
}

static void put_victims(struct builder *b, json_t *fdtrace, const struct finding *f)
{
	put_list(b, fdtrace, f,
		 &(struct finding_list){ .key = "victims",
					 .total_key = "victims_total",
					 .row = victim_value,
					 .count = f->victim_count,
					 .total = f->victim_total });
}

static void put_finding_event(struct builder *b, json_t *line, const struct finding *f)
{
	json_t *event = json_put_object(b, line, "event");

	json_put_text(b, event, "kind", "alert");
	json_put(b, event, "category", json_pack("[s]", "process"));
	json_put(b, event, "type", json_pack("[s]", "info"));
	json_put_text(b, event, "dataset", "fdtrace.finding");
	if (b->host->start_id[0])
		json_put_format(b, event, "id", "%s-%" PRIu64, b->host->start_id, f->sequence);
	json_put_number(b, event, "sequence", f->sequence);
	json_put_number(b, event, "severity", severity_number(f->severity));
	json_put_time(b, event, "start", f->first_ns);
	json_put_time(b, event, "end", f->time_ns);
	json_put_text(b, event, "reason", f->why);
}

static int32_t first_error(const struct finding *f)
{
	if (f->used.known && f->used.error)
		return f->used.error;
	if (f->opened.known && f->opened.error)
		return f->opened.error;
	return f->closed.known ? f->closed.error : 0;
}

static const struct site *culprit_site(const struct finding *f)
{
	if (f->closed_is_culprit)
		return f->closed.site;
	if (f->opened_is_culprit)
		return f->opened.site;
	return f->used_is_culprit ? f->used.site : NULL;
}

static void put_trace(struct builder *b, json_t *error, const struct stack *stack)
{
	struct json_stack *frames = json_stack_new(stack);

	json_put(b, error, "stack_trace",
		 frames ? json_stack_trace(json_stack_frames(frames)) : NULL);
	json_note_trace(&b->parts, error, "stack_trace", frames);
}

static void put_error(struct builder *b, json_t *line, const struct finding *f)
{
	const struct stack *stack = json_stack_of(culprit_site(f));
	json_t *error;

	if (!first_error(f) && !stack)
		return;
	error = json_put_object(b, line, "error");
	put_error_name(b, error, "code", first_error(f));
	if (stack)
		put_trace(b, error, stack);
}

static void put_descriptor(struct builder *b, json_t *fdtrace, const struct descriptor *d)
{
	if (d->fd < 0)
		return;
	json_put_number(b, fdtrace, "fd", (uint64_t)d->fd);
	json_put_text(b, fdtrace, "kind", fd_kind_name(d->kind));
	if (d->generation)
		json_put_number(b, fdtrace, "generation", d->generation);
	json_put_target_name(b, fdtrace, d);
	json_put_detail(b, fdtrace, d);
}

static json_t *holder_value(struct builder *b, const struct holder *holder)
{
	json_t *row = json_object();

	json_put_number(b, row, "pid", holder->pid);
	json_put_text(b, row, "name", holder->name);
	json_put_number(b, row, "fd", (uint64_t)holder->fd);
	return row;
}

static void put_other_end(struct builder *b, json_t *fdtrace, const struct other_end *end)
{
	json_t *other, *holders;

	if (!end->closed && !end->elsewhere && !end->holder_count)
		return;
	other = json_put_object(b, fdtrace, "other_end");
	json_put(b, other, "open", json_boolean(!end->closed));
	if (!end->holder_count)
		return;
	holders = json_put_array(b, other, "holders");
	for (unsigned int i = 0; i < end->holder_count; i++)
		json_put_item(b, holders, holder_value(b, &end->holders[i]));
	if (end->holder_total > end->holder_count)
		json_put_number(b, other, "holders_total", end->holder_total);
}

static void put_fdtrace(struct builder *b, json_t *line, const struct finding *f)
{
	json_t *fdtrace = json_put_object(b, line, "fdtrace");

	json_put_number(b, fdtrace, "schema", JSON_SCHEMA);
	json_put_format(b, fdtrace, "fingerprint", "%016" PRIx64, f->fingerprint);
	json_put_text(b, fdtrace, "state", finding_state_name(f->state));
	json_put_number(b, fdtrace, "count", f->count);
	json_put_text(b, fdtrace, "confidence", confidence_name(f->confidence));
	json_put_text(b, fdtrace, "coverage", b->host->coverage);
	json_put_cgroup(b, fdtrace, f->process);
	put_descriptor(b, fdtrace, &f->descriptor);
	put_other_end(b, fdtrace, &f->other_end);
	json_put_text(b, fdtrace, "subject", f->subject);
	json_put_text(b, fdtrace, "help", f->help);
	put_operation(b, fdtrace, "opened", &f->opened);
	put_operation(b, fdtrace, "closed", &f->closed);
	put_operation(b, fdtrace, "used", &f->used);
	put_history(b, fdtrace, f);
	put_sites(b, fdtrace, f);
	put_limit(b, fdtrace, &f->limit);
	put_sweep(b, fdtrace, &f->sweep);
	put_victims(b, fdtrace, f);
}

json_t *json_finding_object(struct builder *b, const struct finding *f)
{
	const struct rule_info *info = rule_info(f->rule);
	json_t *line = json_object(), *rule;

	json_put_time(b, line, "@timestamp", f->time_ns);
	json_put_text(b, line, "severity", severity_name(f->severity));
	json_put_text(b, line, "message", f->message);
	rule = json_put_object(b, line, "rule");
	json_put_text(b, rule, "id", info->id);
	json_put_text(b, rule, "category", info->category);
	json_put_host(b, line);
	json_put_process(b, line, f->process);
	json_put_workload(b, line, f->process);
	json_put_target(b, line, &f->descriptor);
	put_finding_event(b, line, f);
	json_put_text(b, json_put_object(b, line, "log"), "level", severity_name(f->severity));
	json_put_ecs(b, line);
	put_error(b, line, f);
	put_fdtrace(b, line, f);
	return line;
}
