// SPDX-License-Identifier: BSD-2-Clause
/* Which descriptor numbers an environment names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "run/environ.h"

#define PID 77

static __u64 word[FDT_ENVIRON_WORDS];

static bool is_set(unsigned int number)
{
	return word[number / 64] >> number % 64 & 1;
}

static unsigned int count(void)
{
	unsigned int bits = 0;

	for (unsigned int i = 0; i < FDT_ENVIRON_WORDS; i++)
		bits += (unsigned int)__builtin_popcountll(word[i]);
	return bits;
}

/* In memory of just that size, so that a read beyond it is seen by a sanitizer or valgrind. */
static void parse(const char *block, size_t size)
{
	char *copy = malloc(size ? size : 1);

	assert_non_null(copy);
	memcpy(copy, block, size);
	memset(word, 0xff, sizeof(word)); /* the answer must not depend on what was there */
	environ_parse(copy, size, PID, word);
	free(copy);
}

#define PARSE(text) parse(text, sizeof(text))

/* expected: numbers, ended by 0 */
static void names(const char *variable, const unsigned int *expected)
{
	unsigned int n = 0;

	parse(variable, strlen(variable) + 1);
	for (; expected[n]; n++)
		if (!is_set(expected[n]))
			fail_msg("%s: %u was not found", variable, expected[n]);
	if (count() != n)
		fail_msg("%s: %u numbers instead of %u", variable, count(), n);
}

#define NAMES(variable, ...) names(variable, (const unsigned int[]){ __VA_ARGS__ __VA_OPT__(, ) 0 })

static void names_of_variables(void **state)
{
	(void)state;
	NAMES("MY_FD=5", 5);
	NAMES("my_fd=5", 5);
	NAMES("STDLOG_FILENO=7", 7);
	NAMES("SYNC_PIPE=4", 4);
	NAMES("_LIBCONTAINER_INITPIPE=3", 3);
	NAMES("SSH_AUTH_SOCK=9", 9);
	NAMES("NODE_CHANNEL_FD=3", 3);
	NAMES("NOTIFY_NUMBER=11", 11);
	NAMES("LOG_HANDLE=12", 12);
	NAMES("NGINX=6;7;", 6, 7);
	NAMES("UPSTART_FDS=3 4", 3, 4);
	NAMES("XFDS=10,11:12;13 14", 10, 11, 12, 13, 14);
	NAMES("FD=007", 7);
	NAMES("PATH=5");
	NAMES("N=5,6");
	NAMES("=5");
	NAMES("FD5");
	NAMES("FD=");
	NAMES("FD=,");
}

static void only_lists_of_numbers(void **state)
{
	(void)state;
	NAMES("MY_FD=5x");
	NAMES("MY_FD=-5");
	NAMES("MY_FD=0x5");
	NAMES("NOTIFY_SOCKET=/run/7");
	NAMES("LISTEN_ADDRESS=127.0.0.1:80");
	NAMES("MY_FD=5\n");
	NAMES("MY_FD==5");
}

static void only_what_can_be_told(void **state)
{
	(void)state;
	NAMES("MY_FD=0");
	NAMES("MY_FDS=1,2,3,4095,4096", 3, 4095);
	NAMES("MY_FD=18446744073709551621"); /* 5 modulo 2^64 */
	NAMES("MY_FD=4294967301");
	NAMES("MY_FD=99999999999999999999999999999999999999999999");
}

static void marked_values(void **state)
{
	(void)state;
	NAMES("X=fd:5", 5);
	NAMES("X=a,fd=5,vhostfd=6,b", 5, 6);
	NAMES("OUT=/dev/fd/63", 63);
	NAMES("OUT=a /proc/self/fd/8 /dev/fd/9/x", 8, 9);
	NAMES("MAKEFLAGS= -j4 --jobserver-auth=3,4", 3, 4);
	NAMES("MAKEFLAGS=s -j --jobserver-fds=10,11 -- A=12", 10, 11);
	NAMES("MAKEFLAGS= --jobserver-auth=fifo:/tmp/GMfifo77");
	NAMES("CARGO_MAKEFLAGS=-j --jobserver-fds=8,9 --jobserver-auth=8,9", 8, 9);
	NAMES("X=fd:fd:fd:7", 7);
	NAMES("X=fd:");
	NAMES("X=--jobserver-auth=3,", 3);
	NAMES("X=/dev/fd/");
}

static void never(void **state)
{
	(void)state;
	NAMES("SHLVL=3");
	NAMES("COLUMNS=80");
	NAMES("LINES=24");
	NAMES("LS_COLORS=*.fd=5:fd:6");
}

static void socket_activation(void **state)
{
	(void)state;
	NAMES("LISTEN_FDS=2", 3, 4);
	PARSE("LISTEN_FDS=2\0LISTEN_PID=77\0LISTEN_FDNAMES=5:6");
	assert_true(count() == 2 && is_set(3) && is_set(4));
	PARSE("LISTEN_PID=77\0LISTEN_FDS=1");
	assert_true(count() == 1 && is_set(3));
	PARSE("LISTEN_FDS=2\0LISTEN_PID=78");
	assert_int_equal(count(), 0);
	PARSE("LISTEN_FDS=2\0LISTEN_PID=77x");
	assert_int_equal(count(), 0);
	NAMES("LISTEN_PID=77");
	NAMES("LISTEN_PIDFDID=9");
	NAMES("LISTEN_FDS=0");
	NAMES("LISTEN_FDS=-1");
	parse("LISTEN_FDS=99999999999999999999", sizeof("LISTEN_FDS=99999999999999999999"));
	assert_int_equal(count(), FDT_ENVIRON_WORDS * 64 - 3);
}

static void several(void **state)
{
	(void)state;
	PARSE("A_FD=5\0HOME=/root\0B_FD=6\0\0\0C=fd:7");
	assert_true(count() == 3 && is_set(5) && is_set(6) && is_set(7));
}

/* 123 may be what is left of 1234. */
static void cut_off(void **state)
{
	(void)state;
	parse("A_FD=5\0B_FD=123", sizeof("A_FD=5\0B_FD=123") - 1);
	assert_true(count() == 1 && is_set(5));
	parse("A_FD=5", sizeof("A_FD=5") - 1);
	assert_int_equal(count(), 0);
	parse("", 0);
	assert_int_equal(count(), 0);
	parse("\0", 1);
	assert_int_equal(count(), 0);
}

/* Whatever stands there: no crash, nothing below 3, and the same answer twice. */
static void any_bytes(void **state)
{
	static const char alphabet[] =
		"FD=:,;/ 0123456789\0\0\xff\x80LISTEN_FDSPIDdev/fd/--jobserver-auth=";
	char block[256];
	uint64_t first[FDT_ENVIRON_WORDS];
	unsigned int seed = 1, found = 0;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		size_t size = (seed >> 8) % sizeof(block);

		for (size_t i = 0; i < size; i++) {
			seed = seed * 1103515245 + 12345;
			block[i] = alphabet[(seed >> 16) % (sizeof(alphabet) - 1)];
		}
		seed = seed * 1103515245 + 12345;
		parse(block, size);
		assert_int_equal(word[0] & 7, 0);
		memcpy(first, word, sizeof(first));
		parse(block, size);
		assert_memory_equal(first, word, sizeof(first));
		found += count();
	}
	assert_true(found > 0);
}

static void long_values(void **state)
{
	size_t size = 128 * 1024;
	char *block = malloc(size);

	(void)state;
	assert_non_null(block);
	memset(block, '5', size);
	memcpy(block, "FDS=", 4);
	block[size - 1] = '\0';
	environ_parse(block, size, PID, word);
	assert_int_equal(count(), 0);
	for (size_t i = 4; i < size - 1; i++)
		block[i] = i % 2 ? '7' : ',';
	environ_parse(block, size, PID, word);
	assert_true(count() == 1 && is_set(7));
	free(block);
}

/* What a process was started with, not what it has made of it since. */
static void of_a_process(void **state)
{
	char *const environment[] = { "TEST_FD=321", "NOTHING=322", NULL };
	char *const argv[] = { "cat", NULL };
	struct fdt_environ event;
	int in[2], out[2], status;
	char byte = 'x';
	pid_t child;

	(void)state;
	assert_return_code(pipe(in), errno);
	assert_return_code(pipe(out), errno);
	child = fork();
	assert_return_code(child, errno);
	if (!child) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		close(in[1]);
		execve("/bin/cat", argv, environment);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	assert_int_equal(write(in[1], &byte, 1), 1); /* what comes back comes from the new image */
	assert_int_equal(read(out[0], &byte, 1), 1);
	assert_int_equal(environ_read(child, &event), 0);
	close(in[1]);
	assert_int_equal(waitpid(child, &status, 0), child);
	close(out[0]);
	assert_int_equal(event.head.kind, FDT_ENVIRON);
	assert_int_equal(event.head.size, sizeof(event));
	assert_int_equal(event.head.tgid, child);
	memcpy(word, event.word, sizeof(word));
	assert_true(count() == 1 && is_set(321));
}

static void of_nobody(void **state)
{
	struct fdt_environ event = { .head.kind = 99 };

	(void)state;
	assert_int_equal(environ_read(0x7ffffff0, &event), -ENOENT);
	assert_int_equal(event.head.kind, 99);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_of_variables),
		cmocka_unit_test(only_lists_of_numbers),
		cmocka_unit_test(only_what_can_be_told),
		cmocka_unit_test(marked_values),
		cmocka_unit_test(never),
		cmocka_unit_test(socket_activation),
		cmocka_unit_test(several),
		cmocka_unit_test(cut_off),
		cmocka_unit_test(any_bytes),
		cmocka_unit_test(long_values),
		cmocka_unit_test(of_a_process),
		cmocka_unit_test(of_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
