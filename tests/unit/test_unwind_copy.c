// SPDX-License-Identifier: BSD-2-Clause
/* Unwinding copies of stacks, of this process and of its children. */
#include <errno.h>
#include <fcntl.h>
#include <gnu/libc-version.h>
#include <link.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "own_stack.h"
#include "small_elf.h"
#include "symbol/mapping.h"
#include "symbol/unwind/unwind_copy.h"
#include "symbol/unwind/unwind_image.h"

#define SPACE 7

struct unwound {
	uint64_t addresses[OWN_FRAMES_MAX];
	unsigned int count;
	enum fdt_walk_end end;
};

static struct own_stack own;

static int frames_by(struct unwind_copy *unwind, pid_t pid, const struct unwind_known *known,
		     uint64_t space, struct unwound *unwound)
{
	own.copy.space = space;
	return unwind_copy_frames(unwind, pid, &own.copy, known, unwound->addresses, OWN_FRAMES_MAX,
				  &unwound->count, &unwound->end);
}

static int frames(struct unwind_copy *unwind, pid_t pid, uint64_t space, struct unwound *unwound)
{
	return frames_by(unwind, pid, NULL, space, unwound);
}

static void assert_whole(const struct unwound *unwound)
{
	assert_int_equal(unwound->end, FDT_END_WHOLE);
	own_assert_equal(&own, unwound->addresses, unwound->count);
}

static void take(unsigned int bytes)
{
	own.bytes_wanted = bytes;
	own_recurse(&own, 15);
}

static struct unwind_copy *unwind_new(void)
{
	struct unwind_copy *unwind;

	assert_int_equal(unwind_copy_new(&unwind), 0);
	return unwind;
}

static void own_stack_as_glibc(void **state)
{
	struct unwind_copy *unwind = unwind_new();
	struct unwound unwound;

	(void)state;
	take(FDT_COPY_MAX);
	assert_int_equal(frames(unwind, getpid(), SPACE, &unwound), 0);
	assert_whole(&unwound);
	own_sort(&own);
	assert_int_equal(frames(unwind, getpid(), SPACE, &unwound), 0);
	assert_whole(&unwound);
	unwind_copy_free(unwind);
}

static void short_copy_is_told(void **state)
{
	struct unwind_copy *unwind = unwind_new();
	struct unwound unwound;

	(void)state;
	for (unsigned int bytes = 0; bytes <= 1536; bytes += 64) {
		take(bytes);
		assert_int_equal(frames(unwind, getpid(), SPACE, &unwound), 0);
		assert_int_equal(unwound.end, FDT_END_UNREADABLE);
		assert_true(unwound.count >= 1 && unwound.count < (unsigned int)own.count);
		assert_int_equal(unwound.addresses[0], own.copy.reg[16]);
	}
	unwind_copy_free(unwind);
}

static void depth_is_bounded(void **state)
{
	struct unwind_copy *unwind = unwind_new();
	uint64_t addresses[6] = { 0 };
	enum fdt_walk_end end;
	unsigned int count;

	(void)state;
	take(FDT_COPY_MAX);
	own.copy.space = SPACE;
	assert_int_equal(
		unwind_copy_frames(unwind, getpid(), &own.copy, NULL, addresses, 5, &count, &end),
		0);
	assert_int_equal(count, 5);
	assert_int_equal(end, FDT_END_DEPTH);
	assert_int_equal(addresses[5], 0);
	unwind_copy_free(unwind);
}

/* A child that has ended before anything of its own was read. */
static pid_t ended_child(void)
{
	pid_t child = fork();

	assert_true(child >= 0);
	if (!child)
		_exit(0);
	assert_int_equal(waitpid(child, NULL, 0), child);
	return child;
}

static void ended_child_has_no_mappings(void **state)
{
	struct unwind_copy *unwind = unwind_new();
	struct unwound unwound;
	pid_t child = ended_child();

	(void)state;
	take(FDT_COPY_MAX);
	assert_int_equal(frames(unwind, child, SPACE + 1, &unwound), -ESRCH);
	assert_int_equal(frames(unwind, getpid(), SPACE, &unwound), 0);
	assert_whole(&unwound);
	unwind_copy_free(unwind);
}

static void zombie_has_no_mappings(void **state)
{
	struct unwind_copy *unwind = unwind_new();
	struct unwound unwound;
	siginfo_t info;
	pid_t child = fork();

	(void)state;
	assert_true(child >= 0);
	if (!child)
		_exit(0);
	assert_int_equal(waitid(P_PID, child, &info, WEXITED | WNOWAIT), 0);
	take(FDT_COPY_MAX);
	assert_int_equal(frames(unwind, child, SPACE, &unwound), -ESRCH);
	assert_int_equal(waitpid(child, NULL, 0), child);
	unwind_copy_free(unwind);
}

static int open_own(void *ctx, const struct unwind_mapping *mapping)
{
	(void)ctx;
	return mapping_open(getpid(), mapping);
}

/* Nothing of the child is left, but where its files lay was noted in time. */
static void ended_child_by_what_is_known(void **state)
{
	struct unwind_copy *unwind = unwind_new();
	struct unwind_known known = { .open = open_own };
	struct unwind_mapping *mapping, found;
	struct unwound unwound;
	pid_t child = ended_child();

	(void)state;
	assert_int_equal(mappings_read(getpid(), &mapping, &known.count), 0);
	known.mapping = mapping;
	take(FDT_COPY_MAX);
	assert_int_equal(frames_by(unwind, child, &known, SPACE, &unwound), 0);
	assert_whole(&unwound);
	assert_int_equal(unwind_copy_mapping(unwind, SPACE, own.copy.reg[16], &found), 0);
	known.count = 0;
	assert_int_equal(frames_by(unwind, child, &known, SPACE + 1, &unwound), -ESRCH);
	unwind_copy_free(unwind);
	free(mapping);
}

static void spaces_are_bounded(void **state)
{
	struct unwind_copy *unwind = unwind_new();
	struct unwound unwound;
	struct unwind_mapping mapping;

	(void)state;
	take(FDT_COPY_MAX);
	for (uint64_t space = 1; space <= UNWIND_COPY_SPACES + 1; space++) {
		assert_int_equal(frames(unwind, getpid(), space, &unwound), 0);
		assert_whole(&unwound);
	}
	assert_int_equal(unwind_copy_mapping(unwind, 1, own.copy.reg[16], &mapping), -ENOENT);
	assert_int_equal(unwind_copy_mapping(unwind, 2, own.copy.reg[16], &mapping), 0);
	unwind_copy_free(unwind);
}

static void mapping_of_an_address(void **state)
{
	struct unwind_copy *unwind = unwind_new();
	struct unwind_mapping mapping;
	struct unwound unwound;
	char path[256] = "";

	(void)state;
	take(FDT_COPY_MAX);
	assert_int_equal(frames(unwind, getpid(), SPACE, &unwound), 0);
	assert_int_equal(unwind_copy_mapping(unwind, SPACE, own.copy.reg[16], &mapping), 0);
	assert_true(readlink("/proc/self/exe", path, sizeof(path) - 1) > 0);
	assert_string_equal(mapping.name, path);
	assert_in_range(own.copy.reg[16], mapping.start, mapping.end - 1);
	assert_int_equal(unwind_copy_mapping(unwind, SPACE, 0, &mapping), -ENOENT);
	assert_int_equal(unwind_copy_mapping(unwind, SPACE, UINT64_MAX, &mapping), -ENOENT);
	assert_int_equal(unwind_copy_mapping(unwind, SPACE + 1, own.copy.reg[16], &mapping),
			 -ENOENT);
	unwind_copy_free(unwind);
}

/* ---- libraries that come, go, and are not where they were ---- */

/* A file that only its path leads to, for who may not use map_files. Removed by remove_file(). */
static char file_path[64];

static int make_file(void)
{
	int fd;

	snprintf(file_path, sizeof(file_path), "/tmp/fdtrace-XXXXXX");
	fd = mkostemp(file_path, O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static void remove_file(void)
{
	assert_int_equal(unlink(file_path), 0);
}

/* A library of one's own: a copy of libc's file, its text mapped. Sets the copy's pc to its qsort. */
static void *map_copy(int to, size_t *ret_size)
{
	struct unwind_copy *unwind = unwind_new();
	struct unwind_mapping mapping;
	struct unwound unwound;
	int from;
	off_t size;
	void *at;

	take(FDT_COPY_MAX);
	assert_int_equal(frames(unwind, getpid(), SPACE, &unwound), 0);
	assert_int_equal(
		unwind_copy_mapping(unwind, SPACE, (uint64_t)gnu_get_libc_version, &mapping), 0);
	unwind_copy_free(unwind);
	from = open(mapping.name, O_RDONLY | O_CLOEXEC);
	assert_true(from >= 0 && to >= 0);
	size = lseek(from, 0, SEEK_END);
	assert_int_equal(sendfile(to, from, &(off_t){ 0 }, size), size);
	*ret_size = mapping.end - mapping.start;
	at = mmap(NULL, *ret_size, PROT_READ | PROT_EXEC, MAP_PRIVATE, to, mapping.offset_bytes);
	assert_ptr_not_equal(at, MAP_FAILED);
	own.copy.reg[16] = (uint64_t)at + ((uint64_t)gnu_get_libc_version - mapping.start);
	close(from);
	close(to);
	return at;
}

static bool may_use_map_files(const void *at, size_t size)
{
	char path[96];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", (uint64_t)at,
		 (uint64_t)at + size);
	fd = open(path, O_PATH | O_CLOEXEC);
	close(fd);
	return fd >= 0;
}

/*
 * A stack as at the first instruction of a function of the library: its caller is what the stack's
 * first word says.
 */
static void assert_called_from_test(struct unwind_copy *unwind, const uint64_t *word)
{
	struct unwound unwound;

	assert_int_equal(frames(unwind, getpid(), SPACE, &unwound), 0);
	assert_true(unwound.count >= 2);
	assert_int_equal(unwound.addresses[0], own.copy.reg[16]);
	assert_int_equal(unwound.addresses[1], word[0]);
	assert_int_equal(unwound.end, FDT_END_UNREADABLE);
}

static void nameless_library_is_found(void **state)
{
	struct unwind_copy *unwind = unwind_new();
	size_t size;
	void *at;

	(void)state;
	at = map_copy(memfd_create("library", MFD_CLOEXEC), &size);
	if (!may_use_map_files(at, size)) {
		print_message("# nameless library: needs CAP_CHECKPOINT_RESTORE for map_files\n");
		skip();
	}
	own.memory[0] = (uint64_t)nameless_library_is_found + 1;
	own.copy.size = 8;
	assert_called_from_test(unwind, own.memory);
	munmap(at, size);
	unwind_copy_free(unwind);
}

/* Known before the library was there: the mappings are read again, and only once in vain. */
static void new_library_is_found(void **state)
{
	struct unwind_copy *unwind = unwind_new();
	struct unwind_mapping mapping;
	struct unwound unwound;
	size_t size;
	void *at;

	(void)state;
	take(FDT_COPY_MAX);
	assert_int_equal(frames(unwind, getpid(), SPACE, &unwound), 0);
	at = map_copy(make_file(), &size);
	own.memory[0] = (uint64_t)new_library_is_found + 1;
	own.copy.size = 8;
	assert_int_equal(unwind_copy_mapping(unwind, SPACE, (uint64_t)at, &mapping), -ENOENT);
	assert_called_from_test(unwind, own.memory);
	assert_int_equal(unwind_copy_mapping(unwind, SPACE, (uint64_t)at, &mapping), 0);
	assert_string_equal(mapping.name, file_path);
	remove_file();
	munmap(at, size);
	unwind_copy_stale(unwind, SPACE);
	assert_int_equal(frames(unwind, getpid(), SPACE, &unwound), 0);
	assert_int_equal(unwound.end, FDT_END_NO_MODULE);
	assert_int_equal(unwind_copy_mapping(unwind, SPACE, (uint64_t)at, &mapping), -ENOENT);
	unwind_copy_free(unwind);
}

/* ---- hostile stacks ---- */

static uint64_t random_state = 20260722;

static uint64_t random_next(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

/* Something that might mean something: code, stack, or nothing at all. */
static uint64_t random_word(uint64_t text, uint64_t sp)
{
	switch (random_next() % 4) {
	case 0: return text + random_next() % 100000;
	case 1: return sp + random_next() % 2048 * 8;
	case 2: return (uint64_t)qsort + random_next() % 500000;
	default: return random_next() >> random_next() % 64;
	}
}

static void garbage_ends(void **state)
{
	struct unwind_copy *unwind = unwind_new();
	struct unwound unwound;
	uint64_t text, sp;
	unsigned int longest = 0;

	(void)state;
	take(FDT_COPY_MAX);
	text = own.copy.reg[16];
	sp = own.copy.reg[7];
	for (int i = 0; i < 3000; i++) {
		for (int j = 0; j < FDT_REGS; j++)
			own.copy.reg[j] = random_word(text, sp);
		own.copy.reg[7] = random_next() % 8 ? sp : random_next();
		own.copy.size = random_next() % (FDT_COPY_MAX + 1);
		for (size_t j = 0; j < FDT_COPY_MAX / 8; j++)
			own.memory[j] = random_word(text, sp);
		assert_int_equal(frames(unwind, getpid(), SPACE, &unwound), 0);
		assert_in_range(unwound.count, 1, OWN_FRAMES_MAX);
		assert_in_range(unwound.end, FDT_END_WHOLE, FDT_END_BAD_STACK);
		if (unwound.count > longest)
			longest = unwound.count;
	}
	assert_true(longest > 2); /* else it has tested nothing */
	unwind_copy_free(unwind);
}

/*
 * A file with some bytes of its .eh_frame changed, mapped as a whole. What libdwfl gets of it has
 * been checked.
 */
static unsigned int unwind_mutant(struct unwind_copy *unwind, uint64_t space,
				  const struct small_elf *small)
{
	struct unwound unwound;
	int fd = make_file();
	uint64_t at;

	assert_int_equal(write(fd, small->bytes, small->size), small->size);
	for (uint64_t i = random_next() % 64; i; i--) {
		uint8_t byte = random_next();

		assert_int_equal(
			pwrite(fd, &byte, 1, small->frame_at + random_next() % small->frame_size),
			1);
	}
	at = (uint64_t)mmap(NULL, small->size, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
	assert_int_not_equal(at, MAP_FAILED);
	own.copy.reg[16] = at + random_next() % small->size;
	for (int i = 0; i < 16; i++)
		own.memory[random_next() % 64] = at + random_next() % small->size;
	assert_int_equal(frames(unwind, getpid(), space, &unwound), 0);
	assert_in_range(unwound.count, 1, OWN_FRAMES_MAX);
	munmap((void *)at, small->size);
	close(fd);
	remove_file();
	return unwound.count;
}

/* More of them than are kept: their images make room for each other. */
static void damaged_library_is_harmless(void **state)
{
	struct unwind_copy *unwind = unwind_new();
	struct small_elf small = small_elf_read();
	unsigned int followed = 0;

	(void)state;
	take(FDT_COPY_MAX);
	for (uint64_t i = 1; i <= UNWIND_IMAGES_MAX + 100; i++)
		followed += unwind_mutant(unwind, i, &small) > 1;
	print_message("# %u could be followed\n", followed);
	assert_true(followed > 100); /* else it has tested nothing */
	free(small.bytes);
	unwind_copy_free(unwind);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(own_stack_as_glibc),
		cmocka_unit_test(short_copy_is_told),
		cmocka_unit_test(depth_is_bounded),
		cmocka_unit_test(ended_child_has_no_mappings),
		cmocka_unit_test(zombie_has_no_mappings),
		cmocka_unit_test(ended_child_by_what_is_known),
		cmocka_unit_test(spaces_are_bounded),
		cmocka_unit_test(mapping_of_an_address),
		cmocka_unit_test(nameless_library_is_found),
		cmocka_unit_test(new_library_is_found),
		cmocka_unit_test(garbage_ends),
		cmocka_unit_test(damaged_library_is_harmless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
