// SPDX-License-Identifier: BSD-2-Clause
#include "cli/options.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "cli/process_name.h"
#include "daemon/config.h"
#include "output/format.h"
#include "output/text/page.h"
#include "util/nearest.h"
#include "util/escape.h"
#include "util/error.h"

#define PID_LIMIT 4194304 /* PID_MAX_LIMIT of the kernel, include/linux/threads.h */

enum type {
	TYPE_FLAG,   /* bool */
	TYPE_COUNT,  /* unsigned int, one more each time */
	TYPE_STRING, /* const char *, not empty */
	TYPE_TIME,   /* uint64_t, ns */
	TYPE_NUMBER, /* unsigned int */
	TYPE_JSON,
	TYPE_OUTPUT,
	TYPE_PIDS,
	TYPE_RULES,
	TYPE_FAIL_ON,
	TYPE_SEVERITY,
	TYPE_SETTING,
	TYPE_SUPPRESS,
	TYPE_HOOKS,
	TYPE_COLOR,
	TYPE_STACKS,
	TYPE_MODE, /* `min` is its enum mode */
};

struct row {
	const char *name;
	char letter; /* 0: none */
	enum type type;
	const char *argument; /* NULL: takes none */
	size_t offset;        /* of what FLAG ... NUMBER store, in struct options */
	uint64_t min, max;    /* TIME (ns), NUMBER */
	unsigned int group;   /* enum option_group; 0: goes with every command */
	const char *help;
};

static const struct command {
	const char *word, *operand;
	unsigned int groups;
	const char *usage;
} commands[MODE_COUNT] = {
#define COMMAND_ROW(NAME, name, word, operand, groups, usage) \
	[MODE_##NAME] = { word, operand, groups, usage },
	COMMANDS(COMMAND_ROW)
#undef COMMAND_ROW
};

#define T GROUP_TARGET
#define K GROUP_KERNEL
#define F GROUP_RULES
#define R GROUP_RUN
#define J GROUP_JSON
#define S GROUP_SERVICE
#define P GROUP_PAGE
#define AT(field) offsetof(struct options, field)

/* clang-format off */
static const struct row table[] = {
	{ "pid", 'p', TYPE_PIDS, "PID|NAME[,...]", 0, 1, PID_LIMIT, T,
	  "attach to these processes, trace their children" },
	{ "all", 'a', TYPE_FLAG, NULL, AT(all), 0, 0, T, "trace the whole machine" },
	{ "no-follow", 0, TYPE_FLAG, NULL, AT(no_follow), 0, 0, T, "do not trace children" },
	{ "duration", 'd', TYPE_TIME, "TIME", AT(run.duration_ns), MSEC_NS, 3650 * DAY_NS, R,
	  "stop tracing after TIME; a command keeps running" },
	{ "wait", 0, TYPE_FLAG, NULL, AT(run.wait), 0, 0, T,
	  "run a command: until its last descendant has ended" },
	{ "stacks", 0, TYPE_STACKS, "MODE", 0, 0, 0, K,
	  "stack traces: auto (default), native, python or off" },
	{ "hooks", 0, TYPE_HOOKS, "MODE", 0, 0, 0, K,
	  "kernel hooks: auto (default), function or tracepoint" },
	{ "verify", 0, TYPE_FLAG, NULL, AT(run.verify), 0, 0, T,
	  "compare the tables with /proc; exit 1 if they differ" },
	{ "rules", 0, TYPE_RULES, "LIST", 0, 0, 0, F,
	  "such as leak,exec,-close.double; \"help\" lists them" },
	{ "set", 0, TYPE_SETTING, "KEY=VALUE", 0, 0, 0, F,
	  "such as leak.min_age=30s; \"help\" lists all settings" },
	{ "min-severity", 0, TYPE_SEVERITY, "LEVEL", 0, 0, 0, R,
	  "info, warning (default for text) or error" },
	{ "suppress", 0, TYPE_SUPPRESS, "FILE", 0, 0, 0, R,
	  "do not report the findings listed in a YAML file" },
	{ "events", 'e', TYPE_FLAG, NULL, AT(run.events), 0, 0, R,
	  "also print every descriptor event" },
	{ "interval", 'i', TYPE_TIME, "TIME", AT(run.interval_ns), SEC_NS / 10, 3650 * DAY_NS, R,
	  "print a summary every TIME, such as 10s or 5m" },
	{ "json", 'j', TYPE_JSON, "[=full]", 0, 0, 0, J,
	  "print JSON lines; full: do not shorten long ones" },
	{ "output", 'o', TYPE_OUTPUT, "[FORMAT:]FILE", 0, 0, 0, R,
	  "write there (-: standard output), as text or json" },
	{ "color", 0, TYPE_COLOR, "WHEN", 0, 0, 0, P, "colour: always, never or auto (default)" },
	{ "width", 0, TYPE_NUMBER, "N", AT(run.width), PAGE_LEAST_WIDTH, TERMINAL_WIDTH_MAX, P,
	  "columns of text; default: the terminal's, or COLUMNS" },
	{ "record", 'r', TYPE_STRING, "FILE", AT(run.record), 0, 0, T,
	  "record the event stream for replay" },
	{ "fail-on", 0, TYPE_FAIL_ON, "LIST", 0, 0, 0, R,
	  "exit with 10 if one is found: error,leak,close.*,new" },
	{ "error-exitcode", 0, TYPE_NUMBER, "N", AT(run.error_exitcode), 1, 255, R,
	  "exit with N instead; without --fail-on: for warnings" },
	{ "quiet", 'q', TYPE_FLAG, NULL, AT(run.quiet), 0, 0, 0, "no summary, fewer messages" },
	{ "verbose", 'v', TYPE_COUNT, NULL, AT(run.verbosity), 0, 0, 0,
	  "more detail; twice: debugging messages" },
	{ "daemon", 0, TYPE_MODE, NULL, 0, MODE_DAEMON, 0, S, "run in the foreground as a service" },
	{ "check-config", 0, TYPE_MODE, NULL, 0, MODE_CHECK_CONFIG, 0, S,
	  "check the configuration of the service and exit" },
	{ "config", 'c', TYPE_STRING, "FILE", AT(config), 0, 0, S,
	  "configuration; default: " CONFIG_PATH },
	{ "help", 'h', TYPE_MODE, NULL, 0, MODE_HELP, 0, 0, "print this help and exit" },
	{ "version", 'V', TYPE_MODE, NULL, 0, MODE_VERSION, 0, 0, "print the version and exit" },
};
/* clang-format on */

#undef T
#undef K
#undef F
#undef R
#undef J
#undef S
#undef P
#undef AT

#define ROWS (sizeof(table) / sizeof(table[0]))
_Static_assert(ROWS <= 64, "options.given holds 64 bits");

/* getopt_long gives for a row: its letter, or else a value above all letters. */
#define ROW_VALUE(row) (table[row].letter ? table[row].letter : 256 + (int)(row))

struct parse {
	int argc;
	char **argv;
	struct options *options;
	struct error *error;
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

static int bad_value(struct parse *p, const struct row *row, const char *value,
		     const char *expected)
{
	error_set(p->error, EINVAL, EXIT_USAGE, "invalid value '%s' for --%s", safe(p, value),
		  row->name);
	return error_explain(p->error, expected, NULL);
}

static int options_no_memory(struct parse *p)
{
	return error_no_memory(p->error);
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
	char expected[96];
	uint64_t number;

	if (parse_number(value, strlen(value), &number) || number < row->min || number > row->max) {
		snprintf(expected, sizeof(expected),
			 "expected a number from %" PRIu64 " to %" PRIu64, row->min, row->max);
		return bad_value(p, row, value, expected);
	}
	*(unsigned int *)((char *)p->options + row->offset) = (unsigned int)number;
	return 0;
}

static int time_out_of_range(struct parse *p, const struct row *row, const char *value)
{
	const struct setting time = { .type = SETTING_TIME };
	char min[32], max[32], expected[96];

	setting_format(&time, row->min, min, sizeof(min));
	setting_format(&time, row->max, max, sizeof(max));
	snprintf(expected, sizeof(expected), "expected a time from %s to %s", min, max);
	return bad_value(p, row, value, expected);
}

static int options_parse_time(struct parse *p, const struct row *row, const char *value)
{
	uint64_t ns;

	if (time_parse(value, &ns))
		return bad_value(p, row, value,
				 "expected a number with ms, s, m, h or d, such as 500ms, 10s or "
				 "5m; without a unit it means seconds");
	if (ns < row->min || ns > row->max)
		return time_out_of_range(p, row, value);
	*(uint64_t *)((char *)p->options + row->offset) = ns;
	return 0;
}

static int empty_file_name(struct parse *p, const struct row *row)
{
	char usage[64];

	snprintf(usage, sizeof(usage), "usage: --%s %s", row->name, row->argument);
	error_set(p->error, EINVAL, EXIT_USAGE, "--%s: empty file name", row->name);
	return error_explain(p->error, usage, TRY_HELP);
}

static int take_string(struct parse *p, const struct row *row, const char *value)
{
	if (!*value)
		return empty_file_name(p, row);
	*(const char **)((char *)p->options + row->offset) = value;
	return 0;
}

static int take_json(struct parse *p, const struct row *row, const char *value)
{
	if (value && strcmp(value, "full") != 0)
		return bad_value(p, row, value, "expected --json or --json=full");
	p->options->run.format = &output_format_json;
	p->options->run.full = value != NULL;
	return 0;
}

/* A colon before the first slash ends the name of a format. */
static size_t format_length(const char *value)
{
	size_t length = strcspn(value, ":/");

	return value[length] == ':' ? length : 0;
}

static int unknown_output_format(struct parse *p, const char *value, size_t length)
{
	struct nearest nearest = { .word = value, .length = length };
	char cause[128], remedy[256];

	snprintf(cause, sizeof(cause), "known: ");
	for (size_t i = 0; i < output_format_count; i++) {
		nearest_try(&nearest, output_formats[i]->name);
		snprintf(cause + strlen(cause), sizeof(cause) - strlen(cause), "%s%s",
			 i ? ", " : "", output_formats[i]->name);
	}
	if (nearest.best)
		snprintf(cause, sizeof(cause), "did you mean %s?", nearest.best);
	snprintf(remedy, sizeof(remedy), "for a file whose name has a colon: -o ./%s",
		 safe(p, value));
	error_set(p->error, EINVAL, EXIT_USAGE, "unknown format '%s' in -o",
		  safe_n(p, value, length));
	return error_explain(p->error, cause, remedy);
}

static int too_many_outputs(struct parse *p)
{
	return error_set(p->error, EINVAL, EXIT_USAGE, "more than %d outputs with -o", OUTPUTS_MAX);
}

static int take_output(struct parse *p, const struct row *row, const char *value)
{
	struct run_options *run = &p->options->run;
	struct output_request *output = &run->output[run->output_count];
	size_t length = format_length(value);

	if (run->output_count == OUTPUTS_MAX)
		return too_many_outputs(p);
	if (length) {
		output->format = output_format_find(value, length);
		if (!output->format)
			return unknown_output_format(p, value, length);
		value += length + 1;
	}
	if (!*value)
		return empty_file_name(p, row);
	output->file = value;
	run->output_count++;
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

#define BETWEEN_PIDS ", \t\n" /* pidof prints blanks, pgrep newlines */

/* All of it is numbers and what stands between them: a name may hold blanks, too. */
static bool are_numbers(const char *value)
{
	return *value && strspn(value, "0123456789" BETWEEN_PIDS) == strlen(value);
}

static int take_pid(struct parse *p, const struct row *row, const char *text, size_t length)
{
	uint64_t pid;

	if (parse_number(text, length, &pid) || pid < row->min || pid > row->max) {
		error_set(p->error, EINVAL, EXIT_USAGE, "invalid process ID '%s' for -p",
			  safe_n(p, text, length));
		return error_explain(
			p->error,
			"expected names or process IDs from 1 to 4194304, separated by "
			"commas",
			NULL);
	}
	return add_pid(p, (pid_t)pid);
}

static int add_found_pid(void *ctx, pid_t pid)
{
	return add_pid(ctx, pid);
}

static int no_such_process(struct parse *p, const char *name, size_t length, int err)
{
	if (err) {
		error_set(p->error, -err, EXIT_CANNOT, "cannot look for processes in /proc");
		return error_explain(p->error, strerror(-err), "mount it, or give process IDs");
	}
	error_set(p->error, ESRCH, EXIT_CANNOT, "no process is called '%s'",
		  safe_n(p, name, length));
	return error_explain(p->error,
			     "it must be the whole name of the process, or the name of the file it "
			     "executes",
			     "try: ps -e -o pid,comm; then give that name, or fdtrace -p PID");
}

/* A name that begins like a number or an option is a slip, unless a process has it. */
static int take_process_name(struct parse *p, const struct row *row, const char *name,
			     size_t length)
{
	unsigned int before = p->options->pid_count;
	int err;

	if (strspn(name, "0123456789") >= length)
		return take_pid(p, row, name, length);
	err = process_name_each(name, length, add_found_pid, p);
	if (p->options->pid_count > before && !err) {
		p->options->pids_by_name = true;
		return 0;
	}
	if (err == -ENOMEM)
		return err;
	if (strchr("-0123456789", *name))
		return take_pid(p, row, name, length);
	return no_such_process(p, name, length, err);
}

static int take_pids(struct parse *p, const struct row *row, const char *value)
{
	bool numbers = are_numbers(value);
	const char *between = numbers ? BETWEEN_PIDS : ",";

	for (;;) {
		size_t length = strcspn(value, between);
		int err = numbers ? take_pid(p, row, value, length)
				  : take_process_name(p, row, value, length);

		if (err || !value[length])
			return err;
		value += length + 1;
	}
}

static int unknown_rule(struct parse *p, struct nearest *nearest)
{
	char ids[320], cause[512];

	for (unsigned int r = 0; r < RULE_COUNT; r++) {
		nearest_try(nearest, rule_info((enum rule)r)->category);
		nearest_try(nearest, rule_info((enum rule)r)->id);
	}
	rule_set_format(((rule_set)1 << RULE_COUNT) - 1, ids, sizeof(ids));
	if (nearest->best)
		snprintf(cause, sizeof(cause), "did you mean '%s'?", nearest->best);
	else
		snprintf(cause, sizeof(cause), "known: %s, their families, and all", ids);
	error_set(p->error, EINVAL, EXIT_USAGE, "unknown rule or family '%s' in --rules",
		  safe_n(p, nearest->word, nearest->length));
	return error_explain(p->error, cause, "try: fdtrace --rules help");
}

static int options_parse_rules(struct parse *p, const char *value)
{
	struct nearest nearest = { 0 };

	if (strcmp(value, "help") == 0) {
		p->options->mode = MODE_LIST_RULES;
		return 0;
	}
	if (overrides_parse_rules(&p->options->run.overrides, value, &nearest.word,
				  &nearest.length) == 0)
		return 0;
	return unknown_rule(p, &nearest);
}

static int unknown_failure(struct parse *p, struct nearest *nearest)
{
	static const char *const others[] = { "new", "error", "warning", "info" };
	char guess[64] = "", cause[256];

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		nearest_try(nearest, others[i]);
	for (unsigned int r = 0; r < RULE_COUNT; r++) {
		nearest_try(nearest, rule_info((enum rule)r)->category);
		nearest_try(nearest, rule_info((enum rule)r)->id);
	}
	if (nearest->best)
		snprintf(guess, sizeof(guess), "did you mean '%s'? ", nearest->best);
	snprintf(cause, sizeof(cause),
		 "%sexpected rules (close.unowned), families (close or close.*), severities "
		 "(error, warning, info) or new, separated by commas",
		 guess);
	error_set(p->error, EINVAL, EXIT_USAGE, "unknown word '%s' in --fail-on",
		  safe_n(p, nearest->word, nearest->length));
	return error_explain(p->error, cause, "try: fdtrace --rules help");
}

static int options_parse_fail_on(struct parse *p, const char *value)
{
	struct nearest nearest = { 0 };

	if (fail_on_parse(&p->options->run.fail_on, value, &nearest.word, &nearest.length))
		return unknown_failure(p, &nearest);
	return 0;
}

static int options_parse_severity(struct parse *p, const struct row *row, const char *value)
{
	if (severity_parse(value, &p->options->run.min_severity))
		return bad_value(p, row, value, "expected info, warning or error");
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
	return bad_value(p, row, value, "expected auto, function or tracepoint");
}

static int take_color(struct parse *p, const struct row *row, const char *value)
{
	static const char *const names[] = {
		[COLOR_AUTO] = "auto", [COLOR_ALWAYS] = "always", [COLOR_NEVER] = "never"
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(value, names[i]) == 0) {
			p->options->run.color = (enum color)i;
			return 0;
		}
	}
	return bad_value(p, row, value, "expected always, never or auto");
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
	return bad_value(p, row, value, "expected auto, native, python or off");
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
		snprintf(cause, sizeof(cause), "did you mean '%s'?", nearest.best);
	error_set(p->error, EINVAL, EXIT_USAGE, "unknown setting '%s' in --set",
		  safe_n(p, value, nearest.length));
	return error_explain(p->error, cause, "try: fdtrace --set help");
}

static int refused_setting(struct parse *p, const struct setting *setting, int err,
			   const char *value)
{
	static const char *const forms[] = {
		[SETTING_TIME] = "a number with ms, s, m, h or d (without a unit: seconds)",
		[SETTING_COUNT] = "a number",
		[SETTING_SIZE] = "a number with K, M or G",
		[SETTING_POWER] = "a power of two with K, M or G",
		[SETTING_SEVERITY] = "a severity",
		[SETTING_PERCENT] = "a percentage",
	};
	const char *text = value + strcspn(value, "=");
	char min[32], max[32], standard[32], cause[192];

	setting_format(setting, setting->min, min, sizeof(min));
	setting_format(setting, setting->max, max, sizeof(max));
	setting_format(setting, setting->standard, standard, sizeof(standard));
	snprintf(cause, sizeof(cause), "expected %s, from %s to %s; default: %s=%s",
		 forms[setting->type], min, max, setting->key, standard);
	if (!*text) {
		error_set(p->error, EINVAL, EXIT_USAGE, "--set %s requires a value", setting->key);
		return error_explain(p->error, cause, NULL);
	}
	error_set(p->error, EINVAL, EXIT_USAGE,
		  err == -ERANGE ? "value '%s' for --set %s is out of range"
				 : "invalid value '%s' for --set %s",
		  safe(p, text + 1), setting->key);
	return error_explain(p->error, cause, NULL);
}

static int take_suppress(struct parse *p, const struct row *row, const char *value)
{
	struct run_options *run = &p->options->run;
	const char **grown;

	if (!*value)
		return empty_file_name(p, row);
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

/* --daemon with --check-config, in either order, starts nothing. */
static int take_mode(struct parse *p, enum mode mode)
{
	if (p->options->mode != MODE_CHECK_CONFIG || mode != MODE_DAEMON)
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
	case TYPE_OUTPUT: return take_output(p, row, value);
	case TYPE_PIDS: return take_pids(p, row, value);
	case TYPE_RULES: return options_parse_rules(p, value);
	case TYPE_FAIL_ON: return options_parse_fail_on(p, value);
	case TYPE_SEVERITY: return options_parse_severity(p, row, value);
	case TYPE_SETTING: return options_parse_setting(p, value);
	case TYPE_SUPPRESS: return take_suppress(p, row, value);
	case TYPE_COLOR: return take_color(p, row, value);
	case TYPE_HOOKS: return take_hooks(p, row, value);
	case TYPE_STACKS: return take_stacks(p, row, value);
	case TYPE_MODE: return take_mode(p, (enum mode)row->min);
	}
	return -EINVAL;
}

/* --- getopt --- */

static bool optional_value(const struct row *row)
{
	return row->argument && row->argument[0] == '[' && row->argument[1] == '=';
}

static void fill_getopt(struct parse *p)
{
	char *s = p->shorts;

	*s++ = '+'; /* stop at the first word that is not an option: those after it are the command's */
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
	char cause[256] = "possibilities:";
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
	if (begun > 1) {
		error_set(p->error, EINVAL, EXIT_USAGE, "option '%s' is ambiguous", p->word);
		return error_explain(p->error, cause, TRY_HELP);
	}
	if (nearest.best)
		snprintf(cause, sizeof(cause), "did you mean --%s?", nearest.best);
	error_set(p->error, EINVAL, EXIT_USAGE, "unknown option '%s'", p->word);
	return error_explain(p->error, nearest.best ? cause : NULL, TRY_HELP);
}

/* What getopt refused: optopt is the letter, 0 for an unknown long option. */
static int refused(struct parse *p, int code)
{
	const char *word = p->argv[optind - 1];
	const struct row *row = optopt ? options_row_of(optopt) : NULL;
	char letter[2] = { (char)optopt, '\0' };

	char usage[64] = "";

	if (row && code == ':') {
		snprintf(usage, sizeof(usage), "usage: --%s %s", row->name, row->argument);
		error_set(p->error, EINVAL, EXIT_USAGE, "option '--%s' requires an argument",
			  row->name);
		return error_explain(p->error, usage, TRY_HELP);
	}
	if (row) {
		error_set(p->error, EINVAL, EXIT_USAGE, "option '--%s' does not take an argument",
			  row->name);
		return error_explain(p->error, NULL, TRY_HELP);
	}
	if (!optopt)
		return unknown_long(p, word);
	error_set(p->error, EINVAL, EXIT_USAGE, "unknown option '-%s'", safe_n(p, letter, 1));
	return error_explain(p->error, NULL, TRY_HELP);
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

/* For messages: "usage: fdtrace replay [OPTION...] FILE". Only where there is one form. */
static const char *usage_of(enum mode mode, char *buffer, size_t size)
{
	const char *usage = commands[mode].usage;

	snprintf(buffer, size, "usage: fdtrace %.*s", (int)strcspn(usage, "\t"), usage);
	return buffer;
}

static int unexpected_argument(struct parse *p)
{
	char usage[96];

	error_set(p->error, EINVAL, EXIT_USAGE, "unexpected argument '%s'",
		  safe(p, p->argv[optind]));
	return error_explain(p->error, usage_of(p->options->mode, usage, sizeof(usage)), TRY_HELP);
}

static int missing_operand(struct parse *p, const struct command *command)
{
	char usage[96], remedy[96];

	snprintf(remedy, sizeof(remedy), "to trace a program of that name: fdtrace -- %s",
		 command->word);
	error_set(p->error, EINVAL, EXIT_USAGE, "%s needs a %s", command->word, command->operand);
	return error_explain(p->error, usage_of(p->options->mode, usage, sizeof(usage)), remedy);
}

/* The command that the next word is; MODE_TRACE: it is a program to run. */
static enum mode mode_of_word(const char *word)
{
	for (unsigned int mode = 0; mode < MODE_COUNT; mode++) {
		if (commands[mode].word && strcmp(commands[mode].word, word) == 0)
			return (enum mode)mode;
	}
	return MODE_TRACE;
}

/* A command's operand, with options before and after it. */
static int take_operand(struct parse *p, enum mode mode)
{
	const struct command *command = &commands[mode];
	struct options *o = p->options;
	bool separated;
	int err;

	o->mode = mode;
	optind++;
	for (;;) {
		err = take_options(p, &separated);
		if (err || is_listing(o->mode) || optind == p->argc)
			break;
		if (o->operand || !command->operand)
			return unexpected_argument(p);
		o->operand = p->argv[optind++];
	}
	if (err || is_listing(o->mode) || o->operand || !command->operand ||
	    command->operand[0] == '[')
		return err;
	return missing_operand(p, command);
}

/* --- what goes together --- */

static int contradiction(struct parse *p, const char *what, const char *cause)
{
	error_set(p->error, EINVAL, EXIT_USAGE, "%s", what);
	return error_explain(p->error, cause, TRY_HELP);
}

static const char *command_name(unsigned int mode)
{
	return commands[mode].word ?: "tracing";
}

/* An option that the command does not accept: which commands do? */
static int wrong_command(struct parse *p, const struct row *row)
{
	char cause[128] = "";
	size_t used = 0;

	for (unsigned int mode = 0; mode < MODE_COUNT; mode++) {
		if (commands[mode].groups & row->group)
			used += (size_t)snprintf(cause + used, sizeof(cause) - used, "%s%s",
						 used ? ", " : "it goes with ", command_name(mode));
	}
	error_set(p->error, EINVAL, EXIT_USAGE, "--%s cannot be used with %s", row->name,
		  command_name(p->options->mode));
	return error_explain(p->error, cause, TRY_HELP);
}

static int check_groups(struct parse *p)
{
	const struct options *o = p->options;

	for (size_t i = 0; i < ROWS; i++) {
		if (o->given & UINT64_C(1) << i && table[i].group &&
		    !(table[i].group & commands[o->mode].groups))
			return wrong_command(p, &table[i]);
	}
	return 0;
}

static int check_trace(struct parse *p)
{
	const struct options *o = p->options;

	if (o->all && o->pid_count)
		return contradiction(p, "-a and -p cannot be used together",
				     "-a traces the whole machine, -p only some processes");
	if (o->all && o->command)
		return contradiction(p, "-a cannot be combined with a command",
				     "-a traces the whole machine: start the command separately");
	if (o->pid_count && o->command)
		return contradiction(p, "-p cannot be combined with a command",
				     "either attach to processes or run a command; several "
				     "processes: -p PID,NAME");
	if (o->all && o->no_follow)
		return contradiction(p, "-a and --no-follow cannot be used together",
				     "the whole machine includes all children");
	if (o->run.wait && !o->command)
		return contradiction(p, "--wait goes with a command only",
				     "-p and -a trace until they are stopped, or for -d TIME");
	if (!o->all && !o->pid_count && !o->command)
		return contradiction(p, "nothing to trace",
				     "give a COMMAND to run, processes with -p PID, or -a for the "
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

static bool is_stdout(const char *file)
{
	return strcmp(file, "-") == 0;
}

/* Whether findings go to this file, whose name is compared only: outputs_open() knows more. */
static bool is_output(const struct run_options *run, const char *file)
{
	if (!run->output_count)
		return is_stdout(file) && !run->to_stderr;
	for (unsigned int i = 0; i < run->output_count; i++) {
		if (strcmp(run->output[i].file, file) == 0)
			return true;
	}
	return false;
}

static int check_outputs(struct parse *p)
{
	const struct run_options *run = &p->options->run;

	if (!run->record || !is_output(run, run->record))
		return 0;
	if (is_stdout(run->record))
		return contradiction(
			p, "the recording and the findings cannot both go to standard output",
			"name a file for the findings with -o");
	return contradiction(p, "-r and -o name the same file",
			     "give the recording and the findings a file each");
}

/* Rules that are off would never fail a run. A recording may switch on others. */
static int check_failing_rules(struct parse *p)
{
	const struct options *o = p->options;
	rule_set wanted = o->run.fail_on.rules, on;
	struct settings settings;
	char ids[320], cause[400];

	overrides_effective(&o->run.overrides, &settings, &on);
	if (!wanted || wanted & on || o->mode != MODE_TRACE)
		return 0;
	rule_set_format(wanted, ids, sizeof(ids));
	snprintf(cause, sizeof(cause), "%s: switched off; --rules switches rules on", ids);
	return contradiction(p, "nothing that --fail-on names can be found", cause);
}

/* "new" is what would be reported if only what is known were suppressed. */
static int check_fail_on(struct parse *p)
{
	struct run_options *run = &p->options->run;
	struct fail_on *fail_on = &run->fail_on;

	if (fail_on->unknown && !run->suppress_count)
		return contradiction(p, "--fail-on new needs --suppress FILE",
				     "FILE lists the findings that are known; an empty one lists "
				     "none");
	if (fail_on->unknown)
		fail_on_severity(fail_on, run->min_severity ?: SEVERITY_WARNING);
	if (!fail_on->rules && !fail_on->severity && run->error_exitcode)
		fail_on_severity(fail_on, SEVERITY_WARNING);
	else if (!run->error_exitcode)
		run->error_exitcode = EXIT_FINDINGS;
	return check_failing_rules(p);
}

static int check(struct parse *p)
{
	struct options *o = p->options;
	int err = check_groups(p);

	if (!err && o->mode == MODE_TRACE)
		err = check_trace(p);
	if (!err)
		err = check_fail_on(p);
	if (err)
		return err;
	sort_pids(o);
	o->run.to_stderr = o->command != NULL;
	if (o->run.quiet && o->run.verbosity)
		return contradiction(p, "-q and -v cannot be used together", NULL);
	if (o->mode == MODE_DOCTOR && o->run.full)
		return contradiction(p, "--json=full cannot be used with doctor", "use --json");
	if (o->mode == MODE_EXPLAIN && o->run.full)
		return contradiction(p, "--json=full cannot be used with explain",
				     "use --json: stored findings are never truncated");
	return check_outputs(p);
}

bool options_is_number(const char *word)
{
	return *word && strspn(word, "0123456789") == strlen(word);
}

/* -p 12 13, as pidof prints them: words that are all numbers, with options among them. */
static int take_more_pids(struct parse *p, bool *separated)
{
	int err = 0;

	while (!err && !*separated && p->options->pid_count && optind < p->argc &&
	       options_is_number(p->argv[optind])) {
		err = take_pids(p, options_row_of('p'), p->argv[optind++]);
		if (!err)
			err = take_options(p, separated);
	}
	return err;
}

int options_parse(int argc, char **argv, struct options *options, struct error *error)
{
	struct parse p = { .argc = argc, .argv = argv, .options = options, .error = error };
	bool separated = false;
	enum mode mode;
	int err;

	memset(options, 0, sizeof(*options));
	fill_getopt(&p);
	optind = 0; /* glibc: start again */
	opterr = 0;
	err = take_options(&p, &separated);
	if (!err && !is_listing(options->mode))
		err = take_more_pids(&p, &separated);
	if (err || is_listing(options->mode))
		return err;
	if (optind < argc && options->mode != MODE_TRACE)
		return unexpected_argument(&p);
	mode = optind < argc && !separated ? mode_of_word(argv[optind]) : MODE_TRACE;
	if (mode != MODE_TRACE)
		err = take_operand(&p, mode);
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

const char *options_nearest_command(const char *word)
{
	struct nearest nearest = { .word = word, .length = strlen(word) };

	for (unsigned int mode = 0; mode < MODE_COUNT; mode++) {
		if (commands[mode].word && commands[mode].word[0] != '-')
			nearest_try(&nearest, commands[mode].word);
	}
	return nearest.best;
}

static void help_usage(FILE *out)
{
	const char *before = "Usage:";

	for (unsigned int mode = 0; mode < MODE_COUNT; mode++) {
		const char *line = commands[mode].usage;

		while (*line) {
			int syntax = (int)strcspn(line, "\t");
			const char *help = line + syntax + 1;
			int length = (int)strcspn(help, "\n");

			fprintf(out, "%-6s fdtrace %-34.*s %.*s\n", before, syntax, line, length,
				help);
			line = help + length + (help[length] == '\n');
			before = "";
		}
	}
}

/* The heading that stands before an option. */
static const char *help_heading(const char *name)
{
	static const char *const headings[][2] = {
		{ "pid", "What to trace, and how:" },
		{ "rules", "What to report:" },
		{ "json", "Output:" },
		{ "daemon", "Service:" },
		{ "help", "Help:" },
	};

	for (size_t i = 0; i < sizeof(headings) / sizeof(headings[0]); i++) {
		if (strcmp(headings[i][0], name) == 0)
			return headings[i][1];
	}
	return NULL;
}

static void help_row(FILE *out, const struct row *row)
{
	const char *heading = help_heading(row->name);
	char left[32];

	if (heading)
		fprintf(out, "\n%s\n", heading);
	snprintf(left, sizeof(left), "%c%c%c --%s%s%s", row->letter ? '-' : ' ',
		 row->letter ? row->letter : ' ', row->letter ? ',' : ' ', row->name,
		 row->argument && !optional_value(row) ? " " : "",
		 row->argument ? row->argument : "");
	fprintf(out, "  %-24s %s\n", left, row->help);
}

void options_help(FILE *out)
{
	help_usage(out);
	for (size_t i = 0; i < ROWS; i++)
		help_row(out, &table[i]);
	fputs("\nExit status: the command's, or 125 if fdtrace could not trace it; otherwise 0,\n"
	      "2 wrong usage, 3 tracing is not possible here, 4 another error. See fdtrace(8).\n",
	      out);
}

void options_list_settings(struct page *page, const struct settings *settings)
{
	size_t count;
	const struct setting *row = settings_table(&count);

	for (size_t i = 0; i < count; i++, row++) {
		char value[32], min[32], max[32], help[256];

		setting_format(row, setting_value(row, settings), value, sizeof(value));
		setting_format(row, row->min, min, sizeof(min));
		setting_format(row, row->max, max, sizeof(max));
		page_printf(page, "%s=%s", row->key, value);
		page_tab(page, 24, 2);
		page_printf(page, "%s to %s", min, max);
		page_tab(page, 41, 2);
		snprintf(help, sizeof(help), "%s%s%s%s%s", row->help, row->needs ? " [" : "",
			 row->needs ?: "", row->needs ? "]" : "",
			 row->reload == RELOAD_RESTART ? " (restart)" : "");
		page_wrap(page, 41, help, NULL);
	}
}

void options_list_rules(struct page *page)
{
	for (unsigned int r = 0; r < RULE_COUNT; r++) {
		const struct rule_info *info = rule_info((enum rule)r);

		page_printf(page, "%-15s %-7s %-3s  ", info->id, severity_name(info->severity),
			    info->on ? "on" : "off");
		page_wrap(page, 29, info->says, NULL);
	}
}
