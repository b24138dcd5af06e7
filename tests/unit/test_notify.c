// SPDX-License-Identifier: BSD-2-Clause
/* Datagrams to a service manager, and the daemon's lock. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/lock.h"
#include "util/notify.h"
#include "util/error.h"

static char folder[] = "/tmp/fdtrace-notify-XXXXXX";
static char path[128];

static int listen_at(const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	memcpy(address.sun_path, name, strlen(name));
	if (*name == '@')
		address.sun_path[0] = '\0';
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, length), 0);
	setenv("NOTIFY_SOCKET", name, 1);
	return fd;
}

static void expect(int fd, const char *text)
{
	char got[600] = "";

	assert_int_equal(recv(fd, got, sizeof(got) - 1, 0), strlen(text));
	assert_string_equal(got, text);
}

static void nobody_listens(void **state)
{
	(void)state;
	unsetenv("NOTIFY_SOCKET");
	assert_int_equal(notify("READY=1"), -ENOTCONN);
	setenv("NOTIFY_SOCKET", "", 1);
	assert_int_equal(notify("READY=1"), -ENOTCONN);
	setenv("NOTIFY_SOCKET", "relative", 1);
	assert_int_equal(notify("READY=1"), -EINVAL);
	setenv("NOTIFY_SOCKET", "/does/not/exist", 1);
	assert_int_equal(notify("READY=1"), -ENOENT);
}

static void a_name_too_long(void **state)
{
	char name[300];

	(void)state;
	memset(name, 'a', sizeof(name));
	name[0] = '/';
	name[sizeof(name) - 1] = '\0';
	setenv("NOTIFY_SOCKET", name, 1);
	assert_int_equal(notify("READY=1"), -EINVAL);
}

static void one_datagram_each(void **state)
{
	char name[128];
	int fd;

	(void)state;
	fd = listen_at(path);
	assert_int_equal(notify("READY=1\nSTATUS=%d %s", 5, "tables"), 0);
	assert_int_equal(notify("STOPPING=1"), 0);
	expect(fd, "READY=1\nSTATUS=5 tables");
	expect(fd, "STOPPING=1");
	close(fd);
	assert_int_equal(notify("READY=1"), -ECONNREFUSED);
	unlink(path);
	snprintf(name, sizeof(name), "@fdtrace-notify-%d", (int)getpid());
	fd = listen_at(name);
	assert_int_equal(notify("READY=1"), 0);
	expect(fd, "READY=1");
	close(fd);
}

/* A service manager that does not read: we go on. */
static void it_never_waits(void **state)
{
	int fd = listen_at(path), err = 0;

	(void)state;
	for (int i = 0; !err && i < 100000; i++)
		err = notify("WATCHDOG=1");
	assert_int_equal(err, -EAGAIN);
	close(fd);
	unlink(path);
}

static void the_watchdog_is_ours(void **state)
{
	char pid[16];

	(void)state;
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	assert_int_equal(notify_watchdog_ns(), 0);
	setenv("WATCHDOG_USEC", "60000000", 1);
	assert_true(notify_watchdog_ns() == UINT64_C(60000000000));
	setenv("WATCHDOG_PID", "1", 1);
	assert_int_equal(notify_watchdog_ns(), 0);
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	setenv("WATCHDOG_PID", pid, 1);
	assert_true(notify_watchdog_ns() == UINT64_C(60000000000));
	setenv("WATCHDOG_USEC", "99999999999999999999999", 1);
	assert_int_equal(notify_watchdog_ns(), 0);
	setenv("WATCHDOG_USEC", "soon", 1);
	assert_int_equal(notify_watchdog_ns(), 0);
}

static void one_holds_the_lock(void **state)
{
	struct error error = { 0 };
	char pid[32], lock[160];
	int first = -1, second = -1;

	(void)state;
	setenv("RUNTIME_DIRECTORY", folder, 1);
	assert_int_equal(lock_take(&first, &error), 0);
	assert_int_equal(lock_take(&second, &error), -EBUSY);
	assert_int_equal(error.status, EXIT_CANNOT);
	snprintf(pid, sizeof(pid), "pid %d ", (int)getpid());
	assert_non_null(strstr(error.what, pid));
	assert_int_equal(fcntl(first, F_GETFD), FD_CLOEXEC);
	close(first);
	assert_int_equal(lock_take(&first, &error), 0);
	close(first);
	snprintf(lock, sizeof(lock), "%s/lock", folder);
	assert_int_equal(unlink(lock), 0);
}

static void a_lock_that_is_none(void **state)
{
	struct error error = { 0 };
	char lock[160];
	int fd = -1;

	(void)state;
	snprintf(lock, sizeof(lock), "%s/lock", folder);
	assert_int_equal(symlink("/dev/null", lock), 0);
	assert_int_equal(lock_take(&fd, &error), -ELOOP);
	unlink(lock);
	assert_int_equal(mkdir(lock, 0700), 0);
	assert_int_equal(lock_take(&fd, &error), -EISDIR);
	rmdir(lock);
	setenv("RUNTIME_DIRECTORY", "/does/not/exist:/tmp", 1);
	assert_int_equal(lock_take(&fd, &error), -ENOENT);
	assert_non_null(strstr(error.what, "/does/not/exist/lock"));
	assert_int_equal(fd, -1);
}

/* What an earlier one left there may be anything. */
static void who_holds_it_is_told_safely(void **state)
{
	struct error error = { 0 };
	char lock[160];
	int holder, fd = -1;

	(void)state;
	setenv("RUNTIME_DIRECTORY", folder, 1);
	snprintf(lock, sizeof(lock), "%s/lock", folder);
	holder = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(holder, "\033[31m", 5), 5);
	assert_int_equal(flock(holder, LOCK_EX), 0);
	assert_int_equal(lock_take(&fd, &error), -EBUSY);
	assert_non_null(strstr(error.what, "pid ? "));
	close(holder);
	unlink(lock);
}

static int make_folder(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/socket", folder);
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_listens),
		cmocka_unit_test(a_name_too_long),
		cmocka_unit_test(one_datagram_each),
		cmocka_unit_test(it_never_waits),
		cmocka_unit_test(the_watchdog_is_ours),
		cmocka_unit_test(one_holds_the_lock),
		cmocka_unit_test(a_lock_that_is_none),
		cmocka_unit_test(who_holds_it_is_told_safely),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
