/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Processes and tasks as the engine sees them.
 *
 * A struct process is one program image in one process: exec makes a new one that keeps a
 * reference to the one before. It outlives the process as long as a descriptor, a site or a
 * finding refers to it, so that a culprit who has exited still has a name.
 * A struct task is one thread, alive, bound to one descriptor table.
 */
#ifndef FDTRACE_CORE_PROCESS_H
#define FDTRACE_CORE_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

struct fdtable;
struct mem;

#define PROCESS_NAME_SIZE 16

struct process {
	unsigned int refs;
	uint32_t pid;
	uint32_t parent_pid;
	uint32_t uid;
	uint32_t image;		/* 0 for the first image seen, then one more at each exec */
	uint64_t start_ns;	/* CLOCK_BOOTTIME; (pid, start_ns) is unique per boot */
	uint64_t forked_ns;	/* event time of the fork we saw; 0: was there before us */
	uint64_t exec_ns;	/* event time of the exec that made this image; 0: not seen */
	uint64_t ended_ns;	/* 0: alive */
	int32_t exit_code;	/* as wait(2) encodes it */
	uint64_t nofile;	/* soft RLIMIT_NOFILE; 0: not known */
	unsigned int threads;	/* tasks alive */
	unsigned int threads_peak;
	struct process *before;	/* the image that called exec, or the parent that forked; owned reference */
	bool by_fork;		/* `before` is the parent's image, and no exec has happened since */
	char name[PROCESS_NAME_SIZE]; /* comm: NUL-terminated, any byte */
	char *exe;		/* path, NUL-terminated; NULL: not known; owned */
	char *args;		/* argv, each NUL-terminated, args_size bytes; NULL: not known; owned */
	uint16_t exe_size;	/* bytes allocated */
	uint16_t args_size;
	/* counters for the summary, of this image */
	uint64_t opened, closed, short_lived;
	void *watch;		/* detectors' own state about this image; see detect.h */
};

struct task {
	uint32_t tid;
	struct process *process;	/* owned reference */
	struct fdtable *table;		/* owned reference; NULL: not known */
};

struct process *process_new(struct mem *m, uint32_t pid);
struct process *process_ref(struct process *p);
/* NULL is allowed. Frees with the last reference; `before` chains are released without recursion. */
void process_unref(struct mem *m, struct process *p);

#endif
