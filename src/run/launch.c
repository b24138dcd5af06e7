// SPDX-License-Identifier: BSD-2-Clause
#include "run/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "run/signals.h"
#include "util/escape.h"
#include "util/error.h"

struct launch {
	pid_t pid;
	int pid_fd;
	int go_fd; /* a byte written here lets the child go; closing it ends the child; -1: done */
	int error_fd; /* errno of a failed exec; end of file: it succeeded */
	const char *command;
	bool ended;
	int status; /* exit status, once ended */
};

/*
 * Closes fdtrace's own descriptors before tracing begins, so that they do not show up as the
 * command's. They are close-on-exec, inherited ones are not; the two pipes were opened last and so
 * have the highest numbers.
 */
static void close_ours(int go_fd, int error_fd)
{
	int last = go_fd > error_fd ? go_fd : error_fd;

	for (int fd = STDERR_FILENO + 1; fd < last; fd++) {
		int flags = fd == go_fd || fd == error_fd ? -1 : fcntl(fd, F_GETFD);

		if (flags >= 0 && flags & FD_CLOEXEC)
			close(fd);
	}
}

/* The child until exec. Only what is safe after fork. */
static void run_child(char **argv, const struct signals *signals, int go_fd, int error_fd)
{
	char go;
	int err;
	ssize_t got;

	signals_restore(signals);
	close_ours(go_fd, error_fd);
	do {
		got = read(go_fd, &go, 1);
	} while (got < 0 && errno == EINTR);
	if (got != 1)
		_exit(EXIT_TRACE_COMMAND);
	close(go_fd);
	execvp(argv[0], argv);
	err = errno;
	got = write(error_fd, &err, sizeof(err));
	(void)got; /* nobody is left to report to */
	_exit(err == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE);
}

static void close_pair(int pair[2])
{
	close(pair[0]);
	close(pair[1]);
}

static int fork_child(struct launch *l, char **argv, const struct signals *signals, int go[2],
		      int error[2])
{
	int err;

	l->pid = fork();
	if (l->pid < 0)
		return -errno;
	if (l->pid == 0) {
		close(go[1]); /* else the child would wait for itself: it may be the highest of all */
		run_child(argv, signals, go[0], error[1]);
	}
	l->pid_fd = (int)syscall(SYS_pidfd_open, l->pid, 0);
	if (l->pid_fd >= 0)
		return 0;
	err = -errno;
	kill(l->pid, SIGKILL);
	waitpid(l->pid, NULL, 0);
	return err;
}

static int start_child(struct launch *l, char **argv, const struct signals *signals)
{
	int go[2], error[2], err;

	if (pipe2(go, O_CLOEXEC) < 0)
		return -errno;
	if (pipe2(error, O_CLOEXEC) < 0) {
		err = -errno;
		close_pair(go);
		return err;
	}
	err = fork_child(l, argv, signals, go, error);
	if (err) {
		close_pair(go);
		close_pair(error);
		return err;
	}
	close(go[0]);
	close(error[1]);
	l->go_fd = go[1];
	l->error_fd = error[0];
	return 0;
}

int launch_new(char **argv, const struct signals *signals, struct launch **ret_launch,
	       struct error *error)
{
	struct launch *l = calloc(1, sizeof(*l));
	int err = l ? start_child(l, argv, signals) : -ENOMEM;

	if (err) {
		free(l);
		error_set(error, -err, EXIT_TRACE_COMMAND,
			  "cannot start a process for the command");
		return error_explain(error, strerror(-err), NULL);
	}
	l->command = argv[0];
	*ret_launch = l;
	return 0;
}

pid_t launch_pid(const struct launch *launch)
{
	return launch->pid;
}

static const char *exec_cause(const char *command, int error)
{
	if (error == ENOENT && !*command)
		return "the command name is empty";
	if (error == ENOENT && strchr(command, '/') && access(command, F_OK) == 0)
		return "the file exists, but the interpreter or loader it names does not";
	if (error == ENOENT && !strchr(command, '/'))
		return "it was not found in any directory of PATH";
	if (error == E2BIG)
		return "its arguments and environment are longer than the kernel allows";
	return NULL;
}

static int exec_failed(const struct launch *l, int number, struct error *error)
{
	char name[128];

	escape_text(name, sizeof(name), l->command, strlen(l->command));
	error_set(error, number, number == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE,
		  "cannot run %s: %s", *name ? name : "\"\"", strerror(number));
	return error_explain(error, exec_cause(l->command, number), NULL);
}

/* A child killed before it could start leaves the pipe empty; that is not an error of ours. */
int launch_go(struct launch *launch, struct error *error)
{
	int number = 0;
	ssize_t got;

	got = write(launch->go_fd, "g", 1);
	close(launch->go_fd);
	launch->go_fd = -1;
	do {
		got = read(launch->error_fd, &number, sizeof(number));
	} while (got < 0 && errno == EINTR);
	if (got == sizeof(number))
		return exec_failed(launch, number, error);
	return 0;
}

int launch_poll_fd(const struct launch *launch)
{
	return launch->pid_fd;
}

bool launch_ended(struct launch *launch)
{
	siginfo_t info = { 0 };

	if (launch->ended)
		return true;
	if (waitid(P_PID, (id_t)launch->pid, &info, WEXITED | WNOHANG) < 0 || !info.si_pid)
		return false;
	launch->ended = true;
	launch->status = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
	return true;
}

/* By pidfd: it cannot reach another process with the same number. */
void launch_signal(const struct launch *launch, int signal)
{
	if (!launch->ended)
		syscall(SYS_pidfd_send_signal, launch->pid_fd, signal, NULL, 0);
}

int launch_wait(struct launch *launch, struct signals *signals)
{
	struct pollfd fds[] = { { .fd = launch->pid_fd, .events = POLLIN },
				{ .fd = signals->fd, .events = POLLIN } };
	bool sent;
	int signal;

	while (!launch_ended(launch)) {
		poll(fds, 2, -1);
		while ((signal = signals_read(signals, &sent))) {
			if (sent)
				launch_signal(launch, signal);
		}
	}
	return launch->status;
}

void launch_free(struct launch *launch)
{
	if (!launch)
		return;
	if (launch->go_fd >= 0) {
		close(launch->go_fd);
		waitpid(launch->pid, NULL, 0);
	}
	close(launch->pid_fd);
	close(launch->error_fd);
	free(launch);
}
