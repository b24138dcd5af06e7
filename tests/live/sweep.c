// SPDX-License-Identifier: BSD-2-Clause
/* Loops that close every number: over other threads' files, and where they belong. */
#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include "program.h"

#define LAST 255
#define FILES 4

static pthread_barrier_t opened, swept;

static int open_one(void)
{
	return must(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
}

static void sweep(void)
{
	for (int fd = 3; fd <= LAST; fd++)
		close(fd);
}

static void *own_files(void *arg)
{
	int fd[FILES];
	char byte;

	for (int i = 0; i < FILES; i++) {
		fd[i] = open_one();
		must(read(fd[i], &byte, 1));
	}
	pthread_barrier_wait(&opened);
	pthread_barrier_wait(&swept);
	for (int i = 0; i < FILES; i++)
		must_fail(read(fd[i], &byte, 1), EBADF);
	return arg;
}

static int hits_other_threads(void)
{
	pthread_t owner;

	must(-pthread_barrier_init(&opened, NULL, 2));
	must(-pthread_barrier_init(&swept, NULL, 2));
	must(-pthread_create(&owner, NULL, own_files, NULL));
	pthread_barrier_wait(&opened);
	sweep();
	pthread_barrier_wait(&swept);
	must(-pthread_join(owner, NULL));
	return 0;
}

static void exec_true(void)
{
	execl("/bin/true", "true", (char *)NULL);
	_exit(PROGRAM_BROKEN);
}

static void use_a_file(void)
{
	int fd = open_one();
	char byte;

	must(read(fd, &byte, 1));
	must(close(fd));
}

static void become_daemon(void)
{
	must(setsid());
	sweep();
	use_a_file();
	_exit(0);
}

static void sweep_and_exec(void)
{
	sweep();
	exec_true();
}

static void close_range_and_exec(void)
{
	must(syscall(SYS_close_range, 3, ~0U, 0));
	exec_true();
}

static void mark_range_and_exec(void)
{
	must(syscall(SYS_close_range, 3, ~0U, 1u << 2)); /* CLOSE_RANGE_CLOEXEC */
	exec_true();
}

/* A parent with files open forks, the child cleans up, the parent goes on using its files. */
static int in_child(void (*work)(void))
{
	int fd[FILES];
	char byte;
	pid_t child;

	for (int i = 0; i < FILES; i++)
		fd[i] = open_one();
	child = must(fork());
	if (!child)
		work();
	must(waitpid(child, NULL, 0));
	for (int i = 0; i < FILES; i++) {
		must(read(fd[i], &byte, 1));
		must(close(fd[i]));
	}
	return 0;
}

static int daemonize(void)
{
	return in_child(become_daemon);
}

static int before_exec(void)
{
	return in_child(sweep_and_exec);
}

static int range_before_exec(void)
{
	return in_child(close_range_and_exec);
}

static int mark_before_exec(void)
{
	return in_child(mark_range_and_exec);
}

static const struct variant variants[] = {
	{ "hits-other-threads", hits_other_threads },
	{ "daemonize", daemonize },
	{ "before-exec", before_exec },
	{ "range-before-exec", range_before_exec },
	{ "mark-before-exec", mark_before_exec },
	{ NULL, NULL },
};

int main(int argc, char **argv)
{
	return run_variant(variants, argc > 1 ? argv[1] : NULL);
}
