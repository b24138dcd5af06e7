// SPDX-License-Identifier: BSD-2-Clause
/* What a run does between two waits: signals, a drain, and what is due after it. */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "run/launch.h"
#include "run/outputs.h"
#include "run/session_private.h"
#include "run/signals.h"
#include "run/verify.h"
#include "util/hostinfo.h"
#include "util/io.h"

#define VERIFY_NS SEC_NS
#define VERIFY_TABLES 64
#define RELOAD_PAUSE_NS SEC_NS
#define WALL_CLOCK_NS SEC_NS
#define REPAIR_AUDIT_NS SEC_NS

/* --- due between two drains --- */

/* Two snapshots show which tables ended unseen: an audit follows soon. */
static int turn_repair(void *ctx, uint64_t now_ns)
{
	struct session *s = ctx;

	s->repaired_ns = now_ns;
	if (s->audit.due_ns != DUE_NEVER)
		s->audit.due_ns = now_ns + REPAIR_AUDIT_NS;
	return stream_snapshot(s, FDT_WHY_LOSS);
}

static int turn_audit(void *ctx, uint64_t now_ns)
{
	struct session *s = ctx;

	if (!coverage_is_off(s))
		return stream_snapshot(s, FDT_WHY_AUDIT);
	s->audit.due_ns = now_ns;
	return 0;
}

static int turn_drain_for_verify(void *ctx)
{
	return stream_drain(ctx);
}

static int turn_verify(struct session *s, unsigned int tables)
{
	if (!s->verify || !s->engine)
		return 0;
	return verify_round(s->verify, s->engine, tables, turn_drain_for_verify, s);
}

int turn_verify_all(struct session *s)
{
	s->check.due_ns = s->now_ns + VERIFY_NS;
	return turn_verify(s, 0);
}

/* Some of the tables every second, all of them at the end. */
static int turn_check(void *ctx, uint64_t now_ns)
{
	struct session *s = ctx;

	if (!s->stop && !coverage_is_off(s))
		return turn_verify(s, VERIFY_TABLES);
	s->check.due_ns = now_ns;
	return 0;
}

/* --- a service's --- */

/* A run of months outlives leap seconds and corrections of the clock. */
static int turn_look_at_clock(void *ctx, uint64_t now_ns)
{
	struct session *s = ctx;
	int64_t offset_ns = hostinfo_wall_offset();

	(void)now_ns;
	if (llabs(offset_ns - s->meta.host.wall_offset_ns) > (int64_t)MSEC_NS)
		s->meta.host.wall_offset_ns = offset_ns;
	return 0;
}

static int turn_reload(void *ctx, uint64_t now_ns)
{
	struct session *s = ctx;

	s->reloaded_ns = now_ns;
	session_reload(s);
	return 0;
}

static void turn_order_reload(struct session *s)
{
	if (s->reload.due_ns == DUE_NEVER)
		s->reload.due_ns = s->reloaded_ns ? s->reloaded_ns + RELOAD_PAUSE_NS : 0;
}

static void turn_serve(struct session *s)
{
	const struct session_service *service = s->config->service;
	uint64_t now_ns;

	if (!service)
		return;
	now_ns = clock_monotonic_ns();
	due_run(&s->service, now_ns);
	if (service->turn)
		service->turn(service->ctx, now_ns);
}

/* --- what wakes the loop --- */

static bool turn_command_ended(const struct session *s)
{
	return s->config->launch && launch_ended(s->config->launch);
}

/*
 * With a command, signals from the terminal are for the command (which may survive them, as an
 * interpreter's prompt does), and those sent to us are passed on. The run then ends with the
 * command, or when asked a second time.
 */
static void turn_take_signal(struct session *s, int signal, bool sent)
{
	struct launch *launch = turn_command_ended(s) ? NULL : s->config->launch;

	if (launch && sent)
		launch_signal(launch, signal);
	if (signal == SIGHUP && s->config->service) {
		turn_order_reload(s);
		return;
	}
	if (!signals_ask_to_end(signal) || (launch && !sent))
		return;
	if (++s->ends == 2 || !launch)
		s->stop = true;
}

/* After the ^C that the terminal has echoed, what follows begins on a line of its own. */
static void turn_end_echo(int signal, bool sent)
{
	int fd = isatty(STDERR_FILENO) ? STDERR_FILENO : STDOUT_FILENO;

	if (signal == SIGINT && !sent && isatty(fd))
		write_all(fd, "\n", 1);
}

static void turn_on_signals(void *ctx, uint32_t events)
{
	struct session *s = ctx;
	bool sent;
	int signal;

	(void)events;
	while ((signal = signals_read(s->config->signals, &sent))) {
		turn_end_echo(signal, sent);
		turn_take_signal(s, signal, sent);
	}
}

static void turn_on_output(void *ctx, uint32_t events)
{
	struct session *s = ctx;

	if (!(events & (EPOLLERR | EPOLLHUP)))
		return;
	outputs_check_readers(s->config->outputs);
	if (!outputs_alive(s->config->outputs))
		s->stop = true;
}

/*
 * Edge-triggered for the kernel's ring: it polls readable whenever it holds anything, so we would
 * wake for each event instead of once in drain.interval.
 */
static int turn_watch_source(struct session *s)
{
	int fd = s->config->source->ops->poll_fd(s->config->source);
	uint32_t events = s->config->replay ? EPOLLIN : EPOLLIN | EPOLLET;
	int err = fd < 0 ? -EPERM : loop_watch(&s->loop, fd, events, NULL, NULL);

	if (err != -EPERM) /* what epoll refuses (a plain file) is always ready */
		return err;
	s->always_ready = s->config->replay;
	return 0;
}

/*
 * epoll always reports errors and hang-ups; it refuses plain files, which have none. Edge-triggered:
 * a run goes on with its other outputs.
 */
static void turn_watch_outputs(struct session *s)
{
	const struct outputs *outputs = s->config->outputs;

	for (unsigned int n = 0; n < outputs_count(outputs); n++)
		loop_watch(&s->loop, outputs_poll_fd(outputs, n), EPOLLET, turn_on_output, s);
}

static int turn_watch(struct session *s)
{
	const struct session_config *config = s->config;
	int err = turn_watch_source(s);

	if (!err)
		err = loop_watch(&s->loop, config->signals->fd, EPOLLIN, turn_on_signals, s);
	if (!err && config->launch)
		err = loop_watch(&s->loop, launch_poll_fd(config->launch), EPOLLIN | EPOLLET, NULL,
				 NULL);
	if (!err)
		turn_watch_outputs(s);
	return err;
}

int turn_begin(struct session *s)
{
	int err = loop_begin(&s->loop);

	s->repair = (struct due){ .due_ns = DUE_NEVER, .fn = turn_repair, .ctx = s };
	s->audit = (struct due){ .due_ns = DUE_NEVER, .fn = turn_audit, .ctx = s };
	s->check = (struct due){ .period_ns = VERIFY_NS, .fn = turn_check, .ctx = s };
	s->wall_clock =
		(struct due){ .period_ns = WALL_CLOCK_NS, .fn = turn_look_at_clock, .ctx = s };
	s->reload = (struct due){ .due_ns = DUE_NEVER, .fn = turn_reload, .ctx = s };
	if (!s->config->replay) {
		due_add(&s->after_drain, &s->repair);
		due_add(&s->after_drain, &s->audit);
	}
	if (s->config->options->verify)
		due_add(&s->after_drain, &s->check);
	due_add(&s->service, &s->wall_clock);
	due_add(&s->service, &s->reload);
	return err ? err : turn_watch(s);
}

/* --- the loop --- */

static int turn_wait_ms(const struct session *s)
{
	if (s->always_ready)
		return 0;
	if (s->config->replay)
		return -1;
	return due_wait_ms(&s->at_tick, clock_monotonic_ns(), s->loop.pace_ms);
}

/* A run with a command ends with it, or with its last descendant if the user wants to wait. */
static bool turn_is_over(const struct session *s)
{
	const struct run_options *options = s->config->options;
	bool waits = options->wait || options->duration_ns;
	bool ended = turn_command_ended(s); /* which reaps it, however long we stay */

	return (ended && !waits) || source_is_idle(s->config->source);
}

/*
 * Whether the command has ended is checked before the drain, and the run stops after it, so that
 * everything the command did is included.
 */
static int turn_once(struct session *s)
{
	bool over = turn_is_over(s);
	int err = stream_drain(s);

	err = err ? err : session_check_attached(s);
	if (over)
		s->stop = true;
	if (!err && !s->stop)
		err = coverage_keep(s);
	if (!err && !s->stop)
		err = due_run(&s->after_drain, s->now_ns);
	return err;
}

int turn_loop(struct session *s)
{
	const struct session_service *service = session_service(s);
	int err = 0;

	if (service->ready)
		service->ready(service->ctx);
	while (!err && !s->stop) {
		loop_wait(&s->loop, turn_wait_ms(s));
		if (!s->stop)
			err = turn_once(s);
		if (!s->stop)
			turn_serve(s);
	}
	return err;
}
