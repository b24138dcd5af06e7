// SPDX-License-Identifier: BSD-2-Clause
/* The daemon's configuration: what it may say, and how mistakes in it are reported. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/config.h"
#include "util/error.h"

static char folder[] = "/tmp/fdtrace-config-XXXXXX";
static char path[128];

static void write_file(const char *text, size_t size)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, size, file), size);
	assert_int_equal(fclose(file), 0);
}

static struct config *read_good(const char *text)
{
	struct config *config = NULL;
	struct error error = { 0 };
	int err;

	write_file(text, strlen(text));
	err = config_load(path, &config, &error);
	if (err)
		print_message("# %s\n", error.what);
	assert_int_equal(err, 0);
	assert_non_null(config);
	return config;
}

/* place: "LINE:COLUMN: ", or NULL where there is none to report. */
static void refused_bytes(const char *text, size_t size, const char *place, const char *expected)
{
	struct config *config = NULL;
	struct error error = { 0 };
	char start[160];

	write_file(text, size);
	assert_true(config_load(path, &config, &error) < 0);
	assert_null(config);
	assert_int_equal(error.status, EXIT_USAGE);
	snprintf(start, sizeof(start), "%s%s:%s", place ? "" : "cannot read ", path,
		 place ? place : " ");
	if (strncmp(error.what, start, strlen(start)) || !strstr(error.what, expected))
		print_message("# %s\n# expected: %s ... %s\n", error.what, start, expected);
	assert_memory_equal(error.what, start, strlen(start));
	assert_non_null(strstr(error.what, expected));
}

static void same_text(const char *a, const char *b)
{
	assert_int_equal(!a, !b);
	if (a)
		assert_string_equal(a, b);
}

static void same_output(const struct output_config *a, const struct output_config *b)
{
	assert_int_equal(a->type, b->type);
	same_text(a->path, b->path);
	assert_int_equal(a->rfc5424, b->rfc5424);
	assert_int_equal(a->min_severity, b->min_severity);
	assert_int_equal(a->summaries, b->summaries);
	assert_int_equal(a->queue_bytes, b->queue_bytes);
}

static void same(const struct config *a, const struct config *b)
{
	assert_int_equal(a->rules, b->rules);
	assert_memory_equal(&a->settings, &b->settings, sizeof(a->settings));
	assert_int_equal(a->stacks, b->stacks);
	assert_int_equal(a->hooks, b->hooks);
	assert_int_equal(a->output_count, b->output_count);
	for (unsigned int i = 0; i < a->output_count; i++)
		same_output(&a->outputs[i], &b->outputs[i]);
	assert_int_equal(a->summary_interval_ns, b->summary_interval_ns);
	assert_int_equal(a->command_line, b->command_line);
	assert_int_equal(a->redact_count, b->redact_count);
	assert_int_equal(a->cgroup_count, b->cgroup_count);
	assert_int_equal(a->exclude_cgroup_count, b->exclude_cgroup_count);
	assert_int_equal(a->suppress_count, b->suppress_count);
	same_text(a->metrics_listen, b->metrics_listen);
	assert_int_equal(a->metrics_remote, b->metrics_remote);
	same_text(a->metrics_textfile, b->metrics_textfile);
	same_text(a->state_path, b->state_path);
	same_text(a->evidence_path, b->evidence_path);
	assert_int_equal(a->evidence_bytes, b->evidence_bytes);
}

static void nothing_is_the_default(void **state)
{
	static const char *const texts[] = { "", "\n", "# all of it left out\n", "---\n{}\n" };
	struct config *standard, *config;

	(void)state;
	assert_int_equal(config_default(&standard), 0);
	assert_int_equal(standard->output_count, 1);
	assert_int_equal(standard->outputs[0].type, OUTPUT_STDOUT);
	assert_string_equal(standard->metrics_listen, "127.0.0.1:9893");
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		config = read_good(texts[i]);
		same(config, standard);
		assert_string_equal(config->path, path);
		config_free(config);
	}
	config_free(standard);
	config_free(NULL);
}

/* Each threshold stands in it, too, but for those that are for tests. */
static void the_example_is_the_default(void **state)
{
	static const char example[] = "src/daemon/fdtrace.yaml";
	struct config *standard, *config = NULL;
	struct error error = { 0 };
	const struct setting *row;
	char text[8192] = "", key[64];
	size_t count;
	FILE *file;

	(void)state;
	assert_int_equal(config_default(&standard), 0);
	if (config_load(example, &config, &error))
		print_message("# %s\n", error.what);
	assert_non_null(config);
	same(config, standard);
	file = fopen(example, "r");
	assert_non_null(file);
	assert_true(fread(text, 1, sizeof(text) - 1, file) > 1000);
	fclose(file);
	row = settings_table(&count);
	for (size_t i = 0; i < count; i++) {
		snprintf(key, sizeof(key), "\n  %s: ", row[i].key);
		if (strncmp(row[i].key, "fault.", 6) && !strstr(text, key))
			fail_msg("%s does not name %s", example, row[i].key);
	}
	config_free(config);
	config_free(standard);
}

static void everything_is_taken(void **state)
{
	struct config *c = read_good("rules: leak,-leak.exit\n"
				     "set: { leak.min_age: 5s, ring.size: 1M }\n"
				     "stacks: python\n"
				     "hooks: tracepoint\n"
				     "summary_interval: 10m\n"
				     "command_line: argv0\n"
				     "state: off\n"
				     "outputs:\n"
				     "- {type: file, path: /a/b, queue: 64K, min_severity: error}\n"
				     "- {type: file, path: /a/c, summaries: false}\n"
				     "- type: syslog\n"
				     "- {type: syslog, path: /run/s, rfc5424: true}\n"
				     "- type: journal\n"
				     "redact: ['a(b)', 'c']\n"
				     "cgroups: ['/x*']\n"
				     "exclude_cgroups: [/y, /z]\n"
				     "suppress: [/s.yaml]\n"
				     "metrics: {listen: '[::]:80', remote: true, textfile: /t}\n"
				     "evidence: {path: off, max: 2G}\n");

	(void)state;
	assert_int_equal(c->rules,
			 1 << RULE_LEAK_GROWTH | 1 << RULE_LEAK_STALE | 1 << RULE_LEAK_ORPHAN);
	assert_int_equal(c->settings.leak_min_age_ns, 5000000000);
	assert_int_equal(c->settings.ring_size_bytes, 1 << 20);
	assert_int_equal(c->stacks, STACKS_PYTHON);
	assert_int_equal(c->hooks, HOOKS_TRACEPOINT);
	assert_true(c->summary_interval_ns == UINT64_C(600000000000));
	assert_int_equal(c->command_line, COMMAND_LINE_ARGV0);
	assert_null(c->state_path);
	assert_int_equal(c->output_count, 5);
	assert_string_equal(c->outputs[0].path, "/a/b");
	assert_int_equal(c->outputs[0].queue_bytes, 65536);
	assert_int_equal(c->outputs[0].min_severity, SEVERITY_ERROR);
	assert_true(c->outputs[0].summaries && !c->outputs[1].summaries);
	assert_null(c->outputs[2].path);
	assert_true(c->outputs[3].rfc5424 && !c->outputs[2].rfc5424);
	assert_int_equal(c->outputs[4].type, OUTPUT_JOURNAL);
	assert_int_equal(c->redact_count, 2);
	assert_string_equal(c->redact[1], "c");
	assert_int_equal(c->cgroup_count, 1);
	assert_int_equal(c->exclude_cgroup_count, 2);
	assert_string_equal(c->suppress[0], "/s.yaml");
	assert_string_equal(c->metrics_listen, "[::]:80");
	assert_string_equal(c->metrics_textfile, "/t");
	assert_null(c->evidence_path);
	assert_true(c->evidence_bytes == UINT64_C(2) << 30);
	config_free(c);
}

static const struct {
	const char *text, *place, *expected;
} mistakes[] = {
	{ "rulez: leak\n", "1:1: ", "unknown key \"rulez\"" },
	{ "stacks: off\n\nset:\n  leak.windw: 1s\n", "4:3: ", "unknown key \"leak.windw\"" },
	{ "outputs:\n- type: stdout\n  colour: red\n", "3:3: ", "unknown key \"colour\"" },
	{ "metrics: {port: 1}\n", "1:11: ", "unknown key \"port\"" },
	{ "rules: [leak]\n", "1:8: ", "rules must be plain text" },
	{ "outputs: stdout\n", "1:10: ", "outputs must be a list" },
	{ "outputs:\n- stdout\n", "2:3: ", "must be a mapping" },
	{ "redact: [a, {b: c}]\n", "1:13: ", "must be plain text" },
	{ "set: 1\n", "1:6: ", "set must be a mapping" },
	{ "metrics: [1]\n", "1:10: ", "metrics must be a mapping" },
	{ "- rules\n", "1:1: ", "must be a mapping" },
	{ "rules\n", "1:1: ", "must be a mapping" },
	{ "rules: leek\n", "1:8: ", "\"leek\"" },
	{ "rules: ''\n", "1:8: ", "empty" },
	{ "set:\n  leak.window: 1ms\n", "2:16: ", "out of range" },
	{ "set: {ring.size: 3M}\n", "1:18: ", "out of range" },
	{ "set: {leak.window: soon}\n", "1:20: ", "invalid value \"soon\"" },
	{ "stacks: all\n", "1:9: ", "\"all\"" },
	{ "hooks: off\n", "1:8: ", "\"off\"" },
	{ "command_line: on\n", "1:15: ", "\"on\"" },
	{ "summary_interval: often\n", "1:19: ", "\"often\"" },
	{ "summary_interval: 1ms\n", "1:19: ", "out of range" },
	{ "state: reported.json\n", "1:8: ", "relative" },
	{ "evidence: {path: ./x}\n", "1:18: ", "relative" },
	{ "evidence: {max: 1}\n", "1:17: ", "out of range" },
	{ "evidence: {max: 1KB}\n", "1:17: ", "invalid value" },
	{ "evidence: {max: -1M}\n", "1:17: ", "invalid value" },
	{ "evidence: {max: 99999999999999999999G}\n", "1:17: ", "out of range" },
	{ "suppress: [/a, b]\n", "1:16: ", "relative" },
	{ "outputs:\n- path: /x\n", "2:3: ", "no type" },
	{ "outputs:\n- type: pigeon\n", "2:9: ", "\"pigeon\"" },
	{ "outputs:\n- type: file\n", "2:3: ", "needs a path" },
	{ "outputs:\n- {type: file, path: x}\n", "2:22: ", "relative" },
	{ "outputs:\n- {type: stdout, path: /x}\n", "2:24: ", "has no path" },
	{ "outputs:\n- {type: file, path: /x, rfc5424: true}\n", "2:35: ", "cannot be used with" },
	{ "outputs:\n- {type: stdout, summaries: maybe}\n", "2:29: ", "\"maybe\"" },
	{ "outputs:\n- {type: stdout, min_severity: fatal}\n", "2:32: ", "\"fatal\"" },
	{ "outputs:\n- {type: stdout, queue: 1}\n", "2:25: ", "out of range" },
	{ "outputs:\n- type: stdout\n- type: stdout\n", "3:3: ", "twice" },
	{ "rules: leak\nrules: exec\n", "2:", "twice" },
	{ "redact:\n- 'ok'\n- '(a'\n", "3:3: ", "invalid regular expression" },
	{ "metrics: {listen: localhost}\n", "1:19: ", "not ADDRESS:PORT" },
	{ "metrics: {listen: '127.0.0.1:0'}\n", "1:19: ", "not ADDRESS:PORT" },
	{ "metrics: {listen: '127.0.0.1:99999'}\n", "1:19: ", "not ADDRESS:PORT" },
	{ "metrics: {listen: '0.0.0.0:80'}\n", "1:19: ", "other machines" },
	{ "metrics: {listen: '[::]:80'}\n", "1:19: ", "other machines" },
	{ "metrics: {remote: 1}\n", "1:19: ", "\"1\"" },
	{ "rules: 'open\n", "1:8: ", "invalid YAML" },
	{ "a: b: c\n", "1:5: ", "invalid YAML" },
	{ "rules: leak\n---\nrules: exec\n", "2:1: ", "more than one document" },
	{ "rules: &a leak\nstate: *a\n", "2:8: ", "aliases" },
	{ "rules: \"le\\0ak\"\n", "1:8: ", "NUL" },
	{ "rules: \xff\xfe\n", "1:8: ", "invalid YAML" },
	{ "rules: '\x1b[31m'\n", "1:", "invalid YAML" },
	{ "rules: \"\\e[31m\"\n", "1:8: ", "\\x1B[31m" },
};

static void mistakes_name_line_and_column(void **state)
{

	(void)state;
	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++)
		refused_bytes(mistakes[i].text, strlen(mistakes[i].text), mistakes[i].place,
			      mistakes[i].expected);
}

static void loopback_needs_no_leave(void **state)
{
	static const char *const good[] = { "127.0.0.1:1", "127.3.2.1:65535", "[::1]:9893", "off" };
	char text[96];

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		snprintf(text, sizeof(text), "metrics: {listen: '%s'}\n", good[i]);
		config_free(read_good(text));
	}
}

static void floods_are_refused(void **state)
{
	size_t size = (1 << 20) + 1;
	char *text = malloc(size);

	(void)state;
	assert_non_null(text);
	memset(text, '#', size);
	refused_bytes(text, size, NULL, "larger than 1 MiB");
	memset(text, '[', size);
	refused_bytes(text, 1 << 20, "1:17: ", "nested too deeply");
	refused_bytes(text, 100, "1:17: ", "nested too deeply");
	memset(text, '\0', size);
	refused_bytes(text, 1000, "1:1: ", "invalid YAML");
	memcpy(text, "redact: [", 9);
	for (size_t i = 9; i + 1 < 4000; i += 2)
		memcpy(text + i, "a,", 2);
	refused_bytes(text, 4000, "1:", "");
	memset(text, 'a', size);
	memcpy(text, "state: /", 8);
	refused_bytes(text, 1 << 20, "1:8: ", "too long");
	free(text);
}

static void laughs_are_refused(void **state)
{
	static const char laughs[] = "a: &a [x,x,x,x,x,x,x,x,x]\n"
				     "b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
				     "c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n"
				     "redact: *c\n";

	(void)state;
	refused_bytes(laughs, strlen(laughs), "2:8: ", "aliases");
}

static void refused_path(const char *where, int err, const char *expected)
{
	struct config *config = NULL;
	struct error error = { 0 };

	assert_int_equal(config_load(where, &config, &error), err);
	assert_null(config);
	assert_non_null(strstr(error.what, expected));
}

static void what_is_no_file_is_refused(void **state)
{
	(void)state;
	refused_path(folder, -EISDIR, "a directory");
	unlink(path);
	refused_path(path, -ENOENT, "No such file");
	assert_int_equal(mkfifo(path, 0600), 0);
	refused_path(path, -EINVAL, "not a regular file");
	unlink(path);
	refused_path("/dev/zero", -EINVAL, "not a regular file");
}

/* Cut anywhere, with any byte changed: refused or taken, never worse. */
static void anything_may_stand_in_it(void **state)
{
	static const char whole[] = "rules: leak\nset: {leak.window: 1s}\noutputs:\n- {type: file, "
				    "path: /x}\nredact: ['a']\nmetrics: {listen: off}\n";
	static const char bytes[] = "\0\t\n -:[]{}*&!|>'\"%@`#,?\xff";
	char text[sizeof(whole)];
	struct error error;

	(void)state;
	for (size_t i = 0; i < sizeof(whole); i++) {
		for (size_t j = 0; j < sizeof(bytes); j++) {
			struct config *config = NULL;

			memcpy(text, whole, sizeof(whole));
			text[i] = bytes[j];
			write_file(text, j ? sizeof(whole) - 1 : i);
			if (config_load(path, &config, &error) == 0)
				assert_non_null(config);
			else
				assert_null(config);
			config_free(config);
		}
	}
}

static void add_key(void *ctx, const char *key)
{
	strcat(strcat(ctx, key), " ");
}

static void what_needs_a_restart_is_named(void **state)
{
	struct config *standard, *other;
	char names[256] = "";

	(void)state;
	assert_int_equal(config_default(&standard), 0);
	other = read_good("set: {ring.size: 1M, leak.window: 1s}\nstacks: off\nhooks: function\n"
			  "summary_interval: 1m\nstate: off\ncommand_line: off\n"
			  "metrics: {listen: off, textfile: /t.prom}\n"
			  "evidence: {path: /e, max: 2M}\n");
	config_each_restart(standard, other, add_key, names);
	assert_string_equal(names,
			    "ring.size stacks hooks metrics.listen evidence.path evidence.max ");
	config_free(other);
	config_free(standard);
}

static int make_folder(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/fdtrace.yaml", folder);
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_the_default),
		cmocka_unit_test(the_example_is_the_default),
		cmocka_unit_test(everything_is_taken),
		cmocka_unit_test(mistakes_name_line_and_column),
		cmocka_unit_test(loopback_needs_no_leave),
		cmocka_unit_test(floods_are_refused),
		cmocka_unit_test(laughs_are_refused),
		cmocka_unit_test(what_is_no_file_is_refused),
		cmocka_unit_test(anything_may_stand_in_it),
		cmocka_unit_test(what_needs_a_restart_is_named),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
