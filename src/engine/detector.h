/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a detector is to the engine: the rules it reports, the events it needs from the source,
 * the state it keeps, and what it hears. The detectors themselves are in src/detect; which there
 * are is said in detect/detectors.h alone and handed in with struct engine_options.
 *
 * Only those are called of which some rule is switched on: an engine with few rules is cheaper.
 * They are called in the order of the table that was handed in.
 */
#ifndef FDTRACE_ENGINE_DETECTOR_H
#define FDTRACE_ENGINE_DETECTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "engine/rule.h"
#include "fdtrace/event.h"
#include "fdtrace/needs.h"
#include "model/fdtable.h"

struct actor;
struct engine;
struct fdtable;
struct process;
struct slot;
struct task;

#define DETECTORS_MAX 24
_Static_assert(FDT_EVENT_KINDS <= 32, "struct detector.kinds has 32 bits");

/* A generation has ended, and its struct ended is there. */
struct slot_closed {
	struct fdtable *table;
	uint32_t fd;
	const struct slot *was;    /* the slot before; its site has moved to the struct ended */
	const struct actor *actor; /* NULL: not known by whom */
	enum ending ending;
};

/* Every function may be NULL. Pointers are borrowed until the function returns. */
struct detector {
	const char *name;
	unsigned int id;    /* below DETECTORS_MAX, its own: where its state is */
	rule_set rules;     /* those it reports */
	rule_set serves;    /* those of other detectors that rest on what this one keeps */
	uint32_t kinds;     /* FDT_DETECTOR_EVENTS that it applies, and so needs: FDT_NEED(NAME) */
	unsigned int needs; /* what else only some rules need of the source, likewise (needs.h) */
	size_t state_bytes; /* zeroed; detector_state() finds it */
	/* `opened` is called for numbers below it: one with `opened` needs it. */
	int32_t opened_below;
	/* `closed_some` is called for tables with one of these bits of enum table_fact. */
	uint32_t closed_where;

	/* A call put a file into a slot, which is filled by now; only for low numbers, as above. */
	void (*opened)(struct engine *e, struct fdtable *table, const struct fdt_slot *event,
		       const struct actor *actor);
	/* The same, where the file had a number already. */
	void (*duplicated)(struct engine *e, struct fdtable *table, const struct fdt_slot *event,
			   const struct actor *actor);
	/* A generation has ended, in whatever table. */
	void (*closed)(struct engine *e, const struct slot_closed *change);
	/* The same, only in tables for which one of closed_where is true. */
	void (*closed_some)(struct engine *e, const struct slot_closed *change);
	/* Who closed what was heard of as closed before; `was` is NULL. */
	void (*closer_known)(struct engine *e, const struct slot_closed *change);
	/* A close_range(); `closed` was called for each number that it closed. */
	void (*range_closed)(struct engine *e, const struct fdt_words *event,
			     const struct actor *actor);
	/* The thread used a number that held another file when it did so before. */
	void (*used_stale)(struct engine *e, struct fdtable *table, uint32_t fd,
			   const struct actor *actor);
	/* A call failed with EBADF, EMFILE or ENFILE. */
	void (*failed)(struct engine *e, const struct fdt_error *event, const struct actor *actor,
		       struct fdtable *table);
	/* An exec is over; the table of the new image is known. */
	void (*image_started)(struct engine *e, struct process *process);
	void (*task_ended)(struct engine *e, struct task *task); /* it still has its table */
	/* The table's address stands for another one from now on, or for none. */
	void (*address_ended)(struct engine *e, struct fdtable *table);
	/* Its slots go. table->replaced: address_ended was called long before. */
	void (*table_ended)(struct engine *e, struct fdtable *table);
	/* The run ends and the table lives on: the last chance to report. */
	void (*run_ended)(struct engine *e, struct fdtable *table);
	/* Of one of `kinds`, of at least its struct's size. 0, -EINVAL or -ENOMEM. */
	int (*event)(struct engine *e, const struct fdt_head *event);
	void (*tick)(struct engine *e);
	/*
	 * It is switched off, or the engine goes: gives back all it holds, in its state and in
	 * the tables and tasks, which are still there. Reports nothing. Its state is zeroed then.
	 */
	void (*done)(struct engine *e);
};

#endif
