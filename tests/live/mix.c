// SPDX-License-Identifier: BSD-2-Clause
/* Several faults at once: three leaks of different kinds, a double close, a careless exec. */
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include "program.h"

static void run_true(void)
{
	pid_t child = must(fork());

	if (!child) {
		execl("/bin/true", "true", (char *)NULL);
		_exit(PROGRAM_BROKEN);
	}
	must(waitpid(child, NULL, 0));
}

/* flags: O_CLOEXEC or 0 */
static void run_child_beside_two_files(int flags)
{
	int fd[2];

	for (int i = 0; i < 2; i++)
		fd[i] = must(open("/proc/self/exe", O_RDONLY | flags));
	run_true();
	for (int i = 0; i < 2; i++)
		must(close(fd[i]));
}

static int guilty(void)
{
	int fd = must(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));

	must(close(fd));
	must_fail(close(fd), EBADF);
	run_child_beside_two_files(0);
	must(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
	must(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
	must(eventfd(0, EFD_CLOEXEC));
	return 7;
}

static int innocent(void)
{
	int file = must(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
	int socket_fd = must(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
	int event = must(eventfd(0, EFD_CLOEXEC));

	run_child_beside_two_files(O_CLOEXEC);
	must(close(event));
	must(close(socket_fd));
	must(close(file));
	return 7;
}

static const struct variant variants[] = {
	{ "guilty", guilty },
	{ "innocent", innocent },
	{ NULL, NULL },
};

int main(int argc, char **argv)
{
	return run_variant(variants, argc > 1 ? argv[1] : NULL);
}
