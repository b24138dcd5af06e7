// SPDX-License-Identifier: BSD-2-Clause
#include "source/syscalls.h"

#include <string.h>
#include <sys/syscall.h>

#include "fdtrace/syscall.h"
#include "util/arch.h"

/* Calls that newer architectures never had. */
#ifndef SYS_open
#define SYS_open -1
#endif
#ifndef SYS_creat
#define SYS_creat -1
#endif
#ifndef SYS_pipe
#define SYS_pipe -1
#endif
#ifndef SYS_dup2
#define SYS_dup2 -1
#endif
#ifndef SYS_fork
#define SYS_fork -1
#endif
#ifndef SYS_vfork
#define SYS_vfork -1
#endif
#ifndef SYS_poll
#define SYS_poll -1
#endif
#ifndef SYS_select
#define SYS_select -1
#endif
#ifndef SYS_epoll_create
#define SYS_epoll_create -1
#endif
#ifndef SYS_epoll_wait
#define SYS_epoll_wait -1
#endif
#ifndef SYS_eventfd
#define SYS_eventfd -1
#endif
#ifndef SYS_signalfd
#define SYS_signalfd -1
#endif
#ifndef SYS_inotify_init
#define SYS_inotify_init -1
#endif
#ifndef SYS_getdents
#define SYS_getdents -1
#endif
#ifndef SYS_futimesat
#define SYS_futimesat -1
#endif
/* Calls newer than the C library may be; from 424 on the numbers are the same everywhere. */
#ifndef SYS_memfd_secret
#define SYS_memfd_secret 447
#endif
#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif
#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif
#ifndef SYS_setxattrat
#define SYS_setxattrat 463
#endif
#ifndef SYS_getxattrat
#define SYS_getxattrat 464
#endif
#ifndef SYS_listxattrat
#define SYS_listxattrat 465
#endif
#ifndef SYS_removexattrat
#define SYS_removexattrat 466
#endif
#ifndef SYS_open_tree_attr
#define SYS_open_tree_attr 467
#endif
#ifndef SYS_file_getattr
#define SYS_file_getattr 468
#endif
#ifndef SYS_file_setattr
#define SYS_file_setattr 469
#endif
#ifndef SYS_listns
#define SYS_listns 470
#endif

/* Bits of fdt_call.fds and .uses: which arguments are meant. */
enum { NO = 0, A0 = 1, A1 = 2, A2 = 4, A3 = 8, A4 = 16 };

#define CALL(name, class, fds, uses)                         \
	{                                                    \
		FDT_SYS_##name, FDT_CALL_##class, fds, uses, \
		{                                            \
			0                                    \
		}                                            \
	}
#define ROW(name, i386, arm, class, fds, uses)                      \
	{                                                           \
		CALL(name, class, fds, uses), SYS_##name, i386, arm \
	}
#define COMPAT(name, i386, arm, class, fds, uses)           \
	{                                                   \
		CALL(name, class, fds, uses), -1, i386, arm \
	}

/* name, number on i386 and for Arm's EABI, class, which arguments are descriptors, which of these it uses */
static const struct syscall_row table[] = {
	/* the result is a descriptor */
	ROW(open, 5, 5, OPEN, NO, NO),
	ROW(openat, 295, 322, OPEN, A0, A0),
	ROW(openat2, 437, 437, OPEN, A0, A0),
	ROW(creat, 8, 8, OPEN, NO, NO),
	ROW(open_by_handle_at, 342, 371, OPEN, A0, A0),
	ROW(socket, 359, 281, OPEN, NO, NO),
	ROW(accept, -1, 285, OPEN, A0, A0),
	ROW(accept4, 364, 366, OPEN, A0, A0),
	ROW(dup, 41, 41, OPEN, A0, NO),
	ROW(epoll_create, 254, 250, EPOLL, NO, NO),
	ROW(epoll_create1, 329, 357, EPOLL, NO, NO),
	ROW(eventfd, 323, 351, OPEN, NO, NO),
	ROW(eventfd2, 328, 356, OPEN, NO, NO),
	ROW(signalfd, 321, 349, OPEN, A0, A0),
	ROW(signalfd4, 327, 355, OPEN, A0, A0),
	ROW(timerfd_create, 322, 350, OPEN, NO, NO),
	ROW(inotify_init, 291, 316, OPEN, NO, NO),
	ROW(inotify_init1, 332, 360, OPEN, NO, NO),
	ROW(fanotify_init, 338, 367, READER, NO, NO),
	ROW(memfd_create, 356, 385, OPEN, NO, NO),
	ROW(memfd_secret, 447, -1, OPEN, NO, NO),
	ROW(userfaultfd, 374, 388, READER, NO, NO),
	ROW(perf_event_open, 336, 364, OPEN, A3, A3),
	ROW(io_uring_setup, 425, 425, OPEN, NO, NO),
	ROW(pidfd_open, 434, 434, OPEN, NO, NO),
	ROW(pidfd_getfd, 438, 438, READER, A0, A0),
	ROW(fsopen, 430, 430, OPEN, NO, NO),
	ROW(fspick, 433, 433, OPEN, A0, A0),
	ROW(fsmount, 432, 432, OPEN, A0, A0),
	ROW(open_tree, 428, 428, OPEN, A0, A0),
	ROW(open_tree_attr, 467, 467, OPEN, A0, A0),
	ROW(mq_open, 277, 274, OPEN, NO, NO),
	/* the result may be a descriptor */
	ROW(landlock_create_ruleset, 444, 444, MAYBE, NO, NO),
	ROW(bpf, 357, 386, MAYBE, NO, NO),
	ROW(seccomp, 354, 383, MAYBE, NO, NO),
	ROW(ioctl, 54, 54, IOCTL, A0, A0),
	ROW(fcntl, 55, 55, FCNTL, A0, A0),
	COMPAT(fcntl, 221, 221, FCNTL, A0, A0), /* fcntl64 */
	/* makes, ends or moves descriptors in other ways */
	ROW(close, 6, 6, CLOSE, A0, NO),
	ROW(close_range, 436, 436, RANGE, NO, NO),
	ROW(dup2, 63, 63, REPLACE, A0, NO),
	ROW(dup3, 330, 358, REPLACE, A0, NO),
	ROW(pipe, 42, 42, PIPE, NO, NO),
	ROW(pipe2, 331, 359, PIPE, NO, NO),
	ROW(socketpair, 360, 288, SOCKETPAIR, NO, NO),
	ROW(recvmsg, 372, 297, RECVMSG, A0, A0),
	ROW(recvmmsg, 337, 365, RECVMMSG, A0, A0),
	COMPAT(recvmmsg, 417, 417, RECVMMSG, A0, A0), /* recvmmsg_time64 */
	ROW(getsockopt, 365, 295, GETSOCKOPT, A0, A0),
	ROW(clone, 120, 120, NONE, NO, NO),
	ROW(clone3, 435, 435, NONE, NO, NO),
	ROW(unshare, 310, 337, UNSHARE, NO, NO),
	COMPAT(none, 102, -1, SOCKETCALL, NO, NO), /* socketcall */
	/* processes and limits; only their errors are of interest, the tracepoints report the rest */
	ROW(fork, 2, 2, NONE, NO, NO),
	ROW(vfork, 190, 190, NONE, NO, NO),
	ROW(execve, 11, 11, NONE, NO, NO),
	ROW(exit, 1, 1, NONE, NO, NO),
	ROW(exit_group, 252, 248, NONE, NO, NO),
	ROW(prctl, 172, 172, NONE, NO, NO),
	ROW(keyctl, 288, 311, NONE, NO, NO),
	ROW(listns, 470, 470, NONE, NO, NO),
	ROW(execveat, 358, 387, NONE, A0, NO),
	ROW(setrlimit, 75, 75, SETRLIMIT, NO, NO),
	ROW(munmap, 91, 91, UNMAP, NO, NO),
	ROW(prlimit64, 340, 369, PRLIMIT, NO, NO),
	/* waits on several descriptors */
	ROW(poll, 168, 168, POLL, NO, NO),
	ROW(ppoll, 309, 336, POLL, NO, NO),
	COMPAT(ppoll, 414, 414, POLL, NO, NO), /* ppoll_time64 */
	ROW(select, -1, -1, SELECT, NO, NO),
	COMPAT(select, 142, 142, SELECT, NO, NO), /* _newselect */
	ROW(pselect6, 308, 335, SELECT, NO, NO),
	COMPAT(pselect6, 413, 413, SELECT, NO, NO), /* pselect6_time64 */
	ROW(epoll_wait, 256, 252, NONE, A0, A0),
	ROW(epoll_pwait, 319, 346, NONE, A0, A0),
	ROW(epoll_pwait2, 441, 441, NONE, A0, A0),
	ROW(epoll_ctl, 255, 251, EPOLL_CTL, A0 | A2, A0 | A2),
	ROW(io_uring_enter, 426, 426, URING, A0, A0),
	ROW(io_uring_register, 427, 427, URING, A0, A0),
	/* reading, writing and positions */
	ROW(read, 3, 3, READ, A0, A0),
	ROW(write, 4, 4, NONE, A0, A0),
	ROW(pread64, 180, 180, NONE, A0, A0),
	ROW(pwrite64, 181, 181, NONE, A0, A0),
	ROW(readv, 145, 145, READ, A0, A0),
	ROW(writev, 146, 146, NONE, A0, A0),
	ROW(preadv, 333, 361, NONE, A0, A0),
	ROW(pwritev, 334, 362, NONE, A0, A0),
	ROW(preadv2, 378, 392, READ, A0, A0),
	ROW(pwritev2, 379, 393, NONE, A0, A0),
	ROW(lseek, 19, 19, NONE, A0, A0),
	COMPAT(lseek, 140, 140, NONE, A0, A0), /* _llseek */
	ROW(getdents, 141, 141, NONE, A0, A0),
	COMPAT(getdents, 89, -1, NONE, A0, A0), /* readdir */
	ROW(getdents64, 220, 217, NONE, A0, A0),
	ROW(mmap, -1, -1, MAP, A4, A4),
	COMPAT(mmap, 192, 192, NONE, A4, A4), /* mmap2 */
	ROW(sendfile, 187, 187, NONE, A0 | A1, A0 | A1),
	COMPAT(sendfile, 239, 239, NONE, A0 | A1, A0 | A1), /* sendfile64 */
	ROW(splice, 313, 340, NONE, A0 | A2, A0 | A2),
	ROW(tee, 315, 342, NONE, A0 | A1, A0 | A1),
	ROW(vmsplice, 316, 343, NONE, A0, A0),
	ROW(copy_file_range, 377, 391, NONE, A0 | A2, A0 | A2),
	ROW(io_submit, 248, 246, NONE, NO, NO),
	/* sockets */
	ROW(sendto, 369, 290, NONE, A0, A0),
	COMPAT(sendto, -1, 289, NONE, A0, A0), /* send */
	ROW(recvfrom, 371, 292, NONE, A0, A0),
	COMPAT(recvfrom, -1, 291, NONE, A0, A0), /* recv */
	ROW(sendmsg, 370, 296, NONE, A0, A0),
	ROW(sendmmsg, 345, 374, NONE, A0, A0),
	ROW(connect, 362, 283, NONE, A0, A0),
	ROW(bind, 361, 282, NONE, A0, A0),
	ROW(listen, 363, 284, NONE, A0, A0),
	ROW(shutdown, 373, 293, NONE, A0, A0),
	ROW(getsockname, 367, 286, NONE, A0, A0),
	ROW(getpeername, 368, 287, NONE, A0, A0),
	ROW(setsockopt, 366, 294, NONE, A0, A0),
	/* looking without using */
	ROW(fstat, 108, 108, NONE, A0, NO),
	COMPAT(fstat, 197, 197, NONE, A0, NO), /* fstat64 */
	COMPAT(oldfstat, 28, -1, NONE, A0, NO),
	ROW(newfstatat, -1, -1, NONE, A0, NO),
	COMPAT(newfstatat, 300, 327, NONE, A0, NO), /* fstatat64 */
	ROW(statx, 383, 397, NONE, A0, NO),
	ROW(fstatfs, 100, 100, NONE, A0, NO),
	COMPAT(fstatfs, 269, 267, NONE, A0, NO), /* fstatfs64 */
	/* files */
	ROW(ftruncate, 93, 93, NONE, A0, A0),
	COMPAT(ftruncate, 194, 194, NONE, A0, A0), /* ftruncate64 */
	ROW(fallocate, 324, 352, NONE, A0, A0),
	ROW(fsync, 118, 118, NONE, A0, A0),
	ROW(fdatasync, 148, 148, NONE, A0, A0),
	ROW(syncfs, 344, 373, NONE, A0, A0),
	ROW(sync_file_range, 314, 341, NONE, A0, A0),
	ROW(fadvise64, 250, -1, NONE, A0, A0),
	COMPAT(fadvise64, 272, 270, NONE, A0, A0), /* fadvise64_64 */
	ROW(readahead, 225, 225, NONE, A0, A0),
	ROW(cachestat, 451, 451, NONE, A0, A0),
	ROW(flock, 143, 143, NONE, A0, A0),
	ROW(fchdir, 133, 133, NONE, A0, A0),
	ROW(fchmod, 94, 94, NONE, A0, A0),
	ROW(fchown, 95, 95, NONE, A0, A0),
	COMPAT(fchown, 207, 207, NONE, A0, A0), /* fchown32 */
	ROW(fsetxattr, 228, 228, NONE, A0, A0),
	ROW(fgetxattr, 231, 231, NONE, A0, A0),
	ROW(flistxattr, 234, 234, NONE, A0, A0),
	ROW(fremovexattr, 237, 237, NONE, A0, A0),
	/* paths relative to a descriptor */
	ROW(mkdirat, 296, 323, NONE, A0, A0),
	ROW(mknodat, 297, 324, NONE, A0, A0),
	ROW(fchownat, 298, 325, NONE, A0, A0),
	ROW(futimesat, 299, 326, NONE, A0, A0),
	ROW(unlinkat, 301, 328, NONE, A0, A0),
	ROW(readlinkat, 305, 332, NONE, A0, A0),
	ROW(fchmodat, 306, 333, NONE, A0, A0),
	ROW(fchmodat2, 452, 452, NONE, A0, A0),
	ROW(faccessat, 307, 334, NONE, A0, A0),
	ROW(faccessat2, 439, 439, NONE, A0, A0),
	ROW(utimensat, 320, 348, NONE, A0, A0),
	COMPAT(utimensat, 412, 412, NONE, A0, A0), /* utimensat_time64 */
	ROW(name_to_handle_at, 341, 370, NONE, A0, A0),
	ROW(setxattrat, 463, 463, NONE, A0, A0),
	ROW(getxattrat, 464, 464, NONE, A0, A0),
	ROW(listxattrat, 465, 465, NONE, A0, A0),
	ROW(removexattrat, 466, 466, NONE, A0, A0),
	ROW(file_getattr, 468, 468, NONE, A0, A0),
	ROW(file_setattr, 469, 469, NONE, A0, A0),
	ROW(mount_setattr, 442, 442, NONE, A0, A0),
	ROW(fsconfig, 431, 431, NONE, A0, A0),
	ROW(renameat, 302, 329, NONE, A0 | A2, A0 | A2),
	ROW(renameat2, 353, 382, NONE, A0 | A2, A0 | A2),
	ROW(linkat, 303, 330, NONE, A0 | A2, A0 | A2),
	ROW(symlinkat, 304, 331, NONE, A1, A1),
	ROW(move_mount, 429, 429, NONE, A0 | A2, A0 | A2),
	/* operations on special descriptors */
	ROW(timerfd_settime, 325, 353, NONE, A0, A0),
	COMPAT(timerfd_settime, 411, 411, NONE, A0, A0), /* timerfd_settime64 */
	ROW(timerfd_gettime, 326, 354, NONE, A0, A0),
	COMPAT(timerfd_gettime, 410, 410, NONE, A0, A0), /* timerfd_gettime64 */
	ROW(inotify_add_watch, 292, 317, NONE, A0, A0),
	ROW(inotify_rm_watch, 293, 318, NONE, A0, A0),
	ROW(fanotify_mark, 339, 368, NONE, A0, A0),
	ROW(mq_timedsend, 279, 276, NONE, A0, A0),
	COMPAT(mq_timedsend, 418, 418, NONE, A0, A0), /* mq_timedsend_time64 */
	ROW(mq_timedreceive, 280, 277, NONE, A0, A0),
	COMPAT(mq_timedreceive, 419, 419, NONE, A0, A0), /* mq_timedreceive_time64 */
	ROW(mq_notify, 281, 278, NONE, A0, A0),
	ROW(mq_getsetattr, 282, 279, NONE, A0, A0),
	ROW(pidfd_send_signal, 424, 424, NONE, A0, A0),
	ROW(setns, 346, 375, NONE, A0, A0),
	ROW(process_madvise, 440, 440, NONE, A0, A0),
	ROW(process_mrelease, 448, 448, NONE, A0, A0),
	ROW(quotactl_fd, 443, 443, NONE, A0, A0),
	ROW(landlock_add_rule, 445, 445, NONE, A0, A0),
	ROW(landlock_restrict_self, 446, 446, NONE, A0, A0),
	ROW(finit_module, 350, 379, NONE, A0, A0),
	ROW(waitid, 284, 280, NONE, A1, NO),
	ROW(kexec_file_load, -1, 401, NONE, A0 | A1, A0 | A1),
};

/* socketcall's first argument (linux/net.h) */
static const struct fdt_call socketcall_table[FDT_SOCKETCALLS_MAX] = {
	[1] = CALL(socket, OPEN, NO, NO),
	[2] = CALL(bind, NONE, A0, A0),
	[3] = CALL(connect, NONE, A0, A0),
	[4] = CALL(listen, NONE, A0, A0),
	[5] = CALL(accept, OPEN, A0, A0),
	[6] = CALL(getsockname, NONE, A0, A0),
	[7] = CALL(getpeername, NONE, A0, A0),
	[8] = CALL(socketpair, SOCKETPAIR, NO, NO),
	[9] = CALL(sendto, NONE, A0, A0),    /* send */
	[10] = CALL(recvfrom, NONE, A0, A0), /* recv */
	[11] = CALL(sendto, NONE, A0, A0),
	[12] = CALL(recvfrom, NONE, A0, A0),
	[13] = CALL(shutdown, NONE, A0, A0),
	[14] = CALL(setsockopt, NONE, A0, A0),
	[15] = CALL(getsockopt, GETSOCKOPT, A0, A0),
	[16] = CALL(sendmsg, NONE, A0, A0),
	[17] = CALL(recvmsg, RECVMSG, A0, A0),
	[18] = CALL(accept4, OPEN, A0, A0),
	[19] = CALL(recvmmsg, RECVMMSG, A0, A0),
	[20] = CALL(sendmmsg, NONE, A0, A0),
};

const struct syscall_row *syscalls_table(size_t *ret_count)
{
	*ret_count = sizeof(table) / sizeof(*table);
	return table;
}

static void syscalls_put_row(struct fdt_call *calls, int number, const struct fdt_call *call)
{
	if (number >= 0 && number < FDT_CALLS_MAX)
		calls[number] = *call;
}

void syscalls_fill(struct fdt_call native[FDT_CALLS_MAX], struct fdt_call compat[FDT_CALLS_MAX],
		   struct fdt_call socketcalls[FDT_SOCKETCALLS_MAX])
{
	size_t count;
	const struct syscall_row *row = syscalls_table(&count);

	memset(native, 0, FDT_CALLS_MAX * sizeof(*native));
	memset(compat, 0, FDT_CALLS_MAX * sizeof(*compat));
	for (; count--; row++) {
		syscalls_put_row(native, row->number, &row->call);
		syscalls_put_row(compat, row->ARCH_COMPAT_NUMBER, &row->call);
	}
	memcpy(socketcalls, socketcall_table, sizeof(socketcall_table));
}

void syscalls_reclass(struct fdt_call calls[FDT_CALLS_MAX], unsigned int what, unsigned int instead)
{
	for (unsigned int i = 0; i < FDT_CALLS_MAX; i++)
		if (calls[i].what == what)
			calls[i].what = (__u8)instead;
}
