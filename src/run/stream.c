// SPDX-License-Identifier: BSD-2-Clause
/* Events from the source go to the engine, then into the recording. */
#include <errno.h>
#include <inttypes.h>

#include "base/clock.h"
#include "run/fault.h"
#include "run/outputs.h"
#include "run/session_private.h"
#include "run/verify.h"
#include "util/log.h"
#include "util/error.h"

#define LOSS_PAUSE_NS SEC_NS /* between snapshots after losses, which load the ring themselves */
#define NAMES_A_DRAIN 200
#define NAMES_A_DRAIN_ALL 50 /* the whole machine opens more than is worth knowing */

static void stream_take_time(struct session *s, uint64_t time_ns)
{
	if (!s->began_ns && time_ns)
		session_begin_time(s, time_ns);
	if (time_ns > s->now_ns)
		s->now_ns = time_ns;
}

static void stream_report_memory(struct session *s)
{
	char value[32];
	size_t count;
	const struct setting *row = settings_table(&count);

	if (s->memory_reported)
		return;
	s->memory_reported = true;
	for (; row->offset != offsetof(struct settings, memory_max_bytes); row++)
		;
	setting_format(row, s->meta.settings.memory_max_bytes, value, sizeof(value));
	log_warn("memory.max=%s reached; findings may be marked after_loss. Raise it with "
		 "--set memory.max=...",
		 value);
}

/* While the hooks are off nothing can be repaired; it is due as soon as they are on again. */
static void stream_note_loss(struct session *s, const struct fdt_head *head)
{
	bool of_coverage = head->flags == FDT_LOSS_COVERAGE;

	if (of_coverage && head->op == FDT_OP_END)
		s->repair.due_ns = 0;
	else if (!of_coverage && s->repair.due_ns == DUE_NEVER)
		s->repair.due_ns = s->repaired_ns ? s->repaired_ns + LOSS_PAUSE_NS : 0;
}

/* Time has passed. What is due at a tick only sets flags and writes: it cannot fail. */
static void stream_tick(struct session *s)
{
	s->events--;
	due_run(&s->at_tick, s->now_ns);
}

/* Events that ask something of the session. */
static void stream_look_at(struct session *s, const struct fdt_head *head)
{
	host_note(&s->host, head);
	if (head->kind == FDT_LOSS)
		stream_note_loss(s, head);
	else if (head->kind == FDT_TICK)
		stream_tick(s);
}

/* A recording may not raise the limit that protects this machine. */
static void stream_read_meta(struct session *s, const struct fdt_meta *event, size_t size)
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
		log_info("the recording was made with a larger memory.max; use --set "
			 "memory.max=... to allow as much here");
		s->meta.settings.memory_max_bytes = memory;
	}
}

static void stream_apply(struct session *s, const struct fdt_head *head, size_t size)
{
	int err;

	stream_take_time(s, head->time_ns);
	s->events++;
	err = engine_apply(s->engine, head, size);
	if (err == -ENOMEM)
		stream_report_memory(s);
	outputs_record(s->config->outputs, head, size);
	if (err != -EINVAL)
		stream_look_at(s, head);
	if (s->verify)
		verify_note(s->verify, head);
}

/* -ECANCELED: the run is over. */
int stream_event_as_is(void *ctx, const void *event, size_t size)
{
	struct session *s = ctx;
	const struct fdt_head *head = event;
	int err;

	if (head->kind == FDT_META) {
		stream_read_meta(s, event, size);
		outputs_record(s->config->outputs, event, size);
		return 0;
	}
	if (!s->engine) {
		err = session_begin_engine(s);
		if (err)
			return err;
	}
	stream_apply(s, head, size);
	if (!outputs_alive(s->config->outputs))
		s->stop = true;
	return s->stop && s->config->replay ? -ECANCELED : 0;
}

int stream_event(void *ctx, const void *event, size_t size)
{
	struct session *s = ctx;

	return s->fault ? fault_pass(s->fault, event, size, stream_event_as_is, s)
			: stream_event_as_is(s, event, size);
}

static void stream_looked_up(void *ctx, const void *event, size_t size)
{
	stream_event_as_is(ctx, event, size);
}

void stream_record(void *ctx, const void *event, size_t size)
{
	struct session *s = ctx;

	outputs_record(s->config->outputs, event, size);
}

int stream_drain(struct session *s)
{
	struct source *source = s->config->source;
	int err;

	s->events = 0;
	err = source->ops->drain(source, stream_event, s, s->error);
	if (err == -ECANCELED)
		return 0;
	if (err < 0)
		return err;
	if (err == 1)
		s->stop = true;
	host_look_up(&s->host, s->meta.mode == ENGINE_ALL ? NAMES_A_DRAIN_ALL : NAMES_A_DRAIN,
		     stream_looked_up, s);
	loop_keep_pace(&s->loop, s->meta.settings.drain_interval_ns, s->events);
	return 0;
}

int stream_snapshot(struct session *s, enum fdt_why why)
{
	struct source *source = s->config->source;
	uint64_t start_ns = clock_monotonic_ns();
	int err;

	s->events = 0;
	err = source->ops->snapshot(source, why, stream_event, s, s->error);
	log_debug("snapshot: %" PRIu64 " records read and applied in %.2f ms", s->events,
		  (double)(clock_monotonic_ns() - start_ns) / 1e6);
	return err;
}
