// SPDX-License-Identifier: BSD-2-Clause
#include "model/kind.h"

#include <linux/magic.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "fdtrace/syscall.h"

/* File systems that linux/magic.h of older distributions does not know yet. */
#define PIDFS_MAGIC_NUMBER 0x50494446 /* "PIDF", since kernel 6.9 */
#define MQUEUE_MAGIC_NUMBER 0x19800202

static const char *const names[FD_KIND_COUNT] = {
	[FD_KIND_UNKNOWN] = "unknown",
	[FD_KIND_FILE] = "file",
	[FD_KIND_DIR] = "dir",
	[FD_KIND_CHR] = "chr",
	[FD_KIND_BLK] = "blk",
	[FD_KIND_FIFO] = "fifo",
	[FD_KIND_PIPE] = "pipe",
	[FD_KIND_UNIX] = "unix",
	[FD_KIND_TCP] = "tcp",
	[FD_KIND_UDP] = "udp",
	[FD_KIND_NETLINK] = "netlink",
	[FD_KIND_PACKET] = "packet",
	[FD_KIND_SOCKET] = "socket",
	[FD_KIND_EVENTFD] = "eventfd",
	[FD_KIND_EPOLL] = "epoll",
	[FD_KIND_TIMERFD] = "timerfd",
	[FD_KIND_SIGNALFD] = "signalfd",
	[FD_KIND_INOTIFY] = "inotify",
	[FD_KIND_FANOTIFY] = "fanotify",
	[FD_KIND_MEMFD] = "memfd",
	[FD_KIND_PIDFD] = "pidfd",
	[FD_KIND_BPF] = "bpf",
	[FD_KIND_PERF] = "perf",
	[FD_KIND_IO_URING] = "io_uring",
	[FD_KIND_USERFAULTFD] = "userfaultfd",
	[FD_KIND_NS] = "ns",
	[FD_KIND_ANON] = "anon",
};

const char *fd_kind_name(enum fd_kind kind)
{
	return (unsigned int)kind < FD_KIND_COUNT ? names[kind] : names[FD_KIND_UNKNOWN];
}

void kind_fops_learn(struct kind_fops *fops, uint32_t detail, enum fd_kind kind)
{
	if (fops->count == KIND_FOPS_MAX || (unsigned int)kind >= FD_KIND_COUNT)
		return;
	for (unsigned int i = 0; i < fops->count; i++)
		if (fops->entry[i].detail == detail)
			return;
	fops->entry[fops->count].detail = detail;
	fops->entry[fops->count++].kind = kind;
}

static enum fd_kind kind_learned(const struct kind_fops *fops, uint32_t detail)
{
	for (unsigned int i = 0; i < fops->count; i++)
		if (fops->entry[i].detail == detail)
			return fops->entry[i].kind;
	return FD_KIND_UNKNOWN;
}

static enum fd_kind by_syscall(unsigned int syscall)
{
	switch (syscall) {
	case FDT_SYS_eventfd:
	case FDT_SYS_eventfd2: return FD_KIND_EVENTFD;
	case FDT_SYS_epoll_create:
	case FDT_SYS_epoll_create1: return FD_KIND_EPOLL;
	case FDT_SYS_timerfd_create: return FD_KIND_TIMERFD;
	case FDT_SYS_signalfd:
	case FDT_SYS_signalfd4: return FD_KIND_SIGNALFD;
	case FDT_SYS_inotify_init:
	case FDT_SYS_inotify_init1: return FD_KIND_INOTIFY;
	case FDT_SYS_fanotify_init: return FD_KIND_FANOTIFY;
	case FDT_SYS_pidfd_open:
	case FDT_SYS_clone:
	case FDT_SYS_clone3: return FD_KIND_PIDFD;
	case FDT_SYS_bpf: return FD_KIND_BPF;
	case FDT_SYS_perf_event_open: return FD_KIND_PERF;
	case FDT_SYS_io_uring_setup: return FD_KIND_IO_URING;
	case FDT_SYS_userfaultfd: return FD_KIND_USERFAULTFD;
	default: return FD_KIND_ANON;
	}
}

static enum fd_kind kind_of_anonymous(const struct fdt_file *file, unsigned int syscall,
				      const struct kind_fops *fops)
{
	enum fd_kind kind = kind_learned(fops, file->detail);

	return kind ? kind : by_syscall(syscall);
}

static enum fd_kind inet_kind(uint32_t detail)
{
	switch (FDT_SOCK_PROTOCOL(detail)) {
	case IPPROTO_TCP: return FD_KIND_TCP;
	case IPPROTO_UDP: return FD_KIND_UDP;
	default: return FD_KIND_SOCKET;
	}
}

static enum fd_kind socket_kind(uint32_t detail)
{
	switch (FDT_SOCK_FAMILY(detail)) {
	case AF_UNIX: return FD_KIND_UNIX;
	case AF_INET:
	case AF_INET6: return inet_kind(detail);
	case AF_NETLINK: return FD_KIND_NETLINK;
	case AF_PACKET: return FD_KIND_PACKET;
	default: return FD_KIND_SOCKET;
	}
}

static enum fd_kind by_mode(const struct fdt_file *file, unsigned int syscall)
{
	switch (file->mode & S_IFMT) {
	case S_IFDIR: return FD_KIND_DIR;
	case S_IFCHR: return FD_KIND_CHR;
	case S_IFBLK: return FD_KIND_BLK;
	case S_IFIFO: return FD_KIND_FIFO;
	case S_IFSOCK: return FD_KIND_SOCKET;
	case S_IFREG: return syscall == FDT_SYS_memfd_create ? FD_KIND_MEMFD : FD_KIND_FILE;
	default: return FD_KIND_ANON;
	}
}

/* The file system decides first: since 6.16 anonymous inodes look like regular files. */
enum fd_kind fd_kind_of(const struct fdt_file *file, unsigned int syscall,
			const struct kind_fops *fops)
{
	if (!file->file)
		return FD_KIND_UNKNOWN;
	switch (file->magic) {
	case PIPEFS_MAGIC: return FD_KIND_PIPE;
	case SOCKFS_MAGIC: return socket_kind(file->detail);
	case ANON_INODE_FS_MAGIC: return kind_of_anonymous(file, syscall, fops);
	case PIDFS_MAGIC_NUMBER: return FD_KIND_PIDFD;
	case NSFS_MAGIC: return FD_KIND_NS;
	case MQUEUE_MAGIC_NUMBER: return FD_KIND_FILE;
	default: return by_mode(file, syscall);
	}
}
