// SPDX-License-Identifier: BSD-2-Clause
/*
 * "hotpath ROUNDS MS [VARIANT...]": what each variant of the hot path (hotpath.bpf.c) adds to
 * calls, by the CPU time of the process that makes them, the same all along and alone on CPU 0.
 * In each round each variant in turn is measured off and on, for MS milliseconds each. Prints
 *	sample ROUND VARIANT WORKLOAD BASE WITH	ns, medians of blocks; BASE: mean of before and after
 *	attach VARIANT MS DETACH_MS HOOKS
 *	lost VARIANT EVENTS			the ring was full: if there are many, do not believe it
 *	disturbed TIMES				other tracers' hooks were there: measured anew
 * Fails where a variant does not deliver all the events of a workload.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <err.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "fdtrace/loader.h"
#include "fdtrace/syscall.h"
#include "source/syscalls.h"

/* The generated skeleton spells types as the programs do. */
typedef uint8_t u8;
typedef int32_t s32;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
#include "tests/bench/hotpath.skel.h"

#define RING_BYTES (16u << 20) /* as of ring.size */
#define BLOCK_CALLS 100        /* between two looks at the clock */
#define BLOCKS_MAX 16384
#define HOOKS_MAX 128
#define READER_MS 20
#define PASSES 3 /* in one go and one round of three, with what takes seconds to detach */
#define DEADLINE_NS 5e9
#define TRACEFS "/sys/kernel/tracing"

/* ---- what is measured ---- */

enum workload_id { PAIR, BYSTANDER, READ, PAIR_UNTRACED, MIX_1, MIX_3, MIX_10, MIX_100, WORKLOADS };

static const struct workload {
	const char *name;
	bool traced;
	bool pairs;          /* of dup and close: two events, if traced */
	unsigned int others; /* calls after each call that concerns descriptors */
} workloads[WORKLOADS] = {
	[PAIR] = { "pair", true, true, 0 },
	[BYSTANDER] = { "getppid", false, false, 1 },
	[READ] = { "read", false, false, 0 },
	[PAIR_UNTRACED] = { "pair_untraced", false, true, 0 },
	[MIX_1] = { "mix_1", true, true, 1 },
	[MIX_3] = { "mix_3", true, true, 3 },
	[MIX_10] = { "mix_10", true, true, 10 },
	[MIX_100] = { "mix_100", true, true, 100 },
};

static const struct variant {
	const char *name;
	const char *program[2];
	bool silent; /* tells nothing */
	bool measuring;
	bool mixes;             /* of interest with the mixes, too */
	bool slow;              /* to detach */
	const char *tracepoint; /* SEC("tp"): where; NULL: at all calls that concern descriptors */
} variants[] = {
	{ .name = "empty", .program = { "empty" }, .silent = true },
	{ .name = "reference", .program = { "reference" }, .mixes = true },
	{ .name = "probe_read", .program = { "probe_read" } },
	{ .name = "hash_state", .program = { "hash_state" } },
	{ .name = "clock", .program = { "clock" } },
	{ .name = "wakeup_each", .program = { "wakeup_each" } },
	{ .name = "enter_empty", .program = { "reference", "enter_empty" } },
	{ .name = "enter_hash", .program = { "saved_hash", "enter_hash" } },
	{ .name = "enter_task", .program = { "saved_task", "enter_task" } },
	{ .name = "filter_hash", .program = { "filter_hash" } },
	{ .name = "first_bitmap", .program = { "first_bitmap" } },
	{ .name = "first_hash", .program = { "first_hash" } },
	{ .name = "classic_raw_empty", .program = { "classic_raw_empty" }, .silent = true },
	{ .name = "classic_raw", .program = { "classic_raw" }, .mixes = true },
	{ .name = "classic_rare",
	  .program = { "classic_empty" },
	  .silent = true,
	  .tracepoint = "sys_exit_swapoff" },
	{ .name = "classic_set", .program = { "classic_set" }, .mixes = true, .slow = true },
	{ .name = "product", .program = { "product" }, .mixes = true },
	{ .name = "product_unmeasured", .program = { "product_unmeasured" } },
	{ .name = "product_measuring", .program = { "product" }, .measuring = true },
	{ .name = "product_classic", .program = { "product_classic" } },
	{ .name = "product_set", .program = { "product_set" }, .mixes = true, .slow = true },
};
#define VARIANTS (sizeof(variants) / sizeof(variants[0]))

/* ---- the process that makes the calls ---- */

struct order {
	u32 workload;
	u32 ms;
};

struct answer {
	double ns; /* of one pair with its others, or one call */
	u64 count;
};

static double block_ns[BLOCKS_MAX];

static double now_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		err(1, "cannot run on CPU %d", cpu);
}

static void others(unsigned int count)
{
	while (count--)
		syscall(SYS_getppid);
}

static void pairs(unsigned int count, unsigned int other_calls)
{
	while (count--) {
		long fd = syscall(SYS_dup, 0);

		others(other_calls);
		syscall(SYS_close, fd);
		others(other_calls);
	}
}

static void reads(unsigned int count, int fd)
{
	char byte;

	while (count--)
		syscall(SYS_read, fd, &byte, 1);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void one_block(const struct workload *w, unsigned int count, int zero)
{
	if (w->pairs)
		pairs(count, w->others);
	else if (w->others)
		others(count);
	else
		reads(count, zero);
}

static struct answer make_calls(const struct workload *w, u32 ms, int zero)
{
	unsigned int count = BLOCK_CALLS / (w->others + 1) + 1, blocks = 0;
	double start = now_ns(CLOCK_THREAD_CPUTIME_ID), before = start, now = start;
	struct answer answer = { 0 };

	for (; blocks < BLOCKS_MAX && now - start < ms * 1e6; before = now) {
		one_block(w, count, zero);
		now = now_ns(CLOCK_THREAD_CPUTIME_ID);
		block_ns[blocks++] = (now - before) / count;
	}
	qsort(block_ns, blocks, sizeof(block_ns[0]), compare);
	answer.ns = block_ns[blocks / 2];
	answer.count = (u64)blocks * count;
	return answer;
}

static void serve(int orders)
{
	int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	struct order order;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	pin(0);
	while (read(orders, &order, sizeof(order)) == sizeof(order)) {
		struct answer answer = make_calls(&workloads[order.workload], order.ms, zero);

		if (write(orders, &answer, sizeof(answer)) != sizeof(answer))
			break;
	}
	_exit(0);
}

struct worker {
	pid_t pid;
	int orders;
};

static struct worker worker_new(void)
{
	struct worker worker;
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
		err(1, "socketpair");
	worker.pid = fork();
	if (worker.pid < 0)
		err(1, "fork");
	if (!worker.pid) {
		close(ends[0]);
		serve(ends[1]);
	}
	close(ends[1]);
	worker.orders = ends[0];
	return worker;
}

static struct answer worker_run(const struct worker *worker, u32 workload, u32 ms)
{
	struct order order = { .workload = workload, .ms = ms };
	struct answer answer;

	if (write(worker->orders, &order, sizeof(order)) != sizeof(order) ||
	    read(worker->orders, &answer, sizeof(answer)) != sizeof(answer))
		errx(1, "the process that makes the calls is gone");
	return answer;
}

/* ---- the reader of the ring ---- */

struct bench {
	struct hotpath_bpf *skel;
	struct worker worker;
	struct ring_buffer *ring;
	atomic_ullong events; /* read */
	atomic_bool over;
	u32 ms;
	unsigned int round, disturbed;
};

static int on_event(void *ctx, __attribute__((unused)) void *event,
		    __attribute__((unused)) size_t size)
{
	atomic_fetch_add_explicit(&((struct bench *)ctx)->events, 1, memory_order_relaxed);
	return 0;
}

static void *read_ring(void *ctx)
{
	struct bench *b = ctx;

	while (!atomic_load(&b->over)) {
		ring_buffer__poll(b->ring, READER_MS);
		ring_buffer__consume(b->ring); /* those that woke nobody */
	}
	return NULL;
}

static u64 lost(const struct bench *b)
{
	return __atomic_load_n(&b->skel->bss->lost_events.value, __ATOMIC_RELAXED);
}

static void pause_ms(long ms)
{
	struct timespec pause = { .tv_nsec = ms * 1000000 };

	nanosleep(&pause, NULL);
}

static void expect_events(struct bench *b, const char *variant, u64 from, u64 expected)
{
	double began = now_ns(CLOCK_MONOTONIC);

	while (atomic_load(&b->events) + lost(b) - from < expected) {
		if (now_ns(CLOCK_MONOTONIC) - began > DEADLINE_NS)
			errx(1, "%s told %llu events of %llu", variant,
			     (unsigned long long)(atomic_load(&b->events) + lost(b) - from),
			     (unsigned long long)expected);
		pause_ms(1);
	}
}

/* ---- hooks ---- */

struct hooks {
	struct bpf_link *link[HOOKS_MAX];
	unsigned int count;
};

static void hook(struct hooks *hooks, struct bpf_link *link)
{
	if (link && hooks->count < HOOKS_MAX)
		hooks->link[hooks->count++] = link;
}

static const char *call_name(unsigned int number)
{
	static const char *const names[] = {
#define NAME(n, name) [n] = #name,
		FDT_SYSCALLS(NAME)
#undef NAME
	};

	return names[number];
}

/* Of the calls that can change a table, as many as this kernel has tracepoints for. */
static void hook_set(struct hooks *hooks, const struct bpf_program *program)
{
	size_t count;
	const struct syscall_row *row = syscalls_table(&count);

	for (const struct syscall_row *end = row + count; row < end; row++) {
		char name[64];

		if (row->number < 0 || row->call.what == FDT_CALL_NONE)
			continue;
		snprintf(name, sizeof(name), "sys_exit_%s", call_name(row->call.syscall));
		hook(hooks, bpf_program__attach_tracepoint(program, "syscalls", name));
	}
}

static void hook_program(struct hooks *hooks, const struct variant *v,
			 const struct bpf_program *program)
{
	if (strcmp(bpf_program__section_name(program), "tp"))
		hook(hooks, bpf_program__attach(program));
	else if (v->tracepoint)
		hook(hooks, bpf_program__attach_tracepoint(program, "syscalls", v->tracepoint));
	else
		hook_set(hooks, program);
}

static void hooks_on(const struct bench *b, const struct variant *v, struct hooks *hooks)
{
	hooks->count = 0;
	for (int i = 0; i < 2 && v->program[i]; i++) {
		unsigned int before = hooks->count;

		hook_program(hooks, v,
			     bpf_object__find_program_by_name(b->skel->obj, v->program[i]));
		if (hooks->count == before)
			errx(1, "%s: the kernel refused to attach %s", v->name, v->program[i]);
	}
}

static void hooks_off(struct hooks *hooks)
{
	while (hooks->count)
		bpf_link__destroy(hooks->link[--hooks->count]);
}

static bool is_on_syscalls(u32 link_id)
{
	char name[32] = "";
	struct bpf_link_info info;
	u32 size = sizeof(info);
	int fd = bpf_link_get_fd_by_id(link_id);

	if (fd < 0)
		return false;
	memset(&info, 0, sizeof(info));
	info.raw_tracepoint.tp_name = (u64)(uintptr_t)name;
	info.raw_tracepoint.tp_name_len = sizeof(name);
	if (bpf_obj_get_info_by_fd(fd, &info, &size) || info.type != BPF_LINK_TYPE_RAW_TRACEPOINT)
		name[0] = 0;
	close(fd);
	return !strncmp(name, "sys_e", 5);
}

/* Another tracer: what is off with us is on all the same. */
static bool is_disturbed(void)
{
	u32 id = 0;

	while (!bpf_link_get_next_id(id, &id))
		if (is_on_syscalls(id))
			return true;
	return false;
}

/* ---- measuring ---- */

static void set_traced(struct bench *b, bool on)
{
	u32 pid = (u32)b->worker.pid;
	u64 bit = 1ull << (pid % 64), *word = &b->skel->bss->traced_pids[pid / 64];
	int map = bpf_map__fd(b->skel->maps.traced_tgids);
	u8 one = 1;

	*word = on ? *word | bit : *word & ~bit;
	if (on)
		bpf_map_update_elem(map, &pid, &one, BPF_ANY);
	else
		bpf_map_delete_elem(map, &pid);
}

static bool concerns(const struct variant *v, u32 workload)
{
	return workload < MIX_1 || v->mixes;
}

static void measure_off(struct bench *b, const struct variant *v, double ns[WORKLOADS])
{
	for (u32 i = 0; i < WORKLOADS; i++)
		ns[i] = concerns(v, i) ? worker_run(&b->worker, i, b->ms).ns : 0;
}

static double measure_one_on(struct bench *b, const struct variant *v, u32 workload)
{
	const struct workload *w = &workloads[workload];
	u64 from = atomic_load(&b->events) + lost(b);
	struct answer answer;

	set_traced(b, w->traced);
	answer = worker_run(&b->worker, workload, b->ms);
	set_traced(b, false);
	if (w->traced && !v->silent)
		expect_events(b, v->name, from, answer.count * 2);
	return answer.ns;
}

struct passes {
	unsigned int count;
	double ns[PASSES][WORKLOADS];
};

static void measure_passes(struct bench *b, const struct variant *v, struct passes *passes)
{
	b->skel->bss->measuring = v->measuring;
	for (u32 pass = 0; pass < passes->count; pass++)
		for (u32 i = 0; i < WORKLOADS; i++)
			passes->ns[pass][i] = concerns(v, i) ? measure_one_on(b, v, i) : 0;
	b->skel->bss->measuring = 0;
}

static void measure_on(struct bench *b, const struct variant *v, struct passes *passes)
{
	double begin = now_ns(CLOCK_MONOTONIC), on, off, end;
	struct hooks hooks;
	unsigned int count;

	hooks_on(b, v, &hooks);
	count = hooks.count;
	on = now_ns(CLOCK_MONOTONIC);
	measure_passes(b, v, passes);
	off = now_ns(CLOCK_MONOTONIC);
	hooks_off(&hooks);
	end = now_ns(CLOCK_MONOTONIC);
	printf("attach %s %.2f %.2f %u\n", v->name, (on - begin) / 1e6, (end - off) / 1e6, count);
}

static void tell(const struct bench *b, const struct variant *v, const double before[WORKLOADS],
		 const struct passes *passes, const double after[WORKLOADS])
{
	for (u32 pass = 0; pass < passes->count; pass++)
		for (u32 i = 0; i < WORKLOADS; i++)
			if (concerns(v, i))
				printf("sample %u %s %s %.2f %.2f\n", b->round + pass, v->name,
				       workloads[i].name, (before[i] + after[i]) / 2,
				       passes->ns[pass][i]);
}

/* Returns whether it counts. */
static bool measure(struct bench *b, const struct variant *v)
{
	struct passes passes = { .count = v->slow ? PASSES : 1 };
	double before[WORKLOADS], after[WORKLOADS];
	u64 lost_before = lost(b);

	if (is_disturbed())
		return false;
	measure_off(b, v, before);
	measure_on(b, v, &passes);
	if (is_disturbed())
		return false;
	measure_off(b, v, after);
	if (is_disturbed())
		return false;
	tell(b, v, before, &passes, after);
	if (lost(b) != lost_before)
		printf("lost %s %llu\n", v->name, (unsigned long long)(lost(b) - lost_before));
	return true;
}

/* ---- setting up ---- */

/* In a mount namespace of our own: nobody else is to see it. */
static void need_tracefs(void)
{
	if (!access(TRACEFS "/events", X_OK))
		return;
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("tracefs", TRACEFS, "tracefs", 0, NULL))
		err(1, "classic tracepoints need tracefs on %s", TRACEFS);
}

static bool is_wanted(const struct variant *v, char **names)
{
	if (!*names)
		return true;
	for (; *names; names++)
		if (!strcmp(*names, v->name))
			return true;
	return false;
}

static void want_programs(struct hotpath_bpf *skel, char **names)
{
	struct bpf_program *program;

	bpf_object__for_each_program (program, skel->obj)
		bpf_program__set_autoload(program, false);
	for (const struct variant *v = variants; v < variants + VARIANTS; v++)
		for (int i = 0; i < 2 && v->program[i] && is_wanted(v, names); i++)
			bpf_program__set_autoload(
				bpf_object__find_program_by_name(skel->obj, v->program[i]), true);
}

/* As the product is set for `fdtrace -p PID --stacks=off` without rules that want more. */
static void configure(struct hotpath_bpf *skel)
{
	skel->rodata->self_tgid = (u32)getpid();
	skel->rodata->can_cast = true; /* from Linux 6.2 on; without it no variant would differ */
	skel->rodata->wakeup_shift = (u32)__builtin_ctz(RING_BYTES / 8);
	skel->rodata->ring_half = RING_BYTES / 2;
	syscalls_fill(skel->rodata->native_calls, skel->rodata->compat_calls,
		      skel->rodata->socketcalls);
	syscalls_reclass(skel->rodata->native_calls, FDT_CALL_EPOLL_CTL, FDT_CALL_NONE);
	if (bpf_map__set_max_entries(skel->maps.fdt_ring, RING_BYTES))
		err(1, "ring");
}

static void load(struct bench *b, char **names)
{
	if (!getenv("HOTPATH_VERBOSE"))
		libbpf_set_print(NULL); /* it would tell each call that has no tracepoint */
	b->skel = hotpath_bpf__open();
	if (!b->skel)
		err(1, "cannot open the programs");
	configure(b->skel);
	want_programs(b->skel, names);
	if (hotpath_bpf__load(b->skel))
		err(1, "the kernel refused the programs");
	b->ring = ring_buffer__new(bpf_map__fd(b->skel->maps.fdt_ring), on_event, b, NULL);
	if (!b->ring)
		err(1, "cannot read the ring");
}

static void run_round(struct bench *b, char **names)
{
	for (const struct variant *v = variants; v < variants + VARIANTS; v++) {
		if (!is_wanted(v, names) || (v->slow && b->round % PASSES))
			continue;
		while (!measure(b, v)) {
			b->disturbed++;
			pause_ms(10);
		}
	}
}

int main(int argc, char **argv)
{
	static struct bench bench;
	pthread_t reader;

	if (argc < 3)
		errx(2, "usage: hotpath ROUNDS MS [VARIANT...]");
	setvbuf(stdout, NULL, _IOLBF, 0);
	need_tracefs();
	bench.ms = (u32)atoi(argv[2]);
	bench.worker = worker_new();
	pin(1);
	load(&bench, argv + 3);
	if (pthread_create(&reader, NULL, read_ring, &bench))
		errx(1, "cannot start a thread");
	for (; bench.round < (unsigned int)atoi(argv[1]); bench.round++)
		run_round(&bench, argv + 3);
	printf("disturbed %u\n", bench.disturbed);
	atomic_store(&bench.over, true);
	pthread_join(reader, NULL);
	ring_buffer__free(bench.ring);
	hotpath_bpf__destroy(bench.skel);
	return 0;
}
