// SPDX-License-Identifier: BSD-2-Clause
#include "run/session.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "engine/suppression.h"
#include "util/container.h"
#include "run/coverage.h"
#include "run/environ.h"
#include "run/fault.h"
#include "run/launch.h"
#include "run/meta.h"
#include "run/naming.h"
#include "run/outputs.h"
#include "run/signals.h"
#include "run/verify.h"
#include "source/replay.h"
#include "source/live/stacking.h"
#include "util/log.h"
#include "util/trouble.h"

#define SEC UINT64_C(1000000000)
#define MSEC UINT64_C(1000000)

#define PACE_IDLE_MS 100  /* between drains when nothing happens */
#define LOSS_PAUSE_NS SEC /* between snapshots because of losses: they load the ring themselves */
#define FLUSH_NS SEC
#define VERIFY_NS SEC
#define RELOAD_NS SEC /* between two of them, and between looks at the wall clock */
#define VERIFY_TABLES 64
#define NAMES_A_DRAIN 200
#define NAMES_A_DRAIN_ALL 50 /* the whole machine opens more than is worth knowing */

struct session {
	const struct session_config *config;
	struct run_meta meta;
	struct engine *engine; /* NULL until the first event that is not META */
	struct engine_listener listener;
	struct engine_policy policy;
	struct naming *naming; /* NULL: replay */
	struct fault *fault;   /* NULL: none wanted */
	struct source_facts facts;
	bool keeps_budget;               /* the source can be held to one */
	struct coverage_keeper coverage; /* if so */
	struct verify *verify;           /* NULL: not asked for */
	struct trouble *trouble;
	int epoll_fd;
	bool always_ready; /* the source has nothing to poll */
	int pace_ms;
	uint64_t now_ns;   /* latest time of an event */
	uint64_t began_ns; /* time of the first event */
	uint64_t summary_ns, audit_ns, loss_ns, flush_ns,
		verify_ns;                    /* when the next is due; 0: not yet known */
	uint64_t real_began_ns, cpu_began_ns; /* for the share of CPU */
	uint64_t events;                      /* other than ticks, of the drain going on */
	uint64_t reload_ns, wall_ns;          /* service: not before */
	unsigned int ends;                    /* signals that asked to end */
	bool reload;                          /* a signal asked for it */
	bool lost;                            /* events are missing; a snapshot is due */
	bool memory_told;
	bool stop;
};

void run_options_apply(const struct run_options *options, struct settings *settings)
{
	for (unsigned int i = 0; i < options->set_count; i++)
		settings_parse(settings, options->set[i], NULL);
}

static uint64_t now_on(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * SEC + (uint64_t)now.tv_nsec;
}

/* --- what the engine asks and tells --- */

static void on_finding(void *ctx, const struct finding *finding)
{
	struct session *s = ctx;

	outputs_finding(s->config->outputs, finding);
}

static bool on_suppressed(void *ctx, const struct finding *finding)
{
	struct session *s = ctx;

	return suppression_use(s->config->suppressions, finding) != NULL;
}

static void on_withheld(void *ctx, const struct withheld *withheld)
{
	struct session *s = ctx;

	outputs_withheld(s->config->outputs, withheld);
}

static void on_change(void *ctx, const struct change *change)
{
	struct session *s = ctx;

	outputs_change(s->config->outputs, change);
}

/* The answer goes into the recording before the event that the engine is working on. */
static int on_name(void *ctx, uint32_t pid, int32_t fd, const struct fdt_file *file, char *buffer,
		   size_t size)
{
	struct session *s = ctx;
	_Alignas(8) char event[FDT_SIZE_MAX];
	int err = naming_lookup(s->naming, pid, fd, file, buffer, size);

	if (err)
		return err;
	outputs_record(s->config->outputs, event,
		       naming_event(event, pid, fd, file, s->now_ns, buffer));
	return 0;
}

static int on_detail(void *ctx, uint32_t pid, int32_t fd, const struct fdt_file *file,
		     struct fdt_detail *ret_detail)
{
	struct session *s = ctx;
	int err = naming_inspect(s->naming, pid, fd, file, ret_detail);

	if (err)
		return err;
	ret_detail->head.time_ns = s->now_ns;
	outputs_record(s->config->outputs, ret_detail, sizeof(*ret_detail));
	return 0;
}

static int on_environment(void *ctx, uint32_t pid, struct fdt_environ *ret_environment)
{
	struct session *s = ctx;
	int err = environ_read((pid_t)pid, ret_environment);

	if (err)
		return err;
	ret_environment->head.time_ns = s->now_ns;
	outputs_record(s->config->outputs, ret_environment, sizeof(*ret_environment));
	return 0;
}

static void record_place(struct session *s, uint32_t pid, const struct container *c)
{
	_Alignas(8) char event[sizeof(struct fdt_place) + FDT_PLACE_MAX];
	struct fdt_place *place = (struct fdt_place *)event;
	size_t length = strlen(c->cgroup);

	*place = (struct fdt_place){ .head = { .kind = FDT_PLACE,
					       .size = (uint16_t)(sizeof(*place) + length),
					       .tgid = pid,
					       .tid = pid,
					       .time_ns = s->now_ns },
				     .inner_pid = c->inner_pid };
	memcpy(place->cgroup, c->cgroup, length);
	outputs_record(s->config->outputs, event, place->head.size);
}

static int on_place(void *ctx, uint32_t pid, char *cgroup, size_t size, size_t *ret_length,
		    uint32_t *ret_inner_pid)
{
	struct container c;
	int err = container_of(pid, &c);

	if (err)
		return err;
	*ret_length = strnlen(c.cgroup, size);
	memcpy(cgroup, c.cgroup, *ret_length);
	*ret_inner_pid = c.inner_pid;
	record_place(ctx, pid, &c);
	return 0;
}

static int inspect(void *ctx, uint32_t pid, int32_t fd, struct fdt_detail *ret_detail)
{
	struct source *source = ctx;

	return source->ops->inspect ? source->ops->inspect(source, pid, fd, ret_detail) : -ENOTSUP;
}

static void on_stack_forgotten(void *ctx, uint64_t hash)
{
	const struct session *s = ctx;
	struct source *source = s->config->source;

	if (source->ops->forget_site)
		source->ops->forget_site(source, hash);
}

static const struct session_service *service(const struct session *s)
{
	static const struct session_service none;

	return s->config->service ? s->config->service : &none;
}

static bool on_wanted(void *ctx, const char *cgroup)
{
	struct session *s = ctx;

	return service(s)->wanted(service(s)->ctx, cgroup);
}

/* --- events --- */

static void call(const struct session *s, void (*function)(void *ctx))
{
	if (function)
		function(service(s)->ctx);
}

static const struct engine_host engine_host = { .name = on_name,
						.detail = on_detail,
						.environment = on_environment,
						.place = on_place,
						.stack_forgotten = on_stack_forgotten };

static int begin_engine(struct session *s)
{
	const struct run_options *options = s->config->options;
	struct engine_options engine = {
		.listener = &s->listener,
		.host = s->config->replay ? NULL : &engine_host,
		.policy = &s->policy,
		.ctx = s,
	};
	const char *bad;
	size_t bad_length;
	int err;

	s->listener = (struct engine_listener){ .finding = on_finding,
						.change = options->events ? on_change : NULL,
						.withheld = on_withheld };
	s->policy = (struct engine_policy){ .suppressed = on_suppressed,
					    .wanted = service(s)->wanted ? on_wanted : NULL };
	run_options_apply(options, &s->meta.settings);
	if (options->rules)
		rule_set_parse(options->rules, &s->meta.rules, &bad, &bad_length);
	engine.mode = s->meta.mode;
	engine.settings = s->meta.settings;
	engine.rules = s->meta.rules;
	err = engine_new(&engine, &s->engine);
	if (err)
		return trouble_set(s->trouble, -err, EXIT_INTERNAL, NULL, NULL, "out of memory");
	if (service(s)->engine)
		service(s)->engine(service(s)->ctx, s->engine);
	return 0;
}

/* The first event that has a time starts the clocks of -d and -i. */
static void begin_time(struct session *s, uint64_t time_ns)
{
	const struct run_options *options = s->config->options;

	s->began_ns = time_ns;
	s->summary_ns = time_ns + options->interval_ns;
	s->audit_ns = time_ns + s->meta.settings.audit_interval_ns;
	s->flush_ns = time_ns + FLUSH_NS;
	outputs_state(s->config->outputs, RUN_START, time_ns);
}

static void take_time(struct session *s, uint64_t time_ns)
{
	if (!s->began_ns && time_ns)
		begin_time(s, time_ns);
	if (time_ns > s->now_ns)
		s->now_ns = time_ns;
}

static double cpu_ratio(const struct session *s)
{
	uint64_t elapsed = now_on(CLOCK_MONOTONIC) - s->real_began_ns;

	if (s->config->replay || !elapsed)
		return -1;
	return (double)(now_on(CLOCK_PROCESS_CPUTIME_ID) - s->cpu_began_ns) / (double)elapsed;
}

static void stacking_facts(const struct session *s, struct summary *summary)
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

static void summarise(struct session *s, bool final)
{
	struct summary summary = { .host = &s->meta.host,
				   .engine = s->engine,
				   .suppressions = s->config->suppressions,
				   .final = final,
				   .duration_ns = s->now_ns - s->began_ns,
				   .cpu_ratio = cpu_ratio(s),
				   .coverage_ratio = -1 };

	engine_counters(s->engine, &summary.counters);
	stacking_facts(s, &summary);
	if (s->keeps_budget) {
		summary.coverage_ratio = s->coverage.decision.share;
		summary.overhead_ratio = s->coverage.decision.overhead;
	}
	if (s->config->replay)
		summary.damaged = replay_source_unread(s->config->source);
	outputs_summary(s->config->outputs, &summary);
}

/* Time has passed. By event time, so that a replay does the same at the same places. */
static void on_tick(struct session *s)
{
	const struct run_options *options = s->config->options;

	if (s->now_ns >= s->flush_ns) {
		outputs_record_flush(s->config->outputs);
		s->flush_ns = s->now_ns + FLUSH_NS;
	}
	if (options->interval_ns && s->now_ns >= s->summary_ns) {
		summarise(s, false);
		s->summary_ns = s->now_ns + options->interval_ns;
	}
	if (options->duration_ns && s->now_ns - s->began_ns >= options->duration_ns)
		s->stop = true;
}

static void tell_memory(struct session *s)
{
	char value[32];
	size_t count;
	const struct setting *row = settings_table(&count);

	if (s->memory_told)
		return;
	s->memory_told = true;
	for (; row->offset != offsetof(struct settings, memory_max_bytes); row++)
		;
	setting_format(row, s->meta.settings.memory_max_bytes, value, sizeof(value));
	log_warn("the tables reached memory.max=%s: some findings will say after_loss; "
		 "allow more with --set memory.max=...",
		 value);
}

/* Where the hooks are off there is nothing to repair until they are on again: then at once. */
static void note_loss(struct session *s, const struct fdt_head *head)
{
	if (head->flags != FDT_LOSS_COVERAGE) {
		s->lost = true;
		return;
	}
	s->lost |= head->op == FDT_OP_END;
	if (head->op == FDT_OP_END)
		s->loss_ns = 0;
}

/* What the stream itself asks of the session. */
static void look_at(struct session *s, const struct fdt_head *head)
{
	switch (head->kind) {
	case FDT_SLOT:
		if (s->naming)
			naming_note(s->naming, (const struct fdt_slot *)head);
		break;
	case FDT_VEC:
		if (s->naming)
			naming_note_found(s->naming, (const struct fdt_vec *)head);
		break;
	case FDT_LOSS: note_loss(s, head); break;
	case FDT_TICK:
		s->events--;
		on_tick(s);
		break;
	}
}

/* The bound that protects us is not for a recording to raise. */
static void on_meta(struct session *s, const struct fdt_meta *event, size_t size)
{
	uint64_t memory = s->meta.settings.memory_max_bytes;

	if (!s->config->replay)
		return;
	if (s->engine) {
		hostinfo_parse_coverage(&s->meta.host, event->text, size - sizeof(*event));
		return;
	}
	meta_read(&s->meta, event, size);
	if (s->meta.settings.memory_max_bytes > memory) {
		log_info("recorded with a larger memory.max: --set memory.max=... allows it here, "
			 "too");
		s->meta.settings.memory_max_bytes = memory;
	}
}

/* source_event_fn; -ECANCELED: the run is over. */
static int on_event(void *ctx, const void *event, size_t size)
{
	struct session *s = ctx;
	const struct fdt_head *head = event;
	int err;

	if (head->kind == FDT_META) {
		on_meta(s, event, size);
		outputs_record(s->config->outputs, event, size);
		return 0;
	}
	if (!s->engine) {
		err = begin_engine(s);
		if (err)
			return err;
	}
	take_time(s, head->time_ns);
	s->events++;
	err = engine_apply(s->engine, event, size);
	if (err == -ENOMEM)
		tell_memory(s);
	outputs_record(s->config->outputs, event, size);
	if (err != -EINVAL)
		look_at(s, head);
	if (s->verify)
		verify_note(s->verify, head);
	if (!outputs_alive(s->config->outputs))
		s->stop = true;
	return s->stop && s->config->replay ? -ECANCELED : 0;
}

static int from_source(void *ctx, const void *event, size_t size)
{
	struct session *s = ctx;

	return s->fault ? fault_pass(s->fault, event, size, on_event, s) : on_event(s, event, size);
}

static void on_looked_up(void *ctx, const void *event, size_t size)
{
	on_event(ctx, event, size);
}

static void record_meta(void *ctx, const void *event, size_t size)
{
	struct session *s = ctx;

	outputs_record(s->config->outputs, event, size);
}

/* --- the loop --- */

/* Until the next drain: as long as was asked for, and longer when nothing happens. */
static void keep_pace(struct session *s)
{
	int least = (int)(s->meta.settings.drain_interval_ns / MSEC);
	int most = least > PACE_IDLE_MS ? least : PACE_IDLE_MS;

	s->pace_ms = s->events || s->pace_ms < least ? least : s->pace_ms * 2;
	if (s->pace_ms > most)
		s->pace_ms = most;
}

static int drain(struct session *s)
{
	struct source *source = s->config->source;
	int err;

	s->events = 0;
	err = source->ops->drain(source, from_source, s, s->trouble);
	if (err == -ECANCELED)
		return 0;
	if (err < 0)
		return err;
	if (err == 1)
		s->stop = true;
	if (s->naming)
		naming_resolve(s->naming, s->now_ns,
			       s->meta.mode == ENGINE_ALL ? NAMES_A_DRAIN_ALL : NAMES_A_DRAIN,
			       on_looked_up, s);
	keep_pace(s);
	return 0;
}

static int snapshot(struct session *s, enum fdt_why why)
{
	struct source *source = s->config->source;
	uint64_t start_ns = now_on(CLOCK_MONOTONIC);
	int err;

	s->events = 0;
	err = source->ops->snapshot(source, why, from_source, s, s->trouble);
	log_debug("snapshot: %" PRIu64 " records read and applied in %.2f ms", s->events,
		  (double)(now_on(CLOCK_MONOTONIC) - start_ns) / 1e6);
	return err;
}

/* Then a census looks at the tables. */
static bool hooks_are_off(const struct session *s)
{
	return s->keeps_budget && !s->coverage.decision.hooks;
}

static int audit(struct session *s)
{
	uint64_t interval = s->meta.settings.audit_interval_ns;

	if (s->config->replay)
		return 0;
	if (s->lost && s->now_ns >= s->loss_ns) {
		s->lost = false;
		s->loss_ns = s->now_ns + LOSS_PAUSE_NS;
		s->audit_ns = s->now_ns + SEC; /* what ended unseen is known by the second look */
		return snapshot(s, FDT_WHY_LOSS);
	}
	if (interval && s->now_ns >= s->audit_ns && !hooks_are_off(s)) {
		s->audit_ns = s->now_ns + interval;
		return snapshot(s, FDT_WHY_AUDIT);
	}
	return 0;
}

/* Findings and summaries say it from now on; a replay of the recording, too. */
static void put_coverage(struct session *s)
{
	struct hostinfo *host = &s->meta.host;
	char text[sizeof(host->coverage) + 16], words[sizeof(host->coverage)];

	coverage_words(&s->coverage, words, sizeof(words));
	if (!strcmp(words, host->coverage))
		return;
	memcpy(host->coverage, words, sizeof(words));
	snprintf(text, sizeof(text), "coverage=%s", words);
	meta_text(text, record_meta, s);
}

static void tell_coverage(struct session *s, struct coverage_change *change)
{
	change->time_ns = s->now_ns;
	log_info(
		"coverage is %s (was %s): hooks on %.1f %% of the last minute, overhead %.2f %% of "
		"all CPUs",
		change->to, change->from, change->share * 100, change->overhead * 100);
	outputs_coverage(s->config->outputs, change);
}

static int drain_for_verify(void *ctx)
{
	return drain(ctx);
}

/* Every second some of the tables; all of them in the end. */
static int verify(struct session *s, bool all)
{
	if (!s->verify || !s->engine || (!all && s->now_ns < s->verify_ns))
		return 0;
	s->verify_ns = s->now_ns + VERIFY_NS;
	return verify_round(s->verify, s->engine, all ? 0 : VERIFY_TABLES, drain_for_verify, s);
}

/* Hooks that cannot be turned on again end the run: a gap without an end is no trace. */
static int keep_budget(struct session *s)
{
	struct source *source = s->config->source;
	struct coverage_orders orders;
	int err = 0;

	if (!s->keeps_budget || !s->engine)
		return 0;
	orders = coverage_step(&s->coverage, engine_suspects(s->engine));
	if (orders.turn && !orders.hooks)
		err = verify(s, true); /* what the window has left */
	if (!err && orders.turn)
		err = source->ops->hooks(source, orders.hooks, from_source, s, s->trouble);
	if (!err && orders.census)
		err = snapshot(s, FDT_WHY_CENSUS);
	if (orders.words)
		put_coverage(s);
	if (orders.tell)
		tell_coverage(s, &orders.change);
	return err;
}

/*
 * With a command, what comes from the terminal is the command's business (it may live on, as
 * an interpreter's prompt does) and what was sent to us is passed on; the run then ends with
 * the command, or when asked a second time.
 */
static void on_signal(struct session *s, int signal, bool sent)
{
	struct launch *launch = s->config->launch;

	if (launch && sent)
		launch_signal(launch, signal);
	if (signal == SIGHUP && s->config->service) {
		s->reload = true;
		return;
	}
	if (!signals_ask_to_end(signal) || (launch && !sent))
		return;
	if (++s->ends == 2 || !launch)
		s->stop = true;
}

static void read_signals(struct session *s)
{
	bool sent;
	int signal;

	while ((signal = signals_read(s->config->signals, &sent)))
		on_signal(s, signal, sent);
}

static int until(uint64_t due_ns, uint64_t now_ns, int ms)
{
	uint64_t left;

	if (due_ns <= now_ns)
		return 1; /* the source's next tick does what is due: no race to it */
	left = (due_ns - now_ns + MSEC - 1) / MSEC;
	return left < (uint64_t)ms ? (int)left : ms;
}

static int wait_ms(const struct session *s)
{
	const struct run_options *options = s->config->options;
	uint64_t now;
	int ms = s->pace_ms;

	if (s->always_ready)
		return 0;
	if (s->config->replay)
		return -1;
	now = now_on(CLOCK_MONOTONIC);
	if (options->duration_ns)
		ms = until(s->began_ns + options->duration_ns, now, ms);
	if (options->interval_ns)
		ms = until(s->summary_ns, now, ms);
	return ms;
}

static void wait_for_more(struct session *s)
{
	struct epoll_event events[4];
	int count = epoll_wait(s->epoll_fd, events, 4, wait_ms(s));

	read_signals(s);
	for (int i = 0; i < count; i++) {
		if (events[i].data.fd == outputs_poll_fd(s->config->outputs) &&
		    events[i].events & (EPOLLERR | EPOLLHUP)) {
			outputs_reader_left(s->config->outputs);
			s->stop = true;
		}
	}
}

/*
 * The command's end is looked at before the drain and the stop comes after it: all that the
 * command did is then in.
 */
static int turn(struct session *s)
{
	const struct session_config *config = s->config;
	bool over = config->launch && launch_ended(config->launch);
	int err;

	over = over || source_is_idle(config->source);
	err = drain(s);
	if (!err && !s->stop && !over)
		err = keep_budget(s);
	if (!err && !s->stop && !over)
		err = audit(s);
	if (!err && !s->stop && !over && !hooks_are_off(s))
		err = verify(s, false);
	if (over)
		s->stop = true;
	return err;
}

/* What was asked for: the standard thresholds and rules or the service's, then the command line's. */
static void take_wishes(struct session *s, struct settings *settings, rule_set *rules)
{
	const struct run_options *options = s->config->options;
	const char *bad;
	size_t bad_length;

	if (service(s)->settings)
		*settings = *service(s)->settings;
	else
		settings_default(settings);
	run_options_apply(options, settings);
	*rules = s->config->service ? service(s)->rules : rule_set_default();
	if (options->rules)
		rule_set_parse(options->rules, rules, &bad, &bad_length);
}

static void reload(struct session *s, uint64_t now_ns)
{
	struct settings wanted;

	s->reload = false;
	s->reload_ns = now_ns + RELOAD_NS;
	if (!service(s)->reload || !service(s)->reload(service(s)->ctx))
		return;
	take_wishes(s, &wanted, &s->meta.rules);
	settings_reload(&s->meta.settings, &wanted);
	if (s->keeps_budget)
		coverage_set_budget(&s->coverage, s->meta.settings.budget_ppm);
	if (s->engine)
		engine_reconfigure(s->engine, &s->meta.settings, s->meta.rules);
	s->summary_ns = s->now_ns + s->config->options->interval_ns;
}

/* A run of months outlives leap seconds and corrections of the clock. */
static void look_at_clock(struct session *s, uint64_t now_ns)
{
	int64_t offset_ns;

	if (now_ns < s->wall_ns)
		return;
	s->wall_ns = now_ns + RELOAD_NS;
	offset_ns = hostinfo_wall_offset();
	if (llabs(offset_ns - s->meta.host.wall_offset_ns) > (int64_t)MSEC)
		s->meta.host.wall_offset_ns = offset_ns;
}

static void serve(struct session *s)
{
	uint64_t now_ns;

	if (!s->config->service)
		return;
	now_ns = now_on(CLOCK_MONOTONIC);
	look_at_clock(s, now_ns);
	if (s->reload && now_ns >= s->reload_ns)
		reload(s, now_ns);
	if (service(s)->turn)
		service(s)->turn(service(s)->ctx, now_ns);
}

static int loop(struct session *s)
{
	int err = 0;

	call(s, service(s)->ready);
	while (!err && !s->stop) {
		wait_for_more(s);
		if (!s->stop)
			err = turn(s);
		if (!s->stop)
			serve(s);
	}
	return err;
}

/* --- beginning and end --- */

static int watch(struct session *s, int fd, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.fd = fd };

	return epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

/*
 * Edges only from the kernel's ring: it polls readable whenever it holds anything, and without
 * that we would turn once for each event instead of once in drain.interval.
 */
static int watch_source(struct session *s)
{
	int fd = s->config->source->ops->poll_fd(s->config->source);
	int err = fd < 0 ? -EPERM : watch(s, fd, s->config->replay ? EPOLLIN : EPOLLIN | EPOLLET);

	if (err != -EPERM) /* what epoll does not know (a plain file) is always ready */
		return err;
	s->always_ready = s->config->replay;
	return 0;
}

static int watch_all(struct session *s)
{
	int err;

	s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (s->epoll_fd < 0)
		return -errno;
	err = watch_source(s);
	if (!err)
		err = watch(s, s->config->signals->fd, EPOLLIN);
	if (!err && s->config->launch)
		err = watch(s, launch_poll_fd(s->config->launch), EPOLLIN);
	if (!err) /* errors and hang-ups come unasked; a plain file has none, epoll refuses it */
		watch(s, outputs_poll_fd(s->config->outputs), 0);
	return err;
}

static void begin_meta(struct session *s)
{
	const struct session_config *config = s->config;
	struct run_meta *meta = &s->meta;

	take_wishes(s, &meta->settings, &meta->rules);
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

static int begin_fault(struct session *s)
{
	const struct settings *set = &s->meta.settings;

	if (s->config->replay || !(set->fault_drop_percent + set->fault_delay_percent))
		return 0;
	log_warn("faults on purpose: %" PRIu64 " %% of the assertions are dropped, %" PRIu64
		 " %% are late",
		 set->fault_drop_percent, set->fault_delay_percent);
	if (fault_new((unsigned int)set->fault_drop_percent, (unsigned int)set->fault_delay_percent,
		      &s->fault))
		return trouble_set(s->trouble, ENOMEM, EXIT_INTERNAL, NULL, NULL, "out of memory");
	return 0;
}

static int begin(struct session *s)
{
	struct source *source = s->config->source;
	int err = watch_all(s);

	if (!err && !s->config->replay)
		err = naming_new(inspect, source, &s->naming);
	if (!err && s->config->options->verify)
		err = verify_new(&s->verify);
	if (err)
		return trouble_set(s->trouble, -err, EXIT_INTERNAL, NULL, strerror(-err),
				   "cannot begin to trace");
	s->facts = source_facts(source);
	s->keeps_budget = s->facts.measures_cost && source->ops->hooks && source->ops->cost;
	begin_meta(s);
	if (s->keeps_budget)
		coverage_begin(&s->coverage, source, s->facts.coverage,
			       s->meta.settings.budget_ppm);
	if (s->keeps_budget && service(s)->coverage)
		service(s)->coverage(service(s)->ctx, &s->coverage);
	err = begin_fault(s);
	if (err)
		return err;
	err = outputs_begin(s->config->outputs, &s->meta.host, s->trouble);
	if (err)
		return err;
	if (!s->config->replay && !s->config->service) /* a service has a store of its own */
		outputs_keep(s->config->outputs, s->meta.settings.evidence_max_bytes);
	if (!s->config->replay)
		meta_write(&s->meta, record_meta, s);
	err = source->ops->start(source, on_event, s, s->trouble);
	return err == -ECANCELED ? 0 : err;
}

/* One look more at the tables that are left, so that the last word is the kernel's. */
static void last_look(struct session *s)
{
	const struct session_config *config = s->config;
	struct trouble ignored, *trouble = s->trouble;
	struct source *source = config->source;
	bool alive = !source_is_idle(source);

	s->trouble = &ignored;
	drain(s);
	if (s->verify && hooks_are_off(s))
		source->ops->hooks(source, true, from_source, s, &ignored);
	if (s->verify && s->lost && snapshot(s, FDT_WHY_LOSS) == 0)
		drain(s);
	verify(s, true);
	if (alive && snapshot(s, FDT_WHY_END) == 0)
		drain(s);
	s->trouble = trouble;
}

static bool command_alive(const struct session *s)
{
	return s->config->launch && !launch_ended(s->config->launch);
}

/* If a reader or a disk holds up the last words, a signal must be able to end us. */
static int end(struct session *s, int err)
{
	struct outputs *outputs = s->config->outputs;

	call(s, service(s)->ending);
	if (!command_alive(s))
		signals_release(s->config->signals);
	if (!err && !s->config->replay && outputs_alive(outputs))
		last_look(s);
	if (!s->engine && begin_engine(s))
		return err ? err : -ENOMEM;
	if (!s->began_ns)
		begin_time(s, s->now_ns);
	engine_finish(s->engine, s->now_ns);
	summarise(s, true);
	outputs_state(outputs, RUN_STOP, s->now_ns);
	call(s, service(s)->ended);
	return err;
}

static uint64_t tell_verify(const struct session *s)
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
		 " descriptors; left out: %" PRIu64 " changing at that moment, %" PRIu64
		 " in need of repair%s; %" PRIu64 " difference%s",
		 c.compared, c.slots, c.busy, c.tainted, hidden, c.differences,
		 c.differences == 1 ? "" : "s");
	return c.differences;
}

static void fill_result(struct session *s, struct session_result *result)
{
	struct engine_counters counters;

	if (!s->engine)
		return;
	engine_counters(s->engine, &counters);
	result->grave = counters.findings[SEVERITY_WARNING] + counters.findings[SEVERITY_ERROR];
	if (s->verify)
		result->differences = tell_verify(s);
}

static void session_done(struct session *s)
{
	fault_free(s->fault);
	verify_free(s->verify);
	engine_free(s->engine);
	naming_free(s->naming);
	if (s->epoll_fd >= 0)
		close(s->epoll_fd);
}

int session_run(const struct session_config *config, struct session_result *ret_result,
		struct trouble *trouble)
{
	struct session s = { .config = config,
			     .trouble = trouble,
			     .epoll_fd = -1,
			     .real_began_ns = now_on(CLOCK_MONOTONIC),
			     .cpu_began_ns = now_on(CLOCK_PROCESS_CPUTIME_ID) };
	int err = begin(&s);

	memset(ret_result, 0, sizeof(*ret_result));
	if (!err && config->launch) {
		err = launch_go(config->launch, trouble);
		ret_result->command_started = !err;
		if (err && s.began_ns)
			outputs_state(config->outputs, RUN_STOP, s.now_ns);
	}
	if (!err) {
		err = loop(&s);
		err = end(&s, err);
	}
	fill_result(&s, ret_result);
	session_done(&s);
	return err;
}
