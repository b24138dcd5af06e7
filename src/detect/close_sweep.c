// SPDX-License-Identifier: BSD-2-Clause
/*
 * close.sweep: a loop over descriptor numbers that closes whatever is there. Followed per
 * thread: closes of consecutive numbers, some of which succeed and many of which fail, or one
 * close_range(). It is reported a little after it is over, so that those affected can be named.
 */
#include <errno.h>

#include "detect/detectors.h"
#include "detect/close_meant.h"
#include "detect/close_sweep.h"
#include "detect/close_unowned.h"
#include "engine/engine_private.h"
#include "engine/report.h"
#include "fdtrace/syscall.h"

#define SECOND_NS 1000000000ull
#define GAP_NS SECOND_NS /* a longer pause between two closes ends the loop */
#define WAIT_FOR_VICTIMS_NS (2 * SECOND_NS)
#define SLOW_TRIES 1000000
#define HITS_MAX 32 /* sweep.min: none is unknown when a loop is recognized */
#define PROBED_BEFORE_MAX 4096

/* A descriptor the loop closed. */
struct hit {
	int32_t fd;
	uint32_t generation;
	bool foreign; /* opened by another thread, or not known by whom in a running program */
	uint32_t affected_tid, affected_syscall;
	uint64_t affected_ns;     /* 0: nobody was seen to miss it */
	struct site *affected_at; /* owned reference; may be NULL */
};

struct sweep {
	struct sweep *next;      /* of those that are over */
	struct fdtable *table;   /* alive: the sweep is reported before it dies */
	struct process *process; /* owned reference */
	uint32_t tid;
	uint32_t syscall;
	struct site *site;         /* where it was begun; owned reference; may be NULL */
	int32_t first, last, step; /* step 0: only one number so far */
	uint64_t tries, closed, foreign, affected;
	uint64_t start_ns, end_ns;
	uint64_t run; /* of failing closes, as the kernel side counts them */
	uint32_t run_count;
	bool recognized;
	bool newborn; /* begun by a child between fork and exec, or one that turns into a daemon */
	unsigned int hit_count;
	struct hit hits[HITS_MAX];
};

struct close_sweep {
	struct sweep *over; /* but not yet reported */
	uint64_t looked_ns; /* when sweep_tick() last looked */
	uint64_t probe_run; /* the latest run of failing fcntl that was reported */
};

static struct close_sweep *sweep_state(struct engine *e)
{
	return detector_state(e, DETECTOR_CLOSE_SWEEP);
}

static void forget_hits(struct engine *e, struct sweep *sweep)
{
	for (unsigned int i = 0; i < sweep->hit_count; i++)
		site_unref(&e->sites, sweep->hits[i].affected_at);
	sweep->hit_count = 0;
}

static void sweep_free(struct engine *e, struct sweep *sweep)
{
	forget_hits(e, sweep);
	site_unref(&e->sites, sweep->site);
	process_unref(&e->mem, sweep->process);
	mem_free(&e->mem, sweep, sizeof(*sweep));
}

/* Nearly every close begins one and the next ends it, so the thread's struct is used again. */
static struct sweep *sweep_begin(struct engine *e, struct sweep *sweep, struct fdtable *table,
				 int32_t fd, const struct actor *actor)
{
	if (!sweep)
		sweep = mem_alloc(&e->mem, sizeof(*sweep));
	if (!sweep)
		return NULL;
	if (sweep->process != actor->process) {
		process_unref(&e->mem, sweep->process);
		sweep->process = process_ref(actor->process);
	}
	sweep->table = table;
	sweep->tid = actor->tid;
	sweep->syscall = actor->syscall;
	site_unref(&e->sites, sweep->site);
	sweep->site = actor->site ? site_ref(actor->site) : NULL;
	sweep->first = sweep->last = fd;
	sweep->step = 0;
	sweep->tries = sweep->closed = sweep->foreign = sweep->affected = 0;
	sweep->start_ns = sweep->end_ns = actor->time_ns;
	sweep->newborn = process_is_newborn(actor->process, actor->time_ns);
	sweep->run = 0;
	forget_hits(e, sweep);
	return sweep;
}

static struct victim sweep_victim_of(struct engine *e, const struct sweep *sweep,
				     const struct hit *hit, const struct ended *ended)
{
	struct victim victim = { .fd = hit->fd,
				 .kind = ended->kind,
				 .name = names_get_key(&e->names, ended->name, ended->named),
				 .opened = ended_opening(ended) };

	if (hit->affected_ns)
		victim.failed_use = (struct operation){ .known = true,
							.pid = sweep->process->pid,
							.tid = hit->affected_tid,
							.name = sweep->process->name,
							.error = EBADF,
							.time_ns = hit->affected_ns,
							.syscall = hit->affected_syscall,
							.site = site_now(hit->affected_at) };
	return victim;
}

static void sweep_add_victims(struct engine *e, struct finding *f, const struct sweep *sweep,
			      bool foreign, bool is_affected)
{
	for (unsigned int i = 0; i < sweep->hit_count; i++) {
		const struct hit *hit = &sweep->hits[i];
		const struct ended *ended;

		if (hit->foreign != foreign || (hit->affected_ns != 0) != is_affected ||
		    f->victim_count == FINDING_VICTIMS_MAX)
			continue;
		ended = finding_ended(e, sweep->table, hit->fd, hit->generation);
		if (ended)
			f->victims[f->victim_count++] = sweep_victim_of(e, sweep, hit, ended);
	}
}

/* The gravest first: a sink with little room leaves out the last. */
static void name_victims(struct engine *e, struct finding *f, const struct sweep *sweep)
{
	sweep_add_victims(e, f, sweep, true, true);
	sweep_add_victims(e, f, sweep, true, false);
	sweep_add_victims(e, f, sweep, false, true);
	f->victim_total = sweep->foreign > f->victim_count ? sweep->foreign : f->victim_count;
}

/* "and hit 3 descriptors that others had opened, and 1 of its own still in use" */
static void sweep_add_hits(struct report *r, unsigned int foreign)
{
	unsigned int total = r->finding.victim_total, own = total - foreign;
	const char *plural = total == 1 ? "" : "s";

	if (!own)
		report_add_message(r, " and hit %u descriptor%s that others had opened", foreign,
				   plural);
	else if (!foreign)
		report_add_message(r, " and hit %u descriptor%s still in use", own, plural);
	else
		report_add_message(
			r,
			" and hit %u descriptor%s that others had opened, and %u of its own "
			"still in use",
			foreign, foreign == 1 ? "" : "s", own);
}

static void sweep_format(struct report *r, const struct sweep *sweep)
{
	const struct finding *f = &r->finding;

	report_message(r, "tid %u %s every number from %d to %d", sweep->tid,
		       f->victim_total ? "closed" : "tried to close", f->sweep.first,
		       f->sweep.last);
	if (f->victim_total)
		sweep_add_hits(r, (unsigned int)sweep->foreign);
	report_why(r, "%llu numbers tried, %llu of them closed something",
		   (unsigned long long)sweep->tries, (unsigned long long)sweep->closed);
	if (sweep->affected)
		report_add_why(r,
			       "; afterwards %llu call%s on a number it had closed failed with "
			       "EBADF",
			       (unsigned long long)sweep->affected,
			       sweep->affected == 1 ? "" : "s");
	report_help(r, HELP_SWEEP);
}

static struct finding_sweep sweep_summary(const struct sweep *sweep)
{
	return (struct finding_sweep){ .present = true,
				       .tries = sweep->tries,
				       .closed = sweep->closed,
				       .first = sweep->step < 0 ? sweep->last : sweep->first,
				       .last = sweep->step < 0 ? sweep->first : sweep->last,
				       .duration_ns = sweep->end_ns - sweep->start_ns };
}

/* It harmed somebody, or took long. A newborn harms nobody but itself. */
static bool sweep_is_worth_a_report(const struct sweep *sweep)
{
	if (sweep->newborn)
		return sweep->affected || sweep->tries >= SLOW_TRIES;
	return sweep->foreign || sweep->affected || sweep->tries >= SLOW_TRIES ||
	       sweep->end_ns - sweep->start_ns >= SECOND_NS;
}

static void sweep_report(struct engine *e, const struct sweep *sweep)
{
	struct actor actor = { .process = sweep->process,
			       .tid = sweep->tid,
			       .syscall = sweep->syscall,
			       .site = sweep->site,
			       .time_ns = sweep->end_ns };
	struct report r;
	struct finding *f = &r.finding;

	if (!sweep_is_worth_a_report(sweep))
		return;
	report_begin(&r, e, RULE_CLOSE_SWEEP, sweep->process, site_now(sweep->site));
	report_trust(&r, sweep->table, CONFIDENCE_EXACT);
	if (!sweep->newborn || sweep->affected)
		name_victims(e, f, sweep);
	f->severity = f->victim_total ? SEVERITY_WARNING : SEVERITY_INFO;
	f->first_ns = sweep->start_ns;
	f->closed = actor_operation(&actor, 0);
	if (sweep->syscall == FDT_SYS_close_range)
		f->closed.how = ending_text(END_RANGE);
	f->closed_is_culprit = f->victim_total != 0;
	f->sweep = sweep_summary(sweep);
	if (report_is_news(&r))
		sweep_format(&r, sweep);
	report_send(&r);
}

/*
 * Nothing was closed, and all the numbers had been opened and closed by this very process: no loop
 * over whatever there is, but a pool that is torn down a second time.
 */
static bool sweep_is_second(struct engine *e, const struct sweep *sweep)
{
	int32_t low = sweep->step < 0 ? sweep->last : sweep->first;
	int32_t high = sweep->step < 0 ? sweep->first : sweep->last;

	if (sweep->closed || sweep->syscall != FDT_SYS_close || sweep->tries >= SLOW_TRIES)
		return false;
	return close_all_own(e, sweep->table, sweep->process, low, high, sweep->start_ns);
}

static void sweep_report_second(struct engine *e, const struct sweep *sweep)
{
	const struct actor actor = { .process = sweep->process,
				     .tid = sweep->tid,
				     .syscall = sweep->syscall,
				     .site = sweep->site,
				     .time_ns = sweep->start_ns };

	close_report_run(e, &actor, sweep->table, sweep->first, sweep->last);
}

/* The loop is over: reported later if it was one, forgotten if it was just a few closes in a row. */
static void sweep_finish(struct engine *e, struct task *task)
{
	struct sweep *sweep = task->sweep;

	task->sweep = NULL;
	if (!sweep)
		return;
	if (!sweep->recognized) {
		sweep_free(e, sweep);
		return;
	}
	if (sweep_is_second(e, sweep)) {
		sweep_report_second(e, sweep);
		sweep_free(e, sweep);
		return;
	}
	sweep->next = sweep_state(e)->over;
	sweep_state(e)->over = sweep;
}

static void mark_swept(struct engine *e, struct sweep *sweep)
{
	for (unsigned int i = 0; i < sweep->hit_count; i++) {
		struct ended *ended = finding_ended(e, sweep->table, sweep->hits[i].fd,
						    sweep->hits[i].generation);

		if (ended)
			ended->flags |= ENDED_SWEPT;
	}
}

/* Closing 32 files of one's own in a row is no sweep: in a loop over numbers many closes fail. */
static void sweep_recognize(struct engine *e, struct sweep *sweep)
{
	if (sweep->recognized || sweep->tries < e->options.settings.sweep_min)
		return;
	if (sweep->syscall == FDT_SYS_close && (sweep->tries - sweep->closed) * 4 < sweep->tries)
		return;
	sweep->recognized = true;
	mark_swept(e, sweep);
	close_forget(e, sweep->tid, sweep->table->key);
}

/* The thread's sweep if fd goes on with it, else a new one that begins with fd. NULL: out of memory. */
static struct sweep *sweep_extend(struct engine *e, struct fdtable *table, int32_t fd,
				  const struct actor *actor)
{
	struct sweep *sweep = actor->task->sweep;
	int32_t step = sweep ? fd - sweep->last : 0;
	bool range = actor->syscall == FDT_SYS_close_range;
	bool goes_on = sweep && sweep->table == table && sweep->syscall == actor->syscall &&
		       actor->time_ns - sweep->end_ns < GAP_NS &&
		       (range ? step > 0
			      : (step == 1 || step == -1) && (!sweep->step || sweep->step == step));

	if (!goes_on) {
		if (sweep && sweep->recognized)
			sweep_finish(e, actor->task);
		sweep = actor->task->sweep = sweep_begin(e, actor->task->sweep, table, fd, actor);
		return sweep;
	}
	sweep->step = range ? 1 : step;
	sweep->last = fd;
	sweep->end_ns = actor->time_ns;
	return sweep;
}

/* Who opened it? Not this thread in this image: then it was somebody else's. */
static bool is_foreign(const struct sweep *sweep, const struct ended *ended)
{
	const struct process *process = sweep->process;

	if (ended->opened_at)
		return ended->opened_at->process == process && ended->opener_tid != sweep->tid;
	return !process->forked_ns && !process->exec_ns;
}

/* Others' descriptors matter more than the thread's own: where room is short they take its place. */
static void add_hit(struct engine *e, struct sweep *sweep, const struct hit *hit)
{
	if (sweep->hit_count < HITS_MAX) {
		sweep->hits[sweep->hit_count++] = *hit;
		return;
	}
	for (unsigned int i = 0; hit->foreign && i < HITS_MAX; i++) {
		struct hit *own = &sweep->hits[i];

		if (own->foreign || own->affected_ns)
			continue;
		site_unref(&e->sites, own->affected_at);
		*own = *hit;
		return;
	}
}

static void sweep_closed(struct engine *e, const struct slot_closed *change)
{
	const struct actor *actor = change->actor;
	const struct slot *slot = fdtable_slot(change->table, change->fd);
	struct ended *ended = slot && slot->ended ? ended_at(&e->ended, slot->ended) : NULL;
	struct actor closer;
	struct sweep *sweep;
	struct hit hit;

	if (!actor || !actor->task || !actor->process || !ended ||
	    (change->ending != END_CLOSE && change->ending != END_RANGE))
		return;
	closer = *actor;
	closer.site = ended->closed_at;
	sweep = sweep_extend(e, change->table, change->fd, &closer);
	if (!sweep)
		return;
	sweep->tries++;
	sweep->closed++;
	hit = (struct hit){ .fd = change->fd,
			    .generation = ended->generation,
			    .foreign = is_foreign(sweep, ended) };
	sweep->foreign += hit.foreign;
	add_hit(e, sweep, &hit);
	if (sweep->recognized)
		ended->flags |= ENDED_SWEPT;
	sweep_recognize(e, sweep);
}

static void sweep_range(struct engine *e, const struct fdt_words *event, const struct actor *actor)
{
	struct sweep *sweep = actor->task->sweep;

	if (!sweep || sweep->syscall != FDT_SYS_close_range || sweep->end_ns != actor->time_ns ||
	    event->high < event->low)
		return;
	sweep->first = event->low;
	sweep->last = event->high < FD_MAX ? event->high : FD_MAX;
	sweep->tries = (uint64_t)sweep->last - sweep->first + 1;
	sweep_recognize(e, sweep);
}

static void count_run(struct sweep *sweep, const struct fdt_error *event, uint32_t failures)
{
	sweep->tries += failures;
	sweep->run = event->run;
	sweep->run_count = event->count;
	sweep->last = event->fd + event->step * (int64_t)(event->count - 1);
	if (event->step)
		sweep->step = event->step;
}

bool sweep_failed(struct engine *e, struct fdtable *table, const struct fdt_error *event,
		  const struct actor *actor)
{
	struct sweep *sweep = actor->task->sweep;

	if (event->count > 1 && !event->step)
		return false; /* the same number again and again */
	if (sweep && sweep->run == event->run && sweep->table == table) {
		if (event->count > sweep->run_count)
			count_run(sweep, event, event->count - sweep->run_count);
		sweep->end_ns = actor->time_ns;
	} else {
		sweep = sweep_extend(e, table, event->fd, actor);
		if (!sweep)
			return false;
		count_run(sweep, event, event->count);
	}
	sweep_recognize(e, sweep);
	return sweep->recognized;
}

static bool sweep_note_affected(struct sweep *sweep, const struct fdtable *table,
				const struct ended *ended, int32_t fd, const struct actor *actor)
{
	if (sweep->table != table || sweep->tid != ended->closer_tid ||
	    sweep->process != actor->process) /* or what ran before an exec had swept */
		return false;
	for (unsigned int i = 0; i < sweep->hit_count; i++) {
		struct hit *hit = &sweep->hits[i];

		if (hit->fd != fd || hit->generation != ended->generation)
			continue;
		sweep->affected++;
		if (hit->affected_ns)
			return true; /* the first failure is the one that explains the rest */
		hit->affected_ns = actor->time_ns;
		hit->affected_tid = actor->tid;
		hit->affected_syscall = actor->syscall;
		hit->affected_at = actor->site ? site_ref(actor->site) : NULL;
		return true;
	}
	return false;
}

bool sweep_in_progress(struct engine *e, const struct fdtable *table, const struct ended *ended)
{
	const struct task *task = map_get(&e->tasks, ended->closer_tid);

	return task && task->sweep && task->sweep->table == table && task->sweep->tries > 1 &&
	       e->now_ns - task->sweep->end_ns < GAP_NS;
}

static bool sweep_affected(struct engine *e, const struct fdtable *table, const struct ended *ended,
			   int32_t fd, const struct actor *actor)
{
	for (struct task *task = actor->process->tasks; task; task = task->next)
		if (task->sweep && sweep_note_affected(task->sweep, table, ended, fd, actor))
			return true;
	for (struct sweep *sweep = sweep_state(e)->over; sweep; sweep = sweep->next)
		if (sweep_note_affected(sweep, table, ended, fd, actor))
			return true;
	return false;
}

static void sweep_format_late(struct report *r, const struct victim *victim)
{
	const struct descriptor d = { .fd = victim->fd,
				      .kind = victim->kind,
				      .name = victim->name };
	char what[160], closer[96];

	finding_describe(&d, what, sizeof(what));
	operation_format(&r->finding.closed, closer, sizeof(closer));
	report_message(r,
		       "%s was closed by a loop over descriptor numbers in %s, and is still used",
		       what, closer);
	report_why(r,
		   "the loop closed whatever was open; a call on the number it had closed failed "
		   "with EBADF later");
	report_help(r, HELP_SWEEP);
}

/*
 * The loop has been reported, or forgotten as harmless: whom it hit is known from ended
 * generations alone.
 */
static void sweep_report_late(struct engine *e, const struct fdtable *table,
			      const struct ended *ended, int32_t fd, const struct actor *actor)
{
	struct report r;
	struct finding *f = &r.finding;

	report_begin(&r, e, RULE_CLOSE_SWEEP, actor->process, site_now(ended->closed_at));
	report_trust(&r, table, CONFIDENCE_EXACT);
	f->severity = SEVERITY_WARNING;
	f->first_ns = ended->closed_ns;
	f->closed = ended_closing(ended);
	f->closed_is_culprit = true;
	f->victims[0] =
		(struct victim){ .fd = fd,
				 .kind = ended->kind,
				 .name = names_get_key(&e->names, ended->name, ended->named),
				 .opened = ended_opening(ended),
				 .failed_use = actor_operation(actor, EBADF) };
	f->victim_count = f->victim_total = 1;
	if (report_is_news(&r))
		sweep_format_late(&r, &f->victims[0]);
	report_send(&r);
}

bool sweep_hurt(struct engine *e, struct fdtable *table, const struct ended *ended, int32_t fd,
		const struct actor *actor)
{
	struct ended *kept = finding_ended(e, table, fd, ended->generation);

	if (kept && !close_before_exec(ended, actor))
		kept->flags |= ENDED_MISSED;
	if (sweep_affected(e, table, ended, fd, actor))
		return true;
	if (ended->closed_at && ended->closed_at->process == actor->process)
		sweep_report_late(e, table, ended, fd, actor);
	else if (!close_before_exec(ended, actor))
		return false;
	return true;
}

static void sweep_task_ended(struct engine *e, struct task *task)
{
	sweep_finish(e, task);
}

static void sweep_report_if(struct engine *e,
			    bool (*due)(const struct engine *e, const struct sweep *sweep,
					const void *ctx),
			    const void *ctx)
{
	struct sweep **link = &sweep_state(e)->over;

	while (*link) {
		struct sweep *sweep = *link;

		if (!due(e, sweep, ctx)) {
			link = &sweep->next;
			continue;
		}
		*link = sweep->next;
		sweep_report(e, sweep);
		sweep_free(e, sweep);
	}
}

static bool of_table(const struct engine *e, const struct sweep *sweep, const void *table)
{
	(void)e;
	return sweep->table == table;
}

/*
 * A loop of fcntl(F_GETFD) over all numbers harms nobody but takes its time. Numbers below the
 * run that shows it were tried, too: they are what such a loop finds open.
 */
static uint64_t numbers_probed(const struct fdt_error *event)
{
	int64_t end = event->fd + (int64_t)event->step * (event->count - 1);
	int64_t low = end < event->fd ? end : event->fd;

	return event->count + (uint64_t)(low > 0 && low < PROBED_BEFORE_MAX ? low : 0);
}

void sweep_probed(struct engine *e, const struct fdtable *table, const struct fdt_error *event,
		  const struct actor *actor)
{
	uint64_t tries = numbers_probed(event);
	int64_t end = event->fd + (int64_t)event->step * (event->count - 1);
	struct report r;

	if (!event->step || tries < SLOW_TRIES || event->run == sweep_state(e)->probe_run)
		return;
	sweep_state(e)->probe_run = event->run;
	report_begin(&r, e, RULE_CLOSE_SWEEP, actor->process, site_now(actor->site));
	report_trust(&r, table, CONFIDENCE_EXACT);
	r.finding.severity = SEVERITY_INFO;
	r.finding.first_ns = event->first_ns;
	r.finding.used = actor_operation(actor, EBADF);
	r.finding.sweep = (struct finding_sweep){ .present = true,
						  .tries = tries,
						  .first = event->step < 0 ? end : event->fd,
						  .last = event->step < 0 ? event->fd : end,
						  .duration_ns = actor->time_ns - event->first_ns };
	if (report_is_news(&r)) {
		report_message(&r, "slow sweep: tid %u probed %llu descriptor numbers one by one",
			       actor->tid, (unsigned long long)tries);
		report_why(&r, "each of them is a failing fcntl");
		r.finding.help = "list /proc/self/fd, or let close_range() do it in one call";
	}
	report_send(&r);
}

static bool sweep_waited(const struct engine *e, const struct sweep *sweep, const void *ctx)
{
	(void)ctx;
	return e->now_ns - sweep->end_ns >= WAIT_FOR_VICTIMS_NS;
}

/* The table's slots go: a sweep in it must be reported now. */
static void sweep_table_ended(struct engine *e, struct fdtable *table)
{
	sweep_report_if(e, of_table, table);
}

static void sweep_tick(struct engine *e)
{
	if (e->now_ns - sweep_state(e)->looked_ns < GAP_NS / 2)
		return;
	sweep_state(e)->looked_ns = e->now_ns;
	map_each (&e->tasks, entry) {
		struct task *task = entry->value;

		if (task->sweep && e->now_ns - task->sweep->end_ns >= GAP_NS)
			sweep_finish(e, task);
	}
	sweep_report_if(e, sweep_waited, NULL);
}

static void sweep_done(struct engine *e)
{
	struct close_sweep *state = sweep_state(e);
	struct sweep *next;

	map_each (&e->tasks, entry) {
		struct task *task = entry->value;

		if (task->sweep)
			sweep_free(e, task->sweep);
		task->sweep = NULL;
	}
	for (struct sweep *sweep = state->over; sweep; sweep = next) {
		next = sweep->next;
		sweep_free(e, sweep);
	}
}

const struct detector detector_close_sweep = {
	.name = "close.sweep",
	.id = DETECTOR_CLOSE_SWEEP,
	.rules = RULE_BIT(CLOSE_SWEEP),
	.serves = RULE_BIT(CLOSE_UNOWNED) | RULE_BIT(CLOSE_DOUBLE) | RULE_BIT(USE_CLOSED),
	.state_bytes = sizeof(struct close_sweep),
	.closed = sweep_closed,
	.closer_known = sweep_closed,
	.range_closed = sweep_range,
	.task_ended = sweep_task_ended,
	.table_ended = sweep_table_ended,
	.run_ended = sweep_table_ended,
	.tick = sweep_tick,
	.done = sweep_done,
};
