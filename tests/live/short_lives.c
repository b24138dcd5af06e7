// SPDX-License-Identifier: BSD-2-Clause
/*
 * Short lives at full speed: processes and threads that end within microseconds of their start. A
 * line on stdin begins the storm; then the program stands still and waits to be looked at.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include "program.h"

#define BOMB_FORKS 3000 /* unless the command line says how many */
#define SHORT_LIVES 2000
#define SPAWNS 150
#define CROWD 300
#define NOISE 40000
#define STACK_BYTES 16384

extern char **environ;
static int bomb_forks = BOMB_FORKS;

static void wait_for_all(void)
{
	while (waitpid(-1, NULL, __WALL) > 0)
		;
}

/* Each forks two more, which open, replace and close, while the counter all of them share allows. */
static void explode(atomic_int *left)
{
	for (int i = 0; i < 2 && atomic_fetch_sub(left, 1) > 0; i++) {
		int fd = must(open("/dev/null", O_RDONLY));
		pid_t child = fork();

		if (!child) {
			must(dup2(fd, 50 + i));
			must(close(fd));
			explode(left);
			_exit(0);
		}
		must(close(fd));
		must(child);
	}
	wait_for_all();
}

static int with_bomb(void)
{
	atomic_int *left = mmap(NULL, sizeof(*left), PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (left == MAP_FAILED)
		return PROGRAM_BROKEN;
	for (atomic_init(left, bomb_forks); atomic_load(left) > 0;)
		explode(left);
	return 0;
}

static int with_forks(void)
{
	for (int i = 0; i < SHORT_LIVES; i++) {
		pid_t child = must(fork());

		if (!child)
			_exit(0);
		must(waitpid(child, NULL, 0));
	}
	return 0;
}

static int with_vforks(void)
{
	for (int i = 0; i < SHORT_LIVES; i++) {
		pid_t child = must(vfork());

		if (!child)
			_exit(0);
		must(waitpid(child, NULL, 0));
	}
	return 0;
}

static int with_spawns(void)
{
	char *argv[] = { "true", NULL };
	pid_t child;

	for (int i = 0; i < SPAWNS; i++) {
		must(-posix_spawn(&child, "/bin/true", NULL, NULL, argv, environ));
		must(waitpid(child, NULL, 0));
	}
	return 0;
}

static int ends_at_once(void *arg)
{
	(void)arg;
	return 0;
}

/* One that shares the table leaves a descriptor in it and is gone. */
static int opens_and_ends(void *arg)
{
	return dup2(0, *(int *)arg) < 0;
}

static int with_clones(void)
{
	static char stack[STACK_BYTES] __attribute__((aligned(16)));

	for (int i = 0; i < SHORT_LIVES; i++) {
		int number = 100 + i % 64, shared = i % 2 ? CLONE_FILES : 0;
		pid_t child =
			must(clone(shared ? opens_and_ends : ends_at_once, stack + STACK_BYTES,
				   CLONE_VM | CLONE_VFORK | SIGCHLD | shared, &number));

		must(waitpid(child, NULL, 0));
	}
	return 0;
}

static void *thread_ends_at_once(void *arg)
{
	if (arg)
		must(close(must(dup(0))));
	return NULL;
}

static int with_threads(void)
{
	pthread_t thread[4];

	for (int i = 0; i < SHORT_LIVES / 4; i++) {
		for (int j = 0; j < 4; j++)
			must(-pthread_create(&thread[j], NULL, thread_ends_at_once,
					     j % 2 ? &thread[j] : NULL));
		for (int j = 0; j < 4; j++)
			must(-pthread_join(thread[j], NULL));
	}
	return 0;
}

/* Threads that call exec or leave the process while their leader is long gone. */
static void *outlives_the_leader(void *arg)
{
	(void)arg;
	must(dup2(0, 60));
	must(close(60));
	_exit(0);
}

static int with_dead_leaders(void)
{
	for (int i = 0; i < SHORT_LIVES / 4; i++) {
		pid_t child = must(fork());
		pthread_t thread;

		if (!child) {
			must(-pthread_create(&thread, NULL, outlives_the_leader, NULL));
			pthread_exit(NULL);
		}
		must(waitpid(child, NULL, 0));
	}
	return 0;
}

/* Many processes that stand still; after a line, events that fill any ring, and the end of them all. */
static int with_crowd(void)
{
	static pid_t child[CROWD];
	char line[2];

	for (int i = 0; i < CROWD; i++) {
		child[i] = must(fork());
		if (!child[i]) {
			must(prctl(PR_SET_PDEATHSIG, SIGKILL));
			for (;;)
				pause();
		}
	}
	must(write(1, "crowded\n", 8));
	must(read(0, line, 1));
	for (int i = 0; i < NOISE; i++)
		must(close(must(dup(0))));
	for (int i = 0; i < CROWD; i++)
		must(kill(child[i], SIGKILL));
	wait_for_all();
	return 0;
}

static const struct variant variants[] = {
	{ "crowd", with_crowd },
	{ "bomb", with_bomb },
	{ "forks", with_forks },
	{ "vforks", with_vforks },
	{ "spawns", with_spawns },
	{ "clones", with_clones },
	{ "threads", with_threads },
	{ "dead-leaders", with_dead_leaders },
	{ NULL, NULL },
};

int main(int argc, char **argv)
{
	char line[2];
	int status;

	if (argc > 2)
		bomb_forks = atoi(argv[2]);
	must(write(1, "running\n", 8));
	must(read(0, line, 1));
	status = run_variant(variants, argc > 1 ? argv[1] : NULL);
	if (!status)
		ready_and_wait();
	return status;
}
