/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the BPF programs (bpf/) and their loader (src/source/live/bpf.c) share besides events: how
 * each system call of this machine is to be handled, counters, and the cursor of a snapshot.
 */
#ifndef FDTRACE_KERNEL_H
#define FDTRACE_KERNEL_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

#define FDT_CALLS_MAX 512      /* syscall numbers; later ones and x32's own are not decoded */
#define FDT_SOCKETCALLS_MAX 32 /* call numbers of i386's socketcall (linux/net.h) */

/* What a call that succeeded has done, and so what there is to do. */
enum fdt_call_class {
	FDT_CALL_NONE = 0,
	FDT_CALL_READ,  /* the same, but for files of which descriptors are read (fanotify ...) */
	FDT_CALL_OPEN,  /* its result is a descriptor */
	FDT_CALL_MAYBE, /* its result may be one (bpf, seccomp ...) */
	FDT_CALL_IOCTL, /* the same; some requests do not use the descriptor, two mark it */
	FDT_CALL_FCNTL, /* duplicates, marks and locks: the command decides */
	FDT_CALL_CLOSE,
	FDT_CALL_REPLACE,    /* dup2, dup3 */
	FDT_CALL_RANGE,      /* close_range */
	FDT_CALL_PIPE,       /* two descriptors at argument 0 */
	FDT_CALL_SOCKETPAIR, /* two at argument 3 */
	FDT_CALL_RECVMSG,    /* as many as the control messages say */
	FDT_CALL_RECVMMSG,
	FDT_CALL_GETSOCKOPT, /* SO_PEERPIDFD: one at argument 3 */
	FDT_CALL_UNSHARE,
	FDT_CALL_MAP, /* mmap and munmap: they matter to stack walks only */
	FDT_CALL_UNMAP,
	FDT_CALL_SETRLIMIT,
	FDT_CALL_PRLIMIT,
	FDT_CALL_READER,     /* its result is a descriptor, perhaps of which others are read */
	FDT_CALL_EPOLL,      /* epoll_create: its result is a descriptor */
	FDT_CALL_EPOLL_CTL,  /* changes what the epoll at argument 0 watches */
	FDT_CALL_POLL,       /* uses an array of struct pollfd, and says which are closed */
	FDT_CALL_SELECT,     /* uses three sets */
	FDT_CALL_URING,      /* argument 0 is a descriptor unless a flag says otherwise */
	FDT_CALL_SOCKETCALL, /* i386: which call it is stands in argument 0 */
};

/* Filled from the table in src/source/syscalls.c before the programs are loaded. */
struct fdt_call {
	__u16 syscall; /* enum fdt_syscall */
	__u8 what;     /* enum fdt_call_class */
	__u8 fds;      /* bit n: argument n is a descriptor */
	__u8 uses;     /* of these, the ones that success means a use of */
	__u8 pad[3];
};

/* Alone on a cache line: written by all CPUs. */
struct fdt_counter {
	__u64 value;
	__u64 pad[7];
};

/* Of stacks, by the CPU: a line that all of them wrote for each event would bounce between them. */
struct fdt_walk_counts {
	__u64 taken;
	__u64 skipped;    /* left out to keep to the budget */
	__u64 frames;     /* native and interpreted, of all walks */
	__u64 sampled_ns; /* time of one walk of every 1 << FDT_WALK_SAMPLE_SHIFT */
	__u64 pad[4];
};
#define FDT_WALK_SAMPLE_SHIFT 5
#define FDT_CPUS_MAX 1024

/* Names of files are counted by windows of time, of 1 << this nanoseconds (134 ms). */
#define FDT_NAMES_WINDOW_SHIFT 27

/* Written by user space before a round of a snapshot, and by the iterator when it stops. */
struct fdt_cursor {
	__u32 only_tgid; /* 0: every traced process; fdtrace itself is looked at only so */
	__u32 stopped;   /* the ring is half full: empty it, clear this, and begin a new round */
	__u32 tid;       /* where to go on; tasks come in the order of their numbers */
	__u32 fd;
	__u64 table; /* fd belongs to this one */
};

/* The low halves of the addresses of file operations, as in fdt_file.detail; 0: not known. */
struct fdt_reader_ops {
	__u32 fanotify;
	__u32 userfault;
};

/* Which descriptor the program in inspect.bpf.c is to look at. */
struct fdt_query {
	__u32 tgid;
	__u32 fd;
};

/* Processes are marked by pid in bitmaps of __u64, one bit for each pid there can be. */
#define FDT_PIDS_MAX (4 << 20) /* PID_MAX_LIMIT on 64 bits */

_Static_assert(sizeof(struct fdt_call) == 8, "the programs and their loader must agree");
/* Programs whose cost is measured: index of struct fdt_cost in the map. */
enum fdt_program {
	FDT_PROGRAM_SYS_EXIT,
	FDT_PROGRAM_URING,
	FDT_PROGRAM_FORK,
	FDT_PROGRAM_EXEC,
	FDT_PROGRAM_EXIT,
	FDT_PROGRAM_SNAPSHOT,
	FDT_PROGRAM_FUNCTION,
	FDT_PROGRAMS
};

/* While `measuring` is set; on each CPU. */
struct fdt_cost {
	__u64 ns, runs;
};

_Static_assert(sizeof(struct fdt_counter) == 64, "the programs and their loader must agree");
_Static_assert(sizeof(struct fdt_cursor) == 24, "the programs and their loader must agree");

#endif
