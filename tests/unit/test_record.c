// SPDX-License-Identifier: BSD-2-Clause
/* A recording is its header and whole records, whatever happens while it is written. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "fdtrace/event.h"
#include "fdtrace/tracefile.h"
#include "output/record.h"

#define HEADER sizeof(struct fdt_tracefile_header)

/* A record of any size, filled so that order and content can be checked. */
static size_t make(unsigned char *event, size_t size, unsigned int number)
{
	struct fdt_head head = { .kind = FDT_META, .size = (__u16)size, .tid = number };

	memset(event, (int)(number % 251 + 1), size);
	memcpy(event, &head, sizeof(head));
	return size;
}

static size_t size_of(unsigned int number)
{
	return sizeof(struct fdt_head) + number * 37 % (FDT_SIZE_MAX - sizeof(struct fdt_head) + 1);
}

/* Reads the file as a reader would; returns how many records are whole. *ret_end: their end. */
static unsigned int count_records(int fd, size_t *ret_end)
{
	unsigned char expected[FDT_SIZE_MAX], got[FDT_SIZE_MAX + 8];
	struct fdt_tracefile_header header;
	unsigned int number = 0;
	off_t at = HEADER;

	assert_int_equal(pread(fd, &header, HEADER, 0), HEADER);
	assert_memory_equal(header.magic, FDT_TRACEFILE_MAGIC, sizeof(header.magic));
	assert_int_equal(header.byte_order, FDT_TRACEFILE_BYTE_ORDER);
	assert_int_equal(header.abi, FDT_ABI);
	assert_int_equal(header.header_size, HEADER);
	assert_int_equal(header.pad, 0);
	for (;; number++) {
		size_t size = make(expected, size_of(number), number), whole = (size + 7) / 8 * 8;

		*ret_end = (size_t)at;
		if (pread(fd, got, whole, at) != (ssize_t)whole)
			return number;
		assert_memory_equal(got, expected, size);
		while (size < whole)
			assert_int_equal(got[size++], 0);
		at += (off_t)whole;
	}
}

static off_t file_size(int fd)
{
	struct stat info;

	assert_int_equal(fstat(fd, &info), 0);
	return info.st_size;
}

static int write_number(struct recorder *recorder, unsigned int number)
{
	unsigned char event[FDT_SIZE_MAX];

	return recorder_write(recorder, event, make(event, size_of(number), number));
}

static void what_is_written_can_be_read(void **state)
{
	struct recorder *recorder;
	size_t end;
	int fd = memfd_create("recording", MFD_CLOEXEC);

	(void)state;
	assert_int_equal(recorder_new(fd, &recorder), 0);
	for (unsigned int i = 0; i < 500; i++)
		assert_int_equal(write_number(recorder, i), 0);
	assert_true(count_records(fd, &end) < 500); /* it is buffered */
	assert_int_equal(recorder_flush(recorder), 0);
	assert_int_equal(count_records(fd, &end), 500);
	assert_int_equal(write_number(recorder, 500), 0);
	assert_int_equal(recorder_free(recorder), 0);
	assert_int_equal(count_records(fd, &end), 501);
	assert_int_equal(file_size(fd), end);
	close(fd);
	assert_int_equal(recorder_free(NULL), 0);
}

static void nonsense_is_refused(void **state)
{
	unsigned char event[2 * FDT_SIZE_MAX];
	struct recorder *recorder;
	int fd = memfd_create("recording", MFD_CLOEXEC);

	(void)state;
	assert_int_equal(recorder_new(fd, &recorder), 0);
	make(event, 40, 0);
	assert_int_equal(recorder_write(recorder, event, 48), -EINVAL);
	assert_int_equal(recorder_write(recorder, event, 8), -EINVAL);
	make(event, FDT_SIZE_MAX + 8, 0);
	assert_int_equal(recorder_write(recorder, event, FDT_SIZE_MAX + 8), -EINVAL);
	assert_int_equal(recorder_free(recorder), 0);
	assert_int_equal(file_size(fd), HEADER);
	close(fd);
}

/* The disk is full in the middle of a record: the file ends before it, and stays so. */
static void a_full_disk_leaves_whole_records(void **state)
{
	struct rlimit old, limit;
	struct recorder *recorder;
	FILE *file = tmpfile(); /* RLIMIT_FSIZE does not hold for memfd */
	unsigned int written = 0, whole;
	size_t end;
	int err = 0, fd = fileno(file);

	(void)state;
	assert_int_equal(recorder_new(fd, &recorder), 0);
	getrlimit(RLIMIT_FSIZE, &old);
	limit = (struct rlimit){ .rlim_cur = 100001, .rlim_max = old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	while (written < 5000 && !(err = write_number(recorder, written)))
		written++;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(err, -EFBIG);
	whole = count_records(fd, &end);
	assert_true(whole > 10 && whole < written);
	assert_int_equal(file_size(fd), end);
	assert_true(end > 100001 - FDT_SIZE_MAX - 8 && end <= 100001);
	assert_int_equal(write_number(recorder, whole), -EFBIG);
	assert_int_equal(recorder_flush(recorder), -EFBIG);
	assert_int_equal(recorder_free(recorder), -EFBIG);
	assert_int_equal(file_size(fd), end);
	fclose(file);
}

static void nowhere_to_write(void **state)
{
	struct recorder *recorder = NULL;
	int fds[2];

	(void)state;
	assert_int_equal(recorder_new(-1, &recorder), -EBADF);
	assert_null(recorder);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(recorder_new(fds[1], &recorder), 0);
	close(fds[0]);
	assert_int_equal(write_number(recorder, 0), 0);
	assert_int_equal(recorder_free(recorder), -EPIPE);
	close(fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_can_be_read),
		cmocka_unit_test(nonsense_is_refused),
		cmocka_unit_test(a_full_disk_leaves_whole_records),
		cmocka_unit_test(nowhere_to_write),
	};

	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
