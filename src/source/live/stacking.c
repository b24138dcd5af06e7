// SPDX-License-Identifier: BSD-2-Clause
#include "source/live/stacking.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fdtrace/loader.h"
#include "source/live/stack_maps.h"
#include "util/arch.h"
#include "util/log.h"

#include "source/skeleton.h"
#include "fdtrace.skel.h"

#define FILES_WAIT_MS 5          /* most files are read in that time; meanwhile stacks end early */
#define COPIES_A_DRAIN 24        /* of 16 KiB each */
#define ROWS_A_PAGE 64           /* of text, as tables are laid out; about 90 in real programs */
#define SAVINGS_NS 2000000000ull /* what was not spent is kept for so long: starts are busy */
#define UNBOUNDED_PPM 1000000

struct stacking {
	struct fdtrace_bpf *skel;
	struct stacking_options options;
	struct stack_maps *maps;
	struct stacks *stacks;
	int64_t savings_ns; /* of walking time; below 0: spent in advance */
	uint64_t ticked_ns, walked_ns;
	u32 level; /* enum fdt_stack_level */
	u32 cpus;  /* whose counts there can be */
};

static u32 slab_count(const struct stacking_options *options)
{
	u32 count = (u32)(options->tables_bytes / sizeof(struct fdt_slab));

	return count ?: 1;
}

static u32 page_count(const struct stacking_options *options)
{
	return slab_count(options) * (FDT_SLAB_ROWS / ROWS_A_PAGE);
}

static bool stacks_are_asked_for(const struct stacking_options *options)
{
	return options->native || options->python;
}

static bool stacks_are_wanted(const struct stacking_options *options)
{
	return ARCH_WALKS_STACKS && stacks_are_asked_for(options);
}

void stacking_configure(struct fdtrace_bpf *skel, const struct stacking_options *options)
{
	skel->rodata->stacks_native = ARCH_WALKS_STACKS && options->native;
	skel->rodata->stacks_interpreted = ARCH_WALKS_STACKS && options->python;
	if (!stacks_are_wanted(options))
		return;
	bpf_map__set_max_entries(skel->maps.fdt_slabs, slab_count(options));
	bpf_map__set_max_entries(skel->maps.fdt_text_pages, page_count(options));
}

/* As the programs index what is by CPU; where their number is not to be had, all of them. */
static u32 cpus_counted(void)
{
	int cpus = libbpf_num_possible_cpus();

	return cpus > 0 && cpus < FDT_CPUS_MAX ? (u32)cpus : FDT_CPUS_MAX;
}

int stacking_open(struct fdtrace_bpf *skel, const struct stacking_options *options,
		  struct stacking **ret_stacking)
{
	/* A row for each language that is walked. */
	const struct stack_map_fds fds = { .interpreters = { [LANGUAGE_PYTHON] = bpf_map__fd(
								     skel->maps.fdt_pythons) },
					   .elfs = bpf_map__fd(skel->maps.fdt_elfs),
					   .text_pages = bpf_map__fd(skel->maps.fdt_text_pages),
					   .slabs = bpf_map__fd(skel->maps.fdt_slabs),
					   .rules = bpf_map__fd(skel->maps.fdt_rules),
					   .page_count = page_count(options),
					   .slab_count = slab_count(options) };
	struct stacking *s = calloc(1, sizeof(*s));
	struct files_kernel kernel;
	int err;

	if (!s)
		return -ENOMEM;
	s->skel = skel;
	s->options = *options;
	s->cpus = cpus_counted();
	err = stacks_are_wanted(options) ? stack_maps_open(&fds, &s->maps) : 0;
	if (!err && stacks_are_wanted(options)) {
		kernel = stack_maps_kernel(s->maps);
		err = stacks_new(&kernel, &s->stacks);
	}
	if (err) {
		stacking_free(s);
		return err;
	}
	if (!ARCH_WALKS_STACKS && stacks_are_asked_for(options))
		log_info("no stack traces: not supported yet on " ARCH_NAME
			 "; findings name system calls instead of functions");
	*ret_stacking = s;
	return 0;
}

/* As execvp(3) finds it; what cannot be run is the launcher's to report. */
static void prepare_command(struct stacking *s, const char *command)
{
	const char *path = getenv("PATH") ?: "/usr/local/bin:/usr/bin:/bin";
	char file[4096];

	if (strchr(command, '/')) {
		stacks_prepare_path(s->stacks, command);
		return;
	}
	while (*path) {
		size_t length = strcspn(path, ":");

		if (snprintf(file, sizeof(file), "%.*s/%s", (int)length, path, command) <
			    (int)sizeof(file) &&
		    access(file, X_OK) == 0) {
			stacks_prepare_path(s->stacks, file);
			return;
		}
		path += length + (path[length] == ':');
	}
}

/* Our own C library and dynamic linker are mostly everybody's. */
void stacking_prepare(struct stacking *s, const pid_t *pids, unsigned int count)
{
	if (!s->stacks)
		return;
	for (unsigned int i = 0; i < count; i++)
		stacks_prepare(s->stacks, pids[i]);
	stacks_prepare(s->stacks, getpid());
	if (s->options.command)
		prepare_command(s, s->options.command);
	stacks_tick(s->stacks, -1);
}

static void set_level(struct stacking *s, u32 level)
{
	if (level == s->level)
		return;
	s->level = level;
	__atomic_store_n(&s->skel->bss->stack_level, level, __ATOMIC_RELAXED);
}

static void grant_copies(struct stacking *s)
{
	__atomic_store_n(&s->skel->bss->copies_left.value, COPIES_A_DRAIN, __ATOMIC_RELAXED);
}

int stacking_record(struct stacking *s, const void *record, size_t size, stacks_event_fn event,
		    void *ctx)
{
	return s->stacks ? stacks_apply(s->stacks, record, size, event, ctx) : 0;
}

static uint64_t counter_read(const struct fdt_counter *counter)
{
	return __atomic_load_n(&counter->value, __ATOMIC_RELAXED);
}

static struct fdt_walk_counts walk_counts(const struct stacking *s)
{
	const struct fdt_walk_counts *cpu = s->skel->bss->walk_counts;
	struct fdt_walk_counts sum = { 0 };

	for (u32 i = 0; i < s->cpus; i++) {
		sum.taken += __atomic_load_n(&cpu[i].taken, __ATOMIC_RELAXED);
		sum.skipped += __atomic_load_n(&cpu[i].skipped, __ATOMIC_RELAXED);
		sum.frames += __atomic_load_n(&cpu[i].frames, __ATOMIC_RELAXED);
		sum.sampled_ns += __atomic_load_n(&cpu[i].sampled_ns, __ATOMIC_RELAXED);
	}
	return sum;
}

static uint64_t walked_ns(const struct stacking *s)
{
	return walk_counts(s).sampled_ns << FDT_WALK_SAMPLE_SHIFT;
}

/*
 * What comes in is the budget of the time that has passed, what goes out is what walks have
 * taken; the less is left, the fewer stacks are taken. Errors are never left without.
 */
static u32 level_for(const struct stacking *s, int64_t full_ns)
{
	if (s->options.budget_ppm >= UNBOUNDED_PPM || s->savings_ns > full_ns / 2)
		return FDT_STACKS_ALL;
	if (s->savings_ns > full_ns / 4)
		return FDT_STACKS_NO_CLOSE;
	return s->savings_ns > 0 ? FDT_STACKS_FEW : FDT_STACKS_ERRORS;
}

static int64_t full_savings_ns(const struct stacking *s)
{
	return (int64_t)(SAVINGS_NS * s->options.budget_ppm / UNBOUNDED_PPM);
}

void stacking_start(struct stacking *s)
{
	if (!s->stacks)
		return;
	s->savings_ns = full_savings_ns(s);
	grant_copies(s);
	set_level(s, level_for(s, s->savings_ns));
}

static void spend_budget(struct stacking *s, uint64_t now_ns)
{
	int64_t full_ns = full_savings_ns(s);
	uint64_t walked = walked_ns(s), passed = s->ticked_ns ? now_ns - s->ticked_ns : 0;

	s->savings_ns += (int64_t)(passed * s->options.budget_ppm / UNBOUNDED_PPM);
	s->savings_ns -= (int64_t)(walked - s->walked_ns);
	if (s->savings_ns > full_ns)
		s->savings_ns = full_ns;
	if (s->savings_ns < -full_ns)
		s->savings_ns = -full_ns;
	s->walked_ns = walked;
	s->ticked_ns = now_ns;
	set_level(s, level_for(s, full_ns));
}

void stacking_tick(struct stacking *s, uint64_t now_ns)
{
	if (!s->stacks)
		return;
	stacks_tick(s->stacks, FILES_WAIT_MS);
	grant_copies(s);
	spend_budget(s, now_ns);
}

void stacking_forget(struct stacking *s, uint64_t hash)
{
	bpf_map_delete_elem(bpf_map__fd(s->skel->maps.fdt_sites_sent), &hash);
}

void stacking_counters(const struct stacking *s, struct stacking_counters *ret_counters)
{
	struct fdt_walk_counts walks = walk_counts(s);

	*ret_counters = (struct stacking_counters){ 0 };
	if (!s->stacks)
		return;
	stacks_counters(s->stacks, &ret_counters->stacks);
	ret_counters->taken = walks.taken;
	ret_counters->sent = counter_read(&s->skel->bss->stacks_sent);
	ret_counters->lost = counter_read(&s->skel->bss->stacks_lost);
	ret_counters->skipped = walks.skipped;
	ret_counters->frames = walks.frames;
	ret_counters->walk_ns = walks.sampled_ns << FDT_WALK_SAMPLE_SHIFT;
	stack_maps_usage(s->maps, &ret_counters->tables_used, &ret_counters->tables_size);
}

static void log_counters(const struct stacking *s)
{
	struct stacking_counters c;

	stacking_counters(s, &c);
	log_debug("stacks: %" PRIu64 " taken (%" PRIu64 " frames, %" PRIu64 " ns), %" PRIu64
		  " sent, %" PRIu64 " skipped, %" PRIu64 " lost; %" PRIu64 " resolved (%" PRIu64
		  " ns), %" PRIu64 " copies, %" PRIu64 " codes; tables %" PRIu64 " of %" PRIu64
		  " bytes",
		  c.taken, c.frames, c.walk_ns, c.sent, c.skipped, c.lost, c.stacks.resolved,
		  c.stacks.resolve_ns, c.stacks.copies, c.stacks.codes, c.tables_used,
		  c.tables_size);
}

void stacking_free(struct stacking *s)
{
	if (!s)
		return;
	if (s->stacks)
		log_counters(s);
	stacks_free(s->stacks);
	stack_maps_free(s->maps);
	free(s);
}
