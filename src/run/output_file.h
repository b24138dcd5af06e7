/* SPDX-License-Identifier: BSD-2-Clause */
/* A file, or a standard stream, that results are written to. */
#ifndef FDTRACE_RUN_OUTPUT_FILE_H
#define FDTRACE_RUN_OUTPUT_FILE_H

#include <stdbool.h>
#include <sys/types.h>

struct error;

#define OUTPUT_NAME_SIZE 128

struct output_file {
	int fd;                      /* -1: none */
	char name[OUTPUT_NAME_SIZE]; /* safe to print */
	bool failed;                 /* could not be written, and is not used any more */
};

/*
 * One of 1 and 2. was_closed: from stdio_guard(). 0 or -EBADF with *error filled: fdtrace was
 * started without it.
 */
int output_file_standard(struct output_file *file, int fd, unsigned int was_closed,
			 struct error *error);

/*
 * Opens or creates the file with this mode; what is in it stays until output_file_empty(). "-" is
 * standard output. 0 or -errno with *error filled.
 */
int output_file_open(struct output_file *file, const char *path, mode_t mode,
		     unsigned int was_closed, struct error *error);

/* Both lead to the same file, pipe or terminal. Never true of /dev/null. */
bool output_file_same(const struct output_file *a, const struct output_file *b);

/* Does nothing to what is no regular file, and to a standard stream. 0 or -errno. */
int output_file_empty(struct output_file *file);

/* Standard streams stay open. 0, or -errno: some file systems report a full disk only now. */
int output_file_close(struct output_file *file);

#endif
