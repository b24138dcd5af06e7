// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What each decision about the hot path is worth. One small tracer of dup and close, made of the
 * product's own functions, in variants that differ from the first in one thing each; and the
 * product's own program. None takes stacks.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include "fdtrace/event.h"
#include "fdtrace/syscall.h"
#include "fdtrace/loader.h"
#include "fdtrace/stack.h"
#include "fdtrace/python.h"

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

char LICENSE[] SEC("license") = "GPL";

/* What a variant does otherwise. */
enum {
	REFERENCE = 0,
	PROBE_READ = 1,   /* the file is read by helpers */
	HASH_STATE = 2,   /* a hash of the open descriptors is kept */
	CLOCK = 4,        /* is read for each event */
	WAKEUP = 8,       /* is left to the ring: for each event, if the reader sleeps */
	SAVED_HASH = 16,  /* arguments were saved when the call began, by thread in a hash */
	SAVED_TASK = 32,  /* the same, with the task */
	FILTER_HASH = 64, /* traced processes are in a hash */
	FILTER_FIRST = 128,
};

struct descriptor_key {
	u32 tgid;
	u32 fd;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, struct descriptor_key);
	__type(value, struct fdt_file);
} descriptors SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, u32);
	__type(value, u8);
} traced_tgids SEC(".maps");

struct saved {
	u64 args[CALL_ARGS];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, u32);
	__type(value, struct saved);
} saved_by_tid SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct saved);
} saved_by_task SEC(".maps");

/* ---- the steps that variants differ in; how is a constant after inlining ---- */

static __always_inline bool passes_filter(const u32 how, u32 tgid)
{
	return how & FILTER_HASH ? bpf_map_lookup_elem(&traced_tgids, &tgid) != 0
				 : tgid_is_traced(tgid);
}

static __always_inline void describe_slot(const u32 how, struct fdt_file *out, u64 table, u32 fd)
{
	u64 file;

	if (!(how & PROBE_READ)) {
		describe_file(out, slot_file(table, fd));
		return;
	}
	file = slot_file_as(false, table, fd);
	if (file)
		describe_as(false, out, file);
	else
		__builtin_memset(out, 0, sizeof(*out));
}

static __always_inline void keep_state(u32 tgid, u32 fd, const struct fdt_file *now)
{
	struct descriptor_key key = { .tgid = tgid, .fd = fd };
	struct fdt_file file = *now, *before = bpf_map_lookup_elem(&descriptors, &key);

	if (before)
		file.detail += before->file == file.file;
	bpf_map_update_elem(&descriptors, &key, &file, BPF_ANY);
}

static __always_inline int emit_as(const u32 how, u8 op, u32 syscall, u32 fd, s32 result)
{
	struct task_struct *task = plain_task(CURRENT);
	u64 table = (u64)task->files;
	struct fdt_slot *event = RESERVE(fdt_slot);

	if (!event)
		return 0;
	if (how & CLOCK)
		HEAD_PRECISE(event, FDT_SLOT, op, task, table);
	else
		HEAD_COARSE(event, FDT_SLOT, op, task, table);
	event->head.syscall = syscall;
	event->fd = fd;
	event->result = result;
	event->site = 0;
	describe_slot(how, &event->file, table, fd);
	if (how & HASH_STATE)
		keep_state(task->tgid, fd, &event->file);
	bpf_ringbuf_submit(event, how & WAKEUP ? 0 : wakeup_flags(sizeof(*event)));
	return 0;
}

/* ---- arguments saved when a call begins ---- */

static __always_inline struct saved *saved_args(const u32 how)
{
	u32 tid = (u32)bpf_get_current_pid_tgid();

	if (how & SAVED_TASK)
		return bpf_task_storage_get(&saved_by_task, CURRENT, 0, 0);
	return bpf_map_lookup_elem(&saved_by_tid, &tid);
}

static __always_inline int on_enter(const u32 how, struct pt_regs *regs, u64 number)
{
	u32 tid = (u32)bpf_get_current_pid_tgid();
	struct saved args = {}, *saved;

	if (number >= FDT_CALLS_MAX || native_calls[number].what == FDT_CALL_NONE ||
	    !tgid_is_traced(CURRENT->tgid))
		return 0;
	call_args(regs, false, args.args);
	if (how & SAVED_HASH) {
		bpf_map_update_elem(&saved_by_tid, &tid, &args, BPF_ANY);
		return 0;
	}
	saved = bpf_task_storage_get(&saved_by_task, CURRENT, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (saved)
		*saved = args;
	return 0;
}

static __always_inline u32 first_arg(const u32 how, struct pt_regs *regs)
{
	u64 args[CALL_ARGS];
	struct saved *saved;

	if (how & (SAVED_HASH | SAVED_TASK)) {
		saved = saved_args(how);
		return saved ? saved->args[0] : 0;
	}
	call_args(regs, false, args);
	return args[0];
}

/* ---- the exit of a call ---- */

static __always_inline int changed(const u32 how, u32 number, struct pt_regs *regs, s64 result)
{
	const volatile struct fdt_call *call = &native_calls[number];

	if (call->what == FDT_CALL_OPEN)
		return emit_as(how, FDT_OP_OPEN, call->syscall, result, result);
	if (call->what == FDT_CALL_CLOSE)
		return emit_as(how, FDT_OP_CLOSE, call->syscall, first_arg(how, regs), result);
	return 0;
}

static __always_inline int on_exit_as(const u32 how, struct pt_regs *regs, s64 result)
{
	u32 tgid = CURRENT->tgid, number = call_number(regs);

	if (number >= FDT_CALLS_MAX)
		return 0;
	if (how & FILTER_FIRST && !passes_filter(how, tgid))
		return 0;
	if (result < 0 || native_calls[number].what == FDT_CALL_NONE)
		return 0;
	if (!(how & FILTER_FIRST) && !passes_filter(how, tgid))
		return 0;
	return changed(how, number, regs, result);
}

#define ON_EXIT(name, how)                                                       \
	SEC("tp_btf/sys_exit")                                                   \
	int name(u64 *ctx)                                                       \
	{                                                                        \
		return on_exit_as((how), (struct pt_regs *)ctx[0], (s64)ctx[1]); \
	}

ON_EXIT(reference, REFERENCE)
ON_EXIT(probe_read, PROBE_READ)
ON_EXIT(hash_state, HASH_STATE)
ON_EXIT(clock, CLOCK)
ON_EXIT(wakeup_each, WAKEUP)
ON_EXIT(saved_hash, SAVED_HASH)
ON_EXIT(saved_task, SAVED_TASK)
ON_EXIT(filter_hash, FILTER_HASH)
ON_EXIT(first_bitmap, FILTER_FIRST)
ON_EXIT(first_hash, FILTER_FIRST | FILTER_HASH)

SEC("tp_btf/sys_exit")
int empty(__attribute__((unused)) u64 *ctx)
{
	return 0;
}

SEC("tp_btf/sys_enter")
int enter_empty(__attribute__((unused)) u64 *ctx)
{
	return 0;
}

SEC("tp_btf/sys_enter")
int enter_hash(u64 *ctx)
{
	return on_enter(SAVED_HASH, (struct pt_regs *)ctx[0], ctx[1]);
}

SEC("tp_btf/sys_enter")
int enter_task(u64 *ctx)
{
	return on_enter(SAVED_TASK, (struct pt_regs *)ctx[0], ctx[1]);
}

/* ---- classic tracepoints ---- */

/* include/trace/events/syscalls.h */
struct raw_exit {
	u64 common;
	long number;
	long result;
};

SEC("tp/raw_syscalls/sys_exit")
int classic_raw(struct raw_exit *ctx)
{
	return on_exit_as(REFERENCE, (struct pt_regs *)bpf_task_pt_regs(CURRENT), ctx->result);
}

SEC("tp/raw_syscalls/sys_exit")
int classic_raw_empty(__attribute__((unused)) struct raw_exit *ctx)
{
	return 0;
}

/* struct syscall_trace_exit of the kernel; attached to the exit of many calls. */
struct call_exit {
	u64 common;
	int number;
	long result;
};

SEC("tp")
int classic_set(struct call_exit *ctx)
{
	u32 number = ctx->number, tgid = CURRENT->tgid;

	if (number >= FDT_CALLS_MAX || ctx->result < 0 || !passes_filter(REFERENCE, tgid))
		return 0;
	return changed(REFERENCE, number, (struct pt_regs *)bpf_task_pt_regs(CURRENT), ctx->result);
}

SEC("tp")
int classic_empty(__attribute__((unused)) struct call_exit *ctx)
{
	return 0;
}

/* ---- the product's own ---- */

SEC("tp_btf/sys_exit")
int product(u64 *ctx)
{
	return MEASURED(FDT_PROGRAM_SYS_EXIT, on_sys_exit((struct pt_regs *)ctx[0], ctx[1]));
}

SEC("tp_btf/sys_exit")
int product_unmeasured(u64 *ctx)
{
	return on_sys_exit((struct pt_regs *)ctx[0], ctx[1]);
}

SEC("tp/raw_syscalls/sys_exit")
int product_classic(struct raw_exit *ctx)
{
	return MEASURED(FDT_PROGRAM_SYS_EXIT,
			on_sys_exit((struct pt_regs *)bpf_task_pt_regs(CURRENT), ctx->result));
}

SEC("tp")
int product_set(struct call_exit *ctx)
{
	return MEASURED(FDT_PROGRAM_SYS_EXIT,
			on_sys_exit((struct pt_regs *)bpf_task_pt_regs(CURRENT), ctx->result));
}
