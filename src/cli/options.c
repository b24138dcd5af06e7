// SPDX-License-Identifier: BSD-2-Clause
#include "cli/options.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "output/format.h"
#include "util/nearest.h"
#include "util/escape.h"
#include "util/trouble.h"

#define PID_LIMIT 4194304 /* PID_MAX_LIMIT of the kernel, include/linux/threads.h */

enum type {
	TYPE_FLAG,   /* bool */
	TYPE_COUNT,  /* unsigned int, one more each time */
	TYPE_STRING, /* const char *, not empty */
	TYPE_TIME,   /* uint64_t, ns */
	TYPE_NUMBER, /* unsigned int */
	TYPE_JSON,
	TYPE_PIDS,
	TYPE_RULES,
	TYPE_SEVERITY,
	TYPE_SETTING,
	TYPE_SUPPRESS,
	TYPE_HOOKS,
	TYPE_STACKS,
	TYPE_DAEMON,
	TYPE_CHECK_CONFIG,
	TYPE_HELP,
	TYPE_VERSION,
};

struct row {
	const char *name;
	char letter; /* 0: none */
	enum type type;
	const char *argument; /* NULL: takes none */
	size_t offset;        /* of what FLAG ... NUMBER store, in struct options */
	uint64_t min, max;    /* TIME (ns), NUMBER */
	unsigned int modes;   /* where it has a meaning: 1 << enum mode */
	const char *help;     /* NULL: shown elsewhere, among the modes or with another option */
};

#define T (1u << MODE_TRACE)
#define R (1u << MODE_REPLAY)
#define D (1u << MODE_DOCTOR)
#define S (1u << MODE_DAEMON | 1u << MODE_CHECK_CONFIG)
#define E (1u << MODE_EXPLAIN)
#define AT(field) offsetof(struct options, field)

/* clang-format off */
static const struct row table[] = {
	{ "pid", 'p', TYPE_PIDS, "PID[,PID...]", 0, 1, PID_LIMIT, T, NULL },
	{ "all", 'a', TYPE_FLAG, NULL, AT(all), 0, 0, T, NULL },
	{ "json", 'j', TYPE_JSON, "[=full]", 0, 0, 0, T | R | D | E,
	  "findings, summary as JSON lines; full: no size cap" },
	{ "events", 'e', TYPE_FLAG, NULL, AT(run.events), 0, 0, T | R,
	  "also print every descriptor event" },
	{ "output", 'o', TYPE_STRING, "FILE", AT(run.output), 0, 0, T | R,
	  "write there instead of stdout" },
	{ "record", 'r', TYPE_STRING, "FILE", AT(run.record), 0, 0, T,
	  "keep the event stream for replay" },
	{ "duration", 'd', TYPE_TIME, "TIME", AT(run.duration_ns), MSEC_NS, 3650 * DAY_NS, T | R,
	  "stop tracing after TIME (5m); a command keeps running" },
	{ "interval", 'i', TYPE_TIME, "TIME", AT(run.interval_ns), SEC_NS / 10, 3650 * DAY_NS, T | R,
	  "print a summary every TIME" },
	{ "no-follow", 0, TYPE_FLAG, NULL, AT(no_follow), 0, 0, T,
	  "only the named processes, not their children" },
	{ "rules", 0, TYPE_RULES, "LIST", 0, 0, 0, T | R | S,
	  "e.g. leak,exec,-close.double; \"help\" lists them" },
	{ "min-severity", 0, TYPE_SEVERITY, "S", 0, 0, 0, T | R,
	  "info, warning (default for text) or error" },
	{ "suppress", 0, TYPE_SUPPRESS, "FILE", 0, 0, 0, T | R,
	  "suppress those listed in a YAML file, see fdtrace(8)" },
	{ "set", 0, TYPE_SETTING, "KEY=VALUE", 0, 0, 0, T | R | S,
	  "a threshold: leak.min_age=30s; \"help\" lists them" },
	{ "stacks", 0, TYPE_STACKS, "MODE", 0, 0, 0, T | S, "auto (default), native, python or off" },
	{ "hooks", 0, TYPE_HOOKS, "MODE", 0, 0, 0, T | S, "auto (default), function or tracepoint" },
	{ "error-exitcode", 0, TYPE_NUMBER, "N", AT(run.error_exitcode), 1, 255, T | R,
	  "exit N if a finding at or above warning was made" },
	{ "verify", 0, TYPE_FLAG, NULL, AT(run.verify), 0, 0, T,
	  "check tables against /proc; exit 1 if they differ" },
	{ "quiet", 'q', TYPE_FLAG, NULL, AT(run.quiet), 0, 0, T | R | D | S | E,
	  "no summary, fewer messages; -v, --verbose: more" },
	{ "verbose", 'v', TYPE_COUNT, NULL, AT(run.verbosity), 0, 0, T | R | D | S | E, NULL },
	{ "daemon", 0, TYPE_DAEMON, NULL, 0, 0, 0, S, NULL },
	{ "config", 'c', TYPE_STRING, "FILE", AT(config), 0, 0, S, NULL },
	{ "check-config", 0, TYPE_CHECK_CONFIG, NULL, 0, 0, 0, S, NULL },
	{ "help", 'h', TYPE_HELP, NULL, 0, 0, 0, T | R | D | S | E,
	  "this text; -V, --version: the version" },
	{ "version", 'V', TYPE_VERSION, NULL, 0, 0, 0, T | R | D | S | E, NULL },
};
/* clang-format on */

#undef T
#undef R
#undef D
#undef S
#undef E
#undef AT

#define ROWS (sizeof(table) / sizeof(table[0]))
_Static_assert(ROWS <= 64, "options.given holds 64 bits");

/* getopt_long gives for a row: its letter, or else a value above all letters. */
#define ROW_VALUE(row) (table[row].letter ? table[row].letter : 256 + (int)(row))

struct parse {
	int argc;
	char **argv;
	struct options *options;
	struct trouble *trouble;
	char shorts[2 * ROWS + 3];
	struct option longs[ROWS + 1];
	char word[96]; /* the bad word, safe to print */
};

static const char *safe_n(struct parse *p, const char *word, size_t length)
{
	escape_text(p->word, sizeof(p->word), word, length);
	return p->word;
}

static const char *safe(struct parse *p, const char *word)
{
	return safe_n(p, word, strlen(word));
}

#define TRY_HELP "try: fdtrace --help"

/* The bad word of an option, and what is allowed. */
static int bad_value(struct parse *p, const struct row *row, const char *value, const char *allowed)
{
	return trouble_set(p->trouble, EINVAL, EXIT_USAGE, NULL, allowed,
			   "--%s: \"%s\" is not understood", row->name, safe(p, value));
}

static int options_no_memory(struct parse *p)
{
	return trouble_set(p->trouble, ENOMEM, EXIT_INTERNAL, NULL, NULL, "out of memory");
}

/* --- values --- */

static int parse_number(const char *text, size_t length, uint64_t *ret_number)
{
	uint64_t number = 0;

	if (length == 0 || length > 18)
		return -EINVAL;
	for (size_t i = 0; i < length; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -EINVAL;
		number = number * 10 + (uint64_t)(text[i] - '0');
	}
	*ret_number = number;
	return 0;
}

static int take_number(struct parse *p, const struct row *row, const char *value)
{
	char allowed[96];
	uint64_t number;

	if (parse_number(value, strlen(value), &number) || number < row->min || number > row->max) {
		snprintf(allowed, sizeof(allowed), "give a number from %" PRIu64 " to %" PRIu64,
			 row->min, row->max);
		return bad_value(p, row, value, allowed);
	}
	*(unsigned int *)((char *)p->options + row->offset) = (unsigned int)number;
	return 0;
}

static int options_parse_time(struct parse *p, const struct row *row, const char *value)
{
	uint64_t ns;

	if (time_parse(value, &ns))
		return bad_value(p, row, value,
				 "give a number with ms, s, m, h or d, e.g. 500ms, 10s, 5m (alone: "
				 "seconds)");
	if (ns < row->min || ns > row->max)
		return trouble_set(p->trouble, EINVAL, EXIT_USAGE, NULL, NULL,
				   "--%s: \"%s\" is too %s", row->name, safe(p, value),
				   ns < row->min ? "short" : "long");
	*(uint64_t *)((char *)p->options + row->offset) = ns;
	return 0;
}

static int take_string(struct parse *p, const struct row *row, const char *value)
{
	if (!*value)
		return trouble_set(p->trouble, EINVAL, EXIT_USAGE, NULL, NULL,
				   "--%s: the name of the file is empty", row->name);
	*(const char **)((char *)p->options + row->offset) = value;
	return 0;
}

static int take_json(struct parse *p, const struct row *row, const char *value)
{
	if (value && strcmp(value, "full") != 0)
		return bad_value(p, row, value, "allowed: --json and --json=full");
	p->options->run.format = &output_format_json;
	p->options->run.full = value != NULL;
	return 0;
}

static int add_pid(struct parse *p, pid_t pid)
{
	struct options *o = p->options;
	pid_t *grown;

	if ((o->pid_count & (o->pid_count - 1)) == 0) {
		grown = realloc(o->pids, 2 * (o->pid_count + 1) * sizeof(*grown));
		if (!grown)
			return options_no_memory(p);
		o->pids = grown;
	}
	o->pids[o->pid_count++] = pid;
	return 0;
}

static int take_pids(struct parse *p, const struct row *row, const char *value)
{
	for (;;) {
		size_t length = strcspn(value, ",");
		uint64_t pid;
		int err;

		if (parse_number(value, length, &pid) || pid < row->min || pid > row->max)
			return trouble_set(
				p->trouble, EINVAL, EXIT_USAGE, NULL,
				"give process ids from 1 to 4194304, with commas between them",
				"-p: \"%s\" is not a process id", safe_n(p, value, length));
		err = add_pid(p, (pid_t)pid);
		if (err || !value[length])
			return err;
		value += length + 1;
	}
}

static int options_parse_rules(struct parse *p, const char *value)
{
	struct nearest nearest = { 0 };
	char ids[320], cause[512];

	if (strcmp(value, "help") == 0) {
		p->options->mode = MODE_LIST_RULES;
		return 0;
	}
	if (overrides_parse_rules(&p->options->run.overrides, value, &nearest.word,
				  &nearest.length) == 0)
		return 0;
	for (unsigned int r = 0; r < RULE_COUNT; r++) {
		nearest_try(&nearest, rule_info((enum rule)r)->category);
		nearest_try(&nearest, rule_info((enum rule)r)->id);
	}
	rule_set_format(((rule_set)1 << RULE_COUNT) - 1, ids, sizeof(ids));
	snprintf(cause, sizeof(cause), "%s%s%sknown: %s and their families",
		 nearest.best ? "did you mean \"" : "", nearest.best ? nearest.best : "",
		 nearest.best ? "\"? " : "", ids);
	return trouble_set(p->trouble, EINVAL, EXIT_USAGE, NULL, cause,
			   "--rules: no rule or family is called \"%s\"",
			   safe_n(p, nearest.word, nearest.length));
}

static int options_parse_severity(struct parse *p, const struct row *row, const char *value)
{
	if (severity_parse(value, &p->options->run.min_severity))
		return bad_value(p, row, value, "allowed: info, warning, error");
	return 0;
}

static int take_hooks(struct parse *p, const struct row *row, const char *value)
{
	static const char *const names[] = { [HOOKS_AUTO] = "auto",
					     [HOOKS_FUNCTION] = "function",
					     [HOOKS_TRACEPOINT] = "tracepoint" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(value, names[i]) == 0) {
			p->options->hooks = (enum hook_set)i;
			return 0;
		}
	}
	return bad_value(p, row, value, "allowed: auto, function, tracepoint");
}

static int take_stacks(struct parse *p, const struct row *row, const char *value)
{
	static const char *const names[] = { [STACKS_AUTO] = "auto",
					     [STACKS_NATIVE] = "native",
					     [STACKS_PYTHON] = "python",
					     [STACKS_OFF] = "off" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(value, names[i]) == 0) {
			p->options->stacks = (enum stack_mode)i;
			return 0;
		}
	}
	return bad_value(p, row, value, "allowed: auto, native, python, off");
}

static int unknown_setting(struct parse *p, const char *value)
{
	struct nearest nearest = { .word = value, .length = strcspn(value, "=") };
	const struct setting *settings;
	char cause[96] = "";
	size_t count;

	settings = settings_table(&count);
	for (size_t i = 0; i < count; i++)
		nearest_try(&nearest, settings[i].key);
	if (nearest.best)
		snprintf(cause, sizeof(cause), "did you mean \"%s\"?", nearest.best);
	return trouble_set(p->trouble, EINVAL, EXIT_USAGE, "try: fdtrace --set help", cause,
			   "--set: no threshold is called \"%s\"",
			   safe_n(p, value, nearest.length));
}

static int refused_setting(struct parse *p, const struct setting *setting, int err,
			   const char *value)
{
	static const char *const forms[] = {
		[SETTING_TIME] = "a number with ms, s, m, h or d (alone: seconds)",
		[SETTING_COUNT] = "a number",
		[SETTING_SIZE] = "a number with K, M or G",
		[SETTING_POWER] = "a power of two with K, M or G",
		[SETTING_SEVERITY] = "a severity",
		[SETTING_PERCENT] = "a number with %",
	};
	char min[32], max[32], standard[32], cause[192];

	setting_format(setting, setting->min, min, sizeof(min));
	setting_format(setting, setting->max, max, sizeof(max));
	setting_format(setting, setting->standard, standard, sizeof(standard));
	snprintf(cause, sizeof(cause), "give %s, from %s to %s; standard: %s=%s",
		 forms[setting->type], min, max, setting->key, standard);
	return trouble_set(p->trouble, EINVAL, EXIT_USAGE, NULL, cause, "--set: \"%s\" is %s",
			   safe(p, value), err == -ERANGE ? "out of range" : "not understood");
}

static int take_suppress(struct parse *p, const struct row *row, const char *value)
{
	struct run_options *run = &p->options->run;
	const char **grown;

	if (!*value)
		return trouble_set(p->trouble, EINVAL, EXIT_USAGE, NULL, NULL,
				   "--%s: the name of the file is empty", row->name);
	grown = realloc(run->suppress, (run->suppress_count + 1) * sizeof(*grown));
	if (!grown)
		return options_no_memory(p);
	run->suppress = grown;
	grown[run->suppress_count++] = value;
	return 0;
}

static int options_parse_setting(struct parse *p, const char *value)
{
	const struct setting *setting;
	int err;

	if (strcmp(value, "help") == 0) {
		p->options->mode = MODE_LIST_SETTINGS;
		return 0;
	}
	err = overrides_parse_setting(&p->options->run.overrides, value, &setting);
	if (err == -ENOENT)
		return unknown_setting(p, value);
	return err ? refused_setting(p, setting, err, value) : 0;
}

/* Both: nothing is started. */
static int take_service(struct parse *p, enum mode mode)
{
	if (p->options->mode != MODE_CHECK_CONFIG)
		p->options->mode = mode;
	return 0;
}

static int options_apply(struct parse *p, const struct row *row, const char *value)
{
	p->options->given |= UINT64_C(1) << (row - table);
	switch (row->type) {
	case TYPE_FLAG: *(bool *)((char *)p->options + row->offset) = true; return 0;
	case TYPE_COUNT: ++*(unsigned int *)((char *)p->options + row->offset); return 0;
	case TYPE_STRING: return take_string(p, row, value);
	case TYPE_TIME: return options_parse_time(p, row, value);
	case TYPE_NUMBER: return take_number(p, row, value);
	case TYPE_JSON: return take_json(p, row, value);
	case TYPE_PIDS: return take_pids(p, row, value);
	case TYPE_RULES: return options_parse_rules(p, value);
	case TYPE_SEVERITY: return options_parse_severity(p, row, value);
	case TYPE_SETTING: return options_parse_setting(p, value);
	case TYPE_SUPPRESS: return take_suppress(p, row, value);
	case TYPE_HOOKS: return take_hooks(p, row, value);
	case TYPE_STACKS: return take_stacks(p, row, value);
	case TYPE_DAEMON: return take_service(p, MODE_DAEMON);
	case TYPE_CHECK_CONFIG: return take_service(p, MODE_CHECK_CONFIG);
	case TYPE_HELP: p->options->mode = MODE_HELP; return 0;
	case TYPE_VERSION: p->options->mode = MODE_VERSION; return 0;
	}
	return -EINVAL;
}

/* --- getopt --- */

static bool optional_value(const struct row *row)
{
	return row->argument && row->argument[0] == '[';
}

static void fill_getopt(struct parse *p)
{
	char *s = p->shorts;

	*s++ = '+'; /* stop at the first word that is no option: the command's options are its own */
	*s++ = ':'; /* distinguish a missing value from an unknown option */
	for (size_t i = 0; i < ROWS; i++) {
		bool value = table[i].argument && !optional_value(&table[i]);

		if (table[i].letter)
			*s++ = table[i].letter;
		if (table[i].letter && value)
			*s++ = ':';
		p->longs[i] = (struct option){ .name = table[i].name, .val = ROW_VALUE(i) };
		p->longs[i].has_arg = value               ? required_argument
				      : table[i].argument ? optional_argument
							  : no_argument;
	}
	*s = '\0';
}

static const struct row *options_row_of(int value)
{
	for (size_t i = 0; i < ROWS; i++) {
		if (ROW_VALUE(i) == value)
			return &table[i];
	}
	return NULL;
}

static int unknown_long(struct parse *p, const char *word)
{
	struct nearest nearest = { .word = word + 2, .length = strcspn(word + 2, "=") };
	char cause[256] = "it may mean";
	unsigned int begun = 0;

	for (size_t i = 0; i < ROWS; i++) {
		nearest_try(&nearest, table[i].name);
		if (strncmp(table[i].name, nearest.word, nearest.length) != 0)
			continue;
		begun++;
		strncat(cause, " --", sizeof(cause) - strlen(cause) - 1);
		strncat(cause, table[i].name, sizeof(cause) - strlen(cause) - 1);
	}
	safe_n(p, word, nearest.length + 2);
	if (begun > 1)
		return trouble_set(p->trouble, EINVAL, EXIT_USAGE, TRY_HELP, cause,
				   "option %s is ambiguous", p->word);
	if (nearest.best)
		snprintf(cause, sizeof(cause), "did you mean --%s?", nearest.best);
	return trouble_set(p->trouble, EINVAL, EXIT_USAGE, TRY_HELP, nearest.best ? cause : NULL,
			   "there is no option %s", p->word);
}

/* getopt found fault: optopt is the letter, 0 for an unknown long option. */
static int refused(struct parse *p, int code)
{
	const char *word = p->argv[optind - 1];
	const struct row *row = optopt ? options_row_of(optopt) : NULL;
	char letter[2] = { (char)optopt, '\0' };

	if (row && code == ':')
		return trouble_set(p->trouble, EINVAL, EXIT_USAGE, TRY_HELP, NULL,
				   "--%s needs a value: %s", row->name, row->argument);
	if (row)
		return trouble_set(p->trouble, EINVAL, EXIT_USAGE, TRY_HELP, NULL,
				   "--%s takes no value", row->name);
	if (!optopt)
		return unknown_long(p, word);
	return trouble_set(p->trouble, EINVAL, EXIT_USAGE, TRY_HELP, NULL, "there is no option -%s",
			   safe_n(p, letter, 1));
}

static bool is_listing(enum mode mode)
{
	return mode >= MODE_HELP;
}

/* Takes options up to the next other word. *ret_separated: "--" stood before it. */
static int take_options(struct parse *p, bool *ret_separated)
{
	int err = 0;

	while (!err && !is_listing(p->options->mode)) {
		int before = optind ? optind : 1; /* 0: getopt has yet to begin */
		int code = getopt_long(p->argc, p->argv, p->shorts, p->longs, NULL);

		if (code == -1) {
			*ret_separated = before < p->argc && optind == before + 1 &&
					 strcmp(p->argv[before], "--") == 0;
			return 0;
		}
		err = code == '?' || code == ':' ? refused(p, code)
						 : options_apply(p, options_row_of(code), optarg);
	}
	return err;
}

/* The words of the other modes, with more options between and after them. */
static int take_words(struct parse *p, const char **ret_word)
{
	static const char *const what[] = { [MODE_REPLAY] = "replay reads one FILE",
					    [MODE_DOCTOR] = "doctor takes options only",
					    [MODE_EXPLAIN] = "explain takes one FINGERPRINT" };
	bool separated;
	int err;

	while (optind < p->argc) {
		if (*ret_word || p->options->mode == MODE_DOCTOR)
			return trouble_set(p->trouble, EINVAL, EXIT_USAGE, TRY_HELP, NULL,
					   "\"%s\" is too much: %s", safe(p, p->argv[optind]),
					   what[p->options->mode]);
		*ret_word = p->argv[optind++];
		err = take_options(p, &separated);
		if (err || is_listing(p->options->mode))
			return err;
	}
	return 0;
}

static int take_mode_words(struct parse *p, enum mode mode)
{
	bool separated;
	int err;

	p->options->mode = mode;
	optind++;
	err = take_options(p, &separated);
	if (err || is_listing(p->options->mode))
		return err;
	err = take_words(p,
			 mode == MODE_EXPLAIN ? &p->options->fingerprint : &p->options->recording);
	if (err || is_listing(p->options->mode))
		return err;
	if (mode == MODE_REPLAY && !p->options->recording)
		return trouble_set(p->trouble, EINVAL, EXIT_USAGE,
				   "to run a command of that name: fdtrace -- replay", NULL,
				   "replay needs the FILE of a recording");
	if (mode == MODE_EXPLAIN && !p->options->fingerprint)
		return trouble_set(p->trouble, EINVAL, EXIT_USAGE,
				   "to run a command of that name: fdtrace -- explain", NULL,
				   "explain needs the FINGERPRINT of a finding");
	return 0;
}

/* --- what goes together --- */

static int contradiction(struct parse *p, const char *what, const char *cause)
{
	return trouble_set(p->trouble, EINVAL, EXIT_USAGE, TRY_HELP, cause, "%s", what);
}

static int check_modes(struct parse *p)
{
	static const char *const names[] = {
		[MODE_TRACE] = "tracing",
		[MODE_REPLAY] = "replay",
		[MODE_DOCTOR] = "doctor",
		[MODE_DAEMON] = "--daemon",
		[MODE_CHECK_CONFIG] = "--check-config",
		[MODE_EXPLAIN] = "explain",
	};
	const struct options *o = p->options;

	for (size_t i = 0; i < ROWS; i++) {
		if (!(o->given & UINT64_C(1) << i) || table[i].modes & 1u << o->mode)
			continue;
		return trouble_set(p->trouble, EINVAL, EXIT_USAGE, TRY_HELP, NULL,
				   "--%s has no meaning for %s", table[i].name, names[o->mode]);
	}
	return 0;
}

static int check_trace(struct parse *p)
{
	const struct options *o = p->options;

	if (o->all && o->pid_count)
		return contradiction(p, "-a and -p contradict each other",
				     "-a traces the whole machine, -p some processes of it");
	if (o->all && o->command)
		return contradiction(p, "-a does not go with a command",
				     "-a traces the whole machine: start the command beside it");
	if (o->pid_count && o->command)
		return contradiction(p, "-p does not go with a command",
				     "attach to processes, or run a command; \"--\" stands before "
				     "a command only");
	if (o->all && o->no_follow)
		return contradiction(p, "-a and --no-follow contradict each other",
				     "the whole machine includes all children");
	if (!o->all && !o->pid_count && !o->command)
		return contradiction(p, "nothing to trace",
				     "name a COMMAND to run, processes with -p PID, or -a for the "
				     "whole machine");
	return 0;
}

static int compare_pids(const void *a, const void *b)
{
	pid_t left = *(const pid_t *)a, right = *(const pid_t *)b;

	return (left > right) - (left < right);
}

static void sort_pids(struct options *o)
{
	unsigned int kept = 0;

	if (!o->pid_count)
		return;
	qsort(o->pids, o->pid_count, sizeof(*o->pids), compare_pids);
	for (unsigned int i = 1; i < o->pid_count; i++) {
		if (o->pids[i] != o->pids[kept])
			o->pids[++kept] = o->pids[i];
	}
	o->pid_count = kept + 1;
}

static bool to_stdout(const char *file)
{
	return !file || strcmp(file, "-") == 0;
}

static int check(struct parse *p)
{
	struct options *o = p->options;
	int err = check_modes(p);

	if (!err && o->mode == MODE_TRACE)
		err = check_trace(p);
	if (err)
		return err;
	sort_pids(o);
	if (o->run.quiet && o->run.verbosity)
		return contradiction(p, "-q and -v contradict each other", NULL);
	if (o->mode == MODE_DOCTOR && o->run.full)
		return contradiction(p, "--json=full has no meaning for doctor", "allowed: --json");
	if (o->mode == MODE_EXPLAIN && o->run.full)
		return contradiction(p, "--json=full has no meaning for explain",
				     "what was kept has no size cap anyway");
	if (o->run.record && to_stdout(o->run.record) && to_stdout(o->run.output))
		return contradiction(p, "-r - and the findings cannot both go to stdout",
				     "name a file for the findings with -o");
	if (o->run.record && o->run.output && strcmp(o->run.record, o->run.output) == 0)
		return contradiction(p, "-r and -o name the same file", NULL);
	if (to_stdout(o->run.output))
		o->run.output = NULL;
	return 0;
}

int options_parse(int argc, char **argv, struct options *options, struct trouble *trouble)
{
	struct parse p = { .argc = argc, .argv = argv, .options = options, .trouble = trouble };
	bool separated = false;
	int err;

	memset(options, 0, sizeof(*options));
	fill_getopt(&p);
	optind = 0; /* glibc: start again */
	opterr = 0;
	err = take_options(&p, &separated);
	if (err || is_listing(options->mode))
		return err;
	if (optind < argc && options->mode != MODE_TRACE)
		return trouble_set(trouble, EINVAL, EXIT_USAGE, TRY_HELP, NULL,
				   "\"%s\" is too much: the daemon takes options only",
				   safe(&p, argv[optind]));
	if (optind < argc && !separated && strcmp(argv[optind], "replay") == 0)
		err = take_mode_words(&p, MODE_REPLAY);
	else if (optind < argc && !separated && strcmp(argv[optind], "doctor") == 0)
		err = take_mode_words(&p, MODE_DOCTOR);
	else if (optind < argc && !separated && strcmp(argv[optind], "explain") == 0)
		err = take_mode_words(&p, MODE_EXPLAIN);
	else if (optind < argc)
		options->command = argv + optind;
	if (err || is_listing(options->mode))
		return err;
	return check(&p);
}

void options_done(struct options *options)
{
	free(options->pids);
	options->pids = NULL;
	free(options->run.suppress);
	options->run.suppress = NULL;
}

/* --- what --help and the lists print --- */

static void help_row(FILE *out, const struct row *row)
{
	char left[32];

	snprintf(left, sizeof(left), "%c%c%c --%s%s%s", row->letter ? '-' : ' ',
		 row->letter ? row->letter : ' ', row->letter ? ',' : ' ', row->name,
		 row->argument && !optional_value(row) ? " " : "",
		 row->argument ? row->argument : "");
	fprintf(out, "  %-24s %s\n", left, row->help);
}

void options_help(FILE *out)
{
	fputs("usage: fdtrace [OPTION...] -p PID[,PID...]    attach to running processes\n"
	      "       fdtrace [OPTION...] [--] COMMAND ...   run a command under trace\n"
	      "       fdtrace [OPTION...] -a                 the whole machine\n"
	      "       fdtrace replay [OPTION...] FILE        analyse a recording\n"
	      "       fdtrace explain [-j] FINGERPRINT       all that was kept of a finding\n"
	      "       fdtrace doctor; fdtrace --daemon       what is possible here; a service\n",
	      out);
	for (size_t i = 0; i < ROWS; i++) {
		if (table[i].help)
			help_row(out, &table[i]);
	}
	fputs("exit: the command's (125 not traced), else 0, 2 usage, 3 not possible, 4 failed\n",
	      out);
}

void options_list_settings(FILE *out, const struct settings *settings)
{
	size_t count;
	const struct setting *row = settings_table(&count);

	for (size_t i = 0; i < count; i++, row++) {
		char value[32], min[32], max[32], assignment[80], range[80];

		setting_format(row, setting_value(row, settings), value, sizeof(value));
		setting_format(row, row->min, min, sizeof(min));
		setting_format(row, row->max, max, sizeof(max));
		snprintf(assignment, sizeof(assignment), "%s=%s", row->key, value);
		snprintf(range, sizeof(range), "%s to %s", min, max);
		fprintf(out, "%-22s  %-15s  %s%s%s%s%s\n", assignment, range, row->help,
			row->needs ? " [" : "", row->needs ?: "", row->needs ? "]" : "",
			row->reload == RELOAD_RESTART ? " (restart)" : "");
	}
}

void options_list_rules(FILE *out)
{
	for (unsigned int r = 0; r < RULE_COUNT; r++) {
		const struct rule_info *info = rule_info((enum rule)r);

		fprintf(out, "%-15s %-7s %s  %s\n", info->id, severity_name(info->severity),
			info->on ? "on " : "off", info->says);
	}
}
