/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Syscalls that concern descriptors, by a number of our own that is the same on every
 * architecture and ABI: a recording made on one machine is read on another. Append only:
 * the numbers are part of the recording format. 0 means "none" or "not known".
 */
#ifndef FDTRACE_SYSCALL_H
#define FDTRACE_SYSCALL_H

/* X(number, name) */
#define FDT_SYSCALLS(X) \
	X(1, read) \
	X(2, write) \
	X(3, open) \
	X(4, close)

enum fdt_syscall {
	FDT_SYS_none = 0,
#define FDT_SYSCALL_ENUM(number, name) FDT_SYS_##name = number,
	FDT_SYSCALLS(FDT_SYSCALL_ENUM)
#undef FDT_SYSCALL_ENUM
};

#endif
