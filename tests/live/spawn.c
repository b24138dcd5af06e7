// SPDX-License-Identifier: BSD-2-Clause
/* Ways to start a program that leave nothing behind: all innocent. */
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include "program.h"

extern char **environ;

static char *true_argv[] = { "true", NULL };

static int wait_for(pid_t child)
{
	int status;

	must(waitpid(child, &status, 0));
	return status ? PROGRAM_BROKEN : 0;
}

static int with_vfork(void)
{
	int fd = must(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
	pid_t child = must(vfork());

	if (!child) {
		execv("/bin/true", true_argv);
		_exit(PROGRAM_BROKEN);
	}
	must(close(fd));
	return wait_for(child);
}

static int with_file_actions(void)
{
	posix_spawn_file_actions_t actions;
	int fd = must(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
	pid_t child;

	must(-posix_spawn_file_actions_init(&actions));
	must(-posix_spawn_file_actions_adddup2(&actions, fd, 0));
	must(-posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0));
	must(-posix_spawn_file_actions_addclose(&actions, 9));
	must(-posix_spawn(&child, "/bin/true", &actions, NULL, true_argv, environ));
	must(-posix_spawn_file_actions_destroy(&actions));
	must(close(fd));
	return wait_for(child);
}

static int with_popen(void)
{
	FILE *reader = popen("echo one; echo two", "r");
	char line[16];
	int lines = 0;

	while (reader && fgets(line, sizeof(line), reader))
		lines++;
	if (!reader || pclose(reader) != 0 || lines != 2)
		return PROGRAM_BROKEN;
	return system("true");
}

static const struct variant variants[] = {
	{ "vfork", with_vfork },
	{ "file-actions", with_file_actions },
	{ "popen", with_popen },
	{ NULL, NULL },
};

int main(int argc, char **argv)
{
	return run_variant(variants, argc > 1 ? argv[1] : NULL);
}
