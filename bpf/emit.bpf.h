/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Putting events into the ring. The order is always: the operation has happened -> RESERVE ->
 * read what is asserted -> emit(). See event.h for why.
 */
#ifndef FDTRACE_EMIT_BPF_H
#define FDTRACE_EMIT_BPF_H

/*
 * A function that is not static is verified once, by itself, with whatever its arguments may
 * be; a static one again at each call. The verifier takes scalars and plain memory for arguments
 * of the former, so those that concern the current task fetch it themselves.
 */
#define GLOBAL __attribute__((noinline))
#define CURRENT bpf_get_current_task_btf()

#define WAKEUP_BATCH 4096 /* bytes a CPU counts by itself before it adds them to the total */

/*
 * NULL when the ring is full: counted, and then there is nothing to do. Test it at once: a test
 * after other calls is a second one, and older verifiers (6.1) think it may come out differently.
 */
#define RESERVE(type) \
	((struct type *)check_reserved(bpf_ringbuf_reserve(&fdt_ring, sizeof(struct type), 0)))

static __always_inline void *check_reserved(void *room)
{
	if (!room)
		__sync_fetch_and_add(&lost_events.value, 1);
	return room;
}

/*
 * A wakeup costs as much as a hundred events, so the reader comes by itself and is woken only
 * each time another eighth of the ring has been filled. CPUs count in batches: one line that
 * all of them write for each event would cost more than the event.
 */
static __always_inline u64 wakeup_flags(u32 size)
{
	u32 cpu = bpf_get_smp_processor_id() & (CPUS_MAX - 1);
	u64 here = filled_here[cpu].value + size, before;

	filled_here[cpu].value = here < WAKEUP_BATCH ? here : 0;
	if (here < WAKEUP_BATCH)
		return BPF_RB_NO_WAKEUP;
	before = __sync_fetch_and_add(&filled_bytes.value, here);
	return before >> wakeup_shift == (before + here) >> wakeup_shift ? BPF_RB_NO_WAKEUP
									 : BPF_RB_FORCE_WAKEUP;
}

/* The size of the record is known at compile time: head.size was set from it. */
#define EMIT(event) bpf_ringbuf_submit((event), wakeup_flags(sizeof(*(event))))
#define DISCARD(event) bpf_ringbuf_discard((event), BPF_RB_NO_WAKEUP)

static __always_inline void head_fill(struct fdt_head *head, u8 kind, u8 op, u16 size, u64 time_ns,
				      struct task_struct *task, u64 table)
{
	head->kind = kind;
	head->op = op;
	head->size = size;
	head->syscall = 0;
	head->flags = 0;
	head->tgid = task->tgid;
	head->tid = task->pid;
	head->time_ns = time_ns;
	head->table = table;
}

/*
 * The time of the first event since the last timer tick: exact enough for ages, order comes from
 * the ring, and reading the clock is saved. (bpf_ktime_get_coarse_ns is not for tracing programs.)
 * CPUs that race here disagree by no more than a tick.
 */
struct {
	u64 jiffies;
	u64 time_ns;
	u64 pad[6];
} tick;

static __always_inline u64 coarse_ns(void)
{
	u64 jiffies = bpf_jiffies64(), time_ns = tick.time_ns;

	if (tick.jiffies == jiffies)
		return time_ns;
	time_ns = bpf_ktime_get_ns();
	tick.time_ns = time_ns;
	barrier();
	tick.jiffies = jiffies;
	return time_ns;
}

#define HEAD_COARSE(event, kind, op, task, table) \
	head_fill(&(event)->head, kind, op, sizeof(*(event)), coarse_ns(), task, table)
#define HEAD_PRECISE(event, kind, op, task, table) \
	head_fill(&(event)->head, kind, op, sizeof(*(event)), bpf_ktime_get_ns(), task, table)

#endif
