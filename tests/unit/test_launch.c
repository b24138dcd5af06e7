// SPDX-License-Identifier: BSD-2-Clause
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

#include "run/launch.h"
#include "run/signals.h"
#include "util/error.h"

static struct signals signals;
static char directory[] = "/tmp/test_launch.XXXXXX";

static char *path_of(const char *name, char path[64])
{
	snprintf(path, 64, "%s/%s", directory, name);
	return path;
}

static void write_file(const char *path, const char *text, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static int run(char **argv)
{
	struct launch *launch = NULL;
	struct error error;
	int status;

	assert_int_equal(launch_new(argv, &signals, &launch, &error), 0);
	assert_int_equal(launch_go(launch, &error), 0);
	status = launch_wait(launch, &signals);
	assert_true(launch_ended(launch));
	launch_free(launch);
	return status;
}

static int run_shell(const char *script)
{
	return run((char *[]){ (char *)"sh", (char *)"-c", (char *)script, NULL });
}

static void the_commands_status_becomes_ours(void **state)
{
	(void)state;
	assert_int_equal(run_shell("exit 0"), 0);
	assert_int_equal(run_shell("exit 42"), 42);
	assert_int_equal(run_shell("kill -TERM $$"), 128 + SIGTERM);
	assert_int_equal(run_shell("kill -KILL $$"), 128 + SIGKILL);
}

static void fail_to_run(const char *command, int status, const char *cause)
{
	char *argv[] = { (char *)command, NULL };
	struct launch *launch = NULL;
	struct error error = { 0 };

	assert_int_equal(launch_new(argv, &signals, &launch, &error), 0);
	assert_true(launch_go(launch, &error) < 0);
	assert_int_equal(error.status, status);
	if (!strstr(error.what, command) || !strstr(error.cause, cause))
		fail_msg("%s / %s", error.what, error.cause);
	assert_int_equal(launch_wait(launch, &signals), status);
	launch_free(launch);
}

static void what_cannot_run_is_told_apart(void **state)
{
	char path[64];

	(void)state;
	fail_to_run("no-such-command-here", EXIT_NOT_FOUND, "PATH");
	fail_to_run(path_of("missing", path), EXIT_NOT_FOUND, "");
	write_file(path_of("plain", path), "x", 0644);
	fail_to_run(path, EXIT_NOT_EXECUTABLE, "");
	fail_to_run(directory, EXIT_NOT_EXECUTABLE, "");
	write_file(path_of("interpreter", path), "#!/nonexistent/interpreter\n", 0755);
	fail_to_run(path, EXIT_NOT_FOUND, "interpreter");
	fail_to_run("", EXIT_NOT_FOUND, "empty");
}

static void a_script_without_shebang_is_the_shells(void **state)
{
	char path[64];

	(void)state;
	write_file(path_of("script", path), "test \"$1\" = word && exit 5\n", 0755);
	assert_int_equal(run((char *[]){ path, (char *)"word", NULL }), 5);
}

static void nothing_runs_without_the_word(void **state)
{
	struct launch *launch = NULL;
	struct error error;
	char path[64];
	char *argv[] = { (char *)"touch", path_of("touched", path), NULL };

	(void)state;
	assert_int_equal(launch_new(argv, &signals, &launch, &error), 0);
	assert_false(launch_ended(launch));
	launch_free(launch); /* has waited for the child */
	assert_int_equal(access(path, F_OK), -1);
}

static void signals_are_as_we_found_them(void **state)
{
	char path[64], script[256];

	(void)state;
	snprintf(script, sizeof(script), "grep -E '^Sig(Blk|Ign)' /proc/self/status > %s",
		 path_of("signals", path));
	assert_int_equal(run_shell(script), 0);
	/* 32 and 33 are glibc's own: what posix_spawn leaves of them nobody can set back */
	snprintf(script, sizeof(script),
		 "grep -q 'SigBlk:.0*$' %s && grep -q 'SigIgn:.*[08]0000000$' %s", path, path);
	assert_int_equal(run_shell(script), 0);
}

/* Ours must not cross the exec: only what we had before is open in the command. */
static void no_descriptor_of_ours_is_left_open(void **state)
{
	char path[64], script[256];
	int fd = open("/dev/null", O_RDONLY); /* inherited on purpose */

	(void)state;
	snprintf(script, sizeof(script), "for f in /proc/$$/fd/*; do readlink $f; done > %s",
		 path_of("open", path));
	assert_int_equal(run_shell(script), 0);
	snprintf(script, sizeof(script), "! grep -E 'signalfd|pidfd|anon_inode' %s", path);
	assert_int_equal(run_shell(script), 0);
	snprintf(script, sizeof(script), "grep -q /dev/null %s", path);
	assert_int_equal(run_shell(script), 0);
	close(fd);
}

static void signals_sent_to_us_are_passed_on(void **state)
{
	char path[64], script[192], command[64];
	char *argv[] = { (char *)"sh", (char *)"-c", script, NULL };
	struct launch *launch = NULL;
	struct error error;
	char word[8];
	int fifo;

	(void)state;
	assert_int_equal(mkfifo(path_of("ready", path), 0600), 0);
	snprintf(script, sizeof(script),
		 "trap 'exit 9' USR1; echo ready > %s; while :; do sleep 0.01; done", path);
	assert_int_equal(launch_new(argv, &signals, &launch, &error), 0);
	assert_int_equal(launch_go(launch, &error), 0);
	fifo = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(read(fifo, word, 6), 6); /* the trap is set */
	close(fifo);
	snprintf(command, sizeof(command), "kill -USR1 %d", getpid());
	assert_int_equal(system(command), 0);
	assert_int_equal(launch_wait(launch, &signals), 9);
	launch_free(launch);
}

static void the_end_can_be_polled(void **state)
{
	char *argv[] = { (char *)"true", NULL };
	struct launch *launch = NULL;
	struct error error;
	struct pollfd poll_fd = { .events = POLLIN };

	(void)state;
	assert_int_equal(launch_new(argv, &signals, &launch, &error), 0);
	poll_fd.fd = launch_poll_fd(launch);
	assert_int_equal(poll(&poll_fd, 1, 0), 0);
	assert_int_equal(launch_go(launch, &error), 0);
	assert_int_equal(poll(&poll_fd, 1, 10000), 1);
	assert_true(launch_ended(launch));
	launch_signal(launch, SIGKILL); /* nothing to hit */
	assert_int_equal(launch_wait(launch, &signals), 0);
	launch_free(launch);
}

static int set_up(void **state)
{
	sigset_t none;

	(void)state;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (int number = 1; number < SIGSYS; number++)
		signal(number, SIG_DFL); /* whatever the test runner left us */
	return mkdtemp(directory) ? signals_init(&signals, true) : -1;
}

static int tear_down(void **state)
{
	char command[64];

	(void)state;
	signals_done(&signals);
	snprintf(command, sizeof(command), "rm -r %s", directory);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_commands_status_becomes_ours),
		cmocka_unit_test(what_cannot_run_is_told_apart),
		cmocka_unit_test(a_script_without_shebang_is_the_shells),
		cmocka_unit_test(nothing_runs_without_the_word),
		cmocka_unit_test(signals_are_as_we_found_them),
		cmocka_unit_test(no_descriptor_of_ours_is_left_open),
		cmocka_unit_test(signals_sent_to_us_are_passed_on),
		cmocka_unit_test(the_end_can_be_polled),
	};

	setenv("PATH", "/usr/bin:/bin", 1); /* of the caller's a user may read less */

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
