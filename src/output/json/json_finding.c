// SPDX-License-Identifier: BSD-2-Clause
/* Dataset fdtrace.finding. The order of the keys is part of the interface: identity first, bulk last. */
#include "base/clock.h"
#include "output/json/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/process.h"
#include "model/site.h"
#include "model/syscall_name.h"
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

static size_t least_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Which frames are shown: the first and the last of those that may be, and how many are not. */
struct stack_view {
	const struct stack *stack;
	enum frame_rank worst;
	size_t count, head, hidden, tail;
};

static bool may_show(const struct stack_view *view, unsigned int index)
{
	return stack_frame_rank(&view->stack->frames[index]) <= view->worst;
}

static struct stack_view view_stack(struct builder *b, const struct stack *stack)
{
	struct stack_view view = { .stack = stack };
	size_t shown;

	view.worst = stack_best_rank(stack);
	if (view.worst < b->limits.worst)
		view.worst = b->limits.worst;
	for (unsigned int i = 0; i < stack->frame_count; i++)
		view.count += may_show(&view, i);
	shown = least_size(view.count, b->limits.frames);
	view.head = shown - shown / 2;
	view.hidden = view.count - shown;
	view.tail = shown / 2;
	if (shown < stack->frame_count)
		b->cut = true;
	return view;
}

static void put_frame_words(struct builder *b, json_t *array, const char *text)
{
	json_put_item(b, array, json_text_value(b, text, strlen(text), JSON_ALL));
}

static void put_gap(struct builder *b, json_t *array, size_t frames)
{
	char text[PHRASE_SIZE];

	snprintf(text, sizeof(text), "... %zu more", frames);
	put_frame_words(b, array, text);
}

static void put_json_frame(struct builder *b, json_t *array, const struct stack_frame *frame)
{
	json_put_item(b, array,
		      json_text_value(b, frame->text, strlen(frame->text), b->limits.frame_bytes));
}

/* `done` of the frames that may be shown lie before this one. */
static void put_next(struct builder *b, json_t *array, const struct stack_view *view,
		     unsigned int index, size_t done)
{
	if (view->stack->left_out && index == view->stack->left_out_at)
		put_gap(b, array, view->stack->left_out);
	if (!may_show(view, index))
		return;
	if (view->hidden && done == view->head)
		put_gap(b, array, view->hidden);
	if (done < view->head || done >= view->count - view->tail)
		put_json_frame(b, array, &view->stack->frames[index]);
}

/* An array of frames, innermost first; NULL where there is none to show. */
static json_t *stack_value(struct builder *b, const struct site *site)
{
	struct stack_view view;
	json_t *array;
	size_t done = 0;

	if (!site || !site->stack || !site->stack->frame_count)
		return NULL;
	view = view_stack(b, site->stack);
	if (!view.head)
		return NULL;
	array = json_array();
	for (unsigned int i = 0; i < site->stack->frame_count; i++) {
		put_next(b, array, &view, i, done);
		done += may_show(&view, i);
	}
	if (site->stack->flags & FDT_SITE_CUT)
		put_frame_words(b, array, "...");
	b->failed |= !array;
	return array;
}

/* Of all frames, innermost first: the same on every host, whatever lines and names are. */
static void put_identities(struct builder *b, json_t *object, const struct stack *stack)
{
	json_t *array = json_put_array(b, object, "stack_ids");
	char text[20];

	for (unsigned int i = 0; i < stack->frame_count; i++) {
		snprintf(text, sizeof(text), "%016" PRIx64, stack->frames[i].identity);
		put_frame_words(b, array, text);
	}
}

void json_put_stack(struct builder *b, json_t *object, const struct site *site)
{
	json_t *stack = stack_value(b, site);

	if (!stack)
		return;
	json_put(b, object, "stack", stack);
	if (b->identities)
		put_identities(b, object, site->stack);
}

static void put_error_name(struct builder *b, json_t *object, const char *key, int32_t error)
{
	char name[PHRASE_SIZE];

	if (!error)
		return;
	phrase_error(name, sizeof(name), error);
	json_put_text(b, object, key, name);
}

static void put_party(struct builder *b, json_t *parent, const char *key, const struct party *party)
{
	json_t *object;

	if (!party->known)
		return;
	object = json_put_object(b, parent, key);
	json_put_time(b, object, "at", party->time_ns);
	json_put_number(b, object, "pid", party->pid);
	json_put_number(b, object, "tid", party->tid);
	json_put_text(b, object, "name", party->name);
	if (party->syscall)
		json_put_text(b, object, "syscall", syscall_name(party->syscall));
	if (party->how && strcmp(party->how, syscall_name(party->syscall)))
		json_put_text(b, object, "how", party->how);
	put_error_name(b, object, "error", party->error);
	json_put_stack(b, object, party->site);
}

/* How many rows of a list are shown. */
static unsigned int rows_shown(struct builder *b, unsigned int count)
{
	unsigned int shown = (unsigned int)least_size(count, b->limits.rows);

	if (shown < count)
		b->cut = true;
	return shown;
}

/* Newest first, so that a cut drops the oldest. */
static void put_history(struct builder *b, json_t *fdtrace, const struct finding *f)
{
	unsigned int shown = rows_shown(b, f->history_count);
	json_t *history = shown ? json_put_array(b, fdtrace, "history") : NULL;

	for (unsigned int i = 0; i < shown; i++) {
		const struct lifetime *l = &f->history[i];
		json_t *row = json_object();

		json_put_number(b, row, "generation", l->generation);
		json_put_text(b, row, "kind", fd_kind_name(l->kind));
		put_party(b, row, "opened", &l->opened);
		put_party(b, row, "closed", &l->closed);
		json_put_item(b, history, row);
	}
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

static json_t *site_value(struct builder *b, const struct site_row *s)
{
	json_t *row = json_object();

	json_put_number(b, row, "open", s->open);
	json_put_number(b, row, "opened", s->opened);
	json_put_number(b, row, "closed", s->closed);
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
	json_put_stack(b, row, s->site);
	return row;
}

static void put_sites(struct builder *b, json_t *fdtrace, const struct finding *f)
{
	unsigned int shown = rows_shown(b, f->site_count);
	json_t *sites = shown ? json_put_array(b, fdtrace, "sites") : NULL;

	for (unsigned int i = 0; i < shown; i++)
		json_put_item(b, sites, site_value(b, &f->sites[i]));
	if (f->site_total > shown)
		json_put_number(b, fdtrace, "sites_total", f->site_total);
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

static json_t *victim_value(struct builder *b, const struct victim *v)
{
	json_t *row = json_object();

	json_put(b, row, "fd", json_integer(v->fd));
	json_put_text(b, row, "kind", fd_kind_name(v->kind));
	json_put_text(b, row, "name", phrase_name(v->kind, v->name));
	put_party(b, row, "opened", &v->opened);
	put_party(b, row, "hurt", &v->hurt);
	return row;
}

static void put_victims(struct builder *b, json_t *fdtrace, const struct finding *f)
{
	unsigned int shown = rows_shown(b, f->victim_count);
	json_t *victims = shown ? json_put_array(b, fdtrace, "victims") : NULL;

	for (unsigned int i = 0; i < shown; i++)
		json_put_item(b, victims, victim_value(b, &f->victims[i]));
	if (f->victim_total > shown)
		json_put_number(b, fdtrace, "victims_total", f->victim_total);
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

/* ECS wants the trace as one text with a frame a line. */
static json_t *trace_value(struct builder *b, const json_t *stack)
{
	char *text = NULL;
	size_t size = 1, done = 0, index;
	json_t *frame, *value;

	json_array_foreach(stack, index, frame) size += json_string_length(frame) + 1;
	text = malloc(size);
	if (!text)
		return NULL;
	json_array_foreach(stack, index, frame)
	{
		const char *from = json_string_value(frame);

		if (index)
			text[done++] = '\n';
		for (size_t i = 0; i < json_string_length(frame); i++)
			text[done++] =
				from[i] == '\n' ? ' ' : from[i]; /* a name must not forge a frame */
	}
	value = json_text_value(b, text, done, JSON_ALL);
	free(text);
	return value;
}

static void put_error(struct builder *b, json_t *line, const struct finding *f)
{
	json_t *stack = stack_value(b, culprit_site(f)), *error;

	if (first_error(f) || stack) {
		error = json_put_object(b, line, "error");
		put_error_name(b, error, "code", first_error(f));
		if (stack)
			json_put(b, error, "stack_trace", trace_value(b, stack));
	}
	json_decref(stack);
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
	put_party(b, fdtrace, "opened", &f->opened);
	put_party(b, fdtrace, "closed", &f->closed);
	put_party(b, fdtrace, "used", &f->used);
	put_history(b, fdtrace, f);
	put_sites(b, fdtrace, f);
	put_limit(b, fdtrace, &f->limit);
	put_sweep(b, fdtrace, &f->sweep);
	put_victims(b, fdtrace, f);
	if (b->cut)
		json_put(b, fdtrace, "truncated", json_true());
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
	json_put_place(b, line, f->process);
	json_put_target(b, line, &f->descriptor);
	put_finding_event(b, line, f);
	json_put_text(b, json_put_object(b, line, "log"), "level", severity_name(f->severity));
	json_put_ecs(b, line);
	put_error(b, line, f);
	put_fdtrace(b, line, f);
	return line;
}
