/* SPDX-License-Identifier: BSD-2-Clause */
/* The stack of the test itself: registers, memory, and what glibc says of it. */
#ifndef FDTRACE_TESTS_UNIT_OWN_STACK_H
#define FDTRACE_TESTS_UNIT_OWN_STACK_H

#include <alloca.h>
#include <execinfo.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <ucontext.h>
#include <unistd.h>
#include <cmocka.h>

#include "fdtrace/stack.h"

#define OWN_FRAMES_MAX 160

struct own_stack {
	uint64_t bytes_wanted; /* of memory, at most FDT_COPY_MAX */
	struct fdt_copy copy;
	uint64_t memory[FDT_COPY_MAX / 8]; /* follows copy, as in a record */
	void *backtrace[OWN_FRAMES_MAX];
	int count;
};

extern void *__libc_stack_end;

/* By the kernel: to sanitizers and valgrind much of a stack is none of our business. */
static inline void own_copy(void *to, uint64_t from, size_t size)
{
	struct iovec local = { to, size }, remote = { (void *)from, size };

	assert_int_equal(process_vm_readv(getpid(), &local, 1, &remote, 1, 0), size);
}

/* What is above the top of the stack was put there by the kernel: no frames. */
__attribute__((noinline)) static void own_take(struct own_stack *own)
{
	static const int order[FDT_REGS] = { REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI,
					     REG_RBP, REG_RSP, REG_R8,  REG_R9,  REG_R10, REG_R11,
					     REG_R12, REG_R13, REG_R14, REG_R15, REG_RIP };
	ucontext_t context;
	uint64_t left;

	assert_int_equal(getcontext(&context), 0);
	for (int i = 0; i < FDT_REGS; i++)
		own->copy.reg[i] = context.uc_mcontext.gregs[order[i]];
	left = (uint64_t)__libc_stack_end + 256 - own->copy.reg[7];
	own->copy.size = left < own->bytes_wanted ? left : own->bytes_wanted;
	own->copy.size &= ~7u;
	own_copy(own->memory, own->copy.reg[7], own->copy.size);
	own->count = backtrace(own->backtrace, OWN_FRAMES_MAX);
}

/* Not the last thing its callers do, so that they keep their frames. */
static volatile unsigned int own_ballast;

__attribute__((noinline)) static void own_recurse(struct own_stack *own, unsigned int depth)
{
	/* of a size that the compiler does not know: such a frame goes by the frame pointer */
	volatile char *room = alloca(depth % 3 ? 16 : 16 + 16 * depth);

	room[0] = 1;
	if (depth)
		own_recurse(own, depth - 1);
	else
		own_take(own);
	own_ballast += room[0];
}

static struct own_stack *own_sorting;

__attribute__((noinline)) static int own_compare(const void *a, const void *b)
{
	if (own_sorting) {
		struct own_stack *own = own_sorting;

		own_sorting = NULL;
		own_recurse(own, 5);
	}
	return *(const int *)a - *(const int *)b;
}

/* Through libc: a callback of qsort. */
__attribute__((noinline)) static void own_sort(struct own_stack *own)
{
	int numbers[] = { 3, 1, 2 };

	own_sorting = own;
	qsort(numbers, 3, sizeof(numbers[0]), own_compare);
	own_ballast += numbers[0];
}

/*
 * The first is the place of the call in own_take, which differs. Under a sanitizer backtrace()
 * is called by its own backtrace().
 */
static inline void own_assert_equal(const struct own_stack *own, const uint64_t *addresses,
				    unsigned int count)
{
	unsigned int skip = (uint64_t)own->backtrace[1] != addresses[1];

	assert_int_equal(count + skip, own->count);
	for (unsigned int i = 1; i < count; i++)
		assert_int_equal(addresses[i], (uint64_t)own->backtrace[i + skip]);
}

#endif
