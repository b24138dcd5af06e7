/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Files whose read() installs descriptors: of a fanotify group each event's file, and the process
 * that caused it; of a userfaultfd that of a child. Processes that may have such a file are marked,
 * so that reading costs all others no more than a test.
 */
#ifndef FDTRACE_READERS_BPF_H
#define FDTRACE_READERS_BPF_H

u64 reader_pids[FDT_PIDS_MAX / 64];
struct fdt_counter reader_count; /* bits set above */

/* What a read gives; flags of installs.bpf.h stand beside it. */
enum { READS_DATA, READS_EVENTS, READS_FAULTS };

/* As in fdt_file.detail; 0: not known. Set by user space, which has samples, or from the first seen. */
struct fdt_reader_ops reader_ops;

static __always_inline bool any_readers(void)
{
	return reader_count.value;
}

static __always_inline bool is_reader(u32 tgid)
{
	return any_readers() && pid_test(reader_pids, tgid);
}

static __always_inline u32 ops_of(u64 file)
{
	return (u32)(u64)(can_cast ? LOAD(true, file, file, f_op) : LOAD(false, file, file, f_op));
}

static __always_inline u32 what_is_read(u32 ops)
{
	if (!ops)
		return READS_DATA;
	return ops == reader_ops.fanotify    ? READS_EVENTS
	       : ops == reader_ops.userfault ? READS_FAULTS
					     : READS_DATA;
}

GLOBAL int reader_mark(u32 tgid)
{
	pid_set(reader_pids, &reader_count, tgid);
	return 0;
}

/* A process has a file with these operations. */
static __always_inline void reader_found(u32 tgid, u32 ops)
{
	if (what_is_read(ops) != READS_DATA)
		reader_mark(tgid);
}

/* What the current process reads from that number. */
static __always_inline u32 reader_reads(u32 fd)
{
	u64 file = slot_file(current_table(), fd);

	return file ? what_is_read(ops_of(file)) : READS_DATA;
}

/* The current process has got a descriptor. Calls nothing: the depth of calls is limited. */
GLOBAL int reader_got(u32 fd)
{
	if (reader_reads(fd) != READS_DATA)
		pid_set(reader_pids, &reader_count, bpf_get_current_pid_tgid() >> 32);
	return 0;
}

GLOBAL int reader_forked(u32 parent, u32 child)
{
	if (is_reader(parent))
		reader_mark(child);
	return 0;
}

GLOBAL int reader_ended(u32 tgid)
{
	pid_clear(reader_pids, &reader_count, tgid);
	return 0;
}

#endif
