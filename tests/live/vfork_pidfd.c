// SPDX-License-Identifier: BSD-2-Clause
/*
 * clone(CLONE_VFORK | CLONE_PIDFD): the descriptor is in the table while the call that made it
 * is not over until the child lets go. Told to, the child first overwrites the memory where the
 * kernel has left the number.
 */
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include "program.h"

#ifndef CLONE_PIDFD
#define CLONE_PIDFD 0x1000
#endif

static char stack[64 * 1024] __attribute__((aligned(16)));
static int pidfd;

static void wait_for_line(void)
{
	char c;

	while (must(read(0, &c, 1)) && c != '\n')
		;
}

static int child(void *unused)
{
	(void)unused;
	pidfd = 0; /* the memory is shared */
	must(write(1, "held\n", 5));
	wait_for_line();
	_exit(0);
}

int main(void)
{
	int status;
	pid_t pid;

	must(write(1, "up\n", 3));
	wait_for_line();
	pid = must(clone(child, stack + sizeof(stack),
			 CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, NULL, &pidfd));
	must(waitpid(pid, &status, 0));
	must(write(1, "over\n", 5));
	wait_for_line();
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
