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
#include "fdtrace/loader.h"
#include "fdtrace/stack.h"

#include "verifier.bpf.h"
#include "maps.bpf.h"
#include "compat.bpf.h"
#include "emit.bpf.h"
#include "file.bpf.h"
#include "readers.bpf.h"
#include "slots.bpf.h"
#include "names.bpf.h"
#include "stack.bpf.h"
#include "python.bpf.h"
#include "language.bpf.h"
#include "unwind.bpf.h"
#include "site.bpf.h"
#include "errors.bpf.h"
#include "watch.bpf.h"
#include "stale.bpf.h"
#include "locks.bpf.h"
#include "epolls.bpf.h"
#include "tasks.bpf.h"
#include "receive.bpf.h"
#include "waits.bpf.h"
#include "installs.bpf.h"
#include "syscalls.bpf.h"
#include "uring.bpf.h"
#include "functions.bpf.h"
#include "snapshot.bpf.h"

char LICENSE[] SEC("license") = "GPL";

SEC("tp_btf/sys_exit")
int fdt_sys_exit(u64 *ctx)
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
int fdt_sys_exit_c(struct fdt_classic_sys_exit *ctx)
{
	return MEASURED(FDT_PROGRAM_SYS_EXIT,
			on_sys_exit((struct pt_regs *)bpf_task_pt_regs(CURRENT), ctx->result));
}

SEC("tp_btf/task_newtask")
int fdt_newtask(u64 *ctx)
{
	return MEASURED(FDT_PROGRAM_FORK, on_newtask((struct task_struct *)ctx[0], ctx[1]));
}

SEC("tp_btf/sched_process_exec")
int fdt_exec(u64 *ctx)
{
	return MEASURED(FDT_PROGRAM_EXEC, on_exec((struct task_struct *)ctx[0], ctx[1],
						  (struct linux_binprm *)ctx[2]));
}

SEC("tp_btf/sched_process_exit")
int fdt_exit(u64 *ctx)
{
	struct task_struct *task = CURRENT;

	return MEASURED(FDT_PROGRAM_EXIT,
			on_exit(task, exit_tells_last ? (bool)ctx[1]
						      : !plain_task(task)->signal->live.counter));
}

SEC("tp_btf/io_uring_complete")
int fdt_uring_done(u64 *ctx)
{
	return MEASURED(FDT_PROGRAM_URING, on_uring_complete(ctx));
}

SEC("iter/task")
int fdt_snapshot(struct bpf_iter__task *ctx)
{
	return MEASURED(FDT_PROGRAM_SNAPSHOT, on_snapshot_task(ctx->meta->seq, ctx->task));
}

/*
 * Programs on functions. The names of those that are not the same in all kernels are filled in by
 * the loader; where no function of that purpose can be hooked the program is not loaded.
 */
static __always_inline u64 hook_argument(void *ctx, u32 index)
{
	u64 value = 0;

	bpf_get_func_arg(ctx, index, &value);
	return value;
}

static __always_inline u64 hook_result(void *ctx)
{
	u64 value = 0;

	bpf_get_func_ret(ctx, &value);
	return value;
}

SEC("fexit/fd_install")
int fdt_fdinstall_x(u64 *ctx)
{
	return MEASURED(FDT_PROGRAM_FUNCTION, on_installed(hook_argument(ctx, 0)));
}

SEC("fexit/do_dup2")
int fdt_do_dup2_x(u64 *ctx)
{
	return MEASURED(
		FDT_PROGRAM_FUNCTION,
		on_replaced(hook_argument(ctx, 0), hook_argument(ctx, 2), (s32)hook_result(ctx)));
}

SEC("fexit/pick_file")
int fdt_pick_file_x(u64 *ctx)
{
	return MEASURED(FDT_PROGRAM_FUNCTION,
			on_emptied(hook_argument(ctx, 0), hook_argument(ctx, 1), hook_result(ctx)));
}

/* Before Linux 6.0 io_uring's close empties the slot by itself. */
SEC("fexit/__close_fd_get_file")
int fdt_close_get_x(u64 *ctx)
{
	return MEASURED(FDT_PROGRAM_FUNCTION,
			on_emptied(0, hook_argument(ctx, 0), !(s32)hook_result(ctx)));
}

/* file_close_fd and close_fd_get_file: NULL where there was none. */
SEC("fexit/file_close_fd")
int fdt_fclosefd_x(u64 *ctx)
{
	return hook_result(ctx)
		       ? 0
		       : MEASURED(FDT_PROGRAM_FUNCTION, on_close_failed(hook_argument(ctx, 0)));
}

/* close_fd returns an error instead. */
SEC("fexit/close_fd")
int fdt_close_fd_x(u64 *ctx)
{
	return (s32)hook_result(ctx) != -EBADF
		       ? 0
		       : MEASURED(FDT_PROGRAM_FUNCTION, on_close_failed(hook_argument(ctx, 0)));
}

SEC("fexit/ksys_unshare")
int fdt_unshare_x(u64 *ctx)
{
	return MEASURED(FDT_PROGRAM_FUNCTION,
			on_call_returned(FDT_CALL_UNSHARE, FDT_SYS_unshare, (s32)hook_result(ctx)));
}

SEC("fexit/__close_range")
int fdt_close_rng_x(u64 *ctx)
{
	return MEASURED(FDT_PROGRAM_FUNCTION, on_call_returned(FDT_CALL_RANGE, FDT_SYS_close_range,
							       (s32)hook_result(ctx)));
}

SEC("kprobe/fd_install")
int fdt_fdinstall_e(struct pt_regs *regs)
{
	return entry_put(ENTRY_SLOT, 0, function_arg(regs, 0));
}

SEC("kretprobe/fd_install")
int fdt_fdinstall_r(__attribute__((unused)) struct pt_regs *regs)
{
	struct fdt_entry entry;

	return entry_take(ENTRY_SLOT, &entry)
		       ? MEASURED(FDT_PROGRAM_FUNCTION, on_installed(entry.fd))
		       : 0;
}

SEC("kprobe/do_dup2")
int fdt_do_dup2_e(struct pt_regs *regs)
{
	return entry_put(ENTRY_SLOT, function_arg(regs, 0), function_arg(regs, 2));
}

SEC("kretprobe/do_dup2")
int fdt_do_dup2_r(struct pt_regs *regs)
{
	struct fdt_entry entry;

	return entry_take(ENTRY_SLOT, &entry)
		       ? MEASURED(FDT_PROGRAM_FUNCTION,
				  on_replaced(entry.table, entry.fd, (s32)function_result(regs)))
		       : 0;
}

SEC("kprobe/pick_file")
int fdt_pick_file_e(struct pt_regs *regs)
{
	return entry_put(ENTRY_SLOT, function_arg(regs, 0), function_arg(regs, 1));
}

SEC("kretprobe/pick_file")
int fdt_pick_file_r(struct pt_regs *regs)
{
	struct fdt_entry entry;

	return entry_take(ENTRY_SLOT, &entry)
		       ? MEASURED(FDT_PROGRAM_FUNCTION,
				  on_emptied(entry.table, entry.fd, function_result(regs)))
		       : 0;
}

SEC("kprobe/file_close_fd")
int fdt_fclosefd_e(struct pt_regs *regs)
{
	return entry_put(ENTRY_CLOSE, 0, function_arg(regs, 0));
}

SEC("kretprobe/file_close_fd")
int fdt_fclosefd_r(struct pt_regs *regs)
{
	struct fdt_entry entry;

	if (!entry_take(ENTRY_CLOSE, &entry) || function_result(regs))
		return 0;
	return MEASURED(FDT_PROGRAM_FUNCTION, on_close_failed(entry.fd));
}

SEC("kprobe/close_fd")
int fdt_close_fd_e(struct pt_regs *regs)
{
	return entry_put(ENTRY_CLOSE, 0, function_arg(regs, 0));
}

SEC("kretprobe/close_fd")
int fdt_close_fd_r(struct pt_regs *regs)
{
	struct fdt_entry entry;

	if (!entry_take(ENTRY_CLOSE, &entry) || (s32)function_result(regs) != -EBADF)
		return 0;
	return MEASURED(FDT_PROGRAM_FUNCTION, on_close_failed(entry.fd));
}

/* Neither needs its entry: the arguments are those of the system call. */
SEC("kretprobe/ksys_unshare")
int fdt_unshare_r(struct pt_regs *regs)
{
	return MEASURED(FDT_PROGRAM_FUNCTION, on_call_returned(FDT_CALL_UNSHARE, FDT_SYS_unshare,
							       (s32)function_result(regs)));
}

SEC("kretprobe/__close_range")
int fdt_close_rng_r(struct pt_regs *regs)
{
	return MEASURED(FDT_PROGRAM_FUNCTION, on_call_returned(FDT_CALL_RANGE, FDT_SYS_close_range,
							       (s32)function_result(regs)));
}
