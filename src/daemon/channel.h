/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A destination of lines that may be slow, full or gone; nothing ever waits for it. Lines that it
 * does not accept now wait in a bounded queue; those that do not fit are dropped, counted, and
 * reported once it accepts lines again. A channel reopens a file that was rotated away, and a
 * connection that was refused or hung up.
 */
#ifndef FDTRACE_DAEMON_CHANNEL_H
#define FDTRACE_DAEMON_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "engine/rule.h"
#include "daemon/config.h"

struct error;

/* One JSON line and what routing and syslog need to know about it. All borrowed. */
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

/*
 * Every line that was put and is wanted has been sent or dropped, or waits. The marker of a gap is
 * not counted.
 */
struct channel_counters {
	uint64_t sent, dropped; /* lines */
	uint64_t queued_bytes;
	uint64_t failures; /* times it could not be opened or written */
};

struct channel;

/*
 * The process must ignore SIGPIPE and SIGXFSZ. When the queue is full, new lines are dropped until
 * half of it is free again; then one "fdtrace.state" line with fdtrace.dropped marks where they are
 * missing.
 *
 * A permanent fault (a folder where a file should be, a path owned by another user) is refused
 * here: -errno with *error filled. A collector that is not there yet is not a fault: the channel
 * tries again. Files: opened O_APPEND|O_NOFOLLOW, 0640, one write(2) a line; must be regular and
 * owned by us or root.
 */
int channel_open(const struct output_config *config, struct channel **ret_channel,
		 struct error *error);
/* Tries once more to send waiting lines. */
void channel_free(struct channel *channel);

/* Queues the line or drops it; never waits. now_ns: CLOCK_MONOTONIC. */
void channel_put(struct channel *channel, const struct line *line, uint64_t now_ns);
/* Tries to send waiting lines, and checks whether a file was rotated away. Call it every second. */
void channel_tick(struct channel *channel, uint64_t now_ns);
/* SIGHUP: close and open again. */
void channel_reopen(struct channel *channel, uint64_t now_ns);

const char *channel_name(const struct channel *channel); /* for messages: "file /var/log/..." */
void channel_counters(const struct channel *channel, struct channel_counters *ret_counters);

#endif
