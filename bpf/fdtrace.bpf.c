// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The kernel side: where it hooks. What happens there is in the *.bpf.h beside this file, one
 * for each subject, each using only those included before it.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include "fdtrace/event.h"
#include "fdtrace/syscall.h"
#include "fdtrace/kernel.h"
#include "fdtrace/stack.h"
#include "fdtrace/python.h"

#include "maps.bpf.h"
#include "compat.bpf.h"
#include "emit.bpf.h"
#include "file.bpf.h"
#include "slots.bpf.h"
#include "stack.bpf.h"
#include "unwind.bpf.h"
#include "python.bpf.h"
#include "site.bpf.h"
#include "errors.bpf.h"
#include "watch.bpf.h"
#include "stale.bpf.h"
#include "locks.bpf.h"
#include "epolls.bpf.h"
#include "tasks.bpf.h"
#include "receive.bpf.h"
#include "waits.bpf.h"
#include "syscalls.bpf.h"
#include "uring.bpf.h"
#include "snapshot.bpf.h"

char LICENSE[] SEC("license") = "GPL";

SEC("tp_btf/sys_exit")
int sys_exit(u64 *ctx)
{
	return MEASURED(FDT_PROGRAM_SYS_EXIT, on_sys_exit((struct pt_regs *)ctx[0], ctx[1]));
}

/* include/trace/events/syscalls.h */
struct fdt_classic_sys_exit {
	u64 common;
	long number;
	long result;
};

/* The same, where programs on BTF tracepoints can be preempted and then miss calls (7.x). */
SEC("tp/raw_syscalls/sys_exit")
int sys_exit_classic(struct fdt_classic_sys_exit *ctx)
{
	return MEASURED(FDT_PROGRAM_SYS_EXIT,
			on_sys_exit((struct pt_regs *)bpf_task_pt_regs(CURRENT), ctx->result));
}

SEC("tp_btf/task_newtask")
int task_newtask(u64 *ctx)
{
	return MEASURED(FDT_PROGRAM_FORK, on_newtask((struct task_struct *)ctx[0], ctx[1]));
}

SEC("tp_btf/sched_process_exec")
int sched_process_exec(u64 *ctx)
{
	return MEASURED(FDT_PROGRAM_EXEC, on_exec((struct task_struct *)ctx[0], ctx[1],
						  (struct linux_binprm *)ctx[2]));
}

SEC("tp_btf/sched_process_exit")
int sched_process_exit(u64 *ctx)
{
	struct task_struct *task = CURRENT;

	return MEASURED(
		FDT_PROGRAM_EXIT,
		on_exit(task, exit_tells_last ? (bool)ctx[1] : !plain(task)->signal->live.counter));
}

SEC("tp_btf/io_uring_complete")
int io_uring_complete(u64 *ctx)
{
	return MEASURED(FDT_PROGRAM_URING, on_uring_complete(ctx));
}

SEC("iter/task")
int snapshot(struct bpf_iter__task *ctx)
{
	return MEASURED(FDT_PROGRAM_SNAPSHOT, on_snapshot_task(ctx->meta->seq, ctx->task));
}
