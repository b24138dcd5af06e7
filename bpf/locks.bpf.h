/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Record locks of POSIX (fcntl_locking(2)): those that belong to a table. */
#ifndef FDTRACE_LOCKS_BPF_H
#define FDTRACE_LOCKS_BPF_H

/* asm-generic/fcntl.h. The last two exist for 32-bit callers only. */
#define F_SETLK 6
#define F_SETLKW 7
#define F_SETLK64 13
#define F_SETLKW64 14
#define SEEK_CUR 1
#define SEEK_END 2

/* What user space asked for, before l_whence is worked out. */
struct fdt_asked {
	s64 start, length;
	u16 type, whence;
};

/* struct flock of the three layouts there are (and Arm's struct flock64, which is the first). */
struct fdt_flock {
	u16 type, whence;
	u32 pad;
	s64 start, length;
};

struct fdt_flock32 {
	u16 type, whence;
	s32 start, length;
};

struct fdt_flock_i386 {
	u16 type, whence;
	u32 start[2], length[2];
};

static __always_inline bool is_lock(u32 command, bool compat)
{
	return command == F_SETLK || command == F_SETLKW ||
	       (compat && (command == F_SETLK64 || command == F_SETLKW64));
}

static __always_inline long read_flock(struct fdt_asked *out, u64 address)
{
	struct fdt_flock l;

	if (bpf_probe_read_user(&l, sizeof(l), (void *)address))
		return -1;
	*out = (struct fdt_asked){ l.start, l.length, l.type, l.whence };
	return 0;
}

static __always_inline long read_flock32(struct fdt_asked *out, u64 address)
{
	struct fdt_flock32 l;

	if (bpf_probe_read_user(&l, sizeof(l), (void *)address))
		return -1;
	*out = (struct fdt_asked){ l.start, l.length, l.type, l.whence };
	return 0;
}

#if COMPAT_U64_ALIGN == 4
static __always_inline long read_flock64(struct fdt_asked *out, u64 address)
{
	struct fdt_flock_i386 l;

	if (bpf_probe_read_user(&l, sizeof(l), (void *)address))
		return -1;
	*out = (struct fdt_asked){ l.start[0] | (u64)l.start[1] << 32,
				   l.length[0] | (u64)l.length[1] << 32, l.type, l.whence };
	return 0;
}
#else
static __always_inline long read_flock64(struct fdt_asked *out, u64 address)
{
	return read_flock(out, address);
}
#endif

static __always_inline long read_asked(struct fdt_asked *out, u32 command, u32 compat, u64 address)
{
	if (!compat)
		return read_flock(out, address);
	if (command == F_SETLK || command == F_SETLKW)
		return read_flock32(out, address);
	return read_flock64(out, address);
}

static __always_inline s64 base_as(const bool direct, u32 whence, u64 file)
{
	u64 inode;

	if (whence == SEEK_CUR)
		return LOAD(direct, file, file, f_pos);
	inode = (u64)LOAD(direct, file, file, f_inode);
	return LOAD(direct, inode, inode, i_size);
}

/* Where l_start counts from: as it is after the call, which changes neither. */
static __always_inline s64 base_of(u32 whence, u64 file)
{
	if (!file || (whence != SEEK_CUR && whence != SEEK_END))
		return 0;
	return can_cast ? base_as(true, whence, file) : base_as(false, whence, file);
}

/* A negative length is what lies before the start. */
static __always_inline void lock_fill_range(struct fdt_lock *event, const struct fdt_asked *asked)
{
	s64 start = asked->start + base_of(asked->whence, event->file.file);

	event->start = asked->length < 0 ? start + asked->length : start;
	event->length = asked->length < 0 ? -asked->length : asked->length;
}

/* The lock may since have been requested again in the same memory; that is reported by itself. */
GLOBAL int emit_lock(u32 fd, u32 command, u32 compat, u64 address, u64 site)
{
	struct task_struct *task = plain_task(CURRENT);
	u64 table = (u64)task->files;
	struct fdt_asked asked;
	struct fdt_lock *event;

	if (read_asked(&asked, command, compat, address) || asked.type > FDT_LOCK_NONE)
		return 0;
	event = RESERVE(fdt_lock);
	if (!event)
		return 0;
	HEAD_PRECISE(event, FDT_LOCK, FDT_OP_NONE, task, table);
	event->head.syscall = FDT_SYS_fcntl;
	event->fd = fd;
	event->type = asked.type;
	event->site = site;
	describe_file(&event->file, slot_file(table, fd));
	lock_fill_range(event, &asked);
	EMIT(event);
	return 0;
}

#endif
