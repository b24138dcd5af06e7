// SPDX-License-Identifier: BSD-2-Clause
#include "run/session_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "detect/detectors.h"
#include "engine/suppression.h"
#include "run/fault.h"
#include "run/launch.h"
#include "run/outputs.h"
#include "run/signals.h"
#include "run/survivors.h"
#include "run/verify.h"
#include "source/live/stacking.h"
#include "source/replay.h"
#include "util/log.h"
#include "util/error.h"

#define FLUSH_NS SEC_NS

/* --- what the engine reports --- */

static void session_on_finding(void *ctx, const struct finding *finding)
{
	struct session *s = ctx;

	outputs_finding(s->config->outputs, finding);
}

static bool session_on_suppressed(void *ctx, const struct finding *finding)
{
	struct session *s = ctx;

	return suppression_use(s->config->suppressions, finding) != NULL;
}

static void session_on_withheld(void *ctx, const struct withheld *withheld)
{
	struct session *s = ctx;

	outputs_withheld(s->config->outputs, withheld);
}

static void session_on_change(void *ctx, const struct change *change)
{
	struct session *s = ctx;

	outputs_change(s->config->outputs, change);
}

const struct session_service *session_service(const struct session *s)
{
	static const struct session_service none;

	return s->config->service ? s->config->service : &none;
}

static bool session_on_wanted(void *ctx, const char *cgroup)
{
	struct session *s = ctx;

	return session_service(s)->wanted(session_service(s)->ctx, cgroup);
}

static void session_give_engine(struct session *s)
{
	const struct session_service *service = session_service(s);

	if (service->engine)
		service->engine(service->ctx, s->engine);
}

static void session_choose_callbacks(struct session *s)
{
	s->listener = (struct engine_listener){
		.finding = session_on_finding,
		.change = s->config->options->events ? session_on_change : NULL,
		.withheld = session_on_withheld,
	};
	s->policy = (struct engine_policy){
		.suppressed = session_on_suppressed,
		.wanted = session_service(s)->wanted ? session_on_wanted : NULL,
	};
}

int session_begin_engine(struct session *s)
{
	struct engine_options engine = {
		.listener = &s->listener,
		.host = s->config->replay ? NULL : host_answers(),
		.policy = &s->policy,
		.detectors = detectors_all,
		.ctx = s,
	};
	int err;

	session_choose_callbacks(s);
	/* a recording may have changed them in the meantime */
	overrides_apply(&s->config->options->overrides, &s->meta.settings, &s->meta.rules);
	engine.mode = s->meta.mode;
	engine.settings = s->meta.settings;
	engine.rules = s->meta.rules;
	err = engine_new(&engine, &s->engine);
	if (err)
		return error_no_memory(s->error);
	session_give_engine(s);
	return 0;
}

/* --- time and summaries --- */

static int session_flush(void *ctx, uint64_t now_ns)
{
	const struct session *s = ctx;

	(void)now_ns;
	outputs_record_flush(s->config->outputs);
	return 0;
}

static int session_summarise_interim(void *ctx, uint64_t now_ns)
{
	(void)now_ns;
	session_summarise(ctx, false);
	return 0;
}

static int session_end_duration(void *ctx, uint64_t now_ns)
{
	struct session *s = ctx;

	(void)now_ns;
	s->stop = true;
	return 0;
}

/* The next time, one period later; never if the period is 0. */
static void session_set_due(struct due *due, uint64_t from_ns, uint64_t period_ns)
{
	due->due_ns = period_ns ? from_ns + period_ns : DUE_NEVER;
}

/* At the beginning and after a reload, which does not postpone an audit. */
static void session_set_periods(struct session *s, uint64_t from_ns)
{
	uint64_t audit_ns = s->audit.due_ns;

	s->summary.period_ns = s->config->options->interval_ns;
	session_set_due(&s->summary, from_ns, s->summary.period_ns);
	s->audit.period_ns = s->meta.settings.audit_interval_ns;
	session_set_due(&s->audit, from_ns, s->audit.period_ns);
	if (s->audit.period_ns && audit_ns < s->audit.due_ns)
		s->audit.due_ns = audit_ns;
}

static void session_begin_due(struct session *s)
{
	s->flush = (struct due){
		.due_ns = DUE_NEVER, .period_ns = FLUSH_NS, .fn = session_flush, .ctx = s
	};
	s->summary = (struct due){
		.due_ns = DUE_NEVER, .fn = session_summarise_interim, .ctx = s, .wakes = true
	};
	s->duration = (struct due){
		.due_ns = DUE_NEVER, .fn = session_end_duration, .ctx = s, .wakes = true
	};
	due_add(&s->at_tick, &s->flush);
	due_add(&s->at_tick, &s->summary);
	due_add(&s->at_tick, &s->duration);
}

void session_begin_time(struct session *s, uint64_t time_ns)
{
	s->began_ns = time_ns;
	session_set_periods(s, time_ns);
	session_set_due(&s->flush, time_ns, FLUSH_NS);
	session_set_due(&s->duration, time_ns, s->config->options->duration_ns);
	outputs_state(s->config->outputs, RUN_START, time_ns);
}

static double session_cpu_ratio(const struct session *s)
{
	uint64_t elapsed = clock_monotonic_ns() - s->real_began_ns;

	if (s->config->replay || !elapsed)
		return -1;
	return (double)(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - s->cpu_began_ns) / (double)elapsed;
}

static void session_count_stacks(const struct session *s, struct summary *summary)
{
	const struct source *source = s->config->source;
	struct stacking_counters counters;

	if (!source->ops->stacking)
		return;
	source->ops->stacking(source, &counters);
	summary->stacks_skipped = counters.skipped;
	summary->stacks_lost = counters.lost;
	summary->stacks_cut = counters.stacks.cut;
}

static struct summary session_summary(const struct session *s, bool final)
{
	struct summary summary = { .host = &s->meta.host,
				   .engine = s->engine,
				   .suppressions = s->config->suppressions,
				   .fail_on = &s->config->options->fail_on,
				   .fail_status = s->config->options->error_exitcode,
				   .final = final,
				   .limited = s->meta.mode != ENGINE_COMMAND ||
					      s->config->options->duration_ns,
				   .holdings = !s->config->service,
				   .duration_ns = s->now_ns - s->began_ns,
				   .cpu_ratio = session_cpu_ratio(s),
				   .coverage_ratio = -1 };

	engine_counters(s->engine, &summary.counters);
	session_count_stacks(s, &summary);
	if (s->keeps_budget) {
		summary.coverage_ratio = s->coverage.decision.share;
		summary.overhead_ratio = s->coverage.decision.overhead;
	}
	if (s->config->replay)
		summary.damaged = replay_source_unread(s->config->source);
	return summary;
}

void session_summarise(struct session *s, bool final)
{
	struct summary summary = session_summary(s, final);

	outputs_summary(s->config->outputs, &summary);
}

#define HOLDS_NOTHING_TURNS 10 /* a process may be about to report its end */

int session_check_attached(struct session *s)
{
	struct engine_counters counters = { 0 };

	if (s->holds || s->config->replay || s->meta.mode != ENGINE_PID)
		return 0;
	if (s->engine)
		engine_counters(s->engine, &counters);
	s->holds = counters.processes || counters.events;
	if (!s->holds && source_is_idle(s->config->source)) {
		log_warn("all processes given with -p ended before they could be traced");
		s->holds = true;
	}
	if (s->holds || ++s->empty_turns < HOLDS_NOTHING_TURNS)
		return 0;
	error_set(s->error, ESRCH, EXIT_CANNOT,
		  "attached, but no process given with -p can be seen");
	return error_explain(
		s->error,
		"this system hides their descriptor tables, as of processes outside the "
		"container or the sandbox",
		"see what root sees: ls -l /proc/PID/fd");
}

/* What is open is known at once; what becomes of it only later. */
static void session_take_inventory(struct session *s)
{
	struct summary summary;

	if (s->config->replay || s->meta.mode != ENGINE_PID || !s->engine)
		return;
	summary = session_summary(s, false);
	if (!summary.counters.processes)
		return;
	outputs_inventory(s->config->outputs, &summary);
}

/* --- beginning and end --- */

/* A service has applied its command line to its configuration already. */
static void session_choose_settings(const struct session *s, struct settings *settings,
				    rule_set *rules)
{
	const struct session_service *service = session_service(s);

	if (!service->settings) {
		overrides_effective(&s->config->options->overrides, settings, rules);
		return;
	}
	*settings = *service->settings;
	*rules = service->rules;
}

void session_reload(struct session *s)
{
	const struct session_service *service = session_service(s);
	struct settings wanted;

	if (!service->reload || !service->reload(service->ctx))
		return;
	session_choose_settings(s, &wanted, &s->meta.rules);
	settings_reload(&s->meta.settings, &wanted);
	if (s->keeps_budget)
		coverage_set_budget(&s->coverage, s->meta.settings.budget_ppm);
	if (s->engine)
		engine_reconfigure(s->engine, &s->meta.settings, s->meta.rules);
	session_set_periods(s, s->now_ns);
}

static void session_begin_meta(struct session *s)
{
	const struct session_config *config = s->config;
	struct run_meta *meta = &s->meta;

	session_choose_settings(s, &meta->settings, &meta->rules);
	meta->mode = config->mode;
	if (config->replay)
		return;
	hostinfo_gather(&meta->host);
	if (s->facts.coverage)
		strncpy(meta->host.coverage, s->facts.coverage, sizeof(meta->host.coverage) - 1);
	if (s->facts.not_seen)
		strncpy(meta->host.not_seen, s->facts.not_seen, sizeof(meta->host.not_seen) - 1);
	strncpy(meta->host.mode, engine_mode_name(meta->mode), sizeof(meta->host.mode) - 1);
}

static int session_begin_fault(struct session *s)
{
	const struct settings *set = &s->meta.settings;

	if (s->config->replay || !(set->fault_drop_percent + set->fault_delay_percent))
		return 0;
	log_warn("injecting faults: %" PRIu64 " %% of the slot events are dropped, %" PRIu64
		 " %% are delayed",
		 set->fault_drop_percent, set->fault_delay_percent);
	if (fault_new((unsigned int)set->fault_drop_percent, (unsigned int)set->fault_delay_percent,
		      &s->fault))
		return error_no_memory(s->error);
	return 0;
}

static void session_begin_coverage(struct session *s)
{
	const struct session_service *service = session_service(s);

	if (!s->keeps_budget)
		return;
	coverage_begin(&s->coverage, s->config->source, s->facts.coverage,
		       s->meta.settings.budget_ppm);
	if (service->coverage)
		service->coverage(service->ctx, &s->coverage);
}

/* The parts of a run, before anything is known about the tables. */
static int session_begin_parts(struct session *s)
{
	const struct session_config *config = s->config;
	int err = turn_begin(s);

	session_begin_due(s);
	s->host = (struct host){ .source = config->source,
				 .outputs = config->outputs,
				 .now_ns = &s->now_ns };
	if (!err && !config->replay)
		err = host_begin(&s->host);
	if (!err && config->options->verify)
		err = verify_new(&s->verify);
	if (!err)
		return 0;
	error_set(s->error, -err, EXIT_INTERNAL, "cannot start tracing");
	return error_explain(s->error, strerror(-err), NULL);
}

static int session_begin_outputs(struct session *s)
{
	const struct session_config *config = s->config;
	int err = outputs_begin(config->outputs, &s->meta.host, s->error);

	if (err || config->replay)
		return err;
	if (!config->service) /* a service has a store of its own */
		outputs_keep(config->outputs, s->meta.settings.evidence_max_bytes);
	meta_write(&s->meta, stream_record, s);
	return 0;
}

static int session_begin(struct session *s)
{
	struct source *source = s->config->source;
	int err = session_begin_parts(s);

	if (err)
		return err;
	s->facts = source_facts(source);
	s->keeps_budget = s->facts.measures_cost && source->ops->hooks && source->ops->cost;
	session_begin_meta(s);
	session_begin_coverage(s);
	err = session_begin_fault(s);
	if (!err)
		err = session_begin_outputs(s);
	if (err)
		return err;
	err = source->ops->start(source, stream_event_as_is, s, s->error);
	if (!err)
		session_take_inventory(s);
	return err == -ECANCELED ? 0 : err;
}

/* For --verify: the hooks may be off, and losses not yet repaired. */
static void session_prepare_verify(struct session *s)
{
	struct source *source = s->config->source;

	if (coverage_is_off(s))
		source->ops->hooks(source, true, stream_event, s, s->error);
	if (s->repair.due_ns != DUE_NEVER && stream_snapshot(s, FDT_WHY_LOSS) == 0)
		stream_drain(s);
}

/* One last snapshot of the remaining tables, so that the run ends with the kernel's view. */
static void session_look_last(struct session *s)
{
	struct error ignored, *error = s->error;
	bool alive = !source_is_idle(s->config->source);

	s->error = &ignored;
	stream_drain(s);
	if (s->verify)
		session_prepare_verify(s);
	turn_verify_all(s);
	if (alive && stream_snapshot(s, FDT_WHY_END) == 0)
		stream_drain(s);
	s->error = error;
}

static bool session_command_lives(const struct session *s)
{
	return s->config->launch && !launch_ended(s->config->launch);
}

static void session_name_survivors(const struct session *s)
{
	const struct launch *launch = s->config->launch;

	if (launch)
		survivors_report(s->engine, session_command_lives(s) ? 0 : launch_pid(launch));
}

/* If a reader or a disk blocks the last lines, a signal must be able to end us. */
static int session_end(struct session *s, int err)
{
	const struct session_service *service = session_service(s);
	struct outputs *outputs = s->config->outputs;

	if (service->ending)
		service->ending(service->ctx);
	if (!session_command_lives(s))
		signals_release(s->config->signals);
	if (!err && !s->config->replay && outputs_alive(outputs))
		session_look_last(s);
	if (!s->engine && session_begin_engine(s))
		return err ? err : -ENOMEM;
	if (!s->began_ns)
		session_begin_time(s, s->now_ns);
	engine_finish(s->engine, s->now_ns);
	session_summarise(s, true);
	outputs_state(outputs, RUN_STOP, s->now_ns);
	session_name_survivors(s);
	if (service->ended)
		service->ended(service->ctx);
	return err;
}

static uint64_t session_report_verify(const struct session *s)
{
	struct verify_counters c;
	char hidden[128] = "";

	verify_counters(s->verify, &c);
	if (c.hidden)
		snprintf(hidden, sizeof(hidden),
			 ", %" PRIu64
			 " of other users (CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH show them)",
			 c.hidden);
	log_warn("verify: %" PRIu64 " tables compared with /proc, %" PRIu64
		 " descriptors; skipped: %" PRIu64 " that were changing, %" PRIu64
		 " waiting for repair%s; %" PRIu64 " difference%s",
		 c.compared, c.slots, c.busy, c.tainted, hidden, c.differences,
		 c.differences == 1 ? "" : "s");
	return c.differences;
}

static void session_fill_result(struct session *s, struct session_result *result)
{
	struct engine_counters counters;

	if (!s->engine)
		return;
	engine_counters(s->engine, &counters);
	result->failing = fail_on_total(&s->config->options->fail_on, &counters);
	if (s->verify)
		result->differences = session_report_verify(s);
}

static void session_done(struct session *s)
{
	fault_free(s->fault);
	verify_free(s->verify);
	engine_free(s->engine);
	host_done(&s->host);
	loop_done(&s->loop);
}

int session_run(const struct session_config *config, struct session_result *ret_result,
		struct error *error)
{
	struct session s = { .config = config,
			     .error = error,
			     .loop.epoll_fd = -1,
			     .real_began_ns = clock_monotonic_ns(),
			     .cpu_began_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID) };
	bool begun = false; /* and so there is something to sum up */
	int err = session_begin(&s);

	memset(ret_result, 0, sizeof(*ret_result));
	if (!err && config->launch) {
		err = launch_go(config->launch, error);
		ret_result->command_started = !err;
	}
	if (!err) {
		err = turn_loop(&s);
		begun = s.empty_turns < HOLDS_NOTHING_TURNS;
		if (begun)
			err = session_end(&s, err);
	}
	if (err && !begun && s.began_ns)
		outputs_state(config->outputs, RUN_STOP, s.now_ns);
	session_fill_result(&s, ret_result);
	session_done(&s);
	return err;
}
