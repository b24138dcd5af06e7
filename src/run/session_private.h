/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the parts of a run share: session.c (its beginning and its end), stream.c (what comes from
 * the source), turn.c (what the loop does) and coverage.c (the budget). No other file includes it.
 */
#ifndef FDTRACE_RUN_SESSION_PRIVATE_H
#define FDTRACE_RUN_SESSION_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

#include "fdtrace/event.h"
#include "run/coverage.h"
#include "run/host.h"
#include "run/loop.h"
#include "run/meta.h"
#include "run/session.h"
#include "source/source.h"

struct fault;
struct verify;

struct session {
	/* first: the engine's ctx, which the host's answers are given, is the session */
	struct host host;
	const struct session_config *config;
	struct run_meta meta;
	struct engine *engine; /* NULL until the first event that is not META */
	struct engine_listener listener;
	struct engine_policy policy;
	struct fault *fault; /* NULL: none wanted */
	struct source_facts facts;
	bool keeps_budget;
	struct coverage_keeper coverage; /* if it keeps a budget */
	struct verify *verify;           /* NULL: not asked for */
	struct error *error;
	struct loop loop;
	bool always_ready; /* the source has nothing to poll */
	uint64_t now_ns;   /* latest time of an event */
	uint64_t began_ns; /* time of the first event */

	/* Due at a tick, by event time, so that a replay does the same at the same place. */
	struct due_list at_tick;
	struct due flush, summary, duration;
	/* Due between two drains, by event time. */
	struct due_list after_drain;
	struct due repair; /* a snapshot because events are missing; DUE_NEVER: none is */
	struct due audit, check;
	/* Those of a service, by the clock. */
	struct due_list service;
	struct due wall_clock, reload;

	uint64_t repaired_ns, reloaded_ns;    /* a pause follows each; 0: not yet */
	uint64_t real_began_ns, cpu_began_ns; /* for the share of CPU */
	uint64_t events;                      /* of the current drain, without ticks */
	unsigned int ends;                    /* signals that asked to end */
	bool memory_reported;
	bool stop;
};

/* --- session.c --- */

/* What a service adds; without one, a struct of NULLs. */
const struct session_service *session_service(const struct session *session);

/* Called once settings and rules are known, the recording's or the user's. 0 or -errno. */
int session_begin_engine(struct session *session);

/* The first event that has a time starts the clocks of -d and -i. */
void session_begin_time(struct session *session, uint64_t time_ns);

void session_summarise(struct session *session, bool final);

/* SIGHUP: has the service read its configuration and applies what can change in a run. */
void session_reload(struct session *session);

/* --- stream.c --- */

/* source_event_fn, with the session as ctx. -ECANCELED: the run is over. */
int stream_event(void *ctx, const void *event, size_t size);
/* The same without injected faults, for the start of the stream. */
int stream_event_as_is(void *ctx, const void *event, size_t size);

/* Puts an event into the recording only. */
void stream_record(void *ctx, const void *event, size_t size);

/* Takes all that the source had at the call. 0, or -errno with the session's error filled. */
int stream_drain(struct session *session);
int stream_snapshot(struct session *session, enum fdt_why why);

/* --- turn.c --- */

/* Sets up what the loop waits for and does. 0 or -errno. */
int turn_begin(struct session *session);
/* Runs until the run is to stop. 0, or -errno with the session's error filled. */
int turn_loop(struct session *session);

/* --verify: compares all tables now. 0, or what a drain returned. */
int turn_verify_all(struct session *session);

/* --- coverage.c --- */

/* Does what the budget asks for. 0, or -errno with the session's error filled. */
int coverage_keep(struct session *session);
/* Whether the hooks on system calls are off; a census reads the tables then. */
bool coverage_is_off(const struct session *session);

#endif
