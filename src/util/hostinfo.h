/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where and when a stream of events was made. Gathered from this machine when tracing, from
 * FDT_META records when replaying: to sinks it makes no difference.
 */
#ifndef FDTRACE_UTIL_HOSTINFO_H
#define FDTRACE_UTIL_HOSTINFO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define HOST_NAME_VARIABLE "FDTRACE_HOST_NAME" /* environment: takes precedence over uname(2) */

struct hostinfo {
	char version[32];
	char host_name[65];
	char host_id[40]; /* /etc/machine-id; "" if there is none */
	char boot_id[40];
	char kernel[65];
	char coverage[32];      /* "tracepoint", "function" */
	char not_seen[96];      /* what these hooks cannot see, but others can; "" */
	char mode[16];          /* "pid", "command", "all" */
	char start_id[32];      /* unique to this run: boot id, start time and pid hashed, hex */
	int64_t wall_offset_ns; /* CLOCK_REALTIME minus CLOCK_MONOTONIC */
};

/* What ran already is traced, not a command that the run has started. */
static inline bool hostinfo_attaches(const struct hostinfo *info)
{
	return strcmp(info->mode, "command") != 0;
}

/*
 * From this machine; never fails (unknown parts are ""). coverage, not_seen and mode are "": the
 * caller sets them afterwards.
 */
void hostinfo_gather(struct hostinfo *info);

/* CLOCK_REALTIME minus CLOCK_MONOTONIC, now. */
int64_t hostinfo_wall_offset(void);

/*
 * One "key=value" of an FDT_META record (length bytes, no NUL). 0; -ENOENT for other keys;
 * -EINVAL for a clock offset that is not a number. Text that is too long is cut.
 */
int hostinfo_parse(struct hostinfo *info, const char *text, size_t length);

/* The same for "coverage" alone, which changes during a run; other keys are left alone. */
void hostinfo_parse_coverage(struct hostinfo *info, const char *text, size_t length);

/* Calls meta once for each key=value that hostinfo_parse reads (tracefile.h lists them). */
void hostinfo_each(const struct hostinfo *info, void (*meta)(void *ctx, const char *key_value),
		   void *ctx);

#endif
