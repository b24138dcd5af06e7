// SPDX-License-Identifier: BSD-2-Clause
/* YAML by tables: every kind of row, every mistake with its place, and hostile files. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "util/error.h"
#include "util/yaml_reader.h"

#define COLOURS_MAX 4
#define WHEELS_MAX 3

struct wheel {
	const char *maker;
	uint64_t inches;
};

struct car {
	const char *name;
	bool fast;
	unsigned int fuel;
	uint64_t seats, doors;
	const char **colours;
	unsigned int colour_count;
	struct wheel wheels[WHEELS_MAX];
	unsigned int wheel_count;
	struct {
		const char *firm;
		uint64_t years;
	} warranty;
};

static int take_number(struct yaml_reader *r, const struct yaml_row *row,
		       const struct yaml_node *node, void *field)
{
	char *end;
	uint64_t number = strtoull(node->text, &end, 10);

	if (*end)
		return yaml_refuse(r, node, NULL, "%s: invalid value \"%s\"", row->key, node->text);
	if (number < row->min || number > row->max)
		return yaml_refuse(r, node, NULL, "%s: out of range", row->key);
	*(uint64_t *)field = number;
	return 0;
}

static int check_car(struct yaml_reader *r, const struct yaml_node *node, void *record)
{
	struct car *car = record;

	assert_ptr_equal(r->ctx, car);
	if (car->fast && car->seats > 2)
		return yaml_refuse(r, yaml_value(node, "seats"), NULL, "too many seats");
	return 0;
}

/* A row from elsewhere, as those of `set:` are. */
static bool extra_row(size_t index, struct yaml_row *ret_row)
{
	if (index > 1)
		return false;
	*ret_row = (struct yaml_row){ .key = index ? "extra.two" : "extra.one",
				      .type = YAML_NUMBER,
				      .offset = offsetof(struct car, doors),
				      .max = 9,
				      .take = take_number };
	return true;
}

static const char *const fuels[] = { "petrol", "wood", NULL };
static const struct wheel standard_wheel = { .inches = 15 };
static const struct yaml_row wheel_rows[] = {
	{ .key = "maker",
	  .type = YAML_TEXT,
	  .offset = offsetof(struct wheel, maker),
	  .required = true,
	  .remedy = "name one" },
	{ .key = "inches",
	  .type = YAML_NUMBER,
	  .offset = offsetof(struct wheel, inches),
	  .min = 10,
	  .max = 30,
	  .take = take_number },
	{ .key = NULL },
};
static const struct yaml_row warranty_rows[] = {
	{ .key = "firm",
	  .type = YAML_TEXT,
	  .offset = offsetof(struct car, warranty.firm),
	  .restart = true },
	{ .key = "years",
	  .type = YAML_NUMBER,
	  .offset = offsetof(struct car, warranty.years),
	  .max = 99,
	  .take = take_number },
	{ .key = NULL },
};
static const struct yaml_row car_rows[] = {
	{ .key = "name", .type = YAML_TEXT, .offset = offsetof(struct car, name), .restart = true },
	{ .key = "fast", .type = YAML_BOOL, .offset = offsetof(struct car, fast), .restart = true },
	{ .key = "fuel",
	  .type = YAML_WORD,
	  .offset = offsetof(struct car, fuel),
	  .words = fuels,
	  .restart = true },
	{ .key = "seats",
	  .type = YAML_NUMBER,
	  .offset = offsetof(struct car, seats),
	  .min = 1,
	  .max = 9,
	  .take = take_number,
	  .restart = true },
	{ .key = "remark", .type = YAML_OTHER },
	{ .key = "colours",
	  .type = YAML_TEXTS,
	  .offset = offsetof(struct car, colours),
	  .count = offsetof(struct car, colour_count),
	  .max = COLOURS_MAX },
	{ .key = "wheels",
	  .type = YAML_RECORDS,
	  .offset = offsetof(struct car, wheels),
	  .count = offsetof(struct car, wheel_count),
	  .max = WHEELS_MAX,
	  .rows = wheel_rows,
	  .size = sizeof(struct wheel),
	  .standard = &standard_wheel },
	{ .key = "warranty", .type = YAML_RECORD, .rows = warranty_rows },
	{ .key = "extra", .type = YAML_RECORD, .row_at = extra_row, .remedy = "one or two" },
	{ .key = NULL },
};
static const struct yaml_row car_file = { .type = YAML_RECORD,
					  .rows = car_rows,
					  .check = check_car };
static const struct yaml_row wheel_file = {
	.type = YAML_RECORDS, .max = WHEELS_MAX, .rows = wheel_rows, .size = sizeof(struct wheel)
};

static char folder[] = "/tmp/fdtrace-yaml-XXXXXX";
static char path[128];

static void write_bytes(const char *text, size_t size)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, size, file), size);
	assert_int_equal(fclose(file), 0);
}

static int read_bytes(struct yaml_reader *r, const char *text, size_t size, struct car *car,
		      struct error *error)
{
	int err;

	*error = (struct error){ 0 };
	*r = (struct yaml_reader){ .error = error, .ctx = car };
	write_bytes(text, size);
	err = yaml_reader_open(r, path, false);
	return err ? err : yaml_reader_fill(r, &car_file, car);
}

static void refused_bytes(const char *text, size_t size, const char *place, const char *expected)
{
	struct car car = { 0 };
	struct error error;
	struct yaml_reader r;
	char start[160];

	assert_int_equal(read_bytes(&r, text, size, &car, &error), -EINVAL);
	assert_int_equal(error.status, EXIT_USAGE);
	snprintf(start, sizeof(start), "%s:%s: ", path, place);
	if (strncmp(error.what, start, strlen(start)) || !strstr(error.what, expected))
		print_message("# %s\n# expected: %s%s\n", error.what, start, expected);
	assert_memory_equal(error.what, start, strlen(start));
	assert_non_null(strstr(error.what, expected));
	yaml_reader_done(&r);
}

static void refused(const char *text, const char *place, const char *expected)
{
	refused_bytes(text, strlen(text), place, expected);
}

static void taken(const char *text)
{
	struct car car = { .seats = 4 };
	struct error error;
	struct yaml_reader r;

	if (read_bytes(&r, text, strlen(text), &car, &error))
		fail_msg("%s: %s", text, error.what);
	yaml_reader_done(&r);
}

static void all_kinds_are_taken(void **state)
{
	static const char text[] = "# comment\n"
				   "name: Käfer\n"
				   "fast: true\n"
				   "fuel: wood\n"
				   "seats: 2\n"
				   "remark: ignored\n"
				   "colours: [red, 'light green']\n"
				   "wheels:\n"
				   "- maker: one\n"
				   "- {maker: two, inches: 17}\n"
				   "warranty: {firm: \"a\\tb\"}\n"
				   "extra: {extra.two: 5}\n";
	struct car car = { .seats = 4, .warranty.years = 3 };
	struct error error;
	struct yaml_reader r;

	(void)state;
	assert_int_equal(read_bytes(&r, text, strlen(text), &car, &error), 0);
	assert_string_equal(car.name, "Käfer");
	assert_true(car.fast);
	assert_int_equal(car.fuel, 1);
	assert_int_equal(car.seats, 2);
	assert_int_equal(car.colour_count, 2);
	assert_string_equal(car.colours[1], "light green");
	assert_int_equal(car.wheel_count, 2);
	assert_string_equal(car.wheels[0].maker, "one");
	assert_int_equal(car.wheels[0].inches, 15);
	assert_int_equal(car.wheels[1].inches, 17);
	assert_string_equal(car.warranty.firm, "a\tb");
	assert_int_equal(car.warranty.years, 3);
	assert_int_equal(car.doors, 5);
	yaml_reader_done(&r);
}

static void nothing_changes_nothing(void **state)
{
	static const char *const texts[] = {
		"", "\n\n", "# no more\n", "---\n", "---\n...\n", "{}", "\xef\xbb\xbf# with a BOM\n"
	};
	struct car car = { .seats = 4, .wheel_count = 1 };
	struct error error;
	struct yaml_reader r;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_int_equal(read_bytes(&r, texts[i], strlen(texts[i]), &car, &error), 0);
		assert_int_equal(car.seats, 4);
		yaml_reader_done(&r);
	}
	assert_int_equal(read_bytes(&r, "wheels: []\n", 11, &car, &error), 0);
	assert_int_equal(car.wheel_count, 1);
	yaml_reader_done(&r);
}

static void mistakes_have_a_place(void **state)
{
	(void)state;
	refused("name: a\nnaem: b\n", "2:1", "unknown key \"naem\"");
	refused("warranty:\n  firn: b\n", "2:3", "unknown key \"firn\"");
	refused("extra: {extra.three: 1}\n", "1:9", "unknown key \"extra.three\"");
	refused("<<: {name: a}\n", "1:1", "unknown key \"<<\"");
	refused("name: a\nseats: 1\nname: a\n", "3:1", "\"name\" is given twice, first in line 1");
	refused("wheels: [{maker: a, maker: b}]\n", "1:21", "\"maker\" is given twice");
	refused("wheels:\n- maker: a\n- inches: 12\n", "3:3", "an entry of wheels has no maker");
	refused("seats: 10\n", "1:8", "seats: out of range");
	refused("wheels: [{maker: a, inches: 9}]\n", "1:29", "inches: out of range");
	refused("seats: many\n", "1:8", "seats: invalid value \"many\"");
	refused("fuel: water\n", "1:7", "fuel: invalid value \"water\"");
	refused("fast: yes\n", "1:7", "fast: invalid value \"yes\"");
	refused("seats: 4\nfast: true\n", "1:8", "too many seats");
	refused("name:\nseats: 1\n", "1:6", "name is empty");
	refused("colours: ['']\n", "1:11", "an entry of colours is empty");
	refused("colours: [a, b, c, d, e]\n", "1:23", "more than 4 entries");
	refused("wheels:\n- maker: a\n- maker: b\n- maker: c\n- maker: d\n", "5:3",
		"more than 3 entries");
}

static void types_are_compared(void **state)
{
	(void)state;
	refused("- name\n", "1:1", "the file must be a mapping (key: value), not a list");
	refused("Käfer und so\n", "1:1", "not \"Käfer und so\"");
	refused("name: [a]\n", "1:7", "name must be plain text, not a list");
	refused("seats: {a: 1}\n", "1:8", "seats must be plain text, not a mapping");
	refused("colours: red\n", "1:10", "colours must be a list (- ...), not \"red\"");
	refused("colours:\n", "1:9", "colours must be a list (- ...), but it is empty");
	refused("colours: [[red]]\n", "1:11", "an entry of colours must be plain text, not a list");
	refused("wheels: {maker: a}\n", "1:9", "wheels must be a list (- ...), not a mapping");
	refused("wheels: [a]\n", "1:10", "an entry of wheels must be a mapping (key: value)");
	refused("warranty: [a]\n", "1:11", "warranty must be a mapping (key: value), not a list");
	refused("warranty: 3\n", "1:11", "warranty must be a mapping (key: value), not \"3\"");
	refused("? [a]\n: b\n", "1:3", "a key must be plain text");
	refused("{{a: b}: c}\n", "1:2", "a key must be plain text");
}

static void a_list_is_a_file_too(void **state)
{
	struct wheel wheels[WHEELS_MAX];
	struct error error = { 0 };
	struct yaml_reader r = { .error = &error };

	(void)state;
	write_bytes("- maker: a\n- maker: b\n  inches: 20\n", 35);
	assert_int_equal(yaml_reader_open(&r, path, false), 0);
	assert_int_equal(r.tree.root->count, 2);
	assert_int_equal(yaml_reader_fill(&r, &wheel_file, wheels), 0);
	assert_string_equal(wheels[1].maker, "b");
	assert_int_equal(wheels[0].inches, 0);
	yaml_reader_done(&r);
	write_bytes("maker: a\n", 9);
	assert_int_equal(yaml_reader_open(&r, path, false), 0);
	assert_int_equal(yaml_reader_fill(&r, &wheel_file, wheels), -EINVAL);
	assert_non_null(strstr(error.what, ":1:1: the file must be a list (- ...), not a mapping"));
	yaml_reader_done(&r);
}

static void remedies_help(void **state)
{
	static const struct {
		const char *text, *remedy;
	} cases[] = {
		{ "naem: a\n", "did you mean \"name\"?" },
		{ "wheels: [{zzz: a}]\n", "the keys are maker, inches" },
		{ "wheels: [{inches: 12}]\n", "name one" },
		{ "fuel: water\n", "allowed: petrol, wood" },
		{ "fast: 1\n", "allowed: false, true" },
	};
	struct car car = { 0 };
	struct error error;
	struct yaml_reader r;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(read_bytes(&r, cases[i].text, strlen(cases[i].text), &car, &error),
				 -EINVAL);
		assert_string_equal(error.remedy, cases[i].remedy);
		yaml_reader_done(&r);
	}
}

static void no_yaml_is_refused(void **state)
{
	(void)state;
	refused("name: 'open\n\n\n", "1:7", "invalid YAML: ");
	refused("name: a: b\n", "1:8", "invalid YAML: ");
	refused("name: [a\n", "2:1", "invalid YAML: ");
	refused("\tname: a\n", "1:1", "invalid YAML: ");
	refused("name: a\n---\nname: b\n", "2:1", "more than one document");
	refused("--- {}\n...\n--- {}\n", "3:1", "more than one document");
	refused_bytes("name: a\0b\n", 10, "1:8", "invalid YAML: control characters");
	refused("name: \"a\\0b\"\n", "1:7", "NUL character");
	refused("\"na\\0me\": a\n", "1:1", "NUL character");
	refused("name: \xc3\xa4\xff\n", "1:8", "invalid YAML: ");
	refused("# \xc3\xa4\n# \xed\xa0\x80\n", "2:3", "invalid YAML: ");
	refused("name: \xf4\x90\x80\x80\n", "1:7", "invalid YAML: ");
	refused("name: \xc3", "1:7", "invalid YAML: ");
	refused_bytes("\xff\xfe{\0}\0", 6, "1:1", "invalid YAML: ");
	refused("fuel: \"\\e[31m\xe2\x80\xae\"\n", "1:7", "\\x1B[31m\\u{202E}");
	refused("\"\\e]0;x\": 1\n", "1:1", "unknown key \"\\x1B]0;x\"");
}

static void aliases_are_refused(void **state)
{
	static const char laughs[] = "a: &a [x,x,x,x,x,x,x,x,x]\n"
				     "b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
				     "c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n"
				     "d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\n";

	(void)state;
	refused(laughs, "2:8", "aliases (*name) are not supported");
	refused("name: &x a\nremark: *x\n", "2:9", "aliases");
	refused("warranty: &x\n  firm: *x\n", "2:9", "aliases");
	refused("? *x\n: a\n", "1:3", "aliases");
	refused("remark: *none\n", "1:9", "aliases");
	taken("name: &x a\n");
}

/* --- large files --- */

#define FLOOD_BYTES YAML_BYTES_MAX

/* A file of the piece again and again; "%" stands for a number that grows. */
static size_t flood(char *text, const char *start, const char *piece, size_t size)
{
	size_t used = (size_t)sprintf(text, "%s", start);

	for (unsigned int i = 0; used + strlen(piece) + 16 < size; i++)
		for (const char *p = piece; *p; p++)
			used += (size_t)(*p == '%' ? sprintf(text + used, "%x", i)
						   : sprintf(text + used, "%c", *p));
	return used;
}

static double cpu_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void floods_cost_little(void **state)
{
	static const struct {
		const char *start, *piece, *expected;
	} cases[] = {
		{ "", "[", "nested too deeply" },
		{ "", "{a: ", "nested too deeply" },
		{ "", "{? ", "a key must be plain text" },
		{ "", "- ", "nested too deeply" },
		{ "", "? ", "a key must be plain text" },
		{ "", "[\n", "nested too deeply" },
		{ "remark: [", "a,", "too many keys and values" },
		{ "remark: [", "[],", "too many keys and values" },
		{ "", "k%: v\n", "too many keys and values" },
		{ "", "a: b\n", "too many keys and values" },
		{ "", "&a ", "" },
		{ "", "!!str ", "" },
		{ "", "%YAML 1.1\n", "" },
		{ "", "---\n", "more than one document" },
		{ "", "...\n", "invalid YAML" },
		{ "", "# comment\n", NULL },
		{ "", "\n", NULL },
		{ "remark: '", "a\n", "" },
		{ "remark: \"", "\\L", "" },
		{ "remark: |\n", " a\n", "remark is too long" },
		{ "remark: >\n", "\n", "remark is empty" },
		{ "remark: &", "a", "" },
		{ "remark: !<", "a", "" },
		{ "name: a", "a", "name is too long" },
		{ "", "a", "" },
		{ "\"", "\\x41", "" },
		{ "", "]", "" },
		{ "", ":", "" },
		{ "", ",", "" },
		{ "", "\xef\xbb\xbf", "" },
		{ "", "\xe2\x80\xa8", NULL },
		{ "", "\r", NULL },
	};
	char *text = malloc(FLOOD_BYTES + 64);
	struct car car = { 0 };
	struct error error;
	struct yaml_reader r;
	bool bad = false;

	(void)state;
	assert_non_null(text);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t size = flood(text, cases[i].start, cases[i].piece, FLOOD_BYTES);
		double began = cpu_s(), took;
		int err = read_bytes(&r, text, size, &car, &error);

		took = cpu_s() - began;
		yaml_reader_done(&r);
		if (!!err == !!cases[i].expected && took < 10 &&
		    (!err || strstr(error.what, cases[i].expected)))
			continue;
		print_message("# %s%s...: %f s: %s\n", cases[i].start, cases[i].piece, took,
			      error.what);
		bad = true;
	}
	free(text);
	assert_false(bad);
}

/* libyaml compares each directive with all before it: 75,000 of them would take it a minute. */
static void directives_are_counted(void **state)
{
	char *text = malloc(FLOOD_BYTES + 64);
	double began = cpu_s();
	size_t size = 0;

	(void)state;
	assert_non_null(text);
	for (unsigned int i = 0; size < FLOOD_BYTES - 64; i++)
		size += (size_t)sprintf(text + size, "%%TAG !%x! b\n", i);
	size += (size_t)sprintf(text + size, "--- {}\n");
	refused_bytes(text, size, "17:1", "too many %TAG directives");
	assert_true(cpu_s() - began < 10);
	free(text);
	taken("%TAG !a! b\n--- {name: c}\n");
	taken("remark: '100%TAG'\n");
}

static void bounds_are_exact(void **state)
{
	char *text = malloc(FLOOD_BYTES + 64);
	size_t used = (size_t)sprintf(text, "remark: [");

	(void)state;
	/* the mapping, the key and the list are nodes, too */
	for (int i = 3; i < YAML_NODES_MAX; i++)
		used += (size_t)sprintf(text + used, "a,");
	sprintf(text + used, "]\n");
	refused(text, "1:9", "remark must be plain text");
	sprintf(text + used, "a]\n");
	refused(text, "1:40004", "too many keys and values");
	memset(text, '[', YAML_DEPTH_MAX);
	memset(text + YAML_DEPTH_MAX, ']', YAML_DEPTH_MAX);
	text[2 * YAML_DEPTH_MAX] = '\0';
	refused(text, "1:1", "the file must be a mapping");
	used = (size_t)sprintf(text, "name: ");
	memset(text + used, 'a', YAML_TEXT_MAX + 1);
	text[used + YAML_TEXT_MAX + 1] = '\0';
	refused(text, "1:7", "name is too long: 4096 bytes, at most 4095");
	text[used + YAML_TEXT_MAX] = '\0';
	taken(text);
	free(text);
}

/* --- files --- */

static void cannot_be_read(const char *where, bool pipes, int err, const char *expected)
{
	struct error error = { 0 };
	struct yaml_reader r = { .error = &error };

	assert_int_equal(yaml_reader_open(&r, where, pipes), err);
	assert_non_null(strstr(error.what, where));
	assert_non_null(strstr(error.what, expected));
	yaml_reader_done(&r);
}

static void what_is_no_file_is_refused(void **state)
{
	char *text = calloc(1, YAML_BYTES_MAX + 1);

	(void)state;
	assert_non_null(text);
	memset(text, '\n', YAML_BYTES_MAX + 1);
	write_bytes(text, YAML_BYTES_MAX + 1);
	cannot_be_read(path, false, -EFBIG, "it is larger than 1 MiB");
	write_bytes(text, YAML_BYTES_MAX);
	free(text);
	taken("");
	unlink(path);
	cannot_be_read(path, false, -ENOENT, "No such file");
	cannot_be_read(folder, false, -EISDIR, "it is a directory");
	cannot_be_read("/dev/zero", false, -EINVAL, "not a regular file");
	cannot_be_read("/dev/zero", true, -EFBIG, "it is larger than 1 MiB");
	assert_int_equal(mkfifo(path, 0600), 0);
	cannot_be_read(path, false, -EINVAL, "not a regular file");
	unlink(path);
}

/* --- what needs a restart --- */

static void add_name(void *ctx, const char *name)
{
	strcat(strcat(ctx, name), " ");
}

static void differences_are_named(void **state)
{
	const struct car one = { .name = "a", .seats = 4, .warranty = { "x", 1 } };
	char same[] = "a";
	struct car other = one;
	char names[128] = "";

	(void)state;
	other.name = same;        /* the text counts, not where it is */
	other.warranty.years = 2; /* not marked */
	yaml_each_restart(car_rows, &one, &other, add_name, names);
	assert_string_equal(names, "");
	other = (struct car){ .name = NULL, .fast = true, .fuel = 1, .seats = 5 };
	yaml_each_restart(car_rows, &one, &other, add_name, names);
	assert_string_equal(names, "name fast fuel seats warranty.firm ");
}

static int make_folder(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/car.yaml", folder);
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
		cmocka_unit_test(all_kinds_are_taken),
		cmocka_unit_test(nothing_changes_nothing),
		cmocka_unit_test(mistakes_have_a_place),
		cmocka_unit_test(types_are_compared),
		cmocka_unit_test(a_list_is_a_file_too),
		cmocka_unit_test(remedies_help),
		cmocka_unit_test(no_yaml_is_refused),
		cmocka_unit_test(aliases_are_refused),
		cmocka_unit_test(floods_cost_little),
		cmocka_unit_test(directives_are_counted),
		cmocka_unit_test(bounds_are_exact),
		cmocka_unit_test(what_is_no_file_is_refused),
		cmocka_unit_test(differences_are_named),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
