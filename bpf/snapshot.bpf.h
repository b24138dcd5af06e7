/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The tables of all traced tasks, asked for by user space: an iterator over tasks that sends
 * the same events into the same ring. It must not overflow it: user space reads the iterator in
 * small pieces (each task writes PIECE_SIZE bytes to it) and empties the ring in between; a
 * table larger than that stops half-way and goes on in the next round.
 */
#ifndef FDTRACE_SNAPSHOT_BPF_H
#define FDTRACE_SNAPSHOT_BPF_H

#define PIECE_SIZE 64

struct fdt_cursor cursor;

static __always_inline bool snapshot_wants(struct task_struct *task)
{
	if (cursor.stopped || (u32)task->pid < cursor.tid || is_kernel(task) || is_worker(task))
		return false;
	return cursor.only_tgid ? (u32)task->tgid == cursor.only_tgid : tgid_is_traced(task->tgid);
}

/* Returns false when the task is about to end, or there is no room. */
static __always_inline bool snapshot_task(struct task_struct *task, u64 table)
{
	struct fdt_task *event = RESERVE(fdt_task);

	if (!event)
		return false;
	if (task->flags & PF_EXITING) {
		DISCARD(event);
		return false;
	}
	HEAD_PRECISE(event, FDT_TASK, FDT_OP_SNAPSHOT, task, table);
	task_facts(event, task);
	EMIT(event);
	return true;
}

static __always_inline void snapshot_table(struct task_struct *task, u64 table)
{
	struct fdt_walk walk = { .op = FDT_OP_SNAPSHOT, .table = table };

	walk.task = task; /* plain already */
	if (cursor.fd && cursor.tid == (u32)task->pid && cursor.table == table)
		walk.first_fd = cursor.fd;
	walk_table(&walk);
	cursor.fd = 0;
	if (!walk.stopped || task->flags & PF_EXITING)
		return;
	cursor.stopped = 1;
	cursor.tid = task->pid;
	cursor.fd = walk.at;
	cursor.table = table;
}

static __always_inline int on_snapshot_task(struct seq_file *seq, struct task_struct *task)
{
	static const char piece[PIECE_SIZE];
	u64 table;

	if (!task)
		return 0;
	task = plain_task(task);
	table = (u64)task->files;
	if (!table || !snapshot_wants(task))
		return 0;
	if (!snapshot_task(task, table))
		return 0;
	/* Threads share their leader's table, unless they took one of their own. */
	if (task->pid == task->tgid || table != (u64)task->group_leader->files)
		snapshot_table(task, table);
	bpf_seq_write(seq, piece, sizeof(piece));
	return 0;
}

#endif
