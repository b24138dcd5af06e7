/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What slots of a table hold: one slot, 64 slots, or which of 512 are filled. */
#ifndef FDTRACE_SLOTS_BPF_H
#define FDTRACE_SLOTS_BPF_H

static __always_inline u64 table_fdt(u64 table)
{
	return can_cast ? (u64)LOAD(true, files_struct, table, fdt)
			: (u64)LOAD(false, files_struct, table, fdt);
}

static __always_inline u32 table_capacity(u64 table)
{
	u64 fdt = table_fdt(table);

	return can_cast ? LOAD(true, fdtable, fdt, max_fds) : LOAD(false, fdtable, fdt, max_fds);
}

/*
 * 64 bits of the table's open_fds. A clear bit is a fact; a set one is not: a number is taken
 * before its slot is filled, and given back if the open fails.
 */
static __always_inline u64 open_bits(u64 table, u32 first_fd)
{
	u64 fdt = table_fdt(table), address, bits = 0;

	if (first_fd >= table_capacity(table))
		return 0;
	address = can_cast ? (u64)LOAD(true, fdtable, fdt, open_fds)
			   : (u64)LOAD(false, fdtable, fdt, open_fds);
	bpf_probe_read_kernel(&bits, sizeof(bits), (void *)(address + first_fd / 8));
	return bits;
}

static __always_inline u8 kind_of(u8 op)
{
	if (op == FDT_OP_USE || op == FDT_OP_STALE_USE)
		return FDT_USE;
	return op == FDT_OP_MARK ? FDT_MARK : FDT_SLOT;
}

/* What the current task's table holds under that number. SLOT, or USE or MARK, which look the same. */
GLOBAL int emit_slot(u8 op, u32 syscall, u32 fd, s32 result, u64 site)
{
	struct task_struct *task = CURRENT; /* its numbers, read so, need no test of the address */
	u64 table = (u64)plain_task(task)->files;
	struct fdt_slot *event = RESERVE(fdt_slot);

	if (!event)
		return 0;
	HEAD_COARSE(event, kind_of(op), op, task, table);
	event->head.syscall = syscall;
	event->fd = fd;
	event->result = result;
	event->site = site;
	describe_file(&event->file, slot_file(table, fd));
	EMIT(event);
	return 0;
}

/* A walk over a whole table: what the callbacks of bpf_loop share. */
struct fdt_walk {
	u64 table;
	u64 time_ns;
	struct task_struct *task;
	struct fdt_vec *vec; /* the record being filled */
	u64 bits;            /* of its slots, those yet to be looked at */
	u32 op;
	u32 first_fd; /* of the walk */
	u32 block_fd; /* of the 512 slots at hand */
	u32 at;       /* for a snapshot that stops half-way: where it goes on */
	u32 stopped;
};

#define BLOCK_SLOTS 512
#define SPARSE_FROM 4096 /* empty blocks of larger tables are sent in short */

static u32 bits_set(u64 bits)
{
	return __builtin_popcountll(bits);
}

/* The lowest of the bits that are left. */
static long walk_vec_slot(__attribute__((unused)) u64 i, struct fdt_walk *walk)
{
	u32 at = bits_set((walk->bits & -walk->bits) - 1) % FDT_VEC_SLOTS;

	walk->bits &= walk->bits - 1;
	describe_file(&walk->vec->file[at], slot_file(walk->table, walk->at + at));
	if (walk->op == FDT_OP_SNAPSHOT)
		reader_found(walk->task->tgid, walk->vec->file[at].detail);
	return 0;
}

/* Most tables are nearly empty: only the slots that may be filled are looked at one by one. */
static __always_inline void vec_fill(struct fdt_walk *walk)
{
	static const struct fdt_file nothing[FDT_VEC_SLOTS];

	bpf_probe_read_kernel(walk->vec->file, sizeof(walk->vec->file), nothing);
	walk->bits = open_bits(walk->table, walk->at);
	if (walk->bits)
		bpf_loop(bits_set(walk->bits), walk_vec_slot, walk, 0);
}

#define PF_EXITING 0x4

/*
 * A snapshot looks at tasks from outside. One that is exiting has reported its end, or is about
 * to; what is said about it must stand before that in the ring. Looked at after reserving.
 */
static __always_inline bool is_leaving(const struct fdt_walk *walk)
{
	return walk->op == FDT_OP_SNAPSHOT && walk->task->flags & PF_EXITING;
}

static long vec_emit(u64 i, struct fdt_walk *walk)
{
	struct task_struct *task = walk->task;
	u32 first_fd = walk->block_fd + i * FDT_VEC_SLOTS, capacity;
	struct fdt_vec *event = RESERVE(fdt_vec);

	if (!event) {
		walk->stopped = 1;
		return 1;
	}
	if (is_leaving(walk)) {
		DISCARD(event);
		walk->stopped = 1;
		return 1;
	}
	head_fill(&event->head, FDT_VEC, walk->op, sizeof(*event), walk->time_ns, task,
		  walk->table);
	capacity = table_capacity(walk->table);
	event->first_fd = first_fd;
	event->max_fds = capacity;
	event->head.flags =
		(first_fd ? 0 : FDT_FIRST) | (first_fd + FDT_VEC_SLOTS >= capacity ? FDT_LAST : 0);
	walk->vec = event;
	walk->at = first_fd;
	vec_fill(walk);
	EMIT(event);
	return first_fd + FDT_VEC_SLOTS >= capacity;
}

/* Which slots hold a file, 64 at a time. */
struct fdt_filling {
	u64 table;
	u64 bits; /* of open_fds */
	u64 filled;
	u32 first_fd;
	u32 base;
	struct fdt_words *event;
};

static long fill_bit(u64 i, struct fdt_filling *filling)
{
	if (i < 64 && filling->bits >> i & 1 && slot_file(filling->table, filling->base + i))
		filling->filled |= 1ull << i;
	return 0;
}

static long fill_word(u64 i, struct fdt_filling *filling)
{
	if (i >= FDT_WORDS_COUNT)
		return 1;
	filling->filled = 0;
	filling->base = filling->first_fd + i * 64;
	filling->bits = open_bits(filling->table, filling->base);
	if (filling->bits)
		bpf_loop(64, fill_bit, filling, 0);
	filling->event->word[i] = filling->filled;
	return 0;
}

/* low > high: no range was asked for, this is part of a walk over the table. */
static __noinline long words_emit(struct fdt_walk *walk, u32 low, u32 high)
{
	struct fdt_filling filling = {};
	struct fdt_words *event;

	if (!walk)
		return 1;
	event = RESERVE(fdt_words);
	if (!event)
		return 1;
	head_fill(&event->head, FDT_WORDS, walk->op, sizeof(*event), walk->time_ns, walk->task,
		  walk->table);
	if (walk->op == FDT_OP_RANGE)
		event->head.syscall = FDT_SYS_close_range;
	event->first_fd = walk->block_fd;
	event->max_fds = table_capacity(walk->table);
	event->low = low;
	event->high = high;
	filling.table = walk->table;
	filling.first_fd = walk->block_fd;
	filling.event = event;
	bpf_loop(FDT_WORDS_COUNT, fill_word, &filling, 0);
	EMIT(event);
	return 0;
}

static __always_inline bool block_is_empty(u64 table, u32 first_fd)
{
	u64 bits = 0;

	for (u32 i = 0; i < BLOCK_SLOTS / 64; i++)
		bits |= open_bits(table, first_fd + i * 64);
	return !bits;
}

/*
 * 512 slots: 8 VEC records of 2 KiB. Tables never shrink, so one that was large once is mostly
 * empty; such blocks are sent as one WORDS record of 112 bytes. Not the last one: the end
 * of the table is sent as a VEC.
 */
static long walk_block(u64 i, struct fdt_walk *walk)
{
	u32 first_fd = walk->first_fd + i * BLOCK_SLOTS, capacity = table_capacity(walk->table);

	walk->block_fd = first_fd;
	if (walk->op == FDT_OP_SNAPSHOT &&
	    bpf_ringbuf_query(&fdt_ring, BPF_RB_AVAIL_DATA) > ring_half) {
		walk->at = first_fd;
		walk->stopped = 1;
		return 1;
	}
	if (first_fd >= SPARSE_FROM && first_fd + BLOCK_SLOTS < capacity &&
	    block_is_empty(walk->table, first_fd))
		return words_emit(walk, 1, 0);
	bpf_loop(BLOCK_SLOTS / FDT_VEC_SLOTS, vec_emit, walk, 0);
	return walk->stopped || first_fd + BLOCK_SLOTS >= capacity;
}

#define BLOCKS_MAX (1 << 21) /* of 512: 2^30 descriptors, more than sysctl fs.nr_open allows */

/* The whole table, or what a snapshot has left of it. */
static __always_inline void walk_table(struct fdt_walk *walk)
{
	walk->time_ns = coarse_ns();
	bpf_loop(BLOCKS_MAX, walk_block, walk, 0);
}

static __noinline int emit_table(struct task_struct *task, u32 op)
{
	struct fdt_walk walk = { .op = op };

	if (!task)
		return 0;
	walk.task = plain_task(task);
	walk.table = (u64)walk.task->files;
	if (walk.table)
		walk_table(&walk);
	return 0;
}

struct fdt_range {
	struct fdt_walk walk;
	u32 low, high;
};

static long range_block(u64 i, struct fdt_range *range)
{
	range->walk.block_fd = range->walk.first_fd + i * BLOCK_SLOTS;
	return words_emit(&range->walk, range->low, range->high);
}

/* After close_range: which numbers around there are filled. Both ends included. */
GLOBAL int emit_range(u32 low, u32 high)
{
	struct fdt_range range = { .walk.op = FDT_OP_RANGE };
	u32 capacity;

	range.walk.task = plain_task(CURRENT);
	range.walk.table = current_table();
	range.walk.time_ns = coarse_ns();
	capacity = table_capacity(range.walk.table);
	if (low >= capacity || low > high)
		return 0;
	range.low = low;
	range.high = high < capacity ? high : capacity - 1;
	range.walk.first_fd = low & ~(BLOCK_SLOTS - 1);
	bpf_loop((range.high - range.walk.first_fd) / BLOCK_SLOTS + 1, range_block, &range, 0);
	return 0;
}

#endif
