// SPDX-License-Identifier: BSD-2-Clause
/* Tables born as copies: they share what neither side has changed, and nobody can tell. */
#include "stream.h"

#include "engine/engine_private.h"

#define CHUNKS 4
#define SLOTS (CHUNKS * 64)
#define FAMILY 8
#define STEPS 20000

/* What the kernel would hold: process i has pid PID + i and a table of its own. */
struct model {
	bool lives[FAMILY];
	uint64_t file[FAMILY][SLOTS]; /* numbers for a_file(); 0: empty */
	uint64_t next_file, next_table;
	uint64_t table[FAMILY];
	uint32_t random;
};

static uint32_t pick(struct model *m, uint32_t below)
{
	m->random = m->random * 1664525 + 1013904223;
	return (m->random >> 8) % below;
}

static uint64_t table_of(const struct model *m, uint32_t who)
{
	return m->table[who];
}

static void tell_table(struct stream *s, const struct model *m, uint32_t who, unsigned int op)
{
	for (uint32_t first = 0; first < SLOTS; first += 64) {
		struct fdt_vec e = { .head = HEAD(s, FDT_VEC, op, fdt_vec, PID + who, PID + who,
						  table_of(m, who)),
				     .first_fd = first,
				     .max_fds = SLOTS };

		e.head.flags = (first ? 0 : FDT_FIRST) | (first + 64 == SLOTS ? FDT_LAST : 0);
		for (uint32_t i = 0; i < 64; i++)
			if (m->file[who][first + i])
				e.file[i] = a_file(m->file[who][first + i]);
		stream_apply(s, &e);
	}
}

static void born(struct stream *s, struct model *m, uint32_t parent, uint32_t child)
{
	m->lives[child] = true;
	m->table[child] = TABLE + ++m->next_table * 4096;
	memcpy(m->file[child], m->file[parent], sizeof(m->file[child]));
	task(s, FDT_OP_FORK, PID + child, PID + child, table_of(m, child), PID + parent, 0);
	tell_table(s, m, child, FDT_OP_FORK);
}

static void ends(struct stream *s, struct model *m, uint32_t who)
{
	m->lives[who] = false;
	task(s, FDT_OP_EXIT, PID + who, PID + who, table_of(m, who), 0, FDT_TASK_LAST);
}

static void opens_in(struct stream *s, struct model *m, uint32_t who, uint32_t fd)
{
	m->file[who][fd] = ++m->next_file;
	put_at(s, FDT_OP_OPEN, FDT_SYS_openat, PID + who, table_of(m, who), (int)fd,
	       a_file(m->next_file), 0x1000 + who);
}

static void closes_in(struct stream *s, struct model *m, uint32_t who, uint32_t fd)
{
	m->file[who][fd] = 0;
	put_at(s, FDT_OP_CLOSE, FDT_SYS_close, PID + who, table_of(m, who), (int)fd,
	       (struct fdt_file){ 0 }, 0x2000);
}

struct comparison {
	const struct model *m;
	uint32_t who, seen;
};

static void compare_slot(void *ctx, int32_t fd, const struct fdt_file *file, uint32_t generation)
{
	struct comparison *c = ctx;

	(void)generation;
	assert_in_range(fd, 0, SLOTS - 1);
	assert_int_equal(file->file, a_file(c->m->file[c->who][fd]).file);
	c->seen++;
}

static uint32_t filled_in(const struct model *m, uint32_t who)
{
	uint32_t count = 0;

	for (uint32_t fd = 0; fd < SLOTS; fd++)
		count += m->file[who][fd] != 0;
	return count;
}

static void check_all(struct stream *s, const struct model *m)
{
	struct engine_counters counters;
	uint32_t total = 0;

	for (uint32_t who = 0; who < FAMILY; who++) {
		struct comparison c = { m, who, 0 };

		if (!m->lives[who])
			continue;
		assert_int_equal(engine_each_slot(s->engine, PID + who, compare_slot, &c), 0);
		assert_int_equal(c.seen, filled_in(m, who));
		total += c.seen;
	}
	engine_counters(s->engine, &counters);
	assert_int_equal(counters.descriptors, total);
}

static void step(struct stream *s, struct model *m)
{
	uint32_t who = pick(m, FAMILY), other = pick(m, FAMILY), fd = pick(m, SLOTS);

	if (!m->lives[who])
		return;
	if (pick(m, 8) == 0 && !m->lives[other])
		born(s, m, who, other);
	else if (pick(m, 40) == 0 && who)
		ends(s, m, who);
	else if (pick(m, 40) == 0)
		tell_table(s, m, who, FDT_OP_SNAPSHOT);
	else if (m->file[who][fd])
		closes_in(s, m, who, fd);
	else
		opens_in(s, m, who, fd);
}

static void begin(struct stream *s, struct model *m, uint32_t seed, uint32_t filled)
{
	stream_start(s, ENGINE_PID);
	*m = (struct model){ .random = seed, .lives[0] = true, .table[0] = TABLE };
	for (uint32_t fd = 0; fd < filled; fd++)
		opens_in(s, m, 0, fd);
	tell_table(s, m, 0, FDT_OP_SNAPSHOT);
}

static void a_family_that_forks_and_changes(void **state)
{
	static struct model m;
	struct stream s;

	(void)state;
	begin(&s, &m, 1, SLOTS / 2);
	for (unsigned int i = 0; i < STEPS; i++) {
		step(&s, &m);
		if (i % 16 == 0)
			check_all(&s, &m);
	}
	for (uint32_t who = 1; who < FAMILY; who++)
		if (m.lives[who])
			ends(&s, &m, who);
	check_all(&s, &m);
	stream_end(&s);
}

/* Whatever cannot be had, nothing is touched that is not there. */
static void a_family_without_memory(void **state)
{
	static struct model m;
	struct stream s;

	(void)state;
	for (uint32_t seed = 1; seed <= 40; seed++) {
		begin(&s, &m, seed, SLOTS / 2);
		for (unsigned int i = 0; i < 500; i++) {
			if (i % 7 == 0)
				s.engine->mem.fail_at = 1 + pick(&m, 9);
			step(&s, &m);
		}
		stream_end(&s);
	}
}

static size_t memory_of(const struct stream *s)
{
	return s->engine->mem.used_bytes;
}

static void children_that_change_nothing_take_no_slots(void **state)
{
	static struct model m;
	struct stream s;
	size_t one, all;

	(void)state;
	stream_start(&s, ENGINE_PID);
	one = memory_of(&s);
	stream_end(&s);
	begin(&s, &m, 1, SLOTS);
	closes_in(&s, &m, 0, 9); /* from here on there is room for history */
	opens_in(&s, &m, 0, 9);
	one = memory_of(&s) - one;
	all = memory_of(&s);
	for (uint32_t child = 1; child < FAMILY; child++)
		born(&s, &m, 0, child);
	assert_in_range(memory_of(&s) - all, 0, one / 2);
	all = memory_of(&s);
	closes_in(&s, &m, 3, 5);
	assert_in_range(memory_of(&s) - all, sizeof(struct chunk), 2 * sizeof(struct chunk));
	check_all(&s, &m);
	stream_end(&s);
}

static const struct slot *slot_of(const struct stream *s, const struct model *m, uint32_t who,
				  uint32_t fd, struct slot *room)
{
	return fdtable_look(map_get(&s->engine->tables, table_of(m, who)), fd, room);
}

/* Not that of its parent's: it has opened nothing, and nothing of it was ever closed. */
static void a_child_has_no_history(void **state)
{
	static struct model m;
	const struct slot *slot;
	struct slot room;
	struct stream s;

	(void)state;
	begin(&s, &m, 1, 4);
	closes_in(&s, &m, 0, 3);
	opens_in(&s, &m, 0, 3);
	born(&s, &m, 0, 1);
	born(&s, &m, 1, 2);
	for (uint32_t who = 1; who < 3; who++) {
		slot = slot_of(&s, &m, who, 3, &room);
		assert_int_equal(slot->ended, 0);
		assert_int_equal(slot->generation, 2);
		assert_true(slot->flags & SLOT_INHERITED);
		assert_false(slot->flags & SLOT_COUNTED);
	}
	slot = slot_of(&s, &m, 0, 3, &room);
	assert_int_not_equal(slot->ended, 0);
	assert_true(slot->flags & SLOT_COUNTED);
	assert_true(slot->flags & SLOT_SHARED);
	stream_end(&s);
}

/* The opener is still told when the process that opened it is long gone. */
static void a_child_outlives_its_parent(void **state)
{
	static struct model m;
	const struct slot *slot;
	struct slot room;
	struct stream s;

	(void)state;
	begin(&s, &m, 1, 4);
	born(&s, &m, 0, 1);
	ends(&s, &m, 0);
	check_all(&s, &m);
	slot = slot_of(&s, &m, 1, 3, &room);
	assert_non_null(slot->site);
	assert_int_equal(slot->site->process->pid, PID);
	assert_int_equal(slot->site->open, 0);
	closes_in(&s, &m, 1, 3);
	check_all(&s, &m);
	stream_end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_family_that_forks_and_changes),
		cmocka_unit_test(a_family_without_memory),
		cmocka_unit_test(children_that_change_nothing_take_no_slots),
		cmocka_unit_test(a_child_has_no_history),
		cmocka_unit_test(a_child_outlives_its_parent),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
