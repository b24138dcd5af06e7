// SPDX-License-Identifier: BSD-2-Clause
/*
 * Two processes with one table (CLONE_FILES), both there before anybody attaches. The second
 * one then opens and closes; a tracer of the first must see it.
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include "program.h"

static char stack[64 * 1024] __attribute__((aligned(16)));

static void wait_for_line(void)
{
	char c;

	while (must(read(0, &c, 1)) && c != '\n')
		;
}

static int sharer(void *unused)
{
	(void)unused;
	wait_for_line();
	for (int i = 0; i < 20; i++)
		must(open("/dev/null", O_RDONLY | O_CLOEXEC));
	must(close(7));
	must(close(9));
	must(write(1, "done\n", 5));
	wait_for_line(); /* until standard input ends */
	return 0;
}

int main(void)
{
	pid_t child = must(clone(sharer, stack + sizeof(stack), CLONE_FILES | SIGCHLD, NULL));
	int status;

	must(write(1, "ready\n", 6));
	must(waitpid(child, &status, 0));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
