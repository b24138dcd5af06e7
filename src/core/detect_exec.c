// SPDX-License-Identifier: BSD-2-Clause
/*
 * exec.inherit: descriptors crossed an exec and the new image never used them. Judged once an
 * image has had time to use them (exec.unused_after), or when it ends before. The kernel side
 * reports the first use of each number that crossed.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "core/hash.h"
#include "core/state.h"

#define WATCHED_MAX 4096 /* FDT_TASK_WATCHED: numbers below it are */
#define PENDING_MAX 65536
#define ACCUMULATES 3 /* images of one pid, each of which left something behind */

/* Named on the command line ("--fd=5", "/dev/fd/5"): meant to be inherited. */
static bool named_in_args(const struct process *process, int32_t fd)
{
	char number[16];
	size_t length = snprintf(number, sizeof(number), "%d", fd);
	const char *end = process->args + process->args_size;

	for (const char *at = process->args; at && (at = memmem(at, end - at, number, length));
	     at++) {
		bool starts = at == process->args || !isdigit((unsigned char)at[-1]);

		if (starts && (at + length >= end || !isdigit((unsigned char)at[length])))
			return true;
	}
	return false;
}

/* Opened by an earlier image that we know, and of no use to this one. */
static bool unused(const struct slot *slot, int32_t fd, const void *ctx)
{
	const struct process *process = ctx;

	return fd > 2 && fd < WATCHED_MAX && process->use_watched &&
	       slot->flags & SLOT_CROSSED_EXEC && !(slot->flags & SLOT_USED) && slot->site &&
	       slot->site->process != process && !named_in_args(process, fd);
}

static bool has_unused(const struct fdtable *table, const struct process *process)
{
	fdtable_each (table, fd)
		if (unused(fdtable_slot(table, fd), fd, process))
			return true;
	return false;
}

void exec_image_started(struct engine *e, struct process *process)
{
	const struct fdtable *table = process_table(process);

	if (!finding_wanted(e, RULE_EXEC_INHERIT) || process->exec_pending || !table)
		return;
	if (e->pending_execs.count >= PENDING_MAX || !has_unused(table, process))
		return;
	if (!map_put(&e->mem, &e->pending_execs, process->serial, process)) {
		process_ref(process);
		process->exec_pending = true;
	}
}

/* How many earlier images of this very process left a descriptor behind. */
static unsigned int images_behind(const struct fdtable *table, const struct process *process)
{
	uint32_t seen[ACCUMULATES] = { 0 };
	unsigned int count = 0;

	fdtable_each (table, fd) {
		const struct slot *slot = fdtable_slot(table, fd);
		bool known = false;

		if (!unused(slot, fd, process) || slot->site->process->pid != process->pid)
			continue;
		for (unsigned int i = 0; i < count; i++)
			known |= seen[i] == slot->site->process->serial;
		if (!known)
			seen[count++] = slot->site->process->serial;
		if (count == ACCUMULATES)
			break;
	}
	return count;
}

static struct victim victim_of(struct engine *e, const struct fdtable *table, int32_t fd,
			       struct slot *slot)
{
	const char *name = slots_name(e, table, fd, slot); /* before the kind: it may change that */

	return (struct victim){
		.fd = fd, .kind = slot->kind, .name = name, .opened = party_opened(slot)
	};
}

static void add_victims(struct engine *e, struct finding *f, const struct fdtable *table,
			const struct process *process)
{
	fdtable_each (table, fd) {
		struct slot *slot = fdtable_slot(table, fd);

		if (!unused(slot, fd, process))
			continue;
		if (f->victim_count < FINDING_VICTIMS_MAX)
			f->victims[f->victim_count++] = victim_of(e, table, fd, slot);
		f->victim_total++;
	}
}

/* "fd 5 (file /tmp/x), fd 6 (pipe) and 3 more" */
static void list_victims(const struct finding *f, char *buffer, size_t size)
{
	size_t used = 0;

	buffer[0] = '\0';
	for (unsigned int i = 0; i < f->victim_count && i < 3 && used < size; i++) {
		struct descriptor d = { .fd = f->victims[i].fd,
					.kind = f->victims[i].kind,
					.name = f->victims[i].name };
		char what[128];

		finding_describe(&d, what, sizeof(what));
		used += snprintf(buffer + used, size - used, "%s%s", i ? ", " : "", what);
	}
	if (f->victim_total > 3 && used < size)
		snprintf(buffer + used, size - used, " and %u more", f->victim_total - 3);
}

static void word(struct finding *f, bool accumulates, char *message, char *why, size_t size)
{
	char list[256];

	list_victims(f, list, sizeof(list));
	snprintf(message, size, "%s inherited %u descriptor%s across exec and never used %s: %s",
		 process_program(f->process), f->victim_total, f->victim_total == 1 ? "" : "s",
		 f->victim_total == 1 ? "it" : "them", list);
	if (accumulates)
		snprintf(why, size, "each re-exec of pid %u leaves more of them behind",
			 f->process->pid);
	else
		snprintf(why, size, "opened without close-on-exec by %s", f->opened.name);
	f->message = message;
	f->why = why;
	f->help = "open with O_CLOEXEC (SOCK_CLOEXEC, pipe2 ...), or close before exec";
}

static void judge(struct engine *e, struct process *process, const struct fdtable *table)
{
	struct finding f = { .rule = RULE_EXEC_INHERIT,
			     .process = process,
			     .descriptor = { .fd = -1 },
			     .opened_is_culprit = true };
	bool accumulates = images_behind(table, process) >= ACCUMULATES;
	const struct slot *first;
	char message[384], why[384];

	add_victims(e, &f, table, process);
	if (!f.victim_count)
		return;
	first = fdtable_slot(table, f.victims[0].fd);
	f.descriptor = slots_descriptor(e, table, f.victims[0].fd);
	f.opened = f.victims[0].opened;
	f.subject = first->site->process->name;
	f.severity = accumulates ? SEVERITY_WARNING : SEVERITY_INFO;
	f.first_ns = process->exec_ns;
	f.confidence = finding_confidence(table, CONFIDENCE_EXACT);
	f.fingerprint = finding_fingerprint(f.rule, process, first->site);
	word(&f, accumulates, message, why, sizeof(message));
	finding_report(e, &f);
}

static void settle(struct engine *e, struct process *process, const struct fdtable *table)
{
	map_remove(&e->pending_execs, process->serial);
	process->exec_pending = false;
	if (table)
		judge(e, process, table);
	process_unref(&e->mem, process);
}

static bool is_due(const struct engine *e, const struct process *process)
{
	return process->ended_ns ||
	       e->now_ns - process->exec_ns >= e->options.settings.exec_unused_after_ns;
}

void exec_tick(struct engine *e)
{
	struct process *due[64];
	unsigned int count;

	do { /* the map must not change while it is walked */
		count = 0;
		map_each (&e->pending_execs, entry)
			if (is_due(e, entry->value) && count < 64)
				due[count++] = entry->value;
		for (unsigned int i = 0; i < count; i++)
			settle(e, due[i], due[i]->ended_ns ? NULL : process_table(due[i]));
	} while (count == 64);
}

void exec_table_died(struct engine *e, struct fdtable *table)
{
	if (table->owner->exec_pending && is_due(e, table->owner))
		settle(e, table->owner, table);
}

void exec_done(struct engine *e)
{
	map_each (&e->pending_execs, entry)
		process_unref(&e->mem, entry->value);
	map_done(&e->mem, &e->pending_execs);
}
