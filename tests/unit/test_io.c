// SPDX-License-Identifier: BSD-2-Clause
/* Writing, standard descriptors, messages and what is known of the host. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "util/hostinfo.h"
#include "util/io.h"
#include "util/log.h"
#include "util/error.h"

#define LARGE (1 << 20)

struct reader {
	int fd;
	size_t total;
	uint32_t sum;
};

static void *read_all(void *arg)
{
	struct reader *r = arg;
	unsigned char part[999];
	ssize_t length;

	while ((length = read(r->fd, part, sizeof(part))) > 0) {
		for (ssize_t i = 0; i < length; i++)
			r->sum = r->sum * 31 + part[i];
		r->total += (size_t)length;
	}
	return NULL;
}

/* A pipe that is full now and then, and never takes all at once. */
static void writes_everything_into_a_pipe_that_is_not_ready(void **state)
{
	static unsigned char data[LARGE];
	struct reader r = { 0 };
	uint32_t sum = 0;
	pthread_t thread;
	int fds[2];

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(fcntl(fds[1], F_SETFL, O_NONBLOCK), 0);
	for (size_t i = 0; i < LARGE; i++) {
		data[i] = (unsigned char)(i * i >> 7);
		sum = sum * 31 + data[i];
	}
	r.fd = fds[0];
	assert_int_equal(pthread_create(&thread, NULL, read_all, &r), 0);
	assert_int_equal(write_all(fds[1], data, LARGE), 0);
	close(fds[1]);
	pthread_join(thread, NULL);
	close(fds[0]);
	assert_int_equal(r.total, LARGE);
	assert_int_equal(r.sum, sum);
}

static void tells_that_the_reader_has_gone(void **state)
{
	int fds[2];

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	close(fds[0]);
	assert_int_equal(write_all(fds[1], "x", 1), -EPIPE);
	close(fds[1]);
	assert_int_equal(write_all(-1, "x", 1), -EBADF);
	assert_int_equal(write_all(-1, "", 0), 0);
}

/* In a child, where 0, 1 and 2 may be closed. Its exit status tells. */
static int guarded(unsigned int closed)
{
	unsigned int was_closed = 99;

	for (int fd = 0; fd < 3; fd++)
		if (closed & 1u << fd)
			close(fd);
	if (stdio_guard(&was_closed) || was_closed != closed)
		return 1;
	for (int fd = 0; fd < 3; fd++) {
		struct stat null, found;

		if (!(closed & 1u << fd))
			continue;
		if (stat("/dev/null", &null) || fstat(fd, &found) || null.st_rdev != found.st_rdev)
			return 2;
		if (!(fcntl(fd, F_GETFD) & FD_CLOEXEC))
			return 3;
	}
	return stdio_guard(&was_closed) || was_closed;
}

static void standard_descriptors_are_never_ours(void **state)
{
	(void)state;
	for (unsigned int closed = 0; closed < 8; closed++) {
		int status = -1;
		pid_t pid = fork();

		if (!pid)
			_exit(guarded(closed));
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
	}
}

/* Stands in for stderr; a datagram is one write. */
struct stderr_catch {
	int saved, fds[2];
	char text[65536];
};

static void catch_begin(struct stderr_catch *c)
{
	int size = 1 << 20;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, c->fds), 0);
	assert_int_equal(setsockopt(c->fds[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
	c->saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	assert_int_equal(dup2(c->fds[1], STDERR_FILENO), STDERR_FILENO);
}

/* The next message, "" if there is none. */
static const char *caught(struct stderr_catch *c)
{
	ssize_t length = recv(c->fds[0], c->text, sizeof(c->text) - 1, MSG_DONTWAIT);

	c->text[length > 0 ? length : 0] = '\0';
	return c->text;
}

static void catch_end(struct stderr_catch *c)
{
	dup2(c->saved, STDERR_FILENO);
	close(c->saved);
	close(c->fds[0]);
	close(c->fds[1]);
	log_set_level(LOG_INFO);
}

static void a_message_is_one_write_and_one_line(void **state)
{
	struct stderr_catch c;

	(void)state;
	catch_begin(&c);
	errno = EXDEV;
	log_warn("cannot read %s", "/tmp/\033[2Ja\nfdtrace: forged");
	assert_int_equal(errno, EXDEV);
	assert_string_equal(caught(&c), "fdtrace: cannot read /tmp/\\x1B[2Ja\\nfdtrace: forged\n");
	log_info("%d", 7);
	log_error("newline given\n");
	assert_string_equal(caught(&c), "fdtrace: 7\n");
	assert_string_equal(caught(&c), "fdtrace: newline given\n");
	catch_end(&c);
}

static void levels(void **state)
{
	struct stderr_catch c;
	char seen[64] = "";

	(void)state;
	catch_begin(&c);
	for (int level = LOG_QUIET; level <= LOG_DEBUG; level++) {
		log_set_level((enum log_level)level);
		log_error("e");
		log_warn("w");
		log_info("i");
		log_debug("d");
		while (caught(&c)[0])
			seen[strlen(seen)] = c.text[strlen("fdtrace: ")];
		strcat(seen, ".");
	}
	catch_end(&c);
	assert_string_equal(seen, "e.ew.ewi.ewid.");
}

static void library_log(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void library_log(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_debug_v(format, args);
	va_end(args);
}

/* libbpf prints a verifier's log, long and with many lines, in one call. */
static void a_library_may_tell_much(void **state)
{
	static char much[20000];
	struct stderr_catch c;

	(void)state;
	memset(much, 'v', sizeof(much) - 1);
	much[100] = '\n';
	much[101] = '\033';
	catch_begin(&c);
	library_log("not at this level");
	log_set_level(LOG_DEBUG);
	library_log("%s\n", much);
	assert_int_equal(strlen(caught(&c)), strlen("fdtrace: ") + sizeof(much) - 1 + 3 + 1);
	assert_string_equal(c.text + strlen(c.text) - 3, "vv\n");
	assert_memory_equal(c.text + 108, "v\n\\x1Bv", 7);
	catch_end(&c);
}

static void an_error_has_three_lines(void **state)
{
	struct stderr_catch c;
	struct error t;

	(void)state;
	assert_int_equal(error_set(&t, EPERM, EXIT_CANNOT, "cannot trace pid %d: %s", 4121,
				   "permission denied"),
			 -EPERM);
	assert_int_equal(error_explain(&t, "needs \033 CAP_BPF", "try: sudo"), -EPERM);
	assert_int_equal(t.status, EXIT_CANNOT);
	catch_begin(&c);
	log_set_level(LOG_QUIET);
	error_print(&t);
	assert_string_equal(caught(&c), "fdtrace: cannot trace pid 4121: permission denied\n"
					"  needs \\x1B CAP_BPF\n"
					"  try: sudo\n");
	error_set(&t, EIO, EXIT_INTERNAL, "again: %s", t.what);
	error_explain(&t, t.what, NULL);
	error_print(&t);
	assert_string_equal(caught(&c), "fdtrace: again: cannot trace pid 4121: permission denied\n"
					"  again: cannot trace pid 4121: permission denied\n");
	memset(t.what, '\033', sizeof(t.what) - 1);
	memset(t.cause, '\377', sizeof(t.cause) - 1);
	memset(t.remedy, '\n', sizeof(t.remedy) - 1);
	error_print(&t);
	assert_int_equal(strlen(caught(&c)), 9 + 255 * 4 + 1 + 2 + 511 * 4 + 1 + 2 + 255 * 2 + 1);
	catch_end(&c);
}

struct copy {
	struct hostinfo info;
	unsigned int keys;
};

static void copy_key(void *ctx, const char *key_value)
{
	struct copy *c = ctx;

	c->keys++;
	assert_int_equal(hostinfo_parse(&c->info, key_value, strlen(key_value)), 0);
}

static void hostinfo_survives_a_recording(void **state)
{
	struct hostinfo info, second;
	struct copy c = { 0 };

	(void)state;
	hostinfo_gather(&info);
	hostinfo_gather(&second);
	assert_string_equal(info.version, FDTRACE_VERSION);
	assert_true(info.host_name[0] && info.kernel[0]);
	assert_int_equal(strlen(info.boot_id), 36);
	assert_int_equal(strlen(info.start_id), 16);
	assert_string_not_equal(info.start_id, second.start_id);
	assert_true(info.wall_offset_ns > 0);
	strcpy(info.coverage, "tracepoint");
	strcpy(info.not_seen, "uses");
	strcpy(info.mode, "pid");
	hostinfo_each(&info, copy_key, &c);
	assert_int_equal(c.keys, 10);
	assert_memory_equal(&c.info, &info, sizeof(info));
}

static int parse(struct hostinfo *info, const char *text)
{
	return hostinfo_parse(info, text, strlen(text));
}

static void hostile_host(void **state)
{
	struct hostinfo info = { 0 };
	char big[300] = "host.name=";

	(void)state;
	memset(big + 10, 'n', sizeof(big) - 11);
	assert_int_equal(parse(&info, big), 0);
	assert_int_equal(strlen(info.host_name), sizeof(info.host_name) - 1);
	assert_int_equal(parse(&info, "set.leak.window=10s"), -ENOENT);
	assert_int_equal(parse(&info, "host.nam=x"), -ENOENT);
	assert_int_equal(parse(&info, "host.name"), -ENOENT);
	assert_int_equal(parse(&info, ""), -ENOENT);
	assert_int_equal(parse(&info, "clock.wall_offset_ns=-12"), 0);
	assert_int_equal(info.wall_offset_ns, -12);
	assert_int_equal(parse(&info, "clock.wall_offset_ns="), -EINVAL);
	assert_int_equal(parse(&info, "clock.wall_offset_ns=1x"), -EINVAL);
	assert_int_equal(parse(&info, "clock.wall_offset_ns=99999999999999999999"), -EINVAL);
	assert_int_equal(hostinfo_parse(&info, "clock.wall_offset_ns=1\0", 23), -EINVAL);
	assert_int_equal(info.wall_offset_ns, -12);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes_everything_into_a_pipe_that_is_not_ready),
		cmocka_unit_test(tells_that_the_reader_has_gone),
		cmocka_unit_test(standard_descriptors_are_never_ours),
		cmocka_unit_test(a_message_is_one_write_and_one_line),
		cmocka_unit_test(levels),
		cmocka_unit_test(a_library_may_tell_much),
		cmocka_unit_test(an_error_has_three_lines),
		cmocka_unit_test(hostinfo_survives_a_recording),
		cmocka_unit_test(hostile_host),
	};

	signal(SIGPIPE, SIG_IGN);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
