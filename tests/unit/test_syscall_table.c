// SPDX-License-Identifier: BSD-2-Clause
/* The table of system calls, and the arrays made from it for the BPF programs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include <sys/syscall.h>

#include "model/syscall_name.h"
#include "fdtrace/syscall.h"
#include "source/syscalls.h"

#define NAMES_MAX 1024

static struct fdt_call native[FDT_CALLS_MAX], compat[FDT_CALLS_MAX],
	socketcalls[FDT_SOCKETCALLS_MAX];

static int fill(void **state)
{
	(void)state;
	memset(native, 0xff,
	       sizeof(native)); /* what is not in the table must come out as nothing */
	memset(compat, 0xff, sizeof(compat));
	memset(socketcalls, 0xff, sizeof(socketcalls));
	syscalls_fill(native, compat, socketcalls);
	return 0;
}

static void see_once(bool seen[FDT_CALLS_MAX], int number)
{
	assert_true(number < FDT_CALLS_MAX);
	if (number < 0)
		return;
	assert_false(seen[number]);
	seen[number] = true;
}

static void numbers_are_unique(void **state)
{
	bool seen[FDT_CALLS_MAX] = { false }, seen_i386[FDT_CALLS_MAX] = { false },
	     seen_arm[FDT_CALLS_MAX] = { false };
	size_t count;
	const struct syscall_row *row = syscalls_table(&count);

	(void)state;
	assert_true(count > 150);
	for (; count--; row++) {
		see_once(seen, row->number);
		see_once(seen_i386, row->number_i386);
		see_once(seen_arm, row->number_arm);
	}
}

/* The canonical numbers are in recordings: these may never change. */
static void canonical_numbers_are_fixed(void **state)
{
	(void)state;
	assert_int_equal(FDT_SYS_none, 0);
	assert_int_equal(FDT_SYS_read, 1);
	assert_int_equal(FDT_SYS_write, 2);
	assert_int_equal(FDT_SYS_open, 3);
	assert_int_equal(FDT_SYS_close, 4);
	assert_int_equal(FDT_SYS_openat, 5);
	assert_int_equal(FDT_SYS_close_range, 55);
	assert_int_equal(FDT_SYS_oldfstat, 168);
}

static void canonical_numbers_and_names_are_unique(void **state)
{
	const char *names[NAMES_MAX] = { NULL };

	(void)state;
#define PUT(number, name)                          \
	assert_in_range(number, 1, NAMES_MAX - 1); \
	assert_null(names[number]);                \
	names[number] = #name;                     \
	assert_string_equal(syscall_name(number), #name);
	FDT_SYSCALLS(PUT)
#undef PUT
	assert_string_equal(syscall_name(FDT_SYS_none), "syscall");
	assert_string_equal(syscall_name(NAMES_MAX), "syscall");
	assert_string_equal(syscall_name(~0u), "syscall");
}

/* Every call that has a canonical number is in the table, or nothing is ever known of it. */
static void every_name_is_in_the_table(void **state)
{
	bool has_row[NAMES_MAX] = { false };
	size_t count;
	const struct syscall_row *row = syscalls_table(&count);

	(void)state;
	for (; count--; row++)
		has_row[row->call.syscall] = true;
#define CHECK(number, name)   \
	if (!has_row[number]) \
		fail_msg("%s has no row", #name);
	FDT_SYSCALLS(CHECK)
#undef CHECK
}

static void known_numbers_are_right(void **state)
{
	(void)state;
	assert_int_equal(native[SYS_close].syscall, FDT_SYS_close);
	assert_int_equal(native[SYS_openat].syscall, FDT_SYS_openat);
	assert_int_equal(native[SYS_dup3].syscall, FDT_SYS_dup3);
	assert_int_equal(native[SYS_clone3].syscall, FDT_SYS_clone3);
	assert_int_equal(native[467].syscall, FDT_SYS_open_tree_attr);
	assert_int_equal(native[SYS_getppid].syscall, FDT_SYS_none);
	assert_int_equal(native[SYS_getppid].what, FDT_CALL_NONE);
	assert_int_equal(native[FDT_CALLS_MAX - 1].what, FDT_CALL_NONE);
}

/* By arch/arm/tools/syscall.tbl. */
static unsigned int arm_call(int number)
{
	size_t count;
	const struct syscall_row *row = syscalls_table(&count);

	for (; count--; row++)
		if (row->number_arm == number)
			return row->call.syscall;
	return FDT_SYS_none;
}

static void arm_numbers_are_right(void **state)
{
	(void)state;
	assert_int_equal(arm_call(6), FDT_SYS_close);
	assert_int_equal(arm_call(221), FDT_SYS_fcntl);
	assert_int_equal(arm_call(281), FDT_SYS_socket);
	assert_int_equal(arm_call(285), FDT_SYS_accept);
	assert_int_equal(arm_call(289), FDT_SYS_sendto); /* send */
	assert_int_equal(arm_call(322), FDT_SYS_openat);
	assert_int_equal(arm_call(327), FDT_SYS_newfstatat); /* fstatat64 */
	assert_int_equal(arm_call(358), FDT_SYS_dup3);
	assert_int_equal(arm_call(436), FDT_SYS_close_range);
	assert_int_equal(arm_call(102), FDT_SYS_none); /* socketcall: the old ABI's */
	assert_int_equal(arm_call(90), FDT_SYS_none);  /* mmap: the same */
}

/* arch/x86/entry/syscalls/syscall_32.tbl */
static void i386_numbers_are_right(void **state)
{
	(void)state;
#ifdef __x86_64__
	assert_int_equal(compat[6].syscall, FDT_SYS_close);
	assert_int_equal(compat[5].syscall, FDT_SYS_open);
	assert_int_equal(compat[63].syscall, FDT_SYS_dup2);
	assert_int_equal(compat[221].syscall, FDT_SYS_fcntl);
	assert_int_equal(compat[55].syscall, FDT_SYS_fcntl);
	assert_int_equal(compat[192].syscall, FDT_SYS_mmap);
	assert_int_equal(compat[192].fds, 1 << 4);
	assert_int_equal(compat[102].what, FDT_CALL_SOCKETCALL);
	assert_int_equal(compat[417].syscall, FDT_SYS_recvmmsg);
	assert_int_equal(compat[20].syscall, FDT_SYS_none); /* getpid */
	assert_int_equal(compat[90].syscall, FDT_SYS_none); /* mmap: one pointer to a structure */
#else
	assert_int_equal(compat[322].syscall, FDT_SYS_openat); /* Arm's instead */
	assert_int_equal(compat[295].syscall, FDT_SYS_getsockopt);
#endif
}

static void socketcalls_are_right(void **state)
{
	(void)state;
	assert_int_equal(socketcalls[0].what, FDT_CALL_NONE);
	assert_int_equal(socketcalls[1].what, FDT_CALL_OPEN);
	assert_int_equal(socketcalls[8].what, FDT_CALL_SOCKETPAIR);
	assert_int_equal(socketcalls[17].what, FDT_CALL_RECVMSG);
	assert_int_equal(socketcalls[18].syscall, FDT_SYS_accept4);
	assert_int_equal(socketcalls[21].what, FDT_CALL_NONE);
}

static const struct fdt_call *row_of(unsigned int syscall)
{
	size_t count;
	const struct syscall_row *row = syscalls_table(&count);

	for (; count--; row++)
		if (row->call.syscall == syscall)
			return &row->call;
	fail_msg("%s has no row", syscall_name(syscall));
	return NULL;
}

static const struct {
	unsigned int syscall, what;
} classes[] = {
	{ FDT_SYS_landlock_create_ruleset, FDT_CALL_MAYBE },
	{ FDT_SYS_bpf, FDT_CALL_MAYBE },
	{ FDT_SYS_seccomp, FDT_CALL_MAYBE },
	{ FDT_SYS_ioctl, FDT_CALL_IOCTL },
	{ FDT_SYS_fcntl, FDT_CALL_FCNTL },
	{ FDT_SYS_close, FDT_CALL_CLOSE },
	{ FDT_SYS_close_range, FDT_CALL_RANGE },
	{ FDT_SYS_dup2, FDT_CALL_REPLACE },
	{ FDT_SYS_dup3, FDT_CALL_REPLACE },
	{ FDT_SYS_pipe, FDT_CALL_PIPE },
	{ FDT_SYS_pipe2, FDT_CALL_PIPE },
	{ FDT_SYS_socketpair, FDT_CALL_SOCKETPAIR },
	{ FDT_SYS_recvmsg, FDT_CALL_RECVMSG },
	{ FDT_SYS_recvmmsg, FDT_CALL_RECVMMSG },
	{ FDT_SYS_getsockopt, FDT_CALL_GETSOCKOPT },
	{ FDT_SYS_clone, FDT_CALL_NONE },
	{ FDT_SYS_clone3, FDT_CALL_NONE },
	{ FDT_SYS_unshare, FDT_CALL_UNSHARE },
	{ FDT_SYS_setrlimit, FDT_CALL_SETRLIMIT },
	{ FDT_SYS_prlimit64, FDT_CALL_PRLIMIT },
	{ FDT_SYS_fanotify_init, FDT_CALL_READER },
	{ FDT_SYS_userfaultfd, FDT_CALL_READER },
	{ FDT_SYS_pidfd_getfd, FDT_CALL_READER },
	{ FDT_SYS_read, FDT_CALL_READ },
	{ FDT_SYS_readv, FDT_CALL_READ },
	{ FDT_SYS_preadv2, FDT_CALL_READ },
	{ FDT_SYS_write, FDT_CALL_NONE },
	{ FDT_SYS_epoll_create, FDT_CALL_EPOLL },
	{ FDT_SYS_epoll_create1, FDT_CALL_EPOLL },
	{ FDT_SYS_epoll_ctl, FDT_CALL_EPOLL_CTL },
	{ FDT_SYS_poll, FDT_CALL_POLL },
	{ FDT_SYS_select, FDT_CALL_SELECT },
	{ FDT_SYS_io_uring_enter, FDT_CALL_URING },
};

/* Whatever makes, replaces or ends a descriptor has something for the programs to do. */
static void every_maker_has_a_class(void **state)
{
	static const unsigned int results[] = {
		FDT_SYS_open,
		FDT_SYS_openat,
		FDT_SYS_openat2,
		FDT_SYS_creat,
		FDT_SYS_open_by_handle_at,
		FDT_SYS_socket,
		FDT_SYS_accept,
		FDT_SYS_accept4,
		FDT_SYS_dup,
		FDT_SYS_eventfd,
		FDT_SYS_eventfd2,
		FDT_SYS_signalfd,
		FDT_SYS_signalfd4,
		FDT_SYS_timerfd_create,
		FDT_SYS_inotify_init,
		FDT_SYS_inotify_init1,
		FDT_SYS_memfd_create,
		FDT_SYS_memfd_secret,
		FDT_SYS_perf_event_open,
		FDT_SYS_io_uring_setup,
		FDT_SYS_pidfd_open,
		FDT_SYS_fsopen,
		FDT_SYS_fspick,
		FDT_SYS_fsmount,
		FDT_SYS_open_tree,
		FDT_SYS_open_tree_attr,
		FDT_SYS_mq_open,
	};

	(void)state;
	for (size_t i = 0; i < sizeof(results) / sizeof(*results); i++)
		if (row_of(results[i])->what != FDT_CALL_OPEN)
			fail_msg("%s should make a descriptor", syscall_name(results[i]));
	for (size_t i = 0; i < sizeof(classes) / sizeof(*classes); i++)
		if (row_of(classes[i].syscall)->what != classes[i].what)
			fail_msg("%s has the wrong class", syscall_name(classes[i].syscall));
}

/* What nobody wants to be told becomes a call like any other, and keeps all but its class. */
static void a_class_becomes_another(void **state)
{
	struct fdt_call before = native[SYS_epoll_ctl];

	assert_int_equal(before.what, FDT_CALL_EPOLL_CTL);
	syscalls_reclass(native, FDT_CALL_EPOLL_CTL, FDT_CALL_NONE);
	before.what = FDT_CALL_NONE;
	assert_memory_equal(&native[SYS_epoll_ctl], &before, sizeof(before));
	assert_int_equal(native[SYS_close].what, FDT_CALL_CLOSE);
	fill(state);
}

/* A use is a use of an argument that is a descriptor. */
static void uses_are_among_the_descriptors(void **state)
{
	size_t count;
	const struct syscall_row *row = syscalls_table(&count);

	(void)state;
	for (; count--; row++) {
		assert_int_equal(row->call.uses & ~row->call.fds, 0);
		assert_int_equal(row->call.fds & ~0x3f, 0);
	}
}

static void looking_is_no_use(void **state)
{
	static const unsigned int looks[] = { FDT_SYS_fstat, FDT_SYS_newfstatat, FDT_SYS_statx,
					      FDT_SYS_dup,   FDT_SYS_dup2,       FDT_SYS_dup3,
					      FDT_SYS_close };

	(void)state;
	for (size_t i = 0; i < sizeof(looks) / sizeof(*looks); i++) {
		assert_int_equal(row_of(looks[i])->fds, 1);
		assert_int_equal(row_of(looks[i])->uses, 0);
	}
	assert_int_equal(row_of(FDT_SYS_read)->uses, 1);
	assert_int_equal(row_of(FDT_SYS_epoll_ctl)->uses, 1 | 1 << 2);
	assert_int_equal(row_of(FDT_SYS_mmap)->uses, 1 << 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_unique),
		cmocka_unit_test(canonical_numbers_are_fixed),
		cmocka_unit_test(canonical_numbers_and_names_are_unique),
		cmocka_unit_test(every_name_is_in_the_table),
		cmocka_unit_test(known_numbers_are_right),
		cmocka_unit_test(i386_numbers_are_right),
		cmocka_unit_test(arm_numbers_are_right),
		cmocka_unit_test(socketcalls_are_right),
		cmocka_unit_test(every_maker_has_a_class),
		cmocka_unit_test(a_class_becomes_another),
		cmocka_unit_test(uses_are_among_the_descriptors),
		cmocka_unit_test(looking_is_no_use),
	};

	return cmocka_run_group_tests(tests, fill, NULL);
}
