// SPDX-License-Identifier: BSD-2-Clause
#include "source/live/snapshot.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "source/live/procfs.h"

struct snapshot_process {
	uint64_t table, start_ns;
	uint32_t pid, parent_pid, uid;
};

static int snapshot_make_room(struct snapshot_found *found)
{
	size_t capacity = found->capacity ? 2 * found->capacity : 64;
	struct snapshot_process *process;

	if (found->count < found->capacity)
		return 0;
	process = reallocarray(found->process, capacity, sizeof(*process));
	if (!process)
		return -ENOMEM;
	found->process = process;
	found->capacity = capacity;
	return 0;
}

int snapshot_note(struct snapshot_found *found, const void *event)
{
	const struct fdt_task *task = event;

	if (task->head.kind != FDT_TASK || task->head.op != FDT_OP_SNAPSHOT ||
	    task->head.tid != task->head.tgid)
		return 0;
	if (snapshot_make_room(found))
		return -ENOMEM;
	found->process[found->count++] = (struct snapshot_process){ .table = task->head.table,
								    .start_ns = task->start_ns,
								    .pid = task->head.tgid,
								    .parent_pid = task->parent_tgid,
								    .uid = task->uid };
	return 0;
}

/* The pid still names the process that was found, so what was just read in /proc was its own. */
static bool snapshot_is_the_same(const struct snapshot_process *process)
{
	static uint64_t tick_ns;
	struct procfs_stat stat;

	if (!tick_ns)
		tick_ns = SEC_NS / (uint64_t)sysconf(_SC_CLK_TCK);
	return !procfs_stat((pid_t)process->pid, &stat) && !procfs_is_dead(&stat) &&
	       stat.start_ticks == process->start_ns / tick_ns;
}

static int snapshot_report_process(const struct snapshot_process *process, uint64_t time_ns,
				   source_event_fn event, void *ctx)
{
	struct fdt_process out = { .head = { .kind = FDT_PROCESS,
					     .op = FDT_OP_SNAPSHOT,
					     .size = sizeof(out),
					     .time_ns = time_ns,
					     .tgid = process->pid,
					     .tid = process->pid,
					     .table = process->table },
				   .start_ns = process->start_ns,
				   .parent_tgid = process->parent_pid,
				   .uid = process->uid };
	pid_t pid = (pid_t)process->pid;

	out.exe_size = (uint16_t)procfs_exe(pid, out.exe, sizeof(out.exe));
	out.args_size = (uint16_t)procfs_args(pid, out.args, sizeof(out.args));
	return snapshot_is_the_same(process) ? event(ctx, &out, sizeof(out)) : 0;
}

int snapshot_report(struct snapshot_found *found, uint64_t time_ns, source_event_fn event,
		    void *ctx)
{
	int err = 0;

	for (size_t i = 0; !err && i < found->count; i++)
		err = snapshot_report_process(&found->process[i], time_ns, event, ctx);
	found->count = 0;
	return err;
}

void snapshot_done(struct snapshot_found *found)
{
	free(found->process);
	*found = (struct snapshot_found){ 0 };
}
