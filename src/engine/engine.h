/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The engine: events in, findings out. Pure: no system calls, no clock, no input or output,
 * no globals. The same events give the same findings. Time is the time of events.
 *
 * Everything a callback is given is borrowed and lives until the callback returns; a callback
 * must not call engine_apply().
 */
#ifndef FDTRACE_CORE_ENGINE_H
#define FDTRACE_CORE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "engine/finding.h"
#include "model/kind.h"
#include "engine/settings.h"
#include "fdtrace/event.h"

struct engine;

enum engine_mode { ENGINE_PID, ENGINE_COMMAND, ENGINE_ALL };

/* A change of a table, for --events. */
enum change_op {
	CHANGE_OPEN,
	CHANGE_CLOSE,
	CHANGE_REPLACE,
	CHANGE_FORK,
	CHANGE_EXEC,
	CHANGE_EXIT,
	CHANGE_ERROR,
	CHANGE_FOUND /* by a snapshot */
};
#define CHANGE_OPS (CHANGE_FOUND + 1)
const char *change_op_name(
	enum change_op op); /* "open" "close" "replace" "fork" "exec" "exit" "error" "found" */

struct change {
	enum change_op op;
	uint64_t time_ns;
	const struct process *process; /* whose table it is */
	uint32_t tid;
	uint32_t syscall;
	const char *how;              /* as in struct operation */
	struct descriptor descriptor; /* fd -1 for fork, exec, exit */
	int32_t error;                /* CHANGE_ERROR: errno, positive */
	uint32_t count;               /* CHANGE_ERROR: failures in this run of them */
	uint32_t other_pid;           /* CHANGE_FORK: the child */
	const struct site *site;      /* of the call; NULL: none known */
};

/* Who hears what the engine finds. */
struct engine_listener {
	void (*finding)(void *ctx, const struct finding *finding);
	/* NULL: not wanted (saves time). */
	void (*change)(void *ctx, const struct change *change);
	/* So many were found and not reported (findings.burst); NULL: not wanted. */
	void (*withheld)(void *ctx, const struct withheld *withheld);
};

/*
 * The machine that the events come from: answers what no event says. Each function but
 * stack_forgotten returns 0 or -errno and may be NULL: then only events of that kind inform
 * the engine. A host whose run is recorded must record each answer before the event being applied, so
 * that a replay, which has no host, finds the same.
 */
struct engine_host {
	/* The name of a descriptor that is open now, NUL-terminated; recorded as FDT_NAME. */
	int (*name)(void *ctx, uint32_t pid, int32_t fd, const struct fdt_file *file, char *buffer,
		    size_t size);
	/* What a descriptor is like now; recorded as FDT_DETAIL. */
	int (*detail)(void *ctx, uint32_t pid, int32_t fd, const struct fdt_file *file,
		      struct fdt_detail *ret_detail);
	/* Which numbers the environment of a process names; recorded as FDT_ENVIRON. */
	int (*environment)(void *ctx, uint32_t pid, struct fdt_environ *ret_environment);
	/*
	 * The cgroup of a process that is alive: at most `size` bytes and no NUL needed,
	 * *ret_length says how many; recorded as FDT_CGROUP.
	 */
	int (*place)(void *ctx, uint32_t pid, char *cgroup, size_t size, size_t *ret_length,
		     uint32_t *ret_inner_pid);
	/*
	 * The stack of this hash is not known (any more): whoever makes FDT_SITE should send it
	 * again, before the next event that has it. NULL: nobody can.
	 */
	void (*stack_forgotten)(void *ctx, uint64_t hash);
};

/* What the user does not want to hear of. */
struct engine_policy {
	/*
	 * Whether this finding is suppressed. Asked once for each cause, with the finding complete;
	 * it is then counted and not reported. NULL: nothing is suppressed.
	 */
	bool (*suppressed)(void *ctx, const struct finding *finding);
	/*
	 * Whether findings of processes in this cgroup (NULL: not known) matter here. Others are
	 * not even counted: the same cause elsewhere is still news. NULL: all do.
	 */
	bool (*wanted)(void *ctx, const char *cgroup);
};

struct detector; /* engine/detector.h */

struct engine_options {
	enum engine_mode mode;
	struct settings settings;
	rule_set rules;
	/* Who looks for what; ends with NULL: detectors_all, or a few of them. NULL: nobody. */
	const struct detector *const *detectors;
	/* Borrowed until engine_free(). */
	const struct engine_listener *listener;
	const struct engine_host *host;     /* NULL: a replay has none */
	const struct engine_policy *policy; /* NULL: everything is reported */
	void *ctx;                          /* of all three */
	uint64_t fail_at;                   /* tests: see struct mem */
};

/* 0, or -ENOMEM. The engine copies *options. */
int engine_new(const struct engine_options *options, struct engine **ret_engine);
void engine_free(struct engine *engine);

/*
 * Apply one event of exactly `size` bytes. 0; -EINVAL if it is malformed (state unchanged; the
 * caller counts it); -ENOMEM if memory.max or the system stopped it: the tables concerned are
 * marked, findings resting on them say after_loss, and the next snapshot repairs them.
 */
int engine_apply(struct engine *engine, const void *event, size_t size);

/* The last chance to speak: what only the end of the run can show. time_ns: of the end. */
void engine_finish(struct engine *engine, uint64_t time_ns);

/* Why an audit had to put a slot right. */
enum correction_cause {
	CORRECTION_FILLED,     /* a descriptor was made in a way no hook sees (seccomp addfd ...) */
	CORRECTION_EMPTIED,    /* one ended so */
	CORRECTION_AFTER_LOSS, /* events about the table had been lost */
	CORRECTION_CAUSES
};
const char *
correction_cause_name(enum correction_cause cause); /* "filled" "emptied" "after_loss" */

/* What became of the findings of a rule. */
struct rule_counters {
	uint64_t found;      /* times; repeats, suppressed and withheld ones are counted */
	uint64_t causes;     /* different ones among them, without suppressed ones */
	uint64_t withheld;   /* causes not reported one by one, for there were too many */
	uint64_t suppressed; /* causes */
	/*
	 * Times, by the severity it had that time: repeats and withheld ones are counted, suppressed
	 * ones are not. These only rise: what findings[] below moves as a cause becomes more severe, stays.
	 */
	uint64_t reported[SEVERITY_ERROR + 1];
};

struct engine_counters {
	uint64_t events; /* applied */
	uint64_t malformed;
	uint64_t lost;        /* sum of FDT_LOSS */
	uint64_t resyncs;     /* snapshots because of losses */
	uint64_t corrections; /* slots an audit had to put right */
	uint64_t corrections_by[CORRECTION_CAUSES];
	uint64_t refused;             /* out of memory.max */
	uint64_t findings_dropped;    /* causes forgotten to make room: found again, they are new */
	uint64_t findings_withheld;   /* causes not reported: findings.burst, findings.every */
	uint64_t findings_suppressed; /* causes; */
	uint64_t times_suppressed;    /* how often they were found */
	struct rule_counters by_rule[RULE_COUNT];
	uint64_t ended_dropped; /* earlier generations forgotten for want of memory */
	uint64_t tables, tasks, processes, descriptors; /* alive now */
	/*
	 * Whether anybody listens or not. A descriptor that dup2 replaced counts as CHANGE_REPLACE
	 * alone, though it is reported as CHANGE_CLOSE; those that die with their table are not counted.
	 * CHANGE_ERROR: FDT_ERROR events, each of which may stand for many failures.
	 */
	uint64_t changes[CHANGE_OPS];
	uint64_t findings[SEVERITY_ERROR + 1]; /* by severity; repeats are not counted again */
	uint64_t stacks, stacks_bytes;         /* kept now; within memory_bytes */
	uint64_t stacks_forgotten;             /* hashes dropped to keep to stacks.memory */
	uint64_t stacks_unknown;               /* hashes that came without their stack */
	size_t memory_bytes, memory_peak_bytes;
	uint64_t first_ns, last_ns; /* event time of the first and the latest event */
};
void engine_counters(const struct engine *engine, struct engine_counters *ret_counters);

/* How long the hooks on system calls were off (FDT_LOSS_COVERAGE), by event time. */
uint64_t engine_gap_ns(const struct engine *engine);
/* Some site or table grows, or a table is nearly full: to see who opens is worth more just now. */
bool engine_suspects(const struct engine *engine);

/* For the summary: every process image alive, or that ended and had something to report. */
struct process_row {
	const struct process *process;
	uint64_t open;           /* descriptors in its table now */
	uint64_t unknown_opener; /* of these: opened before we looked */
	uint64_t by_kind[FD_KIND_COUNT];
	uint64_t peak; /* most open at once while we looked */
};
void engine_each_process(struct engine *engine,
			 void (*row)(void *ctx, const struct process_row *row), void *ctx);

/*
 * Who holds the table of a process that is alive: rows as in a finding, most open first, `total`
 * of them altogether. Those without an opener are looked at: the host is asked for what they are.
 */
void engine_each_holding(struct engine *engine, uint32_t pid,
			 void (*row)(void *ctx, const struct site_row *row, unsigned int total),
			 void *ctx);

/* How full a process has its table. */
struct usage_row {
	const struct process *process;
	uint64_t open;   /* descriptors in its table now */
	uint64_t nofile; /* its soft RLIMIT_NOFILE, never 0 */
};
/*
 * The (up to) max processes with the fullest tables by open / nofile, fullest first, the lower
 * pid first where they are equal; those whose limit is not known are left out. One pass, no
 * memory. Returns how many. The processes are borrowed until the next engine_apply().
 */
size_t engine_fullest(const struct engine *engine, struct usage_row *ret_rows, size_t max);

/*
 * For the table at the end of a run: findings made so far, gravest first, newest first.
 * Suppressed ones are left out.
 */
struct finding_row {
	enum rule rule;
	enum severity severity;
	uint64_t fingerprint, count;
	uint64_t first_ns, last_ns; /* when it was found; first_ns: when what it reports began */
	bool reported;              /* false: withheld */
	uint64_t open;              /* descriptors, 0: not counted */
	double rate_per_min;
	const char *site; /* label */
	const char *message;
};
void engine_each_finding(struct engine *engine,
			 void (*row)(void *ctx, const struct finding_row *row), void *ctx);

/*
 * What has been reported, to be kept over a restart. reported_ns: CLOCK_MONOTONIC when it was; of another
 * boot it lies before the clock's zero and wraps.
 */
struct reported_row {
	uint64_t fingerprint;
	enum rule rule;
	enum severity severity; /* as it was reported */
	uint64_t count;         /* how often it was found */
	uint64_t reported_ns;
};
void engine_each_reported(struct engine *engine,
			  void (*row)(void *ctx, const struct reported_row *row), void *ctx);
/*
 * It was reported before this run: found again it is counted, and reported only if more severe or
 * an hour has passed. Not listed by engine_each_finding() until it is found. 0 or -ENOMEM; what
 * is known already is left as it is.
 */
int engine_restore_reported(struct engine *engine, const struct reported_row *row);

/*
 * New settings (those that settings_reload() takes over) and rules from now on; tables and what
 * was reported stay. Suppressions are asked again for each cause.
 */
void engine_reconfigure(struct engine *engine, const struct settings *settings, rule_set rules);

/* For comparing with the kernel. */
struct table_row {
	uint64_t key;      /* files_struct address */
	uint32_t pid, tid; /* a task bound to it */
	uint64_t changes;  /* events about it so far, snapshots not counted */
	bool complete;     /* every slot was reported once */
	bool tainted;      /* events about it may be missing; the next snapshot repairs it */
};
void engine_each_table(struct engine *engine, void (*row)(void *ctx, const struct table_row *row),
		       void *ctx);
/*
 * As it is now, with a task bound to it now: `tid` if that one is. 0, or -ENOENT: there is no
 * such table, or nobody is bound to it any more.
 */
int engine_table(struct engine *engine, uint64_t key, uint32_t tid, struct table_row *ret_row);
/* Every task bound to the table, in no order. */
void engine_each_task_of(struct engine *engine, uint64_t key,
			 void (*task)(void *ctx, uint32_t pid, uint32_t tid), void *ctx);

/* Every filled slot of a table. 0, or -ENOENT: there is no such table. */
typedef void (*engine_slot_fn)(void *ctx, int32_t fd, const struct fdt_file *file,
			       uint32_t generation);
int engine_each_slot_of(struct engine *engine, uint64_t key, engine_slot_fn slot, void *ctx);
/* The same by process. 0, or -ESRCH. */
int engine_each_slot(struct engine *engine, uint32_t pid, engine_slot_fn slot, void *ctx);

#endif
