/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Does a thread keep using a number that others have refilled? Each filling of a slot by an
 * open has a serial number; for each thread and number the serial that it used last is kept.
 * Whatever a thread does to a slot itself makes it forget what it used there: it knows.
 *
 * Where it is not certain who did what, nothing is reported:
 * - Only fillings count. A close is reported after it took effect, when the slot may long have been
 *   filled and used again.
 * - dup2 onto a number swaps its file on purpose; uses before it are pardoned.
 * - What io_uring does may have been asked for by any thread: the same.
 * - A call that waits may have begun before the change and then used the old file. It is only
 *   remembered; the next use of the same filling is reported.
 */
#ifndef FDTRACE_STALE_BPF_H
#define FDTRACE_STALE_BPF_H

#define STALE_MAX 65536

struct fdt_change_key {
	u64 table;
	u32 fd;
	u32 pad;
};

struct fdt_filling_of_slot {
	u64 serial;   /* of the latest filling */
	u64 pardoned; /* uses of fillings before this one are not held against anybody */
	u64 file;
};

struct fdt_use_key {
	u32 tid;
	u32 fd; /* EVERY: not a use, but the thread's latest close_range */
};
#define EVERY 0xffffffff

struct fdt_last_use {
	u64 serial; /* 0: of a filling before we looked */
	u64 waited; /* filling met by a call that may have waited; 0: none */
	u64 born;   /* of the thread: its number may be given again */
	u64 space;  /* address space: an exec starts again */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, STALE_MAX); /* 1 unless stale uses are wanted; this one, too: */
	__type(key, struct fdt_change_key);
	__type(value, struct fdt_filling_of_slot);
} fdt_fillings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, STALE_MAX);
	__type(key, struct fdt_use_key);
	__type(value, struct fdt_last_use);
} fdt_last_uses SEC(".maps");

struct fdt_counter filling_serial;

static __always_inline u64 next_serial(void)
{
	return __sync_fetch_and_add(&filling_serial.value, 1) + 1;
}

static __always_inline struct fdt_filling_of_slot *filling_of(u64 table, u32 fd, bool create)
{
	struct fdt_change_key key = { .table = table, .fd = fd };
	struct fdt_filling_of_slot new = {}, *filling = bpf_map_lookup_elem(&fdt_fillings, &key);

	if (filling || !create)
		return filling;
	bpf_map_update_elem(&fdt_fillings, &key, &new, BPF_NOEXIST);
	return bpf_map_lookup_elem(&fdt_fillings, &key);
}

static __always_inline void forget_own_use(u32 fd)
{
	struct fdt_use_key key = { .tid = (u32)bpf_get_current_pid_tgid(), .fd = fd };

	bpf_map_delete_elem(&fdt_last_uses, &key);
}

static __always_inline bool is_pardoned_op(u8 op)
{
	return op == FDT_OP_REPLACE || op == FDT_OP_URING || op == FDT_OP_URING_CLOSE;
}

/* An ioctl's small result says nothing unless the slot differs from what was known. */
static __always_inline bool changes_nothing(const struct fdt_filling_of_slot *filling, u8 op,
					    u64 file)
{
	return op == FDT_OP_MAYBE && (!filling->serial || filling->file == file);
}

/* The current thread has changed a slot of its table, and that has been reported. */
GLOBAL int slot_changed(u8 op, u32 fd)
{
	u64 table = current_table(), file = slot_file(table, fd);
	struct fdt_filling_of_slot *filling;

	if (op == FDT_OP_CLOSE) {
		forget_own_use(fd);
		return 0;
	}
	filling = filling_of(table, fd, op != FDT_OP_MAYBE);
	if (!filling || changes_nothing(filling, op, file))
		return 0;
	forget_own_use(fd);
	filling->file = file;
	filling->serial = next_serial();
	if (is_pardoned_op(op))
		filling->pardoned = filling->serial;
	return 0;
}

static __always_inline void note_change(u8 op, u32 fd)
{
	if (wanted[FDT_STALE_USES])
		slot_changed(op, fd);
}

static __always_inline void use_init(struct fdt_last_use *use, u64 serial)
{
	struct task_struct *task = plain_task(CURRENT);

	use->serial = serial;
	use->waited = 0;
	use->born = task->start_boottime;
	use->space = (u64)task->mm;
}

/* The current thread has closed a range: what it used below is forgotten. */
GLOBAL int range_changed(void)
{
	struct fdt_use_key key = { .tid = (u32)bpf_get_current_pid_tgid(), .fd = EVERY };
	struct fdt_last_use use;

	use_init(&use, next_serial());
	bpf_map_update_elem(&fdt_last_uses, &key, &use, BPF_ANY);
	return 0;
}

static __always_inline bool has_closed_range_since(u64 serial)
{
	struct fdt_use_key key = { .tid = (u32)bpf_get_current_pid_tgid(), .fd = EVERY };
	struct fdt_last_use *range = bpf_map_lookup_elem(&fdt_last_uses, &key);

	return range && range->serial > serial;
}

/* A write may wait, too, but seldom does. */
static __always_inline bool may_wait(u32 syscall)
{
	switch (syscall) {
	case FDT_SYS_read:
	case FDT_SYS_readv:
	case FDT_SYS_preadv:
	case FDT_SYS_preadv2:
	case FDT_SYS_recvfrom:
	case FDT_SYS_recvmsg:
	case FDT_SYS_recvmmsg:
	case FDT_SYS_accept:
	case FDT_SYS_accept4:
	case FDT_SYS_connect:
	case FDT_SYS_epoll_wait:
	case FDT_SYS_epoll_pwait:
	case FDT_SYS_epoll_pwait2:
	case FDT_SYS_io_uring_enter:
	case FDT_SYS_flock:
	case FDT_SYS_fcntl:
	case FDT_SYS_splice:
	case FDT_SYS_tee:
	case FDT_SYS_mq_timedreceive: return true;
	}
	return false;
}

/* Whether this use of a filling that others made since is to be reported now. */
static __always_inline bool is_stale(struct fdt_last_use *last, u64 pardoned, u64 serial,
				     u32 syscall)
{
	if (last->serial < pardoned || has_closed_range_since(last->serial))
		return false;
	if (may_wait(syscall) && last->waited != serial) {
		last->waited = serial;
		return false;
	}
	return true;
}

static __always_inline void report_stale_use(u32 fd, u32 syscall)
{
	run_break();
	emit_slot(FDT_OP_STALE_USE, syscall, fd, 0, site_of_error());
}

/* The current thread has used a number, with success. */
GLOBAL int slot_used(u32 fd, u32 syscall)
{
	struct fdt_use_key key = { .tid = (u32)bpf_get_current_pid_tgid(), .fd = fd };
	struct fdt_last_use now, *last = bpf_map_lookup_elem(&fdt_last_uses, &key);
	struct fdt_filling_of_slot *filling = filling_of(current_table(), fd, false);
	u64 serial = filling ? filling->serial : 0, pardoned = filling ? filling->pardoned : 0;

	use_init(&now, serial);
	if (!last || last->born != now.born || last->space != now.space) {
		bpf_map_update_elem(&fdt_last_uses, &key, &now, BPF_ANY);
		return 0;
	}
	if (last->serial == serial)
		return 0;
	if (serial > last->serial && is_stale(last, pardoned, serial, syscall))
		report_stale_use(fd, syscall);
	else if (last->waited == serial)
		return 0; /* the next use is reported */
	last->serial = serial;
	last->waited = 0;
	return 0;
}

#endif
