// SPDX-License-Identifier: BSD-2-Clause
/*
 * Eight threads fight over a dozen numbers with open, close, dup2, dup3 and close_range for as
 * many rounds as argv[1] says, then stand still and wait to be looked at.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include "program.h"

#define THREADS 8
#define FIRST 10
#define NUMBERS 12

static atomic_long rounds;

static int some_number(unsigned int *seed)
{
	return FIRST + rand_r(seed) % NUMBERS;
}

/* Whatever fails, fails: the numbers are nobody's. */
static void *fight(void *arg)
{
	unsigned int seed = *(unsigned int *)arg;

	while (atomic_fetch_sub(&rounds, 1) > 0) {
		int fd = some_number(&seed), other = some_number(&seed);

		switch (rand_r(&seed) % 8) {
		case 0:
		case 1: open("/dev/null", O_RDONLY); break;
		case 2: open("/etc/passwd", O_RDONLY | O_CLOEXEC); break;
		case 3: dup2(fd, other); break;
		case 4: dup3(fd, other, O_CLOEXEC); break;
		case 5: syscall(SYS_close_range, fd, fd + 2, 0); break;
		default: close(fd);
		}
		if (rand_r(&seed) % 64 == 0)
			syscall(SYS_close_range, FIRST + NUMBERS, ~0u, 0);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	static unsigned int seeds[THREADS];
	pthread_t threads[THREADS];
	char c;

	rounds = argc > 1 ? atol(argv[1]) : 1000000;
	must(write(1, "up\n", 3));
	must(read(0, &c, 1));
	for (unsigned int i = 0; i < THREADS; i++) {
		seeds[i] = i + 1;
		must(-pthread_create(&threads[i], NULL, fight, &seeds[i]));
	}
	for (int i = 0; i < THREADS; i++)
		must(-pthread_join(threads[i], NULL));
	ready_and_wait();
	return 0;
}
