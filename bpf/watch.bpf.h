/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which inherited descriptors does a program use? At exec the numbers above 2 that crossed it
 * are noted, by table; the first successful call that uses one is reported (FDT_USE) and the number
 * crossed off. Processes forked later go on with what is left, in their own tables.
 *
 * What this costs others: a call that uses a descriptor tests, while any process is watched,
 * one bit of a bitmap indexed by pid.
 */
#ifndef FDTRACE_WATCH_BPF_H
#define FDTRACE_WATCH_BPF_H

#define WATCH_WORDS 64 /* numbers 0..4095 */
#define WATCHES_MAX 2048

struct fdt_watch {
	u64 count; /* bits set below; only ever goes down */
	u64 word[WATCH_WORDS];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, WATCHES_MAX);
	__type(key, u64); /* files_struct */
	__type(value, struct fdt_watch);
} fdt_watches SEC(".maps");

static const struct fdt_watch no_watch; /* too large for a BPF stack */

static __always_inline bool any_watched(void)
{
	return watched_count.value;
}

static __always_inline bool is_watched(u32 tgid)
{
	return any_watched() && pid_test(watched_pids, tgid);
}

/* 0 to 2 are there to be inherited. */
static __always_inline bool is_watchable(u32 fd)
{
	return fd > 2 && fd < WATCH_WORDS * 64;
}

static __always_inline void watch_end(u32 tgid, u64 table)
{
	pid_clear(watched_pids, &watched_count, tgid);
	bpf_map_delete_elem(&fdt_watches, &table);
}

static __always_inline struct fdt_watch *watch_new(u64 table)
{
	bpf_map_update_elem(&fdt_watches, &table, &no_watch, BPF_ANY);
	return bpf_map_lookup_elem(&fdt_watches, &table);
}

struct fdt_noting {
	u64 table;
	u64 count;
	struct fdt_watch *watch; /* NULL: only count */
};

/* Nobody else changes the table during an exec: open_fds is exact. */
static long note_word(u64 i, struct fdt_noting *noting)
{
	u64 bits;

	if (i >= WATCH_WORDS)
		return 1;
	bits = open_bits(noting->table, i * 64);
	if (!i)
		bits &= ~7ull;
	if (noting->watch)
		noting->watch->word[i] = bits;
	noting->count += bits_set(bits);
	return 0;
}

static __always_inline u32 watch_words(u64 table)
{
	u32 words = table_capacity(table) / 64;

	return words < WATCH_WORDS ? words : WATCH_WORDS;
}

/* Returns whether uses will be reported; false also when nothing crossed that could be used. */
static __noinline int watch_exec(struct task_struct *task)
{
	struct fdt_noting noting = {};
	u32 tgid;

	if (!task)
		return 0;
	tgid = task->tgid;
	noting.table = (u64)plain_task(task)->files;
	watch_end(tgid, noting.table);
	bpf_loop(watch_words(noting.table), note_word, &noting, 0);
	if (!noting.count)
		return 0;
	noting.watch = watch_new(noting.table);
	if (!noting.watch)
		return 0;
	noting.count = 0;
	bpf_loop(watch_words(noting.table), note_word, &noting, 0);
	noting.watch->count = noting.count;
	pid_set(watched_pids, &watched_count, tgid);
	return 1;
}

struct fdt_copying {
	const struct fdt_watch *from;
	struct fdt_watch *to;
};

static long copy_word(u64 i, struct fdt_copying *copying)
{
	if (i >= WATCH_WORDS)
		return 1;
	copying->to->word[i] = copying->from->word[i];
	return 0;
}

/* Returns whether uses by the child will be reported. */
static __noinline int watch_fork(struct task_struct *parent, struct task_struct *child)
{
	u64 from, to;
	struct fdt_copying copying = {};

	if (!parent || !child || !is_watched(parent->tgid))
		return 0;
	from = (u64)plain_task(parent)->files;
	to = (u64)plain_task(child)->files;
	copying.from = bpf_map_lookup_elem(&fdt_watches, &from);
	if (!copying.from)
		return 0;
	if (from != to) {
		copying.to = watch_new(to);
		if (!copying.to)
			return 0;
		bpf_loop(WATCH_WORDS, copy_word, &copying, 0);
		copying.to->count = copying.from->count;
	}
	pid_set(watched_pids, &watched_count, child->tgid);
	return 1;
}

/* Returns whether the number was on the list. */
static __always_inline bool cross_off(struct fdt_watch *watch, u32 fd)
{
	u64 bit = 1ull << (fd % 64);
	u32 word = fd / 64;

	if (!is_watchable(fd))
		return false;
	OPAQUE(word); /* of a test of a range older verifiers (6.1) do not learn what is asked here */
	if (word >= WATCH_WORDS || !(watch->word[word] & bit))
		return false;
	return __sync_fetch_and_and(&watch->word[word], ~bit) & bit;
}

/* Takes a number off the list of the current process; a use is reported, anything else is not. */
GLOBAL int watch_take(u32 fd, u32 syscall, u32 is_use)
{
	struct task_struct *task = plain_task(CURRENT);
	u64 table = (u64)task->files;
	struct fdt_watch *watch = bpf_map_lookup_elem(&fdt_watches, &table);

	if (!watch) {
		pid_clear(watched_pids, &watched_count, task->tgid);
		return 0;
	}
	if (!cross_off(watch, fd))
		return 0;
	if (is_use) {
		run_break();
		emit_slot(FDT_OP_USE, syscall, fd, 0, 0);
	}
	if (__sync_fetch_and_add(&watch->count, -1) == 1)
		watch_end(task->tgid, table);
	return 0;
}

#endif
