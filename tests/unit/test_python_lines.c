// SPDX-License-Identifier: BSD-2-Clause
/* CPython: its line tables as it reads them itself, its names, its code objects, its files. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "symbol/python/python.h"
#include "symbol/python/python_lines.h"
#include "symbol/python/python_versions.h"

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

/* From here on this line. */
struct start {
	int address;
	unsigned int line; /* 0: none */
};

struct sample {
	uint16_t version;
	unsigned int firstline;
	int code_bytes;
	size_t table_bytes, start_count;
	const char *table;
	const struct start *starts;
};

/* Made by make_python_lines.py, which says how. */
static const struct sample samples[] = {
#include "python_lines.inc"
};

static unsigned int line_in(const struct sample *sample, int address)
{
	return python_line(sample->version, (const uint8_t *)sample->table, sample->table_bytes,
			   sample->firstline, address);
}

static void lines_are_cpythons(void **state)
{
	size_t checked = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		const struct sample *sample = &samples[i];
		size_t at = 0;

		for (int address = 0; address < sample->code_bytes; address += 2, checked++) {
			while (at + 1 < sample->start_count &&
			       sample->starts[at + 1].address <= address)
				at++;
			if (line_in(sample, address) != sample->starts[at].line)
				fail_msg("sample %zu (%x), address %d: %u, not %u", i,
					 sample->version, address, line_in(sample, address),
					 sample->starts[at].line);
		}
		assert_int_equal(line_in(sample, -2), sample->firstline);
	}
	assert_true(checked > 9 * 500);
}

/* A table of exactly that size on the heap, so that a sanitizer sees a byte too far. */
static void damaged_tables_end(void **state)
{
	unsigned int seed = 1, known = 0, none = 0;

	(void)state;
	for (int round = 0; round < 200000; round++) {
		const struct sample *sample = &samples[rand_r(&seed) % ARRAY_SIZE(samples)];
		size_t size = rand_r(&seed) % (sample->table_bytes + 1);
		uint8_t *table = malloc(size + !size);

		assert_non_null(table);
		memcpy(table, sample->table, size);
		for (int i = 0; size > 0 && i < round % 5; i++)
			table[rand_r(&seed) % size] = (uint8_t)rand_r(&seed);
		if (python_line(sample->version, table, size, (unsigned int)rand_r(&seed),
				rand_r(&seed) % 4000))
			known++;
		else
			none++;
		free(table);
	}
	assert_true(known > 0 && none > 0);
}

/* Long numbers, backwards beyond the first line, addresses at the end of the scale. */
static void odd_numbers_are_no_lines(void **state)
{
	const uint8_t endless[] = { 0xf0, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f };
	const uint8_t back[] = { 0xe8, 0x3f };

	(void)state;
	assert_int_equal(python_line(0x030d, endless, sizeof(endless), 1, 0), 0);
	assert_int_equal(python_line(0x030d, back, sizeof(back), 31, 0), 0);
	assert_int_equal(python_line(0x030d, back, sizeof(back), 32, 0), 1);
	assert_int_equal(python_line(0x030d, back, sizeof(back), 32, INT64_MAX), 0);
	assert_int_equal(python_line(0x0309, NULL, 0, 7, 12), 7);
	assert_int_equal(python_line(0x030a, NULL, 0, 7, 12), 0);
	assert_int_equal(python_line(0x0309, NULL, 0, 0xffffffff, 0), 0);
}

/* ---- names ---- */

#define STATE(kind, ascii) ((uint32_t)(kind) << 2 | 1u << 5 | (uint32_t)(ascii) << 6)

static void assert_name(uint32_t kind_state, const void *bytes, size_t length, const char *expected)
{
	char text[64];

	assert_int_equal(python_name(kind_state, bytes, length, text, sizeof(text)),
			 strlen(expected));
	assert_string_equal(text, expected);
}

static void names_become_utf8(void **state)
{
	const uint16_t two[] = { 0x20ac, 'a', 0xd800 };
	const uint32_t four[] = { 0x1f40d, 'b', 0x110000 };

	(void)state;
	assert_name(STATE(1, 1), "spam", 4, "spam");
	assert_name(STATE(1, 0), "no\xf1", 3, "no\u00f1");
	assert_name(STATE(2, 0), two, sizeof(two), "\u20aca\ufffd");
	assert_name(STATE(4, 0), four, sizeof(four), "\U0001f40db\ufffd");
	assert_name(STATE(1, 1), "2.7: \xc3\xb1 \xff", 9, "2.7: \u00f1 \ufffd");
	assert_name(STATE(2, 0), two, 3, "\u20ac\ufffd");
	assert_name(STATE(3, 0), "abc", 3, "\ufffd");
	assert_name(STATE(0, 0), "abc", 3, "\ufffd");
	assert_name(STATE(1, 1), "", 0, "");
	assert_name(STATE(1, 1), "a\0b", 3,
		    "a\ufffd"
		    "b");
}

static void names_stay_in_their_room(void **state)
{
	unsigned int seed = 2;

	(void)state;
	for (int round = 0; round < 50000; round++) {
		size_t length = rand_r(&seed) % 40, size = 1 + rand_r(&seed) % 40;
		uint8_t *bytes = malloc(length + 1);
		char *text = malloc(size);

		assert_true(bytes && text);
		for (size_t i = 0; i < length; i++)
			bytes[i] = (uint8_t)rand_r(&seed);
		assert_true(python_name((uint32_t)rand_r(&seed), bytes, length, text, size) < size);
		assert_non_null(memchr(text, '\0', size));
		free(bytes);
		free(text);
	}
}

/* ---- code objects ---- */

struct record {
	struct fdt_code code;
	char bytes[64];
};

static struct record record_of(uint64_t space, uint64_t address, const char *name)
{
	struct record r = { .code = { .space = space,
				      .address = address,
				      .firstline = 5,
				      .filename_state = STATE(1, 1),
				      .qualname_state = STATE(1, 1),
				      .filename_bytes = 4,
				      .qualname_bytes = (uint16_t)strlen(name),
				      .table_bytes = 2 } };

	memcpy(r.bytes, "a.py", 4);
	memcpy(r.bytes + 4, name, strlen(name));
	memcpy(r.bytes + 4 + strlen(name), "\x04\x03", 2); /* lnotab: 3 lines on at byte 4 */
	r.code.head.size = (uint16_t)(sizeof(r.code) + 6 + strlen(name));
	return r;
}

static void assert_place(struct python_codes *codes, uint64_t space, uint64_t address,
			 const char *function)
{
	struct fdt_frame frame = { .address = address, .instruction = 4 };
	struct python_place place;

	assert_int_equal(python_place(codes, &python_build_by_version(0x0309)->offsets, space,
				      &frame, &place),
			 0);
	assert_string_equal(place.function, function);
	assert_string_equal(place.file, "a.py");
	assert_int_equal(place.line, 8);
}

static int place_missing(struct python_codes *codes, uint64_t space, uint64_t address)
{
	struct fdt_frame frame = { .address = address };
	struct python_place place;

	return python_place(codes, &python_build_by_version(0x0309)->offsets, space, &frame,
			    &place);
}

static void codes_are_kept_and_replaced(void **state)
{
	struct record f = record_of(1, 0x1000, "f"), g = record_of(1, 0x1000, "g"),
		      other = record_of(2, 0x1000, "other");
	struct python_codes *codes;

	(void)state;
	assert_int_equal(python_codes_new(&codes), 0);
	assert_int_equal(python_codes_note(codes, &f.code), 0);
	assert_int_equal(python_codes_note(codes, &other.code), 0);
	assert_place(codes, 1, 0x1000, "f");
	assert_int_equal(python_codes_note(codes, &g.code), 0);
	assert_place(codes, 1, 0x1000, "g");
	assert_place(codes, 2, 0x1000, "other");
	python_codes_free(codes);
	python_codes_free(NULL);
}

static void the_least_used_go_first(void **state)
{
	struct python_codes *codes;

	(void)state;
	assert_int_equal(python_codes_new(&codes), 0);
	for (uint64_t i = 0; i <= PYTHON_CODES_MAX; i++) {
		struct record r = record_of(1, i * 64, "f");

		assert_int_equal(python_codes_note(codes, &r.code), 0);
		assert_place(codes, 1, 0, "f"); /* used all the time */
	}
	assert_place(codes, 1, (uint64_t)PYTHON_CODES_MAX * 64, "f");
	assert_int_equal(place_missing(codes, 1, 64), -ENOENT);
	assert_place(codes, 1, 128, "f");
	python_codes_free(codes);
}

static void records_that_contradict_are_refused(void **state)
{
	struct record r = record_of(1, 0x1000, "f");
	struct python_codes *codes;

	(void)state;
	assert_int_equal(python_codes_new(&codes), 0);
	r.code.table_bytes++;
	assert_int_equal(python_codes_note(codes, &r.code), -EINVAL);
	r = record_of(1, 0x1000, "f");
	r.code.qualname_bytes = FDT_CODE_NAME_MAX + 1;
	r.code.head.size = 0xffff;
	assert_int_equal(python_codes_note(codes, &r.code), -EINVAL);
	r = record_of(1, 0x1000, "f");
	r.code.head.size = sizeof(r.code.head);
	assert_int_equal(python_codes_note(codes, &r.code), -EINVAL);
	assert_int_equal(place_missing(codes, 1, 0x1000), -ENOENT);
	python_codes_free(codes);
}

/* ---- files ---- */

static int recognise(const char *path, struct fdt_python *ret_python, char description[128])
{
	struct elf_file *file;
	int fd = open(path, O_RDONLY | O_CLOEXEC), result;

	assert_true(fd >= 0);
	assert_int_equal(elf_file_open(fd, path, &file), 0);
	result = python_recognise(file, ret_python, description, 128);
	elf_file_free(file);
	return result;
}

static void debians_python_is_recognised(void **state)
{
	struct fdt_python python = { 0 };
	char description[128] = "";

	(void)state;
	assert_int_equal(recognise("/usr/bin/python3.11", &python, description), 1);
	assert_int_equal(python.version, 0x030b);
	assert_true(strncmp(description, "CPython 3.11.", 13) == 0);
	assert_true(python.runtime_vaddr != 0);
	assert_int_equal(recognise("/proc/self/exe", &python, description), 0);
}

#define VERSIONS_FOLDER ".pyenv/versions"

static void installed_version_is_recognised(const char *folder, const char *name)
{
	struct fdt_python python = { 0 };
	unsigned int major, minor;
	char path[1024], description[128] = "";

	if (sscanf(name, "%u.%u", &major, &minor) != 2)
		return;
	snprintf(path, sizeof(path), "%s/%s/lib/libpython%u.%u%s.so.1.0", folder, name, major,
		 minor, major == 3 && minor <= 7 ? "m" : "");
	if (access(path, R_OK) != 0) {
		print_message("skipped: %s has no shared library\n", name);
		return;
	}
	assert_int_equal(recognise(path, &python, description), 1);
	assert_int_equal(python.version, major << 8 | minor);
	print_message("%s: %s\n", name, description);
}

static void installed_versions_are_recognised(void **state)
{
	const char *home = getenv("HOME");
	char folder[512];
	struct dirent *entry;
	DIR *versions;

	(void)state;
	snprintf(folder, sizeof(folder), "%s/" VERSIONS_FOLDER, home ? home : "");
	versions = opendir(folder);
	if (!versions) {
		print_message("no " VERSIONS_FOLDER " in the home folder\n");
		skip();
	}
	while ((entry = readdir(versions)))
		installed_version_is_recognised(folder, entry->d_name);
	closedir(versions);
}

static void debug_offsets_are_checked(void **state)
{
	const struct fdt_python *known = &python_build_by_version(0x030d)->offsets;
	uint64_t words[PYTHON_DEBUG_WORDS] = { 0 };
	struct fdt_python offsets;

	(void)state;
	words[PYTHON_DEBUG_THREAD_ID] = known->thread_id;
	words[PYTHON_DEBUG_STRING_ASCII] = known->string_ascii;
	assert_int_equal(python_build_from_debug(words, &offsets), 0);
	assert_int_equal(offsets.thread_id, known->thread_id);
	assert_int_equal(offsets.string_compact, known->string_compact);
	assert_true(offsets.flags & FDT_PY_LIST_WALK);
	words[PYTHON_DEBUG_FRAME_OWNER] = 72;
	assert_int_equal(python_build_from_debug(words, &offsets), -EINVAL);
}

static void evaluation_is_known(void **state)
{
	(void)state;
	assert_true(python_is_eval("_PyEval_EvalFrameDefault"));
	assert_true(python_is_eval("_PyEval_EvalFrameDefault.cold"));
	assert_true(python_is_eval("PyEval_EvalFrameEx"));
	assert_false(python_is_eval("_PyEval_EvalFrameDefaultly"));
	assert_false(python_is_eval("_PyEval_Vector"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_cpythons),
		cmocka_unit_test(damaged_tables_end),
		cmocka_unit_test(odd_numbers_are_no_lines),
		cmocka_unit_test(names_become_utf8),
		cmocka_unit_test(names_stay_in_their_room),
		cmocka_unit_test(codes_are_kept_and_replaced),
		cmocka_unit_test(the_least_used_go_first),
		cmocka_unit_test(records_that_contradict_are_refused),
		cmocka_unit_test(debians_python_is_recognised),
		cmocka_unit_test(installed_versions_are_recognised),
		cmocka_unit_test(debug_offsets_are_checked),
		cmocka_unit_test(evaluation_is_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
