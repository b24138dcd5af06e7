/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A site: the place in a program where descriptors are opened or closed. It is identified by
 * the process image and the hash of the stack; where no stack was taken the syscall stands in
 * for it. Frames are added by the stack work; a site without frames prints as its syscall.
 */
#ifndef FDTRACE_CORE_SITE_H
#define FDTRACE_CORE_SITE_H

#include <stdint.h>
#include "core/kind.h"

struct process;
struct mem;

#define SITE_FRAMES_MAX 64

struct site_frame {
	const char *text;	/* "function (file:line)" or "function (module+0xoffset)" */
};

/* Minima of a site's open count over windows of time; see detect_leak.c. */
#define SITE_WINDOWS 8
struct site_growth {
	uint64_t window_start_ns;
	uint64_t min_now;	/* smallest open count in the window that runs */
	uint64_t minimum[SITE_WINDOWS]; /* of finished windows, newest first */
	uint64_t at_ns[SITE_WINDOWS];	/* when that minimum's window ended */
	unsigned int windows;	/* how many of them are filled */
};

struct site {
	unsigned int refs;
	uint32_t syscall;	/* enum fdt_syscall */
	uint64_t hash;		/* of the stack; 0: none taken */
	struct process *process; /* owned reference */
	enum fd_kind kind;	/* of what was opened here last */
	uint64_t open, opened, closed, peak; /* descriptors opened here: now, ever, ended, most at once */
	uint64_t last_open_ns, last_close_ns;
	struct site_growth growth;
	uint64_t fingerprint;	/* the same on every host: see site_fingerprint() */
	const struct site_frame *frames; /* innermost first; NULL: no stack */
	unsigned int frame_count;
};

struct site *site_ref(struct site *s);
void site_unref(struct mem *m, struct site *s);

/* "openat in python3" or the frame that tells most: cut to size, NUL-terminated, any byte. */
void site_format(const struct site *s, char *buffer, unsigned int size);

#endif
