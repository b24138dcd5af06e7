/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The service: in the foreground, until it is told to end. Ties a configuration to a session over
 * the whole machine, and its lines to channels.
 */
#ifndef FDTRACE_DAEMON_DAEMON_H
#define FDTRACE_DAEMON_DAEMON_H

#include <stdbool.h>
#include "daemon/config.h"
#include "run/coverage.h"
#include "run/session.h"
#include "source/live/stacking.h"

/* The kernel's side, which main.c alone knows. As in source/bpf.h. */
struct daemon_kernel {
	int (*open)(const struct config *config, struct source **ret_source,
		    struct trouble *trouble);
	const char *(*coverage)(const struct source *source);
	const char *(*not_seen)(const struct source *source);
	const struct coverage_ops *budget;
	void (*forget_site)(struct source *source, uint64_t hash);
	void (*stacking)(const struct source *source, struct stacking_counters *ret_counters);
};

/* All borrowed. What is given on the command line goes on top of the file. */
struct daemon_options {
	const char *config_path; /* NULL: CONFIG_PATH if there is one, else the built-in */
	const struct run_options *run;
	enum stack_mode stacks; /* auto: what the file says */
	enum hook_set hooks;    /* the same */
	const struct daemon_kernel *kernel;
};

/* An exit status (util/trouble.h); what is wrong has been told. */
int daemon_run(const struct daemon_options *options);

/* Reads the configuration and what it names, and says on stdout that it is good. An exit status. */
int daemon_check_config(const struct daemon_options *options);

#endif
