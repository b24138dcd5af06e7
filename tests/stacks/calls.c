// SPDX-License-Identifier: BSD-2-Clause
/*
 * Opens files in a folder from many kinds of places, each under the name of the place, and keeps
 * them open: plain, deep, thread, handler, altstack, sorted, hidden, fork, vfork. Usage: calls FOLDER LIBRARY
 * Reads a byte between the first and the second call through the library.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEPTH 256 /* frames of a recursion, below what the walkers hold */
#define NOINLINE __attribute__((noinline, noclone))

static const char *folder;
static int opened; /* so that no call is the last thing its function does */

NOINLINE static int leaf(const char *name)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	opened += fd >= 0;
	return fd;
}

/* Each frame as large as the last digits of its depth say: no two steps are alike. */
NOINLINE static int deep(int depth)
{
	volatile char room[16 + (depth & 63)];
	int fd;

	room[depth & 15] = 1;
	fd = depth ? deep(depth - 1) : leaf("deep");
	return fd + room[depth & 15];
}

NOINLINE static void *in_thread(void *arg)
{
	opened += leaf(arg) < 0;
	return arg;
}

static volatile sig_atomic_t signal_seen;

NOINLINE static void handler(int number)
{
	opened += leaf(number == SIGUSR1 ? "handler" : "altstack") < 0;
	signal_seen = number;
}

NOINLINE static void interrupted(int number)
{
	raise(number);
	opened += signal_seen != number;
}

NOINLINE static int compare(const void *a, const void *b)
{
	static int once;

	if (!once++)
		opened += leaf("sorted") < 0;
	return *(const int *)a - *(const int *)b;
}

NOINLINE static void sorted(void)
{
	int numbers[] = { 3, 1, 2 };

	qsort(numbers, 3, sizeof(numbers[0]), compare);
	opened += numbers[0] != 1;
}

NOINLINE static void hidden(const char *library)
{
	void *handle = dlopen(library, RTLD_NOW);
	int (*call)(int (*)(const char *), const char *) =
		handle ? (int (*)(int (*)(const char *), const char *))dlsym(handle, "hidden_call")
		       : NULL;

	if (!call) {
		fprintf(stderr, "calls: %s\n", dlerror());
		exit(1);
	}
	/* Whoever traces us meets the library here; then there is time to look at it. */
	opened += call(leaf, "hidden_first") < 0;
	if (getchar() == EOF)
		exit(3);
	opened += call(leaf, "hidden") < 0;
}

NOINLINE static void forked(void)
{
	pid_t pid = fork();

	if (!pid) {
		opened += leaf("fork") < 0;
		_exit(opened < 0);
	}
	waitpid(pid, NULL, 0);
	opened++;
}

NOINLINE static void vforked(void)
{
	pid_t pid = vfork();

	if (!pid) {
		leaf("vfork");
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	opened++;
}

static void catch_signals(void)
{
	struct sigaction action = { .sa_handler = handler };
	stack_t stack = { .ss_sp = malloc(65536), .ss_size = 65536 };

	sigaction(SIGUSR1, &action, NULL);
	sigaltstack(&stack, NULL);
	action.sa_flags = SA_ONSTACK;
	sigaction(SIGUSR2, &action, NULL);
}

int main(int argc, char **argv)
{
	pthread_t thread;

	if (argc != 3) {
		fprintf(stderr, "usage: %s FOLDER LIBRARY\n", argv[0]);
		return 2;
	}
	folder = argv[1];
	catch_signals();
	opened += leaf("plain") < 0;
	opened += deep(DEPTH) < 0;
	pthread_create(&thread, NULL, in_thread, "thread");
	pthread_join(thread, NULL);
	interrupted(SIGUSR1);
	interrupted(SIGUSR2);
	sorted();
	hidden(argv[2]);
	forked();
	vforked();
	return 0;
}
