/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The function hook set: the kernel's own functions that fill, replace and empty a slot show what
 * happened, whoever asked for it: a system call, io_uring, a control message, an ioctl. All run
 * after the function has done its work. Other system calls cost nothing, and nothing is known
 * about them: neither that they failed nor what they used.
 *
 * Which function empties a slot depends on the kernel; the loader chooses (src/source/live/functions.c).
 */
#ifndef FDTRACE_FUNCTIONS_BPF_H
#define FDTRACE_FUNCTIONS_BPF_H

/* Not fdtrace itself, not what the kernel does for itself, not a table that is not the task's own yet. */
static __always_inline bool function_concerns(struct task_struct *task, u64 table)
{
	return tgid_is_traced(task->tgid) && !(task->flags & PF_KTHREAD) &&
	       (!table || table == (u64)plain_task(task)->files);
}

static __always_inline bool by_uring(struct task_struct *task, u32 syscall)
{
	return is_worker(task) || syscall == FDT_SYS_io_uring_enter;
}

static __always_inline u8 filling_op(u32 syscall)
{
	return syscall == FDT_SYS_recvmsg || syscall == FDT_SYS_recvmmsg ? FDT_OP_RECEIVE
									 : FDT_OP_OPEN;
}

/* fd_install(fd, file) has put something into a slot that was empty. */
static __always_inline int on_installed(u32 fd)
{
	struct task_struct *task = CURRENT;
	u32 syscall;

	if (!function_concerns(task, 0))
		return 0;
	syscall = current_call(task);
	run_break();
	name_slot(fd);
	if (by_uring(task, syscall))
		return emit_uring(FDT_OP_URING, syscall, fd, fd);
	emit_slot(filling_op(syscall), syscall, fd, fd, site_of_change(-1));
	opener_note(fd);
	note_change(filling_op(syscall), fd);
	return 0;
}

/* do_dup2(table, file, fd, flags): whatever was there is replaced. */
static __always_inline int on_replaced(u64 table, u32 fd, s64 result)
{
	struct task_struct *task = CURRENT;
	u32 syscall;

	if (result < 0 || !function_concerns(task, table))
		return 0;
	syscall = current_call(task);
	run_break();
	emit_slot(FDT_OP_REPLACE, syscall, fd, fd, site_of_change(-1));
	opener_note(fd);
	note_change(FDT_OP_REPLACE, fd);
	return 0;
}

/*
 * pick_file(table, fd) and its successor have taken a file out of its slot. What close_range
 * takes out is reported as a whole when that call returns.
 */
static __always_inline int on_emptied(u64 table, u32 fd, u64 file)
{
	struct task_struct *task = CURRENT;
	u32 syscall;

	if (!file || file >= -4095ull || !function_concerns(task, table))
		return 0;
	syscall = current_call(task);
	if (syscall == FDT_SYS_close_range)
		return 0;
	run_break();
	if (by_uring(task, syscall))
		return emit_uring(FDT_OP_URING_CLOSE, FDT_SYS_close, fd, 0);
	emit_slot(FDT_OP_CLOSE, syscall, fd, 0, site_of_change(fd));
	note_change(FDT_OP_CLOSE, fd);
	return 0;
}

/*
 * A close of a number that is not open. Which function close(2) calls has changed (6.6, 6.8); the
 * others serve others.
 */
static __always_inline int on_close_failed(u32 fd)
{
	struct task_struct *task = CURRENT;

	if (!function_concerns(task, 0) || is_worker(task) || current_call(task) != FDT_SYS_close)
		return 0;
	return report_error(FDT_SYS_close, EBADF, fd,
			    slot_file(current_table(), fd) ? 0 : FDT_ERR_EMPTY);
}

/* The call itself is over: its arguments stand where user space left them. */
static __always_inline int on_call_returned(u8 what, u32 syscall, s64 result)
{
	struct task_struct *task = CURRENT;
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
	struct fdt_exit x = { .what = what, .syscall = syscall };

	if ((s32)result || !function_concerns(task, 0) || current_call(task) != syscall)
		return 0;
	x.compat = call_is_compat(task);
	call_args(regs, x.compat, x.args);
	run_break();
	return on_rare(&x);
}

/*
 * The same by kprobes, where programs on functions can be preempted and are then skipped: what the
 * function was given is kept from its entry to its return. Those that change slots do not call
 * each other; the one that closes calls them.
 */
enum { ENTRY_SLOT, ENTRY_CLOSE, ENTRIES };

struct fdt_entry {
	u64 table;
	u32 fd;
	u32 valid;
};

struct fdt_entries {
	struct fdt_entry of[ENTRIES];
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct fdt_entries);
} fdt_entries SEC(".maps");

struct fdt_counter missed_returns;

static __always_inline int entry_put(const u32 which, u64 table, u32 fd)
{
	struct fdt_entries *entries_here;
	struct fdt_entry *entry;

	if (!tgid_is_traced(bpf_get_current_pid_tgid() >> 32))
		return 0;
	entries_here =
		bpf_task_storage_get(&fdt_entries, CURRENT, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!entries_here) {
		__sync_fetch_and_add(&lost_events.value, 1);
		return 0;
	}
	entry = &entries_here->of[which];
	if (entry->valid) /* the return of what was entered before went unseen */
		__sync_fetch_and_add(&missed_returns.value, 1);
	entry->table = table;
	entry->fd = fd;
	entry->valid = 1;
	return 0;
}

/* False: its entry was not seen. */
static __always_inline bool entry_take(const u32 which, struct fdt_entry *ret_entry)
{
	struct fdt_entries *entries_here = bpf_task_storage_get(&fdt_entries, CURRENT, 0, 0);
	struct fdt_entry *entry = entries_here ? &entries_here->of[which] : NULL;

	if (!entry || !entry->valid)
		return false;
	*ret_entry = *entry;
	entry->valid = 0;
	return true;
}

#endif
