// SPDX-License-Identifier: BSD-2-Clause
/*
 * close.lock: POSIX record locks belong to the table, and the kernel drops all of a file's when
 * any descriptor of it is closed (locks_remove_posix), whichever it was set through. Kept here:
 * the ranges held, exactly; where there is no room they are forgotten, never guessed.
 */
#include <errno.h>

#include "base/hash.h"
#include "base/text.h"
#include "detect/detectors.h"
#include "detect/close_lock.h"
#include "engine/engine_private.h"
#include "engine/report.h"

#define LOCK_FILES_MAX 4096
#define LOCK_RANGES_MAX 16

struct lock_range {
	int64_t first, last; /* bytes, both included; to the end: INT64_MAX */
	struct site *site;   /* where it was set; owned reference; may be NULL */
	uint64_t time_ns;
	uint32_t fd, generation; /* what it was set through */
	uint32_t tid;
};

struct lock_file {
	uint64_t table, inode;
	uint32_t dev;
	unsigned int count;
	struct lock_range ranges[LOCK_RANGES_MAX];
};

struct close_lock {
	struct map files; /* by table and inode */
};

static struct close_lock *lock_state(struct engine *e)
{
	return detector_state(e, DETECTOR_CLOSE_LOCK);
}

static uint64_t key_of(const struct fdtable *table, uint64_t inode, uint32_t dev)
{
	return hash_number(hash_number(hash_number(HASH_START, table->key), inode), dev);
}

static struct lock_file *file_find(struct engine *e, const struct fdtable *table, uint64_t inode,
				   uint32_t dev)
{
	struct lock_file *file = NULL;

	if (table->locked_files)
		file = map_get(&lock_state(e)->files, key_of(table, inode, dev));
	return file && file->table == table->key && file->inode == inode && file->dev == dev ? file
											     : NULL;
}

/* NULL: no room. */
static struct lock_file *file_new(struct engine *e, struct fdtable *table, uint64_t inode,
				  uint32_t dev)
{
	uint64_t key = key_of(table, inode, dev);
	struct lock_file *file;

	if (lock_state(e)->files.count >= LOCK_FILES_MAX || map_get(&lock_state(e)->files, key))
		return NULL;
	file = mem_alloc(&e->mem, sizeof(*file));
	if (!file)
		return NULL;
	if (map_put(&e->mem, &lock_state(e)->files, key, file)) {
		mem_free(&e->mem, file, sizeof(*file));
		return NULL;
	}
	file->table = table->key;
	file->inode = inode;
	file->dev = dev;
	table->locked_files++;
	table->facts |= TABLE_HAS_LOCKS;
	return file;
}

static void file_free(struct engine *e, struct lock_file *file)
{
	for (unsigned int i = 0; i < file->count; i++)
		site_unref(&e->sites, file->ranges[i].site);
	mem_free(&e->mem, file, sizeof(*file));
}

static void file_forget(struct engine *e, struct fdtable *table, struct lock_file *file)
{
	map_remove(&lock_state(e)->files, key_of(table, file->inode, file->dev));
	if (!--table->locked_files)
		table->facts &= ~TABLE_HAS_LOCKS;
	file_free(e, file);
}

/* False: no room for the two parts that are left of one. */
static bool subtract_from(struct engine *e, struct lock_file *file, unsigned int index,
			  int64_t first, int64_t last)
{
	struct lock_range *range = &file->ranges[index], rest = *range;

	if (range->last < first || range->first > last)
		return true;
	if (range->first < first && range->last > last) {
		if (file->count == LOCK_RANGES_MAX)
			return false;
		rest.first = last + 1;
		rest.site = rest.site ? site_ref(rest.site) : NULL;
		file->ranges[file->count++] = rest;
		range->last = first - 1;
	} else if (range->first < first) {
		range->last = first - 1;
	} else if (range->last > last) {
		range->first = last + 1;
	} else {
		site_unref(&e->sites, range->site);
		*range = file->ranges[--file->count];
	}
	return true;
}

/* From the end: what takes the place of one removed has been looked at. */
static bool lock_subtract(struct engine *e, struct lock_file *file, int64_t first, int64_t last)
{
	for (unsigned int i = file->count; i-- > 0;)
		if (!subtract_from(e, file, i, first, last))
			return false;
	return true;
}

/* What struct flock says, in bytes. A negative length lies before start (fcntl(2)). */
static int range_of(const struct fdt_lock *event, int64_t *ret_first, int64_t *ret_last)
{
	int64_t first = event->start, last = INT64_MAX;

	if (event->length < 0) {
		last = event->start - 1;
		if (__builtin_add_overflow(event->start, event->length, &first))
			return -EINVAL;
	} else if (event->length &&
		   __builtin_add_overflow(event->start, event->length - 1, &last)) {
		last = INT64_MAX;
	}
	if (first < 0)
		return -EINVAL;
	*ret_first = first;
	*ret_last = last;
	return 0;
}

/* False: no room; then nothing is known of the file's locks any more. */
static bool lock_add(struct lock_file *file, const struct fdt_lock *event, const struct slot *slot,
		     const struct actor *actor)
{
	struct lock_range range = { .time_ns = actor->time_ns,
				    .fd = event->fd,
				    .generation = slot->generation,
				    .tid = actor->tid };

	if (file->count == LOCK_RANGES_MAX || range_of(event, &range.first, &range.last))
		return false;
	range.site = actor->site ? site_ref(actor->site) : NULL;
	file->ranges[file->count++] = range;
	return true;
}

static void lock_change(struct engine *e, const struct fdt_lock *event, const struct actor *actor,
			int64_t first, int64_t last)
{
	struct fdtable *table = actor->task->table;
	const struct slot *slot = fdtable_slot(table, event->fd);
	struct lock_file *file = file_find(e, table, event->file.inode, event->file.dev);
	bool sets = event->type != FDT_LOCK_NONE;

	if (file && !lock_subtract(e, file, first, last)) {
		file_forget(e, table, file);
		return;
	}
	/* A number that holds something else by now: the lock went when it was closed. */
	sets = sets && slot && slot->file && slots_same_file(slot, &event->file);
	if (sets && !file)
		file = file_new(e, table, event->file.inode, event->file.dev);
	if (file && ((sets && !lock_add(file, event, slot, actor)) || !file->count))
		file_forget(e, table, file);
}

static int lock_apply(struct engine *e, const struct fdt_head *head)
{
	const struct fdt_lock *event = (const struct fdt_lock *)head;
	struct actor actor;
	int64_t first, last;
	int err;

	if (event->fd < 0 || event->fd >= FD_MAX || event->type > FDT_LOCK_NONE ||
	    range_of(event, &first, &last))
		return -EINVAL;
	err = tasks_take_actor(e, &event->head, event->site, &actor);
	if (err)
		return err;
	lock_change(e, event, &actor, first, last);
	site_unref(&e->sites, actor.site);
	return 0;
}

/* One that was set through another descriptor, which is still open on the file: it is missed. */
static const struct lock_range *lost_range(const struct fdtable *table,
					   const struct lock_file *file, uint32_t fd)
{
	for (unsigned int i = 0; i < file->count; i++) {
		const struct lock_range *range = &file->ranges[i];
		const struct slot *slot = fdtable_slot(table, range->fd);

		if (range->fd != fd && slot && slot->file &&
		    slot->generation == range->generation && slot->inode == file->inode &&
		    slot->dev == file->dev)
			return range;
	}
	return NULL;
}

static struct operation lock_operation(const struct lock_range *range)
{
	const struct ended set = { .opened_at = range->site,
				   .opener_tid = range->tid,
				   .opened_ns = range->time_ns };

	return ended_opening(&set);
}

static void lock_format(struct report *r, const struct lock_range *range)
{
	const struct finding *f = &r->finding;
	const char *path = f->descriptor.name ? f->descriptor.name : "a file";
	char locker[80], closer[80];

	operation_format(&f->used, locker, sizeof(locker));
	operation_format(&f->closed, closer, sizeof(closer));
	report_message(
		r,
		"the record lock on %.*s (taken by %s) was lost when fd %d, another descriptor "
		"of the same file, was closed by %s",
		text_fit(path, 160), path, locker, f->descriptor.fd, closer);
	report_why(r,
		   "the lock was set through fd %u, which is still open; closing any descriptor of "
		   "a file drops all record locks that the process has on it",
		   range->fd);
	r->finding.help = "use open file description locks (F_OFD_SETLK) or flock(), or keep every "
			  "descriptor of the file open as long as the lock is wanted";
}

static void lock_report(struct engine *e, struct fdtable *table, uint32_t fd,
			const struct slot *was, const struct actor *actor,
			const struct lock_range *range)
{
	const struct ended *ended = finding_ended(e, table, fd, was->generation);
	struct report r;

	if (!ended)
		return; /* no memory for the evidence */
	report_begin(&r, e, RULE_CLOSE_LOCK, actor->process, site_now(ended->closed_at));
	report_trust(&r, table, CONFIDENCE_EXACT);
	r.finding.first_ns = range->time_ns;
	r.finding.descriptor = (struct descriptor){ .fd = fd,
						    .generation = was->generation,
						    .kind = was->kind,
						    .name = slots_name(e, table, range->fd) };
	r.finding.opened = ended_opening(ended);
	r.finding.closed = ended_closing(ended);
	r.finding.closed_is_culprit = true;
	r.finding.used = lock_operation(range);
	finding_history(e, &r.finding, ended->next);
	if (report_is_news(&r))
		lock_format(&r, range);
	report_send(&r);
}

static void lock_slot_ended(struct engine *e, const struct slot_closed *change)
{
	const struct slot *was = change->was;
	struct fdtable *table = change->table;
	struct lock_file *file = file_find(e, table, was->inode, was->dev);
	const struct lock_range *range;

	if (!file)
		return;
	range = change->actor && change->ending != END_EXEC ? lost_range(table, file, change->fd)
							    : NULL;
	if (range)
		lock_report(e, table, change->fd, was, change->actor, range);
	file_forget(e, table, file);
}

static struct lock_file *any_of(struct engine *e, const struct fdtable *table)
{
	map_each (&lock_state(e)->files, entry) {
		struct lock_file *file = entry->value;

		if (file->table == table->key)
			return file;
	}
	return NULL;
}

static void lock_table_ended(struct engine *e, struct fdtable *table)
{
	struct lock_file *file;

	while (table->locked_files && (file = any_of(e, table)))
		file_forget(e, table, file);
	table->locked_files = 0;
	table->facts &= ~TABLE_HAS_LOCKS;
}

static void lock_done(struct engine *e)
{
	struct map *files = &lock_state(e)->files;

	map_each (files, entry)
		file_free(e, entry->value);
	map_done(&e->mem, files);
	map_each (&e->tables, entry) {
		struct fdtable *table = entry->value;

		table->locked_files = 0;
		table->facts &= ~TABLE_HAS_LOCKS;
	}
}

size_t lock_file_count(struct engine *e)
{
	return lock_state(e)->files.count;
}

const struct detector detector_close_lock = {
	.name = "close.lock",
	.id = DETECTOR_CLOSE_LOCK,
	.rules = RULE_BIT(CLOSE_LOCK),
	.kinds = FDT_NEED(LOCK),
	.state_bytes = sizeof(struct close_lock),
	.closed_where = TABLE_HAS_LOCKS,
	.closed_some = lock_slot_ended,
	.address_ended = lock_table_ended,
	.event = lock_apply,
	.done = lock_done,
};
