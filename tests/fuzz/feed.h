/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the fuzz programs share: with -DFUZZER for clang -fsanitize=fuzzer; else a program that
 * takes files and feeds each with a number of fixed changes: PROGRAM ROUNDS FILE...
 */
#ifndef FDTRACE_TESTS_FEED_H
#define FDTRACE_TESTS_FEED_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int is_so, const char *what)
{
	if (is_so)
		return;
	fprintf(stderr, "broken promise: %s\n", what);
	abort();
}

#ifndef FUZZER

static uint32_t random_state = 20260722;

/* xorshift; the same in every run */
static uint32_t random_next(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 17;
	random_state ^= random_state << 5;
	return random_state;
}

static uint8_t *read_file(const char *path, size_t *ret_size)
{
	FILE *file = fopen(path, "re");
	uint8_t *bytes = NULL;
	long size = -1;

	if (file && !fseek(file, 0, SEEK_END))
		size = ftell(file);
	if (size > 0)
		bytes = malloc(size);
	if (bytes) {
		rewind(file);
		*ret_size = fread(bytes, 1, size, file);
	}
	if (file)
		fclose(file);
	return bytes;
}

static void feed(const uint8_t *bytes, size_t size, unsigned long rounds)
{
	uint8_t *changed = malloc(size);

	check(changed != NULL, "memory");
	LLVMFuzzerTestOneInput(bytes, size);
	while (rounds--) {
		memcpy(changed, bytes, size);
		for (unsigned int i = 1 + random_next() % 16; i; i--)
			changed[random_next() % size] = random_next();
		LLVMFuzzerTestOneInput(changed, random_next() % 8 ? size : random_next() % size);
	}
	free(changed);
}

int main(int argc, char **argv)
{
	if (argc < 3) {
		fprintf(stderr, "usage: %s ROUNDS FILE...\n", argv[0]);
		return 2;
	}
	for (int i = 2; i < argc; i++) {
		size_t size = 0;
		uint8_t *bytes = read_file(argv[i], &size);

		if (!bytes || !size) {
			fprintf(stderr, "cannot read %s\n", argv[i]);
			return 1;
		}
		feed(bytes, size, strtoul(argv[1], NULL, 10));
		free(bytes);
	}
	return 0;
}

#endif

#endif
