/* SPDX-License-Identifier: BSD-2-Clause */
/* Prometheus text: made from facts, served over HTTP and written for node_exporter. */
#ifndef FDTRACE_DAEMON_METRICS_H
#define FDTRACE_DAEMON_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "engine/engine.h"

struct error;

#define METRICS_LISTEN "127.0.0.1:9893"
#define METRICS_USAGES 10
#define METRICS_PROGRAMS 8
#define METRICS_CHANNELS 16
#define METRICS_LABEL_BYTES 128 /* of a label's value, before its escapes */
#define METRICS_OFFERED 256

/* Everything that is published; strings are borrowed and may hold any byte. */
struct metrics {
	struct engine_counters counters;
	const char *version;   /* fdtrace's own */
	uint64_t resyncs;      /* snapshots taken after losses */
	const char *coverage;  /* hook set in force: "tracepoint" ... */
	double coverage_ratio; /* share of the last minutes in which the hooks were on */
	double overhead_ratio; /* measured total cost, as a share of the machine's CPU time */
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
	} usages[METRICS_USAGES]; /* metrics_usages_give() */
	unsigned int channel_count;
	struct {
		const char *name;
		uint64_t sent, dropped;
	} channels[METRICS_CHANNELS];
	double last_event_s; /* wall clock */
};

/*
 * The Prometheus text format 0.0.4: valid UTF-8, no CR, no timestamps, each series once. Labels
 * are made safe (escape_text()) and cut; what then has the same labels is one series: the largest
 * ratio, the sum of counters. The standard process_* metrics of this process come last, from
 * *ret_textfile_length on: node_exporter has its own, drops those of a textfile and logs an error
 * at each scrape (1.5.0). To be freed; NULL: no memory.
 */
char *metrics_text(const struct metrics *metrics, size_t *ret_length, size_t *ret_textfile_length);

/* This process, by /proc/self; what cannot be read is negative. */
struct metrics_process {
	double cpu_s, resident_bytes, open_fds, max_fds; /* max_fds: +Inf where there is none */
	double start_s;                                  /* wall clock */
};
void metrics_process(struct metrics_process *ret_process);

/*
 * Which tables are published by program and unit: the fullest, but such that series are stable. A
 * published one is replaced only by another that is fuller by at least a quarter, or when it is no
 * longer offered. All zero is empty.
 */
struct metrics_usage {
	char exe[METRICS_LABEL_BYTES + 1], unit[METRICS_LABEL_BYTES + 1];
	double ratio;
};
struct metrics_usages {
	struct metrics_usage reported[METRICS_USAGES];
	unsigned int reported_count;
	/* private */
	struct metrics_usage offered[METRICS_OFFERED];
	unsigned int offered_count;
};
void metrics_usages_begin(struct metrics_usages *usages);
/*
 * If a program and unit are offered twice, the larger counts. Beyond METRICS_OFFERED: offer the
 * fullest first.
 */
void metrics_usages_offer(struct metrics_usages *usages, const char *exe, const char *unit,
			  double ratio);
void metrics_usages_end(struct metrics_usages *usages);
/*
 * All three, from the fullest tables of the engine; unit: in which unit a process is ("": none).
 * It is called up to METRICS_OFFERED times. Returns the largest ratio.
 */
double metrics_usages_update(struct metrics_usages *usages, const struct engine *engine,
			     void (*unit)(void *ctx, uint32_t pid, char *buffer, size_t size),
			     void *ctx);
/* Sets usages and usage_count; borrowed from *usages. */
void metrics_usages_give(const struct metrics_usages *usages, struct metrics *metrics);

/*
 * For node_exporter's textfile collector, which reads *.prom: writes path.tmp beside it and renames
 * that, 0644. Never follows a symbolic link at either name. 0; or -errno, and the old file stays;
 * -EINVAL: the path is not absolute or does not end in ".prom"; -EPERM: everybody may write to its
 * folder.
 */
int metrics_textfile(const char *path, const char *text, size_t length);

/*
 * A server on its own thread. It serves what was published last (503 before that) and never touches
 * the engine. At most 32 connections at once, each for at most 10 s; others wait to be accepted.
 * HTTP/1.0 and 1.1, one answer a connection.
 */
struct metrics_server;
/*
 * Listens; clients wait until metrics_server_run(). "address:port" or "[v6]:port", numbers only;
 * port 0: any free one. Refuses an address that is not loopback unless `remote`. 0 or -errno with
 * *error.
 */
int metrics_server_open(const char *listen, bool remote, struct metrics_server **ret_server,
			struct error *error);
/*
 * Serves, in a thread with the capabilities of the caller: call it after dropping
 * those that are not needed. 0 or -errno with *error.
 */
int metrics_server_run(struct metrics_server *server, struct error *error);
/* Where it listens: "127.0.0.1:9893". Lives as long as the server. */
const char *metrics_server_address(const struct metrics_server *server);
/* Copies; never waits for a client. If out of memory, what was published before stays. */
void metrics_server_publish(struct metrics_server *server, const char *text, size_t length);
void metrics_server_stop(struct metrics_server *server); /* NULL is allowed */

#endif
