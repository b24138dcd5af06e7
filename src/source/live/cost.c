// SPDX-License-Identifier: BSD-2-Clause
#include "source/live/cost.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "util/log.h"

#include "source/skeleton.h"
#include "fdtrace.skel.h"

#define SAMPLE_NS 100000000ull
#define PERIOD_NS 2000000000ull
#define BATCHES 15
#define BATCH_CALLS 1000
#define ENTRY_MAX_NS 1000 /* more is noise */

static const char *const names[FDT_PROGRAMS] = {
	[FDT_PROGRAM_SYS_EXIT] = "sys_exit",       [FDT_PROGRAM_URING] = "io_uring_complete",
	[FDT_PROGRAM_FORK] = "task_newtask",       [FDT_PROGRAM_EXEC] = "sched_process_exec",
	[FDT_PROGRAM_EXIT] = "sched_process_exit", [FDT_PROGRAM_SNAPSHOT] = "snapshot",
	[FDT_PROGRAM_FUNCTION] = "functions",
};

struct cost_meter {
	struct fdtrace_bpf *skel;
	struct fdt_cost *cpu; /* room for one of each CPU */
	int cpus;
	bool on;           /* hooks on system calls */
	double bare_ns;    /* a call without the hook */
	double entry_ns;   /* to get to the hook and back, for each call */
	uint64_t began_ns; /* of the sample that is being taken; 0: none is */
	uint64_t next_ns;  /* when the next begins */
	uint64_t last_ns;  /* until then run_ns is counted */
	struct fdt_cost base[FDT_PROGRAMS];
	double rate[FDT_PROGRAMS]; /* ns of each ns */
	double run_ns[FDT_PROGRAMS];
};

_Static_assert(sizeof(names) / sizeof(names[0]) == FDT_PROGRAM_FUNCTION + 1,
	       "each program has a name");

/* Of those that are turned off and on: what they cost is known only while they are on. */
static bool cost_is_detachable(u32 program)
{
	return program == FDT_PROGRAM_SYS_EXIT || program == FDT_PROGRAM_FUNCTION;
}

struct cost_meter *cost_meter_new(struct fdtrace_bpf *skel)
{
	struct cost_meter *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->skel = skel;
	m->cpus = libbpf_num_possible_cpus();
	m->cpu = calloc((size_t)(m->cpus > 0 ? m->cpus : 1), sizeof(*m->cpu));
	if (m->cpus > 0 && m->cpu)
		return m;
	cost_meter_free(m);
	return NULL;
}

void cost_meter_free(struct cost_meter *m)
{
	if (!m)
		return;
	free(m->cpu);
	free(m);
}

static struct fdt_cost cost_read_one(const struct cost_meter *m, u32 program)
{
	struct fdt_cost sum = { 0 };

	if (bpf_map_lookup_elem(bpf_map__fd(m->skel->maps.fdt_costs), &program, m->cpu))
		return sum;
	for (int i = 0; i < m->cpus; i++) {
		sum.ns += m->cpu[i].ns;
		sum.runs += m->cpu[i].runs;
	}
	return sum;
}

static void cost_set_measuring(struct cost_meter *m, bool on)
{
	__atomic_store_n(&m->skel->bss->measuring, on, __ATOMIC_RELAXED);
}

/* ---- what a call costs beyond the program ---- */

static double cost_batch_ns(void)
{
	struct timespec from, to;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
	for (int i = 0; i < BATCH_CALLS; i++)
		syscall(SYS_getppid);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
	return ((double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_nsec - from.tv_nsec)) /
	       BATCH_CALLS;
}

/* The least of several: whatever disturbs makes it longer. */
static double cost_call_ns(void)
{
	double least = cost_batch_ns();

	for (int i = 1; i < BATCHES; i++) {
		double now = cost_batch_ns();

		least = now < least ? now : least;
	}
	return least;
}

/* Of the program as it times itself, for a call that is none of its business. */
static double cost_program_ns(struct cost_meter *m)
{
	double least = 0;

	cost_set_measuring(m, true);
	for (int i = 0; i < BATCHES; i++) {
		struct fdt_cost from = cost_read_one(m, FDT_PROGRAM_SYS_EXIT), to;
		double now;

		cost_batch_ns();
		to = cost_read_one(m, FDT_PROGRAM_SYS_EXIT);
		now = to.runs > from.runs
			      ? (double)(to.ns - from.ns) / (double)(to.runs - from.runs)
			      : 0;
		if (now > 0 && (least == 0 || now < least))
			least = now;
	}
	cost_set_measuring(m, false);
	return least;
}

/* Reading the clock is in the program's own time but not in ours, so that the difference takes it out. */
void cost_meter_calibrate(struct cost_meter *m, bool attached)
{
	double call, program;

	if (!attached) {
		m->bare_ns = cost_call_ns();
		return;
	}
	m->on = true;
	call = cost_call_ns();
	program = cost_program_ns(m);
	m->entry_ns = call - m->bare_ns - program;
	if (m->entry_ns > ENTRY_MAX_NS)
		m->entry_ns = ENTRY_MAX_NS;
	if (m->entry_ns < -program)
		m->entry_ns = -program;
	log_debug("a system call costs %.0f ns, with the hook %.0f ns more, of which the program "
		  "takes %.0f ns with its clock",
		  m->bare_ns, call - m->bare_ns, program);
}

/* ---- samples ---- */

static void cost_begin_sample(struct cost_meter *m, uint64_t now_ns)
{
	for (u32 i = 0; i < FDT_PROGRAMS; i++)
		m->base[i] = cost_read_one(m, i);
	m->began_ns = now_ns;
	cost_set_measuring(m, true);
}

static double cost_of_program(const struct cost_meter *m, u32 program)
{
	struct fdt_cost now = cost_read_one(m, program);
	double ns = (double)(now.ns - m->base[program].ns);

	if (program == FDT_PROGRAM_SYS_EXIT)
		ns += m->entry_ns * (double)(now.runs - m->base[program].runs);
	return ns > 0 ? ns : 0;
}

/* Hooks that go off keep their rate until they are on again. */
static void cost_end_sample(struct cost_meter *m, uint64_t now_ns)
{
	double passed = (double)(now_ns - m->began_ns);

	cost_set_measuring(m, false);
	for (u32 i = 0; passed > 0 && i < FDT_PROGRAMS; i++)
		if (m->on || !cost_is_detachable(i))
			m->rate[i] = cost_of_program(m, i) / passed;
	m->began_ns = 0;
	m->next_ns = now_ns + PERIOD_NS;
}

static void cost_count(struct cost_meter *m, uint64_t now_ns)
{
	double passed = m->last_ns && now_ns > m->last_ns ? (double)(now_ns - m->last_ns) : 0;

	for (u32 i = 0; i < FDT_PROGRAMS; i++)
		if (m->on || !cost_is_detachable(i))
			m->run_ns[i] += m->rate[i] * passed;
	m->last_ns = now_ns;
}

void cost_meter_hooks(struct cost_meter *m, bool on, uint64_t now_ns)
{
	if (m->began_ns && now_ns - m->began_ns >= SAMPLE_NS / 2)
		cost_end_sample(m, now_ns);
	cost_count(m, now_ns);
	m->on = on;
	cost_begin_sample(m, now_ns);
}

void cost_meter_tick(struct cost_meter *m, uint64_t now_ns)
{
	if (m->began_ns && now_ns - m->began_ns >= SAMPLE_NS)
		cost_end_sample(m, now_ns);
	else if (!m->began_ns && now_ns >= m->next_ns)
		cost_begin_sample(m, now_ns);
	cost_count(m, now_ns);
}

void cost_meter_read(const struct cost_meter *m, struct bpf_cost *ret_cost)
{
	*ret_cost = (struct bpf_cost){ .program_count = FDT_PROGRAMS };
	for (u32 i = 0; i < FDT_PROGRAMS; i++) {
		ret_cost->program[i].name = names[i];
		ret_cost->program[i].run_ns = (uint64_t)m->run_ns[i];
		if (i != FDT_PROGRAM_SNAPSHOT)
			ret_cost->run_ns += (uint64_t)m->run_ns[i];
	}
}
