/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The replica of one kernel descriptor table (files_struct), and what its numbers held before.
 *
 * A slot is what a number holds now; a struct ended is a generation that is over. The
 * last ENDED_PER_NUMBER generations of each number are kept: without them the reuse of a number
 * can't be explained. Slots are reached through a directory of chunks of 64, so a table costs
 * memory for the numbers in use, not for the highest of them.
 *
 * A table that begins as a copy borrows its source's chunks; a table that changes a chunk which
 * others share copies it first. So there are two ways to a slot:
 * fdtable_slot() reads it, fdtable_own() is for changing it.
 */
#ifndef FDTRACE_CORE_FDTABLE_H
#define FDTRACE_CORE_FDTABLE_H

#include <stdbool.h>
#include <stdint.h>
#include "model/kind.h"

struct mem;
struct process;
struct site;
struct sites;
struct unknown_growth;

/* The kernel allows at most 2^30 descriptors whatever fs.nr_open says (fs/file.c). */
#define FD_MAX (1 << 30)

enum slot_flag {
	SLOT_COUNTED = 1,      /* in site->open of the opener's site */
	SLOT_INHERITED = 2,    /* copied from the parent's table by fork or unshare */
	SLOT_CROSSED_EXEC = 4, /* survived an exec of its process */
	SLOT_USED = 8,         /* used since that exec */
	SLOT_OPENER_PENDING =
		16,         /* known to be filled; the event with the opener has not come yet */
	SLOT_WRITES = 32,   /* open for writing */
	SLOT_READS = 64,    /* open for reading */
	SLOT_SHARED = 128,  /* another table got a copy by fork or unshare */
	SLOT_CLOEXEC = 256, /* by the last FDT_MARK: close-on-exec was set ... */
	SLOT_MEANT = 512,   /* ... was cleared: meant to survive an exec */
};

#define SLOT_ACCESS (SLOT_WRITES | SLOT_READS) /* of the file itself, whoever holds it */

/* 56 bytes, all zero when empty but for generation and ended. */
struct slot {
	uint64_t file, inode; /* as in struct fdt_file */
	struct site *site;    /* where it was opened; owned reference; NULL: opener unknown */
	uint64_t opened_ns;   /* 0: not known */
	uint32_t dev;
	uint32_t opener_tid;
	uint32_t generation; /* of the number: 1 is the first seen */
	uint32_t ended;      /* newest ended generation of the number; 0: none */
	uint16_t mode;
	uint16_t kind : 6;   /* enum fd_kind */
	uint16_t flags : 10; /* enum slot_flag */
	uint32_t detail;
};

/* How a generation ended. */
enum ending { END_CLOSE, END_RANGE, END_REPLACE, END_URING, END_EXEC, END_UNKNOWN };
/* "close", "close_range", "dup2 (replaced)" ...: for people. Never NULL. */
const char *ending_text(enum ending ending);

enum ended_flag {
	ENDED_CLOSER_PENDING = 1, /* it has ended; the event with the closer has not come yet */
	ENDED_SWEPT = 2,          /* ended by a loop over descriptor numbers ... */
	ENDED_MISSED = 4,         /* ... and somebody failed for want of it */
};

struct ended {
	uint64_t opened_ns, closed_ns;
	uint64_t name;                      /* names_key() of what it held */
	struct site *opened_at, *closed_at; /* owned references; NULL: not known */
	uint32_t opener_tid, closer_tid;
	uint32_t generation;
	uint32_t next; /* the generation before; 0: none kept */
	uint8_t kind, ending, flags;
};

#define ENDED_PER_NUMBER 4
#define ENDED_CHUNK 1024

/* All ended generations of an engine: a pool addressed by index, so that a link costs four bytes. */
struct ended_pool {
	struct mem *mem;
	struct sites *sites;
	struct ended **chunks;
	uint32_t chunk_count, chunk_limit; /* limit: the bound on memory */
	uint32_t free;                     /* list through next; index 0 is never used */
	uint64_t dropped;                  /* generations forgotten because the pool was full */
};

void ended_init(struct ended_pool *pool, struct mem *mem, struct sites *sites, uint64_t max_bytes);
void ended_done(struct ended_pool *pool);
struct ended *ended_at(const struct ended_pool *pool, uint32_t index);

/*
 * Puts *ended, whose references it takes over, before the list `head` and returns the new head.
 * The oldest generation of a full list makes room. Returns head when there is no memory.
 */
uint32_t ended_push(struct ended_pool *pool, uint32_t head, const struct ended *ended);
void ended_drop(struct ended_pool *pool, uint32_t head); /* the whole list */

#define CHUNK_SLOTS 64

struct fdtable;
struct chunk {
	uint32_t filled, unknown; /* slots; of them: without a site */
	uint32_t tables;          /* that have it */
	bool copied;              /* its slots are marked SLOT_SHARED, and have not changed since */
	/* table whose counts, generations and marks are in the slots; others use slot_inherit(); NULL: gone */
	const struct fdtable *owner;
	struct slot slots[CHUNK_SLOTS];
};

enum table_fact {
	/* An epoll was opened in it, or found there: not one of its source's. */
	TABLE_HAS_EPOLL = 1 << 0,
	TABLE_HAS_LOCKS = 1 << 1, /* record locks that are known are held through it */
};

struct fdtable {
	uint64_t key; /* files_struct address */
	struct mem *mem;
	struct sites *sites;
	unsigned int tasks; /* bound to it; the table dies with the last */
	/* the process of the task bound first, later of the one that execs; owned reference */
	struct process *owner;
	struct chunk **chunks; /* directory; NULL: no slot of that chunk was ever filled */
	uint32_t chunk_count;
	uint32_t open;    /* filled slots */
	uint32_t peak;    /* the most there were, since its owner's image began */
	uint32_t unknown; /* of them: opener unknown */
	/* detect/leak_growth.c: NULL until there are some of these; owned */
	struct unknown_growth *growth;
	/* until the last VEC of its birth: the table it is copied from, held; else NULL */
	struct fdtable *source;
	bool replaced; /* another table was made at its address: no more events are about this one */
	uint64_t changes;      /* events about it, snapshots not counted */
	bool seen;             /* engine_each_table() */
	uint32_t facts;        /* bits of enum table_fact */
	uint32_t locked_files; /* detect/close_lock.c: on which locks of this table are known */
	bool complete;         /* every slot was reported once (birth or snapshot) */
	bool tainted;          /* events about it may be missing */
	bool has_orphans;      /* detect/leak_orphan.c: found in the current round */
	bool refused; /* memory was refused since its snapshot began, which so cannot repair it */
};

struct fdtable *fdtable_new(struct mem *m, struct sites *sites, uint64_t key);
/* Its chunks must have been released. */
void fdtable_free(struct fdtable *table);

/*
 * What a number holds, to be read; NULL: it never held anything. *room is used for a slot that
 * is borrowed. The macro's room lasts as long as the block it is used in.
 */
const struct slot *fdtable_look(const struct fdtable *table, uint32_t fd, struct slot *room);
#define fdtable_slot(table, fd) fdtable_look(table, fd, &(struct slot){ 0 })

/*
 * The same, to be changed: a borrowed chunk is copied first. NULL also when there is no memory
 * for that: the table is marked as one that may lack something, until it is reported again.
 */
struct slot *fdtable_own(struct fdtable *table, uint32_t fd);
/* Made if need be. NULL: out of memory, or fd >= FD_MAX. */
struct slot *fdtable_make_slot(struct fdtable *table, uint32_t fd);
/* What the file of a filled slot is, for all that have it. */
void fdtable_set_kind(const struct fdtable *table, uint32_t fd, enum fd_kind kind);
/* The first filled number at or after fd; -1: none. */
int32_t fdtable_next(const struct fdtable *table, int32_t fd);
/* How many numbers below that one are filled. */
uint32_t fdtable_open_below(const struct fdtable *table, uint64_t fd);
/* Keeps the counts of filled slots; call when slot->file goes from or to 0. */
void fdtable_count(struct fdtable *table, uint32_t fd, int change);
/* The same for slots without a site. */
void fdtable_count_unknown(struct fdtable *table, uint32_t fd, int change);

/*
 * Lets a new table, which must have nothing there, share chunk `index` of its source: both hold
 * the same 64 slots. -ENOMEM: not shared.
 */
int fdtable_borrow(struct fdtable *table, const struct fdtable *source, uint32_t index);
/* Releases chunk `index`. The owner's counts and generations must have been given up before. */
void fdtable_release(struct fdtable *table, uint32_t index);

#define fdtable_each(table, fd) \
	for (int32_t fd = fdtable_next(table, 0); fd >= 0; fd = fdtable_next(table, fd + 1))

#endif
