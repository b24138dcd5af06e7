/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef FDTRACE_CORE_SYSCALL_NAME_H
#define FDTRACE_CORE_SYSCALL_NAME_H

/* "openat" for FDT_SYS_openat; "syscall" for numbers not in syscall.h. Never NULL. */
const char *syscall_name(unsigned int syscall);

#endif
