// SPDX-License-Identifier: BSD-2-Clause
#include "model/syscall_name.h"

#include "fdtrace/syscall.h"

const char *syscall_name(unsigned int syscall)
{
	static const char *const names[] = {
#define NAME(number, name) [number] = #name,
		FDT_SYSCALLS(NAME)
#undef NAME
	};
	const char *name = syscall < sizeof(names) / sizeof(*names) ? names[syscall] : 0;

	return name ? name : "syscall";
}
