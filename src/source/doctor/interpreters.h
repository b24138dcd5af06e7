/* SPDX-License-Identifier: BSD-2-Clause */
/* Which Python interpreters run here, and whether their frames can be walked. Nothing is run. */
#ifndef FDTRACE_SOURCE_INTERPRETERS_H
#define FDTRACE_SOURCE_INTERPRETERS_H

#include <stdbool.h>
#include <stddef.h>

struct interpreter {
	char description[96]; /* "CPython 3.11.2", "PyPy: its frames are not understood" */
	bool walked;
	unsigned int processes;
};

#define INTERPRETERS_MAX 6
struct interpreters {
	struct interpreter found[INTERPRETERS_MAX]; /* one for each description */
	unsigned int count;
	bool more; /* there is no room for all of them */
};

/*
 * Of processes that map a file called like python or pypy; those of other users take the privileges
 * to look at them. Reads at most 64 files and 4,096 processes: more is set beyond that.
 */
void interpreters_running(struct interpreters *ret_interpreters);

/*
 * The system's python3, or the libpython it is linked to. 1: walked, -ENOTSUP: not understood;
 * both with the description. 0 or -ENOENT: there is none. Or another -errno.
 */
int interpreters_system(char *description, size_t size);

/* "2.7, 3.6 to 3.13": those that are walked. */
void interpreters_known(char *buffer, size_t size);

#endif
