/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who changes what an epoll watches. An epoll belongs to the process that made it; one that was
 * there before we looked, to the first that is seen to change it; and one whose maker has ended
 * (a daemon's, made before it left its parent), to whichever continues with it. Only changes by
 * other processes are reported: for all others a call costs a look into the slot and one into a
 * map.
 */
#ifndef FDTRACE_EPOLLS_BPF_H
#define FDTRACE_EPOLLS_BPF_H

#define EPOLLS_MAX 16384 /* beyond that the least used are forgotten, and get a new maker */

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, EPOLLS_MAX); /* 1 unless registrations are wanted */
	__type(key, u64);                /* struct file */
	__type(value, u32);              /* tgid */
} fdt_epolls SEC(".maps");

/* Processes that own an epoll and have not ended. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, EPOLLS_MAX); /* the same */
	__type(key, u32);                /* tgid */
	__type(value, u8);
} fdt_makers SEC(".maps");

static __always_inline void maker_ended(u32 tgid)
{
	if (wanted[FDT_REGISTER])
		bpf_map_delete_elem(&fdt_makers, &tgid);
}

static __always_inline void epoll_belongs(u64 file, u32 tgid)
{
	u8 alive = 1;

	bpf_map_update_elem(&fdt_makers, &tgid, &alive, BPF_ANY);
	bpf_map_update_elem(&fdt_epolls, &file, &tgid, BPF_ANY);
}

/* The address may have been another epoll's, of another maker. */
static __always_inline void epoll_made(u32 fd)
{
	u64 file = slot_file(current_table(), fd);

	if (file)
		epoll_belongs(file, bpf_get_current_pid_tgid() >> 32);
}

/* Whose the epoll at that number is; 0: the current process's own. */
static __always_inline u32 other_maker(u32 epoll_fd)
{
	u64 file = slot_file(current_table(), epoll_fd);
	u32 tgid = bpf_get_current_pid_tgid() >> 32;
	u32 *maker = bpf_map_lookup_elem(&fdt_epolls, &file);

	if (maker && *maker == tgid)
		return 0;
	if (maker && bpf_map_lookup_elem(&fdt_makers, maker))
		return *maker;
	if (file)
		epoll_belongs(file, tgid);
	return 0;
}

GLOBAL int emit_register(u32 epoll_fd, u32 op, u32 fd, u32 maker, u64 site)
{
	struct task_struct *task = plain_task(CURRENT);
	u64 table = (u64)task->files;
	struct fdt_register *event = RESERVE(fdt_register);

	if (!event)
		return 0;
	HEAD_PRECISE(event, FDT_REGISTER, FDT_OP_NONE, task, table);
	event->head.syscall = FDT_SYS_epoll_ctl;
	event->head.flags = op;
	event->epoll_fd = epoll_fd;
	event->fd = fd;
	event->maker_tgid = maker;
	event->pad = 0;
	event->site = site;
	describe_file(&event->epoll, slot_file(table, epoll_fd));
	describe_file(&event->file, slot_file(table, fd));
	EMIT(event);
	return 0;
}

#endif
