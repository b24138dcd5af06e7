// SPDX-License-Identifier: BSD-2-Clause
/*
 * An epoll watches open files, not numbers, and is itself an open file that a fork shares:
 *   epoll.foreign  a forked process changed what the epoll of its ancestor watches
 *   epoll.stale    a number was closed, but a copy of its file lives on and stays registered
 *                  with the closer's epoll: events come for a number that is dead
 * For the second the kernel is asked, a moment after the close: a child between fork and exec
 * has let go of its copies by then.
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#include "detect/detectors.h"
#include "detect/epoll_foreign.h"
#include "engine/engine_private.h"
#include "engine/report.h"

#define LIVES_ON_NS 1000000000ull
#define LOOK_EVERY_NS 1000000000ull
#define SLOTS_PER_LOOK (1u << 20)
#define ASKS_PER_LOOK 32

/* A number was closed whose file may live on and still be watched by an epoll. */
struct closed_watch {
	uint64_t table, time_ns;
	uint64_t file, inode;
	uint32_t dev, fd, generation;
	int32_t holder_fd;            /* while judged: who else has the file */
	struct fdtable *holder_table; /* NULL: nobody was found */
};
#define DUPLICATED_MAX 1024

struct epoll_foreign {
	struct closed_watch closed[EPOLL_CLOSED_MAX]; /* oldest first */
	unsigned int count;
	uint64_t looked_ns;                  /* when epoll_tick() last looked */
	uint64_t duplicated[DUPLICATED_MAX]; /* files with two numbers, by hash: the newest */
};

static bool epoll_holds(const struct fdtable *table, int32_t fd, const struct fdt_file *file)
{
	const struct slot *slot = fd >= 0 ? fdtable_slot(table, fd) : NULL;

	return slot && slot->file && slots_same_file(slot, file);
}

/* A fork leaves it under the same number, so that is looked at first. */
static bool holds_anywhere(const struct fdtable *table, int32_t likely, const struct fdt_file *file)
{
	if (epoll_holds(table, likely, file))
		return true;
	fdtable_each (table, fd)
		if (epoll_holds(table, fd, file))
			return true;
	return false;
}

struct change_words {
	const char *did, *what_follows;
};

static const struct change_words *words_of(unsigned int op)
{
	static const struct change_words added = { "added",
						   "gets events of a file it never asked about" };
	static const struct change_words removed = { "removed",
						     "waits for events that no longer come" };
	static const struct change_words changed = { "changed",
						     "gets other events than it asked for" };

	switch (op) {
	case EPOLL_CTL_ADD: return &added;
	case EPOLL_CTL_DEL: return &removed;
	case EPOLL_CTL_MOD: return &changed;
	default: return NULL;
	}
}

static void describe_registered(struct engine *e, const struct fdt_register *event,
				const struct fdtable *table, char *buffer, size_t size)
{
	struct descriptor d = { .fd = event->fd };

	if (event->file.file && epoll_holds(table, event->fd, &event->file))
		d = slots_descriptor(e, table, event->fd);
	finding_describe(&d, buffer, size);
}

static void foreign_format(struct report *r, const struct fdt_register *event,
			   const struct fdtable *table, const struct process *maker)
{
	const struct change_words *words = words_of(event->head.flags);
	const struct process *process = r->finding.process;
	char what[160];

	r->finding.descriptor = slots_descriptor(r->engine, table, event->epoll_fd);
	describe_registered(r->engine, event, table, what, sizeof(what));
	report_message(
		r, "%s[%u] %s the registration of %s in epoll fd %d, which it shares with %s[%u]",
		process_program(process), process->pid, words->did, what, event->epoll_fd,
		process_program(maker), maker->pid);
	report_why(r,
		   "the fork copied the number, not the epoll; epoll_ctl succeeded, nobody gets an "
		   "error, and the loop of pid %u %s",
		   maker->pid, words->what_follows);
	r->finding.help =
		"make an epoll of its own in the child, and close the inherited one without "
		"touching its registrations; EPOLL_CLOEXEC helps across exec only";
}

static void foreign_report(struct engine *e, const struct fdt_register *event,
			   const struct actor *actor, const struct process *maker)
{
	const struct fdtable *table = actor->task->table;
	struct report r;

	report_begin(&r, e, RULE_EPOLL_FOREIGN, actor->process, site_now(actor->site));
	report_trust(&r, table, CONFIDENCE_EXACT);
	r.finding.subject = maker->name;
	r.finding.opened = slot_opening(fdtable_slot(table, event->epoll_fd));
	r.finding.used = actor_operation(actor, 0);
	r.finding.used_is_culprit = true;
	if (report_is_news(&r))
		foreign_format(&r, event, table, maker);
	report_send(&r);
}

/* Only a descendant is to blame: the ancestor's changes are its own, whoever was seen first. */
static void foreign_judge(struct engine *e, const struct fdt_register *event,
			  const struct actor *actor)
{
	const struct fdtable *table = actor->task->table, *makers;
	const struct process *maker = map_get(&e->processes, event->maker_tgid);

	makers = maker ? process_table(maker) : NULL;
	if (!makers || makers == table || !tasks_descends(e, actor->process, maker))
		return;
	if (epoll_holds(table, event->epoll_fd, &event->epoll) &&
	    holds_anywhere(makers, event->epoll_fd, &event->epoll))
		foreign_report(e, event, actor, maker);
}

static int epoll_registered(struct engine *e, const struct fdt_head *head)
{
	const struct fdt_register *event = (const struct fdt_register *)head;
	struct actor actor;
	int err;

	if (event->epoll_fd < 0 || event->fd < 0 || !words_of(event->head.flags))
		return -EINVAL;
	if (!finding_wanted(e, RULE_EPOLL_FOREIGN))
		return 0;
	err = tasks_take_actor(e, &event->head, event->site, &actor);
	if (err)
		return err;
	foreign_judge(e, event, &actor);
	site_unref(&e->sites, actor.site);
	return 0;
}

/* A struct file is aligned to its slab's objects: the low bits say nothing. */
static unsigned int file_hash(uint64_t file)
{
	return file * 0x9e3779b97f4a7c15ull >> 50; /* 14 bits */
}

static void epoll_duplicated(struct engine *e, struct fdtable *table, const struct fdt_slot *event,
			     const struct actor *actor)
{
	struct epoll_foreign *state = detector_state(e, DETECTOR_EPOLL_FOREIGN);
	uint64_t file = event->file.file;

	(void)table, (void)actor;
	state->duplicated[file_hash(file) % DUPLICATED_MAX] = file;
}

static bool has_copies(const struct epoll_foreign *state, const struct slot *was)
{
	return was->flags & SLOT_SHARED ||
	       state->duplicated[file_hash(was->file) % DUPLICATED_MAX] == was->file;
}

static bool is_pollable(const struct slot *slot)
{
	switch (slot->kind) {
	case FD_KIND_FIFO:
	case FD_KIND_PIPE:
	case FD_KIND_UNIX:
	case FD_KIND_TCP:
	case FD_KIND_UDP:
	case FD_KIND_NETLINK:
	case FD_KIND_PACKET:
	case FD_KIND_SOCKET:
	case FD_KIND_EVENTFD:
	case FD_KIND_EPOLL:
	case FD_KIND_TIMERFD:
	case FD_KIND_SIGNALFD:
	case FD_KIND_INOTIFY:
	case FD_KIND_FANOTIFY:
	case FD_KIND_PIDFD:
	case FD_KIND_PERF:
	case FD_KIND_ANON: return true;
	default: return false;
	}
}

static void epoll_slot_ended(struct engine *e, const struct slot_closed *change)
{
	struct epoll_foreign *state = detector_state(e, DETECTOR_EPOLL_FOREIGN);
	const struct slot *was = change->was;

	if (!change->actor || !is_pollable(was) || !has_copies(state, was) ||
	    state->count == EPOLL_CLOSED_MAX || !finding_wanted(e, RULE_EPOLL_STALE))
		return;
	state->closed[state->count++] = (struct closed_watch){ .table = change->table->key,
							       .time_ns = e->now_ns,
							       .file = was->file,
							       .inode = was->inode,
							       .dev = was->dev,
							       .fd = change->fd,
							       .generation = was->generation };
}

/* Which files are looked for: walking every slot there is must be cheap. */
#define FILTER_WORDS (1 << 14 >> 6)
struct search {
	struct closed_watch *watches; /* of the engine; those that are due */
	unsigned int count;
	uint32_t budget; /* slots that may still be looked at */
	uint64_t filter[FILTER_WORDS];
};

/* By pid and number: the order must not depend on addresses. */
static bool is_better(const struct closed_watch *watch, const struct fdtable *table, int32_t fd)
{
	const struct fdtable *best = watch->holder_table;

	if (!best || best->owner->pid != table->owner->pid)
		return !best || table->owner->pid < best->owner->pid;
	return fd < watch->holder_fd;
}

static void epoll_note_holder(struct search *search, struct fdtable *table, int32_t fd,
			      const struct slot *slot)
{
	for (unsigned int i = 0; i < search->count; i++) {
		struct closed_watch *watch = &search->watches[i];

		if (watch->file != slot->file || watch->inode != slot->inode ||
		    watch->dev != slot->dev || !is_better(watch, table, fd))
			continue;
		watch->holder_table = table;
		watch->holder_fd = fd;
	}
}

static void epoll_look_through(struct search *search, struct fdtable *table)
{
	fdtable_each (table, fd) {
		const struct slot *slot = fdtable_slot(table, fd);
		unsigned int bit = file_hash(slot->file);

		if (search->filter[bit / 64] >> bit % 64 & 1)
			epoll_note_holder(search, table, fd, slot);
	}
}

/* Tables that no longer fit in the budget are passed over: then what they hold is not reported. */
static void epoll_find_holders(struct engine *e, struct search *search)
{
	for (unsigned int i = 0; i < search->count; i++) {
		unsigned int bit = file_hash(search->watches[i].file);

		search->watches[i].holder_table = NULL;
		search->filter[bit / 64] |= 1ull << bit % 64;
	}
	map_each (&e->tables, entry) {
		struct fdtable *table = entry->value;

		if (table->replaced || table->open > search->budget)
			continue;
		search->budget -= table->open;
		epoll_look_through(search, table);
	}
}

/* One of the closer's own: those it has from its parent are the parent's to keep tidy. -1: no. */
static int32_t own_epoll(const struct fdtable *table, uint64_t epoll)
{
	fdtable_each (table, fd) {
		const struct slot *slot = fdtable_slot(table, fd);

		if (slot->file == epoll && !(slot->flags & SLOT_INHERITED))
			return fd;
	}
	return -1;
}

/* The closer's epoll that watches the file under the number that is dead. -1: none does. */
static int32_t watching_epoll(const struct fdtable *table, const struct closed_watch *watch,
			      const struct fdt_detail *detail)
{
	for (unsigned int i = 0; i < FDT_REGISTRATIONS_MAX && i < detail->registration_count; i++) {
		const struct fdt_registration *registration = &detail->registrations[i];
		int32_t epoll = registration->fd == (int32_t)watch->fd
					? own_epoll(table, registration->epoll)
					: -1;

		if (epoll >= 0)
			return epoll;
	}
	return -1;
}

static void watch_format(struct report *r, const struct closed_watch *watch, int32_t epoll)
{
	const struct process *holder = watch->holder_table->owner;
	char what[160], closer[80];

	finding_describe(&r->finding.descriptor, what, sizeof(what));
	operation_format(&r->finding.closed, closer, sizeof(closer));
	report_message(r,
		       "%s was closed by %s, but epoll fd %d still watches it: %s[%u] holds a copy "
		       "(fd %d)",
		       what, closer, epoll, process_program(holder), holder->pid, watch->holder_fd);
	report_why(r,
		   "a registration ends with the last copy of the open file, not with the number: "
		   "epoll_wait() keeps reporting events for fd %u, which is closed or another file "
		   "by now, and EPOLL_CTL_DEL can't reach it any more",
		   watch->fd);
	r->finding.help =
		holder == r->finding.process
			? "remove it with EPOLL_CTL_DEL before closing, or close the duplicate"
			: "remove it with EPOLL_CTL_DEL before closing; keep the copy from the "
			  "child with O_CLOEXEC (SOCK_CLOEXEC), or close it there";
}

static void watch_report(struct engine *e, const struct fdtable *table,
			 const struct closed_watch *watch, int32_t epoll)
{
	const struct ended *ended = finding_ended(e, table, watch->fd, watch->generation);
	struct report r;

	if (!ended)
		return; /* too many others have had the number since */
	report_begin(&r, e, RULE_EPOLL_STALE, table->owner, site_now(ended->closed_at));
	report_trust(&r, table, CONFIDENCE_EXACT);
	r.finding.subject = watch->holder_table->owner->name;
	r.finding.first_ns = watch->time_ns;
	r.finding.descriptor = (struct descriptor){ .fd = watch->fd,
						    .generation = ended->generation,
						    .kind = ended->kind,
						    .name = names_get_key(&e->names, ended->name) };
	r.finding.opened = ended_opening(ended);
	r.finding.closed = ended_closing(ended);
	r.finding.closed_is_culprit = true;
	finding_history(e, &r.finding, ended->next);
	if (report_is_news(&r))
		watch_format(&r, watch, epoll);
	report_send(&r);
}

static bool holds_again(const struct fdtable *table, const struct closed_watch *watch)
{
	const struct slot *slot = fdtable_slot(table, watch->fd);

	return slot && slot->file == watch->file && slot->inode == watch->inode;
}

/* The kernel knows what watches a file; it is asked through whoever still has it. */
static void watch_judge(struct engine *e, const struct closed_watch *watch)
{
	const struct fdtable *table = map_get(&e->tables, watch->table);
	struct fdtable *holder = watch->holder_table;
	const struct fdt_detail *detail;
	int32_t epoll = -1;

	if (!table || holds_again(table, watch) || tasks_descends(e, table->owner, holder->owner))
		return;
	detail = slots_inspect(e, holder, watch->holder_fd, fdtable_slot(holder, watch->holder_fd));
	if (detail && detail->facts & FDT_FACT_WATCHED)
		epoll = watching_epoll(table, watch, detail);
	if (epoll >= 0)
		watch_report(e, table, watch, epoll);
}

static unsigned int count_due(const struct engine *e, const struct epoll_foreign *state)
{
	unsigned int count = 0;

	while (count < state->count && e->now_ns - state->closed[count].time_ns >= LIVES_ON_NS)
		count++;
	return count;
}

static void drop_first(struct epoll_foreign *state, unsigned int count)
{
	state->count -= count;
	memmove(state->closed, state->closed + count, state->count * sizeof(state->closed[0]));
}

static void epoll_tick(struct engine *e)
{
	struct epoll_foreign *state = detector_state(e, DETECTOR_EPOLL_FOREIGN);
	struct search search = { .watches = state->closed, .budget = SLOTS_PER_LOOK };
	unsigned int asked = 0, i;

	if (!state->count || e->now_ns - state->looked_ns < LOOK_EVERY_NS)
		return;
	search.count = count_due(e, state);
	if (!search.count)
		return;
	state->looked_ns = e->now_ns;
	epoll_find_holders(e, &search);
	for (i = 0; i < search.count && asked < ASKS_PER_LOOK; i++)
		if (state->closed[i].holder_table) {
			watch_judge(e, &state->closed[i]);
			asked++;
		}
	drop_first(state, i);
}

/* The closer's table has gone, and its epoll with it. */
static void epoll_table_ended(struct engine *e, struct fdtable *table)
{
	struct epoll_foreign *state = detector_state(e, DETECTOR_EPOLL_FOREIGN);
	unsigned int kept = 0;

	for (unsigned int i = 0; i < state->count; i++)
		if (state->closed[i].table != table->key)
			state->closed[kept++] = state->closed[i];
	state->count = kept;
}

unsigned int epoll_closed_count(struct engine *e)
{
	return ((struct epoll_foreign *)detector_state(e, DETECTOR_EPOLL_FOREIGN))->count;
}

const struct detector detector_epoll_foreign = {
	.name = "epoll",
	.id = DETECTOR_EPOLL_FOREIGN,
	.rules = RULE_BIT(EPOLL_FOREIGN) | RULE_BIT(EPOLL_STALE),
	.kinds = FDT_NEED(REGISTER),
	.state_bytes = sizeof(struct epoll_foreign),
	.duplicated = epoll_duplicated,
	.closed_where = TABLE_HAS_EPOLL,
	.closed_some = epoll_slot_ended,
	.address_ended = epoll_table_ended,
	.event = epoll_registered,
	.tick = epoll_tick,
};
