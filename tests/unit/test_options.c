// SPDX-License-Identifier: BSD-2-Clause
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/doctor.h"
#include "cli/options.h"
#include "engine/engine.h"
#include "output/format.h"
#include "util/error.h"

#define WORDS_MAX 30

struct line {
	char text[256];
	char *argv[WORDS_MAX + 2];
	int argc;
	struct options options;
	struct error error;
};

/* Splits at blanks; "fdtrace" goes before. Free with options_done(). */
static int parse(struct line *l, const char *text)
{
	memset(l, 0, sizeof(*l));
	snprintf(l->text, sizeof(l->text), "%s", text);
	l->argv[l->argc++] = (char *)"fdtrace";
	for (char *word = strtok(l->text, " "); word; word = strtok(NULL, " "))
		l->argv[l->argc++] = word;
	return options_parse(l->argc, l->argv, &l->options, &l->error);
}

/* The severity from which on every rule fails a run; 0: none. */
static enum severity failing_severity(const struct line *l)
{
	return l->options.run.fail_on.severity;
}

static void what_fails_a_run_and_how(void **state)
{
	struct line l;

	(void)state;
	assert_int_equal(parse(&l, "true"), 0);
	assert_int_equal(fail_on_total(&l.options.run.fail_on, &(struct engine_counters){ 0 }), 0);
	assert_int_equal(failing_severity(&l), 0);
	options_done(&l.options);
	assert_int_equal(parse(&l, "--error-exitcode 9 true"), 0);
	assert_int_equal(failing_severity(&l), SEVERITY_WARNING);
	assert_int_equal(l.options.run.error_exitcode, 9);
	options_done(&l.options);
	assert_int_equal(parse(&l, "--fail-on close.*,leak.exit --fail-on exec true"), 0);
	assert_int_equal(failing_severity(&l), 0);
	assert_int_equal(l.options.run.error_exitcode, EXIT_FINDINGS);
	assert_true(fail_on_matches(&l.options.run.fail_on, RULE_CLOSE_DOUBLE, SEVERITY_INFO));
	assert_true(fail_on_matches(&l.options.run.fail_on, RULE_EXEC_HELD, SEVERITY_INFO));
	assert_true(fail_on_matches(&l.options.run.fail_on, RULE_LEAK_EXIT, SEVERITY_INFO));
	assert_false(fail_on_matches(&l.options.run.fail_on, RULE_LEAK_GROWTH, SEVERITY_ERROR));
	options_done(&l.options);
	assert_int_equal(parse(&l, "--fail-on error,use --error-exitcode 9 true"), 0);
	assert_int_equal(failing_severity(&l), SEVERITY_ERROR);
	assert_int_equal(l.options.run.error_exitcode, 9);
	assert_false(fail_on_matches(&l.options.run.fail_on, RULE_LEAK_GROWTH, SEVERITY_WARNING));
	options_done(&l.options);
	assert_int_equal(parse(&l, "--fail-on new --suppress known.yaml true"), 0);
	assert_int_equal(failing_severity(&l), SEVERITY_WARNING);
	options_done(&l.options);
	assert_int_equal(parse(&l, "--fail-on new --suppress x --min-severity info true"), 0);
	assert_int_equal(failing_severity(&l), SEVERITY_INFO);
	options_done(&l.options);
}

static void every_time_of_a_failing_rule_counts(void **state)
{
	struct engine_counters counters = { 0 };
	struct fail_on fail_on = { .severity = SEVERITY_ERROR };
	const char *bad;
	size_t length;

	(void)state;
	counters.by_rule[RULE_LEAK_GROWTH].reported[SEVERITY_WARNING] = 3;
	counters.by_rule[RULE_CLOSE_DOUBLE].reported[SEVERITY_INFO] = 2;
	counters.by_rule[RULE_CLOSE_DOUBLE].suppressed = 9;
	assert_int_equal(fail_on_total(&fail_on, &counters), 0);
	assert_int_equal(fail_on_parse(&fail_on, "close", &bad, &length), 0);
	assert_int_equal(fail_on_total(&fail_on, &counters), 2);
	assert_int_equal(fail_on_count(&fail_on, RULE_LEAK_GROWTH, &counters), 0);
	assert_int_equal(fail_on_parse(&fail_on, "warning", &bad, &length), 0);
	assert_int_equal(fail_on_total(&fail_on, &counters), 5);
	assert_int_equal(fail_on_parse(&fail_on, "leak,nonsense", &bad, &length), -EINVAL);
	assert_string_equal(bad, "nonsense");
	assert_int_equal(fail_on.rules & 1u << RULE_LEAK_EXIT, 0);
}

static void the_command_keeps_its_own_options(void **state)
{
	struct line l;

	(void)state;
	assert_int_equal(parse(&l, "-j -o out ls -l -p 1 --help"), 0);
	assert_int_equal(l.options.mode, MODE_TRACE);
	assert_true(l.options.run.format == &output_format_json && !l.options.run.full);
	assert_string_equal(l.options.run.output[0].file, "out");
	assert_string_equal(l.options.command[0], "ls");
	assert_string_equal(l.options.command[4], "--help");
	assert_null(l.options.command[5]);
	options_done(&l.options);
	assert_int_equal(parse(&l, "-- -strange -a"), 0);
	assert_string_equal(l.options.command[0], "-strange");
	options_done(&l.options);
	assert_int_equal(parse(&l, "-- replay x"), 0);
	assert_string_equal(l.options.command[0], "replay");
	options_done(&l.options);
	assert_int_equal(parse(&l, "-o -- replay x"), 0); /* here -- is the value of -o */
	assert_string_equal(l.options.run.output[0].file, "--");
	assert_int_equal(l.options.mode, MODE_REPLAY);
	options_done(&l.options);
}

static void each_output_has_its_format(void **state)
{
	const struct run_options *run;
	struct line l;

	(void)state;
	assert_int_equal(parse(&l, "-o text:- -o json:f.jsonl -o plain -o ./a:b -o text:a:b x"), 0);
	run = &l.options.run;
	assert_int_equal(run->output_count, 5);
	assert_true(run->output[0].format == &output_format_text);
	assert_string_equal(run->output[0].file, "-");
	assert_true(run->output[1].format == &output_format_json);
	assert_string_equal(run->output[1].file, "f.jsonl");
	assert_null(run->output[2].format);
	assert_string_equal(run->output[2].file, "plain");
	assert_null(run->output[3].format);
	assert_string_equal(run->output[3].file, "./a:b");
	assert_string_equal(run->output[4].file, "a:b");
	options_done(&l.options);
}

/* The command's standard output is its own. */
static void a_command_has_stdout_for_itself(void **state)
{
	struct line l;

	(void)state;
	assert_int_equal(parse(&l, "-- x"), 0);
	assert_true(l.options.run.to_stderr && !l.options.run.output_count);
	options_done(&l.options);
	assert_int_equal(parse(&l, "-r - -- x"), 0);
	options_done(&l.options);
	assert_int_equal(parse(&l, "-p 1"), 0);
	assert_false(l.options.run.to_stderr);
	options_done(&l.options);
	assert_int_equal(parse(&l, "replay x"), 0);
	assert_false(l.options.run.to_stderr);
	options_done(&l.options);
}

static void pids_add_up(void **state)
{
	struct line l;

	(void)state;
	assert_int_equal(parse(&l, "-p 12,7 --pid=4194304 -p 7 --no-follow"), 0);
	assert_int_equal(l.options.pid_count, 3);
	assert_int_equal(l.options.pids[0], 7);
	assert_int_equal(l.options.pids[1], 12);
	assert_int_equal(l.options.pids[2], 4194304);
	assert_true(l.options.no_follow);
	options_done(&l.options);
}

/* As pidof prints them, with options between. */
static void words_that_are_numbers_are_more_pids(void **state)
{
	const pid_t expected[] = { 7, 12, 13, 14 };
	struct line l;

	(void)state;
	assert_int_equal(parse(&l, "-p 12 13 -j 7 14"), 0);
	assert_int_equal(l.options.pid_count, 4);
	assert_memory_equal(l.options.pids, expected, sizeof(expected));
	assert_null(l.options.command);
	options_done(&l.options);
	assert_int_equal(parse(&l, "-a -- 13"), -EINVAL);
	options_done(&l.options);
	assert_int_equal(parse(&l, "13"), 0);
	assert_true(options_is_number(l.options.command[0]));
	options_done(&l.options);
}

static void a_name_that_no_process_has_is_no_pid(void **state)
{
	struct line l;

	(void)state;
	assert_int_equal(parse(&l, "-p 1,no-such"), -ESRCH);
	assert_int_equal(l.error.status, EXIT_CANNOT);
	assert_string_equal(l.error.what, "no process is called 'no-such'");
	options_done(&l.options);
}

static void blanks_stand_between_pids_too(void **state)
{
	char *argv[] = { (char *)"fdtrace", (char *)"-p", (char *)"12 13\n14", NULL };
	struct options options;
	struct error error;

	(void)state;
	assert_int_equal(options_parse(3, argv, &options, &error), 0);
	assert_int_equal(options.pid_count, 3);
	options_done(&options);
}

static void values_are_stored(void **state)
{
	struct line l;

	(void)state;
	assert_int_equal(parse(&l,
			       "-a --json=full -e -r rec -d 5m -i 500ms --rules leak,-leak.exit "
			       "--min-severity error --set leak.min_age=1s --hooks function -vv"),
			 0);
	assert_true(l.options.all && l.options.run.full && l.options.run.events);
	assert_string_equal(l.options.run.record, "rec");
	assert_true(l.options.run.duration_ns == UINT64_C(300000000000));
	assert_true(l.options.run.interval_ns == 500000000);
	assert_true(l.options.run.overrides.has_rules);
	assert_int_equal(l.options.run.overrides.rules,
			 1 << RULE_LEAK_GROWTH | 1 << RULE_LEAK_STALE | 1 << RULE_LEAK_ORPHAN);
	assert_int_equal(l.options.run.min_severity, SEVERITY_ERROR);
	assert_true(l.options.run.overrides.values.leak_min_age_ns == 1000000000);
	assert_true(overrides_has(&l.options.run.overrides,
				  offsetof(struct settings, leak_min_age_ns)));
	assert_false(
		overrides_has(&l.options.run.overrides, offsetof(struct settings, budget_ppm)));
	assert_int_equal(l.options.hooks, HOOKS_FUNCTION);
	assert_int_equal(l.options.run.verbosity, 2);
	options_done(&l.options);
	assert_int_equal(parse(&l, "--dur 3 --error-exitcode 9 -q -o - true"), 0);
	assert_true(l.options.run.duration_ns == UINT64_C(3000000000));
	assert_int_equal(l.options.run.error_exitcode, 9);
	assert_int_equal(l.options.run.output_count, 1);
	assert_string_equal(l.options.run.output[0].file, "-");
	options_done(&l.options);
}

static void replay_and_doctor_take_options_anywhere(void **state)
{
	struct line l;

	(void)state;
	assert_int_equal(parse(&l, "-j replay -e file -q"), 0);
	assert_int_equal(l.options.mode, MODE_REPLAY);
	assert_true(l.options.run.format == &output_format_json && l.options.run.events &&
		    l.options.run.quiet);
	assert_string_equal(l.options.operand, "file");
	options_done(&l.options);
	assert_int_equal(parse(&l, "replay -"), 0);
	assert_string_equal(l.options.operand, "-");
	options_done(&l.options);
	assert_int_equal(parse(&l, "explain 9f31c2d4 -j"), 0);
	assert_int_equal(l.options.mode, MODE_EXPLAIN);
	assert_string_equal(l.options.operand, "9f31c2d4");
	assert_true(l.options.run.format == &output_format_json);
	options_done(&l.options);
	assert_int_equal(parse(&l, "doctor --json"), 0);
	assert_int_equal(l.options.mode, MODE_DOCTOR);
	assert_true(l.options.run.format == &output_format_json);
	options_done(&l.options);
}

static void lists_and_help_win_at_once(void **state)
{
	static const struct {
		const char *text;
		enum mode mode;
	} cases[] = {
		{ "-h", MODE_HELP },
		{ "--version", MODE_VERSION },
		{ "replay --help", MODE_HELP },
		{ "-a -p 1 -h --nonsense", MODE_HELP },
		{ "--set help", MODE_LIST_SETTINGS },
		{ "--rules help", MODE_LIST_RULES },
		{ "replay x -V", MODE_VERSION },
		{ "--daemon -c x.yaml --rules leak --set ring.size=1M --stacks off -v",
		  MODE_DAEMON },
		{ "--daemon --check-config", MODE_CHECK_CONFIG },
		{ "--check-config --daemon --config=x", MODE_CHECK_CONFIG },
	};
	struct line l;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(parse(&l, cases[i].text), 0);
		assert_int_equal(l.options.mode, cases[i].mode);
		options_done(&l.options);
	}
}

static const struct {
	const char *text, *what, *more;
} mistakes[] = {
	{ "", "nothing to trace", "COMMAND" },
	{ "--rules leek x", "unknown rule or family 'leek'", "did you mean 'leak'?" },
	{ "--rules close.dubble x", "'close.dubble'", "did you mean 'close.double'?" },
	{ "--rules zzzzzz x", "'zzzzzz'", "known: leak.growth," },
	{ "--durtion 3 x", "unknown option '--durtion'", "did you mean --duration?" },
	{ "--zzzzzz", "unknown option '--zzzzzz'", "fdtrace --help" },
	{ "--daemon ls", "unexpected argument 'ls'", "usage: fdtrace --daemon" },
	{ "--daemon -a", "--all cannot be used with --daemon", "goes with tracing" },
	{ "--check-config -j", "--json cannot be used with --check-config",
	  "tracing, replay, explain, doctor" },
	{ "-a -c x.yaml", "--config cannot be used with tracing",
	  "goes with --daemon, --check-config" },
	{ "--daemon -c", "'--config' requires an argument", "usage: --config FILE" },
	{ "--e x", "'--e' is ambiguous", "--events --error-exitcode" },
	{ "--fail-on leak,clse.double x", "'clse.double' in --fail-on",
	  "did you mean 'close.double'?" },
	{ "--fail-on rubbish x", "'rubbish' in --fail-on",
	  "severities (error, warning, info) or new" },
	{ "--fail-on -leak x", "'-leak' in --fail-on", "expected rules" },
	{ "--fail-on all x", "'all' in --fail-on", "expected rules" },
	{ "--fail-on x.* x", "'x.*' in --fail-on", "expected rules" },
	{ "--fail-on leak, x", "'' in --fail-on", "expected rules" },
	{ "--fail-on new x", "--fail-on new needs --suppress FILE", "an empty one" },
	{ "--fail-on use.stale x", "nothing that --fail-on names", "use.stale: switched off" },
	{ "--color yes x", "'yes'", "always, never or auto" },
	{ "--width 39 x", "'39'", "40 to 10000" },
	{ "--daemon --width 80", "--width cannot be used with --daemon", "tracing, replay" },
	{ "-Z", "unknown option '-Z'", "--help" },
	{ "-o", "'--output' requires an argument", "--help" },
	{ "--events=3 x", "'--events' does not take an argument", "--help" },
	{ "-p 1,2x", "invalid process ID '2x' for -p", "1 to 4194304" },
	{ "--wait -p 1", "--wait goes with a command only", "-d TIME" },
	{ "-p 1 2 x", "-p cannot be combined with a command", "-p PID,NAME" },
	{ "-p 1 -- 2", "-p cannot be combined with a command", "" },
	{ "-p 1,", "invalid process ID ''", "1 to 4194304" },
	{ "-p 4194305", "'4194305'", "1 to 4194304" },
	{ "-p -1", "'-1'", "1 to 4194304" },
	{ "-d 5q x", "invalid value '5q' for --duration", "5m" },
	{ "-d 99999999999999999999 x", "--duration", "10s" },
	{ "-i 1ms x", "invalid value '1ms' for --interval", "from 100ms to 3650d" },
	{ "--json=all x", "'all'", "--json=full" },
	{ "--min-severity bad x", "'bad'", "info, warning or error" },
	{ "--hooks kprobe x", "invalid value 'kprobe' for --hooks",
	  "auto, function or tracepoint" },
	{ "--error-exitcode 256 x", "'256'", "1 to 255" },
	{ "--set leak.minage=3 x", "unknown setting 'leak.minage'",
	  "did you mean 'leak.min_age'?" },
	{ "--set leak.min_age=x x", "invalid value 'x' for --set leak.min_age",
	  "leak.min_age=30s" },
	{ "--set leak.min_age x", "--set leak.min_age requires a value", "30s" },
	{ "--output= x", "--output: empty file name", "usage: --output [FORMAT:]FILE" },
	{ "--set ring.size=3M x", "out of range", "power of two" },
	{ "-a -p 1", "-a and -p", "--help" },
	{ "-a x", "-a cannot be combined with a command", "separately" },
	{ "-p 1 x", "-p cannot be combined with a command", "--help" },
	{ "-a --no-follow", "--no-follow", "children" },
	{ "-q -v x", "-q and -v", "--help" },
	{ "-r - -a", "standard output", "-o" },
	{ "-r - -o - x", "standard output", "-o" },
	{ "-o jsn:f x", "unknown format 'jsn' in -o", "did you mean json?" },
	{ "-o xml:f x", "unknown format 'xml' in -o", "known: text, json" },
	{ "-o json: x", "--output: empty file name", "usage: --output [FORMAT:]FILE" },
	{ "-o 1 -o 2 -o 3 -o 4 -o 5 -o 6 -o 7 -o 8 -o 9 x", "more than 8 outputs with -o", "" },
	{ "-r f -o f x", "same file", "a file each" },
	{ "replay", "replay needs a FILE", "fdtrace -- replay" },
	{ "replay a b", "unexpected argument 'b'", "usage: fdtrace replay" },
	{ "-p 1 replay a", "--pid cannot be used with replay", "" },
	{ "replay -r b a", "--record cannot be used with replay", "" },
	{ "replay --hooks auto a", "--hooks cannot be used with replay", "" },
	{ "doctor a", "unexpected argument 'a'", "usage: fdtrace doctor" },
	{ "explain 9f31 1b7e", "unexpected argument '1b7e'", "--help" },
	{ "explain -e 9f31", "--events cannot be used with explain", "tracing, replay" },
	{ "explain --json=full 9f31", "--json=full", "" },
	{ "doctor -e", "--events cannot be used with doctor", "" },
	{ "doctor --json=full", "--json=full", "--json" },
};

static void mistakes_name_the_word_and_what_is_allowed(void **state)
{
	struct line l;
	char more[1024];

	(void)state;
	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
		if (parse(&l, mistakes[i].text) != -EINVAL)
			fail_msg("accepted: %s", mistakes[i].text);
		snprintf(more, sizeof(more), "%s %s", l.error.cause, l.error.remedy);
		assert_int_equal(l.error.status, EXIT_USAGE);
		if (!strstr(l.error.what, mistakes[i].what) || !strstr(more, mistakes[i].more))
			fail_msg("%s: %s / %s", mistakes[i].text, l.error.what, more);
		options_done(&l.options);
	}
}

static void misspelt_commands_are_recognised(void **state)
{
	(void)state;
	assert_string_equal(options_nearest_command("replya"), "replay");
	assert_string_equal(options_nearest_command("docter"), "doctor");
	assert_null(options_nearest_command("sleep"));
	assert_null(options_nearest_command("daemon"));
	assert_null(options_nearest_command(""));
}

static void bad_words_are_made_safe_to_print(void **state)
{
	struct line l;

	(void)state;
	assert_int_equal(parse(&l, "--hooks \x1b[31m\xff x"), -EINVAL);
	assert_null(strchr(l.error.what, '\x1b'));
	assert_non_null(strstr(l.error.what, "\\x1B[31m\\xFF"));
	options_done(&l.options);
}

/* Number of lines; fails if one is longer than width. */
static unsigned int count_lines(char *text, size_t width)
{
	unsigned int count = 0;

	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		count++;
		if (strlen(line) > width)
			fail_msg("too wide: %s", line);
	}
	return count;
}

static void help_fits_a_screen(void **state)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	options_help(out);
	fclose(out);
	assert_non_null(strstr(text, "--error-exitcode N "));
	assert_in_range(count_lines(text, 80), 30, 50);
	free(text);
}

static const struct hostinfo doctors_host = { .version = "1", .host_name = "h\x1b", .kernel = "k" };

static struct probe_report a_report(bool can_trace)
{
	struct probe_report report = {
		.count = 4,
		.can_trace = can_trace,
		.line = { { VERDICT_OK, "BTF", "here", "", "" },
			  { VERDICT_FAIL, "capabilities", "CAP_SYS_PTRACE missing", "no names",
			    "give the container this capability" },
			  { VERDICT_UNKNOWN, "bpf system call", "not tried", "", "" },
			  { VERDICT_WARN, "tracefs", "", "no names", "" } },
	};

	strcpy(report.obstacle, can_trace ? "none" : "capabilities");
	strcpy(report.summary, can_trace ? "all" : "nothing: not you");
	strcpy(report.remedy, can_trace ? "" : "sudo");
	return report;
}

static char *doctor_text(bool can_trace, unsigned int width)
{
	struct probe_report report = a_report(can_trace);
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	doctor_print_text(out, &report, &doctors_host, width);
	fclose(out);
	return text;
}

static void doctor_keeps_to_its_columns(void **state)
{
	char *text = doctor_text(true, 60);

	(void)state;
	assert_non_null(strstr(text, "\nok    BTF              here\n"));
	assert_non_null(strstr(text, "\nfail  capabilities     CAP_SYS_PTRACE missing\n"
				     "                       no names: give the container"));
	assert_non_null(strstr(text, "\n-     bpf system call  not tried\n"));
	assert_null(strchr(text, '\x1b'));
	count_lines(text, 60);
	free(text);
}

static void doctor_ends_with_what_follows(void **state)
{
	char *text = doctor_text(true, 0);

	(void)state;
	assert_non_null(strstr(text, "\nWould trace: all.\nDegraded: no names.\n"));
	assert_null(strstr(text, "To do"));
	free(text);
	text = doctor_text(false, 0);
	assert_non_null(strstr(text, "\nWould trace: nothing: not you.\nTo do: sudo.\n"));
	assert_null(strstr(text, "Degraded"));
	free(text);
}

static void doctor_names_its_checks_for_programs(void **state)
{
	struct probe_report report = a_report(false);
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	assert_int_equal(doctor_print_json(out, &report, &doctors_host), 0);
	fclose(out);
	assert_non_null(strstr(text, "\"obstacle\":\"capabilities\""));
	assert_non_null(strstr(text, "\"degraded\":[\"no names\"]"));
	assert_non_null(strstr(text, "{\"name\":\"bpf_system_call\",\"verdict\":\"unknown\""));
	assert_non_null(strstr(text, "\"remedy\":\"give the container this capability\""));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_command_keeps_its_own_options),
		cmocka_unit_test(each_output_has_its_format),
		cmocka_unit_test(a_command_has_stdout_for_itself),
		cmocka_unit_test(pids_add_up),
		cmocka_unit_test(what_fails_a_run_and_how),
		cmocka_unit_test(every_time_of_a_failing_rule_counts),
		cmocka_unit_test(words_that_are_numbers_are_more_pids),
		cmocka_unit_test(a_name_that_no_process_has_is_no_pid),
		cmocka_unit_test(blanks_stand_between_pids_too),
		cmocka_unit_test(values_are_stored),
		cmocka_unit_test(replay_and_doctor_take_options_anywhere),
		cmocka_unit_test(lists_and_help_win_at_once),
		cmocka_unit_test(mistakes_name_the_word_and_what_is_allowed),
		cmocka_unit_test(misspelt_commands_are_recognised),
		cmocka_unit_test(bad_words_are_made_safe_to_print),
		cmocka_unit_test(help_fits_a_screen),
		cmocka_unit_test(doctor_keeps_to_its_columns),
		cmocka_unit_test(doctor_ends_with_what_follows),
		cmocka_unit_test(doctor_names_its_checks_for_programs),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
