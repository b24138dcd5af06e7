/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The exit of every system call of the machine: what it did to which slots. */
#ifndef FDTRACE_SYSCALLS_BPF_H
#define FDTRACE_SYSCALLS_BPF_H

/* asm-generic/fcntl.h, linux/fcntl.h */
#define F_DUPFD 0
#define F_GETFD 1
#define F_SETFD 2
#define F_GETFL 3
#define F_DUPFD_CLOEXEC 1030
#define FD_CLOEXEC 1
/* asm-generic/ioctls.h: requests that look at a descriptor or mark it, but do not use it */
#define TCGETS 0x5401
#define FIONCLEX 0x5450
#define FIOCLEX 0x5451
#define CLOSE_RANGE_UNSHARE 2
#define PROT_EXEC 4
#define CLOSE_RANGE_CLOEXEC 4
#define SO_PEERPIDFD 77
#define IORING_ENTER_REGISTERED_RING 16
#define IORING_REGISTER_USE_REGISTERED_RING 0x80000000u
#define DESCRIPTOR_MAX 0x7fffffff

/* One walk serves all descriptors of a call. */
static __always_inline u64 call_site(struct fdt_exit *x, s32 closed_fd)
{
	if (!x->site_known) {
		x->site = site_of_change(closed_fd);
		x->site_known = 1;
	}
	return x->site;
}

static __always_inline void assert_slot(struct fdt_exit *x, u8 op, u32 fd)
{
	if (op == FDT_OP_OPEN)
		name_slot(fd);
	emit_slot(op, x->syscall, fd, x->result, call_site(x, op == FDT_OP_CLOSE ? (s32)fd : -1));
	if (op != FDT_OP_CLOSE)
		opener_note(fd);
	note_change(op, fd);
}

static __always_inline void watch_taken(struct fdt_exit *x, u32 fd)
{
	if (any_watched() && is_watched(bpf_get_current_pid_tgid() >> 32))
		watch_take(fd, x->syscall, false);
}

/* dup and signalfd may answer with the very number they were given: then nothing is new. */
static __always_inline void on_open(struct fdt_exit *x)
{
	u8 op = x->fds & 1 && x->args[0] == (u64)x->result ? FDT_OP_MAYBE : FDT_OP_OPEN;

	if (x->result <= DESCRIPTOR_MAX)
		assert_slot(x, op, x->result);
}

/* 0 is what such calls return when all they did was to succeed. */
static __always_inline void on_maybe(struct fdt_exit *x, s64 fd)
{
	if (fd > 0 && fd <= DESCRIPTOR_MAX && slot_file(current_table(), fd)) {
		assert_slot(x, FDT_OP_MAYBE, fd);
		reader_got(fd);
	}
}

/* User space has no sample of what may not be made with its privileges. */
static __always_inline void on_reader(struct fdt_exit *x)
{
	u64 file = slot_file(current_table(), x->result);

	on_open(x);
	if (file && x->syscall == FDT_SYS_fanotify_init)
		reader_ops.fanotify = ops_of(file);
	if (file && x->syscall == FDT_SYS_userfaultfd)
		reader_ops.userfault = ops_of(file);
	reader_got(x->result);
}

static __always_inline void on_read(struct fdt_exit *x)
{
	u32 what = read_by(x);

	if (what == READS_DATA || !install_read(x, what | INSTALL_LOOK, 0))
		return;
	run_break();
	install_read(x, what, call_site(x, -1));
}

static __always_inline void on_mark(struct fdt_exit *x, u32 set)
{
	if (wanted[FDT_MARK])
		emit_slot(FDT_OP_MARK, x->syscall, x->args[0], set, 0);
}

static __always_inline void on_fcntl(struct fdt_exit *x)
{
	u32 command = x->args[1];

	if (command == F_DUPFD || command == F_DUPFD_CLOEXEC)
		assert_slot(x, FDT_OP_OPEN, x->result);
	else if (command == F_SETFD)
		on_mark(x, x->args[2] & FD_CLOEXEC);
	else if (wanted[FDT_LOCK] && is_lock(command, x->compat))
		emit_lock(x->args[0], command, x->compat, x->args[2], call_site(x, -1));
}

static __always_inline void on_ioctl(struct fdt_exit *x)
{
	u32 request = x->args[1];

	if (request == FIOCLEX || request == FIONCLEX) {
		on_mark(x, request == FIOCLEX);
		return;
	}
	on_maybe(x, x->result || !(request & ANSWERS_USER) ? x->result
							   : answered_fd(request, x->args[2]));
}

/* Its stack is of interest only where another process's epoll is changed. */
GLOBAL int on_epoll_ctl(struct fdt_exit *x)
{
	u32 maker = x ? other_maker(x->args[0]) : 0;

	if (!maker)
		return 0;
	run_break();
	return emit_register(x->args[0], x->args[1], x->args[2], maker, call_site(x, -1));
}

static __always_inline void on_epoll(struct fdt_exit *x)
{
	on_open(x);
	if (wanted[FDT_REGISTER])
		epoll_made(x->result);
}

static __always_inline void on_close(struct fdt_exit *x)
{
	watch_taken(x, x->args[0]);
	assert_slot(x, FDT_OP_CLOSE, x->args[0]);
}

static __always_inline void on_replace(struct fdt_exit *x)
{
	if ((u32)x->args[0] == (u32)x->args[1])
		return;
	watch_taken(x, x->args[1]);
	assert_slot(x, FDT_OP_REPLACE, x->args[1]);
}

static __always_inline void on_unshared(struct fdt_exit *x)
{
	struct task_struct *task = CURRENT;

	emit_task(task, FDT_OP_UNSHARE, 0, 0, x->syscall);
	emit_table(task, FDT_OP_UNSHARE);
}

static __always_inline void on_range(struct fdt_exit *x)
{
	u32 flags = x->args[2];

	if (flags & CLOSE_RANGE_UNSHARE)
		on_unshared(x);
	else if (!(flags & CLOSE_RANGE_CLOEXEC)) {
		emit_range(x->args[0], x->args[1]);
		if (wanted[FDT_STALE_USES])
			range_changed();
	}
}

/* Descriptors that the call has written to user memory. */
static __always_inline void on_written(struct fdt_exit *x, u64 address, u32 count)
{
	s32 fd[2] = { -1, -1 };

	if (bpf_probe_read_user(fd, count * sizeof(fd[0]), (void *)address))
		return;
	if (fd[0] >= 0)
		assert_slot(x, FDT_OP_OPEN, fd[0]);
	if (fd[1] >= 0)
		assert_slot(x, FDT_OP_OPEN, fd[1]);
}

static __always_inline void on_getsockopt(struct fdt_exit *x)
{
	if ((u32)x->args[1] == SOL_SOCKET && (u32)x->args[2] == SO_PEERPIDFD)
		on_written(x, x->args[3], 1);
}

static __always_inline void on_setrlimit(struct fdt_exit *x)
{
	struct task_struct *task = CURRENT;

	if ((u32)x->args[0] == RLIMIT_NOFILE)
		emit_limit(task, task->tgid, nofile_of(task));
}

static __always_inline void on_prlimit(struct fdt_exit *x)
{
	struct task_struct *task = CURRENT;
	u32 pid = x->args[0];
	u64 soft;

	if ((u32)x->args[1] != RLIMIT_NOFILE || !x->args[2])
		return;
	if (!pid || pid == (u32)task->tgid)
		emit_limit(task, task->tgid, nofile_of(task));
	else if (!bpf_probe_read_user(&soft, sizeof(soft), (void *)x->args[2]))
		emit_limit(task, pid, soft);
}

/* What changes tables seldom enough to stand apart from the hot path. */
GLOBAL int on_rare(struct fdt_exit *x)
{
	if (!x)
		return 0;
	switch (x->what) {
	case FDT_CALL_RANGE: on_range(x); break;
	case FDT_CALL_READER: on_reader(x); break;
	case FDT_CALL_EPOLL: on_epoll(x); break;
	case FDT_CALL_PIPE: on_written(x, x->args[0], 2); break;
	case FDT_CALL_SOCKETPAIR: on_written(x, x->args[3], 2); break;
	case FDT_CALL_GETSOCKOPT: on_getsockopt(x); break;
	case FDT_CALL_UNSHARE:
		if (x->args[0] & CLONE_FILES)
			on_unshared(x);
		break;
	case FDT_CALL_SETRLIMIT: on_setrlimit(x); break;
	case FDT_CALL_PRLIMIT: on_prlimit(x); break;
	}
	return 0;
}

/* Whether success meant that the descriptor was used, where the request decides. */
static __always_inline bool is_use(const struct fdt_exit *x)
{
	u32 request = x->args[1];

	if (x->what == FDT_CALL_FCNTL)
		return request != F_DUPFD && request != F_DUPFD_CLOEXEC && request != F_GETFD &&
		       request != F_SETFD && request != F_GETFL;
	if (x->what == FDT_CALL_IOCTL)
		return request != TCGETS && request != FIONCLEX && request != FIOCLEX;
	return true;
}

static __always_inline void note_use(struct fdt_exit *x, s32 fd, bool watched)
{
	if (watched && is_watchable(fd))
		watch_take(fd, x->syscall, true);
	if (wanted[FDT_STALE_USES] && fd >= 0)
		slot_used(fd, x->syscall);
}

GLOBAL int on_use(struct fdt_exit *x)
{
	bool watched = is_watched(bpf_get_current_pid_tgid() >> 32);

	if (!x)
		return 0;
	if (x->what == FDT_CALL_SELECT && watched)
		on_select(x, false);
	if (!is_use(x))
		return 0;
	for (u32 i = 0; i < CALL_ARGS; i++)
		if (x->uses >> i & 1)
			note_use(x, x->args[i], watched);
	return 0;
}

GLOBAL int on_failure(struct fdt_exit *x)
{
	struct fdt_bad bad = { .fd = -1 };

	if (!x)
		return 0;
	if (x->result != -EBADF) {
		report_error(x->syscall, -x->result, -1, 0);
		return 0;
	}
	if (x->what == FDT_CALL_SELECT) {
		bad.fd = on_select(x, true);
		bad.empty = bad.fd >= 0;
	} else {
		bad_argument(&bad, current_table(), x->fds, x->args);
	}
	if (bad.fd >= 0)
		report_error(x->syscall, EBADF, bad.fd, bad.empty ? FDT_ERR_EMPTY : 0);
	return 0;
}

/* i386: the real call and its arguments stand behind a pointer. */
static __always_inline bool decode_socketcall(struct fdt_exit *x)
{
	u32 number = x->args[0], args[CALL_ARGS] = {};

	if (number >= FDT_SOCKETCALLS_MAX ||
	    bpf_probe_read_user(args, sizeof(args), (void *)x->args[1]))
		return false;
	x->syscall = socketcalls[number].syscall;
	x->what = socketcalls[number].what;
	x->fds = socketcalls[number].fds;
	x->uses = socketcalls[number].uses;
	for (u32 i = 0; i < CALL_ARGS; i++)
		x->args[i] = args[i];
	return true;
}

/* The ring may be named by an index of its own instead of a descriptor. */
static __always_inline void decode_uring(struct fdt_exit *x)
{
	bool registered = x->syscall == FDT_SYS_io_uring_enter
				  ? x->args[3] & IORING_ENTER_REGISTERED_RING
				  : x->args[1] & IORING_REGISTER_USE_REGISTERED_RING;

	if (registered)
		x->fds = x->uses = 0;
}

GLOBAL int decode_rare(struct fdt_exit *x)
{
	if (!x)
		return 0;
	if (x->what == FDT_CALL_SOCKETCALL)
		return decode_socketcall(x);
	decode_uring(x);
	return 1;
}

static __always_inline bool is_descriptor_error(s64 result)
{
	return result == -EBADF || result == -EMFILE || result == -ENFILE;
}

static __always_inline void on_receive(struct fdt_exit *x)
{
	if (!expects_control(x->compat, x->args[1]))
		return;
	if (x->what == FDT_CALL_RECVMSG)
		receive_message(x->syscall, x->compat, x->args[1], call_site(x, -1));
	else
		receive_many(x->compat, x->args[1], x->result, call_site(x, -1));
}

/*
 * Whether poll was not to wait. Newer architectures have ppoll alone: the C library calls that, and
 * the kernel leaves in the timeout what was left of it. Nothing left may also mean that it waited in
 * vain, but not if something was ready. A 32-bit program's timeout may be 8 bytes or 16, of which the
 * first 8 are the seconds; they decide.
 */
GLOBAL int polls_at_once(const struct fdt_exit *x)
{
	u64 left[2] = {};

	if (!x)
		return 0;
	if (x->syscall == FDT_SYS_poll)
		return !(s32)x->args[2];
	if (x->result <= 0 || bpf_probe_read_user(left, x->compat ? 8 : 16, (void *)x->args[2]))
		return 0;
	return !(left[0] | left[1]);
}

/* Of the calls that succeeded: those that changed a table. */
static __always_inline void on_success(struct fdt_exit *x, u32 tgid)
{
	switch (x->what) {
	case FDT_CALL_NONE:
	case FDT_CALL_URING:
	case FDT_CALL_SELECT: return;
	case FDT_CALL_READ:
		if (any_readers())
			on_read(x);
		return;
	case FDT_CALL_MAP:
		if (x->args[2] & PROT_EXEC)
			want_mapped(x->args[4], x->result, x->args[1], x->args[5]);
		return;
	case FDT_CALL_UNMAP: space_unmapped(x->args[0], x->args[1]); return;
	case FDT_CALL_EPOLL_CTL: on_epoll_ctl(x); return;
	case FDT_CALL_POLL:
		if (x->result > 0 || is_watched(tgid))
			on_poll(x->args[0], x->args[1], x->syscall, polls_at_once(x));
		return;
	}
	run_break();
	switch (x->what) {
	case FDT_CALL_OPEN: on_open(x); break;
	case FDT_CALL_CLOSE: on_close(x); break;
	case FDT_CALL_FCNTL: on_fcntl(x); break;
	case FDT_CALL_IOCTL: on_ioctl(x); break;
	case FDT_CALL_MAYBE: on_maybe(x, x->result); break;
	case FDT_CALL_REPLACE: on_replace(x); break;
	case FDT_CALL_RECVMSG:
	case FDT_CALL_RECVMMSG: on_receive(x); break;
	default: on_rare(x);
	}
}

/* Whether the use of a descriptor is looked at. */
static __always_inline bool may_use(u32 tgid)
{
	return wanted[FDT_STALE_USES] ? tgid_is_traced(tgid) : is_watched(tgid);
}

/* Everything about a call of a traced process that may matter. */
static __always_inline int on_call(struct fdt_exit *x, u32 tgid)
{
	if ((x->what == FDT_CALL_SOCKETCALL || x->what == FDT_CALL_URING) && !decode_rare(x))
		return 0;
	if (is_descriptor_error(x->result))
		return on_failure(x);
	if (x->result < 0 && x->what != FDT_CALL_CLOSE)
		return 0;
	on_success(x, tgid);
	if ((x->uses || x->what == FDT_CALL_SELECT) && x->result >= 0 && may_use(tgid))
		on_use(x);
	return 0;
}

/*
 * Most calls of most processes end in the first lines. watched_pids holds traced processes
 * only, so where a call can do nothing but use a descriptor, its bit decides alone.
 */
static __always_inline bool is_of_interest(u8 what, u8 uses, s64 result, u32 tgid)
{
	bool bad = is_descriptor_error(result);

	if (result < 0 && what != FDT_CALL_CLOSE && !bad)
		return false;
	if (what <= FDT_CALL_READ && !bad)
		return uses && (may_use(tgid) || (what && is_reader(tgid)));
	return tgid_is_traced(tgid);
}

static __always_inline int on_sys_exit(struct pt_regs *regs, s64 result)
{
	struct task_struct *task = CURRENT;
	const volatile struct fdt_call *call;
	u32 number = call_number(regs);
	struct fdt_exit x;

	if (number >= FDT_CALLS_MAX)
		return 0;
	x.compat = call_is_compat(task);
	call = x.compat ? &compat_calls[number] : &native_calls[number];
	x.what = call->what;
	x.uses = call->uses;
	if (!is_of_interest(x.what, x.uses, result, task->tgid))
		return 0;
	x.result = result;
	x.syscall = call->syscall;
	x.fds = call->fds;
	x.site_known = 0;
	call_args(regs, x.compat, x.args);
	return on_call(&x, task->tgid);
}

#endif
