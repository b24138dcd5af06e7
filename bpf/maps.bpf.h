/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the programs share with each other and with user space. */
#ifndef FDTRACE_MAPS_BPF_H
#define FDTRACE_MAPS_BPF_H

#include "fdtrace/needs.h"

/* Set by user space before loading. The verifier removes code that these make unreachable. */
const volatile u32 self_tgid;        /* fdtrace: never traced */
const volatile bool trace_all;       /* the whole machine; the filter below is not looked at */
const volatile bool follow;          /* children of traced processes are traced */
const volatile bool can_cast;        /* bpf_rdonly_cast exists (6.2): memory is read directly */
const volatile bool exit_tells_last; /* sched_process_exit has its second argument (6.17) */
const volatile u32 uring_args;       /* how many io_uring_complete has: 3, 4, 5 or 7 */
const volatile u32 wakeup_shift;     /* wake the reader each time 1 << this many bytes are filled */
const volatile u32 names_most;       /* taken on a CPU in a window (names.bpf.h); 0: none */
const volatile u64 ring_half;        /* bytes; where a snapshot stops for the reader to catch up */
const volatile bool by_functions;    /* the function hook set: see functions.bpf.h */
/* What no rule in force needs is not sent, and costs nothing. */
const volatile bool wanted[FDT_NEED_BITS]; /* by the number of the event, and FDT_STALE_USES */
const volatile struct fdt_call native_calls[FDT_CALLS_MAX];
const volatile struct fdt_call compat_calls[FDT_CALLS_MAX];
const volatile struct fdt_call socketcalls[FDT_SOCKETCALLS_MAX];

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 24); /* the real size is set before loading */
} fdt_ring SEC(".maps");

/*
 * Which processes are traced: a bit for each pid there can be (PID_MAX_LIMIT), set by user
 * space and, for children, by task_newtask; cleared when the last thread exits. A bitmap
 * because it is looked at on every syscall that concerns descriptors, of every process.
 */
u64 traced_pids[FDT_PIDS_MAX / 64];
u64 watched_pids[FDT_PIDS_MAX / 64]; /* see watch.bpf.h */

struct fdt_counter lost_events;   /* reservations that failed: exact */
struct fdt_counter traced_count;  /* bits set in traced_pids */
struct fdt_counter watched_count; /* bits set in watched_pids */
struct fdt_counter run_count;     /* runs of errors not yet over; see errors.bpf.h */
struct fdt_counter run_serial;
struct fdt_counter filled_bytes; /* of the ring, ever; batches of the below */
u32 measuring;                   /* set by user space: runs are timed, see MEASURED() */
u32 space_epoch;                 /* counted up by user space after mappings were not seen */
#define CPUS_MAX FDT_CPUS_MAX
struct fdt_counter filled_here[CPUS_MAX];

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, FDT_PROGRAMS);
	__type(key, u32);
	__type(value, struct fdt_cost);
} fdt_costs SEC(".maps");

static __always_inline void add_cost(u32 program, u64 began)
{
	struct fdt_cost *cost = bpf_map_lookup_elem(&fdt_costs, &program);

	if (!cost)
		return;
	cost->ns += bpf_ktime_get_ns() - began;
	cost->runs++;
}

/*
 * What our programs cost must be known to keep to a budget. The kernel's own statistics
 * (BPF_ENABLE_STATS) need CAP_SYS_ADMIN and tax every program on the machine while they are on.
 */
#define MEASURED(program, call)                                 \
	({                                                      \
		u64 began = measuring ? bpf_ktime_get_ns() : 0; \
		int result = (call);                            \
		if (began)                                      \
			add_cost(program, began);               \
		result;                                         \
	})

static __always_inline bool pid_test(const u64 *bits, u32 pid)
{
	u32 word = pid / 64;

	OPAQUE(word);
	return word < FDT_PIDS_MAX / 64 && bits[word] >> (pid % 64) & 1;
}

static __always_inline void pid_set(u64 *bits, struct fdt_counter *count, u32 pid)
{
	u64 bit = 1ull << (pid % 64);

	if (pid < FDT_PIDS_MAX && !(__sync_fetch_and_or(&bits[pid / 64], bit) & bit))
		__sync_fetch_and_add(&count->value, 1);
}

static __always_inline void pid_clear(u64 *bits, struct fdt_counter *count, u32 pid)
{
	u64 bit = 1ull << (pid % 64);

	if (pid < FDT_PIDS_MAX && __sync_fetch_and_and(&bits[pid / 64], ~bit) & bit)
		__sync_fetch_and_add(&count->value, -1);
}

static __always_inline bool tgid_is_traced(u32 tgid)
{
	if (tgid == self_tgid)
		return false;
	return trace_all || pid_test(traced_pids, tgid);
}

#endif
