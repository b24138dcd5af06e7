// SPDX-License-Identifier: BSD-2-Clause
/*
 * Runs a program of descriptor operations, one step after the other, in a family of processes
 * and threads. Standard input of the first process: "PROCESS THREAD OP A B" a line; each is
 * answered on standard output with "RESULT PID TID".
 *
 * Numbers below 100 are the program's. The channels stand above: the reading end of process i
 * at CHANNEL + i in every process, the writing ends at CONTROL + i, the answers at ANSWER.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include "program.h"

#define PROCESSES 4
#define THREADS 3
#define CHANNEL 600
#define CONTROL 700
#define ANSWER 800
#define ANSWERS 801

struct step {
	int process, thread, a, b;
	char op;
};

struct answer {
	int result, pid, tid;
};

static struct worker {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool started, busy;
	struct step step;
} workers[THREADS];

static int self; /* number of this process */

static void serve(void) __attribute__((noreturn));

static void tell(int result)
{
	struct answer answer = { result, getpid(), (int)syscall(SYS_gettid) };

	must(write(ANSWER, &answer, sizeof(answer)));
}

static int error_or(long value)
{
	return value < 0 ? -errno : (int)value;
}

static int make_pair(bool sockets)
{
	int pair[2];

	return error_or(sockets ? socketpair(AF_UNIX, SOCK_STREAM, 0, pair)
				: pipe2(pair, O_CLOEXEC));
}

static int fork_as(int number)
{
	int pid = must(fork());

	if (pid)
		return pid;
	self = number;
	memset(workers, 0, sizeof(workers));
	serve();
}

static int again(void)
{
	char number[8];

	snprintf(number, sizeof(number), "%d", self);
	execl("/proc/self/exe", "steps", "again", number, (char *)NULL);
	return -errno;
}

static int perform(const struct step *s)
{
	switch (s->op) {
	case 'o': return error_or(open("/dev/null", O_RDONLY | (s->a ? O_CLOEXEC : 0)));
	case 'c': return error_or(close(s->a));
	case 'd': return error_or(dup(s->a));
	case 'D': return error_or(dup2(s->a, s->b));
	case 'T': return error_or(dup3(s->a, s->b, O_CLOEXEC));
	case 'F': return error_or(fcntl(s->a, F_DUPFD, s->b));
	case 'C': return error_or(fcntl(s->a, F_SETFD, s->b ? FD_CLOEXEC : 0));
	case 'r': return error_or(syscall(SYS_close_range, s->a, s->b, 0));
	case 'm': return error_or(syscall(SYS_close_range, s->a, s->b, CLOSE_RANGE_CLOEXEC));
	case 'U': return error_or(syscall(SYS_close_range, s->a, s->b, CLOSE_RANGE_UNSHARE));
	case 'u': return error_or(unshare(CLONE_FILES));
	case 'p': return make_pair(false);
	case 's': return make_pair(true);
	case 'e': return error_or(eventfd(0, 0));
	case 'f': return fork_as(s->a);
	case 'x': return again();
	default: return -ENOSYS;
	}
}

static void *work(void *arg)
{
	struct worker *w = arg;

	pthread_mutex_lock(&w->lock);
	for (;;) {
		while (!w->busy)
			pthread_cond_wait(&w->changed, &w->lock);
		tell(perform(&w->step));
		w->busy = false;
		pthread_cond_broadcast(&w->changed);
	}
	return NULL;
}

/* Thread 0 is the one that reads the channel. */
static void hand_over(const struct step *s)
{
	struct worker *w = &workers[s->thread];

	if (!w->started) {
		pthread_mutex_init(&w->lock, NULL);
		pthread_cond_init(&w->changed, NULL);
		w->started = true;
		must(-pthread_create(&w->thread, NULL, work, w));
	}
	pthread_mutex_lock(&w->lock);
	w->step = *s;
	w->busy = true;
	pthread_cond_broadcast(&w->changed);
	while (w->busy)
		pthread_cond_wait(&w->changed, &w->lock);
	pthread_mutex_unlock(&w->lock);
}

static void serve(void)
{
	struct step step;

	while (must(read(CHANNEL + self, &step, sizeof(step))) == sizeof(step)) {
		if (step.thread)
			hand_over(&step);
		else
			tell(perform(&step));
	}
	_exit(0);
}

/* Moves a descriptor out of the program's way. */
static void place(int fd, int number)
{
	must(dup2(fd, number));
	must(close(fd));
}

static void make_channels(void)
{
	int pair[2];

	for (int i = 0; i < PROCESSES; i++) {
		must(pipe(pair));
		place(pair[0], CHANNEL + i);
		place(pair[1], CONTROL + i);
	}
	must(pipe(pair));
	place(pair[1], ANSWER);
	place(pair[0], ANSWERS);
}

/* One program: a child that is process 0, and all that come of it. They stay until our end. */
static void start_program(void)
{
	make_channels();
	if (must(fork()) == 0) {
		for (int i = 0; i < PROCESSES; i++)
			must(close(CONTROL +
				   i)); /* so that the end of the first process is the end of all */
		must(close(ANSWERS));
		must(close(0));
		serve();
	}
}

int main(int argc, char **argv)
{
	struct answer answer;
	struct step step;
	char line[64];

	if (argc == 3) {
		self = atoi(argv[2]);
		tell(0);
		serve();
	}
	must(setvbuf(stdin, NULL, _IOLBF, 0));
	while (fgets(line, sizeof(line), stdin)) {
		if (line[0] == 'n') {
			start_program();
			printf("new\n");
		} else if (sscanf(line, "%d %d %c %d %d", &step.process, &step.thread, &step.op,
				  &step.a, &step.b) == 5) {
			must(write(CONTROL + step.process, &step, sizeof(step)));
			must(read(ANSWERS, &answer, sizeof(answer)));
			printf("%d %d %d\n", answer.result, answer.pid, answer.tid);
		}
		fflush(stdout);
	}
	return 0;
}
