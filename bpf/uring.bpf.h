/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * io_uring makes and closes descriptors without a system call of that name. Each completion
 * passes the tracepoint io_uring_complete, except where IOSQE_CQE_SKIP_SUCCESS suppresses it:
 * those, and what its multishot requests receive, are left to the next snapshot.
 */
#ifndef FDTRACE_URING_BPF_H
#define FDTRACE_URING_BPF_H

/* linux/io_uring.h */
#define IORING_OP_READ_FIXED 4
#define IORING_OP_RECVMSG 10
#define IORING_OP_ACCEPT 13
#define IORING_OP_OPENAT 18
#define IORING_OP_CLOSE 19
#define IORING_OP_READ 22
#define IORING_OP_OPENAT2 28
#define IORING_OP_SOCKET 45
#define IORING_OP_FIXED_FD_INSTALL 54
#define IORING_OP_PIPE 62

/* A result that went into a fixed slot of the ring is not a descriptor. */
#define FIXED_SLOT(request, type)                                     \
	(bpf_core_field_exists(((struct type *)0)->file_slot)         \
		 ? BPF_CORE_READ((struct type *)(request), file_slot) \
		 : 0)

static __always_inline void uring_opened(u32 fixed, u16 syscall, s32 result)
{
	if (result < 0 || fixed)
		return;
	name_slot(result);
	emit_uring(FDT_OP_URING, syscall, result, result);
}

static __always_inline void uring_closed(u64 request, s32 result)
{
	if (result == -EBADF || FIXED_SLOT(request, io_close))
		return;
	emit_uring(FDT_OP_URING_CLOSE, FDT_SYS_close, BPF_CORE_READ((struct io_close *)request, fd),
		   result);
}

static __always_inline void uring_piped(u64 request, s32 result)
{
	s32 fd[2];

	if (result < 0 || !bpf_core_field_exists(((struct io_pipe *)0)->fds) ||
	    FIXED_SLOT(request, io_pipe))
		return;
	if (bpf_probe_read_user(fd, sizeof(fd), BPF_CORE_READ((struct io_pipe *)request, fds)))
		return;
	emit_uring(FDT_OP_URING, FDT_SYS_pipe2, fd[0], 0);
	emit_uring(FDT_OP_URING, FDT_SYS_pipe2, fd[1], 0);
}

/* The kernel has written to the structure whose address the request holds, as recvmsg(2) does. */
static __always_inline void uring_received(u64 request, s32 result)
{
	struct io_ring_ctx *ring = BPF_CORE_READ((struct io_kiocb *)request, ctx);

	if (result >= 0)
		receive_by_ring(BPF_CORE_READ_BITFIELD_PROBED(ring, compat),
				(u64)BPF_CORE_READ((struct io_sr_msg *)request, umsg));
}

static __always_inline void uring_read(u64 request, s32 result)
{
	u32 what = what_is_read(ops_of((u64)BPF_CORE_READ((struct io_kiocb *)request, file)));

	if (result > 0 && what != READS_DATA)
		install_from(BPF_CORE_READ((struct io_rw *)request, addr), result, FDT_SYS_read,
			     what | INSTALL_URING, 0);
}

static __always_inline int on_uring(u64 request, s32 result)
{
	struct task_struct *task = CURRENT;

	if (is_kernel(task) || !tgid_is_traced(task->tgid))
		return 0;
	if (!request) { /* one of several completions of a request: its result may be a descriptor */
		if (result > 0 && slot_file(current_table(), result))
			emit_uring(FDT_OP_MAYBE, FDT_SYS_io_uring_enter, result, result);
		return 0;
	}
	if (!is_worker(task))
		run_break();
	switch (BPF_CORE_READ((struct io_kiocb *)request, opcode)) {
	case IORING_OP_ACCEPT:
		uring_opened(FIXED_SLOT(request, io_accept), FDT_SYS_accept4, result);
		break;
	case IORING_OP_OPENAT:
		uring_opened(FIXED_SLOT(request, io_open), FDT_SYS_openat, result);
		break;
	case IORING_OP_OPENAT2:
		uring_opened(FIXED_SLOT(request, io_open), FDT_SYS_openat2, result);
		break;
	case IORING_OP_SOCKET:
		uring_opened(FIXED_SLOT(request, io_socket), FDT_SYS_socket, result);
		break;
	case IORING_OP_FIXED_FD_INSTALL: uring_opened(0, FDT_SYS_io_uring_enter, result); break;
	case IORING_OP_CLOSE: uring_closed(request, result); break;
	case IORING_OP_RECVMSG: uring_received(request, result); break;
	case IORING_OP_READ:
	case IORING_OP_READ_FIXED:
		if (is_reader(task->tgid))
			uring_read(request, result);
		break;
	case IORING_OP_PIPE: uring_piped(request, result); break;
	}
	return 0;
}

/*
 * The tracepoint's arguments have changed (user space counts them in BTF):
 * 3: ctx, req, cqe (6.17); 5 or 7: ctx, req, user_data, res, ... ; 4: ctx, user_data, res, cflags.
 */
static __always_inline int on_uring_complete(u64 *ctx)
{
	if (uring_args == 3)
		return on_uring(ctx[1], BPF_CORE_READ((struct io_uring_cqe *)ctx[2], res));
	if (uring_args == 4)
		return on_uring(0, ctx[2]);
	return on_uring(ctx[1], ctx[3]);
}

#endif
