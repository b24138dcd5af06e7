/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where kernels and architectures differ. */
#ifndef FDTRACE_COMPAT_BPF_H
#define FDTRACE_COMPAT_BPF_H

/*
 * bpf_rdonly_cast (Linux 6.2, commit a35b9af4ec2c) turns an address into a typed pointer that
 * is read with plain loads: 5 times faster than bpf_probe_read_kernel. Weak: where it does not
 * exist, can_cast is false and the verifier never sees the call.
 */
extern void *bpf_rdonly_cast(const void *object, u32 btf_id) __ksym __weak;

#define CAST(address, type)                                      \
	((struct type *)bpf_rdonly_cast((const void *)(address), \
					bpf_core_type_id_kernel(struct type)))

/* One member behind an address. direct must be a constant after inlining. */
#define LOAD(direct, type, address, member) \
	((direct) ? CAST(address, type)->member : BPF_CORE_READ((struct type *)(address), member))

/* The pointer stored at an address. */
static __always_inline u64 load_pointer(const bool direct, u64 address)
{
	u64 value = 0;

	if (direct)
		return (u64)CAST(address, hlist_head)->first;
	bpf_probe_read_kernel(&value, sizeof(value), (void *)address);
	return value;
}

/*
 * The same task, not trusted: it may be read, but not given to helpers. For each pointer read
 * through a trusted one the verifier (6.4 on) searches all types of the kernel by name, three
 * times; 30 such reads were most of the time it takes to load these programs.
 */
static __always_inline struct task_struct *plain_task(struct task_struct *task)
{
	return can_cast ? CAST(task, task_struct) : task;
}

#define CALL_ARGS 6
#define X32_BIT 0x40000000u /* __X32_SYSCALL_BIT */

/*
 * For each architecture: whose call it is, its number and arguments; of stacks, whether they are
 * walked (ARCH_WALKS_STACKS), and if so where the walks begin and what they meet.
 */
#if defined(__TARGET_ARCH_x86)

#define ARCH_WALKS_STACKS 1

/* Where the kernel saves registers in struct rt_sigframe, from the ucontext on (asm/sigcontext.h). */
#define SIGNAL_BP 120
#define SIGNAL_SP 160
#define SIGNAL_PC 168
/* glibc, nptl/descr.h: struct pthread.specific_1stblock[key].data, 16 bytes each */
#define PTHREAD_SPECIFIC 0x318
#define PTHREAD_SPECIFIC_SIZE 16

struct fdt_registers {
	u64 sp, bp, pc;
};

static __always_inline struct fdt_registers registers_of(struct pt_regs *regs)
{
	return (struct fdt_registers){ regs->sp, regs->bp, regs->ip };
}

/* What pthread_self() returns. */
static __always_inline u64 thread_pointer(struct task_struct *task)
{
	return task->thread.fsbase;
}

/* The kernel's own mapping in the process. */
static __always_inline u64 vdso_address(struct task_struct *task)
{
	return (u64)BPF_CORE_READ(task, mm, context.vdso);
}

/* All of them, as fdtrace/stack.h numbers them. */
static __always_inline void registers_copy(u64 *reg, struct pt_regs *regs)
{
	reg[0] = regs->ax;
	reg[1] = regs->dx;
	reg[2] = regs->cx;
	reg[3] = regs->bx;
	reg[4] = regs->si;
	reg[5] = regs->di;
	reg[6] = regs->bp;
	reg[7] = regs->sp;
	reg[8] = regs->r8;
	reg[9] = regs->r9;
	reg[10] = regs->r10;
	reg[11] = regs->r11;
	reg[12] = regs->r12;
	reg[13] = regs->r13;
	reg[14] = regs->r14;
	reg[15] = regs->r15;
	reg[16] = regs->ip;
}

#define COMPAT_U64_ALIGN 4 /* of a 64-bit word in a struct of a 32-bit program (i386) */
#define TS_COMPAT 2        /* asm/thread_info.h: a 32-bit syscall is being made */
static __always_inline bool call_is_compat(struct task_struct *task)
{
	return task->thread_info.status & TS_COMPAT;
}

static __always_inline u32 call_number(struct pt_regs *regs)
{
	return (u32)regs->orig_ax & ~X32_BIT;
}

static __always_inline void call_args(struct pt_regs *regs, bool compat, u64 args[CALL_ARGS])
{
	args[0] = compat ? (u32)regs->bx : regs->di;
	args[1] = compat ? (u32)regs->cx : regs->si;
	args[2] = compat ? (u32)regs->dx : regs->dx;
	args[3] = compat ? (u32)regs->si : regs->r10;
	args[4] = compat ? (u32)regs->di : regs->r8;
	args[5] = compat ? (u32)regs->bp : regs->r9;
}

/* Of a function of the kernel: its first arguments at entry, its result at return. */
static __always_inline u64 function_arg(const struct pt_regs *regs, const u32 index)
{
	return index == 0 ? regs->di : index == 1 ? regs->si : regs->dx;
}

static __always_inline u64 function_result(const struct pt_regs *regs)
{
	return regs->ax;
}

#elif defined(__TARGET_ARCH_arm64)

#define ARCH_WALKS_STACKS 0 /* not yet */

#define COMPAT_U64_ALIGN 8
#define TIF_32BIT 22 /* asm/thread_info.h */
static __always_inline bool call_is_compat(struct task_struct *task)
{
	return task->thread_info.flags >> TIF_32BIT & 1;
}

static __always_inline u32 call_number(struct pt_regs *regs)
{
	return regs->syscallno;
}

/* The result has taken the place of argument 0, which is kept aside. */
static __always_inline void call_args(struct pt_regs *regs, bool compat, u64 args[CALL_ARGS])
{
	args[0] = compat ? (u32)regs->orig_x0 : regs->orig_x0;
	args[1] = compat ? (u32)regs->regs[1] : regs->regs[1];
	args[2] = compat ? (u32)regs->regs[2] : regs->regs[2];
	args[3] = compat ? (u32)regs->regs[3] : regs->regs[3];
	args[4] = compat ? (u32)regs->regs[4] : regs->regs[4];
	args[5] = compat ? (u32)regs->regs[5] : regs->regs[5];
}

static __always_inline u64 function_arg(const struct pt_regs *regs, const u32 index)
{
	return regs->regs[index];
}

static __always_inline u64 function_result(const struct pt_regs *regs)
{
	return regs->regs[0];
}

#endif
#endif
