// SPDX-License-Identifier: BSD-2-Clause
/* ELF files: this very program, libc, the vdso, copies without symbols, with separate ones, and damaged ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

#include "symbol/elf_file.h"

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

/* The vdso's mapping, as the kernel tells it. */
static size_t vdso_size(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned long start = 0, end = 0;
	char line[512];

	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps))
		if (strstr(line, "[vdso]"))
			assert_int_equal(sscanf(line, "%lx-%lx", &start, &end), 2);
	fclose(maps);
	assert_int_equal(start, getauxval(AT_SYSINFO_EHDR));
	return end - start;
}

static void knows_the_vdso(void **state)
{
	struct elf_file *file = NULL;
	uint64_t vaddr, size;

	(void)state;
	assert_int_equal(elf_file_from_memory((void *)getauxval(AT_SYSINFO_EHDR), vdso_size(),
					      "[vdso]", &file),
			 0);
	assert_string_equal(elf_file_name(file), "[vdso]");
	assert_int_equal(strlen(elf_file_build_id(file)), 40);
	assert_int_equal(elf_file_symbol(file, "__vdso_getcpu", &vaddr, &size), 0);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_headers),
		cmocka_unit_test(finds_symbols_by_name),
		cmocka_unit_test(knows_the_vdso),
		cmocka_unit_test(refuses_what_is_no_elf_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
