/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A place where lines go that may be slow, full or gone: never waited for. What cannot be taken
 * now waits in a bounded queue; what does not fit there is dropped, counted, and told once the
 * way is free again. A channel opens again what was rotated away, refused or hung up.
 */
#ifndef FDTRACE_DAEMON_CHANNEL_H
#define FDTRACE_DAEMON_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "engine/rule.h"
#include "daemon/config.h"

struct trouble;

/* One JSON line and what routing and syslog want to know of it. All borrowed. */
struct line {
	const char *json; /* newline included */
	size_t length;
	bool is_finding; /* else a summary or a state */
	enum severity severity;
	const char *rule;        /* findings: "close.unowned"; else NULL */
	const char *fingerprint; /* findings: 16 hex digits; else NULL */
	const char *message;     /* one sentence, escaped */
	const char *pid;         /* findings: of the process, decimal; else NULL */
};

#define CHANNEL_QUEUE_MIN 16384 /* a smaller queue_bytes counts as this: a few lines must fit */

/* Every line that was put and wanted is sent, dropped or waits. The line that tells of drops is none. */
struct channel_counters {
	uint64_t sent, dropped; /* lines */
	uint64_t queued_bytes;
	uint64_t failures; /* times it could not be opened or written */
};

struct channel;

/*
 * The process must ignore SIGPIPE and SIGXFSZ. Of a full queue the newest lines are dropped, until half
 * of it is free again; then one "fdtrace.state" line with fdtrace.dropped stands where they are missing.
 *
 * What is wrong for good (a folder where a file should be, a path that belongs to somebody
 * else) is refused here: -errno with *trouble filled. A collector that is not there yet is not:
 * it is tried again. Files: opened O_APPEND|O_NOFOLLOW, 0640, one write(2) a line; must be
 * regular and owned by us or root.
 */
int channel_open(const struct output_config *config, struct channel **ret_channel,
		 struct trouble *trouble);
/* What still waits gets one last try. */
void channel_free(struct channel *channel);

/* Takes the line or drops it; never waits. now_ns: CLOCK_MONOTONIC. */
void channel_put(struct channel *channel, const struct line *line, uint64_t now_ns);
/* Tries to get rid of what waits; looks whether a file was rotated away. To be called each second. */
void channel_tick(struct channel *channel, uint64_t now_ns);
/* SIGHUP: close and open again. */
void channel_reopen(struct channel *channel, uint64_t now_ns);

const char *channel_name(const struct channel *channel); /* for messages: "file /var/log/..." */
void channel_counters(const struct channel *channel, struct channel_counters *ret_counters);

#endif
