// SPDX-License-Identifier: BSD-2-Clause
/*
 * Assertions about slots become generations that begin and end.
 *
 * Two threads may change one slot and be heard in the other order, so an assertion can
 * report a change before the one who made it is heard. What is then not yet known is marked pending
 * and filled in when that thread's own assertion arrives: it says the same about the slot.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "engine/engine_private.h"
#include "fdtrace/syscall.h"

#define SHORT_LIVED_NS SEC_NS

/* Everything about one change, to keep argument lists short. */
struct place {
	struct engine *e;
	struct fdtable *table;
	uint32_t fd;
	struct slot *slot;
};

void engine_report_change(struct engine *e, const struct change *change)
{
	if (e->options.listener->change)
		e->options.listener->change(e->options.ctx, change);
}

static uint8_t access_bits(unsigned int flags)
{
	switch (flags & O_ACCMODE) {
	case O_RDONLY: return SLOT_READS;
	case O_WRONLY: return SLOT_WRITES;
	default: return SLOT_ACCESS;
	}
}

static uint16_t access_mode(const struct slot *slot)
{
	if ((slot->flags & SLOT_ACCESS) == SLOT_ACCESS)
		return O_RDWR;
	return slot->flags & SLOT_WRITES ? O_WRONLY : O_RDONLY;
}

/* Of its flags only the access mode is kept. */
static struct fdt_file file_of(const struct slot *slot)
{
	return (struct fdt_file){ .file = slot->file,
				  .inode = slot->inode,
				  .dev = slot->dev,
				  .mode = slot->mode,
				  .flags = access_mode(slot),
				  .detail = slot->detail };
}

/* One that was found by a snapshot looks like any file of a tmpfs until its name is known. */
void slots_learn_kind(const struct fdtable *table, uint32_t fd, const char *name)
{
	static const char memfd[] = "memfd:"; /* paths begin with '/' */

	if (fdtable_slot(table, fd)->kind == FD_KIND_FILE &&
	    strncmp(name, memfd, sizeof(memfd) - 1) == 0)
		fdtable_set_kind(table, fd, FD_KIND_MEMFD);
}

static const char *known_name(struct engine *e, const struct fdtable *table, int32_t fd)
{
	const struct slot *slot = fdtable_slot(table, fd);
	const char *name = names_get(&e->names, slot->file, slot->inode, slot->dev);

	if (name)
		slots_learn_kind(table, fd, name);
	return name;
}

/* Asks the host for the name the first time somebody needs it. */
const char *slots_name(struct engine *e, const struct fdtable *table, int32_t fd)
{
	const struct slot *slot = fdtable_slot(table, fd);
	const char *name = known_name(e, table, fd);
	struct fdt_file file = file_of(slot);
	char text[NAME_SIZE_MAX];

	if (name || !e->options.host->name || table->owner->ended_ns)
		return name;
	if (e->options.host->name(e->options.ctx, table->owner->pid, fd, &file, text, sizeof(text)))
		return NULL;
	names_put(&e->names, slot->file, slot->inode, slot->dev, text, sizeof(text));
	return known_name(e, table, fd);
}

/* Those whose state changes while they are open. */
static bool has_detail(const struct slot *slot)
{
	switch (slot->kind) {
	case FD_KIND_PIPE:
	case FD_KIND_FIFO:
	case FD_KIND_UNIX:
	case FD_KIND_TCP:
	case FD_KIND_UDP: return true;
	default: return false;
	}
}

const struct fdt_detail *slots_look(struct engine *e, const struct fdtable *table, int32_t fd)
{
	const struct engine_host *host = e->options.host;
	struct fdt_file file = file_of(fdtable_slot(table, fd));
	uint64_t serial = 0;
	const struct fdt_detail *known = details_get(&e->details, &file, &serial);
	struct fdt_detail detail;

	if (!host->detail || table->owner->ended_ns ||
	    host->detail(e->options.ctx, table->owner->pid, fd, &file, &detail))
		return known;
	detail.head.tgid = table->owner->pid;
	detail.fd = fd;
	if (!detail.head.time_ns)
		detail.head.time_ns = e->now_ns;
	details_put(&e->details, &detail, e->serial);
	return details_get(&e->details, &file, &serial);
}

/* Asks again, but once for each event. */
const struct fdt_detail *slots_inspect(struct engine *e, const struct fdtable *table, int32_t fd,
				       const struct slot *slot)
{
	struct fdt_file file = file_of(slot);
	uint64_t serial = 0;
	const struct fdt_detail *known = details_get(&e->details, &file, &serial);

	return known && serial == e->serial ? known : slots_look(e, table, fd);
}

const struct fdt_detail *slots_known_detail(struct engine *e, const struct slot *slot)
{
	struct fdt_file file = file_of(slot);
	uint64_t serial;

	return details_get(&e->details, &file, &serial);
}

static const struct fdt_detail *slots_detail(struct engine *e, const struct fdtable *table,
					     int32_t fd, const struct slot *slot)
{
	return has_detail(slot) ? slots_inspect(e, table, fd, slot) : slots_known_detail(e, slot);
}

struct descriptor slots_descriptor(struct engine *e, const struct fdtable *table, int32_t fd)
{
	const struct slot *slot = fdtable_slot(table, fd);
	struct descriptor d = { .fd = fd };

	if (!slot || !slot->file)
		return d;
	d.generation = slot->generation;
	d.file = file_of(slot);
	d.name = slots_name(e, table, fd);
	d.detail = slots_detail(e, table, fd, slot);
	d.kind = fdtable_slot(table, fd)->kind; /* which the name may have changed */
	return d;
}

static struct site *actor_site(struct engine *e, const struct actor *actor)
{
	if (!actor || !actor->process)
		return NULL;
	return site_get(&e->sites, actor->process, actor->syscall, actor->site_hash);
}

static void slots_report_change(const struct place *p, enum change_op op, const struct actor *actor,
				const char *how)
{
	const struct slot *slot = p->slot;
	struct site *site = actor_site(p->e, actor);
	struct change change = { .op = op,
				 .time_ns = p->e->now_ns,
				 .process = p->table->owner,
				 .tid = actor ? actor->tid : 0,
				 .how = how,
				 .site = site,
				 .syscall = actor ? actor->syscall : 0 };

	change.descriptor = (struct descriptor){ .fd = p->fd,
						 .generation = slot->generation,
						 .file = file_of(slot) };
	/* What is being closed can't be asked any more. */
	if (op == CHANGE_CLOSE)
		change.descriptor.name = known_name(p->e, p->table, (int32_t)p->fd);
	else
		change.descriptor = slots_descriptor(p->e, p->table, (int32_t)p->fd);
	change.descriptor.kind = slot->kind;
	engine_report_change(p->e, &change);
	site_unref(&p->e->sites, site);
}

static inline void slot_report_change(const struct place *p, enum change_op op,
				      const struct actor *actor, const char *how)
{
	if (p->e->options.listener->change)
		slots_report_change(p, op, actor, how);
}

static void end_counts(const struct place *p)
{
	const struct slot *slot = p->slot;
	struct process *owner = p->table->owner;

	if (slot->flags & SLOT_COUNTED) {
		site_count_close(slot->site);
		site_count_lifetime(slot->site, p->e->now_ns - slot->opened_ns);
	}
	owner->closed++;
	if (slot->opened_ns && p->e->now_ns - slot->opened_ns < SHORT_LIVED_NS)
		owner->short_lived++;
	fdtable_count(p->table, p->fd, -1);
	p->e->counters.descriptors--;
}

static void push_ended(const struct place *p, const struct actor *actor, enum ending ending,
		       uint16_t flags)
{
	struct slot *slot = p->slot;
	struct ended ended = { .opened_ns = slot->opened_ns,
			       .closed_ns = p->e->now_ns,
			       .opened_at = slot->site,
			       .closed_at = actor_site(p->e, actor),
			       .opener_tid = slot->opener_tid,
			       .closer_tid = actor ? actor->tid : 0,
			       .generation = slot->generation,
			       .kind = slot->kind,
			       .name = names_key(slot->file, slot->inode, slot->dev),
			       .ending = ending,
			       .flags = flags };

	if (actor)
		ended.closed_ns = actor->time_ns;
	slot->ended = ended_push(&p->e->ended, slot->ended, &ended); /* takes the site over */
}

/* One more whose opener is not known, or one less. */
static void count_unknown(const struct place *p, int change)
{
	struct fdtable *table = p->table;

	fdtable_count_unknown(table, p->fd, change);
	if (!table->growth)
		return;
	if (change > 0)
		site_count_open(&table->growth->counts, p->slot->kind);
	else if (table->growth->counts.open)
		site_count_close(&table->growth->counts);
}

static inline void report_closed(const struct place *p, const struct slot_closed *change)
{
	detectors_call(p->e, closed, change);
	if (p->table->facts & p->e->hearing.closed_where)
		detectors_call(p->e, closed_some, change);
}

/* The generation in the slot is over. actor NULL: ended by someone not yet, or never, heard. */
static void slot_end(const struct place *p, const struct actor *actor, enum ending ending)
{
	struct slot *slot = p->slot, was = *slot;
	uint32_t generation = slot->generation, ended;

	p->e->counters.changes[ending == END_REPLACE ? CHANGE_REPLACE : CHANGE_CLOSE]++;
	slot_report_change(p, CHANGE_CLOSE, actor, ending_text(ending));
	if (!slot->site)
		count_unknown(p, -1);
	end_counts(p);
	push_ended(p, actor, ending, actor || ending == END_EXEC ? 0 : ENDED_CLOSER_PENDING);
	ended = slot->ended;
	*slot = (struct slot){ .generation = generation, .ended = ended };
	was.site = NULL; /* which the struct ended has taken over */
	report_closed(p, &(struct slot_closed){ p->table, p->fd, &was, actor, ending });
}

static void fill(struct slot *slot, const struct fdt_file *file, uint32_t syscall,
		 const struct kind_fops *fops)
{
	slot->file = file->file;
	slot->inode = file->inode;
	slot->dev = file->dev;
	slot->mode = file->mode;
	slot->detail = file->detail;
	slot->kind = fd_kind_of(file, syscall, fops);
}

static void note_kind(const struct place *p)
{
	if (p->slot->kind == FD_KIND_EPOLL && !(p->slot->flags & SLOT_INHERITED))
		p->table->facts |= TABLE_HAS_EPOLL;
}

static void set_opener(const struct place *p, const struct actor *actor)
{
	struct slot *slot = p->slot;

	slot->site = actor_site(p->e, actor);
	slot->opener_tid = actor->tid;
	slot->opened_ns = actor->time_ns;
	if (!slot->site)
		return;
	site_count_open(slot->site, slot->kind);
	slot->flags |= SLOT_COUNTED;
	actor->process->opened++;
}

static void unset_opener(const struct place *p)
{
	struct slot *slot = p->slot;

	if (slot->flags & SLOT_COUNTED) {
		site_uncount_open(slot->site);
		slot->site->process->opened--;
	}
	if (slot->site)
		count_unknown(p, 1);
	site_unref(&p->e->sites, slot->site);
	slot->site = NULL;
	slot->flags &= ~SLOT_COUNTED;
}

/* A new generation. actor NULL: opener not known. */
static void slot_begin(const struct place *p, const struct fdt_file *file,
		       const struct actor *actor, uint16_t flags)
{
	struct slot *slot = p->slot;

	slot->generation++;
	fill(slot, file, actor ? actor->syscall : 0, &p->e->fops);
	slot->flags = flags | access_bits(file->flags);
	note_kind(p);
	fdtable_count(p->table, p->fd, 1);
	p->e->counters.descriptors++;
	if (actor)
		set_opener(p, actor);
	if (!slot->site)
		count_unknown(p, 1);
}

bool slots_same_file(const struct slot *slot, const struct fdt_file *file)
{
	return slot->file == file->file && slot->inode == file->inode && slot->dev == file->dev;
}

static struct ended *pending_ended(const struct place *p)
{
	struct ended *ended = p->slot->ended ? ended_at(&p->e->ended, p->slot->ended) : NULL;

	return ended && ended->flags & ENDED_CLOSER_PENDING ? ended : NULL;
}

static void name_closer(const struct place *p, struct ended *ended, const struct actor *actor,
			enum ending ending)
{
	site_unref(&p->e->sites, ended->closed_at);
	ended->closed_at = actor_site(p->e, actor);
	ended->closer_tid = actor->tid;
	ended->closed_ns = actor->time_ns;
	ended->ending = ending;
	ended->flags &= ~ENDED_CLOSER_PENDING;
	detectors_call(p->e, closer_known,
		       &(struct slot_closed){ p->table, p->fd, NULL, actor, ending });
}

/* Another thread closed it before we looked; that close is heard later. What it was is not known. */
static void opened_and_gone(const struct place *p, const struct actor *actor)
{
	static const struct fdt_file something = { .file = 1 };

	slot_begin(p, &something, actor, 0);
	p->slot->kind = FD_KIND_UNKNOWN;
	slot_end(p, NULL, END_UNKNOWN);
}

/* Calls whose new number is a second one of a file that had one. */
static bool duplicates(const struct fdt_head *head)
{
	switch (head->syscall) {
	case FDT_SYS_dup:
	case FDT_SYS_dup2:
	case FDT_SYS_dup3:
	case FDT_SYS_fcntl:
	case FDT_SYS_pidfd_getfd: return true;
	default: return head->op == FDT_OP_RECEIVE;
	}
}

static void slots_report_opened(const struct place *p, const struct fdt_slot *event,
				const struct actor *actor)
{
	p->e->counters.changes[CHANGE_OPEN]++;
	slot_report_change(p, CHANGE_OPEN, actor, NULL);
	if (duplicates(&event->head))
		detectors_call(p->e, duplicated, p->table, event, actor);
	else if (event->fd < p->e->hearing.opened_below)
		detectors_call(p->e, opened, p->table, event, actor);
}

/* open, socket, dup2 ...: certain that this thread put something there. */
static void opened(const struct place *p, const struct fdt_slot *event, const struct actor *actor)
{
	struct slot *slot = p->slot;
	bool replaces = event->head.op == FDT_OP_REPLACE;

	if (slot->file && slot->flags & SLOT_OPENER_PENDING &&
	    slots_same_file(slot, &event->file)) {
		unset_opener(p);
		slot->flags &= ~SLOT_OPENER_PENDING;
		slot->kind = fd_kind_of(&event->file, actor->syscall, &p->e->fops);
		note_kind(p);
		set_opener(p, actor);
		if (slot->site)
			count_unknown(p, -1);
		slots_report_opened(p, event, actor);
		return;
	}
	if (slot->file)
		slot_end(p, replaces ? actor : NULL, replaces ? END_REPLACE : END_UNKNOWN);
	if (!event->file.file)
		return opened_and_gone(p, actor);
	slot_begin(p, &event->file, actor, 0);
	slots_report_opened(p, event, actor);
}

/* ioctl, bpf ...: the result may be a descriptor this call made. It is if the slot is news. */
static void perhaps_opened(const struct place *p, const struct fdt_slot *event,
			   const struct actor *actor)
{
	if (slots_same_file(p->slot, &event->file))
		return;
	if (p->slot->file)
		slot_end(p, NULL, END_UNKNOWN);
	if (!event->file.file)
		return;
	slot_begin(p, &event->file, actor, SLOT_OPENER_PENDING);
	p->e->counters.changes[CHANGE_OPEN]++;
	slot_report_change(p, CHANGE_OPEN, actor, NULL);
}

/* The number was closed by this thread; what the slot holds now, if anything, is a new one. */
static void closed(const struct place *p, const struct fdt_slot *event, const struct actor *actor)
{
	enum ending ending = event->head.op == FDT_OP_URING_CLOSE ? END_URING : END_CLOSE;
	struct ended *pending = pending_ended(p);

	if (pending && (!p->slot->file || slots_same_file(p->slot, &event->file)))
		name_closer(p, pending, actor, ending);
	else if (p->slot->file)
		slot_end(p, actor, ending);
	if (event->file.file && !p->slot->file)
		slot_begin(p, &event->file, NULL, SLOT_OPENER_PENDING);
}

static void used(const struct place *p)
{
	p->slot->flags |= SLOT_USED;
}

static void apply_op(const struct place *p, const struct fdt_slot *event, const struct actor *actor)
{
	switch (event->head.op) {
	case FDT_OP_OPEN:
	case FDT_OP_REPLACE:
	case FDT_OP_RECEIVE:
	case FDT_OP_URING: opened(p, event, actor); break;
	case FDT_OP_CLOSE:
	case FDT_OP_URING_CLOSE: closed(p, event, actor); break;
	case FDT_OP_USE: used(p); break;
	case FDT_OP_STALE_USE:
		used(p);
		if (p->slot->file && slots_same_file(p->slot, &event->file))
			detectors_call(p->e, used_stale, p->table, p->fd, actor);
		break;
	default: perhaps_opened(p, event, actor);
	}
}

int slots_apply(struct engine *e, const struct fdt_slot *event)
{
	struct task *task = tasks_actor(e, &event->head);
	struct actor actor = { .task = task,
			       .tid = event->head.tid,
			       .syscall = event->head.syscall,
			       .site_hash = event->site,
			       .time_ns = e->now_ns };
	struct place p = { .e = e, .fd = event->fd };

	if (!task || !task->table)
		return task ? -EINVAL : -ENOMEM;
	if (event->fd < 0 || event->fd >= FD_MAX)
		return -EINVAL;
	actor.process = task->process;
	p.table = task->table;
	p.table->changes++;
	/* An empty slot in a table that never had it needs no memory to be true. */
	p.slot = event->file.file || event->head.op == FDT_OP_OPEN
			 ? fdtable_make_slot(p.table, p.fd)
			 : fdtable_own(p.table, p.fd);
	if (p.slot)
		apply_op(&p, event, &actor);
	else if (event->file.file)
		return -ENOMEM;
	return 0;
}

int slots_mark(struct engine *e, const struct fdt_slot *event)
{
	struct fdtable *table = map_get(&e->tables, event->head.table);
	struct slot *slot;

	if (event->fd < 0)
		return -EINVAL;
	slot = table ? fdtable_own(table, event->fd) : NULL;
	if (!slot || !slot->file || !slots_same_file(slot, &event->file))
		return 0;
	slot->flags &= ~(SLOT_CLOEXEC | SLOT_MEANT);
	slot->flags |= event->result ? SLOT_CLOEXEC : SLOT_MEANT;
	return 0;
}

static void count_correction(struct engine *e, enum correction_cause cause)
{
	e->counters.corrections++;
	e->counters.corrections_by[cause]++;
}

static void correct(struct engine *e, const struct place *p, bool filled)
{
	enum correction_cause cause = p->table->tainted ? CORRECTION_AFTER_LOSS
				      : filled          ? CORRECTION_FILLED
							: CORRECTION_EMPTIED;

	if (!p->table->complete)
		return; /* the first look is no correction */
	if (e->correction_count == CORRECTIONS_MAX) {
		count_correction(e, cause);
		return;
	}
	e->corrections[e->correction_count++] =
		(struct correction){ .cause = cause,
				     .table = p->table->key,
				     .fd = p->fd,
				     .generation = p->slot->generation,
				     .filled = filled };
}

/* Still unexplained when the next snapshot has been taken: then the snapshot was the only one to know. */
static bool unexplained(struct engine *e, const struct correction *c)
{
	struct fdtable *table = map_get(&e->tables, c->table);
	const struct slot *slot = table ? fdtable_slot(table, c->fd) : NULL;
	struct ended *ended;

	if (!slot || slot->generation != c->generation)
		return false;
	if (c->filled)
		return slot->file && slot->flags & SLOT_OPENER_PENDING;
	ended = slot->ended ? ended_at(&e->ended, slot->ended) : NULL;
	return ended && ended->generation == c->generation && ended->flags & ENDED_CLOSER_PENDING;
}

void slots_audit_done(struct engine *e)
{
	for (unsigned int i = 0; i < e->correction_count; i++)
		if (unexplained(e, &e->corrections[i]))
			count_correction(e, e->corrections[i].cause);
	e->correction_count = 0;
}

#define COPIED_FLAGS (SLOT_CROSSED_EXEC | SLOT_SHARED | SLOT_CLOEXEC | SLOT_MEANT)

/* The newborn table's slot is its source's, if that still holds the same file. */
static void copy_opener(const struct place *p, uint16_t flags)
{
	struct slot *from = p->table->source ? fdtable_own(p->table->source, p->fd) : NULL;
	struct slot *slot = p->slot;

	if (!from || from->file != slot->file || from->inode != slot->inode)
		return;
	slot->site = from->site ? site_ref(from->site) : NULL;
	if (slot->site)
		count_unknown(p, -1);
	slot->opened_ns = from->opened_ns;
	slot->opener_tid = from->opener_tid;
	slot->generation = from->generation;
	slot->kind = from->kind;
	from->flags |= SLOT_SHARED;
	slot->flags = flags | (from->flags & COPIED_FLAGS) | (slot->flags & SLOT_ACCESS);
}

static void vec_filled(const struct place *p, const struct fdt_file *file, unsigned int op)
{
	if (op == FDT_OP_SNAPSHOT || p->table->complete) {
		slot_begin(p, file, NULL, p->table->complete ? SLOT_OPENER_PENDING : 0);
		correct(p->e, p, true);
		return;
	}
	slot_begin(p, file, NULL, SLOT_INHERITED);
	copy_opener(p, SLOT_INHERITED);
}

/* Whoever cleared close-on-exec meant the next image, not those that it starts in turn. */
static void crossed_exec(struct slot *slot)
{
	if (slot->flags & SLOT_CROSSED_EXEC)
		slot->flags &= ~SLOT_MEANT;
	slot->flags = (slot->flags | SLOT_CROSSED_EXEC) & ~SLOT_USED;
}

static void vec_slot(struct engine *e, struct fdtable *table, uint32_t fd,
		     const struct fdt_file *file, const struct fdt_head *head)
{
	struct place p = { e, table, fd,
			   file->file ? fdtable_make_slot(table, fd) : fdtable_own(table, fd) };

	if (!p.slot) {
		table->refused |= file->file != 0;
		table->tainted |= table->refused;
		return;
	}
	if (p.slot->file && !slots_same_file(p.slot, file)) {
		slot_end(&p, NULL, head->op == FDT_OP_EXEC && !file->file ? END_EXEC : END_UNKNOWN);
		if (head->op == FDT_OP_SNAPSHOT)
			correct(e, &p, false);
	}
	if (!p.slot->file && file->file)
		vec_filled(&p, file, head->op);
	if (p.slot->file && head->op == FDT_OP_EXEC)
		crossed_exec(p.slot);
}

/* Slots that the kernel's table does not have (any more) are empty. */
static void empty_beyond(struct engine *e, struct fdtable *table, uint32_t from,
			 const struct fdt_head *head)
{
	static const struct fdt_file nothing;

	for (int32_t fd = fdtable_next(table, from); fd >= 0; fd = fdtable_next(table, fd + 1))
		vec_slot(e, table, fd, &nothing, head);
}

/* What an image starts with: once it has closed and filled its numbers, nobody can say. */
static void note_stdio(const struct fdtable *table, struct process *process)
{
	process->stdio_known = true;
	process->stdio_open = 0;
	for (int32_t fd = 0; fd <= STDERR_FILENO; fd++) {
		const struct slot *slot = fdtable_slot(table, fd);

		process->stdio_open |= (slot && slot->file) << fd;
	}
}

static void vec_last(struct engine *e, struct fdtable *table, const struct fdt_head *head)
{
	if (head->op == FDT_OP_EXEC || (head->op == FDT_OP_FORK && !table->complete))
		note_stdio(table, table->owner);
	table->complete = true;
	if (head->op == FDT_OP_SNAPSHOT && e->snapshot_whole)
		table->tainted = table->refused || e->uncovered;
	else if (e->uncovered)
		table->tainted = true;
	tasks_copied(e, table);
	if (head->op == FDT_OP_EXEC)
		detectors_call(e, image_started, table->owner);
}

static bool vec_agrees(const struct chunk *chunk, const struct fdt_vec *event)
{
	for (uint32_t i = 0; i < FDT_VEC_SLOTS; i++)
		if (!slots_same_file(&chunk->slots[i], &event->file[i]))
			return false;
	return true;
}

static struct chunk *chunk_at(const struct fdtable *table, uint32_t fd)
{
	uint32_t index = fd / CHUNK_SLOTS;

	return fd % CHUNK_SLOTS == 0 && index < table->chunk_count ? table->chunks[index] : NULL;
}

_Static_assert(CHUNK_SLOTS == FDT_VEC_SLOTS, "a VEC is compared with a chunk");

/* What is known already, or what the source of a newborn table still has, needs no look at each slot. */
static bool vec_whole(struct engine *e, struct fdtable *table, const struct fdt_vec *event)
{
	const struct chunk *own = chunk_at(table, event->first_fd), *from;

	if (event->head.op == FDT_OP_EXEC)
		return false;
	if (own)
		return vec_agrees(own, event);
	from = table->source && !table->complete ? chunk_at(table->source, event->first_fd) : NULL;
	if (!from || !from->filled || !vec_agrees(from, event))
		return false;
	if (fdtable_borrow(table, table->source, event->first_fd / CHUNK_SLOTS))
		return false;
	e->counters.descriptors += from->filled;
	return true;
}

int slots_apply_vec(struct engine *e, const struct fdt_vec *event)
{
	struct fdtable *table;
	bool whole;

	if (event->first_fd >= FD_MAX)
		return -EINVAL;
	table = tasks_table(e, &event->head);
	if (!table)
		return -ENOMEM;
	table->changes += event->head.op != FDT_OP_SNAPSHOT;
	if (event->head.op == FDT_OP_SNAPSHOT && event->head.flags & FDT_FIRST)
		table->refused = false;
	whole = vec_whole(e, table, event);
	for (uint32_t i = 0; !whole && i < FDT_VEC_SLOTS; i++)
		vec_slot(e, table, event->first_fd + i, &event->file[i], &event->head);
	if (event->head.flags & FDT_LAST) {
		empty_beyond(e, table, event->first_fd + FDT_VEC_SLOTS, &event->head);
		vec_last(e, table, &event->head);
	}
	return 0;
}

/* The slots at and after *fd, up to the event's end, that we believe filled and the kernel says are not. */
static bool next_emptied(const struct fdtable *table, const struct fdt_words *event, int32_t *fd)
{
	int64_t end = (int64_t)event->first_fd + FDT_WORDS_COUNT * 64;

	while ((*fd = fdtable_next(table, *fd)) >= 0 && *fd < end) {
		uint32_t bit = *fd - event->first_fd;

		if (!(event->word[bit / 64] >> bit % 64 & 1))
			return true;
		++*fd;
	}
	return false;
}

/* 512 slots of a birth, an exec or a snapshot: of large tables, where they are empty. */
static int words_of_walk(struct engine *e, const struct fdt_words *event)
{
	struct fdtable *table = tasks_table(e, &event->head);
	static const struct fdt_file nothing;

	if (!table)
		return -ENOMEM;
	for (int32_t fd = event->first_fd; next_emptied(table, event, &fd); fd++)
		vec_slot(e, table, fd, &nothing, &event->head);
	return 0;
}

static int words_of_range(struct engine *e, const struct fdt_words *event)
{
	struct task *task = tasks_actor(e, &event->head);
	struct actor actor = { .task = task,
			       .tid = event->head.tid,
			       .syscall = event->head.syscall,
			       .time_ns = e->now_ns };

	if (!task || !task->table)
		return task ? -EINVAL : -ENOMEM;
	actor.process = task->process;
	task->table->changes++;
	for (int32_t fd = event->first_fd; next_emptied(task->table, event, &fd); fd++) {
		struct place p = { e, task->table, fd, fdtable_own(task->table, fd) };
		bool ours = (uint32_t)fd >= event->low && (uint32_t)fd <= event->high;

		if (p.slot)
			slot_end(&p, ours ? &actor : NULL, ours ? END_RANGE : END_UNKNOWN);
	}
	detectors_call(e, range_closed, event, &actor);
	return 0;
}

int slots_apply_words(struct engine *e, const struct fdt_words *event)
{
	if (event->first_fd >= FD_MAX)
		return -EINVAL;
	return event->head.op == FDT_OP_RANGE ? words_of_range(e, event) : words_of_walk(e, event);
}

/* What only the owner of a chunk has in it. */
static void drop_own(struct engine *e, struct chunk *chunk)
{
	for (uint32_t i = 0; i < CHUNK_SLOTS; i++) {
		struct slot *slot = &chunk->slots[i];

		if (slot->file && slot->flags & SLOT_COUNTED)
			site_count_close(slot->site);
		ended_drop(&e->ended, slot->ended);
	}
}

void slots_drop_all(struct engine *e, struct fdtable *table)
{
	for (uint32_t i = 0; i < table->chunk_count; i++) {
		struct chunk *chunk = table->chunks[i];

		if (!chunk)
			continue;
		e->counters.descriptors -= chunk->filled;
		if (chunk->owner == table)
			drop_own(e, chunk);
		fdtable_release(table, i);
	}
}
