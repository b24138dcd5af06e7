/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What differs between the architectures fdtrace is built for, in user space; syscall numbers are
 * in source/syscalls.c, what the programs in the kernel have to know in bpf/compat.bpf.h.
 */
#ifndef FDTRACE_UTIL_ARCH_H
#define FDTRACE_UTIL_ARCH_H

#include <elf.h>

#if defined(__x86_64__)
#define ARCH_NAME "x86-64"
#define ARCH_ELF_MACHINE EM_X86_64
#define ARCH_WALKS_STACKS 1            /* bpf/unwind.bpf.h and python.bpf.h can */
#define ARCH_COMPAT_NUMBER number_i386 /* of struct syscall_row: 32-bit programs' */
#elif defined(__aarch64__)
#define ARCH_NAME "arm64"
#define ARCH_ELF_MACHINE EM_AARCH64
#define ARCH_WALKS_STACKS 0
#define ARCH_COMPAT_NUMBER number_arm
#else
#error "fdtrace knows x86-64 and arm64 only"
#endif

#endif
