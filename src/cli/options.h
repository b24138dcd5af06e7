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

struct page;

/* Strings point into argv. */
struct options {
	enum mode mode;
	struct run_options run;
	pid_t *pids; /* owned; each once, ascending */
	unsigned int pid_count;
	bool pids_by_name;  /* some of them: they may have ended since they were found */
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

/* A word of digits: as a command, it is more likely meant as a process. */
bool options_is_number(const char *word);

/* At most 50 lines of at most 80 columns. */
void options_help(FILE *out);
/* All thresholds with their values in force, units and ranges; page_write() is left to the caller. */
void options_list_settings(struct page *page, const struct settings *settings);
void options_list_rules(struct page *page);

#endif
