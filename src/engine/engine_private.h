/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The inside of the engine, shared by its parts:
 *   engine.c   which event goes where; time, counters, the public interface
 *   tasks.c    processes, threads and the tables they are bound to
 *   slots.c    assertions about slots become generations that begin and end
 *   detect_*.c what is worth telling; each looks at the tables and reports through finding.c
 *   finding.c  one finding per cause: counted, rated, handed to the callback
 */
#ifndef FDTRACE_CORE_STATE_H
#define FDTRACE_CORE_STATE_H

#include "model/details.h"
#include "engine/engine.h"
#include "model/fdtable.h"
#include "base/map.h"
#include "base/mem.h"
#include "model/names.h"
#include "model/process.h"
#include "model/site.h"
#include "model/suspect.h"
#include "model/walk.h"

/* Who is behind the event that is being applied. process NULL: nobody we know. */
struct actor {
	struct process *process;
	struct task *task;
	uint32_t tid;
	uint32_t syscall;
	uint64_t site_hash;
	struct site *site; /* of that hash, where somebody has looked; borrowed */
	uint64_t time_ns;
};

/* A slot that a snapshot had to put right; a mistake only if no event explains it by the next one. */
struct correction {
	enum correction_cause cause;
	uint64_t table;
	uint32_t fd, generation;
	bool filled; /* the snapshot found it filled; else empty */
};
#define CORRECTIONS_MAX 1024

/* A call that failed with EBADF, kept back for a moment: a sweep may turn out to be behind it. */
struct kept_failure {
	uint64_t table, time_ns;
	struct site *site; /* owned reference; may be NULL */
	uint32_t tid, syscall, fd;
	uint32_t generation;     /* of the number's newest past then */
	struct process *process; /* owned reference */
};
#define KEPT_FAILURES_MAX 256

/* 0, 1 or 2 came to hold a file that is open for reading only; detect/close_stdio.c waits for it to stay. */
struct stdio_guest {
	uint64_t table, time_ns;
	uint32_t fd, generation;
};
#define STDIO_GUESTS_MAX 64

/* A number was closed whose file may live on and still be watched by an epoll; detect/epoll_foreign.c. */
struct closed_watch {
	uint64_t table, time_ns;
	uint64_t file, inode;
	uint32_t dev, fd, generation;
	int32_t holder_fd;            /* while judged: who else has the file */
	struct fdtable *holder_table; /* NULL: nobody was found */
};
#define CLOSED_WATCHES_MAX 256
#define DUPLICATED_MAX 1024
/* A call that failed for want of descriptors, kept back to see whether its loop spins. */
struct kept_limit {
	struct fdt_error event;  /* the latest of them */
	uint64_t table, time_ns; /* time_ns: of the first */
	uint64_t open;           /* in the table then */
	uint64_t count;          /* failures so far, in all runs of them */
	struct site *site;       /* owned reference; may be NULL */
	struct process *process; /* owned reference */
};
#define KEPT_LIMITS_MAX 16

/* Who held a full table most when that was last looked up; detect/limit_emfile.c. */
struct full_table {
	uint64_t table, looked_ns;
	uint32_t process; /* serial of the image that failed; 0: none yet */
	uint64_t fingerprint;
};
#define FULL_TABLES_MAX 64

/* detect/leak_stale.c */
struct stale {
	struct walk walk;
	uint64_t began_ns; /* of the round that goes on, or of the last one; 0: none yet */
	uint32_t round;
	bool walking;
};

/* detect/leak_orphan.c */
struct orphans {
	struct walk walk;
	struct suspects suspects;
	uint64_t began_ns;
	uint64_t asked_ns; /* when questions were last counted ... */
	uint32_t left;     /* ... and how many may still be asked */
	bool walking;
};

/* detect/exec_held.c */
struct held {
	struct suspects suspects;
	uint64_t looked_ns;
};

struct finding_entry;

/* Of memory.max, for findings alone: mem.max_bytes is so much less. */
#define FINDINGS_RESERVE_BYTES (32u << 10)

/* Entries by when they were last seen; finding.c. */
struct finding_list {
	struct finding_entry *oldest, *newest;
};

/* Tokens of one rule in one image; throttle.c. */
struct bucket {
	uint64_t used;     /* of findings.burst, and not yet come back */
	uint64_t since_ns; /* the oldest of these has been coming back since then */
};
struct throttle {
	struct process *process; /* owned reference; NULL: of several */
	uint64_t first_ns;       /* the first of what is pending */
	uint64_t reported_ns;    /* when its number was last told; 0: never */
	struct bucket bucket[RULE_COUNT];
	uint64_t pending[RULE_COUNT]; /* withheld and not yet told by number */
	enum severity severity[RULE_COUNT];
};

struct engine {
	struct mem mem;
	struct engine_options options;
	struct engine_counters counters;
	uint64_t now_ns;                     /* highest event time so far */
	struct map tasks, processes, tables; /* by tid, pid, files_struct address */
	struct sites sites;
	struct pasts pasts;
	struct names names;
	struct details details;
	uint64_t serial; /* of the event that is being applied */
	struct kind_fops fops;
	uint32_t next_serial;
	uint32_t snapshot_serial;
	uint32_t loss_serial;              /* the first snapshot that began after the latest loss */
	bool in_snapshot;                  /* one is being taken */
	bool uncovered;                    /* the hooks on system calls are off */
	uint64_t gap_began_ns, gap_end_ns; /* the latest time when they were; end 0: none yet */
	uint64_t gap_total_ns;             /* of those that are over */
	uint32_t
		suspects; /* detect/leak_growth.c: sites and tables that grow or fill, at the last window's end */
	bool snapshot_whole; /* one goes on, nothing has been lost since it began */
	uint64_t
		window_ns[GROWTH_SCALES]; /* detect/leak_growth.c: when the running windows began */
	/* serial -> struct process (owned reference): images with what crossed, and was not used */
	struct map pending_execs; /* detect/exec_inherit.c, detect/exec_held.c */
	struct stale stale;
	struct orphans orphans;
	struct held held;
	struct kept_limit kept_limits[KEPT_LIMITS_MAX]; /* detect/limit_emfile.c */
	unsigned int kept_limit_count;
	struct full_table full_tables[FULL_TABLES_MAX]; /* by hash: the latest of each */
	struct correction corrections[CORRECTIONS_MAX];
	unsigned int correction_count;
	struct kept_failure kept_failures[KEPT_FAILURES_MAX]; /* detect/close_unowned.c */
	unsigned int kept_failure_count;
	struct stdio_guest stdio_guests[STDIO_GUESTS_MAX];
	unsigned int stdio_guest_count;
	struct map lock_files; /* detect/close_lock.c: by table and inode */
	struct closed_watch closed_watches[CLOSED_WATCHES_MAX]; /* oldest first */
	unsigned int closed_watch_count;
	uint64_t watches_ns; /* when epoll_tick() last looked */
	uint64_t duplicated
		[DUPLICATED_MAX]; /* files with two numbers, by hash: the newest of each */
	uint64_t probe_run;       /* detect/close_sweep.c: the latest run of failing fcntl told */
	struct sweep *sweeps;     /* detect/close_sweep.c: over, but yet to be told */
	uint64_t swept_ns;        /* when sweep_tick() last looked */
	struct map findings;      /* fingerprint -> struct finding_entry */
	struct finding_list unreported, reported; /* the same */
	struct map throttles;                     /* throttle.c: serial -> struct throttle */
	struct throttle throttle_shared;          /* for what these have no room for */
	bool withheld_pending;                    /* some throttle has something to tell */
	uint64_t throttled_ns;                    /* when the idle ones were last dropped */
	uint64_t sequence;
	bool finished; /* engine_finish() was called: nothing more is told */
	struct process
		*root; /* the first process seen: in command mode the command; owned reference */
};

/* tasks.c */
/*
 * Who did it, and, once a site is looked up for it, where: the caller gives ret_actor->site back
 * with site_unref(). 0, -ENOMEM, or -EINVAL: not bound to any table.
 */
int tasks_take_actor(struct engine *e, const struct fdt_head *head, uint64_t site_hash,
		     struct actor *ret_actor);
/* Forked from that process, however many forks and execs ago as far as they are known. */
bool tasks_descends(struct engine *e, const struct process *process,
		    const struct process *ancestor);
struct task *tasks_actor(struct engine *e, const struct fdt_head *head); /* NULL: out of memory */
struct process *tasks_process(struct engine *e, uint32_t pid); /* made if need be; borrowed */
/*
 * Where the process is: asks the host, once for each image, while it lives. For whom a finding
 * is told, and early for whom one may be that has ended by then.
 */
void tasks_ask_place(struct engine *e, struct process *process);
int tasks_apply(struct engine *e, const struct fdt_task *event);
int tasks_apply_process(struct engine *e, const struct fdt_process *event);
int tasks_apply_limit(struct engine *e, const struct fdt_limit *event);
struct fdtable *tasks_table(struct engine *e, const struct fdt_head *head); /* made if need be */
void tasks_copied(struct engine *e,
		  struct fdtable *table); /* its birth is told: let the source go */
/* A whole snapshot has ended: what two of them in a row have not found has ended unseen. */
void tasks_snapshot_done(struct engine *e);
void tasks_done(struct engine *e);

/* slots.c */
int slots_apply(struct engine *e, const struct fdt_slot *event);
int slots_apply_vec(struct engine *e, const struct fdt_vec *event);
int slots_apply_words(struct engine *e, const struct fdt_words *event);
void slots_drop_all(struct engine *e, struct fdtable *table); /* the table dies; nothing is told */
int slots_mark(struct engine *e, const struct fdt_slot *event); /* FDT_MARK */
bool slots_same_file(const struct slot *slot, const struct fdt_file *file);
/*
 * Asks the host what the file is like now, whatever its kind; what it can't tell is as last
 * seen. NULL: not known.
 */
const struct fdt_detail *slots_inspect(struct engine *e, const struct fdtable *table, int32_t fd,
				       const struct slot *slot);
void slots_audit_done(struct engine *e);
struct descriptor slots_descriptor(struct engine *e, const struct fdtable *table, int32_t fd);
/*
 * What a filled descriptor is like, whatever its kind: the host is asked if it can be, else it
 * is as last seen, and head.time_ns tells when. NULL: it was never looked at.
 */
const struct fdt_detail *slots_look(struct engine *e, const struct fdtable *table, int32_t fd);
/* Both may learn what kind it really is. */
const char *slots_name(struct engine *e, const struct fdtable *table, int32_t fd);
void slots_learn_kind(const struct fdtable *table, uint32_t fd, const char *name);
void engine_tell_change(struct engine *e, const struct change *change);

/* finding.c: helpers that fill parts of a finding, and the way out */
struct party party_opened(const struct slot *slot);
/* "worker()", else "tid 7", else "somebody": cut to size. */
void party_format(const struct party *party, char *buffer, size_t size);
struct party party_past_opened(const struct past *past);
struct party party_past_closed(const struct past *past);
struct party party_actor(const struct actor *actor, int32_t error);
void finding_history(struct engine *e, struct finding *f, uint32_t past);
enum confidence finding_confidence(const struct fdtable *table, enum confidence at_best);
/* "fd 4 (tcp a -> b)": cut to size. */
void finding_describe(const struct descriptor *d, char *buffer, size_t size);
/*
 * Rows of who holds the table, most open first: by opener's site. With `only`, slots for which
 * it returns false are left out. Sets f->sites, site_count, site_total; labels live in `labels`.
 */
struct site_labels {
	char text[FINDING_SITES_MAX][96];
};
void finding_sites(struct engine *e, struct finding *f, const struct fdtable *table,
		   bool (*only)(const struct slot *slot, int32_t fd, const void *ctx),
		   const void *ctx, struct site_labels *labels);
/* The same rows, all of them, one by one. */
void finding_each_site(struct engine *e, const struct fdtable *table,
		       bool (*only)(const struct slot *slot, int32_t fd, const void *ctx),
		       const void *ctx,
		       void (*row)(struct engine *e, const struct fdtable *table,
				   const struct site_row *row));
/* The usual remedy in the language of the culprit's site. */
const char *finding_help(const struct finding *f, const char *in_c, const char *in_python);
/*
 * Counts the finding under its fingerprint and tells it if it is news: the first of its kind,
 * graver than before, or an hour after it was last told; unless it is suppressed, or too many
 * were told (throttle.c). Fills sequence, state, count.
 */
void finding_report(struct engine *e, struct finding *f);
/*
 * Whether a report would be told, by fingerprint and severity alone: where it would not, the
 * host need not be asked for names and details that nobody reads.
 */
bool finding_is_news(const struct engine *e, const struct finding *f);
/*
 * Of the rule and the place; of the program too, except where the place is in Python: there
 * the program is an interpreter, by whatever name. site may be NULL.
 */
uint64_t finding_fingerprint(enum rule rule, const struct process *process,
			     const struct site *site);
bool finding_wanted(const struct engine *e, enum rule rule);
struct process *
finding_entry_process(const struct finding_entry *entry); /* borrowed; may be NULL */
/* The suppressions have changed. */
void findings_judge_anew(struct engine *e);
void findings_done(struct engine *e);

/* throttle.c: may the finding be told now? Takes a token if so. */
bool throttle_pass(struct engine *e, const struct finding *f);
/* It was not: it will be told by number. */
void throttle_withhold(struct engine *e, const struct finding *f);
void throttle_tick(struct engine *e);
void throttle_finish(struct engine *e); /* what is pending is told now */
void throttle_done(struct engine *e);

/* other_end.c: by the tables that are known */
void other_end_find(struct engine *e, const struct descriptor *d, struct other_end *ret);

/* idle.c: asks what the row's descriptors in the table are like, those at least so old. */
void finding_ask_idle(struct engine *e, const struct fdtable *table, struct site_row *row,
		      uint64_t least_age_ns, uint64_t idle_from_ns);
/* "3 s", "12 min", "3 h": whole units, long times need no seconds. */
void finding_format_time(uint64_t ns, char *buffer, size_t size);

/* The past of that generation of that number, if it is still kept; else NULL. */
struct past *finding_past(struct engine *e, const struct fdtable *table, uint32_t fd,
			  uint32_t generation);
struct fdtable *process_table(const struct process *process); /* NULL: none known */

/* detect/leak_growth.c */
void leak_tick(struct engine *e);
void leak_table_died(struct engine *e, struct fdtable *table);
/* detect/limit_emfile.c */
void limit_failed(struct engine *e, const struct fdt_error *event, const struct actor *actor,
		  struct fdtable *table);
void limit_tick(struct engine *e);
void limit_table_died(struct engine *e, struct fdtable *table);
void limit_done(struct engine *e);
/* detect/exec_inherit.c */
void exec_image_started(struct engine *e, struct process *process);
/*
 * ctx: the image (struct process) that holds the slot. It was opened by an earlier image, has
 * crossed an exec, has not been used, and nothing says that it was meant to be handed over.
 */
bool exec_unused(const struct slot *slot, int32_t fd, const void *ctx);
/* Asks the host, once for each image, which numbers its environment names. */
void exec_ask_environment(struct engine *e, struct process *process);
void exec_tick(struct engine *e);
void exec_table_died(struct engine *e, struct fdtable *table);
void exec_done(struct engine *e);
/* detect/exec_held.c */
bool held_is_of_interest(const struct fdtable *table, const struct process *process);
void held_tick(struct engine *e);
void held_done(struct engine *e);
/* detect/leak_stale.c */
void stale_tick(struct engine *e);
void stale_done(struct engine *e);
/* detect/leak_orphan.c */
void orphan_tick(struct engine *e);
void orphan_done(struct engine *e);
/* detect/close_unowned.c */
void close_failed(struct engine *e, const struct fdt_error *event, const struct actor *actor,
		  struct fdtable *table);
void close_tick(struct engine *e);
void close_table_died(struct engine *e, struct fdtable *table);
/* What is kept back of that thread turns out to be part of a sweep. */
void close_forget(struct engine *e, uint32_t tid, uint64_t table);
void close_done(struct engine *e);
/* detect/close_sweep.c: a number was closed (by close, or as one of a close_range) */
void sweep_closed(struct engine *e, struct fdtable *table, uint32_t fd, const struct actor *actor);
void sweep_range(struct engine *e, const struct fdt_words *event, const struct actor *actor);
/* True: the failing close belongs to a sweep. */
bool sweep_failed(struct engine *e, struct fdtable *table, const struct fdt_error *event,
		  const struct actor *actor);
/* Somebody used a number that a sweep had closed. True: a sweep that is yet to be told took note. */
bool sweep_hurt(struct engine *e, struct fdtable *table, const struct past *past, int32_t fd,
		const struct actor *actor);
/* The closer is closing one number after the other just now: it may become a sweep. */
bool sweep_in_progress(struct engine *e, const struct fdtable *table, const struct past *past);
/* fcntl failed with EBADF: a run of a million is told. */
void sweep_probed(struct engine *e, const struct fdtable *table, const struct fdt_error *event,
		  const struct actor *actor);
void sweep_task_ended(struct engine *e, struct task *task);
void sweep_table_died(struct engine *e, struct fdtable *table);
void sweep_tick(struct engine *e);
void sweep_done(struct engine *e);
/* detect/close_stdio.c: a call put a file where it found the lowest number free */
void stdio_opened(struct engine *e, struct fdtable *table, uint32_t fd, const struct fdt_head *head,
		  const struct actor *actor);
void stdio_tick(struct engine *e);
void stdio_table_died(struct engine *e, struct fdtable *table);
/* detect/close_lock.c */
int lock_told(struct engine *e, const struct fdt_lock *event);
/* A generation has ended, and its past is there; was: the slot before. actor NULL: not heard by whom. */
void lock_slot_ended(struct engine *e, struct fdtable *table, uint32_t fd, const struct slot *was,
		     const struct actor *actor, enum ending ending);
void lock_table_died(struct engine *e, struct fdtable *table);
void lock_done(struct engine *e);
/* detect/epoll_foreign.c */
int epoll_registered(struct engine *e, const struct fdt_register *event);
/* A second number got the file, or another process did through a socket. */
void epoll_duplicated(struct engine *e, uint64_t file);
void epoll_slot_ended(struct engine *e, const struct fdtable *table, uint32_t fd,
		      const struct slot *was);
void epoll_tick(struct engine *e);
void epoll_table_died(struct engine *e, const struct fdtable *table);
/* detect/use_stale.c: a thread used a number that held another file when it did so before */
void use_stale(struct engine *e, struct fdtable *table, uint32_t fd, const struct actor *actor);

#endif
