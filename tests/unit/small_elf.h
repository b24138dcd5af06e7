/* SPDX-License-Identifier: BSD-2-Clause */
/* A small real ELF file, and where its .eh_frame is, for tests that damage it. */
#ifndef FDTRACE_TESTS_UNIT_SMALL_ELF_H
#define FDTRACE_TESTS_UNIT_SMALL_ELF_H

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "symbol/unwind/eh_frame.h"
#include "symbol/elf/elf_file.h"

struct small_elf {
	uint8_t *bytes;
	size_t size;
	size_t frame_at, frame_size; /* in bytes */
};

/* bytes are to be freed. */
static inline struct small_elf small_elf_read(void)
{
	struct small_elf small;
	struct eh_frame frame;
	struct elf_file *file;
	const uint8_t *found;
	int fd = open("/bin/true", O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	small.size = lseek(fd, 0, SEEK_END);
	small.bytes = malloc(small.size);
	assert_non_null(small.bytes);
	assert_int_equal(pread(fd, small.bytes, small.size, 0), small.size);
	assert_int_equal(elf_file_open(fd, "true", &file), 0);
	assert_int_equal(eh_frame_find(elf_file_elf(file), &frame), 0);
	found = memmem(small.bytes, small.size, frame.data, frame.size);
	assert_non_null(found);
	small.frame_at = found - small.bytes;
	small.frame_size = frame.size;
	elf_file_free(file);
	return small;
}

#endif
