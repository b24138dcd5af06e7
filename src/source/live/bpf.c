// SPDX-License-Identifier: BSD-2-Clause
/*
 * The kernel as a source: loads the programs in bpf/, reads what they put into the ring buffer,
 * and reports what they could not put there.
 */
#include "source/live/bpf.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <linux/kcmp.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fdtrace/event.h"
#include "fdtrace/loader.h"
#include "base/clock.h"
#include "source/doctor/attempt.h"
#include "source/live/cost.h"
#include "source/live/hooks.h"
#include "source/live/inspect.h"
#include "source/live/kinds.h"
#include "source/live/libbpf_log.h"
#include "source/doctor/obstacle.h"
#include "source/live/procfs.h"
#include "source/live/self_test.h"
#include "source/live/programs.h"
#include "source/live/snapshot.h"
#include "source/syscalls.h"
#include "util/log.h"
#include "util/error.h"

#include "source/skeleton.h"
#include "fdtrace.skel.h"

#define TICK_NS 100000000ull /* between two FDT_TICK, and two looks for misses */
#define SPACE_NS SEC_NS
#define SNAPSHOT_MAX_NS 5000000000ull /* longer than that and the ring is not being emptied */
#define PIECE_BYTES 2048              /* of the iterator: 32 tasks, then the ring is emptied */
#define RECORD_ALIGN 8                /* bytes; the kernel's header of a record has as many */

struct bpf_source {
	struct source source;
	struct fdtrace_bpf *skel;
	struct hooks *hooks;
	struct inspector *inspector; /* NULL: the kernel refused it */
	struct ring_buffer *ring;
	struct stacking *stacking;
	struct cost_meter *cost; /* NULL: not asked for */
	bool hooks_off;          /* on system calls */
	size_t ring_bytes;
	bool all;
	u64 self;
	/* of the call of drain() or its like that is running */
	source_event_fn event;
	void *ctx;
	int stopped;                  /* what event returned, if not 0 */
	size_t budget;                /* bytes of the ring until others must have a turn */
	struct kind_samples *samples; /* looking at ourselves: see live_report_kinds() */
	struct snapshot_found found;
	/* reported so far */
	u64 last_ns;
	u64 tick_ns;
	u64 stage_ns; /* when the last stage of the start was over */
	u64 walk_ns;  /* what the kernel took of the snapshot going on */
	u64 lost;
};

static struct bpf_source *live_of(const struct source *source)
{
	return (struct bpf_source *)(uintptr_t)source;
}

/* As of the last timer tick, as the events' times are: never ahead of the next event's. */
static u64 live_coarse_now(void)
{
	return clock_ns(CLOCK_MONOTONIC_COARSE);
}

static u64 live_read_counter(const struct fdt_counter *c)
{
	return __atomic_load_n(&c->value, __ATOMIC_RELAXED);
}

/* ---- the ring ---- */

static int live_deliver(struct bpf_source *s, const void *event, size_t size)
{
	const struct fdt_head *head = event;

	if (head->time_ns > s->last_ns)
		s->last_ns = head->time_ns;
	s->stopped = s->event(s->ctx, event, size);
	return s->stopped ? -ECANCELED : 0;
}

static int live_on_site(void *ctx, const void *event, size_t size)
{
	return live_deliver(ctx, event, size);
}

/* Our own table holds one sample of each kind, by number. */
static int live_learn_kinds(struct bpf_source *s, const struct fdt_vec *vec)
{
	int err = 0;

	for (unsigned int i = 0; !err && vec->head.kind == FDT_VEC && i < s->samples->count; i++) {
		const struct kind_sample *sample = &s->samples->sample[i];
		u32 at = (u32)sample->fd - vec->first_fd;
		struct fdt_fops fops = { .head = { .kind = FDT_FOPS,
						   .size = sizeof(fops),
						   .time_ns = vec->head.time_ns },
					 .fd_kind = sample->kind };

		if (at >= FDT_VEC_SLOTS || !vec->file[at].file)
			continue;
		fops.detail = vec->file[at].detail;
		if (sample->kind == FD_KIND_FANOTIFY)
			s->skel->bss->reader_ops.fanotify = fops.detail;
		if (sample->kind == FD_KIND_USERFAULTFD)
			s->skel->bss->reader_ops.userfault = fops.detail;
		err = live_deliver(s, &fops, sizeof(fops));
	}
	return err;
}

/* False: a ringful was read. BPF_RINGBUF_HDR_SZ and the rounding are kernel/bpf/ringbuf.c's. */
static bool live_spend(struct bpf_source *s, size_t size)
{
	size_t bytes = RECORD_ALIGN + (size + RECORD_ALIGN - 1) / RECORD_ALIGN * RECORD_ALIGN;

	s->budget -= bytes < s->budget ? bytes : s->budget;
	return s->budget;
}

static int live_on_record(void *ctx, void *record, size_t size)
{
	struct bpf_source *s = ctx;
	const struct fdt_head *head = record;
	int err;

	if (stacks_concern(head->kind))
		err = stacking_record(s->stacking, record, size, live_on_site, s);
	else if (s->samples && head->tgid == s->self && head->op == FDT_OP_SNAPSHOT)
		err = live_learn_kinds(s, record);
	else
		err = live_deliver(s, record, size);
	snapshot_note(&s->found,
		      record); /* without memory for it a process stays without its path */
	if (!err && !live_spend(s, size))
		err = -EAGAIN;
	return err;
}

/*
 * All that is in the ring, or a ringful where it fills as fast as it is emptied: 0, or what
 * event returned. -EAGAIN: a ringful, and there is more. Either way nothing is left of what was
 * there at the call, and signals, audits and the end of the run wait no longer than that.
 */
static int live_consume(struct bpf_source *s)
{
	int err;

	s->stopped = 0;
	s->budget = s->ring_bytes;
	err = ring_buffer__consume(s->ring);
	if (s->stopped)
		return s->stopped;
	return err < 0 ? err : 0;
}

/* ---- losses ---- */

static int live_report_gap(struct bpf_source *s, enum fdt_loss_cause cause, enum fdt_op op,
			   u64 count, const char *program)
{
	struct fdt_loss loss = { .head = { .kind = FDT_LOSS,
					   .op = (__u8)op,
					   .size = sizeof(loss),
					   .flags = cause,
					   .time_ns = live_coarse_now() },
				 .count = count };

	snprintf(loss.program, sizeof(loss.program), "%s", program);
	if (cause != FDT_LOSS_COVERAGE)
		log_info("lost %llu events: %s%s", (unsigned long long)count,
			 cause == FDT_LOSS_RING        ? "no room in the ring buffer"
			 : cause == FDT_LOSS_RECURSION ? "the kernel skipped program "
						       : "no return was seen of function ",
			 cause == FDT_LOSS_RING ? "" : program);
	return live_deliver(s, &loss, sizeof(loss)) ? s->stopped : 0;
}

static int live_report_loss(struct bpf_source *s, enum fdt_loss_cause cause, u64 count,
			    const char *program)
{
	return live_report_gap(s, cause, FDT_OP_NONE, count, program);
}

static int live_report_lost(struct bpf_source *s)
{
	u64 lost = live_read_counter(&s->skel->bss->lost_events), more = lost - s->lost;

	s->lost = lost;
	return more ? live_report_loss(s, FDT_LOSS_RING, more, "ring") : 0;
}

static int live_on_missed(void *ctx, enum fdt_loss_cause cause, uint64_t count, const char *program)
{
	return live_report_loss(ctx, cause, count, program);
}

/* ---- snapshots ---- */

/* One walk over all tasks, or until the ring is half full; the cursor says which. */
static int live_walk_round(struct bpf_source *s)
{
	const struct fdt_cursor *cursor = &s->skel->bss->cursor;
	int fd = bpf_iter_create(hooks_iterator_fd(s->hooks)), err = 0;
	char piece[PIECE_BYTES];
	u64 before;
	ssize_t n;

	if (fd < 0)
		return fd;
	do {
		before = clock_monotonic_ns();
		n = read(fd, piece, sizeof(piece));
		s->walk_ns += clock_monotonic_ns() - before;
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			err = -errno;
		err = err ?: live_consume(s);
		if (err == -EAGAIN)
			err = 0;
	} while (n && !err && !__atomic_load_n(&cursor->stopped, __ATOMIC_RELAXED));
	close(fd);
	return err;
}

/* 0, or what event returned, or -errno. Tables left out in the end are reported as a loss. */
static int live_walk_rounds(struct bpf_source *s, u32 only_tgid)
{
	struct fdt_cursor *cursor = &s->skel->bss->cursor;
	u64 deadline = live_coarse_now() + SNAPSHOT_MAX_NS;
	int err;

	*cursor = (struct fdt_cursor){ .only_tgid = only_tgid };
	do {
		__atomic_store_n(&cursor->stopped, 0, __ATOMIC_RELAXED);
		err = live_walk_round(s);
	} while (!err && cursor->stopped && live_coarse_now() < deadline);
	if (!err && cursor->stopped)
		err = live_report_loss(s, FDT_LOSS_RING, 1, "snapshot");
	return err;
}

static int live_report_border(struct bpf_source *s, enum fdt_op op, unsigned int why)
{
	struct fdt_head head = { .kind = FDT_SNAPSHOT,
				 .op = (__u8)op,
				 .size = sizeof(head),
				 .flags = (__u16)why,
				 .time_ns = live_coarse_now() };

	return live_deliver(s, &head, sizeof(head)) ? s->stopped : 0;
}

/* An audit looks at tables only: images were reported when they began. */
static int live_walk_all(struct bpf_source *s, unsigned int why)
{
	int err = live_report_border(s, FDT_OP_BEGIN, why);

	s->found.count = 0;
	s->walk_ns = 0;
	err = err ?: live_walk_rounds(s, 0);
	log_debug("tables walked by the kernel in %.2f ms", (double)s->walk_ns / 1e6);
	if (!err && why != FDT_WHY_AUDIT && why != FDT_WHY_CENSUS && why != FDT_WHY_END)
		err = snapshot_report(&s->found, live_coarse_now(), s->event, s->ctx);
	/* what a snapshot did not find is gone only if it could report all */
	if (!err)
		err = live_report_lost(s);
	return err ?: live_report_border(s, FDT_OP_END, why);
}

static int live_snapshot(struct source *source, unsigned int why, source_event_fn event, void *ctx,
			 struct error *error)
{
	struct bpf_source *s = live_of(source);
	int err;

	s->event = event;
	s->ctx = ctx;
	err = live_consume(s);
	if (!err || err == -EAGAIN)
		err = live_walk_all(s, why);
	if (err < 0)
		error_set(error, -err, EXIT_INTERNAL, "cannot take a snapshot of the tables: %s",
			  strerror(-err));
	return err;
}

/* Which file operations mean which kind, on this very kernel: our own table shows it. */
static int live_report_kinds(struct bpf_source *s)
{
	struct kind_samples samples;
	int err;

	kind_samples_init(&samples);
	kind_samples_add(&samples, bpf_map__fd(s->skel->maps.fdt_ring), FD_KIND_BPF);
	kind_samples_add(&samples, bpf_program__fd(s->skel->progs.fdt_snapshot), FD_KIND_BPF);
	kind_samples_add(&samples, hooks_iterator_fd(s->hooks), FD_KIND_BPF);
	s->samples = &samples;
	err = live_walk_rounds(s, (u32)s->self);
	s->samples = NULL;
	kind_samples_done(&samples);
	return err;
}

static int live_start(struct source *source, source_event_fn event, void *ctx, struct error *error)
{
	struct bpf_source *s = live_of(source);
	int err;

	s->event = event;
	s->ctx = ctx;
	err = live_report_kinds(s);
	if (err < 0)
		return error_set(error, -err, EXIT_INTERNAL, "cannot start reading events: %s",
				 strerror(-err));
	return err ?: live_snapshot(source, FDT_WHY_START, event, ctx, error);
}

/* ---- draining ---- */

static int live_poll_fd(const struct source *source)
{
	return ring_buffer__epoll_fd(live_of(source)->ring);
}

/* now was read before the ring was: nothing older is left in it. */
static int live_report_tick(struct bpf_source *s, u64 now)
{
	struct fdt_head tick = { .kind = FDT_TICK, .size = sizeof(tick) };

	tick.time_ns = now > s->last_ns ? now : s->last_ns;
	return live_deliver(s, &tick, sizeof(tick)) ? s->stopped : 0;
}

static int live_drain(struct source *source, source_event_fn event, void *ctx, struct error *error)
{
	struct bpf_source *s = live_of(source);
	u64 now = live_coarse_now();
	u64 last = s->tick_ns;
	bool due = now - last >= TICK_NS;
	int err;

	s->event = event;
	s->ctx = ctx;
	err = live_consume(s);
	s->found.count = 0; /* only a snapshot has use for it */
	stacking_tick(s->stacking, now);
	err = err == -EAGAIN ? 0 : err;
	err = err ?: live_report_lost(s);
	if (due && !err) {
		s->tick_ns = now;
		/* What function hooks do not see of mappings is looked up again now and then. */
		if (hooks_set(s->hooks) == HOOKS_FUNCTION && now / SPACE_NS != last / SPACE_NS)
			__atomic_fetch_add(&s->skel->bss->space_epoch, 1, __ATOMIC_RELAXED);
		err = hooks_misses(s->hooks, live_on_missed, s);
		err = err ?: live_report_tick(s, now);
	}
	if (err < 0)
		error_set(error, -err, EXIT_INTERNAL, "cannot read events: %s", strerror(-err));
	return err;
}

static int live_inspect(struct source *source, u32 tgid, int32_t fd, struct fdt_detail *ret_detail)
{
	struct bpf_source *s = live_of(source);

	return s->inspector ? inspector_ask(s->inspector, tgid, fd, ret_detail) : -ENOTSUP;
}

static void live_stacking(const struct source *source, struct stacking_counters *ret_counters)
{
	stacking_counters(live_of(source)->stacking, ret_counters);
}

static void live_forget_site(struct source *source, uint64_t hash)
{
	stacking_forget(live_of(source)->stacking, hash);
}

/* ---- on and off ---- */

/* That the hooks are off is reported after they are, so that nothing seen is called a gap too late. */
static int live_turn_hooks(struct bpf_source *s, bool on)
{
	u64 began = live_coarse_now();
	int err;

	if (on) /* what was mapped meanwhile is not known: what was learnt of it is forgotten first */
		__atomic_fetch_add(&s->skel->bss->space_epoch, 1, __ATOMIC_RELAXED);
	err = hooks_turn(s->hooks, on);
	if (err)
		return err;
	s->hooks_off = !on;
	log_debug("hooks are %s after %.1f ms", on ? "on" : "off",
		  (double)(live_coarse_now() - began) / 1e6);
	if (s->cost)
		cost_meter_hooks(s->cost, on, live_coarse_now());
	return live_report_gap(s, FDT_LOSS_COVERAGE, on ? FDT_OP_END : FDT_OP_BEGIN, 0, "budget");
}

static int live_hooks(struct source *source, bool on, source_event_fn event, void *ctx,
		      struct error *error)
{
	struct bpf_source *s = live_of(source);
	int err;

	if (on != s->hooks_off)
		return 0;
	s->event = event;
	s->ctx = ctx;
	err = live_turn_hooks(s, on);
	if (err < 0)
		error_set(error, -err, EXIT_INTERNAL,
			  "cannot turn the hooks on system calls on again: %s", strerror(-err));
	return err;
}

static void live_cost(struct source *source, uint64_t now_ns, struct bpf_cost *ret_cost)
{
	struct bpf_source *s = live_of(source);

	*ret_cost = (struct bpf_cost){ 0 };
	if (!s->cost)
		return;
	cost_meter_tick(s->cost, now_ns);
	cost_meter_read(s->cost, ret_cost);
}

static void live_describe(const struct source *source, struct source_facts *ret_facts)
{
	const struct bpf_source *s = live_of(source);

	*ret_facts = (struct source_facts){ .coverage = hooks_name(s->hooks),
					    .not_seen = hooks_blind(s->hooks),
					    .measures_cost = s->cost != NULL };
}

static bool live_idle(const struct source *source)
{
	const struct bpf_source *s = live_of(source);

	return !s->all && !live_read_counter(&s->skel->bss->traced_count);
}

static void live_free(struct source *source)
{
	struct bpf_source *s = live_of(source);

	inspector_free(s->inspector);
	ring_buffer__free(s->ring);
	stacking_free(s->stacking);
	cost_meter_free(s->cost);
	hooks_free(s->hooks);
	fdtrace_bpf__destroy(s->skel);
	snapshot_done(&s->found);
	free(s);
}

static const struct source_ops live_ops = {
	.start = live_start,
	.poll_fd = live_poll_fd,
	.drain = live_drain,
	.snapshot = live_snapshot,
	.free = live_free,
	.inspect = live_inspect,
	.describe = live_describe,
	.idle = live_idle,
	.forget_site = live_forget_site,
	.stacking = live_stacking,
	.hooks = live_hooks,
	.cost = live_cost,
};

/* ---- loading ---- */

/* Of the programs, those for this kernel and the hooks asked for. */
static int live_adapt_to_kernel(struct bpf_source *s, enum hook_set hooks, struct error *error)
{
	struct btf *btf = btf__load_vmlinux_btf();
	int err;

	if (!btf) {
		error_set(error, errno, EXIT_CANNOT, "cannot read this kernel's types (BTF): %s",
			  strerror(errno));
		return error_explain(error, NULL, "see: fdtrace doctor");
	}
	s->skel->rodata->can_cast =
		btf__find_by_name_kind(btf, "bpf_rdonly_cast", BTF_KIND_FUNC) > 0;
	err = hooks_choose(s->skel, hooks, btf, &s->hooks, error);
	btf__free(btf);
	return err;
}

static u32 live_log2(u64 value)
{
	return 63 - (u32)__builtin_clzll(value);
}

/* A map that nothing will use is not worth its memory. */
static int live_drop_map(struct bpf_map *map, bool wanted)
{
	return wanted ? 0 : bpf_map__set_max_entries(map, 1);
}

/* After the table of calls has been filled. */
static int live_configure_wanted(struct fdtrace_bpf *skel, const struct bpf_source_options *options)
{
	bool registrations = options->needs & FDT_NEED(REGISTER);
	bool stale_uses = options->needs & 1u << FDT_STALE_USES;
	int err;

	for (unsigned int need = 0; need < FDT_NEED_BITS; need++)
		skel->rodata->wanted[need] = options->needs >> need & 1;
	if (!registrations) {
		syscalls_reclass(skel->rodata->native_calls, FDT_CALL_EPOLL_CTL, FDT_CALL_NONE);
		syscalls_reclass(skel->rodata->compat_calls, FDT_CALL_EPOLL_CTL, FDT_CALL_NONE);
	}
	err = live_drop_map(skel->maps.fdt_epolls, registrations);
	err = err ?: live_drop_map(skel->maps.fdt_makers, registrations);
	err = err ?: live_drop_map(skel->maps.fdt_fillings, stale_uses);
	return err ?: live_drop_map(skel->maps.fdt_last_uses, stale_uses);
}

static int live_configure(struct fdtrace_bpf *skel, const struct bpf_source_options *options)
{
	u64 ring = options->ring_size_bytes;
	int err;

	skel->rodata->self_tgid = (u32)getpid();
	skel->rodata->trace_all = !options->pid_count;
	skel->rodata->follow = options->follow;
	skel->rodata->wakeup_shift = live_log2(ring / 8);
	skel->rodata->ring_half = ring / 2;
	stacking_configure(skel, &options->stacks);
	syscalls_fill(skel->rodata->native_calls, skel->rodata->compat_calls,
		      skel->rodata->socketcalls);
	err = live_configure_wanted(skel, options);
	return err ?: bpf_map__set_max_entries(skel->maps.fdt_ring, (u32)ring);
}

/* Before the hooks are there: what happens from then on is seen. */
static void live_trace_pid(struct fdtrace_bpf *skel, pid_t pid)
{
	u64 bit = 1ull << (pid % 64);

	if (!(__atomic_fetch_or(&skel->bss->traced_pids[pid / 64], bit, __ATOMIC_RELAXED) & bit))
		__atomic_fetch_add(&skel->bss->traced_count.value, 1, __ATOMIC_RELAXED);
}

/* One that ended before the hooks were there will not be seen to end. */
static void live_forget_if_dead(struct fdtrace_bpf *skel, pid_t pid)
{
	u64 bit = 1ull << (pid % 64);
	struct procfs_stat stat;

	if (!procfs_stat(pid, &stat) && !procfs_is_dead(&stat))
		return;
	if (__atomic_fetch_and(&skel->bss->traced_pids[pid / 64], ~bit, __ATOMIC_RELAXED) & bit)
		__atomic_fetch_sub(&skel->bss->traced_count.value, 1, __ATOMIC_RELAXED);
}

/* Another process that has the same table (CLONE_FILES): what it does happens to a table we keep. */
static bool live_shares_table(pid_t a, pid_t b)
{
	return syscall(SYS_kcmp, a, b, KCMP_FILES, 0, 0) == 0;
}

static bool live_traces_pid(const struct fdtrace_bpf *skel, pid_t pid)
{
	return skel->bss->traced_pids[pid / 64] >> pid % 64 & 1;
}

/* How many processes were found that share a table with one of those asked for. */
static unsigned int live_add_sharers(struct fdtrace_bpf *skel,
				     const struct bpf_source_options *options)
{
	DIR *proc = opendir("/proc");
	unsigned int added = 0;
	struct dirent *entry;

	while (proc && (entry = readdir(proc))) {
		pid_t pid = atoi(entry->d_name);

		if (pid <= 0 || pid >= FDT_PIDS_MAX || pid == getpid() ||
		    live_traces_pid(skel, pid))
			continue;
		for (unsigned int i = 0; i < options->pid_count; i++) {
			if (!live_shares_table(pid, options->pids[i]))
				continue;
			live_trace_pid(skel, pid);
			live_forget_if_dead(skel, pid);
			added++;
			break;
		}
	}
	if (proc)
		closedir(proc);
	return added;
}

/* Sharers may fork sharers while we look; once they are traced their children are. */
static void live_trace_sharers(struct fdtrace_bpf *skel, const struct bpf_source_options *options)
{
	for (int round = 0; round < 8 && options->pid_count; round++)
		if (!live_add_sharers(skel, options))
			break;
}

/* Only what failed is worth the time that finding out why takes. */
static int live_explain(int err, const struct bpf_source_options *options, struct error *error)
{
	char log[sizeof(error->cause)];
	struct circumstances c;

	snprintf(log, sizeof(log), "%s",
		 libbpf_log_end()); /* of the failure, not of what follows */
	circumstances_gather_all(&c, options->ring_size_bytes);
	return obstacle_explain(obstacle_of(&c), &c, err, log, error);
}

/* Without it descriptors have a kind and no name; what is found stays the same. */
static void live_load_inspector(struct bpf_source *s)
{
	libbpf_log_begin();
	if (inspector_new(&s->inspector))
		log_warn("descriptors will have no names: the kernel refused the program that "
			 "looks at them (%s)",
			 libbpf_log_end());
}

static void live_end_stage(struct bpf_source *s, const char *what)
{
	u64 now = clock_monotonic_ns();

	log_debug("start: %s in %.1f ms", what, (double)(now - s->stage_ns) / 1e6);
	s->stage_ns = now;
}

static int live_on_tested(void *ctx, const void *event, size_t size)
{
	self_test_event(ctx, event, size);
	return 0;
}

/* What others do meanwhile is reported by the snapshot that every start begins with. */
static int live_run_self_test(struct bpf_source *s, struct self_test *test, struct error *error)
{
	const char *missing;
	int err;

	live_trace_pid(s->skel, self_test_pid(test));
	err = self_test_run(test);
	s->event = live_on_tested;
	s->ctx = test;
	if (!err)
		err = live_consume(s);
	if (err == -EAGAIN)
		err = 0;
	missing = self_test_missing(test, hooks_see_failed_closes(s->hooks));
	if (err) {
		error_set(error, -err, EXIT_CANNOT, "the function hooks could not be tested: %s",
			  strerror(-err));
		return error_explain(error, NULL, "use --hooks=tracepoint");
	}
	if (!missing)
		return 0;
	error_set(error, ENOTSUP, EXIT_CANNOT, "function hook self-test failed: no event for %s",
		  missing);
	return error_explain(error,
			     "they are attached, but do not report everything on this kernel",
			     "use --hooks=tracepoint");
}

/* Tracepoints are an interface of the kernel; functions are not. */
static int live_test_hooks(struct bpf_source *s, struct error *error)
{
	struct self_test *test;
	int err;

	if (hooks_set(s->hooks) != HOOKS_FUNCTION)
		return 0;
	err = self_test_new(&test);
	if (err)
		return error_set(error, -err, EXIT_CANNOT,
				 "the function hooks could not be tested: %s", strerror(-err));
	err = live_run_self_test(s, test, error);
	self_test_free(test);
	return err;
}

static int live_load(struct bpf_source *s, const struct bpf_source_options *options,
		     struct error *error)
{
	int err;

	libbpf_log_begin();
	s->stage_ns = clock_monotonic_ns();
	s->skel = fdtrace_bpf__open();
	if (!s->skel)
		return live_explain(-errno, options, error);
	err = live_adapt_to_kernel(s, options->hooks, error);
	if (err)
		return err;
	err = live_configure(s->skel, options);
	live_end_stage(s, "programs read");
	err = err ?: fdtrace_bpf__load(s->skel);
	live_end_stage(s, "programs loaded");
	if (!err)
		programs_log(s->skel->obj);
	err = err ?: stacking_open(s->skel, &options->stacks, &s->stacking);
	if (!err)
		stacking_prepare(s->stacking, options->pids, options->pid_count);
	for (unsigned int i = 0; !err && i < options->pid_count; i++)
		live_trace_pid(s->skel, options->pids[i]);
	live_end_stage(s, "stacks prepared");
	if (!err)
		live_load_inspector(s);
	live_end_stage(s, "inspector loaded");
	if (!err && options->cost) {
		s->cost = cost_meter_new(s->skel);
		err = s->cost ? 0 : -ENOMEM;
	}
	if (s->cost)
		cost_meter_calibrate(s->cost, false);
	/* From here on events come, and wait in the ring: nothing slow may follow. */
	err = err ?: hooks_attach(s->hooks);
	if (err)
		return live_explain(err, options, error);
	for (unsigned int i = 0; i < options->pid_count; i++)
		live_forget_if_dead(s->skel, options->pids[i]);
	live_trace_sharers(s->skel, options);
	stacking_start(s->stacking);
	if (s->cost)
		cost_meter_calibrate(s->cost, true);
	live_end_stage(s, "hooks attached");
	malloc_trim(0); /* the kernel's types alone took tens of megabytes */
	s->ring = ring_buffer__new(bpf_map__fd(s->skel->maps.fdt_ring), live_on_record, s, NULL);
	if (!s->ring)
		return live_explain(-errno, options, error);
	err = live_test_hooks(s, error);
	live_end_stage(s, "hooks tested");
	return err;
}

/* ---- what is asked for ---- */

static int live_check_pid(pid_t pid, struct error *error)
{
	struct procfs_stat stat;
	int err = pid > 0 && pid < FDT_PIDS_MAX ? procfs_stat(pid, &stat) : -ENOENT;

	if (err) {
		error_set(error, ESRCH, EXIT_CANNOT, "cannot trace pid %d", pid);
		return error_explain(
			error, err == -ENOENT ? "there is no such process" : strerror(-err), NULL);
	}
	if (stat.kernel) {
		error_set(error, EINVAL, EXIT_CANNOT, "cannot trace pid %d", pid);
		return error_explain(error, "it is a kernel thread and has no descriptors", NULL);
	}
	if (procfs_is_dead(&stat)) {
		error_set(error, ESRCH, EXIT_CANNOT, "cannot trace pid %d", pid);
		return error_explain(error, "it is a zombie: its parent has not yet reaped it",
				     NULL);
	}
	if (pid == getpid()) {
		error_set(error, EINVAL, EXIT_CANNOT, "cannot trace pid %d", pid);
		return error_explain(error, "that is fdtrace itself", NULL);
	}
	return 0;
}

static int live_check_machine(const struct bpf_source_options *options, struct error *error)
{
	struct circumstances c;
	enum obstacle obstacle;

	libbpf_log_begin();
	circumstances_gather(&c);
	obstacle = obstacle_of(&c);
	if (obstacle)
		return obstacle_explain(obstacle, &c, c.load ?: -EPERM, "", error);
	if (options->ring_size_bytes & (options->ring_size_bytes - 1) ||
	    options->ring_size_bytes < (u64)sysconf(_SC_PAGESIZE) ||
	    options->ring_size_bytes > 1u << 31) {
		error_set(error, EINVAL, EXIT_USAGE, "ring.size of %llu bytes is not possible",
			  (unsigned long long)options->ring_size_bytes);
		return error_explain(error, "it must be a power of two, one page to 2G", NULL);
	}
	return 0;
}

int bpf_source_open(const struct bpf_source_options *options, struct source **ret_source,
		    struct error *error)
{
	struct bpf_source *s;
	int err = live_check_machine(options, error);

	libbpf_log_begin();
	for (unsigned int i = 0; !err && i < options->pid_count; i++)
		err = live_check_pid(options->pids[i], error);
	if (err)
		return err;
	s = calloc(1, sizeof(*s));
	if (!s)
		return error_no_memory(error);
	s->source.ops = &live_ops;
	s->all = !options->pid_count;
	s->self = (u64)getpid();
	s->ring_bytes = options->ring_size_bytes;
	err = live_load(s, options, error);
	if (err) {
		live_free(&s->source);
		return err;
	}
	*ret_source = &s->source;
	return 0;
}
