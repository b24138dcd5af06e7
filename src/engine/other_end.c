// SPDX-License-Identifier: BSD-2-Clause
/* Who holds the other end of a pipe or of a connected pair of unix sockets. */
#include <fcntl.h>

#include "engine/engine_private.h"

/* What a slot must be to be the other end. */
struct wanted {
	uint64_t inode;
	uint32_t dev;
	uint8_t access; /* one of these SLOT_READS, SLOT_WRITES; 0: any */
};

static bool is_read_end(const struct descriptor *d)
{
	return (d->file.flags & O_ACCMODE) == O_RDONLY;
}

static bool what_is_wanted(const struct descriptor *d, struct wanted *ret)
{
	*ret = (struct wanted){ .inode = d->file.inode, .dev = d->file.dev };
	if (d->kind == FD_KIND_PIPE || d->kind == FD_KIND_FIFO) {
		ret->access = is_read_end(d) ? SLOT_WRITES : SLOT_READS;
		return ret->inode && (d->file.flags & O_ACCMODE) != O_RDWR;
	}
	ret->inode = d->kind == FD_KIND_UNIX && d->detail ? d->detail->peer_inode : 0;
	return ret->inode;
}

static bool other_end_is_wanted(const struct slot *slot, const struct wanted *wanted)
{
	return slot->inode == wanted->inode && slot->dev == wanted->dev &&
	       (!wanted->access || slot->flags & wanted->access);
}

static bool stands_before(const struct holder *a, const struct holder *b)
{
	return a->pid != b->pid ? a->pid < b->pid : a->fd < b->fd;
}

/* The lowest few by pid and number: the order must not depend on addresses. */
static void add(struct other_end *end, struct holder holder)
{
	unsigned int at = end->holder_count;

	end->holder_total++;
	while (at && stands_before(&holder, &end->holders[at - 1]))
		at--;
	if (at == FINDING_HOLDERS_MAX)
		return;
	if (end->holder_count < FINDING_HOLDERS_MAX)
		end->holder_count++;
	for (unsigned int i = end->holder_count - 1; i > at; i--)
		end->holders[i] = end->holders[i - 1];
	end->holders[at] = holder;
}

static void look_through(const struct fdtable *table, const struct wanted *wanted,
			 struct other_end *end)
{
	fdtable_each (table, fd)
		if (other_end_is_wanted(fdtable_slot(table, fd), wanted))
			add(end, (struct holder){ .pid = table->owner->pid,
						  .fd = fd,
						  .name = table->owner->name });
}

/* The kernel's counts speak of all processes, traced or not. */
static bool is_closed(const struct descriptor *d)
{
	if (!d->detail || !(d->detail->facts & FDT_FACT_PIPE))
		return false;
	return is_read_end(d) ? !d->detail->writers : !d->detail->readers;
}

void other_end_find(struct engine *e, const struct descriptor *d, struct other_end *ret)
{
	struct wanted wanted;

	*ret = (struct other_end){ 0 };
	if (d->fd < 0 || !what_is_wanted(d, &wanted))
		return;
	ret->present = true;
	ret->closed = is_closed(d);
	if (ret->closed)
		return;
	map_each (&e->tables, entry)
		if (!((struct fdtable *)entry->value)->replaced)
			look_through(entry->value, &wanted, ret);
	ret->elsewhere = !ret->holder_total && d->detail;
}
