/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The site of a call: its stack is walked, hashed, and sent if the hash is new. */
#ifndef FDTRACE_SITE_BPF_H
#define FDTRACE_SITE_BPF_H

/* ---- address spaces ---- */

static const struct fdt_space no_space; /* too large for a BPF stack */

static __always_inline struct fdt_space *space_new(u64 key)
{
	struct fdt_space *space;

	bpf_map_update_elem(&fdt_spaces, &key, &no_space, BPF_ANY);
	space = bpf_map_lookup_elem(&fdt_spaces, &key);
	if (space)
		space->serial = __sync_fetch_and_add(&space_serial.value, 1) + 1;
	return space;
}

static __always_inline struct fdt_space *space_of_key(u64 key)
{
	struct fdt_space *space = bpf_map_lookup_elem(&fdt_spaces, &key);

	return space ?: space_new(key);
}

/* A child with a memory of its own begins with the mappings of its parent. */
static __always_inline void space_forked(struct task_struct *parent, struct task_struct *child)
{
	u64 from = (u64)plain_task(parent)->mm, to = (u64)plain_task(child)->mm;
	struct fdt_space *space;

	if (!stack_level || from == to)
		return;
	space = bpf_map_lookup_elem(&fdt_spaces, &from);
	if (!space || bpf_map_update_elem(&fdt_spaces, &to, space, BPF_ANY)) {
		bpf_map_delete_elem(&fdt_spaces, &to);
		return;
	}
	space = bpf_map_lookup_elem(&fdt_spaces, &to);
	if (space)
		space->serial = __sync_fetch_and_add(&space_serial.value, 1) + 1;
}

static __always_inline void space_replaced(struct task_struct *task)
{
	u64 key = (u64)plain_task(task)->mm;

	if (stack_level)
		bpf_map_delete_elem(&fdt_spaces, &key);
}

static __always_inline void space_unmapped(u64 start, u64 length)
{
	u64 key = (u64)plain_task(CURRENT)->mm;
	struct fdt_space *space = stack_level ? bpf_map_lookup_elem(&fdt_spaces, &key) : 0;

	if (space)
		modules_unmapped(space, start, start + length);
}

/* ---- copies of stacks, for user space to unwind ---- */

#if ARCH_WALKS_STACKS

struct fdt_copying_stack {
	struct fdt_copy copy;
	u8 bytes[FDT_COPY_MAX]; /* belongs to copy */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct fdt_copying_stack);
} fdt_copies SEC(".maps");

/*
 * As much as there is, at most FDT_COPY_MAX. A short stack soon ends at a page that was never touched:
 * above what the kernel put there for a new program it leaves a gap of a random size.
 */
static __always_inline u32 copy_stack(struct fdt_copying_stack *c)
{
	u64 sp = c->copy.reg[FDT_REG_SP], size = FDT_PAGE_SIZE - (sp & (FDT_PAGE_SIZE - 1));

	if (!bpf_probe_read_user(c->bytes, FDT_COPY_MAX, (void *)sp))
		return FDT_COPY_MAX;
	OPAQUE(size);
	if (size > FDT_PAGE_SIZE || bpf_probe_read_user(c->bytes, size, (void *)sp))
		return 0;
	for (u32 i = 1; i < FDT_COPY_MAX / FDT_PAGE_SIZE; i++) {
		if (bpf_probe_read_user(&c->bytes[size], FDT_PAGE_SIZE, (void *)(sp + size)))
			break;
		size += FDT_PAGE_SIZE;
	}
	return size;
}

/* Where the files are that the copy leads through. */
static __always_inline void copy_modules(struct fdt_copy *copy, struct fdt_scratch *s)
{
	u64 key = (u64)plain_task(CURRENT)->mm;
	struct fdt_space *space = bpf_map_lookup_elem(&fdt_spaces, &key);

	copy->has_unknown = s->stack.native_end == FDT_END_NO_TABLE && s->mapping.is_file;
	copy->key = s->mapping.key;
	copy->start = s->mapping.start;
	copy->end = s->mapping.end;
	copy->offset_bytes = s->mapping.offset_bytes;
	if (space)
		__builtin_memcpy(copy->module, space->module, sizeof(copy->module));
	else
		__builtin_memset(copy->module, 0, sizeof(copy->module));
}

static __noinline int send_copy(struct fdt_scratch *s)
{
	struct task_struct *task = plain_task(CURRENT);
	struct fdt_copying_stack *c;
	u32 zero = 0, size;

	if (!s)
		return 0;
	c = bpf_map_lookup_elem(&fdt_copies, &zero);
	if (!c)
		return 0;
	registers_copy(c->copy.reg, (struct pt_regs *)bpf_task_pt_regs(CURRENT));
	size = copy_stack(c);
	c->copy.hash = s->stack.hash;
	c->copy.space = s->stack.space;
	c->copy.size = size;
	copy_modules(&c->copy, s);
	size += sizeof(struct fdt_copy);
	if (size > sizeof(*c))
		return 0;
	head_fill(&c->copy.head, FDT_COPY, FDT_OP_NONE, size, coarse_ns(), task, (u64)task->files);
	bpf_ringbuf_output(&fdt_ring, c, size, wakeup_flags(size));
	return 0;
}

#else

static __always_inline int send_copy(__attribute__((unused)) struct fdt_scratch *s)
{
	return 0;
}

#endif

static __always_inline bool copy_is_granted(void)
{
	if ((s64)copies_left.value <= 0)
		return false;
	return (s64)__sync_fetch_and_add(&copies_left.value, -1) > 0;
}

/* ---- what is taken ---- */

/*
 * Who opened a number last, as far as a table of hashes remembers: when time is short, closes by
 * the thread that opened are the first to be left without a stack. A collision costs or spends
 * one stack, nothing else.
 */
#define OPENERS 65536
u32 opener_tid[OPENERS];

static __always_inline u32 *opener_of(u32 fd)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32;

	return &opener_tid[(u16)(tgid * 31 + fd)];
}

/* Kept only while it is needed. */
static __always_inline void opener_note(u32 fd)
{
	if (stack_level == FDT_STACKS_NO_CLOSE)
		*opener_of(fd) = (u32)bpf_get_current_pid_tgid();
}

#define FEW 64
struct fdt_counter calls_here[CPUS_MAX];

static __always_inline bool is_one_of_few(void)
{
	u32 cpu = bpf_get_smp_processor_id() & (CPUS_MAX - 1);

	return !(++calls_here[cpu].value % FEW);
}

/* fd: of a close, else -1 */
static __always_inline bool stack_is_wanted(u32 level, s32 fd)
{
	if (level == FDT_STACKS_ALL)
		return true;
	if (level == FDT_STACKS_NO_CLOSE)
		return fd < 0 || *opener_of(fd) != (u32)bpf_get_current_pid_tgid();
	return level == FDT_STACKS_FEW && is_one_of_few();
}

/* ---- sending ---- */

static __always_inline bool ended_early(u8 end)
{
	return end == FDT_END_NO_TABLE || end == FDT_END_NO_RULE || end == FDT_END_OTHER_RULE ||
	       end == FDT_END_NO_MODULE;
}

/*
 * What a walk that ended early has seen is not enough to distinguish places; such stacks are
 * sent each time, with a copy, as long as copies are granted, and then go by what was seen.
 */
static __always_inline void finish_hash(struct fdt_scratch *s)
{
	u64 hash = mix_hash(s->hash, s->stack.native_count | (u64)s->stack.interpreted_count << 32);

	if (s->stack.interpreted_count)
		hash = mix_hash(hash, s->stack.space);
	s->stack.copied = 0;
	if (stacks_native && ended_early(s->stack.native_end)) {
		hash = mix_hash(hash, s->sp);
		if (copy_is_granted()) {
			hash = mix_hash(hash, bpf_ktime_get_ns());
			s->stack.copied = 1;
		}
	}
	s->stack.hash = hash ?: 1;
}

static __noinline int send_stack(struct fdt_scratch *s)
{
	struct task_struct *task = plain_task(CURRENT);
	u8 sent = 1;
	u32 frames, size;

	if (!s)
		return 0;
	frames = s->stack.native_count + s->stack.interpreted_count;
	if (frames > FDT_NATIVE_MAX + FDT_INTERPRETED_MAX)
		return 0;
	size = sizeof(struct fdt_stack) + frames * sizeof(struct fdt_frame);
	OPAQUE(size);
	if (size > sizeof(struct fdt_stack) + sizeof(s->frame))
		return 0;
	head_fill(&s->stack.head, FDT_STACK, FDT_OP_NONE, size, coarse_ns(), task,
		  (u64)task->files);
	if (bpf_ringbuf_output(&fdt_ring, &s->stack, size, wakeup_flags(size))) {
		__sync_fetch_and_add(&stacks_lost.value, 1);
		return 0;
	}
	bpf_map_update_elem(&fdt_sites_sent, &s->stack.hash, &sent, BPF_ANY);
	__sync_fetch_and_add(&stacks_sent.value, 1);
	if (s->stack.copied)
		send_copy(s);
	return 0;
}

/* ---- taking ---- */

static __always_inline void take_frames(struct fdt_scratch *s, struct fdt_space *space)
{
	s->hash = 0;
	s->stack.space = space->serial;
	s->stack.native_count = 0;
	s->stack.interpreted_count = 0;
	s->stack.native_end = FDT_END_NOT_TAKEN;
	s->stack.interpreted_end = FDT_END_NOT_TAKEN;
	if (stacks_native || !space_has_interpreter(space))
		unwind_stack(s, space);
	if (!stacks_native) { /* only to find the interpreter */
		s->hash = 0;
		s->stack.native_count = 0;
		s->stack.native_end = FDT_END_NOT_TAKEN;
	}
	if (stacks_interpreted)
		interpreted_walk(s, space);
}

static __always_inline void take_and_send(struct fdt_scratch *s, struct fdt_space *space)
{
	take_frames(s, space);
	finish_hash(s);
	if (bpf_map_lookup_elem(&fdt_sites_sent, &s->stack.hash))
		return;
	if (stacks_interpreted && s->stack.interpreted_count)
		interpreted_send(s);
	send_stack(s);
}

/* The hash of the current stack, sent if it is new; 0: none could be taken. */
GLOBAL u64 take_site(void)
{
	struct fdt_scratch *s = scratch_of_cpu();
	struct fdt_walk_counts *counts = counts_of_cpu();
	u64 key = (u64)plain_task(CURRENT)->mm, began = 0;
	struct fdt_space *space;

	if (!s || !key || call_is_compat(CURRENT))
		return 0;
	space = space_of_key(key);
	if (!space || s->busy) /* busy: this CPU's walk was interrupted by another thread */
		return 0;
	s->busy = 1;
	if (space->epoch != space_epoch) {
		space->epoch = space_epoch;
		modules_unmapped(space, 0, ~0ull);
	}
	if (!(counts->taken++ % (1 << FDT_WALK_SAMPLE_SHIFT)))
		began = bpf_ktime_get_ns();
	take_and_send(s, space);
	key = s->stack.hash;
	counts->frames += s->stack.native_count + s->stack.interpreted_count;
	if (began)
		counts->sampled_ns += bpf_ktime_get_ns() - began;
	s->busy = 0;
	return key;
}

/* Of a call that put something into a slot or emptied one; fd: of a close, else -1. */
static __always_inline u64 site_of_change(s32 fd)
{
	u32 level = stack_level;

	if (level == FDT_STACKS_OFF)
		return 0;
	if (stack_is_wanted(level, fd))
		return take_site();
	__sync_fetch_and_add(&counts_of_cpu()->skipped, 1);
	return 0;
}

/* Of a call that failed. */
static __always_inline u64 site_of_error(void)
{
	return stack_level ? take_site() : 0;
}

#endif
