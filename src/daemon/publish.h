/* SPDX-License-Identifier: BSD-2-Clause */
/* Gathers the metrics from all parts of the daemon and publishes them every few seconds. */
#ifndef FDTRACE_DAEMON_PUBLISH_H
#define FDTRACE_DAEMON_PUBLISH_H

#include <stdbool.h>
#include <stdint.h>
#include "daemon/metrics.h"

struct bpf_cost;
struct config;
struct coverage_keeper;
struct lines;
struct error;

struct publisher {
	struct metrics_server *server; /* NULL: none wanted */
	struct metrics_usages usages;
	double limit_used_max;
	uint64_t publish_ns, usages_ns; /* not before */
	bool textfile_failed;           /* and reported */
};

/* Where the facts are; all borrowed. */
struct publish_sources {
	const struct config *config;
	const struct engine *engine;
	const struct coverage_keeper *coverage; /* NULL: no budget is kept */
	const struct bpf_cost *cost;
	const struct lines *lines;
	const char *coverage_words; /* "tracepoint" */
};

/* Listens if the configuration names an address. 0 or -errno with *error filled. */
int publisher_begin(struct publisher *publisher, const struct config *config, struct error *error);
/* Starts serving, with the remaining capabilities. 0 or -errno with *error filled. */
int publisher_run(struct publisher *publisher, struct error *error);
void publisher_done(struct publisher *publisher);

/* Whether it is time; now_ns: CLOCK_MONOTONIC. */
bool publisher_is_due(struct publisher *publisher, const struct config *config, uint64_t now_ns);
void publisher_publish(struct publisher *publisher, const struct publish_sources *sources,
		       uint64_t now_ns);

#endif
