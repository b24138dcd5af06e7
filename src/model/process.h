/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Processes and tasks as the engine sees them.
 *
 * A struct process is one program image in one process: exec makes a new one that keeps a
 * reference to the one before. It outlives the process as long as a descriptor, a site or a
 * finding refers to it, so that a culprit that has exited still has a name.
 * A struct task is one thread, alive, bound to one descriptor table.
 */
#ifndef FDTRACE_CORE_PROCESS_H
#define FDTRACE_CORE_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "model/kind.h"
#include "fdtrace/event.h"

struct fdtable;
struct mem;
struct sweep;
struct task;

#define PROCESS_NAME_SIZE 16

/* What an image had opened itself, but for 0 to 2, and left open when it ended. */
#define LEFT_ROWS_MAX 5
#define LEFT_LABEL_SIZE 96
struct left_row {
	char label[LEFT_LABEL_SIZE]; /* the place that opened them, any byte */
	enum fd_kind kind;
	uint64_t open;
};
struct process_left {
	uint64_t open;
	unsigned int row_count, row_total; /* places kept, most open first; all of them */
	struct left_row rows[LEFT_ROWS_MAX];
};

struct process {
	unsigned int refs;
	uint32_t pid;
	uint32_t parent_pid;
	uint32_t uid;
	uint32_t image;     /* 0 for the first image seen in this pid, then one more at each exec */
	uint32_t serial;    /* unique in this engine; never reused before 2^32 images */
	uint64_t start_ns;  /* CLOCK_BOOTTIME; (pid, start_ns) is unique per boot */
	uint64_t forked_ns; /* event time of the fork; 0: not seen */
	uint64_t exec_ns;   /* event time of the exec that made this image; 0: not seen */
	uint64_t ended_ns;  /* 0: alive */
	int32_t exit_code;  /* as wait(2) encodes it */
	uint64_t nofile;    /* soft RLIMIT_NOFILE; 0: not known */
	unsigned int threads; /* tasks alive */
	struct task *tasks;   /* in no order */
	/* the image that called exec, or the parent that forked; owned reference */
	struct process *before;
	bool by_fork;       /* `before` is the parent's image, and no exec has happened since */
	bool use_watched;   /* FDT_TASK_WATCHED: first uses of inherited descriptors are reported */
	bool exec_pending;  /* in pending_execs: not yet judged by detect/exec_*.c */
	bool exec_judged;   /* detect/exec_inherit.c has done so */
	bool stdio_known;   /* its table was seen when exec or fork made it ... */
	uint8_t stdio_open; /* ... with these of 0 to 2 open: bit n for number n */
	bool environment_known;       /* answered, if only with "unknown" */
	uint64_t *environment;        /* as in struct fdt_environ; NULL: it names none; owned */
	bool cgroup_known;            /* answered, if only with "unknown" */
	uint32_t inner_pid;           /* as it sees itself; 0: not known */
	char *cgroup;                 /* NUL-terminated path; NULL: not known; owned */
	size_t cgroup_size;           /* bytes allocated */
	char name[PROCESS_NAME_SIZE]; /* comm: NUL-terminated, any byte */
	char *exe;                    /* path, NUL-terminated; NULL: not known; owned */
	char *args;      /* argv, each NUL-terminated, args_size bytes; NULL: not known; owned */
	size_t exe_size; /* bytes allocated */
	size_t args_size;
	uint64_t opened, closed, short_lived; /* by this image, for the summary */
	uint32_t peak;                        /* most open at once, once it has ended */
	struct process_left *left; /* NULL: nothing, or nobody looked (only of a command); owned */
};

struct task {
	uint32_t tid;
	struct process *process; /* owned reference */
	struct fdtable *table;   /* bound: counted in table->tasks; NULL: not known */
	struct sweep *sweep;     /* detect/close_sweep.c; owned; NULL most of the time */
	/* serial of the latest snapshot that found it, or that began before it was known */
	uint32_t seen_in;
	unsigned int missed;          /* whole snapshots in a row that did not find it */
	struct task *next, *previous; /* in process->tasks */
};

/* NULL: out of memory. */
struct process *process_new(struct mem *m, uint32_t pid);
struct process *process_ref(struct process *p);
/* NULL is allowed. The last reference frees; chains of `before` without recursion. */
void process_unref(struct mem *m, struct process *p);

/*
 * Makes `before` (a new reference is taken) the predecessor of p and forgets all but the
 * nearest few of the chain, so that a program which re-executes itself forever stays small.
 */
void process_set_before(struct mem *m, struct process *p, struct process *before);

/* Copies; on lack of memory the field becomes unknown. */
void process_set_exe(struct mem *m, struct process *p, const char *exe, size_t size);
void process_set_args(struct mem *m, struct process *p, const char *args, size_t size);
void process_set_environment(struct mem *m, struct process *p,
			     const uint64_t word[FDT_ENVIRON_WORDS]);
void process_set_place(struct mem *m, struct process *p, const char *cgroup, size_t size,
		       uint32_t inner_pid);

/* The environment names this number as a descriptor. False where it is not known. */
bool process_environment_names(const struct process *p, int32_t fd);

/*
 * The image that exec made: for one that was only forked since then, that of its parents. Where
 * the chain of those kept ends before, the earliest of them. Never NULL.
 */
const struct process *process_image(const struct process *p);

/* Images of one process: of the same pid and start. */
bool process_same(const struct process *a, const struct process *b);

/* The new task is in process->tasks and holds a reference. NULL: out of memory. */
struct task *task_new(struct mem *m, uint32_t tid, struct process *process);
/* Its table and sweep must have been released. */
void task_free(struct mem *m, struct task *task);

/*
 * A child that cleans up between fork and exec, or becomes a daemon: forked less than a second
 * before now_ns, no exec since, a single thread.
 */
bool process_is_newborn(const struct process *p, uint64_t now_ns);

/* Last component of exe, else the name: names the program in sites and fingerprints. Never NULL. */
const char *process_program(const struct process *p);

#endif
