/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What an operator writes into /etc/fdtrace/fdtrace.yaml. Every key may be left out. An unknown
 * key, a wrong type or a value out of range is an error that names file, line and column. One table
 * of all keys, in config.c, says how each is read and whether a change needs a restart.
 */
#ifndef FDTRACE_DAEMON_CONFIG_H
#define FDTRACE_DAEMON_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "engine/rule.h"
#include "engine/settings.h"
#include "source/live/bpf.h"
#include "source/live/stacking.h"
#include "util/redact.h" /* enum command_line */

struct error;

#define CONFIG_PATH "/etc/fdtrace/fdtrace.yaml"
#define CONFIG_OUTPUTS_MAX 16

enum output_type { OUTPUT_STDOUT, OUTPUT_FILE, OUTPUT_JOURNAL, OUTPUT_SYSLOG, OUTPUT_UNIX };

/* One destination of lines. */
struct output_config {
	enum output_type type;
	const char *path; /* file, unix socket, syslog: socket; NULL: the default */
	bool rfc5424;     /* syslog: octet-counted RFC 5424; else the BSD form of /dev/log */
	enum severity min_severity; /* of findings */
	bool summaries;             /* also fdtrace.summary and fdtrace.state lines */
	uint64_t queue_bytes;       /* limit of what waits for a slow reader */
};

struct config {
	const char *path; /* where it was read; "" for the built-in one */
	rule_set rules;
	struct settings settings; /* the defaults and what `set:` changes */
	enum stack_mode stacks;
	enum hook_set hooks;
	struct output_config outputs[CONFIG_OUTPUTS_MAX];
	unsigned int output_count;    /* at least 1: stdout if none is given */
	uint64_t summary_interval_ns; /* 0: none */
	enum command_line command_line;
	/* POSIX extended regular expressions, checked; the match, or its first group, is hidden */
	const char **redact;
	unsigned int redact_count;
	/* globs of cgroup paths: findings of others are not reported; 0: all are */
	const char **cgroups;
	unsigned int cgroup_count;
	const char **exclude_cgroups;
	unsigned int exclude_cgroup_count;
	const char **suppress; /* files */
	unsigned int suppress_count;
	const char *metrics_listen;   /* "127.0.0.1:9893"; NULL: no server */
	bool metrics_remote;          /* the address need not be a loopback one */
	const char *metrics_textfile; /* NULL: none */
	const char *state_path;       /* what has been reported; NULL: not kept over a restart */
	const char *evidence_path;    /* directory; NULL: no store */
	uint64_t evidence_bytes;      /* size limit of that directory */
};

/* The built-in one: what an empty file gives. 0 or -ENOMEM. */
int config_default(struct config **ret_config);

/*
 * Reads and checks everything; relative paths are refused. 0; -ENOENT and other -errno of reading;
 * -EINVAL: error names line and column. Only the first mistake is reported.
 */
int config_load(const char *path, struct config **ret_config, struct error *error);
void config_free(struct config *config); /* NULL is allowed */

/*
 * Calls `changed` with each key ("ring.size", "metrics.listen") in which the two differ and that a
 * restart alone applies. Rules are not among them: see detectors_served().
 */
void config_each_restart(const struct config *in_force, const struct config *next,
			 void (*changed)(void *ctx, const char *key), void *ctx);

#endif
