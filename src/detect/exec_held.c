// SPDX-License-Identifier: BSD-2-Clause
/*
 * exec.held: an image that inherited a descriptor over exec, and never used it, keeps alive what
 * its opener has closed: a listening socket (the port is busy, clients are let in and never
 * served) or a pipe's write end (its reader never sees the end of file).
 *
 * Reported only if nobody who may use it holds it: whoever opened it, got it by a mere fork, has
 * used it, or was meant to have it. detect/exec_inherit.c keeps the images in question.
 */
#include <stdlib.h>

#include "base/text.h"
#include "detect/detectors.h"
#include "detect/exec_held.h"
#include "detect/exec_inherit.h"
#include "engine/engine_private.h"
#include "engine/report.h"

#define SLOTS_A_LOOK 500000u   /* of all tables, gone through to find who holds one */
#define QUESTIONS_A_LOOK 2500u /* about 2 us each */
#define WRITERS_MAX 16

/* What one look may still cost; the longest held images come first. */
struct budget {
	uint32_t slots, questions;
};

/* Who holds what a slot holds, in all tables known. */
struct holders {
	bool needed; /* somebody who may use it */
	bool after_loss;
	unsigned int files; /* different open files among them, at most WRITERS_MAX */
	uint64_t file[WRITERS_MAX];
	const struct fdtable *reader; /* of a pipe: who may read it, the lowest pid */
	int32_t reader_fd;
};

struct exec_held {
	struct suspects suspects;
	uint64_t looked_ns;
};

static struct exec_held *held_state(struct engine *e)
{
	return detector_state(e, DETECTOR_EXEC_HELD);
}

static bool is_write_end(const struct slot *slot)
{
	return slot->kind == FD_KIND_PIPE && (slot->flags & SLOT_ACCESS) == SLOT_WRITES;
}

static bool is_candidate(const struct slot *slot, int32_t fd, const struct process *process)
{
	return (slot->kind == FD_KIND_TCP || slot->kind == FD_KIND_UNIX || is_write_end(slot)) &&
	       exec_unused(slot, fd, process) && !process_same(slot->site->process, process);
}

bool held_is_of_interest(const struct fdtable *table, const struct process *process)
{
	fdtable_each (table, fd)
		if (is_candidate(fdtable_slot(table, fd), fd, process))
			return true;
	return false;
}

/* An image that has had its time and did not use it. */
static bool cannot_use(struct engine *e, const struct fdtable *table, const struct slot *slot,
		       int32_t fd)
{
	struct process *process = table->owner;

	if (!is_candidate(slot, fd, process))
		return false;
	exec_ask_environment(e, process);
	return is_candidate(slot, fd, process) &&
	       e->now_ns - process->exec_ns >= e->options.settings.exec_unused_after_ns;
}

static void add_file(struct holders *h, uint64_t file)
{
	for (unsigned int i = 0; i < h->files; i++)
		if (h->file[i] == file)
			return;
	if (h->files < WRITERS_MAX)
		h->file[h->files++] = file;
}

static void add_reader(struct holders *h, const struct fdtable *table, int32_t fd)
{
	if (h->reader && h->reader->owner->pid <= table->owner->pid)
		return;
	h->reader = table;
	h->reader_fd = fd;
}

static void held_note_holder(struct engine *e, const struct fdtable *table, int32_t fd,
			     bool is_pipe, struct holders *h)
{
	const struct slot *slot = fdtable_slot(table, fd);
	bool unused = cannot_use(e, table, slot, fd);

	h->after_loss |= table->tainted;
	if (is_pipe && slot->flags & SLOT_READS) {
		/* Of the image that also holds the write end unused nobody expects a read. */
		if (!exec_unused(slot, fd, table->owner))
			add_reader(h, table, fd);
		return;
	}
	h->needed |= !unused;
	add_file(h, slot->file);
}

static void held_find_holders(struct engine *e, const struct slot *what, struct holders *h)
{
	bool is_pipe = what->kind == FD_KIND_PIPE;

	*h = (struct holders){ 0 };
	map_each (&e->tables, entry) {
		const struct fdtable *table = entry->value;

		fdtable_each (table, fd) {
			const struct slot *slot = fdtable_slot(table, fd);

			if (slot->inode == what->inode && slot->dev == what->dev &&
			    slot->kind == what->kind)
				held_note_holder(e, table, fd, is_pipe, h);
			if (h->needed)
				return;
		}
	}
}

/* One case, while it is judged. */
struct hold {
	struct engine *e;
	struct fdtable *table;
	int32_t fd;
	const struct slot *slot;
	const struct fdt_detail *detail;
	struct holders holders;
};

static const char *opener_fate(struct engine *e, const struct process *opener)
{
	const struct process *now = map_get(&e->processes, opener->pid);

	return now && process_same(now, opener) ? "has closed it" : "has ended";
}

static void name_listener(const struct hold *h, const char *name, char *buffer, size_t size)
{
	if (h->detail->local_port)
		text_format(buffer, size, "port %u", h->detail->local_port);
	else if (name)
		text_format(buffer, size, "%.*s", text_fit(name, 100), name);
	else
		text_format(buffer, size, "a listening %s socket", fd_kind_name(h->slot->kind));
}

static void format_listener(struct report *r, const struct hold *h)
{
	const struct process *opener = h->slot->site->process, *process = r->finding.process;
	char what[128];

	name_listener(h, r->finding.descriptor.name, what, sizeof(what));
	report_message(
		r, "%s is kept busy by %s[%u], which inherited fd %d from %s[%u] and never used it",
		what, process_program(process), process->pid, (int)h->fd, process_program(opener),
		opener->pid);
	report_why(
		r,
		"%s[%u], which opened it, %s; no remaining holder accepts connections (%u waiting)",
		process_program(opener), opener->pid, opener_fate(h->e, opener),
		h->detail->backlog);
	r->finding.help =
		"open listening sockets with SOCK_CLOEXEC, or close them between fork and exec";
}

static void format_pipe(struct report *r, const struct hold *h)
{
	const struct process *opener = h->slot->site->process, *process = r->finding.process;
	const struct process *reader = h->holders.reader->owner;

	report_message(r,
		       "the reader %s[%u] never sees EOF: %s[%u] holds the pipe's write end as fd "
		       "%d, inherited across exec and never written to",
		       process_program(reader), reader->pid, process_program(process), process->pid,
		       (int)h->fd);
	report_why(r,
		   "%s[%u], which created the pipe, %s; the reader blocks on fd %d, and no "
		   "remaining writer knows about it",
		   process_program(opener), opener->pid, opener_fate(h->e, opener),
		   (int)h->holders.reader_fd);
	r->finding.help =
		"make pipes with pipe2(O_CLOEXEC), or close the write end between fork and exec";
}

static void held_report(const struct hold *h, uint64_t first_ns)
{
	struct report r;

	report_begin(&r, h->e, RULE_EXEC_HELD, h->table->owner, h->slot->site);
	if (h->holders.after_loss)
		r.finding.confidence = CONFIDENCE_AFTER_LOSS;
	r.finding.subject = h->slot->site->process->name;
	r.finding.first_ns = first_ns;
	r.finding.descriptor = slots_descriptor(h->e, h->table, h->fd);
	r.finding.opened = slot_opening(h->slot);
	r.finding.opened_is_culprit = true;
	if (report_is_news(&r)) {
		if (is_write_end(h->slot))
			format_pipe(&r, h);
		else
			format_listener(&r, h);
	}
	report_send(&r);
}

static bool held_is_listening(const struct fdt_detail *d)
{
	return d->facts & FDT_FACT_SOCKET && d->state == STATE_LISTEN;
}

/* All the kernel's writers are among those known. */
static bool writers_are_known(const struct hold *h)
{
	return h->holders.files >= h->detail->writers && h->holders.files < WRITERS_MAX;
}

static bool is_held(struct hold *h, const struct suspect *s)
{
	uint64_t wait_ns = h->e->options.settings.exec_unused_after_ns;
	bool pipe = is_write_end(h->slot);

	if (pipe && s->look_ns - s->since_ns < wait_ns)
		return false;
	held_find_holders(h->e, h->slot, &h->holders);
	if (h->holders.needed)
		return false;
	return !pipe || (h->holders.reader && writers_are_known(h));
}

/* What has to be so at every look, whoever holds it. */
static bool looks_held(const struct hold *h)
{
	const struct fdt_detail *d = h->detail;

	if (!d || d->head.time_ns < h->table->owner->exec_ns)
		return false;
	if (is_write_end(h->slot))
		return d->facts & FDT_FACT_PIPE && d->facts & FDT_FACT_WAITED;
	return held_is_listening(d);
}

static void held_judge(struct hold *h, struct suspect *now, struct budget *budget)
{
	uint64_t cost = h->e->counters.descriptors;

	if (!budget->slots)
		return;
	budget->slots -= cost < budget->slots ? (uint32_t)cost : budget->slots;
	now->reported = is_held(h, now);
	if (now->reported)
		held_report(h, now->since_ns);
}

/* A socket that did not listen when it crossed will hardly begin to: asked once. */
static bool held_is_resolved(const struct hold *h)
{
	return !is_write_end(h->slot) && h->detail &&
	       h->detail->head.time_ns >= h->table->owner->exec_ns && !held_is_listening(h->detail);
}

static void held_look(struct engine *e, struct fdtable *table, int32_t fd, struct budget *budget)
{
	struct hold h = { .e = e, .table = table, .fd = fd, .slot = fdtable_slot(table, fd) };
	const struct suspect *before =
		suspects_before(&held_state(e)->suspects, table->key, fd, h.slot->generation);
	struct suspect now = { .table = table->key, .fd = fd, .generation = h.slot->generation };

	if (before && before->reported)
		now = *before;
	if (!now.reported && budget->questions) {
		budget->questions--;
		h.detail = slots_look(e, table, fd);
		now.reported = held_is_resolved(&h);
	}
	if (!now.reported && !looks_held(&h))
		return;
	if (!now.reported) {
		now.look_ns = h.detail->head.time_ns;
		now.since_ns = before ? before->since_ns : now.look_ns;
		held_judge(&h, &now, budget);
	}
	suspects_put(&e->mem, &held_state(e)->suspects, &now);
}

static void look_at_image(struct engine *e, struct process *process, struct budget *budget)
{
	struct fdtable *table = process_table(process);

	if (!table || table->owner != process || !held_is_of_interest(table, process))
		return;
	exec_ask_environment(e, process);
	fdtable_each (table, fd)
		if (is_candidate(fdtable_slot(table, fd), fd, process))
			held_look(e, table, fd, budget);
}

static int held_by_serial(const void *a, const void *b)
{
	const struct process *x = *(struct process *const *)a, *y = *(struct process *const *)b;

	return (x->serial > y->serial) - (x->serial < y->serial);
}

static void look_at_all(struct engine *e)
{
	size_t bytes = exec_pending(e)->count * sizeof(struct process *), count = 0;
	struct process **list = bytes ? mem_alloc_beyond(&e->mem, bytes) : NULL;
	struct budget budget = { SLOTS_A_LOOK, QUESTIONS_A_LOOK };

	if (!list)
		return;
	map_each (exec_pending(e), entry) {
		struct process *process = entry->value;

		if (process->exec_judged && !process->ended_ns)
			list[count++] = process;
	}
	qsort(list, count, sizeof(struct process *), held_by_serial);
	for (size_t i = 0; i < count; i++)
		look_at_image(e, list[i], &budget);
	mem_free(&e->mem, list, bytes);
}

static void held_tick(struct engine *e)
{
	if (!exec_pending(e)->count ||
	    e->now_ns - held_state(e)->looked_ns < e->options.settings.exec_unused_after_ns)
		return;
	held_state(e)->looked_ns = e->now_ns;
	look_at_all(e);
	suspects_turn(&e->mem, &held_state(e)->suspects);
}

static void held_done(struct engine *e)
{
	suspects_done(&e->mem, &held_state(e)->suspects);
}

const struct detector detector_exec_held = {
	.name = "exec.held",
	.id = DETECTOR_EXEC_HELD,
	.rules = RULE_BIT(EXEC_HELD),
	.needs = FDT_NEED(MARK),
	.state_bytes = sizeof(struct exec_held),
	.tick = held_tick,
	.done = held_done,
};
