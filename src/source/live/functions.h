/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The function hook set: which functions of this kernel fill, replace and empty slots, found by
 * trying. What each kernel has was looked up in fs/file.c and fs/open.c from 5.10 to 7.2: the
 * function that empties a slot is pick_file up to 6.7 and file_close_fd_locked since; before 6.0
 * io_uring's close empties by itself, in __close_fd_get_file.
 */
#ifndef FDTRACE_SOURCE_FUNCTIONS_H
#define FDTRACE_SOURCE_FUNCTIONS_H

#include <stdbool.h>

struct btf;

enum function_hook {
	FUNCTION_NONE, /* nothing to hook: what it would report is not known */
	FUNCTION_EXIT, /* fexit */
	FUNCTION_PAIR, /* kprobe and kretprobe */
};

struct function_choice {
	const char *name;
	enum function_hook hook;
};

struct functions {
	struct function_choice installed, replaced, emptied; /* all three, or there is no set */
	struct function_choice uring_emptied;                /* before 6.0 */
	struct function_choice failed_close;                 /* returns NULL; since 6.6 */
	struct function_choice old_failed_close; /* returns -EBADF; up to 6.5, and there since */
	struct function_choice unshared, range;
	bool preemptible; /* programs by fexit could be skipped: the first two are pairs */
};

/* 0, or -ENOTSUP with what is lacking in buffer. */
int functions_choose(const struct btf *btf, struct functions *ret_functions, char *buffer,
		     unsigned int size);

#endif
