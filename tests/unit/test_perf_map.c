// SPDX-License-Identifier: BSD-2-Clause
/* Maps of functions made at run time: what is understood, what is refused, and damaged ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "symbol/perf_map.h"

static struct perf_map *map_of(const void *text, size_t size)
{
	int fd = memfd_create("map", MFD_CLOEXEC);
	struct perf_map *map = NULL;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, size), (ssize_t)size);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(perf_map_read(fd, &map), 0);
	return map;
}

#define MAP_OF(text) map_of(text, sizeof(text) - 1)

static void finds_names(void **state)
{
	struct perf_map *map = MAP_OF("7f00 10 LazyCompile:~f x.js:1\n0x7e00 0x20 py::g:/a b.py\n"
				      "8000 40 outer\n8010 8 inner\n");

	(void)state;
	assert_string_equal(perf_map_find(map, 0x7f00), "LazyCompile:~f x.js:1");
	assert_string_equal(perf_map_find(map, 0x7f0f), "LazyCompile:~f x.js:1");
	assert_null(perf_map_find(map, 0x7f10));
	assert_null(perf_map_find(map, 0x7dff));
	assert_string_equal(perf_map_find(map, 0x7e1f), "py::g:/a b.py");
	assert_string_equal(perf_map_find(map, 0x8017), "inner");
	assert_string_equal(perf_map_find(map, 0x8018), "outer");
	perf_map_free(map);
	perf_map_free(NULL);
}

static void the_latest_line_wins(void **state)
{
	struct perf_map *map = MAP_OF("1000 100 old\n1080 20 older still\n1000 100 new\n");

	(void)state;
	assert_string_equal(perf_map_find(map, 0x1000), "new");
	assert_string_equal(perf_map_find(map, 0x1088), "new");
	perf_map_free(map);
}

static void passes_over_what_it_does_not_understand(void **state)
{
	struct perf_map *map = MAP_OF("\n \nx y z\n-1000 10 sign\n1000 0 empty\n2000 10\n2000 10 \n"
				      "ffffffffffffffff 2 wraps\n10000000000001000 10 long number\n"
				      "3000 10 nul\0led\n4000 10 good\n5000 10 no newline yet");

	(void)state;
	assert_string_equal(perf_map_find(map, 0x4000), "good");
	for (uint64_t address = 0; address < 0x6000; address += 0x10)
		assert_true(address == 0x4000 || !perf_map_find(map, address));
	assert_null(perf_map_find(map, UINT64_MAX));
	perf_map_free(map);
	perf_map_free(MAP_OF(""));
}

static void cuts_what_is_too_long(void **state)
{
	size_t size = PERF_MAP_MAX_BYTES + 4096;
	char *text = malloc(size);
	struct perf_map *map;

	(void)state;
	assert_non_null(text);
	memset(text, 'x', size);
	memcpy(text, "1000 10 ", 8);
	text[100000] = '\n';
	memcpy(text + size - 100, "\n2000 10 beyond\n", 16);
	map = map_of(text, size);
	assert_int_equal(strlen(perf_map_find(map, 0x1000)), 1024);
	assert_null(perf_map_find(map, 0x2000));
	perf_map_free(map);
	free(text);
}

static void path_of_mine(char *path, size_t size)
{
	snprintf(path, size, "/tmp/perf-%d.map", (int)getpid());
}

static void write_mine(const char *path, int flags, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC | flags, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static void reads_the_map_of_a_process(void **state)
{
	struct perf_map *map = NULL;
	char path[64];

	(void)state;
	path_of_mine(path, sizeof(path));
	assert_int_equal(perf_map_open(getpid(), &map), -ENOENT);
	write_mine(path, O_CREAT | O_EXCL, "1000 10 f\n");
	assert_int_equal(perf_map_open(getpid(), &map), 0);
	assert_string_equal(perf_map_find(map, 0x1000), "f");
	assert_false(perf_map_is_stale(map, getpid()));
	write_mine(path, O_APPEND, "2000 10 g\n");
	assert_true(perf_map_is_stale(map, getpid()));
	assert_int_equal(unlink(path), 0);
	assert_false(perf_map_is_stale(map, getpid()));
	perf_map_free(map);
}

/* Without following, and without waiting for a writer. */
static void refuses_what_is_no_file(void **state)
{
	struct perf_map *map = NULL;
	char path[64];

	(void)state;
	path_of_mine(path, sizeof(path));
	assert_int_equal(symlink("/etc/passwd", path), 0);
	assert_int_equal(perf_map_open(getpid(), &map), -EPERM);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(perf_map_open(getpid(), &map), -EPERM);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(perf_map_open(getpid(), &map), -EPERM);
	assert_int_equal(rmdir(path), 0);
	assert_null(map);
}

static void survives_damaged_maps(void **state)
{
	static const char good[] =
		"1000 100 f\n1100 10 g\n1080 8 h in f\n0x2000 0x10 i\n3000 10 j\n";
	static const char byte[] = "0f x\n-\0 \xff";
	unsigned int seed = 1, found = 0;
	char text[sizeof(good)];

	(void)state;
	for (int round = 0; round < 3000; round++) {
		struct perf_map *map;

		memcpy(text, good, sizeof(good));
		for (int n = rand_r(&seed) % 8; n >= 0; n--)
			text[rand_r(&seed) % (sizeof(good) - 1)] =
				byte[rand_r(&seed) % (sizeof(byte) - 1)];
		map = map_of(text, rand_r(&seed) % sizeof(good));
		for (uint64_t address = 0; address < 0x4000; address += 8) {
			const char *name = perf_map_find(map, address);

			assert_true(!name || (name[0] && strlen(name) < sizeof(good)));
			found += name != NULL;
		}
		perf_map_free(map);
	}
	assert_true(found > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_names),
		cmocka_unit_test(the_latest_line_wins),
		cmocka_unit_test(passes_over_what_it_does_not_understand),
		cmocka_unit_test(cuts_what_is_too_long),
		cmocka_unit_test(reads_the_map_of_a_process),
		cmocka_unit_test(refuses_what_is_no_file),
		cmocka_unit_test(survives_damaged_maps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
