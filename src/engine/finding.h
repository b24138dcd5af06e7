/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A finding: one thing fdtrace has to say, with its evidence. Made by the engine, read by the
 * sinks. Everything in it is borrowed and lives until the callback that received it returns.
 *
 * Strings that come from the traced world (names, paths, arguments) hold any byte except NUL;
 * a sink must escape them, message, why and help included.
 */
#ifndef FDTRACE_CORE_FINDING_H
#define FDTRACE_CORE_FINDING_H

#include <stdbool.h>
#include <stdint.h>
#include "model/kind.h"
#include "engine/rule.h"

struct process;
struct site;

enum confidence {
	CONFIDENCE_EXACT,      /* every event it rests on was seen */
	CONFIDENCE_INFERRED,   /* rests on a judgement that evidence makes likely */
	CONFIDENCE_AFTER_LOSS, /* events are missing near what it rests on */
};
enum finding_state { FINDING_NEW, FINDING_ONGOING, FINDING_RESOLVED };

const char *confidence_name(enum confidence confidence);  /* "exact", "inferred", "after_loss" */
const char *finding_state_name(enum finding_state state); /* "new", "ongoing", "resolved" */

/* Someone did something once. known = false: nobody saw it (before attach, or lost). */
struct operation {
	bool known;
	uint32_t pid, tid;
	const char *name; /* of the process then */
	uint64_t time_ns; /* CLOCK_MONOTONIC */
	uint32_t syscall; /* enum fdt_syscall; 0: by exec, exit or unknown */
	/* "close", "dup3 (replaced)", "exec (close-on-exec)", "io_uring close" ... */
	const char *how;
	int32_t error;           /* errno of a failed call, positive; 0: it succeeded */
	const struct site *site; /* may be NULL */
};

/* One generation of one number: a row of the biography. */
struct lifetime {
	uint32_t generation;
	enum fd_kind kind;
	struct operation opened;
	struct operation closed; /* known = false and time_ns = 0: still open */
};

struct descriptor {
	int32_t fd; /* -1: the finding is not about one descriptor */
	uint32_t generation;
	enum fd_kind kind;
	struct fdt_file file;            /* all zero: not known */
	const char *name;                /* path or endpoints; NULL: not known */
	const struct fdt_detail *detail; /* sockets, pipes: as last seen; NULL: not known */
};

/* Who holds the other end of a pipe, or the peer of a unix socket. */
#define FINDING_HOLDERS_MAX 4
struct holder {
	uint32_t pid;
	int32_t fd;
	const char *name; /* of the process */
};
struct other_end {
	bool present;                               /* it is a pipe or a connected unix socket */
	bool closed;                                /* nobody holds it */
	bool elsewhere;                             /* somebody holds it who is not traced */
	struct holder holders[FINDING_HOLDERS_MAX]; /* by pid, then fd */
	unsigned int holder_count, holder_total;
};

#define ROW_ASKED_MAX 64
#define ROW_IDLE_NS 1000000000ull /* a second: longer than an answer in the making takes */

/* A row of "who holds them"; see holdings.h. */
struct site_row {
	/* Of the place; where it has several, the one with most open. NULL: opener unknown. */
	const struct site *site;
	const char *label; /* what site_format() gives; "opener unknown" */
	uint32_t calls;    /* sites of the place that were added up; 0: opener unknown */
	/*
	 * Without an opener, where they were looked at: "to 10.0.0.9:5432", "on 0.0.0.0:80",
	 * "/var/log/a", "all of /var/log"; NULL: not known, or too many different ones.
	 */
	const char *target;
	const char *state; /* likewise: "established", "deleted", "other end closed"; or NULL */
	/* Only so many of them were looked at, and so many of these have that target and state. */
	uint32_t looked, alike; /* 0: all were, or none */
	enum fd_kind kind;
	uint64_t open, opened, closed;
	double rate_per_min;      /* leak.growth: of these; 0: not known */
	uint64_t oldest_ns;       /* age of the oldest */
	int32_t example_fd;       /* one of them, the oldest */
	const char *example_name; /* NULL: not known */
	/*
	 * Of sockets, when a finding wants to know (limit.emfile, leak.growth, leak.stale: the
	 * first row) or they were looked at for want of an opener: what these are like.
	 */
	uint32_t asked;       /* of how many it is known; 0: nothing is, and the rest is 0 */
	uint32_t idle;        /* nothing came or went for ROW_IDLE_NS or longer (TCP) ... */
	uint64_t idle_ns;     /* ... and the least idle of them for so long */
	uint32_t established; /* connected, as the kernel sees it (TCP, unix) */
	uint32_t close_wait;  /* TCP: the peer has closed */
};

/*
 * Where a row's descriptors come from or lead to: "pool.py:88 Pool.connect (3 calls)",
 * "to 10.0.0.9:5432, established (opener unknown)", "opener unknown; 63 of 64 looked at: to ...".
 * Cut to size, NUL-terminated, any byte.
 */
void site_row_format(const struct site_row *row, char *buffer, size_t size);

/* A descriptor hit by a sweep, or one that crossed an exec. */
struct victim {
	int32_t fd;
	enum fd_kind kind;
	const char *name; /* NULL: not known */
	struct operation opened;
	struct operation failed_use; /* its first EBADF; known = false: none seen */
};

struct finding_limit {
	bool present;
	uint64_t soft; /* RLIMIT_NOFILE */
	uint64_t open;
	double rate_per_min;     /* 0: not rising, or not known */
	uint64_t exhausted_in_s; /* 0: not within a year, or not known */
};

struct finding_sweep {
	bool present;
	int32_t first, last; /* numbers */
	uint64_t tries, closed;
	uint64_t duration_ns;
};

/* Findings of one image that were not reported one by one, because there are too many. */
struct withheld {
	const struct process *process;      /* NULL: of several processes */
	uint64_t time_ns, first_ns;         /* now; of the first of them */
	uint64_t count[RULE_COUNT];         /* since the last report */
	enum severity severity[RULE_COUNT]; /* most severe of these; 0: none */
};

#define FINDING_HISTORY_MAX 4
#define FINDING_SITES_MAX 10
#define FINDING_VICTIMS_MAX 10

struct finding {
	enum rule rule;
	enum severity severity;
	enum confidence confidence;
	enum finding_state state;
	uint64_t fingerprint; /* one bug, one number, on every host and in every run */
	uint64_t sequence;    /* 1, 2, 3 ... in this run */
	uint64_t count;       /* how often it was found so far, this time included */
	uint64_t time_ns;     /* when it was found */
	uint64_t first_ns;    /* when what it reports began */
	const struct process *process;
	const char *subject; /* image before the exec etc.: free for a rule; may be NULL */
	struct descriptor descriptor;
	struct other_end other_end; /* of descriptor; filled when the finding is reported */
	struct operation opened, closed, used; /* those that apply are known */
	bool closed_is_culprit; /* mark `closed` as the one to blame; else `opened` if anyone */
	bool opened_is_culprit;
	bool used_is_culprit;
	/* The report of another cause, which has this sequence, names it: evidence alone is stored. */
	bool joined;
	struct finding_limit limit;
	struct finding_sweep sweep;
	const char *message; /* one sentence, no newline */
	const char *why;     /* the evidence in a sentence; may be "" */
	const char *help;    /* the usual remedy; may be "" */
	/* How many of each there are below, and altogether; rows beyond that are not set. */
	unsigned int history_count;
	unsigned int site_count, site_total;
	unsigned int victim_count, victim_total;
	/* generations before this one, newest first */
	struct lifetime history[FINDING_HISTORY_MAX];
	struct site_row sites[FINDING_SITES_MAX]; /* most open first */
	struct victim victims[FINDING_VICTIMS_MAX];
};

/*
 * The one place to look at: of who holds most, else of the culprit, else of whoever failed. NULL
 * where no stack was taken and no syscall is known. Borrowed like the finding.
 */
const struct site *finding_culprit(const struct finding *finding);

#endif
