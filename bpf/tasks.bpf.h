/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Births, execs and deaths of tasks, what a process is, and whom to trace. */
#ifndef FDTRACE_TASKS_BPF_H
#define FDTRACE_TASKS_BPF_H

/* linux/sched.h */
#define PF_IO_WORKER 0x10
#define PF_USER_WORKER 0x4000
#define PF_KTHREAD 0x200000
#define CLONE_FILES 0x400
#define CLONE_PIDFD 0x1000
#define CLONE_VFORK 0x4000
#define CLONE_THREAD 0x10000

/*
 * Threads that the kernel runs inside a process (io_uring's and vhost's workers) make no system
 * calls and end before their process does: they are not reported, except that such a thread may be
 * the last one to end. They keep the table alive no longer than the process's own threads do.
 */
static __always_inline bool is_worker(struct task_struct *task)
{
	return task->flags & (PF_IO_WORKER | PF_USER_WORKER);
}

static __always_inline bool is_kernel(struct task_struct *task)
{
	return task->flags & PF_KTHREAD || !plain_task(task)->files;
}

/* What io_uring did. A worker's own thread id is of no interest: its process did it. */
GLOBAL int emit_uring(u8 op, u32 syscall, u32 fd, s32 result)
{
	struct task_struct *task = plain_task(CURRENT);
	u64 table = (u64)task->files;
	struct fdt_slot *event = RESERVE(fdt_slot);

	if (!event)
		return 0;
	HEAD_COARSE(event, FDT_SLOT, op, task, table);
	if (is_worker(task))
		event->head.tid = task->tgid;
	event->head.syscall = syscall;
	event->fd = fd;
	event->result = result;
	event->site = 0;
	describe_file(&event->file, slot_file(table, fd));
	EMIT(event);
	note_change(op, fd);
	return 0;
}

static __always_inline void task_facts(struct fdt_task *event, struct task_struct *task)
{
	event->other_tid = 0;
	event->parent_tgid = task->real_parent->tgid;
	event->start_ns = task->group_leader->start_boottime;
	event->nofile = nofile_of(task);
	event->uid = task->real_cred->uid.val;
	event->exit_code = 0;
	bpf_probe_read_kernel(event->comm, sizeof(event->comm), task->comm);
}

static __noinline int emit_task(struct task_struct *task, u32 op, u32 flags, u32 other_tid,
				u32 syscall)
{
	struct fdt_task *event;

	if (!task)
		return 0;
	task = plain_task(task);
	event = RESERVE(fdt_task);
	if (!event)
		return 0;
	HEAD_PRECISE(event, FDT_TASK, op, task, (u64)task->files);
	event->head.flags = flags;
	event->head.syscall = syscall;
	task_facts(event, task);
	event->other_tid = other_tid;
	if (op == FDT_OP_EXIT)
		event->exit_code = task->exit_code;
	EMIT(event);
	return 0;
}

static __always_inline void read_args(struct fdt_process *event, struct mm_struct *mm)
{
	u64 start = mm->arg_start, size = mm->arg_end - start;

	if (size > FDT_ARGS_MAX)
		size = FDT_ARGS_MAX;
	if (size && !bpf_probe_read_user(event->args, size, (void *)start))
		event->args_size = size;
}

/* The image that exec has just put in place: its arguments lie at the top of the new stack. */
#define EXE_NAME_MAX 128

/* Lies in args until these are read: only what stands in memory may change from step to step. */
struct fdt_exe_walk {
	u64 at_entry, at_mount;
	u32 count, is_whole;
	u64 entry[FDT_PATH_NAMES];
};

static long on_exe_entry(__attribute__((unused)) u64 i, struct fdt_process **event)
{
	struct fdt_exe_walk *walk = (struct fdt_exe_walk *)(*event)->args;
	u64 entry = walk->at_entry;
	u32 count = walk->count;

	switch (path_up(false, &walk->at_entry, &walk->at_mount)) {
	case PATH_ROOT: walk->is_whole = 1; return 1;
	case PATH_MOUNT: return 0;
	}
	if (count >= FDT_PATH_NAMES)
		return 1;
	walk->entry[count] = entry;
	walk->count = count + 1;
	return 0;
}

static long on_exe_name(u64 i, struct fdt_process **at)
{
	struct fdt_process *event = *at;
	struct fdt_exe_walk *walk = (struct fdt_exe_walk *)event->args;
	u32 size = event->exe_size, index = walk->count - 1 - (u32)i;
	struct dentry *entry;
	long length;

	walk->is_whole = 0;
	if (index >= FDT_PATH_NAMES || size >= FDT_EXE_MAX - EXE_NAME_MAX - 1)
		return 1;
	entry = (struct dentry *)walk->entry[index];
	event->exe[size] = '/';
	length = bpf_probe_read_kernel_str(&event->exe[size + 1], EXE_NAME_MAX,
					   BPF_CORE_READ(entry, d_name.name));
	if (length <= 1 || length >= EXE_NAME_MAX)
		return 1;
	event->exe_size = size + length;
	walk->is_whole = 1;
	return 0;
}

/* The path of the program itself, as /proc/PID/exe has it, whatever link it was called by. */
static __always_inline bool read_exe(struct fdt_process *event, struct linux_binprm *bprm)
{
	struct fdt_exe_walk *walk = (struct fdt_exe_walk *)event->args;
	bool is_whole;

	path_begin(false, (u64)bprm->file, &walk->at_entry, &walk->at_mount);
	bpf_loop(PATH_STEPS, on_exe_entry, &event, 0);
	is_whole = walk->is_whole && walk->count;
	if (is_whole) {
		bpf_loop(walk->count, on_exe_name, &event, 0);
		is_whole = walk->is_whole;
	}
	__builtin_memset(walk, 0, sizeof(*walk));
	return is_whole;
}

static __noinline int emit_process(struct task_struct *task, struct linux_binprm *bprm)
{
	struct fdt_process *event;
	long size;

	if (!task || !bprm)
		return 0;
	task = plain_task(task);
	event = RESERVE(fdt_process);
	if (!event)
		return 0;
	__builtin_memset(event, 0, sizeof(*event));
	HEAD_PRECISE(event, FDT_PROCESS, FDT_OP_EXEC, task, (u64)task->files);
	event->start_ns = task->group_leader->start_boottime;
	event->parent_tgid = task->real_parent->tgid;
	event->uid = task->real_cred->uid.val;
	/* a script is known by its own name */
	if (bprm->interp != bprm->filename || !read_exe(event, bprm)) {
		size = bpf_probe_read_kernel_str(event->exe, sizeof(event->exe), bprm->filename);
		event->exe_size = size > 0 ? size - 1 : 0;
	}
	read_args(event, task->mm);
	EMIT(event);
	return 0;
}

static __always_inline void emit_limit(struct task_struct *task, u32 tgid, u64 nofile)
{
	struct fdt_limit *event = RESERVE(fdt_limit);

	if (!event)
		return;
	HEAD_COARSE(event, FDT_LIMIT, FDT_OP_NONE, task, (u64)plain_task(task)->files);
	event->head.tgid = tgid;
	event->nofile = nofile;
	EMIT(event);
}

/*
 * Whether this new process is to be traced. One that shares a traced table is, whatever was
 * asked for: what it does happens to the table.
 */
static __always_inline bool child_is_traced(struct task_struct *creator, struct task_struct *child,
					    u64 flags)
{
	if (trace_all || flags & CLONE_THREAD)
		return tgid_is_traced(child->tgid);
	if (tgid_is_traced(creator->tgid) && (follow || flags & CLONE_FILES))
		pid_set(traced_pids, &traced_count, child->tgid);
	else /* the pid's last owner may have ended unseen */
		pid_clear(traced_pids, &traced_count, child->tgid);
	return tgid_is_traced(child->tgid);
}

static __always_inline u32 fork_flags(u64 clone_flags)
{
	return (clone_flags & CLONE_THREAD ? FDT_TASK_THREAD : 0) |
	       (clone_flags & CLONE_FILES ? FDT_TASK_SHARED : 0) |
	       (clone_flags & CLONE_VFORK ? FDT_TASK_VFORK : 0);
}

/* The call that the current task is making. */
static __always_inline u32 current_call(struct task_struct *task)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
	u32 number = call_number(regs);

	if (task->flags & PF_KTHREAD || number >= FDT_CALLS_MAX)
		return 0;
	return call_is_compat(task) ? compat_calls[number].syscall : native_calls[number].syscall;
}

/* Where clone(2) was asked to put the pidfd; clone3's struct clone_args has it after the flags. */
static __always_inline u64 pidfd_address(struct task_struct *creator, u32 syscall)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(creator);
	u64 args[CALL_ARGS], address = 0;

	call_args(regs, call_is_compat(creator), args);
	if (syscall == FDT_SYS_clone)
		return args[2];
	if (syscall == FDT_SYS_clone3)
		bpf_probe_read_user(&address, sizeof(address), (void *)(args[0] + sizeof(u64)));
	return address;
}

/*
 * The creator's table holds it by now, but its call may be far from over (CLONE_VFORK), and a
 * child that shares the memory may then have overwritten the number.
 */
static __always_inline void on_pidfd(struct task_struct *creator)
{
	u32 syscall = current_call(creator);
	u64 address = pidfd_address(creator, syscall);
	s32 fd;

	if (!tgid_is_traced(creator->tgid) || !address ||
	    bpf_probe_read_user(&fd, sizeof(fd), (void *)address) || fd < 0)
		return;
	run_break();
	emit_slot(FDT_OP_OPEN, syscall, fd, fd, site_of_change(-1));
	note_change(FDT_OP_OPEN, fd);
}

/* Runs in the creator; the child has not run yet. */
static __always_inline int on_newtask(struct task_struct *child, u64 clone_flags)
{
	struct task_struct *creator = CURRENT;
	u32 flags = fork_flags(clone_flags);

	if (clone_flags & CLONE_PIDFD && !by_functions)
		on_pidfd(creator);
	if (is_kernel(child) || is_worker(child) || !child_is_traced(creator, child, clone_flags))
		return 0;
	run_break();
	space_forked(creator, child);
	if (any_readers())
		reader_forked(creator->tgid, child->tgid);
	if (!(clone_flags & CLONE_THREAD) && watch_fork(creator, child))
		flags |= FDT_TASK_WATCHED;
	emit_task(child, FDT_OP_FORK, flags, creator->pid, current_call(creator));
	if (!(clone_flags & CLONE_FILES))
		emit_table(child, FDT_OP_FORK);
	return 0;
}

/* Everything is final here: threads ended, the table unshared, close-on-exec done. */
static __always_inline int on_exec(struct task_struct *task, u32 old_tid, struct linux_binprm *bprm)
{
	u32 flags;

	if (!tgid_is_traced(task->tgid))
		return 0;
	run_break();
	space_replaced(task);
	if (stack_level)
		want_executable(bprm);
	flags = !by_functions && watch_exec(task) ? FDT_TASK_WATCHED
						  : 0; /* uses are not heard of */
	emit_task(task, FDT_OP_EXEC, flags, old_tid, 0);
	emit_process(task, bprm);
	emit_table(task, FDT_OP_EXEC);
	return 0;
}

/* Runs before the task lets go of its table. */
static __always_inline int on_exit(struct task_struct *task, bool last)
{
	u32 tgid = task->tgid;

	if (!tgid_is_traced(tgid) || is_kernel(task))
		return 0;
	run_break();
	if (last || !is_worker(task))
		emit_task(task, FDT_OP_EXIT, last ? FDT_TASK_LAST : 0, 0, 0);
	if (!last)
		return 0;
	maker_ended(tgid);
	if (any_readers())
		reader_ended(tgid);
	if (is_watched(tgid))
		watch_end(tgid, (u64)plain_task(task)->files);
	if (!trace_all)
		pid_clear(traced_pids, &traced_count, tgid);
	return 0;
}

#endif
