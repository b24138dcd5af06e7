/* SPDX-License-Identifier: BSD-2-Clause */
/* io_uring without a library, one ring and one request at a time. */
#ifndef TESTS_LIB_RING_H
#define TESTS_LIB_RING_H

#include <linux/io_uring.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include "program.h"

#define RING_ENTRIES 4
#define RING_BYTES 4096
#define RING_WAIT_MS 10000

static int ring = -1;
static struct io_uring_params ring_params;
static struct io_uring_sqe *ring_requests;
static unsigned char *ring_submissions, *ring_completions;

static inline void *ring_map(size_t size, uint64_t offset)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring,
			(off_t)offset);

	must(at == MAP_FAILED ? -1 : 0);
	return at;
}

/* flags: IORING_SETUP_SQPOLL or 0. */
static inline void ring_start(uint32_t flags)
{
	ring_params = (struct io_uring_params){ .flags = flags, .sq_thread_idle = 1000 };
	ring = must(syscall(SYS_io_uring_setup, RING_ENTRIES, &ring_params));
	ring_submissions = ring_map(RING_BYTES, IORING_OFF_SQ_RING);
	ring_completions = ring_map(RING_BYTES, IORING_OFF_CQ_RING);
	ring_requests = ring_map(RING_ENTRIES * sizeof(*ring_requests), IORING_OFF_SQES);
}

static inline uint32_t *ring_word(unsigned char *base, uint32_t offset)
{
	return (uint32_t *)(base + offset);
}

static inline void ring_enter(void)
{
	bool polled = ring_params.flags & IORING_SETUP_SQPOLL;

	must(syscall(SYS_io_uring_enter, ring, 1, 1,
		     IORING_ENTER_GETEVENTS | (polled ? IORING_ENTER_SQ_WAKEUP : 0), NULL, 0));
}

/* One request, waited for. Returns its result; if that is negative -1, with errno set. */
__attribute__((noinline)) static int ring_submit(const struct io_uring_sqe *request)
{
	uint32_t *tail = ring_word(ring_submissions, ring_params.sq_off.tail);
	uint32_t *head = ring_word(ring_completions, ring_params.cq_off.head);
	uint32_t *done = ring_word(ring_completions, ring_params.cq_off.tail);
	uint32_t slot = *tail & *ring_word(ring_submissions, ring_params.sq_off.ring_mask);
	const struct io_uring_cqe *all, *result;

	ring_requests[slot] = *request;
	ring_word(ring_submissions, ring_params.sq_off.array)[slot] = slot;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	ring_enter();
	for (int ms = 0; __atomic_load_n(done, __ATOMIC_ACQUIRE) == *head; ms++) {
		errno = ETIME;
		must(ms < RING_WAIT_MS ? 0 : -1);
		pace_ms(1);
	}
	all = (const struct io_uring_cqe *)(ring_completions + ring_params.cq_off.cqes);
	result = &all[*head & *ring_word(ring_completions, ring_params.cq_off.ring_mask)];
	errno = result->res < 0 ? -result->res : 0;
	slot = (uint32_t)result->res;
	__atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
	return errno ? -1 : (int)slot;
}

#endif
