// SPDX-License-Identifier: BSD-2-Clause
/*
 * Four threads race to open, duplicate, replace and close on the same few numbers: chaos that
 * means no harm. When told to stop (stdin ends) it stands still and waits to be looked at.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include "program.h"

#define THREADS 4
#define FIRST 40
#define NUMBERS 8 /* for each thread */

static atomic_bool stop;

/* Each thread has numbers of its own: nobody closes another one's descriptor. */
static void *work(void *arg)
{
	int base = *(int *)arg;

	for (unsigned int i = 0; !atomic_load(&stop); i++) {
		int fd = must(open("/dev/null", O_RDONLY | O_CLOEXEC));
		int target = base + (int)(i % NUMBERS);

		must(dup3(fd, target, O_CLOEXEC));
		must(close(fd));
		if (i % 3 == 0)
			must(close(target));
	}
	return NULL;
}

static void wait_for_line(void)
{
	char c;

	while (must(read(0, &c, 1)) && c != '\n')
		;
}

int main(void)
{
	pthread_t thread[THREADS];
	int base[THREADS];

	for (int i = 0; i < THREADS; i++) {
		base[i] = FIRST + i * NUMBERS;
		must(-pthread_create(&thread[i], NULL, work, &base[i]));
	}
	must(write(1, "running\n", 8));
	wait_for_line();
	atomic_store(&stop, true);
	for (int i = 0; i < THREADS; i++)
		must(-pthread_join(thread[i], NULL));
	ready_and_wait();
	return 0;
}
