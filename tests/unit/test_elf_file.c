// SPDX-License-Identifier: BSD-2-Clause
/* ELF files: this very program, libc, the vdso, copies without symbols, with separate ones, and damaged ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "symbol/elf/elf_file.h"

static struct elf_file *open_file(const char *path)
{
	struct elf_file *file = NULL;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(elf_file_open(fd, path, &file), 0);
	return file;
}

/* Where an address of this process lies: the file's path, and its address there. */
static uint64_t vaddr_of(const void *address, const char **ret_path)
{
	struct link_map *map;
	Dl_info info;

	assert_int_not_equal(dladdr1(address, &info, (void **)&map, RTLD_DL_LINKMAP), 0);
	*ret_path = map->l_name[0] ? map->l_name : "/proc/self/exe";
	return (uint64_t)address - map->l_addr;
}

static void reads_headers(void **state)
{
	const char *path;
	uint64_t vaddr = vaddr_of((void *)(uintptr_t)reads_headers, &path);
	struct elf_file *file = open_file(path);
	unsigned char bytes[16];
	struct elf_text text;

	(void)state;
	assert_string_equal(elf_file_base_name(file), "exe");
	assert_true(elf_file_text(file, &text));
	assert_true(vaddr >= text.vaddr && vaddr < text.vaddr + text.size);
	assert_int_equal(elf_file_read(file, vaddr, bytes, sizeof(bytes)), 0);
	assert_memory_equal(bytes, (void *)(uintptr_t)reads_headers, sizeof(bytes));
	assert_int_equal(elf_file_read(file, UINT64_MAX - 7, bytes, sizeof(bytes)), -EFAULT);
	assert_int_equal(elf_file_read(file, text.vaddr, bytes, SIZE_MAX), -EFAULT);
	elf_file_free(file);
}

int global_in_bss[1000];
const char global_in_rodata[] = "found by its name";

static void finds_symbols_by_name(void **state)
{
	const char *path;
	uint64_t vaddr, size, wanted = vaddr_of(global_in_rodata, &path);
	struct elf_file *file = open_file(path);
	char text[sizeof(global_in_rodata)];
	int zeros[1000];

	(void)state;
	assert_int_equal(elf_file_symbol(file, "global_in_rodata", &vaddr, &size), 0);
	assert_int_equal(vaddr, wanted);
	assert_int_equal(size, sizeof(global_in_rodata));
	assert_int_equal(elf_file_read(file, vaddr, text, sizeof(text)), 0);
	assert_string_equal(text, global_in_rodata);

	global_in_bss[3] = 3;
	assert_int_equal(elf_file_symbol(file, "global_in_bss", &vaddr, &size), 0);
	assert_int_equal(elf_file_read(file, vaddr, zeros, sizeof(zeros)), 0);
	assert_int_equal(zeros[3], 0);

	assert_int_equal(elf_file_symbol(file, "global_in", &vaddr, &size), -ENOENT);
	assert_int_equal(elf_file_symbol(file, "", &vaddr, &size), -ENOENT);
	elf_file_free(file);
}

/* As the vdso is read (which valgrind hides): the bytes of a library, lying in memory. */
static void knows_an_image_in_memory(void **state)
{
	struct elf_file *file = NULL;
	uint64_t vaddr, size;
	struct stat stat;
	Dl_info library;
	void *image;
	int fd;

	(void)state;
	assert_int_not_equal(dladdr((void *)_cmocka_run_group_tests, &library), 0);
	fd = open(library.dli_fname, O_RDONLY | O_CLOEXEC);
	assert_int_equal(fstat(fd, &stat), 0);
	image = mmap(NULL, (size_t)stat.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	assert_ptr_not_equal(image, MAP_FAILED);
	assert_int_equal(elf_file_from_memory(image, (size_t)stat.st_size, "[image]", &file), 0);
	munmap(image, (size_t)stat.st_size); /* the bytes were copied */
	close(fd);
	assert_string_equal(elf_file_name(file), "[image]");
	assert_int_equal(strlen(elf_file_build_id(file)), 40);
	assert_int_equal(elf_file_symbol(file, "_cmocka_run_group_tests", &vaddr, &size), 0);
	elf_file_free(file);
}

static void refuses_what_is_no_elf_file(void **state)
{
	static const char *const path[] = { "/dev/null", "/", "/etc/passwd", "/proc/self/maps" };
	struct elf_file *file = NULL;
	int ends[2];

	(void)state;
	for (size_t i = 0; i < sizeof(path) / sizeof(path[0]); i++)
		assert_int_equal(elf_file_open(open(path[i], O_RDONLY), path[i], &file), -ENOEXEC);
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(elf_file_open(ends[0], "pipe", &file), -ENOEXEC);
	close(ends[1]);
	assert_int_equal(elf_file_open(-1, "none", &file), -EBADF);
	assert_int_equal(elf_file_from_memory("\177ELF", 4, "short", &file), -ENOEXEC);
	assert_null(file);
	elf_file_free(NULL);
}

#define PLACES 8

/* A known call chain: its return address is looked up where this program's own file has it. */
static void *came_from;
static int line_of_call;

__attribute__((noinline)) static void note_caller(void)
{
	came_from = __builtin_return_address(0);
}

static inline __attribute__((always_inline)) int innermost(int value)
{
	line_of_call = __LINE__ + 1;
	note_caller();
	return value + 1;
}

static inline __attribute__((always_inline)) int in_between(int value)
{
	return innermost(value) * 2;
}

int place_outermost(int value);
__attribute__((noinline)) int place_outermost(int value)
{
	return in_between(value) + 3;
}

static void ends_with(const char *text, const char *end)
{
	assert_non_null(text);
	assert_true(strlen(text) >= strlen(end));
	assert_string_equal(text + strlen(text) - strlen(end), end);
}

static void tells_lines_and_inlined_functions(void **state)
{
	struct elf_place place[PLACES], again[PLACES];
	struct elf_file *file;
	const char *path;
	uint64_t vaddr;

	(void)state;
	assert_int_equal(place_outermost(1), 7);
	vaddr = vaddr_of(came_from, &path);
	file = open_file(path);
	assert_int_equal(elf_file_places(file, vaddr, true, place, PLACES), 3);
	assert_string_equal(place[0].function, "innermost");
	assert_true(place[0].inlined);
	ends_with(place[0].source, "tests/unit/test_elf_file.c");
	assert_int_equal(place[0].line, line_of_call);
	assert_string_equal(place[1].function, "in_between");
	assert_true(place[1].inlined);
	assert_int_equal(place[1].line, line_of_call + 6);
	assert_string_equal(place[2].function, "place_outermost");
	assert_false(place[2].inlined);
	assert_int_equal(place[2].line, line_of_call + 12);
	assert_int_equal(place[2].offset, (char *)came_from - (char *)(uintptr_t)place_outermost);

	/* the same answer from the cache, cut where there is less room */
	assert_int_equal(elf_file_places(file, vaddr, true, again, PLACES), 3);
	assert_memory_equal(again, place, 3 * sizeof(*place));
	assert_int_equal(elf_file_places(file, vaddr, true, again, 1), 1);
	assert_memory_equal(again, place, sizeof(*place));
	elf_file_free(file);
}

static void function_is(const char *library, const char *name)
{
	struct elf_place place[PLACES];
	struct elf_file *file;
	unsigned int count;
	const char *path;
	uint64_t vaddr;
	void *handle = dlopen(library, RTLD_NOW);

	assert_non_null(handle);
	vaddr = vaddr_of(dlsym(handle, name), &path);
	file = open_file(path);
	count = elf_file_places(file, vaddr, false, place, PLACES);
	assert_in_range(count, 1, PLACES);
	assert_string_equal(place[count - 1].function, name);
	assert_int_equal(place[count - 1].offset, 0);
	elf_file_free(file);
	dlclose(handle);
}

static void rests_and_knows_it_again(void **state)
{
	struct elf_place place;
	struct elf_text text;
	const char *path;
	uint64_t vaddr = vaddr_of((void *)(uintptr_t)rests_and_knows_it_again, &path);
	struct elf_file *file = open_file(path);

	(void)state;
	assert_int_equal(elf_file_settle(file), 0);
	assert_false(elf_file_rest(file));
	for (int i = 0; i < 2; i++) {
		assert_int_equal(elf_file_places(file, vaddr, false, &place, 1), 1);
		assert_string_equal(place.function, "rests_and_knows_it_again");
		assert_false(elf_file_rest(file));
		assert_false(elf_file_close(file));
		assert_true(elf_file_rest(file));
	}
	assert_true(elf_file_text(file, &text));
	elf_file_free(file);
}

static void closed_it_keeps_its_name(void **state)
{
	struct elf_place place;
	struct elf_text text;
	const char *path;
	uint64_t vaddr = vaddr_of((void *)(uintptr_t)closed_it_keeps_its_name, &path), size;
	struct elf_file *file = open_file(path);
	char build_id[256], byte;

	(void)state;
	snprintf(build_id, sizeof(build_id), "%s", elf_file_build_id(file));
	assert_true(elf_file_close(file));
	assert_false(elf_file_close(file));
	assert_false(elf_file_rest(file));
	assert_string_equal(elf_file_base_name(file), "exe");
	assert_string_equal(elf_file_build_id(file), build_id);
	assert_int_equal(elf_file_places(file, vaddr, false, &place, 1), 1);
	assert_null(place.function);
	assert_false(elf_file_text(file, &text));
	assert_int_equal(elf_file_symbol(file, "main", &vaddr, &size), -ENOENT);
	assert_int_equal(elf_file_read(file, vaddr, &byte, 1), -EFAULT);
	elf_file_free(file);
}

static void names_functions_of_libc(void **state)
{
	(void)state;
	function_is("libc.so.6", "qsort");
	function_is("libc.so.6", "open");
	function_is("libc.so.6", "dup2");
}

/* Runs a command in the folder. */
static void run(const char *folder, const char *command)
{
	char text[1024];

	assert_true((size_t)snprintf(text, sizeof(text), "cd %s && { %s; } >/dev/null", folder,
				     command) < sizeof(text));
	assert_int_equal(system(text), 0);
}

/* What a file tells of place_outermost(). Texts end with the file: only whether they are there is told. */
static bool knows_in(const char *folder, const char *name, bool *ret_line)
{
	struct elf_place places[PLACES], *place;
	struct elf_file *file;
	const char *ignored;
	char path[256];
	bool known;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = open_file(path);
	place = &places[elf_file_places(file,
					vaddr_of((void *)(uintptr_t)place_outermost, &ignored),
					false, places, PLACES) -
			1];
	known = place->function != NULL;
	*ret_line = place->line != 0;
	if (known)
		assert_string_equal(place->function, "place_outermost");
	if (place->source)
		ends_with(place->source, "tests/unit/test_elf_file.c");
	elf_file_free(file);
	return known;
}

static void knows_only_what_is_there(void **state)
{
	char folder[] = "/tmp/test_elf_fileXXXXXX", self[256] = "";
	bool line;

	(void)state;
	assert_non_null(mkdtemp(folder));
	assert_true(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
	assert_int_equal(setenv("SELF", self, 1), 0);
	run(folder, "cp \"$SELF\" whole && strip -o bare whole && strip -g -o nolines whole");
	assert_true(knows_in(folder, "whole", &line) && line);
	assert_true(knows_in(folder, "nolines", &line) && !line);
	assert_false(knows_in(folder, "bare", &line) || line);

	/* a debug file by its link: beside it, in .debug, and not if it is another one */
	run(folder,
	    "objcopy --only-keep-debug whole a.debug && objcopy --add-gnu-debuglink=a.debug bare "
	    "linked");
	assert_true(knows_in(folder, "linked", &line) && line);
	run(folder, "mkdir .debug && mv a.debug .debug");
	assert_true(knows_in(folder, "linked", &line) && line);
	run(folder, "printf x >>.debug/a.debug");
	assert_false(knows_in(folder, "linked", &line) || line);
	/* and never a wait for one that nobody writes */
	run(folder, "rm -r .debug && mkfifo a.debug");
	assert_false(knows_in(folder, "linked", &line) || line);
	run(folder, "rm -r \"$PWD\"");
}

static unsigned char *file_bytes(const char *path, size_t *ret_size)
{
	FILE *stream = fopen(path, "re");
	unsigned char *bytes;

	assert_non_null(stream);
	assert_int_equal(fseek(stream, 0, SEEK_END), 0);
	*ret_size = (size_t)ftell(stream);
	rewind(stream);
	bytes = malloc(*ret_size);
	assert_non_null(bytes);
	assert_int_equal(fread(bytes, 1, *ret_size, stream), *ret_size);
	fclose(stream);
	return bytes;
}

/* Asks everything of a damaged image. 1: it opened. */
static int exercise(const unsigned char *bytes, size_t size, uint64_t vaddr)
{
	struct elf_place place[PLACES];
	struct elf_file *file;
	struct elf_text text;
	uint64_t at, length;

	if (elf_file_from_memory(bytes, size, "damaged", &file) != 0)
		return 0;
	elf_file_text(file, &text);
	elf_file_symbol(file, "place_outermost", &at, &length);
	for (uint64_t address = vaddr - 64; address < vaddr + 64; address += 16) {
		unsigned int count = elf_file_places(file, address, true, place, PLACES);

		assert_in_range(count, 1, PLACES);
	}
	elf_file_free(file);
	return 1;
}

/* Where damage counts: the file's header and its tail (section headers), or a section of a kind. */
static size_t place_to_damage(const struct elf_file *file, size_t size, unsigned int *seed)
{
	size_t sections = 0;
	Elf64_Shdr *header;

	if (rand_r(seed) % 8 == 0)
		return rand_r(seed) % 1024;
	assert_int_equal(elf_getshdrnum(elf_file_elf(file), &sections), 0);
	if (rand_r(seed) % 8 == 0)
		return size - 1 - rand_r(seed) % (sections * sizeof(*header));
	do
		header = elf64_getshdr(
			elf_getscn(elf_file_elf(file), 1 + rand_r(seed) % (sections - 1)));
	while (header->sh_size == 0 || header->sh_type == SHT_NOBITS ||
	       (header->sh_flags & SHF_EXECINSTR));
	return header->sh_offset +
	       rand_r(seed) % (rand_r(seed) % 2 && header->sh_size > 256 ? 256 : header->sh_size);
}

#define DAMAGED_IMAGES 4000

static void survives_damaged_files(void **state)
{
	unsigned int seed = 1, opened = 0;
	struct elf_file *file;
	unsigned char *bytes;
	const char *path;
	uint64_t vaddr = vaddr_of((void *)(uintptr_t)place_outermost, &path);
	size_t size;

	(void)state;
	bytes = file_bytes(path, &size);
	assert_int_equal(elf_file_from_memory(bytes, size, "good", &file), 0);
	assert_int_equal(exercise(bytes, size, vaddr), 1);
	for (int round = 0; round < DAMAGED_IMAGES; round++) {
		size_t at[4];
		unsigned char was[4];

		for (int i = 0; i < 4; i++) {
			at[i] = place_to_damage(file, size, &seed);
			was[i] = bytes[at[i]];
			bytes[at[i]] = rand_r(&seed) % 2 ? 0xff : (unsigned char)rand_r(&seed);
		}
		opened += exercise(bytes, rand_r(&seed) % 16 ? size : rand_r(&seed) % size, vaddr);
		for (int i = 4; i-- > 0;)
			bytes[at[i]] = was[i];
	}
	assert_in_range(opened, DAMAGED_IMAGES / 4, DAMAGED_IMAGES - 1);
	elf_file_free(file);
	free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_headers),
		cmocka_unit_test(finds_symbols_by_name),
		cmocka_unit_test(knows_an_image_in_memory),
		cmocka_unit_test(refuses_what_is_no_elf_file),
		cmocka_unit_test(tells_lines_and_inlined_functions),
		cmocka_unit_test(rests_and_knows_it_again),
		cmocka_unit_test(closed_it_keeps_its_name),
		cmocka_unit_test(names_functions_of_libc),
		cmocka_unit_test(knows_only_what_is_there),
		cmocka_unit_test(survives_damaged_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
