/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* poll and select: many descriptors in one call, named in user memory. */
#ifndef FDTRACE_WAITS_BPF_H
#define FDTRACE_WAITS_BPF_H

#define POLLFDS_MAX 16 /* the rest of a longer array is not looked at */
#define ASKED_MIN 3    /* numbers in a row that are a question: 0, 1 and 2 when a program starts */
#define POLLNVAL 0x20
#define SELECT_MAX 1024 /* FD_SETSIZE */

/* The exit of a system call. */
struct fdt_exit {
	u64 args[CALL_ARGS];
	s64 result;
	u32 compat;
	u32 syscall, what, fds, uses; /* as in struct fdt_call */
	u32 site_known;
	u64 site;
};

struct fdt_pollfd {
	s32 fd;
	u16 events, revents;
};

struct fdt_polling {
	u64 address;
	u32 syscall;
	u32 watched;
	s32 fd; /* the one looked at last */
	u32 in_a_row;
};

/* The stack has no room for all of them. Returns what poll said of it. */
static __always_inline u16 polled_at(struct fdt_polling *p, u64 i)
{
	struct fdt_pollfd polled;

	p->fd = -1;
	if (bpf_probe_read_user(&polled, sizeof(polled), (void *)(p->address + i * sizeof(polled))))
		return 0;
	p->fd = polled.fd;
	return polled.revents;
}

/* POLLNVAL is how poll says EBADF. */
static long poll_one(u64 i, struct fdt_polling *p)
{
	u16 revents = polled_at(p, i);

	if (p->fd < 0)
		return 0;
	if (revents & POLLNVAL)
		report_error(p->syscall, EBADF, p->fd,
			     slot_file(current_table(), p->fd) ? 0 : FDT_ERR_EMPTY);
	else if (p->watched)
		watch_take(p->fd, p->syscall, true);
	return 0;
}

static long poll_in_a_row(u64 i, struct fdt_polling *p)
{
	s32 before = p->fd;

	polled_at(p, i);
	if (i && p->fd != before + 1)
		return 1;
	p->in_a_row++;
	return 0;
}

/*
 * One number after the other, from three on, without waiting: no event loop looks like that. It asks
 * which numbers are open, as xargs does before it lets children inherit them.
 */
static __always_inline bool asks_which_are_open(struct fdt_polling *p, u32 count)
{
	bpf_loop(count, poll_in_a_row, p, 0);
	return count >= ASKED_MIN && p->in_a_row == count;
}

/* at_once: the call does not wait. */
GLOBAL int on_poll(u64 address, u64 count, u32 syscall, u32 at_once)
{
	struct fdt_polling p = { .address = address, .syscall = syscall };
	struct task_struct *task = plain_task(CURRENT);

	p.watched = is_watched(task->tgid);
	if (count > POLLFDS_MAX)
		count = POLLFDS_MAX;
	if (at_once && asks_which_are_open(&p, count))
		return 0;
	bpf_loop(count, poll_one, &p, 0);
	return 0;
}

struct fdt_selecting {
	u64 set[3]; /* addresses */
	u64 bits;   /* of 64 numbers, any set */
	u32 count;
	u32 base;
	u32 syscall;
	u32 bad; /* looking for the closed one, not for uses */
	s32 found;
};

static long select_bit(u64 i, struct fdt_selecting *s)
{
	u32 fd = s->base + i;

	if (i >= 64 || fd >= s->count || !(s->bits >> i & 1))
		return 0;
	if (!s->bad) {
		watch_take(fd, s->syscall, true);
		return 0;
	}
	if (slot_file(current_table(), fd))
		return 0;
	s->found = fd;
	return 1;
}

static long select_word(u64 i, struct fdt_selecting *s)
{
	s->bits = 0;
	s->base = i * 64;
	for (u32 k = 0; k < 3; k++) {
		u64 bits = 0;

		if (s->set[k] &&
		    !bpf_probe_read_user(&bits, sizeof(bits), (void *)(s->set[k] + i * 8)))
			s->bits |= bits;
	}
	if (s->bits)
		bpf_loop(64, select_bit, s, 0);
	return s->found >= 0;
}

/*
 * On success the sets hold what is ready: those were used. On EBADF they are as they were
 * given: returns the closed number among them, -1 if there is none any more.
 */
GLOBAL int on_select(const struct fdt_exit *x, u32 bad)
{
	struct fdt_selecting s = { .bad = bad, .found = -1 };

	if (!x)
		return -1;
	s.syscall = x->syscall;
	s.count = x->args[0] < SELECT_MAX ? x->args[0] : SELECT_MAX;
	s.set[0] = x->args[1];
	s.set[1] = x->args[2];
	s.set[2] = x->args[3];
	bpf_loop((s.count + 63) / 64, select_word, &s, 0);
	return s.found;
}

#endif
