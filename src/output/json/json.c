// SPDX-License-Identifier: BSD-2-Clause
/* JSON lines: every dataset but the findings, and how a line is made to fit. */
#include "output/json/json.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/process.h"
#include "engine/suppression.h"
#include "model/syscall_name.h"
#include "output/json/json_text.h"
#include "output/text/phrase.h"
#include "output/format.h"
#include "output/hidden.h"
#include "util/hostinfo.h"
#include "util/io.h"

#define MESSAGE_SIZE 128
#define NAME_BYTES 160      /* of a suppression */
#define HELD_TABLES_MAX 16  /* of more processes it is not said who holds their tables */
#define SUMMARY_ROWS_MAX 20 /* more cannot fit a line that has a bound */

struct json_sink {
	struct sink sink;
	struct sink_options options;
	uint64_t states, changes, summaries, inventories,
		withheld; /* lines so far: sequence numbers */
	uint64_t now_ns;  /* the latest time, for lines without one of their own */
	/* the whole line of the finding that comes next, from write_evidence(); NULL: none */
	json_t *built;
	struct builder built_with;
};

static struct json_sink *json_sink(struct sink *sink)
{
	return (struct json_sink *)sink;
}

typedef json_t *(*build_fn)(struct builder *b, const void *what);

/* Takes line. */
static int finish_line(const struct json_sink *s, struct builder *b, json_t *line, char **ret_line,
		       size_t *ret_length)
{
	size_t max = s->options.full ? JSON_ALL : JSON_LINE_MAX;
	int err;

	if (b->cut)
		json_put(b, json_object_get(line, "fdtrace"), "truncated", json_true());
	err = b->failed ? -ENOMEM : json_cut_line(&b->parts, line, max, ret_line, ret_length);
	json_decref(line);
	json_builder_done(b);
	return err;
}

static struct builder begin_line(const struct json_sink *s)
{
	return (struct builder){ .host = s->options.host,
				 .redaction = s->options.redaction,
				 .summary_rows = s->options.full ? JSON_ALL : SUMMARY_ROWS_MAX };
}

static int build_line(const struct json_sink *s, build_fn build, const void *what, char **ret_line,
		      size_t *ret_length)
{
	struct builder b = begin_line(s);
	json_t *line = build(&b, what);

	return finish_line(s, &b, line, ret_line, ret_length);
}

/* Takes line. finding: what it reports, NULL for other datasets. */
static int emit_line(struct json_sink *s, char *line, size_t length, const struct finding *finding)
{
	int err = s->options.write ? s->options.write(s->options.write_ctx, line, length, finding)
				   : write_all(s->options.fd, line, length);

	free(line);
	return err;
}

static int json_emit(struct json_sink *s, build_fn build, const void *what)
{
	size_t length;
	char *line;
	int err = build_line(s, build, what, &line, &length);

	return err ? err : emit_line(s, line, length, NULL);
}

static void json_see_time(struct json_sink *s, uint64_t time_ns)
{
	if (time_ns > s->now_ns)
		s->now_ns = time_ns;
}

/* What all lines but findings begin with. */
struct line_head {
	uint64_t time_ns;
	enum severity severity;
	const char *message;             /* NULL: none */
	const struct process *process;   /* NULL: it is about the whole run */
	const struct descriptor *target; /* NULL: none */
	const char *kind, *type, *dataset;
	char series; /* keeps ids of the datasets apart */
	uint64_t sequence;
};

static json_t *put_line_event(struct builder *b, json_t *line, const struct line_head *head)
{
	json_t *event = json_put_object(b, line, "event");

	json_put_text(b, event, "kind", head->kind);
	json_put(b, event, "category", json_pack("[s]", "process"));
	json_put(b, event, "type", json_pack("[s]", head->type));
	json_put_text(b, event, "dataset", head->dataset);
	if (b->host->start_id[0])
		json_put_format(b, event, "id", "%s-%c%" PRIu64, b->host->start_id, head->series,
				head->sequence);
	json_put_number(b, event, "sequence", head->sequence);
	return event;
}

static json_t *put_line_fdtrace(struct builder *b, json_t *line)
{
	json_t *fdtrace = json_put_object(b, line, "fdtrace");

	json_put_number(b, fdtrace, "schema", JSON_SCHEMA);
	json_put_text(b, fdtrace, "coverage", b->host->coverage);
	if (b->host->not_seen[0])
		json_put_text(b, fdtrace, "not_seen", b->host->not_seen);
	return fdtrace;
}

/* A new line, owned by the caller; its "event" and "fdtrace" are borrowed, to be added to. */
static json_t *line_begin(struct builder *b, const struct line_head *head, json_t **ret_event,
			  json_t **ret_fdtrace)
{
	json_t *line = json_object();

	json_put_time(b, line, "@timestamp", head->time_ns);
	json_put_text(b, line, "severity", severity_name(head->severity));
	if (head->message)
		json_put_format(b, line, "message", "%s", head->message);
	json_put_host(b, line);
	json_put_process(b, line, head->process);
	if (head->target)
		json_put_target(b, line, head->target);
	*ret_event = put_line_event(b, line, head);
	json_put_ecs(b, line);
	*ret_fdtrace = put_line_fdtrace(b, line);
	return line;
}

struct state_line {
	enum run_state state;
	uint64_t time_ns, sequence;
};

static json_t *state_object(struct builder *b, const void *what)
{
	const struct state_line *l = what;
	bool start = l->state == RUN_START;
	struct line_head head = {
		.time_ns = l->time_ns,
		.severity = SEVERITY_INFO,
		.message = start ? "tracing has started" : "tracing has stopped",
		.kind = "state",
		.type = start ? "start" : "end",
		.dataset = "fdtrace.state",
		.series = 'r',
		.sequence = l->sequence,
	};
	json_t *event, *fdtrace, *line = line_begin(b, &head, &event, &fdtrace);

	json_put_text(b, event, "action", start ? "start" : "stop");
	json_put_text(b, fdtrace, "version", b->host->version);
	json_put_text(b, fdtrace, "mode", b->host->mode);
	json_put_text(b, fdtrace, "kernel", b->host->kernel);
	return line;
}

static int write_state(struct sink *sink, enum run_state state, uint64_t time_ns)
{
	struct json_sink *s = json_sink(sink);
	struct state_line l = { state, time_ns, ++s->states };

	json_see_time(s, time_ns);
	return json_emit(s, state_object, &l);
}

struct coverage_line {
	const struct coverage_change *change;
	uint64_t sequence;
};

static json_t *coverage_object(struct builder *b, const void *what)
{
	const struct coverage_line *l = what;
	const struct coverage_change *c = l->change;
	char message[MESSAGE_SIZE];
	struct line_head head = {
		.time_ns = c->time_ns,
		.severity = SEVERITY_INFO,
		.message = message,
		.kind = "state",
		.type = "change",
		.dataset = "fdtrace.state",
		.series = 'r',
		.sequence = l->sequence,
	};
	json_t *event, *fdtrace, *line;

	snprintf(message, sizeof(message),
		 "coverage is %s (was %s): hooks on %.1f %% of the last minute, overhead %.2f %%",
		 c->to, c->from, c->share * 100, c->overhead * 100);
	line = line_begin(b, &head, &event, &fdtrace);
	json_put_text(b, event, "action", "coverage");
	json_put_text(b, fdtrace, "from", c->from);
	json_put_text(b, fdtrace, "to", c->to);
	json_put_real(b, fdtrace, "coverage_ratio", c->share, 4);
	json_put_real(b, fdtrace, "overhead_ratio", c->overhead, 6);
	return line;
}

static int write_coverage(struct sink *sink, const struct coverage_change *change)
{
	struct json_sink *s = json_sink(sink);
	struct coverage_line l = { change, ++s->states };

	json_see_time(s, change->time_ns);
	return json_emit(s, coverage_object, &l);
}

static json_t *finding_object(struct builder *b, const void *what)
{
	return json_finding_object(b, what);
}

/* Its uncut line, and what it was made from, for a line that is cut. 0 or -ENOMEM. */
static int finding_line_whole(struct builder *b, const struct finding *f, json_t **ret_object,
			      char **ret_line, size_t *ret_length)
{
	json_t *object = json_finding_object(b, f);
	int err = b->failed || b->parts.failed ? -ENOMEM : json_line(object, ret_line, ret_length);

	if (!err) {
		*ret_object = object;
		return 0;
	}
	json_decref(object);
	json_builder_done(b);
	return err;
}

int json_finding_line(const struct hostinfo *host, const struct redaction *redaction,
		      const struct finding *f, char **ret_line, size_t *ret_length)
{
	struct builder b = { .host = host, .redaction = redaction, .identities = true };
	json_t *object;
	int err = finding_line_whole(&b, f, &object, ret_line, ret_length);

	if (err)
		return err;
	json_decref(object);
	json_builder_done(&b);
	return 0;
}

static void drop_built(struct json_sink *s)
{
	json_decref(s->built);
	s->built = NULL;
	json_builder_done(&s->built_with);
}

static int write_evidence(struct sink *sink, const struct finding *finding, char **ret_line,
			  size_t *ret_length)
{
	struct json_sink *s = json_sink(sink);
	struct builder b = begin_line(s);
	json_t *object;
	int err;

	drop_built(s);
	b.identities = true;
	err = finding_line_whole(&b, finding, &object, ret_line, ret_length);
	if (err)
		return err;
	json_drop_identities(&b.parts);
	s->built_with = b;
	s->built = object;
	return 0;
}

/* Takes what write_evidence() has built of this finding. */
static int take_built(struct json_sink *s, char **ret_line, size_t *ret_length)
{
	json_t *object = s->built;

	s->built = NULL;
	return finish_line(s, &s->built_with, object, ret_line, ret_length);
}

static int write_finding(struct sink *sink, const struct finding *finding)
{
	struct json_sink *s = json_sink(sink);
	size_t length;
	char *line;
	int err;

	json_see_time(s, finding->time_ns);
	if (!sink_shows(&s->options, finding->rule, finding->severity)) {
		drop_built(s);
		return 0;
	}
	err = s->built ? take_built(s, &line, &length)
		       : build_line(s, finding_object, finding, &line, &length);
	return err ? err : emit_line(s, line, length, finding);
}

struct withheld_line {
	const struct withheld *withheld;
	uint64_t sequence, total;
	enum severity severity;
};

static json_t *withheld_object(struct builder *b, const void *what)
{
	const struct withheld_line *l = what;
	const struct withheld *w = l->withheld;
	char message[MESSAGE_SIZE];
	struct line_head head = {
		.time_ns = w->time_ns,
		.severity = l->severity,
		.message = message,
		.process = w->process,
		.kind = "alert",
		.type = "info",
		.dataset = "fdtrace.withheld",
		.series = 'w',
		.sequence = l->sequence,
	};
	json_t *event, *fdtrace, *line, *rules;

	snprintf(message, sizeof(message),
		 "%" PRIu64 " more findings counted but not reported one by one", l->total);
	line = line_begin(b, &head, &event, &fdtrace);
	json_put_time(b, event, "start", w->first_ns);
	json_put_time(b, event, "end", w->time_ns);
	json_put_number(b, fdtrace, "withheld", l->total);
	rules = json_put_object(b, fdtrace, "rules");
	for (unsigned int r = 0; r < RULE_COUNT; r++)
		if (w->count[r])
			json_put_number(b, rules, rule_info((enum rule)r)->id, w->count[r]);
	return line;
}

static int write_withheld(struct sink *sink, const struct withheld *w)
{
	struct json_sink *s = json_sink(sink);
	struct withheld_line l = { .withheld = w };

	json_see_time(s, w->time_ns);
	for (unsigned int r = 0; r < RULE_COUNT; r++) {
		if (!sink_shows(&s->options, (enum rule)r, w->severity[r]))
			continue;
		l.total += w->count[r];
		l.severity = w->severity[r] > l.severity ? w->severity[r] : l.severity;
	}
	l.sequence = s->withheld + 1;
	if (!l.total)
		return 0;
	s->withheld++;
	return json_emit(s, withheld_object, &l);
}

struct change_line {
	const struct change *change;
	uint64_t sequence;
};

static void put_change(struct builder *b, json_t *fdtrace, const struct change *c)
{
	const struct descriptor *d = &c->descriptor;
	char error[PHRASE_SIZE];

	json_put_text(b, fdtrace, "op", change_op_name(c->op));
	json_put_number(b, fdtrace, "tid", c->tid);
	if (c->syscall)
		json_put_text(b, fdtrace, "syscall", syscall_name(c->syscall));
	if (c->how && strcmp(c->how, syscall_name(c->syscall)))
		json_put_text(b, fdtrace, "how", c->how);
	if (d->fd >= 0) {
		json_put_number(b, fdtrace, "fd", (uint64_t)d->fd);
		json_put_text(b, fdtrace, "kind", fd_kind_name(d->kind));
		if (d->generation)
			json_put_number(b, fdtrace, "generation", d->generation);
		json_put_target_name(b, fdtrace, d);
		json_put_detail(b, fdtrace, d);
	}
	if (c->op == CHANGE_ERROR) {
		phrase_error(error, sizeof(error), c->error);
		json_put_text(b, fdtrace, "error", error);
		json_put_number(b, fdtrace, "count", c->count);
	}
	if (c->op == CHANGE_FORK)
		json_put_number(b, fdtrace, "child_pid", c->other_pid);
	json_put_stack(b, fdtrace, c->site);
}

static json_t *change_object(struct builder *b, const void *what)
{
	const struct change_line *l = what;
	struct line_head head = {
		.time_ns = l->change->time_ns,
		.severity = SEVERITY_INFO,
		.process = l->change->process,
		.target = &l->change->descriptor,
		.kind = "event",
		.type = "info",
		.dataset = "fdtrace.event",
		.series = 'e',
		.sequence = l->sequence,
	};
	json_t *event, *fdtrace, *line = line_begin(b, &head, &event, &fdtrace);

	put_change(b, fdtrace, l->change);
	return line;
}

static int write_change(struct sink *sink, const struct change *change)
{
	struct json_sink *s = json_sink(sink);
	struct change_line l = { change, ++s->changes };

	json_see_time(s, change->time_ns);
	return json_emit(s, change_object, &l);
}

struct summary_line {
	const struct summary *summary;
	const struct sink_options *options;
	const struct process_row *row; /* NULL: the line about the whole run */
	uint64_t time_ns, sequence, processes;
};

static void put_finding_totals(struct builder *b, json_t *fdtrace, const struct engine_counters *c)
{
	json_t *findings = json_put_object(b, fdtrace, "findings");

	json_put_number(b, findings, "error", c->findings[SEVERITY_ERROR]);
	json_put_number(b, findings, "warn", c->findings[SEVERITY_WARNING]); /* a key of schema 1 */
	json_put_number(b, findings, "info", c->findings[SEVERITY_INFO]);
}

static void put_corrections(struct builder *b, json_t *fdtrace, const struct engine_counters *c)
{
	json_t *causes = json_put_object(b, fdtrace, "corrections_by");

	for (int cause = 0; cause < CORRECTION_CAUSES; cause++)
		json_put_number(b, causes, correction_cause_name((enum correction_cause)cause),
				c->corrections_by[cause]);
}

/* For each rule with findings: how many were found, withheld and suppressed. */
static void put_rules(struct builder *b, json_t *fdtrace, const struct engine_counters *c)
{
	json_t *rules = json_put_object(b, fdtrace, "rules");

	for (unsigned int r = 0; r < RULE_COUNT; r++) {
		const struct rule_counters *of = &c->by_rule[r];
		json_t *rule;

		if (!of->found)
			continue;
		rule = json_put_object(b, rules, rule_info((enum rule)r)->id);
		json_put_number(b, rule, "found", of->found);
		json_put_number(b, rule, "causes", of->causes);
		if (of->withheld)
			json_put_number(b, rule, "withheld", of->withheld);
		if (of->suppressed)
			json_put_number(b, rule, "suppressed", of->suppressed);
	}
}

/* What --min-severity has hidden, by rule. */
static void put_hidden(struct builder *b, json_t *fdtrace, const struct sink_options *options,
		       struct engine *engine)
{
	struct hidden hidden;
	json_t *rules;

	hidden_count(options, engine, &hidden);
	if (!hidden.total)
		return;
	rules = json_put_object(b, fdtrace, "hidden");
	for (unsigned int r = 0; r < RULE_COUNT; r++)
		if (hidden.by_rule[r])
			json_put_number(b, rules, rule_info((enum rule)r)->id, hidden.by_rule[r]);
}

/* The seconds that rules would have needed to report anything. */
static void put_too_short(struct builder *b, json_t *fdtrace, const struct summary *s)
{
	json_t *rules = NULL;

	for (unsigned int r = 0; r < RULE_COUNT && s->final; r++) {
		uint64_t takes_ns = engine_takes_ns(s->engine, (enum rule)r);

		if (s->duration_ns >= takes_ns || s->counters.by_rule[r].found)
			continue;
		rules = rules ? rules : json_put_object(b, fdtrace, "too_short");
		json_put_real(b, rules, rule_info((enum rule)r)->id, (double)takes_ns / 1e9, 3);
	}
}

/* The rules that fail the run, and with what exit status. */
static void put_failing(struct builder *b, json_t *fdtrace, const struct summary *s)
{
	json_t *failed, *rules;

	if (!s->fail_on || !fail_on_total(s->fail_on, &s->counters))
		return;
	failed = json_put_object(b, fdtrace, "failed");
	json_put_number(b, failed, "exit_status", s->fail_status);
	rules = json_put_array(b, failed, "rules");
	for (unsigned int r = 0; r < RULE_COUNT; r++)
		if (fail_on_count(s->fail_on, (enum rule)r, &s->counters))
			json_put_item(b, rules, json_string(rule_info((enum rule)r)->id));
}

static json_t *suppression_value(struct builder *b, const struct suppression *s)
{
	json_t *name = json_short_value(b, s->name, NAME_BYTES), *entry;

	if (!s->used)
		return name;
	entry = json_object();
	json_put(b, entry, "name", name);
	json_put_number(b, entry, "causes", s->used);
	return entry;
}

/* The suppressions that matched something, and the names of those that did not. */
static void put_suppressions(struct builder *b, json_t *fdtrace,
			     const struct suppression_list *suppressions)
{
	json_t *used, *unused;

	if (!suppressions || !suppressions->count)
		return;
	used = json_put_array(b, fdtrace, "suppressed_by");
	unused = json_put_array(b, fdtrace, "suppressions_unused");
	for (size_t i = 0; i < suppressions->count && i < b->summary_rows; i++) {
		const struct suppression *s = &suppressions->entries[i];
		json_t *array = s->used ? used : unused;
		size_t row = json_note_row(&b->parts, JSON_LIST_OF_SUMMARY, array, i);

		json_put_item(b, array, suppression_value(b, s));
		json_note_row_end(&b->parts, row);
	}
	b->cut |= suppressions->count > b->summary_rows;
}

struct causes {
	struct builder *b;
	json_t *array;
	size_t total;
};

static void put_cause(void *ctx, const struct finding_row *row)
{
	struct causes *causes = ctx;
	struct builder *b = causes->b;
	size_t rank = causes->total++, part;
	json_t *cause;

	if (rank >= b->summary_rows)
		return;
	part = json_note_row(&b->parts, JSON_LIST_OF_SUMMARY, causes->array, rank);
	cause = json_object();
	json_put_text(b, cause, "rule", rule_info(row->rule)->id);
	json_put_text(b, cause, "severity", severity_name(row->severity));
	json_put_format(b, cause, "fingerprint", "%016" PRIx64, row->fingerprint);
	json_put_number(b, cause, "count", row->count);
	json_put_time(b, cause, "first", row->first_ns);
	json_put_time(b, cause, "last", row->last_ns);
	json_put_text(b, cause, "site", row->site);
	if (!row->reported)
		json_put(b, cause, "withheld", json_true());
	json_put_item(b, causes->array, cause);
	json_note_row_end(&b->parts, part);
}

/* The most severe ones, as many as the line has room for. */
static void put_causes(struct builder *b, json_t *fdtrace, struct engine *engine)
{
	struct causes causes = { .b = b };

	causes.array = json_put_array(b, fdtrace, "causes");
	engine_each_finding(engine, put_cause, &causes);
	json_put_number(b, fdtrace, "causes_total", causes.total);
	b->cut |= causes.total > b->summary_rows;
}

static void put_totals(struct builder *b, json_t *fdtrace, const struct summary_line *l)
{
	const struct engine_counters *c = &l->summary->counters;

	json_put_text(b, fdtrace, "scope", "run");
	json_put(b, fdtrace, "final", json_boolean(l->summary->final));
	put_finding_totals(b, fdtrace, c);
	json_put_real(b, fdtrace, "duration_s", (double)l->summary->duration_ns / 1e9, 3);
	json_put_number(b, fdtrace, "events", c->events);
	json_put_number(b, fdtrace, "lost", c->lost);
	json_put_number(b, fdtrace, "corrections", c->corrections);
	put_corrections(b, fdtrace, c);
	json_put_number(b, fdtrace, "refused", c->refused);
	json_put_number(b, fdtrace, "findings_dropped", c->findings_dropped);
	json_put_number(b, fdtrace, "findings_withheld", c->findings_withheld);
	json_put_number(b, fdtrace, "findings_suppressed", c->findings_suppressed);
	json_put_number(b, fdtrace, "times_suppressed", c->times_suppressed);
	json_put_number(b, fdtrace, "pasts_dropped", c->ended_dropped);
	json_put_number(b, fdtrace, "malformed", c->malformed);
	json_put_number(b, fdtrace, "damaged", l->summary->damaged);
	json_put_number(b, fdtrace, "processes", l->processes);
	json_put_number(b, fdtrace, "tables", c->tables);
	json_put_number(b, fdtrace, "tasks", c->tasks);
	json_put_number(b, fdtrace, "descriptors", c->descriptors);
	json_put_number(b, fdtrace, "memory_bytes", c->memory_bytes);
	json_put_number(b, fdtrace, "stacks", c->stacks);
	json_put_number(b, fdtrace, "stacks_forgotten", c->stacks_forgotten);
	json_put_number(b, fdtrace, "stacks_unknown", c->stacks_unknown);
	json_put_number(b, fdtrace, "stacks_skipped", l->summary->stacks_skipped);
	json_put_number(b, fdtrace, "stacks_lost", l->summary->stacks_lost);
	json_put_number(b, fdtrace, "stacks_cut", l->summary->stacks_cut);
	if (l->summary->cpu_ratio >= 0)
		json_put_real(b, fdtrace, "cpu_ratio", l->summary->cpu_ratio, 6);
	if (l->summary->coverage_ratio >= 0) {
		json_put_real(b, fdtrace, "coverage_ratio", l->summary->coverage_ratio, 4);
		json_put_real(b, fdtrace, "overhead_ratio", l->summary->overhead_ratio, 6);
	}
	put_rules(b, fdtrace, c);
	put_hidden(b, fdtrace, l->options, l->summary->engine);
	put_too_short(b, fdtrace, l->summary);
	put_failing(b, fdtrace, l->summary);
	put_causes(b, fdtrace, l->summary->engine);
	put_suppressions(b, fdtrace, l->summary->suppressions);
}

static void put_kind_counts(struct builder *b, json_t *fdtrace, const struct process_row *row)
{
	json_t *kinds = json_put_object(b, fdtrace, "kinds");

	for (int kind = 0; kind < FD_KIND_COUNT; kind++)
		if (row->by_kind[kind])
			json_put_number(b, kinds, fd_kind_name((enum fd_kind)kind),
					row->by_kind[kind]);
}

struct holding_list {
	struct builder *b;
	json_t *array;
	size_t rows;
	unsigned int total;
};

static void put_holding_row(void *ctx, const struct site_row *row, unsigned int total)
{
	struct holding_list *list = ctx;
	struct builder *b = list->b;
	size_t part = json_note_row(&b->parts, JSON_LIST_OF_FINDING, list->array, list->rows++);

	list->total = total;
	json_put_item(b, list->array, json_site_row(b, row));
	json_note_row_end(&b->parts, part);
}

/* Who holds the table. */
static void put_holding_rows(struct builder *b, json_t *fdtrace, const struct summary_line *l)
{
	struct holding_list list = { .b = b };

	if (!l->summary->holdings || l->processes > HELD_TABLES_MAX || l->row->process->ended_ns ||
	    !l->row->open)
		return;
	list.array = json_put_array(b, fdtrace, "sites");
	engine_each_holding(l->summary->engine, l->row->process->pid, put_holding_row, &list);
	json_note_list(&b->parts, fdtrace, "sites", list.rows, "sites_total", list.total);
}

static json_t *left_value(struct builder *b, const struct left_row *left)
{
	json_t *row = json_object();

	json_put_number(b, row, "open", left->open);
	json_put_text(b, row, "kind", fd_kind_name(left->kind));
	json_put_text(b, row, "label", left->label);
	return row;
}

/* What it left open when it ended. */
static void put_what_is_left(struct builder *b, json_t *fdtrace, const struct process_left *left)
{
	json_t *object, *array;

	if (!left)
		return;
	object = json_put_object(b, fdtrace, "left");
	json_put_number(b, object, "open", left->open);
	array = json_put_array(b, object, "sites");
	for (unsigned int i = 0; i < left->row_count; i++) {
		size_t part = json_note_row(&b->parts, JSON_LIST_OF_FINDING, array, i);

		json_put_item(b, array, left_value(b, &left->rows[i]));
		json_note_row_end(&b->parts, part);
	}
	json_note_list(&b->parts, object, "sites", left->row_count, "sites_total", left->row_total);
}

static void put_process_totals(struct builder *b, json_t *fdtrace, const struct summary_line *l)
{
	const struct process *p = l->row->process;

	json_put_text(b, fdtrace, "scope", "process");
	json_put(b, fdtrace, "final", json_boolean(l->summary->final));
	json_put_number(b, fdtrace, "image", p->image);
	json_put_number(b, fdtrace, "open", l->row->open);
	json_put_number(b, fdtrace, "peak", l->row->peak);
	if (p->nofile)
		json_put_number(b, fdtrace, "soft_limit", p->nofile);
	json_put_number(b, fdtrace, "opened", p->opened);
	json_put_number(b, fdtrace, "closed", p->closed);
	json_put_number(b, fdtrace, "short_lived", p->short_lived);
	json_put_number(b, fdtrace, "unknown_opener", l->row->unknown_opener);
	json_put(b, fdtrace, "ended", json_boolean(p->ended_ns));
	put_kind_counts(b, fdtrace, l->row);
	put_holding_rows(b, fdtrace, l);
	put_what_is_left(b, fdtrace, p->left);
}

static void put_inventory_of_process(struct builder *b, json_t *fdtrace,
				     const struct summary_line *l)
{
	const struct process *p = l->row->process;

	json_put_text(b, fdtrace, "scope", "process");
	json_put_number(b, fdtrace, "image", p->image);
	json_put_number(b, fdtrace, "open", l->row->open);
	if (p->nofile)
		json_put_number(b, fdtrace, "soft_limit", p->nofile);
	json_put_number(b, fdtrace, "unknown_opener", l->row->unknown_opener);
	put_kind_counts(b, fdtrace, l->row);
	put_holding_rows(b, fdtrace, l);
}

/* Of a line about the whole run, which has the message, or about a process. */
static struct line_head summary_head(const struct summary_line *l, const char *dataset, char series,
				     const char *message)
{
	return (struct line_head){
		.time_ns = l->time_ns,
		.severity = SEVERITY_INFO,
		.message = l->row ? NULL : message,
		.process = l->row ? l->row->process : NULL,
		.kind = "metric",
		.type = "info",
		.dataset = dataset,
		.series = series,
		.sequence = l->sequence,
	};
}

/* What was open when a run attached: of the whole run, or of a process. */
static json_t *inventory_object(struct builder *b, const void *what)
{
	const struct summary_line *l = what;
	const struct engine_counters *c = &l->summary->counters;
	char message[MESSAGE_SIZE];
	struct line_head head = summary_head(l, "fdtrace.inventory", 'i', message);
	json_t *event, *fdtrace, *line;

	snprintf(message, sizeof(message),
		 "attached; %" PRIu64 " descriptor%s open in %" PRIu64 " process%s", c->descriptors,
		 c->descriptors == 1 ? " is" : "s are", l->processes,
		 l->processes == 1 ? "" : "es");
	line = line_begin(b, &head, &event, &fdtrace);
	if (l->row) {
		put_inventory_of_process(b, fdtrace, l);
		return line;
	}
	json_put_text(b, fdtrace, "scope", "run");
	json_put_number(b, fdtrace, "processes", l->processes);
	json_put_number(b, fdtrace, "descriptors", c->descriptors);
	return line;
}

static json_t *summary_object(struct builder *b, const void *what)
{
	const struct summary_line *l = what;
	const struct engine_counters *c = &l->summary->counters;
	char message[MESSAGE_SIZE];
	struct line_head head = summary_head(l, "fdtrace.summary", 's', message);
	json_t *event, *fdtrace, *line;

	snprintf(message, sizeof(message),
		 "%" PRIu64 " error%s, %" PRIu64 " warning%s, %" PRIu64 " info",
		 c->findings[SEVERITY_ERROR], c->findings[SEVERITY_ERROR] == 1 ? "" : "s",
		 c->findings[SEVERITY_WARNING], c->findings[SEVERITY_WARNING] == 1 ? "" : "s",
		 c->findings[SEVERITY_INFO]);
	line = line_begin(b, &head, &event, &fdtrace);
	json_put_time(b, event, "start", c->first_ns);
	json_put_time(b, event, "end", l->time_ns);
	if (l->row)
		put_process_totals(b, fdtrace, l);
	else
		put_totals(b, fdtrace, l);
	return line;
}

struct summing {
	struct json_sink *sink;
	const struct summary *summary;
	build_fn object;   /* of a line */
	uint64_t *written; /* such lines so far */
	uint64_t processes;
	int err; /* the first; later rows are not tried */
};

static void count_process(void *ctx, const struct process_row *row)
{
	(void)row;
	((struct summing *)ctx)->processes++;
}

static int write_summary_line(struct summing *sum, const struct process_row *row)
{
	struct summary_line l = {
		.summary = sum->summary,
		.options = &sum->sink->options,
		.row = row,
		.time_ns = sum->sink->now_ns,
		.sequence = ++*sum->written,
		.processes = sum->processes,
	};

	return json_emit(sum->sink, sum->object, &l);
}

/* A process that never had a descriptor gets no line. */
static void write_process(void *ctx, const struct process_row *row)
{
	struct summing *sum = ctx;

	if (!sum->err && (row->open || row->process->opened || row->process->closed))
		sum->err = write_summary_line(sum, row);
}

/* A line about the run, and one about each process. */
static int write_sum(struct summing *sum)
{
	json_see_time(sum->sink, sum->summary->counters.last_ns);
	engine_each_process(sum->summary->engine, count_process, sum);
	sum->err = write_summary_line(sum, NULL);
	engine_each_process(sum->summary->engine, write_process, sum);
	return sum->err;
}

static int write_summary(struct sink *sink, const struct summary *summary)
{
	struct json_sink *s = json_sink(sink);
	struct summing sum = { s, summary, summary_object, &s->summaries, 0, 0 };

	return write_sum(&sum);
}

static int write_inventory(struct sink *sink, const struct summary *summary)
{
	struct json_sink *s = json_sink(sink);
	struct summing sum = { s, summary, inventory_object, &s->inventories, 0, 0 };

	return write_sum(&sum);
}

static void json_free(struct sink *sink)
{
	drop_built(json_sink(sink));
	free(json_sink(sink));
}

static int json_new(const struct sink_options *options, struct sink **ret_sink)
{
	static const struct sink_ops ops = {
		.state = write_state,
		.coverage = write_coverage,
		.finding = write_finding,
		.evidence = write_evidence,
		.withheld = write_withheld,
		.change = write_change,
		.summary = write_summary,
		.inventory = write_inventory,
		.free = json_free,
	};
	struct json_sink *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->sink.ops = &ops;
	s->options = *options;
	*ret_sink = &s->sink;
	return 0;
}

const struct output_format output_format_json = {
	.name = "json",
	.min_severity = SEVERITY_INFO,
	.sink_new = json_new,
};
