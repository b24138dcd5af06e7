/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Descriptors that a call has installed and written to user memory, among other things: events
 * that were read (readers.bpf.h), and answers of ioctl. Another thread may have changed that
 * memory since: as with control messages, what is found there only shows which slots to look at.
 *
 * The kernel's callers of fd_install, and what is seen of them with the tracepoint hooks:
 *
 *   at once   the result of a call (syscalls.c), or of an ioctl (TIOCGPTPEER, NS_GET_*, KVM_CREATE_VM
 *             and _VCPU, PIDFD_GET_*, USERFAULTFD_IOC_NEW, UDMABUF_CREATE, perf, vfio, ntsync ...);
 *             pipe, socketpair; SO_PEERPIDFD, SCTP's peeloff; SCM_RIGHTS, SCM_PIDFD; clone's pidfd;
 *             io_uring's open, accept, socket, pipe, recvmsg, FIXED_FD_INSTALL, read of what is below
 *             read of a fanotify group or a userfaultfd
 *             the ioctls of answered_at(): KVM_CREATE_DEVICE, DMA_HEAP_IOCTL_ALLOC ...
 *   audit     SECCOMP_IOCTL_NOTIF_ADDFD, which fills another process's table; binder; fences of DRM
 *             drivers; InfiniBand; iommufd; vfio's migration; ALSA's compress tasks; SIOCKCMCLONE;
 *             the TLS handshake by netlink; cachefiles on demand; io_uring's multishot recvmsg, reads
 *             into buffers of its own and requests with IOSQE_CQE_SKIP_SUCCESS
 *
 * Function hooks see all of them.
 */
#ifndef FDTRACE_INSTALLS_BPF_H
#define FDTRACE_INSTALLS_BPF_H

#define EVENTS_MAX 8192 /* of one read */
#define INFOS_MAX 8     /* of one event */

/* struct fanotify_event_metadata, and of its records the one with a descriptor */
struct fdt_fan_event {
	u32 size;
	u8 version, reserved;
	u16 head_size;
	u64 mask;
	s32 fd;
	s32 pid;
};

struct fdt_fan_info {
	u8 type, pad;
	u16 size;
	s32 pidfd;
};

#define FAN_EVENT_INFO_TYPE_PIDFD 4

/* struct uffd_msg */
struct fdt_fault {
	u8 event, pad[7];
	u32 fd, more[5];
};

#define UFFD_EVENT_FORK 0x13

/* Beside what is read. */
#define INSTALL_LOOK 0x10  /* report nothing: is there a descriptor at all? */
#define INSTALL_URING 0x20 /* io_uring has read */

struct fdt_installing {
	u64 at, end; /* yet to be looked at */
	u64 info_at, info_end;
	u64 site;
	u32 syscall;
	u32 what;
	u32 seen; /* one more than the last descriptor found; 0: none */
};

static __noinline int install_seen(struct fdt_installing *in, s32 fd)
{
	if (!in || fd < 0 || !slot_file(current_table(), fd))
		return 0;
	in->seen = fd + 1;
	if (in->what & INSTALL_LOOK)
		return 0;
	reader_got(fd);
	if (in->what & INSTALL_URING) {
		emit_uring(FDT_OP_URING, in->syscall, fd, fd);
		return 0;
	}
	emit_slot(FDT_OP_OPEN, in->syscall, fd, fd, in->site);
	opener_note(fd);
	note_change(FDT_OP_OPEN, fd);
	return 0;
}

static long install_info(__attribute__((unused)) u64 i, struct fdt_installing *in)
{
	struct fdt_fan_info info;

	if (in->info_at + sizeof(info) > in->info_end ||
	    bpf_probe_read_user(&info, sizeof(info), (void *)in->info_at))
		return 1;
	if (info.type == FAN_EVENT_INFO_TYPE_PIDFD)
		install_seen(in, info.pidfd);
	in->info_at += info.size;
	return !info.size;
}

/* Not more than is needed to know that there is one. */
static __always_inline bool install_is_enough(const struct fdt_installing *in)
{
	return in->what & INSTALL_LOOK && in->seen;
}

static long install_event(__attribute__((unused)) u64 i, struct fdt_installing *in)
{
	struct fdt_fan_event event;

	if (in->at + sizeof(event) > in->end ||
	    bpf_probe_read_user(&event, sizeof(event), (void *)in->at))
		return 1;
	if (event.size < sizeof(event) || event.size > in->end - in->at)
		return 1;
	install_seen(in, event.fd);
	in->info_at = in->at + event.head_size;
	in->info_end = in->at + event.size;
	in->at += event.size;
	if (in->info_at < in->info_end && !install_is_enough(in))
		bpf_loop(INFOS_MAX, install_info, in, 0);
	return install_is_enough(in);
}

static long install_fault(__attribute__((unused)) u64 i, struct fdt_installing *in)
{
	struct fdt_fault fault;

	if (in->at + sizeof(fault) > in->end ||
	    bpf_probe_read_user(&fault, sizeof(fault), (void *)in->at))
		return 1;
	in->at += sizeof(fault);
	if (fault.event == UFFD_EVENT_FORK)
		install_seen(in, fault.fd);
	return install_is_enough(in);
}

/* Whether there are descriptors in what was read. Inline: the depth of calls is limited. */
static __always_inline u32 install_walk(u64 address, u64 length, u32 syscall, u32 what, u64 site)
{
	struct fdt_installing in = { .at = address,
				     .end = address + length,
				     .site = site,
				     .syscall = syscall,
				     .what = what };

	if ((what & 3) == READS_EVENTS)
		bpf_loop(EVENTS_MAX, install_event, &in, 0);
	else
		bpf_loop(EVENTS_MAX, install_fault, &in, 0);
	return in.seen;
}

GLOBAL int install_from(u64 address, u64 length, u32 syscall, u32 what, u64 site)
{
	return install_walk(address, length, syscall, what, site) != 0;
}

struct fdt_parts {
	u64 vector;
	u64 left; /* bytes */
	u64 site;
	u32 syscall, compat, what, seen;
};

/* struct iovec of either ABI */
static __always_inline long part_read(const struct fdt_parts *parts, u64 i, u64 word[2])
{
	u32 narrow[2];

	if (!parts->compat)
		return bpf_probe_read_user(word, 16, (void *)(parts->vector + i * 16));
	if (bpf_probe_read_user(narrow, 8, (void *)(parts->vector + i * 8)))
		return -1;
	word[0] = narrow[0];
	word[1] = narrow[1];
	return 0;
}

/* No event goes beyond the end of a part. */
static long install_part(u64 i, struct fdt_parts *parts)
{
	u64 word[2] = {};

	if (part_read(parts, i, word))
		return 1;
	if (word[1] > parts->left)
		word[1] = parts->left;
	parts->seen |= install_walk(word[0], word[1], parts->syscall, parts->what, parts->site);
	parts->left -= word[1];
	return !parts->left;
}

GLOBAL int install_read(const struct fdt_exit *x, u32 what, u64 site)
{
	struct fdt_parts parts = { .what = what, .site = site };

	if (!x)
		return 0;
	if (x->syscall == FDT_SYS_read)
		return install_from(x->args[1], x->result, x->syscall, what, site);
	parts.vector = x->args[1];
	parts.left = x->result;
	parts.syscall = x->syscall;
	parts.compat = x->compat;
	bpf_loop((u32)x->args[2] < UIO_MAXIOV ? (u32)x->args[2] : UIO_MAXIOV, install_part, &parts,
		 0);
	return parts.seen;
}

/* What is read by a call that has read. */
GLOBAL int read_by(const struct fdt_exit *x)
{
	if (!x || !is_reader(bpf_get_current_pid_tgid() >> 32))
		return READS_DATA;
	return reader_reads(x->args[0]);
}

#define ANSWERS_USER 0x80000000u /* _IOC_READ: the request writes to its argument */

/* Where in its argument a request puts a descriptor; -1: nowhere. The same for all ABIs. */
static __always_inline s32 answered_at(u32 request)
{
	switch (request) {
	case 0x80046990: return 0;   /* IIO_GET_EVENT_FD_IOCTL */
	case 0x80047c05: return 0;   /* MEDIA_IOC_REQUEST_ALLOC */
	case 0xc0046991: return 0;   /* IIO_BUFFER_GET_FD_IOCTL */
	case 0xc0086202: return 4;   /* DMA_BUF_IOCTL_EXPORT_SYNC_FILE */
	case 0xc00c642d: return 8;   /* DRM_IOCTL_PRIME_HANDLE_TO_FD */
	case 0xc00caee0: return 4;   /* KVM_CREATE_DEVICE */
	case 0xc01064c1: return 8;   /* DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD */
	case 0xc0184800: return 8;   /* DMA_HEAP_IOCTL_ALLOC */
	case 0xc01864c1: return 8;   /* DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD, longer */
	case 0xc01864c6: return 20;  /* DRM_IOCTL_MODE_CREATE_LEASE */
	case 0xc0189374: return 12;  /* AUTOFS_DEV_IOCTL_OPENMOUNT */
	case 0xc030b404: return 44;  /* GPIO_GET_LINEEVENT_IOCTL */
	case 0xc0303e03: return 36;  /* SYNC_IOC_MERGE */
	case 0xc0405610: return 16;  /* VIDIOC_EXPBUF */
	case 0xc16cb403: return 360; /* GPIO_GET_LINEHANDLE_IOCTL */
	case 0xc250b407: return 588; /* GPIO_V2_GET_LINE_IOCTL */
	}
	return -1;
}

/* The descriptor that an ioctl has put into its argument; -1: none. */
GLOBAL int answered_fd(u32 request, u64 argument)
{
	s32 at = answered_at(request), fd;

	if (at < 0 || bpf_probe_read_user(&fd, sizeof(fd), (void *)(argument + at)))
		return -1;
	return fd;
}

#endif
