/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Syscalls that concern descriptors, by a number of our own that is the same on every
 * architecture and ABI: a recording made on one machine is read on another. Append only:
 * the numbers are part of the recording format. 0 means "none" or "not known".
 *
 * A call that goes by several names on a 32-bit ABI (fcntl64, mmap2, ppoll_time64 ...) has the
 * number of what it is on a 64-bit one.
 */
#ifndef FDTRACE_SYSCALL_H
#define FDTRACE_SYSCALL_H

/* X(number, name) */
#define FDT_SYSCALLS(X)                \
	X(1, read)                     \
	X(2, write)                    \
	X(3, open)                     \
	X(4, close)                    \
	X(5, openat)                   \
	X(6, openat2)                  \
	X(7, creat)                    \
	X(8, open_by_handle_at)        \
	X(9, socket)                   \
	X(10, socketpair)              \
	X(11, accept)                  \
	X(12, accept4)                 \
	X(13, pipe)                    \
	X(14, pipe2)                   \
	X(15, dup)                     \
	X(16, dup2)                    \
	X(17, dup3)                    \
	X(18, fcntl)                   \
	X(19, epoll_create)            \
	X(20, epoll_create1)           \
	X(21, eventfd)                 \
	X(22, eventfd2)                \
	X(23, signalfd)                \
	X(24, signalfd4)               \
	X(25, timerfd_create)          \
	X(26, inotify_init)            \
	X(27, inotify_init1)           \
	X(28, fanotify_init)           \
	X(29, memfd_create)            \
	X(30, memfd_secret)            \
	X(31, userfaultfd)             \
	X(32, perf_event_open)         \
	X(33, bpf)                     \
	X(34, io_uring_setup)          \
	X(35, io_uring_enter)          \
	X(36, io_uring_register)       \
	X(37, pidfd_open)              \
	X(38, pidfd_getfd)             \
	X(39, clone)                   \
	X(40, clone3)                  \
	X(41, fork)                    \
	X(42, vfork)                   \
	X(43, fsopen)                  \
	X(44, fspick)                  \
	X(45, fsmount)                 \
	X(46, open_tree)               \
	X(47, open_tree_attr)          \
	X(48, move_mount)              \
	X(49, fsconfig)                \
	X(50, mount_setattr)           \
	X(51, mq_open)                 \
	X(52, landlock_create_ruleset) \
	X(53, ioctl)                   \
	X(54, seccomp)                 \
	X(55, close_range)             \
	X(56, recvmsg)                 \
	X(57, recvmmsg)                \
	X(58, getsockopt)              \
	X(59, unshare)                 \
	X(60, execve)                  \
	X(61, execveat)                \
	X(62, exit)                    \
	X(63, exit_group)              \
	X(64, listns)                  \
	X(65, setrlimit)               \
	X(66, prlimit64)               \
	X(67, pread64)                 \
	X(68, pwrite64)                \
	X(69, readv)                   \
	X(70, writev)                  \
	X(71, preadv)                  \
	X(72, pwritev)                 \
	X(73, preadv2)                 \
	X(74, pwritev2)                \
	X(75, lseek)                   \
	X(76, sendto)                  \
	X(77, recvfrom)                \
	X(78, sendmsg)                 \
	X(79, sendmmsg)                \
	X(80, connect)                 \
	X(81, bind)                    \
	X(82, listen)                  \
	X(83, shutdown)                \
	X(84, getsockname)             \
	X(85, getpeername)             \
	X(86, setsockopt)              \
	X(87, poll)                    \
	X(88, ppoll)                   \
	X(89, select)                  \
	X(90, pselect6)                \
	X(91, epoll_wait)              \
	X(92, epoll_pwait)             \
	X(93, epoll_pwait2)            \
	X(94, epoll_ctl)               \
	X(95, fstat)                   \
	X(96, newfstatat)              \
	X(97, statx)                   \
	X(98, fstatfs)                 \
	X(99, ftruncate)               \
	X(100, fallocate)              \
	X(101, fsync)                  \
	X(102, fdatasync)              \
	X(103, syncfs)                 \
	X(104, sync_file_range)        \
	X(105, fadvise64)              \
	X(106, readahead)              \
	X(107, cachestat)              \
	X(108, flock)                  \
	X(109, mmap)                   \
	X(110, sendfile)               \
	X(111, splice)                 \
	X(112, tee)                    \
	X(113, vmsplice)               \
	X(114, copy_file_range)        \
	X(115, fchdir)                 \
	X(116, fchmod)                 \
	X(117, fchown)                 \
	X(118, getdents)               \
	X(119, getdents64)             \
	X(120, fsetxattr)              \
	X(121, fgetxattr)              \
	X(122, flistxattr)             \
	X(123, fremovexattr)           \
	X(124, setxattrat)             \
	X(125, getxattrat)             \
	X(126, listxattrat)            \
	X(127, removexattrat)          \
	X(128, file_getattr)           \
	X(129, file_setattr)           \
	X(130, mkdirat)                \
	X(131, mknodat)                \
	X(132, fchownat)               \
	X(133, futimesat)              \
	X(134, unlinkat)               \
	X(135, renameat)               \
	X(136, renameat2)              \
	X(137, linkat)                 \
	X(138, symlinkat)              \
	X(139, readlinkat)             \
	X(140, fchmodat)               \
	X(141, fchmodat2)              \
	X(142, faccessat)              \
	X(143, faccessat2)             \
	X(144, utimensat)              \
	X(145, name_to_handle_at)      \
	X(146, timerfd_settime)        \
	X(147, timerfd_gettime)        \
	X(148, inotify_add_watch)      \
	X(149, inotify_rm_watch)       \
	X(150, fanotify_mark)          \
	X(151, mq_timedsend)           \
	X(152, mq_timedreceive)        \
	X(153, mq_notify)              \
	X(154, mq_getsetattr)          \
	X(155, pidfd_send_signal)      \
	X(156, waitid)                 \
	X(157, setns)                  \
	X(158, process_madvise)        \
	X(159, process_mrelease)       \
	X(160, quotactl_fd)            \
	X(161, landlock_add_rule)      \
	X(162, landlock_restrict_self) \
	X(163, finit_module)           \
	X(164, kexec_file_load)        \
	X(165, io_submit)              \
	X(166, prctl)                  \
	X(167, keyctl)                 \
	X(168, oldfstat)               \
	X(169, munmap)

enum fdt_syscall {
	FDT_SYS_none = 0,
#define FDT_SYSCALL_ENUM(number, name) FDT_SYS_##name = number,
	FDT_SYSCALLS(FDT_SYSCALL_ENUM)
#undef FDT_SYSCALL_ENUM
};

#endif
