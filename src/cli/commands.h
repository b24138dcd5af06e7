/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The commands of fdtrace, one row each. The words that options.c knows, which options it accepts
 * with them, --help and the functions that main.c calls follow from it.
 */
#ifndef FDTRACE_CLI_COMMANDS_H
#define FDTRACE_CLI_COMMANDS_H

/* The options, by which commands accept them; an option in no group goes with every command. */
enum option_group {
	GROUP_TARGET = 1 << 0,  /* what is traced and recorded */
	GROUP_KERNEL = 1 << 1,  /* how it is traced */
	GROUP_RULES = 1 << 2,   /* --rules and --set */
	GROUP_RUN = 1 << 3,     /* what a run reports, where, and for how long */
	GROUP_JSON = 1 << 4,    /* --json */
	GROUP_SERVICE = 1 << 5, /* the service and its configuration */
	GROUP_PAGE = 1 << 6,    /* how text is laid out */
};

/*
 * X(NAME, name, word, operand, groups, usage)
 *   NAME, name  MODE_NAME, and the function mode_name() of main.c
 *   word        what the user types; an option if it begins with a minus; NULL: see usage
 *   operand     the one word that must follow, or may if it is in brackets; NULL: none
 *   groups      the options that go with it
 *   usage       lines of syntax, a tab, and what it does; "": it is in the list of options
 * Those from HELP on print a list and exit; the rest of the command line is then ignored.
 */
/* clang-format off */
#define COMMANDS(X) \
	X(TRACE, trace, NULL, NULL, \
	  GROUP_TARGET | GROUP_KERNEL | GROUP_RULES | GROUP_RUN | GROUP_JSON | GROUP_PAGE, \
	  "[OPTION...] -p PID|NAME[,...]\tattach to running processes\n" \
	  "[OPTION...] [--] COMMAND [ARG...]\trun a command and trace it\n" \
	  "[OPTION...] -a\ttrace the whole machine") \
	X(REPLAY, replay, "replay", "FILE", \
	  GROUP_RULES | GROUP_RUN | GROUP_JSON | GROUP_PAGE, \
	  "replay [OPTION...] FILE\tanalyse a recording") \
	X(EXPLAIN, explain, "explain", "[FINGERPRINT]", GROUP_JSON | GROUP_PAGE, \
	  "explain [-j] [FINGERPRINT]\tlist findings, or print one") \
	X(DOCTOR, doctor, "doctor", NULL, GROUP_JSON | GROUP_PAGE, \
	  "doctor [-j]\tcheck this machine") \
	X(DAEMON, daemon, "--daemon", NULL, GROUP_KERNEL | GROUP_RULES | GROUP_SERVICE, \
	  "--daemon [-c FILE]\trun as a service") \
	X(CHECK_CONFIG, check_config, "--check-config", NULL, \
	  GROUP_KERNEL | GROUP_RULES | GROUP_SERVICE, \
	  "--check-config [-c FILE]\tcheck its configuration") \
	X(HELP, help, "--help", NULL, 0, "") \
	X(VERSION, version, "--version", NULL, 0, "") \
	X(LIST_SETTINGS, list_settings, "--set help", NULL, 0, "") \
	X(LIST_RULES, list_rules, "--rules help", NULL, 0, "")
/* clang-format on */

enum mode {
#define COMMAND_MODE(NAME, name, word, operand, groups, usage) MODE_##NAME,
	COMMANDS(COMMAND_MODE)
#undef COMMAND_MODE
		MODE_COUNT
};

#endif
