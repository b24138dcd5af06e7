// SPDX-License-Identifier: BSD-2-Clause
#include "model/fdtable.h"

#include <errno.h>

#include "base/mem.h"
#include "model/process.h"
#include "model/site.h"

_Static_assert(sizeof(struct slot) == 56, "a slot grew: a million descriptors must fit in 64 MiB");

const char *ending_text(enum ending ending)
{
	switch (ending) {
	case END_CLOSE: return "close";
	case END_RANGE: return "close_range";
	case END_REPLACE: return "dup2 (replaced)";
	case END_URING: return "io_uring close";
	case END_EXEC: return "exec (close-on-exec)";
	case END_UNKNOWN: break;
	}
	return "unknown";
}

void ended_init(struct ended_pool *pool, struct mem *mem, struct sites *sites, uint64_t max_bytes)
{
	*pool = (struct ended_pool){ .mem = mem, .sites = sites };
	pool->chunk_limit = max_bytes / (ENDED_CHUNK * sizeof(struct ended)) + 1;
}

void ended_done(struct ended_pool *pool)
{
	for (uint32_t i = 0; i < pool->chunk_count; i++)
		mem_free(pool->mem, pool->chunks[i], ENDED_CHUNK * sizeof(struct ended));
	mem_free(pool->mem, pool->chunks, pool->chunk_count * sizeof(*pool->chunks));
}

struct ended *ended_at(const struct ended_pool *pool, uint32_t index)
{
	return &pool->chunks[index / ENDED_CHUNK][index % ENDED_CHUNK];
}

static void add_chunk(struct ended_pool *pool)
{
	size_t old = pool->chunk_count * sizeof(*pool->chunks);
	struct ended **chunks, *chunk;
	uint32_t base = pool->chunk_count * ENDED_CHUNK;

	if (pool->chunk_count == pool->chunk_limit)
		return;
	chunk = mem_alloc(pool->mem, ENDED_CHUNK * sizeof(*chunk));
	chunks = chunk ? mem_resize(pool->mem, pool->chunks, old, old + sizeof(*chunks)) : NULL;
	if (!chunks) {
		mem_free(pool->mem, chunk, ENDED_CHUNK * sizeof(*chunk));
		return;
	}
	pool->chunks = chunks;
	chunks[pool->chunk_count++] = chunk;
	for (uint32_t i = ENDED_CHUNK; i-- > (base ? 0 : 1);) {
		chunk[i].next = pool->free;
		pool->free = base + i;
	}
}

static uint32_t ended_take(struct ended_pool *pool)
{
	uint32_t index;

	if (!pool->free)
		add_chunk(pool);
	index = pool->free;
	if (index)
		pool->free = ended_at(pool, index)->next;
	return index;
}

static void let_go(struct ended_pool *pool, struct ended *ended)
{
	site_unref(pool->sites, ended->opened_at);
	site_unref(pool->sites, ended->closed_at);
}

/*
 * One that a program never knew to have ended: by a sweep that is known to have hurt; or at its exec
 * or by its parent's program just before, after which the loader opens many a library under the
 * number before the program can miss it.
 */
static bool ended_stays(const struct ended *ended)
{
	return ended->ending == END_EXEC || ended->flags & ENDED_MISSED ||
	       (ended->flags & ENDED_SWEPT && ended->closed_at &&
		ended->closed_at->process->by_fork);
}

/*
 * Cuts the oldest generation off a full list, or off any list if `any`; the one after it where the
 * oldest stays. 0: nothing to cut.
 */
static uint32_t cut_oldest(struct ended_pool *pool, uint32_t head, bool any)
{
	uint32_t *link = &head, *before = NULL, index;
	unsigned int length = 1;

	if (!head)
		return 0;
	while (ended_at(pool, *link)->next) {
		before = link;
		link = &ended_at(pool, *link)->next;
		length++;
	}
	/* A list of one can't be cut: its head is the caller's. */
	if (length < 2 || (!any && length < ENDED_PER_NUMBER))
		return 0;
	if (length > 2 && ended_stays(ended_at(pool, *link)))
		link = before;
	index = *link;
	*link = ended_at(pool, index)->next;
	let_go(pool, ended_at(pool, index));
	return index;
}

uint32_t ended_push(struct ended_pool *pool, uint32_t head, const struct ended *ended)
{
	uint32_t index = cut_oldest(pool, head, false);

	if (!index)
		index = ended_take(pool);
	if (!index) {
		pool->dropped++;
		index = cut_oldest(pool, head, true);
	}
	if (!index) {
		struct ended lost = *ended;

		let_go(pool, &lost);
		return head;
	}
	*ended_at(pool, index) = *ended;
	ended_at(pool, index)->next = head;
	return index;
}

void ended_drop(struct ended_pool *pool, uint32_t head)
{
	while (head) {
		struct ended *ended = ended_at(pool, head);
		uint32_t next = ended->next;

		let_go(pool, ended);
		ended->next = pool->free;
		pool->free = head;
		head = next;
	}
}

struct fdtable *fdtable_new(struct mem *m, struct sites *sites, uint64_t key)
{
	struct fdtable *table = mem_alloc(m, sizeof(*table));

	if (!table)
		return NULL;
	table->key = key;
	table->mem = m;
	table->sites = sites;
	return table;
}

void fdtable_free(struct fdtable *table)
{
	struct mem *m = table->mem;

	mem_free(m, table->chunks, table->chunk_count * sizeof(*table->chunks));
	if (table->growth)
		mem_free(m, table->growth, sizeof(*table->growth));
	process_unref(m, table->owner);
	mem_free(m, table, sizeof(*table));
}

static struct chunk *chunk_of(const struct fdtable *table, uint32_t fd)
{
	uint32_t index = fd / CHUNK_SLOTS;

	return index < table->chunk_count ? table->chunks[index] : NULL;
}

#define COPIED_FLAGS (SLOT_CROSSED_EXEC | SLOT_SHARED | SLOT_CLOEXEC | SLOT_MEANT | SLOT_ACCESS)

/* As one who has it from its parent sees a slot: without its history, and not counted again. */
static void slot_inherit(struct slot *slot, const struct slot *from)
{
	*slot = *from;
	slot->ended = 0;
	slot->flags = from->file ? SLOT_INHERITED | (from->flags & COPIED_FLAGS) : 0;
	if (!from->file)
		slot->generation = 0;
}

const struct slot *fdtable_look(const struct fdtable *table, uint32_t fd, struct slot *room)
{
	const struct chunk *chunk = chunk_of(table, fd);

	if (!chunk)
		return NULL;
	if (chunk->owner == table)
		return &chunk->slots[fd % CHUNK_SLOTS];
	slot_inherit(room, &chunk->slots[fd % CHUNK_SLOTS]);
	return room;
}

static void chunk_free(struct fdtable *table, struct chunk *chunk)
{
	for (uint32_t i = 0; i < CHUNK_SLOTS; i++)
		site_unref(table->sites, chunk->slots[i].site);
	mem_free(table->mem, chunk, sizeof(*chunk));
}

void fdtable_release(struct fdtable *table, uint32_t index)
{
	struct chunk *chunk = table->chunks[index];

	table->chunks[index] = NULL;
	if (chunk->owner == table)
		chunk->owner = NULL;
	if (!--chunk->tables)
		chunk_free(table, chunk);
}

static void take_slots(struct fdtable *table, struct chunk *to, const struct chunk *from)
{
	for (uint32_t i = 0; i < CHUNK_SLOTS; i++) {
		if (from->owner == table)
			to->slots[i] = from->slots[i];
		else
			slot_inherit(&to->slots[i], &from->slots[i]);
		if (to->slots[i].site)
			site_ref(to->slots[i].site);
	}
}

/* A chunk that others have as well is left to them. */
static struct chunk *take_copy(struct fdtable *table, uint32_t index)
{
	struct chunk *shared = table->chunks[index], *copy = mem_alloc(table->mem, sizeof(*copy));

	if (!copy) {
		table->refused = table->tainted = true;
		return NULL;
	}
	take_slots(table, copy, shared);
	copy->filled = shared->filled;
	copy->unknown = shared->unknown;
	copy->tables = 1;
	copy->owner = table;
	fdtable_release(table, index);
	table->chunks[index] = copy;
	return copy;
}

struct slot *fdtable_own(struct fdtable *table, uint32_t fd)
{
	struct chunk *chunk = chunk_of(table, fd);

	if (!chunk)
		return NULL;
	if (chunk->owner != table || chunk->tables > 1)
		chunk = take_copy(table, fd / CHUNK_SLOTS);
	if (!chunk)
		return NULL;
	chunk->copied = false;
	return &chunk->slots[fd % CHUNK_SLOTS];
}

static int grow_directory(struct fdtable *table, uint32_t index)
{
	uint32_t count = table->chunk_count ? table->chunk_count : 1;
	struct chunk **chunks;

	if (index < table->chunk_count)
		return 0;
	while (count <= index)
		count *= 2;
	chunks = mem_resize(table->mem, table->chunks, table->chunk_count * sizeof(*chunks),
			    count * sizeof(*chunks));
	if (!chunks)
		return -ENOMEM;
	table->chunks = chunks;
	table->chunk_count = count;
	return 0;
}

static void new_chunk(struct fdtable *table, uint32_t index)
{
	struct chunk *chunk = mem_alloc(table->mem, sizeof(*chunk));

	if (!chunk)
		return;
	chunk->tables = 1;
	chunk->owner = table;
	table->chunks[index] = chunk;
}

struct slot *fdtable_make_slot(struct fdtable *table, uint32_t fd)
{
	uint32_t index = fd / CHUNK_SLOTS;

	if (fd >= FD_MAX || grow_directory(table, index))
		return NULL;
	if (!table->chunks[index])
		new_chunk(table, index);
	return fdtable_own(table, fd);
}

void fdtable_set_kind(const struct fdtable *table, uint32_t fd, enum fd_kind kind)
{
	chunk_of(table, fd)->slots[fd % CHUNK_SLOTS].kind = kind;
}

static int32_t next_in_chunk(const struct chunk *chunk, uint32_t from)
{
	for (uint32_t i = from; i < CHUNK_SLOTS; i++)
		if (chunk->slots[i].file)
			return i;
	return -1;
}

int32_t fdtable_next(const struct fdtable *table, int32_t fd)
{
	uint32_t from = fd % CHUNK_SLOTS;

	for (uint32_t index = fd / CHUNK_SLOTS; index < table->chunk_count; index++, from = 0) {
		const struct chunk *chunk = table->chunks[index];
		int32_t found = chunk && chunk->filled ? next_in_chunk(chunk, from) : -1;

		if (found >= 0)
			return index * CHUNK_SLOTS + found;
	}
	return -1;
}

uint32_t fdtable_open_below(const struct fdtable *table, uint64_t fd)
{
	uint32_t open = 0, whole = fd < FD_MAX ? fd / CHUNK_SLOTS : FD_MAX / CHUNK_SLOTS;

	for (uint32_t index = 0; index < whole && index < table->chunk_count; index++)
		open += table->chunks[index] ? table->chunks[index]->filled : 0;
	for (uint64_t i = (uint64_t)whole * CHUNK_SLOTS; i < fd && chunk_of(table, i); i++)
		open += chunk_of(table, i)->slots[i % CHUNK_SLOTS].file != 0;
	return open;
}

void fdtable_count(struct fdtable *table, uint32_t fd, int change)
{
	table->open += change;
	if (table->open > table->peak)
		table->peak = table->open;
	chunk_of(table, fd)->filled += change;
}

void fdtable_count_unknown(struct fdtable *table, uint32_t fd, int change)
{
	table->unknown += change;
	chunk_of(table, fd)->unknown += change;
}

/* Of a chunk that is copied again before it has changed, the slots need no visit. */
static void mark_copied(struct chunk *chunk)
{
	for (uint32_t i = 0; !chunk->copied && i < CHUNK_SLOTS; i++)
		if (chunk->slots[i].file)
			chunk->slots[i].flags |= SLOT_SHARED;
	chunk->copied = true;
}

int fdtable_borrow(struct fdtable *table, const struct fdtable *source, uint32_t index)
{
	struct chunk *chunk = source->chunks[index];

	if (grow_directory(table, index))
		return -ENOMEM;
	mark_copied(chunk);
	chunk->tables++;
	table->chunks[index] = chunk;
	table->open += chunk->filled;
	table->unknown += chunk->unknown;
	return 0;
}
