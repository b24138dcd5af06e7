/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Calls that failed with EBADF, EMFILE or ENFILE. A loop that closes a million numbers must
 * not make a million events: the first failure is reported at once, those that follow the same
 * pattern are counted here, per thread, and reported at 16, 256, 4096, 65536 and each further
 * 65536, and with FDT_ERR_FINAL when the thread does something else about descriptors.
 */
#ifndef FDTRACE_ERRORS_BPF_H
#define FDTRACE_ERRORS_BPF_H

#define EBADF 9
#define ENFILE 23
#define EMFILE 24
#define RLIMIT_NOFILE 7 /* asm-generic/resource.h; the same on x86 and arm64 */

struct fdt_run {
	u64 serial;
	u64 first_ns, last_ns;
	u32 count, reported; /* count 0: there is no run */
	s32 first_fd, last_fd;
	s32 step; /* known from the second failure on */
	u16 error, syscall;
	u32 flags; /* FDT_ERR_EMPTY of the latest */
	u32 apart; /* how many failures in a row were no run but for their sites */
	u64 site;  /* of the first */
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct fdt_run);
} fdt_runs SEC(".maps");

static __always_inline u64 nofile_of(struct task_struct *task)
{
	return plain_task(task)->signal->rlim[RLIMIT_NOFILE].rlim_cur;
}

static __always_inline void emit_error(struct fdt_run *run, u32 flags)
{
	struct task_struct *task = plain_task(CURRENT);
	struct fdt_error *event = RESERVE(fdt_error);

	if (!event)
		return;
	head_fill(&event->head, FDT_ERROR, FDT_OP_NONE, sizeof(*event), run->last_ns, task,
		  (u64)task->files);
	event->head.syscall = run->syscall;
	event->head.flags = run->flags | flags;
	event->fd = run->first_fd;
	event->error = run->error;
	event->count = run->count;
	event->step = run->step;
	event->run = run->serial;
	event->first_ns = run->first_ns;
	event->nofile = nofile_of(task);
	event->site = run->site;
	EMIT(event);
	run->reported = run->count;
}

/* A failure that stood alone was reported in full when it happened. */
static __always_inline void run_end(struct fdt_run *run)
{
	if (!run->count)
		return;
	if (run->count > 1)
		emit_error(run, FDT_ERR_FINAL);
	run->count = 0;
	__sync_fetch_and_add(&run_count.value, -1);
}

GLOBAL int run_end_current(void)
{
	struct fdt_run *run = bpf_task_storage_get(&fdt_runs, CURRENT, 0, 0);

	if (run)
		run_end(run);
	return 0;
}

/* To be called before anything else is reported about the current thread. */
static __always_inline void run_break(void)
{
	if (run_count.value)
		run_end_current();
}

/* Calls that loops over descriptor numbers are made of. Any other call that fails on the next
 * number has another cause, and is reported by itself. */
static __always_inline bool walks_numbers(u16 syscall)
{
	return syscall == FDT_SYS_close || syscall == FDT_SYS_fcntl;
}

static __always_inline bool run_continues(const struct fdt_run *run, u16 syscall, u16 error, s32 fd)
{
	s32 step = fd - run->last_fd;

	if (!run->count || run->syscall != syscall || run->error != error)
		return false;
	if (step && !walks_numbers(syscall))
		return false;
	if (run->count == 1)
		return step >= -1 && step <= 1;
	return step == run->step;
}

/* A loop has one close; where a compiler has made several of it, they count as one after a while. */
#define RUN_APART_MAX 16

/*
 * Neighbouring numbers that fail in two places are two mistakes. Asked of the second failure only;
 * where no stack was taken nothing is known.
 */
static __always_inline bool run_site_differs(struct fdt_run *run, s32 fd)
{
	u64 site;

	if (run->count != 1 || fd == run->last_fd || !run->site || run->apart >= RUN_APART_MAX)
		return false;
	site = site_of_error();
	return site && site != run->site;
}

static __always_inline bool is_milestone(u32 count)
{
	return count == 16 || count == 256 || count == 4096 || (count && !(count & 0xffff));
}

static __always_inline void run_begin(struct fdt_run *run, u16 syscall, u16 error, s32 fd)
{
	run->serial = __sync_fetch_and_add(&run_serial.value, 1) + 1;
	run->first_ns = run->last_ns;
	run->syscall = syscall;
	run->error = error;
	run->first_fd = fd;
	run->last_fd = fd;
	run->step = 0;
	run->count = 1;
	run->site = site_of_error();
	__sync_fetch_and_add(&run_count.value, 1);
	emit_error(run, 0);
}

static __always_inline void run_add(struct fdt_run *run, s32 fd)
{
	run->step = fd - run->last_fd;
	run->last_fd = fd;
	if (run->count < ~0u)
		run->count++;
	if (is_milestone(run->count))
		emit_error(run, 0);
}

/* fd -1: the call has none. */
GLOBAL int report_error(u32 syscall, u32 error, s32 fd, u32 flags)
{
	struct fdt_run *run =
		bpf_task_storage_get(&fdt_runs, CURRENT, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);

	if (!run) { /* no memory, or in use by what this CPU was doing: counted as lost */
		__sync_fetch_and_add(&lost_events.value, 1);
		return 0;
	}
	if (!run_continues(run, syscall, error, fd)) {
		run->apart = 0;
	} else if (run_site_differs(run, fd)) {
		run->apart++;
	} else {
		run->flags = flags;
		run->last_ns = bpf_ktime_get_ns();
		run_add(run, fd);
		return 0;
	}
	run_end(run);
	run->flags = flags;
	run->last_ns = bpf_ktime_get_ns();
	run_begin(run, syscall, error, fd);
	return 0;
}

struct fdt_bad {
	s32 fd;
	u32 empty;
};

/* Of a call's descriptors the one that is closed; if none is (wrong mode of access) the first. */
static __always_inline void bad_argument(struct fdt_bad *bad, u64 table, u32 fds,
					 const u64 args[CALL_ARGS])
{
	for (u32 i = 0; i < CALL_ARGS; i++) {
		s32 fd = args[i];

		if (!(fds >> i & 1) || fd < 0 || bad->empty)
			continue;
		if (!slot_file(table, fd)) {
			bad->fd = fd;
			bad->empty = 1;
		} else if (bad->fd < 0) {
			bad->fd = fd;
		}
	}
}

#endif
