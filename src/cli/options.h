/* SPDX-License-Identifier: BSD-2-Clause */
/* The command line: one table of options makes parsing, checks and --help. */
#ifndef FDTRACE_CLI_OPTIONS_H
#define FDTRACE_CLI_OPTIONS_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>
#include "run/session.h"
#include "source/live/bpf.h"

enum mode {
	MODE_TRACE, /* -p, -a or a command */
	MODE_REPLAY,
	MODE_DOCTOR,
	MODE_DAEMON,       /* --daemon */
	MODE_CHECK_CONFIG, /* --check-config */
	MODE_EXPLAIN,
	MODE_HELP,
	MODE_VERSION,
	MODE_LIST_SETTINGS, /* --set help */
	MODE_LIST_RULES,    /* --rules help */
	MODE_COUNT
};

/* Strings point into argv. */
struct options {
	enum mode mode;
	struct run_options run;
	pid_t *pids; /* owned; each once, ascending */
	unsigned int pid_count;
	const char *config; /* NULL: the usual one */
	bool all;
	bool no_follow;
	enum hook_set hooks;
	enum stack_mode stacks;
	char **command;          /* NULL-terminated part of argv; NULL: none */
	const char *recording;   /* replay: "-" is stdin */
	const char *fingerprint; /* explain: its first digits */
	uint64_t given;          /* which options stood there, by row of the table */
};

/*
 * 0, or -EINVAL (usage) or -ENOMEM with *trouble filled. options_done() is due in any case.
 * Not reentrant: it drives getopt.
 */
int options_parse(int argc, char **argv, struct options *options, struct trouble *trouble);
void options_done(struct options *options);

/* At most 24 lines of at most 80 columns. */
void options_help(FILE *out);
/* All thresholds with their values in force, units and ranges. */
void options_list_settings(FILE *out, const struct settings *settings);
void options_list_rules(FILE *out);

#endif
