/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the walkers of stacks share: the tables that user space fills, what is known of each
 * address space, and the room they work in. See fdtrace/stack.h for the whole picture.
 */
#ifndef FDTRACE_STACK_BPF_H
#define FDTRACE_STACK_BPF_H

/* Set by user space before loading. */
const volatile bool stacks_native;
const volatile bool stacks_python;

/* Set by user space at any time. */
u32 stack_level; /* enum fdt_stack_level */

#define ELFS_MAX 4096
#define SITES_MAX 65536
#define SPACES_MAX 1024

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, ELFS_MAX);
	__type(key, struct fdt_elf_key);
	__type(value, struct fdt_elf);
} elfs SEC(".maps");

/* The real sizes are set before loading. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, u32);
	__type(value, struct fdt_text_page);
} text_pages SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, u32);
	__type(value, struct fdt_slab);
} slabs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FDT_RULES_MAX);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, u32);
	__type(value, u32);
} rules SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FDT_PYTHONS_MAX);
	__type(key, u32);
	__type(value, struct fdt_python);
} pythons SEC(".maps");

/*
 * By address of the mm_struct. Such an address is used again only after a fork or an exec, which
 * put a new space in the place of the old one; those that nobody uses any more are driven out.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, SPACES_MAX);
	__type(key, u64);
	__type(value, struct fdt_space);
} spaces SEC(".maps");

/* Sites whose stack has been told. User space deletes what it has forgotten. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, SITES_MAX);
	__type(key, u64);
	__type(value, u8);
} told_sites SEC(".maps");

/* Files without tables that were asked for: when. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct fdt_elf_key);
	__type(value, u64);
} wanted_elfs SEC(".maps");

struct fdt_counter space_serial;
struct fdt_counter stacks_told; /* new ones */
struct fdt_counter stacks_lost; /* new ones for which the ring had no room */
struct fdt_counter copies_left; /* user space grants some at each drain */

struct fdt_walk_counts walk_counts[CPUS_MAX];

static __always_inline struct fdt_walk_counts *counts_of_cpu(void)
{
	return &walk_counts[bpf_get_smp_processor_id() & (CPUS_MAX - 1)];
}

/*
 * Read from user memory piece by piece: a piece serves several frames. Each reading costs as much
 * as following four frames, nearly whatever its size.
 */
#define WINDOW_BYTES 2048
struct fdt_window {
	u64 address;
	u64 length; /* 0: nothing read yet */
	u8 bytes[WINDOW_BYTES + 128];
};

/*
 * Where programs are is mostly where they have been: the rule of an address, once found. A file's
 * tables stay as they are and its id is never used again, so nothing here ever becomes wrong.
 */
#define RULES_KNOWN 1024
struct fdt_known_rule {
	u32 elf;    /* 0: free */
	u32 offset; /* from the first address that has rows */
	u32 rule;
	u32 pad;
};

#define MODULE_HINTS 256

/*
 * Variables of the walks live here and not on the BPF stack: the verifier does not follow what
 * they hold, and so comes to an end (on the stack the same code took 400 times as long).
 */
struct fdt_scratch {
	u32 busy;
	u32 last_module; /* where the latest address was found */
	u32 is_return;   /* pc is a return address: what it belongs to lies before it */
	u32 pad;
	u64 sp, bp, pc;
	u64 hash;
	u64 python_frame;         /* the walk's next */
	u64 python_chunk;         /* start of the thread's data stack chunk; 0: not known */
	struct fdt_python python; /* of this interpreter */
	struct fdt_window window;
	u8 thread_state[384];
	u64 address[4];         /* free for callbacks */
	struct fdt_stack stack; /* the record that is told if the hash is new */
	struct fdt_frame
		frame[FDT_NATIVE_MAX + FDT_PYTHON_MAX]; /* native ones first; belongs to stack */
	struct fdt_known_rule known_rule[RULES_KNOWN];
	u8 module_hint[MODULE_HINTS]; /* by text page: the index it had last, in whatever space */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct fdt_scratch);
} scratches SEC(".maps");

static __always_inline struct fdt_scratch *scratch_of_cpu(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&scratches, &zero);
}

/* For the order of what is hashed; not against anybody. */
static __always_inline u64 mix(u64 hash, u64 value)
{
	hash = (hash ^ value) * 0xff51afd7ed558ccdull;
	return hash ^ hash >> 32;
}

#endif
