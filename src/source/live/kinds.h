/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One descriptor of each kind that lives on an anonymous inode. The kernel distinguishes them only
 * by the address of their file operations; looking at samples of our own shows which is which
 * without asking for kernel symbols.
 */
#ifndef FDTRACE_SOURCE_KINDS_H
#define FDTRACE_SOURCE_KINDS_H

#include "model/kind.h"

#define KIND_SAMPLES_MAX 32

struct kind_samples {
	unsigned int count;
	struct kind_sample {
		int fd;
		enum fd_kind kind;
		int owned; /* to be closed by kind_samples_done() */
	} sample[KIND_SAMPLES_MAX];
};

/* Makes what this machine allows; what it refuses is left out. All close-on-exec. */
void kind_samples_init(struct kind_samples *samples);
void kind_samples_done(struct kind_samples *samples);

/* One more, borrowed. Negative descriptors are ignored. */
void kind_samples_add(struct kind_samples *samples, int fd, enum fd_kind kind);

#endif
