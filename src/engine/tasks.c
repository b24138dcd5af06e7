// SPDX-License-Identifier: BSD-2-Clause
/* Processes, threads and the tables they are bound to. */
#include <errno.h>
#include <string.h>

#include "engine/engine_private.h"

static void table_free(struct engine *e, struct fdtable *table)
{
	if (map_get(&e->tables, table->key) == table)
		map_remove(&e->tables, table->key);
	slots_drop_all(e, table);
	e->counters.tables--;
	fdtable_free(table);
}

static void table_release(struct engine *e, struct fdtable *table)
{
	if (--table->tasks)
		return;
	tasks_copied(e, table);
	if (!table->replaced)
		detectors_call(e, address_ended, table);
	left_note(e, table);
	detectors_call(e, table_ended, table);
	table_free(e, table);
}

struct fdtable *process_table(const struct process *process)
{
	for (const struct task *task = process->tasks; task; task = task->next)
		if (task->table)
			return task->table;
	return NULL;
}

void tasks_copied(struct engine *e, struct fdtable *table)
{
	struct fdtable *source = table->source;

	table->source = NULL;
	if (source)
		table_release(e, source);
}

static struct fdtable *table_new(struct engine *e, uint64_t key, struct process *owner)
{
	struct fdtable *table = fdtable_new(&e->mem, &e->sites, key);

	if (!table)
		return NULL;
	if (map_put(&e->mem, &e->tables, key, table)) {
		fdtable_free(table);
		return NULL;
	}
	table->owner = process_ref(owner);
	e->counters.tables++;
	return table;
}

static void unbind(struct engine *e, struct task *task)
{
	struct fdtable *table = task->table;

	if (!table)
		return;
	detectors_call(e, task_ended, task); /* it still has its table */
	task->table = NULL;
	table_release(e, table);
}

static void bind_to(struct engine *e, struct task *task, struct fdtable *table)
{
	if (task->table == table)
		return;
	if (table)
		table->tasks++;
	unbind(e, task);
	task->table = table;
}

static bool is_bound(const struct task *task, uint64_t key)
{
	return !key || (task->table && task->table->key == key && !task->table->replaced);
}

/* Binds to the table of that address as it is known, or to a new one of unknown content. */
static int bind_known(struct engine *e, struct task *task, uint64_t key)
{
	struct fdtable *table;

	if (is_bound(task, key))
		return 0;
	table = map_get(&e->tables, key);
	if (!table)
		table = table_new(e, key, task->process);
	if (!table)
		return -ENOMEM;
	bind_to(e, task, table);
	return 0;
}

/*
 * Binds to a table that was born this moment. Its address may be that of one whose death was
 * not seen: addresses are reused all the time, so whatever was there is over.
 */
static int bind_newborn(struct engine *e, struct task *task, uint64_t key, struct fdtable *source)
{
	struct fdtable *old = map_get(&e->tables, key), *table;

	if (old) {
		detectors_call(e, address_ended, old);
		old->replaced = true;
		map_remove(&e->tables, key);
	}
	table = table_new(e, key, task->process);
	if (!table)
		return -ENOMEM;
	if (source && source != table) {
		table->source = source;
		source->tasks++; /* held until the copy is complete */
	}
	bind_to(e, task, table);
	return 0;
}

static void task_end(struct engine *e, struct task *task)
{
	map_remove(&e->tasks, task->tid);
	e->counters.tasks--;
	unbind(e, task);
	task_free(&e->mem, task);
}

static void note_peak(struct process *process)
{
	const struct fdtable *table = process_table(process);

	if (table)
		process->peak = table->peak;
}

/* The last thread has gone. exit_code as wait(2) encodes it. */
static void process_end(struct engine *e, struct process *process, int32_t exit_code)
{
	process_ref(process);
	process->ended_ns = e->now_ns;
	process->exit_code = exit_code;
	note_peak(process);
	while (process->tasks)
		task_end(e, process->tasks);
	if (map_get(&e->processes, process->pid) == process) {
		map_remove(&e->processes, process->pid);
		process_unref(&e->mem, process);
	}
	process_unref(&e->mem, process);
}

/* Makes the process that is alive under this pid; the map owns a reference. */
static struct process *process_add(struct engine *e, uint32_t pid)
{
	struct process *process = process_new(&e->mem, pid);

	if (!process)
		return NULL;
	if (map_put(&e->mem, &e->processes, pid, process)) {
		process_unref(&e->mem, process);
		return NULL;
	}
	process->serial = ++e->next_serial;
	if (!e->root)
		e->root = process_ref(process);
	return process;
}

struct process *tasks_process(struct engine *e, uint32_t pid)
{
	struct process *process = map_get(&e->processes, pid);

	return process ? process : process_add(e, pid);
}

/* A later image of the process is where the earlier one was, and may be the one that was asked. */
static void copy_place(struct engine *e, struct process *to, const struct process *from)
{
	if (from != to && from->cgroup)
		process_set_place(&e->mem, to, from->cgroup, from->cgroup_size, from->inner_pid);
}

/* A replay learns of the place by pid: so only the image that lives is asked about. */
void tasks_ask_place(struct engine *e, struct process *process)
{
	const struct engine_host *host = e->options.host;
	struct process *current = map_get(&e->processes, process->pid);
	char cgroup[FDT_CGROUP_MAX];
	uint32_t inner_pid = 0;
	size_t length = 0;

	if (process->cgroup || !current || !process_same(current, process))
		return;
	if (!current->cgroup_known && !current->ended_ns && host->place) {
		current->cgroup_known = true;
		if (!host->place(e->options.ctx, current->pid, cgroup, sizeof(cgroup), &length,
				 &inner_pid))
			process_set_place(&e->mem, current, cgroup, length, inner_pid);
	}
	copy_place(e, process, current);
}

static struct task *task_add(struct engine *e, uint32_t tid, struct process *process)
{
	struct task *task = task_new(&e->mem, tid, process);

	if (!task)
		return NULL;
	if (map_put(&e->mem, &e->tasks, tid, task)) {
		task_free(&e->mem, task);
		return NULL;
	}
	e->counters.tasks++;
	task->seen_in = e->snapshot_serial;
	return task;
}

static struct task *task_find(struct engine *e, const struct fdt_head *head)
{
	struct task *task = map_get(&e->tasks, head->tid);
	struct process *process;

	if (task && task->process->pid == head->tgid)
		return task;
	if (task)
		task_end(e, task); /* its end was not seen, and the number is in use again */
	process = tasks_process(e, head->tgid);
	return process ? task_add(e, head->tid, process) : NULL;
}

/* For nearly every event the thread is known, and bound to the table: that is looked at first. */
struct task *tasks_actor(struct engine *e, const struct fdt_head *head)
{
	struct task *task = map_get(&e->tasks, head->tid);

	if (task && task->process->pid == head->tgid && is_bound(task, head->table))
		return task;
	task = task_find(e, head);
	return task && !bind_known(e, task, head->table) ? task : NULL;
}

int tasks_take_actor(struct engine *e, const struct fdt_head *head, uint64_t site_hash,
		     struct actor *ret_actor)
{
	struct task *task = tasks_actor(e, head);

	if (!task || !task->table)
		return task ? -EINVAL : -ENOMEM;
	*ret_actor = (struct actor){ .task = task,
				     .process = task->process,
				     .tid = head->tid,
				     .syscall = head->syscall,
				     .site_hash = site_hash,
				     .site = site_get(&e->sites, task->process, head->syscall,
						      site_hash),
				     .time_ns = e->now_ns };
	return 0;
}

/* Images of one process are one, and a pid is used again. */
static bool is_image_of(const struct process *image, const struct process *process)
{
	return image->pid == process->pid &&
	       (!image->start_ns || !process->start_ns || image->start_ns == process->start_ns);
}

static bool came_from(const struct process *process, const struct process *ancestor)
{
	for (const struct process *image = process->before; image; image = image->before)
		if (is_image_of(image, ancestor))
			return true;
	return false;
}

#define ANCESTORS_MAX 32

/* By the images we saw fork and exec; beyond them by the parents that the kernel names. */
bool tasks_descends(struct engine *e, const struct process *process, const struct process *ancestor)
{
	if (is_image_of(process, ancestor) ||
	    (process->start_ns && process->start_ns < ancestor->start_ns))
		return false;
	for (unsigned int i = 0; process && i < ANCESTORS_MAX; i++) {
		if (came_from(process, ancestor))
			return true;
		process = map_get(&e->processes, process->parent_pid);
		if (process && is_image_of(process, ancestor))
			return true;
	}
	return false;
}

struct fdtable *tasks_table(struct engine *e, const struct fdt_head *head)
{
	struct fdtable *table = map_get(&e->tables, head->table);
	struct task *task;

	if (table)
		return table;
	task = tasks_actor(e, head);
	return task ? task->table : NULL;
}

static void set_facts(struct process *process, const struct fdt_task *event)
{
	process->start_ns = event->start_ns;
	process->parent_pid = event->parent_tgid;
	process->uid = event->uid;
	process->nofile = event->nofile;
}

static void set_name(struct process *process, const char *comm)
{
	memcpy(process->name, comm, PROCESS_NAME_SIZE);
	process->name[PROCESS_NAME_SIZE - 1] = '\0';
}

static void tasks_report_change(struct engine *e, enum change_op op, const struct task *task,
				const struct process *process, uint32_t other_pid)
{
	struct change change = { .op = op,
				 .time_ns = e->now_ns,
				 .process = process,
				 .tid = task->tid,
				 .other_pid = other_pid,
				 .descriptor = { .fd = -1 } };

	e->counters.changes[op]++;
	engine_report_change(e, &change);
}

static void inherit(struct engine *e, struct process *child, struct process *parent)
{
	memcpy(child->name, parent->name, sizeof(child->name));
	if (parent->exe)
		process_set_exe(&e->mem, child, parent->exe, parent->exe_size - 1);
	if (parent->args)
		process_set_args(&e->mem, child, parent->args, parent->args_size - 1);
	process_set_before(&e->mem, child, parent);
	child->by_fork = true;
}

static struct process *forked_process(struct engine *e, const struct fdt_task *event,
				      struct task *creator)
{
	struct process *process = map_get(&e->processes, event->head.tgid);

	if (event->head.flags & FDT_TASK_THREAD)
		return process ? process : process_add(e, event->head.tgid);
	process = process_add(e, event->head.tgid);
	if (!process)
		return NULL;
	process->forked_ns = event->head.time_ns;
	if (creator)
		inherit(e, process, creator->process);
	else
		set_name(process, event->comm);
	return process;
}

/* Whoever had the numbers of the newborn before has ended without our seeing it. */
static void end_namesakes(struct engine *e, const struct fdt_task *event)
{
	struct process *process = map_get(&e->processes, event->head.tgid);
	struct task *task;

	if (process && !(event->head.flags & FDT_TASK_THREAD))
		process_end(e, process, 0);
	task = map_get(&e->tasks, event->head.tid);
	if (task)
		task_end(e, task);
}

static int apply_fork(struct engine *e, const struct fdt_task *event)
{
	struct task *creator, *task;
	struct process *process;

	end_namesakes(e, event);
	creator = map_get(&e->tasks, event->other_tid);
	process = forked_process(e, event, creator);
	task = process ? task_add(e, event->head.tid, process) : NULL;
	if (!task)
		return -ENOMEM;
	set_facts(process, event);
	if (creator && !(event->head.flags & FDT_TASK_THREAD))
		tasks_report_change(e, CHANGE_FORK, creator, creator->process, process->pid);
	if (event->head.flags & FDT_TASK_SHARED)
		return bind_known(e, task, event->head.table);
	return bind_newborn(e, task, event->head.table, creator ? creator->table : NULL);
}

/* The image that exec put in place of `old`; takes over the pid. */
static struct process *next_image(struct engine *e, struct process *old,
				  const struct fdt_task *event)
{
	struct process *process = process_new(&e->mem, old->pid);

	if (!process)
		return NULL;
	process->serial = ++e->next_serial;
	process->image = old->image + 1;
	process->exec_ns = event->head.time_ns;
	process->forked_ns = old->forked_ns;
	process_set_before(&e->mem, process, old);
	if (map_put(&e->mem, &e->processes, process->pid, process)) {
		process_unref(&e->mem, process);
		return NULL;
	}
	if (e->root == old) { /* fdtrace's own child becomes the command it was started for */
		process_unref(&e->mem, e->root);
		e->root = process_ref(process);
	}
	old->ended_ns = e->now_ns;
	process_unref(&e->mem, old); /* the map's reference */
	return process;
}

/* After exec a process has one thread, whose tid is the pid whoever called it. */
static struct task *only_thread(struct engine *e, struct process *old, struct process *process,
				const struct fdt_task *event)
{
	struct task *caller = map_get(&e->tasks, event->other_tid);
	struct fdtable *table = caller ? caller->table : NULL;
	struct task *task;

	if (table)
		table->tasks++; /* held while its tasks are swapped */
	while (old->tasks)
		task_end(e, old->tasks);
	task = map_get(&e->tasks, event->head.tid);
	if (task)
		task_end(e, task);
	task = task_add(e, event->head.tid, process);
	if (task)
		bind_to(e, task, table);
	if (table)
		table_release(e, table);
	return task;
}

static int bind_after_exec(struct engine *e, struct task *task, uint64_t key)
{
	struct fdtable *table = task->table;

	if (!table || table->replaced || table->key != key)
		return bind_newborn(e, task, key, table);
	table->owner->peak = table->peak;
	table->peak = table->open;
	process_unref(&e->mem, table->owner);
	table->owner = process_ref(task->process);
	return 0;
}

static int apply_exec(struct engine *e, const struct fdt_task *event)
{
	struct process *old = process_ref(tasks_process(e, event->head.tgid));
	struct process *process = next_image(e, old, event);
	struct task *task = process ? only_thread(e, old, process, event) : NULL;

	process_unref(&e->mem, old);
	if (!task)
		return -ENOMEM;
	set_facts(process, event);
	set_name(process, event->comm);
	process->use_watched = event->head.flags & FDT_TASK_WATCHED && !e->uncovered;
	tasks_report_change(e, CHANGE_EXEC, task, process, 0);
	return bind_after_exec(e, task, event->head.table);
}

/*
 * One of several threads. The last we know of stays with its table until the process is over:
 * threads that the kernel runs for it (io_uring's) are never announced, and may be the last to go.
 */
static void thread_exited(struct engine *e, struct task *task, int32_t exit_code)
{
	struct process *process = task->process;

	if (process->tasks != task || task->next)
		task_end(e, task);
	else
		process->exit_code = exit_code;
}

static void process_exited(struct engine *e, const struct fdt_task *event)
{
	struct process *process = map_get(&e->processes, event->head.tgid);
	struct task *task = map_get(&e->tasks, event->head.tid);
	bool announced = task && task->process == process;

	if (!process)
		return;
	if (!announced)
		task = process->tasks;
	if (task)
		tasks_report_change(e, CHANGE_EXIT, task, process, 0);
	process_end(e, process, announced ? event->exit_code : process->exit_code);
}

static int apply_exit(struct engine *e, const struct fdt_task *event)
{
	struct task *task = map_get(&e->tasks, event->head.tid);

	if (event->head.flags & FDT_TASK_LAST)
		process_exited(e, event);
	else if (task)
		thread_exited(e, task, event->exit_code);
	return 0;
}

/* Found by a snapshot. Another start time under the same pid: the one we knew has gone. */
static int apply_found(struct engine *e, const struct fdt_task *event)
{
	struct process *process = map_get(&e->processes, event->head.tgid);
	struct task *task;

	if (process && process->start_ns && process->start_ns != event->start_ns)
		process_end(e, process, 0);
	task = tasks_actor(e, &event->head);
	if (!task)
		return -ENOMEM;
	task->seen_in = e->snapshot_serial;
	process = map_get(&e->processes, event->head.tgid);
	set_facts(process, event);
	if (event->head.tid == event->head.tgid)
		set_name(process, event->comm);
	return 0;
}

static int apply_unshare(struct engine *e, const struct fdt_task *event)
{
	struct task *task = map_get(&e->tasks, event->head.tid);
	struct process *process;

	if (task && task->process->pid == event->head.tgid) {
		task->process->use_watched = false; /* the watch was on the table it has left */
		return bind_newborn(e, task, event->head.table, task->table);
	}
	process = tasks_process(e, event->head.tgid);
	task = process ? task_add(e, event->head.tid, process) : NULL;
	return task ? bind_newborn(e, task, event->head.table, NULL) : -ENOMEM;
}

int tasks_apply(struct engine *e, const struct fdt_task *event)
{
	switch (event->head.op) {
	case FDT_OP_FORK: return apply_fork(e, event);
	case FDT_OP_EXEC:
		return tasks_process(e, event->head.tgid) ? apply_exec(e, event) : -ENOMEM;
	case FDT_OP_EXIT: return apply_exit(e, event);
	case FDT_OP_UNSHARE: return apply_unshare(e, event);
	case FDT_OP_SNAPSHOT: return apply_found(e, event);
	default: return -EINVAL;
	}
}

int tasks_apply_process(struct engine *e, const struct fdt_process *event)
{
	struct process *process;

	if (event->exe_size > FDT_EXE_MAX || event->args_size > FDT_ARGS_MAX)
		return -EINVAL;
	process = tasks_process(e, event->head.tgid);
	if (!process)
		return -ENOMEM;
	process_set_exe(&e->mem, process, event->exe, event->exe_size);
	process_set_args(&e->mem, process, event->args, event->args_size);
	process->start_ns = event->start_ns;
	process->parent_pid = event->parent_tgid;
	process->uid = event->uid;
	return 0;
}

int tasks_apply_limit(struct engine *e, const struct fdt_limit *event)
{
	struct process *process = map_get(&e->processes, event->head.tgid);

	if (process)
		process->nofile = event->nofile;
	return 0;
}

static void end_vanished(struct engine *e, struct task *task)
{
	struct process *process = process_ref(task->process);

	task_end(e, task);
	if (!process->tasks)
		process_end(e, process, 0);
	process_unref(&e->mem, process);
}

/*
 * One that was not found may be about to report its own end (an exiting task is left out of
 * snapshots), so only the second time counts. Where one is taken out of the map another may move
 * in from behind, so its place is looked at again: one pass, for a fork bomb may have ended unseen.
 */
void tasks_snapshot_done(struct engine *e)
{
	map_each (&e->tasks, entry) {
		struct task *task = entry->value;

		task->missed = task->seen_in == e->snapshot_serial ? 0 : task->missed + 1;
	}
	for (size_t i = 0; i < e->tasks.capacity;) {
		struct task *task = e->tasks.entries[i].value;

		if (task && task->missed > 1)
			end_vanished(e, task);
		else
			i++;
	}
}

void tasks_done(struct engine *e)
{
	map_each (&e->tasks, entry) {
		struct task *task = entry->value;

		unbind(e, task);
		task_free(&e->mem, task);
	}
	map_each (&e->processes, entry)
		process_unref(&e->mem, entry->value);
	process_unref(&e->mem, e->root);
	map_done(&e->mem, &e->tasks);
	map_done(&e->mem, &e->processes);
	map_done(&e->mem, &e->tables);
}
