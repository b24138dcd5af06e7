// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The least that a program on the exit of system calls can cost: it does nothing. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("tp_btf/sys_exit")
int floor_btf(void *ctx)
{
	(void)ctx;
	return 0;
}

SEC("tp/raw_syscalls/sys_exit")
int floor_classic(void *ctx)
{
	(void)ctx;
	return 0;
}
