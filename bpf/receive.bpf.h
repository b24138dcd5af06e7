/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Descriptors that arrive in control messages (unix(7): SCM_RIGHTS, SCM_PIDFD). The kernel has
 * written them to the receiver's memory, where another thread may since have changed them: what
 * is found there only shows which slots to look at.
 */
#ifndef FDTRACE_RECEIVE_BPF_H
#define FDTRACE_RECEIVE_BPF_H

#define SOL_SOCKET 1
#define SCM_RIGHTS 1
#define SCM_PIDFD 4
#define SCM_MAX_FD 253 /* net/scm.h */
#define CMSGS_MAX 32
#define MSG_CTRUNC 8
#define UIO_MAXIOV 1024 /* messages of one recvmmsg */

/* struct msghdr of both ABIs, as user space lays it out */
struct fdt_msghdr {
	u64 name, name_size, iov, iov_count, control, control_size;
	u32 flags, pad;
};

struct fdt_msghdr32 {
	u32 name, name_size, iov, iov_count, control, control_size, flags;
};

struct fdt_receiving {
	u64 at, end; /* control messages yet to read */
	u64 site;
	u32 flags; /* of the message */
	u32 syscall;
	u32 compat;
	u32 budget; /* descriptors yet to be reported: memory that changes must not keep us here */
};

struct fdt_array {
	u64 address;
	u64 site;
	u32 syscall;
};

static long receive_descriptor(u64 i, struct fdt_array *array)
{
	s32 fd;

	if (bpf_probe_read_user(&fd, sizeof(fd), (void *)(array->address + i * sizeof(fd))))
		return 1;
	if (fd < 0 || !slot_file(current_table(), fd))
		return 0;
	reader_got(fd);
	if (array->syscall == FDT_SYS_io_uring_enter) {
		emit_uring(FDT_OP_RECEIVE, FDT_SYS_recvmsg, fd, fd);
		return 0;
	}
	emit_slot(FDT_OP_RECEIVE, array->syscall, fd, fd, array->site);
	note_change(FDT_OP_RECEIVE, fd);
	return 0;
}

GLOBAL int receive_array(u32 syscall, u64 address, u32 count, u64 site)
{
	struct fdt_array array = { .address = address, .site = site, .syscall = syscall };

	bpf_loop(count < SCM_MAX_FD ? count : SCM_MAX_FD, receive_descriptor, &array, 0);
	return 0;
}

/* struct cmsghdr {size_t len; int level, type;} of either ABI. Its size, or 0: there is none. */
static __always_inline u64 cmsg_read(const struct fdt_receiving *r, u64 *len, u32 *level, u32 *type)
{
	u32 word[4] = {};
	u64 size = r->compat ? 12 : 16;

	if (r->at + size > r->end || bpf_probe_read_user(word, size, (void *)r->at))
		return 0;
	*len = r->compat ? word[0] : word[0] | (u64)word[1] << 32;
	*level = r->compat ? word[1] : word[2];
	*type = r->compat ? word[2] : word[3];
	return *len < size || *len > r->end - r->at ? 0 : size;
}

static long receive_cmsg(__attribute__((unused)) u64 i, struct fdt_receiving *r)
{
	u64 len, size, align = r->compat ? 3 : 7;
	u32 level, type, count;

	size = cmsg_read(r, &len, &level, &type);
	if (!size)
		return 1;
	count = (len - size) / sizeof(s32);
	if (count > r->budget)
		count = r->budget;
	if (level == SOL_SOCKET && (type == SCM_RIGHTS || type == SCM_PIDFD)) {
		receive_array(r->syscall, r->at + size, count, r->site);
		r->budget -= count;
	}
	r->at += (len + align) & ~align;
	return 0;
}

/* A function of its own: what it reads would be on the stack as long as its caller runs. */
static __noinline long read_msghdr(struct fdt_receiving *r, u64 address)
{
	struct fdt_msghdr m;
	struct fdt_msghdr32 m32;

	if (r->compat) {
		if (bpf_probe_read_user(&m32, sizeof(m32), (void *)address))
			return -1;
		r->at = m32.control;
		r->end = r->at + m32.control_size;
		r->flags = m32.flags;
		return 0;
	}
	if (bpf_probe_read_user(&m, sizeof(m), (void *)address))
		return -1;
	r->at = m.control;
	r->end = r->at + m.control_size;
	r->flags = m.flags;
	return 0;
}

struct fdt_full {
	u64 table;
	u64 limit;
	u32 full;
};

static long word_is_full(u64 i, struct fdt_full *full)
{
	u64 left = full->limit - i * 64;
	u64 wanted = left < 64 ? (1ull << left) - 1 : ~0ull;

	full->full = (open_bits(full->table, i * 64) & wanted) == wanted;
	return !full->full;
}

/* Descriptors that did not fit any more were thrown away: EMFILE by another name (recvmsg(2)). */
GLOBAL int report_full(u32 syscall)
{
	struct fdt_full full = { .table = current_table() };

	full.limit = nofile_of(CURRENT);
	if (full.limit && full.limit <= table_capacity(full.table))
		bpf_loop((full.limit + 63) / 64, word_is_full, &full, 0);
	if (full.full)
		report_error(syscall, EMFILE, -1, 0);
	return 0;
}

/*
 * Returns whether there were more descriptors than fit: reported by the caller, whose stack is
 * not as deep.
 */
static __always_inline bool read_message(u32 syscall, u32 compat, u64 address, u64 site)
{
	struct fdt_receiving r = {
		.site = site, .syscall = syscall, .compat = compat, .budget = SCM_MAX_FD + 2
	};

	if (read_msghdr(&r, address))
		return false;
	if (r.at < r.end)
		bpf_loop(CMSGS_MAX, receive_cmsg, &r, 0);
	return r.flags & MSG_CTRUNC;
}

GLOBAL int receive_message(u32 syscall, u32 compat, u64 address, u64 site)
{
	if (read_message(syscall, compat, address, site))
		report_full(syscall);
	return 0;
}

/* What io_uring has received. */
GLOBAL int receive_by_ring(u32 compat, u64 address)
{
	return read_message(FDT_SYS_io_uring_enter, compat, address, 0);
}

struct fdt_messages {
	u64 address;
	u64 site;
	u32 compat;
	u32 truncated;
};

/* struct mmsghdr: a msghdr and the length that was received */
static long receive_next(u64 i, struct fdt_messages *messages)
{
	u32 size = messages->compat ? 32 : 64;

	if (read_message(FDT_SYS_recvmmsg, messages->compat, messages->address + i * size,
			 messages->site))
		messages->truncated = 1;
	return 0;
}

GLOBAL int receive_many(u32 compat, u64 address, u32 count, u64 site)
{
	struct fdt_messages messages = { .address = address, .site = site, .compat = compat };

	bpf_loop(count < UIO_MAXIOV ? count : UIO_MAXIOV, receive_next, &messages, 0);
	if (messages.truncated)
		report_full(FDT_SYS_recvmmsg);
	return 0;
}

/*
 * Whether the message, the first of several, has room for control data: only then can
 * descriptors come, and the call's stack is of interest. (Taken here, and handed down: the
 * verifier allows eight functions to be in each other.)
 */
GLOBAL int expects_control(u32 compat, u64 address)
{
	struct fdt_receiving r = { .compat = compat };

	return !read_msghdr(&r, address) && r.at;
}

#endif
