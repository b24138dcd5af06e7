// SPDX-License-Identifier: BSD-2-Clause
/* Which event goes where; time and counters. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine_private.h"

const char *change_op_name(enum change_op op)
{
	static const char *const names[] = {
		[CHANGE_OPEN] = "open",   [CHANGE_CLOSE] = "close", [CHANGE_REPLACE] = "replace",
		[CHANGE_FORK] = "fork",   [CHANGE_EXEC] = "exec",   [CHANGE_EXIT] = "exit",
		[CHANGE_ERROR] = "error", [CHANGE_FOUND] = "found",
	};

	return names[op];
}

const char *correction_cause_name(enum correction_cause cause)
{
	static const char *const names[] = { "filled", "emptied", "after_loss" };

	return names[cause];
}

static const struct engine_host no_host;
static const struct engine_policy no_policy;

/* Like the ended generations, at most a quarter of everything. */
static void stacks_begin(struct engine *e)
{
	uint64_t quarter = e->mem.max_bytes / 4, wanted = e->options.settings.stacks_memory_bytes;

	e->sites.stacks =
		(struct stacks){ .mem = &e->mem,
				 .max_bytes = quarter && quarter < wanted ? quarter : wanted,
				 .ask = e->options.host->stack_forgotten,
				 .ctx = e->options.ctx };
}

int engine_new(const struct engine_options *options, struct engine **ret_engine)
{
	struct mem mem = { .max_bytes = options->settings.memory_max_bytes,
			   .fail_at = options->fail_at };
	struct engine *e = mem_alloc(&mem, sizeof(*e));

	if (!e)
		return -ENOMEM;
	e->options = *options;
	if (!options->host)
		e->options.host = &no_host;
	if (!options->policy)
		e->options.policy = &no_policy;
	e->mem = mem;
	if (mem.max_bytes > FINDINGS_RESERVE_BYTES)
		e->mem.max_bytes -= FINDINGS_RESERVE_BYTES;
	e->sites.mem = &e->mem;
	stacks_begin(e);
	e->names.mem = &e->mem;
	e->details.mem = &e->mem;
	ended_init(&e->ended, &e->mem, &e->sites, e->mem.max_bytes / 4);
	if (detectors_begin(e)) {
		engine_free(e);
		return -ENOMEM;
	}
	*ret_engine = e;
	return 0;
}

void engine_free(struct engine *e)
{
	struct mem mem;

	if (!e)
		return;
	e->finished = true;
	e->sites.stacks.ask = NULL;
	detectors_end(e); /* while the tables are there */
	tasks_done(e);
	causes_done(e);
	throttle_done(e);
	ended_done(&e->ended);
	sites_done(&e->sites);
	names_done(&e->names);
	details_done(&e->details);
	mem = e->mem;
	mem_free(&mem, e, sizeof(*e));
}

void engine_reconfigure(struct engine *e, const struct settings *settings, rule_set rules)
{
	settings_reload(&e->options.settings, settings);
	e->options.rules = rules;
	detectors_choose(e);
	causes_judge_again(e);
}

static int apply_error(struct engine *e, const struct fdt_error *event)
{
	struct task *task = tasks_actor(e, &event->head);
	struct actor actor = { .task = task,
			       .tid = event->head.tid,
			       .syscall = event->head.syscall,
			       .site_hash = event->site,
			       .time_ns = e->now_ns };
	struct change change = { .op = CHANGE_ERROR,
				 .time_ns = e->now_ns,
				 .tid = event->head.tid,
				 .syscall = event->head.syscall,
				 .error = event->error,
				 .count = event->count,
				 .descriptor = { .fd = event->fd } };

	if (!task)
		return -ENOMEM;
	if (!task->table || event->error <= 0)
		return -EINVAL;
	actor.process = task->process;
	change.process = task->process;
	if (event->nofile)
		task->process->nofile = event->nofile;
	actor.site = site_get(&e->sites, actor.process, actor.syscall, actor.site_hash);
	change.site = actor.site;
	e->counters.changes[CHANGE_ERROR]++;
	engine_report_change(e, &change);
	detectors_call(e, failed, event, &actor, task->table);
	site_unref(&e->sites, actor.site);
	return 0;
}

static void taint_all(struct engine *e)
{
	map_each (&e->tables, entry)
		((struct fdtable *)entry->value)->tainted = true;
}

/* That a descriptor was not used can no longer be said of anybody who is there now. */
static void gap_begins(struct engine *e)
{
	if (e->uncovered)
		return;
	e->uncovered = true;
	e->gap_began_ns = e->now_ns;
	map_each (&e->processes, entry)
		((struct process *)entry->value)->use_watched = false;
}

static void gap_ends(struct engine *e)
{
	if (!e->uncovered)
		return;
	e->uncovered = false;
	e->gap_end_ns = e->now_ns;
	e->gap_total_ns += e->now_ns - e->gap_began_ns;
}

/* What tables hold is in doubt; who lives is not, for births and deaths were seen. */
static int apply_gap(struct engine *e, const struct fdt_loss *event)
{
	if (event->head.op == FDT_OP_BEGIN)
		gap_begins(e);
	else
		gap_ends(e);
	e->snapshot_whole = false;
	taint_all(e);
	return 0;
}

static int apply_loss(struct engine *e, const struct fdt_loss *event)
{
	if (event->head.flags == FDT_LOSS_COVERAGE)
		return apply_gap(e, event);
	e->counters.lost += event->count;
	e->snapshot_whole = false;
	e->loss_serial = e->snapshot_serial + 1;
	taint_all(e);
	return 0;
}

static int apply_tick(struct engine *e)
{
	detectors_call(e, tick);
	throttle_tick(e);
	return 0;
}

static int apply_snapshot(struct engine *e, const struct fdt_head *event)
{
	if (event->op == FDT_OP_BEGIN) {
		slots_audit_done(e); /* a full round has passed since the last one */
		e->in_snapshot = true;
		e->snapshot_serial++;
		e->counters.resyncs += event->flags == FDT_WHY_LOSS;
		e->snapshot_whole = true;
		return 0;
	}
	if (e->in_snapshot && e->snapshot_whole)
		tasks_snapshot_done(e);
	e->in_snapshot = false;
	e->snapshot_whole = false; /* what comes late may have been read before a loss */
	return 0;
}

/* Where the name shows a kind that the file itself does not. */
static void learn_kind(struct engine *e, const struct fdt_name *event, const char *name)
{
	const struct fdtable *table = map_get(&e->tables, event->head.table);
	const struct slot *slot = table && event->fd >= 0 ? fdtable_slot(table, event->fd) : NULL;

	if (name && slot && slot->file == event->file.file && slot->inode == event->file.inode)
		slots_learn_kind(table, event->fd, name);
}

static int apply_name(struct engine *e, const struct fdt_name *event, size_t size)
{
	names_put(&e->names, event->file.file, event->file.inode, event->file.dev, event->text,
		  size - sizeof(*event));
	learn_kind(e, event,
		   names_get(&e->names, event->file.file, event->file.inode, event->file.dev));
	return 0;
}

static int apply_detail(struct engine *e, const struct fdt_detail *event)
{
	if (event->name_size > sizeof(event->name))
		return -EINVAL;
	details_put(&e->details, event, 0);
	return 0;
}

static int apply_environ(struct engine *e, const struct fdt_environ *event)
{
	struct process *process = tasks_process(e, event->head.tgid);
	uint64_t word[FDT_ENVIRON_WORDS];

	if (!process)
		return -ENOMEM;
	for (int i = 0; i < FDT_ENVIRON_WORDS; i++)
		word[i] = event->word[i];
	process_set_environment(&e->mem, process, word);
	return 0;
}

static int apply_cgroup(struct engine *e, const struct fdt_cgroup *event, size_t size)
{
	struct process *process;

	if (size - sizeof(*event) > FDT_CGROUP_MAX)
		return -EINVAL;
	process = tasks_process(e, event->head.tgid);
	if (!process)
		return -ENOMEM;
	process_set_place(&e->mem, process, event->cgroup, size - sizeof(*event), event->inner_pid);
	return 0;
}

static int apply_fops(struct engine *e, const struct fdt_fops *event)
{
	kind_fops_learn(&e->fops, event->detail, event->fd_kind);
	return 0;
}

/* For each kind of event what applies it; size: in bytes, at least that of its struct. */
#define apply_SLOT(e, event, size) slots_apply(e, event)
#define apply_USE(e, event, size) slots_apply(e, event)
#define apply_VEC(e, event, size) slots_apply_vec(e, event)
#define apply_WORDS(e, event, size) slots_apply_words(e, event)
#define apply_MARK(e, event, size) slots_mark(e, event)
#define apply_TASK(e, event, size) tasks_apply(e, event)
#define apply_PROCESS(e, event, size) tasks_apply_process(e, event)
#define apply_LIMIT(e, event, size) tasks_apply_limit(e, event)
#define apply_ERROR(e, event, size) apply_error(e, event)
#define apply_LOSS(e, event, size) apply_loss(e, event)
#define apply_TICK(e, event, size) apply_tick(e)
#define apply_SNAPSHOT(e, event, size) apply_snapshot(e, event)
#define apply_NAME(e, event, size) apply_name(e, event, size)
#define apply_SITE(e, event, size) sites_told(&(e)->sites, event, size)
#define apply_DETAIL(e, event, size) apply_detail(e, event)
#define apply_ENVIRON(e, event, size) apply_environ(e, event)
#define apply_CGROUP(e, event, size) apply_cgroup(e, event, size)
#define apply_FOPS(e, event, size) apply_fops(e, event)
#define apply_META(e, event, size) 0 /* not the engine's concern */

static int apply_kind(struct engine *e, const struct fdt_head *head, size_t size)
{
	const void *event = head;

	switch ((enum fdt_event_kind)head->kind) {
#define APPLY_CASE(NAME, number, type, bytes) \
	case FDT_##NAME: return apply_##NAME(e, event, size);
		FDT_ENGINE_EVENTS(APPLY_CASE)
#undef APPLY_CASE
#define DETECTOR_CASE(NAME, number, type, bytes) case FDT_##NAME:
		FDT_DETECTOR_EVENTS(DETECTOR_CASE)
#undef DETECTOR_CASE
		return detectors_apply(e, event);
	}
	return 0; /* of a later version */
}

/* By fdt_head.kind, which has 8 bits; 0: not known, then a head must do. */
static const uint16_t smallest[256] = {
#define KIND_BYTES(NAME, number, type, bytes) [number] = (bytes),
	FDT_EVENTS(KIND_BYTES)
#undef KIND_BYTES
};

/* Coarse and precise clocks mix in the stream and may disagree by a timer tick: time never runs back. */
static void engine_advance_clock(struct engine *e, uint64_t time_ns)
{
	if (!time_ns)
		return;
	if (!e->counters.first_ns)
		e->counters.first_ns = time_ns;
	if (time_ns > e->now_ns)
		e->now_ns = time_ns;
}

static void take_refusal(struct fdtable *table)
{
	if (table)
		table->tainted = table->refused = true;
}

int engine_apply(struct engine *e, const void *event, size_t size)
{
	const struct fdt_head *head = event;
	int err;

	if (size < sizeof(*head) || size < smallest[head->kind]) {
		e->counters.malformed++;
		return -EINVAL;
	}
	engine_advance_clock(e, head->time_ns);
	e->serial++;
	e->counters.events +=
		head->kind < FDT_LOSS; /* what the kernel reported, not what was added */
	err = apply_kind(e, head, size);
	if (err == -EINVAL)
		e->counters.malformed++;
	if (err == -ENOMEM)
		take_refusal(map_get(&e->tables, head->table));
	return err;
}

/* Tables that live on are looked at as if they died now, except that nothing has ended. */
void engine_finish(struct engine *e, uint64_t time_ns)
{
	engine_advance_clock(e, time_ns);
	e->serial++;
	map_each (&e->tasks, entry)
		detectors_call(e, task_ended, entry->value);
	map_each (&e->tables, entry)
		detectors_call(e, run_ended, entry->value);
	throttle_finish(e);
	e->finished = true;
}

uint64_t engine_gap_ns(const struct engine *e)
{
	return e->gap_total_ns + (e->uncovered ? e->now_ns - e->gap_began_ns : 0);
}

bool engine_suspects(const struct engine *e)
{
	return e->suspect_count > 0;
}

void engine_counters(const struct engine *e, struct engine_counters *ret_counters)
{
	*ret_counters = e->counters;
	ret_counters->processes = e->processes.count;
	ret_counters->refused = e->mem.refused;
	ret_counters->stacks = e->sites.stacks.count;
	ret_counters->stacks_bytes = e->sites.stacks.used_bytes;
	ret_counters->stacks_forgotten = e->sites.stacks.forgotten;
	ret_counters->stacks_unknown = e->sites.stacks.unknown;
	ret_counters->ended_dropped = e->ended.dropped;
	ret_counters->memory_bytes = e->mem.used_bytes;
	ret_counters->memory_peak_bytes = e->mem.peak_bytes;
	ret_counters->last_ns = e->now_ns;
}

static void list_process(const struct process *process,
			 void (*row)(void *ctx, const struct process_row *row), void *ctx)
{
	struct process_row out = { .process = process, .peak = process->peak };
	const struct fdtable *table = process_table(process);

	if (table) {
		out.peak = table->peak;
		fdtable_each (table, fd) {
			const struct slot *slot = fdtable_slot(table, fd);

			out.open++;
			out.unknown_opener += !slot->site;
			out.by_kind[slot->kind]++;
		}
	}
	row(ctx, &out);
}

static int by_pid_then_image(const void *a, const void *b)
{
	const struct process *x = *(struct process *const *)a, *y = *(struct process *const *)b;

	if (x->pid != y->pid)
		return x->pid < y->pid ? -1 : 1;
	return x->serial < y->serial ? -1 : x->serial > y->serial;
}

void engine_each_process(struct engine *e, void (*row)(void *ctx, const struct process_row *row),
			 void *ctx)
{
	size_t max = e->processes.count + e->findings.count + 1, count = 0;
	struct process **list = mem_alloc_beyond(&e->mem, max * sizeof(*list));

	if (!list)
		return;
	map_each (&e->processes, entry)
		list[count++] = entry->value;
	map_each (&e->findings, entry) {
		struct process *process = cause_process(entry->value);

		if (process && process->ended_ns)
			list[count++] = process;
	}
	if (e->root && e->root->ended_ns)
		list[count++] = e->root;
	qsort(list, count, sizeof(*list), by_pid_then_image);
	for (size_t i = 0; i < count; i++)
		if (!i || list[i] != list[i - 1])
			list_process(list[i], row, ctx);
	mem_free(&e->mem, list, max * sizeof(*list));
}

void engine_each_holding(struct engine *e, uint32_t pid,
			 void (*row)(void *ctx, const struct site_row *row, unsigned int total),
			 void *ctx)
{
	const struct process *process = map_get(&e->processes, pid);
	const struct fdtable *table = process ? process_table(process) : NULL;
	struct site_labels labels;
	struct finding f = { 0 };

	if (table)
		finding_look_at_sites(e, &f, table, NULL, NULL, &labels);
	for (unsigned int i = 0; i < f.site_count; i++)
		row(ctx, &f.sites[i], f.site_total);
}

static bool is_fuller(const struct usage_row *a, const struct usage_row *b)
{
	double x = (double)a->open / (double)a->nofile, y = (double)b->open / (double)b->nofile;

	return x > y || (x == y && a->process->pid < b->process->pid);
}

/* Puts it where it belongs among the count rows; of max + 1 the last one falls out. */
static size_t insert_usage(struct usage_row *rows, size_t count, size_t max,
			   const struct usage_row *row)
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (is_fuller(&rows[middle], row))
			low = middle + 1;
		else
			high = middle;
	}
	if (low == max)
		return count;
	count += count < max;
	memmove(&rows[low + 1], &rows[low], (count - low - 1) * sizeof(*rows));
	rows[low] = *row;
	return count;
}

size_t engine_fullest(const struct engine *e, struct usage_row *ret_rows, size_t max)
{
	size_t count = 0;

	map_each (&e->processes, entry) {
		const struct process *process = entry->value;
		const struct fdtable *table = process_table(process);
		struct usage_row row = { .process = process, .nofile = process->nofile };

		if (!table || !row.nofile)
			continue;
		row.open = table->open;
		count = insert_usage(ret_rows, count, max, &row);
	}
	return count;
}

static void list_slots(const struct fdtable *table, engine_slot_fn list, void *ctx)
{
	fdtable_each (table, fd) {
		const struct slot *slot = fdtable_slot(table, fd);
		struct fdt_file file = { .file = slot->file,
					 .inode = slot->inode,
					 .dev = slot->dev,
					 .mode = slot->mode,
					 .detail = slot->detail };

		list(ctx, fd, &file, slot->generation);
	}
}

int engine_each_slot(struct engine *e, uint32_t pid, engine_slot_fn slot, void *ctx)
{
	struct process *process = map_get(&e->processes, pid);
	const struct fdtable *table = process ? process_table(process) : NULL;

	if (!table)
		return -ESRCH;
	list_slots(table, slot, ctx);
	return 0;
}

int engine_each_slot_of(struct engine *e, uint64_t key, engine_slot_fn slot, void *ctx)
{
	const struct fdtable *table = map_get(&e->tables, key);

	if (!table)
		return -ENOENT;
	list_slots(table, slot, ctx);
	return 0;
}

static struct table_row table_row_of(const struct task *task)
{
	const struct fdtable *table = task->table;

	return (struct table_row){ .key = table->key,
				   .pid = task->process->pid,
				   .tid = task->tid,
				   .changes = table->changes,
				   .tainted = table->tainted,
				   .complete = table->complete };
}

/* Its end may have been lost. */
static bool is_doubtful(const struct engine *e, const struct task *task)
{
	return task->seen_in < e->loss_serial;
}

static void list_tables(struct engine *e, bool doubtful,
			void (*row)(void *ctx, const struct table_row *row), void *ctx)
{
	map_each (&e->tasks, entry) {
		const struct task *task = entry->value;
		struct table_row out;

		if (!task->table || task->table->seen || task->table->replaced ||
		    is_doubtful(e, task) != doubtful)
			continue;
		task->table->seen = true;
		out = table_row_of(task);
		out.tainted |= doubtful;
		row(ctx, &out);
	}
}

/* A table is passed once, with a task that is certain to be alive if it has one. */
void engine_each_table(struct engine *e, void (*row)(void *ctx, const struct table_row *row),
		       void *ctx)
{
	map_each (&e->tables, entry)
		((struct fdtable *)entry->value)->seen = false;
	list_tables(e, false, row, ctx);
	list_tables(e, true, row, ctx);
}

/* The one asked for if it is bound to the table; else another, one certain to be alive if any is. */
static const struct task *task_of_table(const struct engine *e, const struct fdtable *table,
					uint32_t tid)
{
	const struct task *found = map_get(&e->tasks, tid);

	if (found && found->table == table && !is_doubtful(e, found))
		return found;
	found = NULL;
	map_each (&e->tasks, entry) {
		const struct task *task = entry->value;

		if (task->table == table && (!found || is_doubtful(e, found)))
			found = task;
	}
	return found;
}

int engine_table(struct engine *e, uint64_t key, uint32_t tid, struct table_row *ret_row)
{
	const struct fdtable *table = map_get(&e->tables, key);
	const struct task *task = table ? task_of_table(e, table, tid) : NULL;

	if (!task)
		return -ENOENT;
	*ret_row = table_row_of(task);
	ret_row->tainted |= is_doubtful(e, task);
	return 0;
}

void engine_each_task_of(struct engine *e, uint64_t key,
			 void (*task)(void *ctx, uint32_t pid, uint32_t tid), void *ctx)
{
	const struct fdtable *table = map_get(&e->tables, key);

	map_each (&e->tasks, entry) {
		const struct task *of = entry->value;

		if (table && of->table == table)
			task(ctx, of->process->pid, of->tid);
	}
}
