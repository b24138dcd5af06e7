/* SPDX-License-Identifier: BSD-2-Clause */
/* Prometheus text: made from facts, served over HTTP and written for node_exporter. */
#ifndef FDTRACE_DAEMON_METRICS_H
#define FDTRACE_DAEMON_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "core/engine.h"

struct trouble;

#define METRICS_LISTEN "127.0.0.1:9893"
#define METRICS_USAGES 10
#define METRICS_PROGRAMS 8
#define METRICS_CHANNELS 16

/* Everything that is published; strings are borrowed and may hold any byte. */
struct metrics {
	struct engine_counters counters;
	uint64_t resyncs;      /* snapshots because of losses */
	const char *coverage;  /* hook set in force: "tracepoint" ... */
	double coverage_ratio; /* share of the last minutes in which the hooks were on */
	double overhead_ratio; /* measured cost of it all, of the machine's CPU time */
	unsigned int program_count;
	struct {
		const char *name;
		double seconds;
	} programs[METRICS_PROGRAMS];
	double limit_used_max; /* the fullest table: open / RLIMIT_NOFILE */
	unsigned int usage_count;
	struct {
		const char *exe, *unit;
		double ratio;
	} usages[METRICS_USAGES]; /* the fullest, with hysteresis: metrics_usages() */
	unsigned int channel_count;
	struct {
		const char *name;
		uint64_t sent, dropped;
	} channels[METRICS_CHANNELS];
	double last_event_s; /* wall clock */
};

/* Valid UTF-8, no CR; labels escaped and cut to 128 bytes. To be freed; NULL: no memory. */
char *metrics_text(const struct metrics *metrics, size_t *ret_length);

/* Writes path.tmp and renames it. 0 or -errno. */
int metrics_textfile(const char *path, const char *text, size_t length);

/*
 * A server on a thread of its own (libevent's evhttp): it hands out what was published last and
 * never touches the engine. At most 32 connections at once, each for 10 s at most.
 */
struct metrics_server;
/* "address:port" or "[v6]:port"; refuses what is not loopback unless `remote`. 0 or -errno with *trouble. */
int metrics_server_start(const char *listen, bool remote, struct metrics_server **ret_server,
			 struct trouble *trouble);
void metrics_server_publish(struct metrics_server *server, const char *text, size_t length);
void metrics_server_stop(struct metrics_server *server); /* NULL is allowed */

#endif
