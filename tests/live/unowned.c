// SPDX-License-Identifier: BSD-2-Clause
/* One thread closes what another one uses; and the worker that closes what it was given. */
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include "program.h"

static sem_t to_worker, to_main;
static int shared;

static int open_one(void)
{
	return must(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
}

static void hand_to_worker(void)
{
	must(sem_post(&to_worker));
	must(sem_wait(&to_main));
}

static void *close_shared(void *arg)
{
	must(sem_wait(&to_worker));
	must(close(shared));
	must(sem_post(&to_main));
	return arg;
}

/* Opens and closes a file of its own, then closes the number again: by now it is another's. */
static void *close_own_twice(void *arg)
{
	int own = open_one();

	must(close(own));
	must(sem_post(&to_main));
	must(sem_wait(&to_worker));
	must(close(own));
	must(sem_post(&to_main));
	return arg;
}

static void *read_and_close_shared(void *arg)
{
	char byte;

	must(sem_wait(&to_worker));
	must(read(shared, &byte, 1));
	must(close(shared));
	must(sem_post(&to_main));
	return arg;
}

static pthread_t start(void *(*work)(void *))
{
	pthread_t thread;

	must(-pthread_create(&thread, NULL, work, NULL));
	return thread;
}

static int closed_by_another(void)
{
	pthread_t worker = start(close_shared);
	char byte;

	shared = open_one();
	must(read(shared, &byte, 1));
	hand_to_worker();
	must_fail(read(shared, &byte, 1), EBADF);
	must(-pthread_join(worker, NULL));
	return 0;
}

static int number_reused(void)
{
	pthread_t worker = start(close_own_twice);
	char byte;

	must(sem_wait(&to_main));
	shared = open_one();
	must(read(shared, &byte, 1));
	hand_to_worker();
	must_fail(read(shared, &byte, 1), EBADF);
	must(-pthread_join(worker, NULL));
	return 0;
}

static int handed_over(void)
{
	for (int i = 0; i < 100; i++) {
		pthread_t worker = start(read_and_close_shared);

		shared = open_one();
		hand_to_worker();
		must(-pthread_join(worker, NULL));
	}
	return 0;
}

static const struct variant variants[] = {
	{ "closed-by-another", closed_by_another },
	{ "number-reused", number_reused },
	{ "handed-over", handed_over },
	{ NULL, NULL },
};

int main(int argc, char **argv)
{
	must(sem_init(&to_worker, 0, 0));
	must(sem_init(&to_main, 0, 0));
	return run_variant(variants, argc > 1 ? argv[1] : NULL);
}
