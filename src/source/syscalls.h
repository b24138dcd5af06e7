/* SPDX-License-Identifier: BSD-2-Clause */
/* What fdtrace knows about each syscall: one table, from which the kernel side's are made. */
#ifndef FDTRACE_SOURCE_SYSCALLS_H
#define FDTRACE_SOURCE_SYSCALLS_H

#include <stddef.h>
#include <stdint.h>
#include "fdtrace/loader.h"

struct syscall_row {
	struct fdt_call call;
	int16_t number;      /* on this architecture, 64 bits; -1: it has none */
	int16_t number_i386; /* -1: i386 has none */
	int16_t number_arm;  /* -1: Arm's EABI has none */
};

/* Several rows may have the same call.syscall: 32-bit programs have two numbers for some calls. */
const struct syscall_row *syscalls_table(size_t *ret_count);

/*
 * Fills the arrays indexed by syscall number. compat is that of 32-bit programs under this
 * kernel: i386 numbers on x86-64, those of Arm's EABI on arm64.
 * socketcalls is indexed by the call number in socketcall's first argument.
 */
void syscalls_fill(struct fdt_call native[FDT_CALLS_MAX], struct fdt_call compat[FDT_CALLS_MAX],
		   struct fdt_call socketcalls[FDT_SOCKETCALLS_MAX]);

/* Calls of one class (enum fdt_call_class) are to be treated as those of another. */
void syscalls_reclass(struct fdt_call calls[FDT_CALLS_MAX], unsigned int what,
		      unsigned int instead);

#endif
