/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The inside of the engine, shared by its parts:
 *   engine.c   which event goes where; time, counters, the public interface
 *   tasks.c    processes, threads and the tables they are bound to
 *   slots.c    assertions about slots become generations that begin and end
 *   detectors.c which detectors (src/detect) are called for what; each looks at the tables and
 *              reports through report.c (report.h)
 *   report.c   a finding under construction, and its words; help.c: remedies by language
 *   finding.c  fills parts of a finding: who did it, the history of a number
 *   holdings.c who holds a table: the rows of a finding
 *   left.c     what a process leaves open when it ends
 *   cause.c    one finding per cause: counted, rated, handed to the listener
 */
#ifndef FDTRACE_ENGINE_PRIVATE_H
#define FDTRACE_ENGINE_PRIVATE_H

#include "base/map.h"
#include "base/mem.h"
#include "engine/detector.h"
#include "engine/engine.h"
#include "engine/holdings.h"
#include "model/details.h"
#include "model/fdtable.h"
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

/* Everything that is called in more than one detector; DETECTOR_HOOKS(X): X(hook). */
#define DETECTOR_HOOKS(X) \
	X(opened)         \
	X(duplicated)     \
	X(closed)         \
	X(closed_some)    \
	X(closer_known)   \
	X(range_closed)   \
	X(used_stale)     \
	X(failed)         \
	X(image_started)  \
	X(task_ended)     \
	X(address_ended)  \
	X(table_ended)    \
	X(run_ended)      \
	X(tick)

/* The detectors that are switched on, and for each hook those that have it; lists end with NULL. */
struct detector_hearing {
#define HEARING_LIST(hook)                              \
	const struct detector *hook[DETECTORS_MAX + 1]; \
	unsigned int hook##_count;
	DETECTOR_HOOKS(HEARING_LIST)
#undef HEARING_LIST
	const struct detector *all[DETECTORS_MAX];
	unsigned int count;
	const struct detector *event_of[FDT_EVENT_KINDS]; /* who applies that kind */
	int32_t opened_below;                             /* the highest of all */
	uint32_t closed_where;                            /* all of them */
};

/* detectors_call(e, failed, event, actor, table): each that has the hook, in order. */
#define detectors_call(e, hook, ...)                                                  \
	do {                                                                          \
		for (const struct detector *const *d_ = (e)->hearing.hook; *d_; d_++) \
			(*d_)->hook((e), ##__VA_ARGS__);                              \
	} while (0)

struct cause;

/* Of memory.max, for findings alone: mem.max_bytes is so much less. */
#define FINDINGS_RESERVE_BYTES (32u << 10)

/* By when they were last seen; cause.c. */
struct cause_list {
	struct cause *oldest, *newest;
};

/* Tokens of one rule in one image; throttle.c. */
struct bucket {
	uint64_t used;     /* of findings.burst, and not yet come back */
	uint64_t since_ns; /* the oldest of these has been coming back since then */
};
struct throttle {
	struct process *process; /* owned reference; NULL: of several */
	uint64_t first_ns;       /* the first of what is pending */
	uint64_t reported_ns;    /* when its number was last reported; 0: never */
	struct bucket bucket[RULE_COUNT];
	uint64_t pending[RULE_COUNT]; /* withheld and not yet counted in a report */
	enum severity severity[RULE_COUNT];
};

struct engine {
	struct mem mem;
	struct engine_options options;
	struct engine_counters counters;
	uint64_t now_ns;                     /* highest event time so far */
	struct map tasks, processes, tables; /* by tid, pid, files_struct address */
	struct sites sites;
	struct ended_pool ended;
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
	bool snapshot_whole;               /* one goes on, nothing has been lost since it began */
	/* Sites and tables that grow or fill, as leak.growth counted them last. */
	uint32_t suspect_count;
	struct detector_hearing hearing;
	void *detector_states[DETECTORS_MAX]; /* by detector.id; NULL: it has none */
	struct correction corrections[CORRECTIONS_MAX];
	unsigned int correction_count;
	struct map findings;                    /* fingerprint -> struct cause */
	struct cause_list unreported, reported; /* the same */
	struct map throttles;                   /* throttle.c: serial -> struct throttle */
	struct throttle throttle_shared;        /* for what these have no room for */
	bool withheld_pending;                  /* some throttle has something to report */
	uint64_t throttled_ns;                  /* when the idle ones were last dropped */
	uint64_t sequence;
	bool finished; /* engine_finish() was called: nothing more is reported */
	/* the first process seen: in command mode the command; owned reference */
	struct process *root;
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
 * is reported, and early where a finding may follow after its end.
 */
void tasks_ask_place(struct engine *e, struct process *process);
int tasks_apply(struct engine *e, const struct fdt_task *event);
int tasks_apply_process(struct engine *e, const struct fdt_process *event);
int tasks_apply_limit(struct engine *e, const struct fdt_limit *event);
struct fdtable *tasks_table(struct engine *e, const struct fdt_head *head); /* made if need be */
void tasks_copied(struct engine *e,
		  struct fdtable *table); /* its birth is complete: let the source go */
/* A whole snapshot has ended: what two of them in a row have not found has ended unseen. */
void tasks_snapshot_done(struct engine *e);
void tasks_done(struct engine *e);

/* slots.c */
int slots_apply(struct engine *e, const struct fdt_slot *event);
int slots_apply_vec(struct engine *e, const struct fdt_vec *event);
int slots_apply_words(struct engine *e, const struct fdt_words *event);
void slots_drop_all(struct engine *e,
		    struct fdtable *table); /* the table dies; nothing is reported */
int slots_mark(struct engine *e, const struct fdt_slot *event); /* FDT_MARK */
bool slots_same_file(const struct slot *slot, const struct fdt_file *file);
/*
 * Asks the host what the file is like now, whatever its kind; what it does not know is as last
 * seen. NULL: not known.
 */
const struct fdt_detail *slots_inspect(struct engine *e, const struct fdtable *table, int32_t fd,
				       const struct slot *slot);
void slots_audit_done(struct engine *e);
struct descriptor slots_descriptor(struct engine *e, const struct fdtable *table, int32_t fd);
/*
 * What a filled descriptor is like, whatever its kind: the host is asked if it can be, else it
 * is as last seen, as of head.time_ns. NULL: it was never looked at.
 */
const struct fdt_detail *slots_look(struct engine *e, const struct fdtable *table, int32_t fd);
/* As last seen, without asking; NULL: never. */
const struct fdt_detail *slots_known_detail(struct engine *e, const struct slot *slot);
/* Both may learn what kind it really is. */
const char *slots_name(struct engine *e, const struct fdtable *table, int32_t fd);
void slots_learn_kind(const struct fdtable *table, uint32_t fd, const char *name);
void engine_report_change(struct engine *e, const struct change *change);

/* left.c: keeps what the owner of a table leaves open as it ends. Of a command; else nothing. */
void left_note(struct engine *e, const struct fdtable *table);
/* As holdings_only_fn: opened by that process itself, and not one of the standard three. */
bool left_is_own(const struct slot *slot, int32_t fd, const void *process);

/* finding.c: helpers that fill parts of a finding */
struct operation slot_opening(const struct slot *slot);
/* "worker()", else "tid 7", else "somebody": cut to size. */
void operation_format(const struct operation *operation, char *buffer, size_t size);
struct operation ended_opening(const struct ended *ended);
struct operation ended_closing(const struct ended *ended);
struct operation actor_operation(const struct actor *actor, int32_t error);
void finding_history(struct engine *e, struct finding *f, uint32_t ended);
/* "fd 4 (tcp a -> b)": cut to size. */
void finding_describe(const struct descriptor *d, char *buffer, size_t size);
/*
 * Of the rule and the place; of the program too, except where the place is in a language with an
 * interpreter: there the program has any name. site may be NULL.
 */
uint64_t finding_fingerprint(enum rule rule, const struct process *process,
			     const struct site *site);
bool finding_wanted(const struct engine *e, enum rule rule);
/* Who is to blame, else who failed; NULL: nobody is known. */
const struct operation *finding_culprit_operation(const struct finding *f);

/* cause.c: for report.c alone; detectors call that */
/* Whether the finding would be reported, by fingerprint and severity alone. */
bool cause_is_news(const struct engine *e, const struct finding *f);
/*
 * Counts the finding under its fingerprint and reports it if it is news: the first of its kind,
 * more severe than at the last report, or an hour after it; unless it is suppressed, or too many
 * were reported (throttle.c). Fills sequence, state, count.
 */
void cause_report(struct engine *e, struct finding *f);
/* Whether the suppressions in force, which are asked, suppress the finding's cause. */
bool cause_is_silent(struct engine *e, const struct finding *f);
struct process *cause_process(const struct cause *cause); /* borrowed; may be NULL */
void causes_judge_again(struct engine *e);                /* the suppressions have changed */
void causes_done(struct engine *e);

/* throttle.c: may the finding be reported now? Takes a token if so. */
bool throttle_pass(struct engine *e, const struct finding *f);
/* It was not: it will be reported as a count. */
void throttle_withhold(struct engine *e, const struct finding *f);
void throttle_tick(struct engine *e);
void throttle_finish(struct engine *e); /* what is pending is reported now */
void throttle_done(struct engine *e);

/* other_end.c: by the tables that are known */
void other_end_find(struct engine *e, const struct descriptor *d, struct other_end *ret);

/* idle.c */
bool finding_can_be_idle(const struct slot *slot);
/* Counts what one of the row's descriptors is like; detail may be NULL: nothing is counted. */
void finding_count_idle(struct site_row *row, const struct slot *slot,
			const struct fdt_detail *detail, uint64_t idle_from_ns);
/* Asks what the row's descriptors in the table are like, those at least so old: ROW_ASKED_MAX. */
void finding_ask_idle(struct engine *e, const struct fdtable *table, struct site_row *row,
		      uint64_t least_age_ns, uint64_t idle_from_ns);
/* "3 s", "12 min", "3 h": whole units, long times need no seconds. */
void finding_format_time(uint64_t ns, char *buffer, size_t size);

/* The record of that ended generation of that number, if it is still kept; else NULL. */
struct ended *finding_ended(struct engine *e, const struct fdtable *table, uint32_t fd,
			    uint32_t generation);
struct fdtable *process_table(const struct process *process); /* NULL: none known */

/* detectors.c */
/* Of that detector, which must have state_bytes; it lives as long as the engine. */
static inline void *detector_state(const struct engine *e, unsigned int id)
{
	return e->detector_states[id];
}
int detectors_begin(struct engine *e);   /* 0 or -ENOMEM: then detectors_end() is still due */
void detectors_choose(struct engine *e); /* options.rules have changed */
void detectors_end(struct engine *e);
/* An event of a kind that some detector applies; nothing if that one is switched off. */
int detectors_apply(struct engine *e, const struct fdt_head *event);

#endif
