/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The service: in the foreground, until a signal ends it. Ties a configuration to a session over
 * the whole machine, and its lines to channels.
 */
#ifndef FDTRACE_DAEMON_DAEMON_H
#define FDTRACE_DAEMON_DAEMON_H

#include <stdbool.h>
#include "daemon/config.h"
#include "run/session.h"
#include "source/live/stacking.h"

/* All borrowed. The command line takes precedence over the file. */
struct daemon_options {
	const char *config_path; /* NULL: CONFIG_PATH if there is one, else the built-in */
	const struct run_options *run;
	enum stack_mode stacks; /* auto: what the file says */
	enum hook_set hooks;    /* the same */
	/*
	 * Opens the kernel as a source that measures its cost; only main.c links it. 0 or
	 * -errno with *error filled.
	 */
	int (*open_kernel)(const struct config *config, struct source **ret_source,
			   struct error *error);
};

/* An exit status (util/error.h); what is wrong has been reported. */
int daemon_run(const struct daemon_options *options);

/*
 * Reads the configuration and the files it names, and reports on stdout that they are valid. An
 * exit status.
 */
int daemon_check_config(const struct daemon_options *options);

#endif
