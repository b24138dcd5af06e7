/* SPDX-License-Identifier: BSD-2-Clause */
/* What kind of thing a descriptor refers to; the names are those of the JSON schema. */
#ifndef FDTRACE_CORE_KIND_H
#define FDTRACE_CORE_KIND_H

#include <stdint.h>
#include "fdtrace/event.h"

/* The values are written into recordings (FDT_FOPS): append only. */
enum fd_kind {
	FD_KIND_UNKNOWN = 0,
	FD_KIND_FILE,
	FD_KIND_DIR,
	FD_KIND_CHR,
	FD_KIND_BLK,
	FD_KIND_FIFO,
	FD_KIND_PIPE,
	FD_KIND_UNIX,
	FD_KIND_TCP,
	FD_KIND_UDP,
	FD_KIND_NETLINK,
	FD_KIND_PACKET,
	FD_KIND_SOCKET,
	FD_KIND_EVENTFD,
	FD_KIND_EPOLL,
	FD_KIND_TIMERFD,
	FD_KIND_SIGNALFD,
	FD_KIND_INOTIFY,
	FD_KIND_FANOTIFY,
	FD_KIND_MEMFD,
	FD_KIND_PIDFD,
	FD_KIND_BPF,
	FD_KIND_PERF,
	FD_KIND_IO_URING,
	FD_KIND_USERFAULTFD,
	FD_KIND_NS,
	FD_KIND_ANON,
	FD_KIND_COUNT
};

/* "file", "tcp" ...; "unknown" for anything out of range. Never NULL. */
const char *fd_kind_name(enum fd_kind kind);

/*
 * Anonymous inodes (eventfd, epoll ...) differ only by their file operations. The source
 * finds out on the running kernel which operations mean which kind and reports it in FDT_FOPS
 * events; they are kept here. At most KIND_FOPS_MAX are kept, later ones are ignored.
 */
#define KIND_FOPS_MAX 64
struct kind_fops {
	unsigned int count;
	struct {
		uint32_t detail;
		uint32_t kind;
	} entry[KIND_FOPS_MAX];
};
void kind_fops_learn(struct kind_fops *fops, uint32_t detail, enum fd_kind kind);

/*
 * Kind of what a slot holds. syscall (enum fdt_syscall, 0 unknown) is the call that made it
 * and decides only where the file itself does not.
 */
enum fd_kind fd_kind_of(const struct fdt_file *file, unsigned int syscall,
			const struct kind_fops *fops);

#endif
