// SPDX-License-Identifier: BSD-2-Clause
/* Suppressions: reading, matching, writing what to paste; and what the engine makes of them. */
#include "stream.h"

#include <unistd.h>

#include "engine/suppression.h"
#include "run/suppress.h"
#include "util/error.h"
#include "util/yaml_tree.h"

static char folder[] = "/tmp/fdtrace-suppress-XXXXXX";

static const char *path_of(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

static const char *write_file(const char *text, size_t size)
{
	const char *path = path_of("list.yaml");
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, size, file), size);
	assert_int_equal(fclose(file), 0);
	return path;
}

static struct suppression_list *read_good(const char *text)
{
	const char *path = write_file(text, strlen(text));
	struct suppression_list *list = NULL;
	struct error error = { 0 };
	int err = suppress_read(&path, 1, &list, &error);

	if (err)
		print_message("# %s\n", error.what);
	assert_int_equal(err, 0);
	assert_non_null(list);
	return list;
}

static void refused(const char *text, const char *expected)
{
	const char *path = write_file(text, strlen(text));
	struct suppression_list *list = NULL;
	struct error error = { 0 };

	assert_true(suppress_read(&path, 1, &list, &error) < 0);
	assert_null(list);
	assert_int_equal(error.status, EXIT_USAGE);
	assert_non_null(strstr(error.what, path));
	if (!strstr(error.what, expected))
		print_message("# %s\n# expected: %s\n", error.what, expected);
	assert_non_null(strstr(error.what, expected));
}

static void a_list_is_read(void **state)
{
	struct suppression_list *list = read_good("# known\n"
						  "- name: pool\n"
						  "  rule: leak\n"
						  "  exe: /usr/bin/python3*\n"
						  "- name: one\n"
						  "  fingerprint: 0123456789abcDEF\n"
						  "  frame: 'worker (*)'\n"
						  "  comment: 'why: because'\n");

	(void)state;
	assert_int_equal(list->count, 2);
	assert_string_equal(list->entries[0].name, "pool");
	assert_int_equal(list->entries[0].rules, 1 << RULE_LEAK_GROWTH | 1 << RULE_LEAK_STALE |
							 1 << RULE_LEAK_ORPHAN |
							 1 << RULE_LEAK_EXIT);
	assert_string_equal(list->entries[0].exe, "/usr/bin/python3*");
	assert_null(list->entries[0].frame);
	assert_false(list->entries[0].has_fingerprint);
	assert_true(list->entries[1].has_fingerprint);
	assert_true(list->entries[1].fingerprint == 0x0123456789abcdef);
	assert_string_equal(list->entries[1].frame, "worker (*)");
	suppress_free(list);
}

static void nothing_is_an_empty_list(void **state)
{
	struct suppression_list *list = read_good("");

	(void)state;
	assert_int_equal(list->count, 0);
	suppress_free(list);
	list = read_good("# nothing yet\n");
	assert_int_equal(list->count, 0);
	suppress_free(list);
}

static void files_add_up(void **state)
{
	char first[128];
	const char *paths[2] = { first };
	struct suppression_list *list = NULL;
	struct error error;
	FILE *file;

	(void)state;
	snprintf(first, sizeof(first), "%s", path_of("first.yaml"));
	file = fopen(first, "w");
	assert_non_null(file);
	fputs("- name: a\n  rule: leak.exit\n", file);
	assert_int_equal(fclose(file), 0);
	paths[1] = write_file("- name: b\n  rule: close\n", 24);
	assert_int_equal(suppress_read(paths, 2, &list, &error), 0);
	assert_int_equal(list->count, 2);
	assert_string_equal(list->entries[1].name, "b");
	suppress_free(list);
	assert_int_equal(unlink(first), 0);
}

static void mistakes_name_file_and_line(void **state)
{
	(void)state;
	refused("- name: a\n  rule: leak\n- name: b\n  rulo: leak\n", ":4:3: unknown key \"rulo\"");
	refused("- name: a\n  rule: leak\n- rule: leak\n", ":3:3: an entry has no name");
	refused("- name: a\n\n  rule: lek.exit\n", ":3:9: unknown rule or family");
	refused("- name: a\n  rule: -leak\n", ":2:9: unknown rule or family");
	refused("- name: a\n  fingerprint: 9f31c2d4\n", ":2:16: fingerprint: expected 16");
	refused("- name: a\n  fingerprint: 9f31c2d49f31c2dg\n", ":2:16: fingerprint: expected 16");
	refused("- name: a\n  rule: leak\n  exe: '/usr/[bin'\n", ":3:8: exe: invalid glob");
	refused("- name: a\n  frame: 'x\\'\n", ":2:10: frame: invalid glob");
	refused("- name: a\n  comment: b\n", ":1:3: an entry without a condition");
	refused("- name: a\n  rule:\n", ":2:8: rule is empty");
	refused("- name: a\n  rule: [leak]\n", ":2:9: rule must be plain text, not a list");
	refused("- name: a\n  rule: leak\n  rule: leak\n", ":3:3: \"rule\" is given twice");
	refused("- name: a\n  rule: \"leak\n", ":2:9: invalid YAML");
	refused("rule: leak\n", ":1:1: the file must be a list");
	refused("- a\n", ":1:3: an entry must be a mapping");
	refused("- name: a\n  rule: leak\n---\n- name: b\n  rule: exec\n",
		"more than one document");
	refused("- &x\n  name: a\n  rule: leak\n- *x\n", "aliases");
	refused("\xff\xfe\xff", "invalid YAML");
}

static void what_no_file_can_be(void **state)
{
	static char large[YAML_BYTES_MAX + 2];
	const char *paths[] = { folder, path_of("absent") };
	struct suppression_list *list = NULL;
	struct error error;

	(void)state;
	assert_int_equal(suppress_read(&paths[0], 1, &list, &error), -EISDIR);
	assert_non_null(strstr(error.what, "it is a directory"));
	assert_int_equal(suppress_read(&paths[1], 1, &list, &error), -ENOENT);
	assert_non_null(strstr(error.what, "No such file"));
	memset(large, '\n', sizeof(large));
	paths[0] = write_file(large, sizeof(large));
	assert_int_equal(suppress_read(&paths[0], 1, &list, &error), -EFBIG);
	assert_non_null(strstr(error.what, "larger than 1 MiB"));
	assert_null(list);
}

static void entries_are_bounded(void **state)
{
	static char text[SUPPRESS_ENTRIES_MAX * 32 + 64];
	struct suppression_list *list;
	size_t used = 0;

	(void)state;
	for (int i = 0; i < SUPPRESS_ENTRIES_MAX; i++)
		used += (size_t)sprintf(text + used, "- name: n%d\n  rule: leak\n", i);
	list = read_good(text);
	assert_int_equal(list->count, SUPPRESS_ENTRIES_MAX);
	suppress_free(list);
	sprintf(text + used, "- name: n\n  rule: leak\n");
	refused(text, ":2001:3: more than 1000 entries");
}

static void globs(void **state)
{
	(void)state;
	assert_true(glob_match("", ""));
	assert_false(glob_match("", "a"));
	assert_true(glob_match("*", ""));
	assert_true(glob_match("a*c", "abbc"));
	assert_true(glob_match("*b*", "a/b/c"));
	assert_false(glob_match("a*c", "abbd"));
	assert_true(glob_match("a?c", "abc"));
	assert_false(glob_match("a?c", "ac"));
	assert_true(glob_match("[a-c]x", "bx"));
	assert_false(glob_match("[!a-c]x", "bx"));
	assert_true(glob_match("[]]x", "]x"));
	assert_true(glob_match("\\*", "*"));
	assert_false(glob_match("\\*", "a"));
	assert_true(glob_match("f (a.c:*)", "f (a.c:12)"));
	assert_null(glob_fault("a[b]*\\["));
	assert_null(glob_fault("[[]"));
	assert_non_null(glob_fault("a[b"));
	assert_non_null(glob_fault("[]"));
	assert_non_null(glob_fault("a\\"));
}

/* With a star tried again from every place of every other this would take longer than the sun has. */
static void a_hostile_text_takes_no_time(void **state)
{
	static char text[4096];

	(void)state;
	memset(text, 'a', sizeof(text) - 1);
	assert_false(glob_match("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b", text));
}

/* --- with an engine --- */

struct run {
	struct stream s;
	struct suppression_list *list;
	char paste[SUPPRESSION_TEXT_SIZE];
	unsigned int asked, reported;
};

static bool ask(void *ctx, const struct finding *f)
{
	struct run *run = ctx;

	run->asked++;
	suppression_format(f, run->paste, sizeof(run->paste));
	return suppression_use(run->list, f) != NULL;
}

static void count_told(void *ctx, const struct finding *f)
{
	(void)f;
	((struct run *)ctx)->reported++;
}

static void start(struct run *run, const char *yaml)
{
	static const struct engine_listener listener = { .finding = count_told };
	static const struct engine_policy policy = { .suppressed = ask };
	struct engine_options options = stream_options(&run->s, ENGINE_PID);

	*run = (struct run){ .s.now_ns = 1000 * S, .list = read_good(yaml) };
	options.listener = &listener;
	options.policy = &policy;
	options.ctx = run;
	assert_int_equal(engine_new(&options, &run->s.engine), 0);
	task(&run->s, FDT_OP_FORK, PID, PID, TABLE, 0, 0);
	opens(&run->s, PID, 3, 1);
	closes(&run->s, PID, 3);
}

static void end(struct run *run)
{
	suppress_free(run->list);
	stream_end(&run->s);
}

static void use_at(struct run *run, const char *text, uint64_t site)
{
	const struct frame frames[] = { { text, site, 0 }, { "main (main.c:9)", 1000, 0 } };

	tells(&run->s, site, 0, 2, frames);
	fails_at(&run->s, FDT_SYS_read, PID, 3, EBADF, site);
}

static void a_cause_is_asked_for_once(void **state)
{
	struct engine_counters c;
	struct run run;

	(void)state;
	start(&run, "- name: x\n  rule: use\n  frame: 'f (*)'\n- name: y\n  rule: exec\n");
	for (int i = 0; i < 50; i++)
		use_at(&run, "f (a.c:1)", 1);
	use_at(&run, "g (a.c:1)", 2);
	engine_counters(run.s.engine, &c);
	assert_int_equal(run.asked, 2);
	assert_int_equal(run.reported, 1);
	assert_int_equal(c.findings_suppressed, 1);
	assert_int_equal(c.times_suppressed, 50);
	assert_int_equal(c.findings[SEVERITY_WARNING], 1);
	assert_int_equal(c.by_rule[RULE_USE_CLOSED].found, 51);
	assert_int_equal(c.by_rule[RULE_USE_CLOSED].causes, 1);
	assert_int_equal(c.by_rule[RULE_USE_CLOSED].suppressed, 1);
	assert_int_equal(run.list->entries[0].used, 1);
	assert_int_equal(run.list->entries[1].used, 0);
	end(&run);
}

static void conditions_must_all_hold(void **state)
{
	static const struct {
		const char *yaml;
		unsigned int reported;
	} cases[] = {
		{ "- name: x\n  rule: use.closed\n", 0 },
		{ "- name: x\n  rule: close\n", 1 },
		{ "- name: x\n  rule: use\n  frame: 'g (*)'\n", 1 },
		{ "- name: x\n  exe: prog\n", 0 },
		{ "- name: x\n  exe: pro\n", 1 },
		{ "- name: x\n  exe: '*/prog'\n", 1 }, /* its path is not known */
		{ "- name: x\n  exe: prog\n  rule: leak\n", 1 },
		{ "- name: x\n  fingerprint: 0000000000000000\n", 1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct run run;

		start(&run, cases[i].yaml);
		use_at(&run, "f (a.c:1)", 1);
		if (run.reported != cases[i].reported)
			print_message("# %s\n", cases[i].yaml);
		assert_int_equal(run.reported, cases[i].reported);
		end(&run);
	}
}

/* What -v gives to paste silences the finding, whatever the traced program is called. */
static void what_is_pasted_works(void **state)
{
	static const char *const frames[] = {
		"f (a.c:1)",      "o'brien [x]* (a b.c:77)", "\x1b[31m\n- name: y (a.c:1)",
		"\xe2\x80\xae??", "place (perf map)",        "operator\\ (x+0x12)",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
		struct run run;
		char paste[SUPPRESSION_TEXT_SIZE];

		start(&run, "");
		use_at(&run, frames[i], 1);
		assert_int_equal(run.reported, 1);
		assert_non_null(strstr(run.paste, "\n  frame: "));
		snprintf(paste, sizeof(paste), "%s", run.paste);
		for (const char *p = paste; *p; p++)
			assert_true(*p == '\n' || (*p >= ' ' && *p <= '~'));
		end(&run);
		start(&run, paste);
		use_at(&run, frames[i], 1);
		assert_int_equal(run.reported, 0);
		assert_int_equal(run.list->entries[0].used, 1);
		end(&run);
	}
}

/* Never by what is in every stack of the program, nor by what its runtime does for everybody. */
static void what_is_pasted_silences_no_more(void **state)
{
	static const struct frame alone[] = {
		{ "main (main.c:9)", 7, 0 },
		{ "PerlIOUnix_open (perl+0x1b3eaa)", 7, FDT_SITE_FRAME_LIBRARY },
		{ "open64 (libc.so.6+0x10)", 7, FDT_SITE_FRAME_SYSTEM },
		{ "<module> (/a/app.py:9)", 7, FDT_SITE_FRAME_OF(LANGUAGE_PYTHON) },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(alone) / sizeof(alone[0]); i++) {
		const struct frame frames[] = { { "read (libc.so.6+0x20)", 5,
						  FDT_SITE_FRAME_SYSTEM },
						alone[i],
						{ "_start (app+0x10)", 6, FDT_SITE_FRAME_SYSTEM } };
		struct run run;

		start(&run, "");
		tells(&run.s, 1, 0, 3, frames);
		fails_at(&run.s, FDT_SYS_read, PID, 3, EBADF, 1);
		assert_int_equal(run.reported, 1);
		assert_null(strstr(run.paste, "frame:"));
		assert_non_null(strstr(run.paste, "\n  fingerprint: '"));
		end(&run);
	}
}

static int make_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
	(void)state;
	unlink(path_of("list.yaml"));
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_list_is_read),
		cmocka_unit_test(nothing_is_an_empty_list),
		cmocka_unit_test(files_add_up),
		cmocka_unit_test(mistakes_name_file_and_line),
		cmocka_unit_test(what_no_file_can_be),
		cmocka_unit_test(entries_are_bounded),
		cmocka_unit_test(globs),
		cmocka_unit_test(a_hostile_text_takes_no_time),
		cmocka_unit_test(a_cause_is_asked_for_once),
		cmocka_unit_test(conditions_must_all_hold),
		cmocka_unit_test(what_is_pasted_works),
		cmocka_unit_test(what_is_pasted_silences_no_more),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
