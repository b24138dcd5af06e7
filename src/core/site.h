/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A site: the place in a program where descriptors are opened or closed. It is identified by
 * the process image, the syscall and the hash of the stack; where no stack was taken the
 * syscall alone stands for the place. Frames come with the stacks; a site without frames
 * prints as its syscall.
 */
#ifndef FDTRACE_CORE_SITE_H
#define FDTRACE_CORE_SITE_H

#include <stddef.h>
#include <stdint.h>
#include "core/kind.h"
#include "core/map.h"

struct process;
struct mem;

/* Smallest open counts over windows of time, at several window lengths; see detect_leak.c. */
#define GROWTH_SCALES 4
#define GROWTH_WINDOWS 3
struct site_growth {
	uint64_t min_now;                 /* in the window that runs */
	uint64_t minimum[GROWTH_WINDOWS]; /* of finished windows, newest first */
	uint32_t windows;                 /* how many of them are filled */
};

struct site_frame {
	const char *text; /* "function (file:line)" or "function (module+0xoffset)" */
};

struct site {
	unsigned int refs;
	uint32_t syscall;        /* enum fdt_syscall */
	uint64_t hash;           /* of the stack; 0: none taken */
	struct process *process; /* owned reference */
	enum fd_kind kind;       /* of what was opened here last */
	uint64_t open, opened, closed,
		peak; /* descriptors opened here: now, ever, ended, most at once */
	struct site_growth growth[GROWTH_SCALES];
	const struct site_frame *frames; /* innermost first; NULL: no stack */
	unsigned int frame_count;
};

/* All sites of an engine. All zero but mem is empty. */
struct sites {
	struct mem *mem;
	struct map map;
};

/*
 * The site of that image, syscall and stack; made if need be. The caller owns a reference.
 * NULL: out of memory. A site lives as long as references to it do.
 */
struct site *site_get(struct sites *sites, struct process *process, uint32_t syscall,
		      uint64_t hash);
struct site *site_ref(struct site *site);
void site_unref(struct sites *sites, struct site *site); /* NULL is allowed */
void sites_done(struct sites *sites);                    /* every reference must be gone */

/* Counting what is opened here and ended, wherever it is ended. */
void site_count_open(struct site *site, enum fd_kind kind);
void site_count_close(struct site *site);

/* The frame that tells most, else the syscall ("openat"). Cut to size, NUL-terminated, any byte. */
void site_format(const struct site *site, char *buffer, size_t size);

/* The same for the same place in the same program on every host and in every run. */
uint64_t site_fingerprint(const struct site *site);

#endif
