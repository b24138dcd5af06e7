// SPDX-License-Identifier: BSD-2-Clause
/*
 * exec.inherit: descriptors crossed an exec and the new image never used them. Judged once an
 * image has had time to use them (exec.unused_after), or when it ends before. The kernel side
 * reports the first use of each number that crossed.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "detect/detectors.h"
#include "detect/exec_held.h"
#include "detect/exec_inherit.h"
#include "engine/engine_private.h"
#include "engine/report.h"

#define WATCHED_MAX 4096 /* FDT_TASK_WATCHED: numbers below it are */
#define PENDING_MAX 65536
#define RACE_NS 1000000000ull
#define ACCUMULATES 3 /* images of one pid, each of which left something behind */
#define LISTED 3      /* descriptors in the message */

/*
 * A program that is upgraded by fork and exec: each generation opens its log at the same place,
 * and the next one inherits those of all before. Scripts that call each other leave numbers
 * behind, too, but there the callers all wait for the last one: most of a line have ended.
 */
#define PLACES_MAX 8
#define GENERATIONS_MAX 32
#define ENDED_AT_LEAST 2

/* Unused descriptors that generations of one program opened at one place. */
struct lineage {
	uint64_t place; /* site_fingerprint() */
	int32_t fd;     /* the first of them */
	unsigned int copies, generations, ended;
	uint32_t serial[GENERATIONS_MAX];
};

struct lineages {
	unsigned int count;
	struct lineage rows[PLACES_MAX];
};

struct exec_inherit {
	/* serial -> struct process (owned reference): images with what crossed, and was not used */
	struct map pending;
};

struct map *exec_pending(struct engine *e)
{
	return &((struct exec_inherit *)detector_state(e, DETECTOR_EXEC_INHERIT))->pending;
}

/* "5", "--fd=5", "/dev/fd/5", "fd5", but not the 5 of "python5" or "file5". */
static bool is_number_of_its_own(const char *args, const char *at, size_t length, const char *end)
{
	if (at + length < end && isalnum((unsigned char)at[length]))
		return false;
	if (at == args || !isalnum((unsigned char)at[-1]))
		return true;
	return at - args >= 2 && (at[-2] | 0x20) == 'f' && (at[-1] | 0x20) == 'd' &&
	       (at - args == 2 || !isalnum((unsigned char)at[-3]));
}

/* Named on the command line: meant to be inherited. The program's own name says nothing. */
bool exec_named_in_args(const struct process *process, int32_t fd)
{
	char number[16];
	size_t length = snprintf(number, sizeof(number), "%d", fd);
	const char *end = process->args + process->args_size, *args, *at;

	if (!process->args)
		return false;
	args = process->args + strnlen(process->args, process->args_size);
	for (at = args; (at = memmem(at, end - at, number, length)); at++)
		if (is_number_of_its_own(args, at, length, end))
			return true;
	return false;
}

/* Somebody wanted the new image to have it. */
static bool is_meant(const struct slot *slot, int32_t fd, const struct process *process)
{
	return slot->flags & SLOT_MEANT || exec_named_in_args(process, fd) ||
	       process_environment_names(process, fd);
}

bool exec_unused(const struct slot *slot, int32_t fd, const void *ctx)
{
	const struct process *process = ctx;

	return fd > 2 && fd < WATCHED_MAX && process->use_watched &&
	       slot->flags & SLOT_CROSSED_EXEC && !(slot->flags & SLOT_USED) && slot->site &&
	       slot->site->process != process && !is_meant(slot, fd, process);
}

void exec_ask_environment(struct engine *e, struct process *process)
{
	const struct engine_host *host = e->options.host;
	struct fdt_environ answer = { 0 };
	uint64_t word[FDT_ENVIRON_WORDS];

	if (process->environment_known || process->ended_ns || !host->environment)
		return;
	process->environment_known = true;
	if (host->environment(e->options.ctx, process->pid, &answer))
		return;
	for (int i = 0; i < FDT_ENVIRON_WORDS; i++)
		word[i] = answer.word[i];
	process_set_environment(&e->mem, process, word);
}

static bool has_unused(const struct fdtable *table, const struct process *process)
{
	fdtable_each (table, fd)
		if (exec_unused(fdtable_slot(table, fd), fd, process))
			return true;
	return false;
}

static void exec_image_started(struct engine *e, struct process *process)
{
	const struct fdtable *table = process_table(process);

	if (process->exec_pending || !table)
		return;
	if (exec_pending(e)->count >= PENDING_MAX || !has_unused(table, process))
		return;
	if (!map_put(&e->mem, exec_pending(e), process->serial, process)) {
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

		if (!exec_unused(slot, fd, process) || slot->site->process->pid != process->pid)
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

static bool lineage_has(const struct lineage *l, uint32_t serial)
{
	for (unsigned int i = 0; i < l->generations; i++)
		if (l->serial[i] == serial)
			return true;
	return false;
}

/* Further places and generations than there is room for are left out. */
static void lineage_add(struct lineages *all, const struct slot *slot, int32_t fd)
{
	const struct process *opener = slot->site->process, *image = process_image(opener);
	uint64_t place = site_fingerprint(slot->site);
	struct lineage *l = all->rows;

	while (l < all->rows + all->count && l->place != place)
		l++;
	if (l == all->rows + PLACES_MAX)
		return;
	if (l == all->rows + all->count)
		all->rows[all->count++] = (struct lineage){ .place = place, .fd = fd };
	l->copies++;
	if (lineage_has(l, image->serial) || l->generations == GENERATIONS_MAX)
		return;
	l->serial[l->generations++] = image->serial;
	l->ended += opener->ended_ns != 0;
}

/* The one with the most generations, of those that pile up. False: none does. */
static bool lineage_find(const struct fdtable *table, const struct process *process,
			 struct lineage *ret)
{
	const char *program = process_program(process);
	struct lineages all = { 0 };

	ret->generations = 0;
	fdtable_each (table, fd) {
		const struct slot *slot = fdtable_slot(table, fd);

		if (exec_unused(slot, fd, process) &&
		    !strcmp(process_program(slot->site->process), program))
			lineage_add(&all, slot, fd);
	}
	for (unsigned int i = 0; i < all.count; i++)
		if (all.rows[i].generations >= ACCUMULATES && all.rows[i].ended >= ENDED_AT_LEAST &&
		    all.rows[i].generations > ret->generations)
			*ret = all.rows[i];
	return ret->generations;
}

static struct victim inherit_victim_of(struct engine *e, const struct fdtable *table, int32_t fd)
{
	const char *name = slots_name(e, table, fd); /* before the kind: it may change that */
	const struct slot *slot = fdtable_slot(table, fd);

	return (struct victim){
		.fd = fd, .kind = slot->kind, .name = name, .opened = slot_opening(slot)
	};
}

static void inherit_add_victims(struct engine *e, struct finding *f, const struct fdtable *table,
				const struct process *process)
{
	fdtable_each (table, fd) {
		if (!exec_unused(fdtable_slot(table, fd), fd, process))
			continue;
		if (f->victim_count < FINDING_VICTIMS_MAX)
			f->victims[f->victim_count++] = inherit_victim_of(e, table, fd);
		f->victim_total++;
	}
}

/* "fd 5 (file /tmp/x), fd 6 (pipe) and 3 more" */
static void inherit_add_list(struct report *r)
{
	const struct finding *f = &r->finding;

	for (unsigned int i = 0; i < f->victim_count && i < LISTED; i++) {
		struct descriptor d = { .fd = f->victims[i].fd,
					.kind = f->victims[i].kind,
					.name = f->victims[i].name };
		char what[128];

		finding_describe(&d, what, sizeof(what));
		report_add_message(r, "%s%s", i ? ", " : "", what);
	}
	if (f->victim_total > LISTED)
		report_add_message(r, " and %u more", f->victim_total - LISTED);
}

/* The opener's own descriptor of that number, where it still holds the same file. */
static int32_t opener_has(struct engine *e, const struct slot *slot, int32_t fd,
			  const struct fdtable **ret_table)
{
	const struct process *opener = map_get(&e->processes, slot->site->process->pid);
	const struct slot *theirs;

	if (!opener || !process_same(opener, slot->site->process))
		return -1;
	*ret_table = process_table(opener);
	theirs = *ret_table ? fdtable_slot(*ret_table, fd) : NULL;
	return theirs && theirs->file == slot->file && theirs->inode == slot->inode ? fd : -1;
}

/*
 * The opener marks it close-on-exec, and forked this process right after opening: between
 * open and fcntl(F_SETFD). One that was marked long after was not in a race.
 */
static bool is_raced(struct engine *e, const struct process *process, const struct slot *slot,
		     int32_t fd)
{
	const struct fdtable *table;
	const struct fdt_detail *d;

	if (slot->site->process->pid == process->pid || process->forked_ns < slot->opened_ns ||
	    process->forked_ns - slot->opened_ns > RACE_NS)
		return false;
	if (opener_has(e, slot, fd, &table) < 0)
		return false;
	if (fdtable_slot(table, fd)->flags & SLOT_CLOEXEC)
		return true;
	d = slots_look(e, table, fd);
	return d && d->facts & FDT_FACT_CLOEXEC && d->head.tgid == table->owner->pid && d->fd == fd;
}

/* Of the first few; -1: none was. */
static int32_t first_raced(struct engine *e, const struct finding *f, const struct fdtable *table)
{
	for (unsigned int i = 0; i < f->victim_count; i++)
		if (is_raced(e, f->process, fdtable_slot(table, f->victims[i].fd),
			     f->victims[i].fd))
			return f->victims[i].fd;
	return -1;
}

static bool inherit_is_listening(struct engine *e, const struct fdtable *table, int32_t fd)
{
	const struct fdt_detail *d = slots_look(e, table, fd);

	return d && d->facts & FDT_FACT_SOCKET && d->state == STATE_LISTEN;
}

/*
 * What lets an unprivileged image do what it could not have done by itself. root's own service
 * manager hands over sockets on purpose: what then stays with the same user is no gain.
 */
static bool is_dangerous(struct engine *e, const struct fdtable *table, int32_t fd)
{
	const struct process *process = table->owner, *before = process->before;
	const struct slot *slot = fdtable_slot(table, fd);

	if (!process->uid || slot->site->process->uid || !before || before->uid)
		return false;
	switch (slot->kind) {
	case FD_KIND_BLK: return true;
	case FD_KIND_FILE:
	case FD_KIND_DIR: return slot->flags & SLOT_WRITES;
	case FD_KIND_TCP:
	case FD_KIND_UNIX: return inherit_is_listening(e, table, fd);
	default: return false;
	}
}

static int32_t first_dangerous(struct engine *e, const struct finding *f,
			       const struct fdtable *table)
{
	for (unsigned int i = 0; i < f->victim_count; i++)
		if (is_dangerous(e, table, f->victims[i].fd))
			return f->victims[i].fd;
	return -1;
}

/* What is worth saying beyond "unused". */
struct inherited {
	bool accumulates;         /* in images of this process ... */
	struct lineage line;      /* ... or of this program, if there are any generations */
	int32_t dangerous, raced; /* a number; -1: none */
};

static void inherit_format_line(struct report *r, const struct lineage *line)
{
	char place[96];

	site_format(r->finding.opened.site, place, sizeof(place));
	report_why(r,
		   "%u generations of %s, each started by the one before, left %u of them behind, "
		   "all opened at %s",
		   line->generations, process_program(r->finding.process), line->copies, place);
}

static void inherit_format_why(struct report *r, const struct inherited *c)
{
	const struct finding *f = &r->finding;

	if (c->accumulates)
		report_why(r, "each re-exec of pid %u leaves more of them behind", f->process->pid);
	else if (c->line.generations && c->dangerous < 0)
		inherit_format_line(r, &c->line);
	else if (c->dangerous >= 0)
		report_why(r,
			   "fd %d was opened by %s as root, and uid %u has it now; opened without "
			   "close-on-exec",
			   (int)c->dangerous, f->opened.name, f->process->uid);
	else if (c->raced >= 0)
		report_why(
			r,
			"raced: fork came between open and fcntl(F_SETFD) in tid %u of %s, which "
			"holds fd %d marked close-on-exec; use O_CLOEXEC",
			f->opened.tid, f->opened.name, (int)c->raced);
	else
		report_why(r, "opened without close-on-exec by %s", f->opened.name);
}

static void inherit_format(struct report *r, const struct inherited *c)
{
	const struct finding *f = &r->finding;

	report_message(r, "%s inherited %u descriptor%s across exec and never used %s%s: ",
		       process_program(f->process), f->victim_total,
		       f->victim_total == 1 ? "" : "s", f->victim_total == 1 ? "it" : "them",
		       c->raced >= 0 ? " (raced)" : "");
	inherit_add_list(r);
	inherit_format_why(r, c);
	r->finding.help = "open with O_CLOEXEC (SOCK_CLOEXEC, pipe2 ...), or close before exec";
}

/*
 * The number to show: what is dangerous before what raced before whichever comes first. Who raced
 * is asked last: the question about the opener's descriptor is the last word on its file.
 */
static int32_t inherit_look(struct engine *e, struct finding *f, const struct fdtable *table,
			    struct inherited *ret)
{
	int32_t fd;

	ret->accumulates = images_behind(table, f->process) >= ACCUMULATES;
	ret->dangerous = first_dangerous(e, f, table);
	ret->raced = -1;
	fd = ret->dangerous >= 0 ? ret->dangerous : f->victims[0].fd;
	if (!ret->accumulates && lineage_find(table, f->process, &ret->line) && ret->dangerous < 0)
		fd = ret->line.fd;
	f->descriptor = slots_descriptor(e, table, fd);
	if (!ret->line.generations)
		ret->raced = first_raced(e, f, table);
	if (ret->dangerous >= 0 || ret->raced < 0)
		return fd;
	f->descriptor = slots_descriptor(e, table, ret->raced);
	return ret->raced;
}

static void inherit_report(struct report *r, const struct fdtable *table)
{
	struct finding *f = &r->finding;
	struct inherited c = { 0 };
	const struct slot *shown = fdtable_slot(table, inherit_look(r->engine, f, table, &c));

	report_cause(r, RULE_EXEC_INHERIT, shown->site);
	/* One line that forgets close-on-exec is one cause, whoever inherits from it. */
	f->fingerprint = finding_fingerprint(RULE_EXEC_INHERIT, shown->site->process, shown->site);
	report_trust(r, table, CONFIDENCE_EXACT);
	f->severity = c.accumulates || c.line.generations || c.dangerous >= 0 ? SEVERITY_WARNING
									      : SEVERITY_INFO;
	f->subject = shown->site->process->name;
	f->first_ns = f->process->exec_ns;
	f->opened = slot_opening(shown);
	f->opened_is_culprit = true;
	if (report_is_news(r))
		inherit_format(r, &c);
	report_send(r);
}

static void inherit_judge(struct engine *e, struct process *process, const struct fdtable *table)
{
	struct report r;

	if (!finding_wanted(e, RULE_EXEC_INHERIT) || !has_unused(table, process))
		return;
	exec_ask_environment(e, process);
	report_begin(&r, e, RULE_EXEC_INHERIT, process, NULL); /* where: when all are known */
	inherit_add_victims(e, &r.finding, table, process);
	if (r.finding.victim_count)
		inherit_report(&r, table);
}

/* Judged once; it stays on the list for as long as it may be holding what others wait for. */
static void inherit_resolve(struct engine *e, struct process *process, const struct fdtable *table)
{
	bool judged = process->exec_judged;

	process->exec_judged = true;
	if (!process->ended_ns && table && held_is_of_interest(table, process) &&
	    finding_wanted(e, RULE_EXEC_HELD)) {
		if (!judged)
			inherit_judge(e, process, table);
		return;
	}
	map_remove(exec_pending(e), process->serial);
	process->exec_pending = false;
	if (table && !judged)
		inherit_judge(e, process, table);
	process_unref(&e->mem, process);
}

static bool is_old_enough(const struct engine *e, const struct process *process)
{
	return e->now_ns - process->exec_ns >= e->options.settings.exec_unused_after_ns;
}

static bool inherit_is_due(const struct engine *e, const struct process *process)
{
	return process->ended_ns || (!process->exec_judged && is_old_enough(e, process));
}

/* One that is resolved is no longer due: it has left the map, and another may stand there, or not. */
static void exec_tick(struct engine *e)
{
	const struct map *pending = exec_pending(e);

	for (size_t i = 0; i < pending->capacity;) {
		struct process *process = pending->entries[i].value;

		if (process && inherit_is_due(e, process))
			inherit_resolve(e, process,
					process->ended_ns ? NULL : process_table(process));
		else
			i++;
	}
}

static void exec_run_ended(struct engine *e, struct fdtable *table)
{
	struct process *process = table->owner;

	if (process->exec_pending && !process->exec_judged &&
	    (process->ended_ns || is_old_enough(e, process)))
		inherit_resolve(e, process, table);
}

static void exec_table_ended(struct engine *e, struct fdtable *table)
{
	if (!table->replaced)
		exec_run_ended(e, table);
}

static void exec_done(struct engine *e)
{
	map_each (exec_pending(e), entry) {
		struct process *process = entry->value;

		process->exec_pending = false;
		process_unref(&e->mem, process);
	}
	map_done(&e->mem, exec_pending(e));
}

const struct detector detector_exec_inherit = {
	.name = "exec.inherit",
	.id = DETECTOR_EXEC_INHERIT,
	.rules = RULE_BIT(EXEC_INHERIT),
	.serves = RULE_BIT(EXEC_HELD),
	.needs = FDT_NEED(MARK),
	.state_bytes = sizeof(struct exec_inherit),
	.image_started = exec_image_started,
	.table_ended = exec_table_ended,
	.run_ended = exec_run_ended,
	.tick = exec_tick,
	.done = exec_done,
};
