/* SPDX-License-Identifier: BSD-2-Clause */
/* The command line: one table of options makes parsing, checks and --help. */
#ifndef FDTRACE_CLI_OPTIONS_H
#define FDTRACE_CLI_OPTIONS_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>
#include "cli/commands.h"
#include "run/session.h"
#include "source/live/bpf.h"

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
	char **command;      /* NULL-terminated part of argv; NULL: none */
	const char *operand; /* replay: a file, "-" is stdin; explain: digits of a fingerprint */
	uint64_t given;      /* the options on the command line, by row of the table */
};

/*
 * 0, or -EINVAL (usage) or -ENOMEM with *error filled. options_done() is due in any case.
 * Not reentrant: it drives getopt.
 */
int options_parse(int argc, char **argv, struct options *options, struct error *error);
void options_done(struct options *options);

/* The command that this misspelt word may mean; NULL: none. */
const char *options_nearest_command(const char *word);

/* At most 50 lines of at most 80 columns. */
void options_help(FILE *out);
/* All thresholds with their values in force, units and ranges. */
void options_list_settings(FILE *out, const struct settings *settings);
void options_list_rules(FILE *out);

#endif
