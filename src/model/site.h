/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A site: the place in a program where descriptors are opened or closed. It is identified by
 * the process image, the syscall and the stack; where no stack was taken the syscall alone
 * stands for the place and is what is printed.
 *
 * A stack may become known, or better known, after its site was made; two sites may then turn out
 * to be one. The one given up points to the other (`same`), which has taken over its counts.
 * site_now() follows the pointer; so do the functions below.
 */
#ifndef FDTRACE_CORE_SITE_H
#define FDTRACE_CORE_SITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "model/language.h"
#include "model/kind.h"
#include "base/map.h"
#include "model/stack.h"

struct process;
struct mem;

/* Smallest open counts in windows of time, at several lengths; see detect/leak_growth.c. */
#define GROWTH_SCALES 4
#define GROWTH_WINDOWS 3
struct site_growth {
	uint64_t min_now;                 /* in the current window */
	uint64_t minimum[GROWTH_WINDOWS]; /* of finished windows, newest first */
	uint32_t windows;                 /* how many of them are filled */
	uint32_t falls[GROWTH_WINDOWS];   /* site->falls at the end of each */
};

/*
 * Stragglers: descriptors open much longer than this site's usually are; see detect/leak_stale.c.
 * The latest counts of them at each window length, newest first.
 */
#define STALE_COUNTS 4
struct site_stale {
	uint32_t round;  /* the last one that met this site */
	uint32_t now;    /* stragglers it has counted so far */
	uint32_t last;   /* those of the round before */
	uint64_t late;   /* how many had been closed when they were as old, by then */
	uint64_t age_ns; /* older ones are stragglers; 0: too few have been closed to know */
	uint32_t count[GROWTH_SCALES][STALE_COUNTS];
	uint32_t counts[GROWTH_SCALES]; /* how many of them are filled */
};

/*
 * How long descriptors lived: bucket 0 below 2^20 ns (about a millisecond: the kernel's tick is
 * coarser than that), each further one up to twice as long, the last one without an end.
 */
#define LIFETIME_BUCKETS 32
#define LIFETIME_FIRST_BIT 20

struct site {
	unsigned int refs;
	uint32_t syscall;        /* enum fdt_syscall */
	struct process *process; /* owned reference */
	enum fd_kind kind;       /* of what was opened here last */
	/* Descriptors opened here: now, ever, ended, most at once. */
	uint64_t open, opened, closed, peak;
	uint64_t high; /* most at once since the last fall ... */
	uint64_t
		tooth; /* highest `high` before a fall, that is half or more of them closed; 0: none */
	uint32_t falls;       /* number of such falls */
	bool growth_reported; /* by leak.growth */
	/* detect/leak_growth.c: which of the places that it adds up, in the window of that number */
	uint32_t growth_window, growth_place;
	struct site_growth growth[GROWTH_SCALES];
	struct site_stale stale;
	uint32_t lifetime[LIFETIME_BUCKETS]; /* of those opened and closed here */
	const struct stack *stack;           /* NULL: none taken, or not received */
	struct stack_hash *hash;             /* NULL: none taken */
	struct site *next, *previous;        /* in hash->sites */
	struct site *same;                   /* owned reference; NULL: this is the one */
};

/* What a table holds whose opener is not known, counted as if one site had opened it all. */
struct unknown_growth {
	struct site counts; /* in no map; process: borrowed while it is judged */
	uint64_t began_ns;  /* of counting ... */
	uint64_t gap_ns;    /* ... and how long the hooks had been off by then */
};

/* All sites of an engine. All zero but mem and what stack.h says of stacks is empty. */
struct sites {
	struct mem *mem;
	struct map map;
	struct stacks stacks;
};

/*
 * The site of that image, syscall and stack (0: none taken); made if need be. The caller owns
 * a reference. NULL: out of memory. A site lives as long as references to it do.
 */
struct site *site_get(struct sites *sites, struct process *process, uint32_t syscall,
		      uint64_t hash);
struct site *site_ref(struct site *site);
void site_unref(struct sites *sites, struct site *site); /* NULL is allowed */
void sites_done(struct sites *sites);                    /* every reference must be gone */

/*
 * A stack has arrived: sites with its hash get it. 0, or -EINVAL: malformed, nothing is changed.
 * Without room for it all stays as it was.
 */
int sites_told(struct sites *sites, const struct fdt_site *event, size_t size);

static inline struct site *site_now(struct site *site)
{
	while (site && site->same)
		site = site->same;
	return site;
}

/* Counting what is opened here and ended, wherever it is ended. */
void site_count_open(struct site *site, enum fd_kind kind);
void site_count_close(struct site *site);
/* Takes an opening back: it was not opened here. */
void site_uncount_open(struct site *site);
void site_count_lifetime(struct site *site, uint64_t lifetime_ns);
/* Half of what was opened and closed here lived less than this (a power of two); 0: none was. */
uint64_t site_median_lifetime_ns(const struct site *site);
/* The same for `percent` of them. *ret_closed: for how many the lifetime is known. */
uint64_t site_lifetime_ns(const struct site *site, unsigned int percent, uint64_t *ret_closed);

/* FDT_SITE_* of its stack; 0 without one. */
unsigned int site_flags(const struct site *site);

/*
 * The frame that says most: the innermost one of the application, else of a library, else
 * the syscall ("openat"). Cut to size, NUL-terminated, any byte.
 */
void site_format(const struct site *site, char *buffer, size_t size);
/* The function of that frame; "" where there is none. */
void site_format_function(const struct site *site, char *buffer, size_t size);

/*
 * The same for the same place in the same program on every host and in every run: made of the
 * functions of its stack; where a language has frames, of its functions only. site_language() is
 * that language. If it is not LANGUAGE_NATIVE, the functions identify the program by themselves,
 * whatever the name of its interpreter.
 */
uint64_t site_fingerprint(const struct site *site);
enum language site_language(const struct site *site);

#endif
