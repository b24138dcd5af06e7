/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Why something could not be done, in words: filled in where it is known, and printed once, by the
 * caller that ends the attempt. Every function that takes a struct error fills all of it when it
 * returns an error.
 */
#ifndef FDTRACE_UTIL_ERROR_H
#define FDTRACE_UTIL_ERROR_H

enum exit_status {
	EXIT_OK = 0,
	EXIT_DIFFERS = 1, /* --verify: a table was not the kernel's */
	EXIT_USAGE = 2,   /* wrong usage */
	EXIT_CANNOT = 3,  /* the machine or the privileges do not allow it */
	EXIT_INTERNAL = 4,
	EXIT_TRACE_COMMAND = 125, /* run mode: fdtrace itself could not trace */
	EXIT_NOT_EXECUTABLE = 126,
	EXIT_NOT_FOUND = 127,
};

struct error {
	int number;     /* errno */
	int status;     /* enum exit_status that fits */
	char what[256]; /* "cannot trace pid 4121: permission denied" */
	/* "needs CAP_BPF and CAP_PERFMON; this process has neither (uid 1000)"; may be "" */
	char cause[512];
	char remedy[256]; /* "try: sudo fdtrace -p 4121"; may be "" */
};

/*
 * These return -errno, so that callers can return it at once. error_set() fills *error, with
 * neither cause nor remedy, which error_explain() adds; NULL: there is none. The arguments may
 * point into *error.
 */
int error_set(struct error *error, int number, int status, const char *what, ...)
	__attribute__((format(printf, 4, 5)));
int error_explain(struct error *error, const char *cause, const char *remedy);
int error_no_memory(struct error *error);

#endif
