/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a file is called, taken from its dentries where it is opened: by the time user space hears of
 * it, it may be closed and the process gone. An FDT_NAME goes into the ring ahead of the slot.
 *
 * What it costs is bounded three times: a file that was named a moment ago is not named again (the
 * names it was made of are compared, not the whole path), a CPU takes so many in a window, and none
 * is taken while the ring is half full. User space looks up what was left out (src/run/naming.c).
 */
#ifndef FDTRACE_NAMES_BPF_H
#define FDTRACE_NAMES_BPF_H

#define PIPEFS_MAGIC 0x50495045
#define ANON_INODE_FS_MAGIC 0x09041934
#define TMPFS_MAGIC 0x01021994
#define HUGETLBFS_MAGIC 0x958458f6

#define NAME_TEXT 512 /* a power of two; longer paths lose their beginning */
#define NAME_SPARE 32 /* of it, for what user space puts before and after the path */
#define NAME_PART 255 /* NAME_MAX */
#define NAME_HEAD sizeof(struct fdt_name)
#define NAMES_KNOWN 16384
/* In which a file is named once: 4.3 s. Then the folders above it may be called otherwise. */
#define NAME_AGE_SHIFT 32

/* Which name a struct file was last sent with, by its address; a collision costs one more. */
u64 name_known[NAMES_KNOWN];

/* The path is put together from its end: it ends where bytes of the head and NAME_TEXT do. */
struct fdt_naming {
	u32 busy;
	u32 at;     /* where in the text it begins */
	u64 window; /* of time, and how many names were taken in it */
	u32 taken;
	u32 flags; /* enum fdt_name_flag */
	u64 file, entry, mount;
	u8 bytes[NAME_HEAD + 2 * NAME_TEXT]; /* only so long for the verifier */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct fdt_naming);
} fdt_namings SEC(".maps");

/* One name more, before what is there. False: it does not fit. */
static __always_inline bool name_put(const bool direct, struct fdt_naming *n, u64 entry)
{
	u64 name = (u64)LOAD(direct, dentry, entry, d_name.name);
	u32 length = LOAD(direct, dentry, entry, d_name.hash_len) >> 32, at = n->at;

	if (length > NAME_PART || at <= length + NAME_SPARE)
		return false;
	at -= length + 1;
	OPAQUE(at); /* it is within bounds: shown to the verifier by masks, whatever clang knows */
	OPAQUE(length);
	at &= NAME_TEXT - 1;
	n->bytes[NAME_HEAD + at] = '/';
	bpf_probe_read_kernel(&n->bytes[NAME_HEAD + at + 1], length & NAME_PART, (void *)name);
	n->at = at;
	return true;
}

static __always_inline long name_step(const bool direct, struct fdt_naming *n)
{
	u64 entry = n->entry;

	switch (path_up(direct, &n->entry, &n->mount)) {
	case PATH_ROOT: n->flags &= ~FDT_NAME_CUT; return 1;
	case PATH_MOUNT: return 0;
	}
	return !name_put(direct, n, entry);
}

/* The pointer stands on the stack: what a callback is given has to. */
static long on_name_step(__attribute__((unused)) u64 i, struct fdt_naming **n)
{
	return can_cast ? name_step(true, *n) : name_step(false, *n);
}

/*
 * Entries without a parent have no path. The root of a file system is called "/", as its whole path
 * is; what memfd_create() made has its name alone.
 */
static __always_inline void name_put_lone(const bool direct, struct fdt_naming *n, u32 magic)
{
	u64 entry = n->entry, mount = n->mount;

	if (entry != (u64)LOAD(direct, mount, mount, mnt.mnt_root) && magic != TMPFS_MAGIC &&
	    magic != HUGETLBFS_MAGIC)
		return;
	if (name_put(direct, n, entry))
		n->at++;
}

/* Unlinked, but still open: as d_unlinked() has it. */
static __always_inline bool name_is_gone(const bool direct, u64 entry)
{
	return (u64)LOAD(direct, dentry, entry, d_parent) != entry &&
	       !LOAD(direct, dentry, entry, d_hash.pprev);
}

static __always_inline void name_walk(const bool direct, struct fdt_naming *n, u32 magic)
{
	n->at = NAME_TEXT;
	n->flags = FDT_NAME_CUT | (name_is_gone(direct, n->entry) ? FDT_NAME_UNLINKED : 0);
	bpf_loop(PATH_STEPS, on_name_step, &n, 0);
	if (n->at == NAME_TEXT)
		name_put_lone(direct, n, magic);
}

/* False: there was none, or no room for it. */
static __always_inline bool name_emit(struct fdt_naming *n, u64 file, u32 fd)
{
	struct task_struct *task = CURRENT;
	u32 at = n->at, size = NAME_HEAD + NAME_TEXT - at;
	struct fdt_name *event;

	OPAQUE(at);
	OPAQUE(size);
	event = (struct fdt_name *)&n->bytes[at & (NAME_TEXT - 1)];
	if (size <= NAME_HEAD || size > NAME_HEAD + NAME_TEXT)
		return false;
	head_fill(&event->head, FDT_NAME, FDT_OP_OPEN, size, coarse_ns(), task,
		  (u64)plain_task(task)->files);
	event->head.flags = n->flags;
	event->fd = fd;
	event->pad = 0;
	describe_file(&event->file, file);
	return !bpf_ringbuf_output(&fdt_ring, event, size, wakeup_flags(size));
}

static __always_inline bool name_is_granted(struct fdt_naming *n)
{
	u64 window = coarse_ns() >> FDT_NAMES_WINDOW_SHIFT;

	if (n->window != window) {
		n->window = window;
		n->taken = 0;
	}
	return n->taken++ < names_most &&
	       bpf_ringbuf_query(&fdt_ring, BPF_RB_AVAIL_DATA) <= ring_half;
}

static __always_inline u64 mix_name(u64 hash, u64 value)
{
	return (hash ^ value) * 0x9e3779b97f4a7c15ull;
}

/* What was put into memory as a pointer, as the number that may be calculated with. */
static __always_inline u64 name_number(const u64 *stored)
{
	return *(const volatile u64 *)stored;
}

/*
 * What is at hand and differs between paths: the file, its last two names, whether it is unlinked,
 * and when it was opened.
 */
static __always_inline u64 name_mix(const bool direct, struct fdt_naming *n, u64 inode)
{
	u64 entry = name_number(&n->entry);
	u64 parent = (u64)LOAD(direct, dentry, entry, d_parent);
	u64 hash = mix_name(coarse_ns() >> NAME_AGE_SHIFT, entry);

	hash = mix_name(hash, name_number(&n->mount));
	hash = mix_name(hash, name_is_gone(direct, entry));
	hash = mix_name(hash, LOAD(direct, dentry, entry, d_name.hash_len));
	hash = mix_name(hash, LOAD(direct, dentry, parent, d_name.hash_len));
	return mix_name(hash, LOAD(direct, inode, inode, i_ino));
}

static __always_inline bool has_no_name(u32 magic)
{
	return magic == SOCKFS_MAGIC || magic == PIPEFS_MAGIC || magic == ANON_INODE_FS_MAGIC;
}

static __always_inline int name_open(const bool direct, u64 file, u32 fd)
{
	u64 inode = (u64)LOAD(direct, file, file, f_inode), mix, *known;
	u64 super = (u64)LOAD(direct, inode, inode, i_sb);
	u32 magic = LOAD(direct, super_block, super, s_magic), zero = 0;
	struct fdt_naming *n;

	if (has_no_name(magic))
		return 0;
	n = bpf_map_lookup_elem(&fdt_namings, &zero);
	if (!n || n->busy) /* another thread was interrupted on this CPU */
		return 0;
	n->busy = 1;
	path_begin(direct, file, &n->entry, &n->mount);
	mix = name_mix(direct, n, inode);
	n->file = file;
	known = &name_known[mix_name(0, name_number(&n->file)) >> 50];
	if (*known != mix && name_is_granted(n)) {
		name_walk(direct, n, magic);
		if (name_emit(n, file, fd))
			*known = mix;
	}
	n->busy = 0;
	return 0;
}

/* Before what the slot holds is reported. */
GLOBAL int name_slot(u32 fd)
{
	u64 file;

	if (!names_most)
		return 0;
	file = slot_file(current_table(), fd);
	if (!file)
		return 0;
	return can_cast ? name_open(true, file, fd) : name_open(false, file, fd);
}

#endif
