// SPDX-License-Identifier: BSD-2-Clause
/* limit.emfile: a call failed because a table, or the system, is full: who holds the descriptors? */
#include <errno.h>

#include "base/hash.h"
#include "base/text.h"
#include "detect/detectors.h"
#include "engine/engine_private.h"
#include "engine/report.h"
#include "model/syscall_name.h"
#include "fdtrace/syscall.h"

#define KEPT_NS 2000000000ull /* longer than ROW_IDLE_NS: what is idle now shows as idle then */
#define SNAPSHOT_NS 60000000000ull /* a table's first snapshot is waited for, but not for ever */
#define LOOK_EVERY_NS 1000000000ull
#define SPINS 3 /* failures to accept within that time */

/* A call that failed for want of descriptors, deferred to see whether its loop spins. */
struct kept_limit {
	struct fdt_error event;  /* the latest of them */
	uint64_t table, time_ns; /* time_ns: of the first */
	uint64_t open;           /* in the table then; 0: not known yet, see at the end */
	uint64_t count;          /* failures so far, in all runs of them */
	struct site *site;       /* owned reference; may be NULL */
	struct process *process; /* owned reference */
};
#define KEPT_MAX 16

/* Who held a full table most when that was last looked up. */
struct full_table {
	uint64_t table, looked_ns;
	uint32_t process; /* serial of the image that failed; 0: none yet */
	uint64_t fingerprint;
};
#define FULL_TABLES_MAX 64

struct limit_emfile {
	struct kept_limit kept[KEPT_MAX];
	unsigned int count;
	struct full_table full[FULL_TABLES_MAX]; /* by hash: the latest of each */
};

static struct limit_emfile *limit_state(struct engine *e)
{
	return detector_state(e, DETECTOR_LIMIT_EMFILE);
}

enum fullness { TABLE_FULL, TABLE_UNSURE, OTHER_LIMIT, SYSTEM_FULL };

/* Calls that fail with EMFILE for limits of their own (inotify instances, message queues ...), too. */
static bool has_own_limit(unsigned int syscall)
{
	switch (syscall) {
	case FDT_SYS_inotify_init:
	case FDT_SYS_inotify_init1:
	case FDT_SYS_fanotify_init:
	case FDT_SYS_mq_open: return true;
	default: return false;
	}
}

/* Numbers that calls of other threads may hold at this moment: they are taken, and in no slot yet. */
static uint64_t numbers_in_flight(const struct fdtable *table, uint64_t nofile)
{
	uint64_t calls = table->tasks ? table->tasks - 1 : 0;

	return calls < nofile / 16 ? calls : nofile / 16;
}

/*
 * Of a call that has no limit but the table's, a table nearly full is full: some descriptors may
 * not have been seen yet. Of one with limits of its own only the last number counts.
 */
static enum fullness limit_judge(const struct fdt_error *event, const struct fdtable *table,
				 uint64_t open)
{
	uint64_t nofile = event->nofile, full = nofile - nofile / 10;

	if (event->error == ENFILE)
		return SYSTEM_FULL;
	if (has_own_limit(event->head.syscall))
		full = nofile - numbers_in_flight(table, nofile);
	if (open >= full)
		return TABLE_FULL;
	return table->tainted || !table->complete ? TABLE_UNSURE : OTHER_LIMIT;
}

/* Everything about one failure, or several of them. */
struct failure {
	const struct fdt_error *event;
	struct actor actor;
	struct fdtable *table;
	uint64_t open, count, span_ns;
	enum fullness fullness;
};

static const char *row_noun(const struct site_row *row)
{
	uint32_t syscall = row->site ? row->site->syscall : 0;

	return syscall == FDT_SYS_accept || syscall == FDT_SYS_accept4 ? "accepted connections"
								       : "connections";
}

static const char *idle_help(const struct site_row *row)
{
	if (row->close_wait * 2 > row->asked)
		return "close a connection when recv returns 0 or fails; raising the limit only "
		       "postpones it";
	return "give idle connections a timeout (keep-alive timeout of the server); raising the "
	       "limit only postpones it";
}

static bool is_most(const struct finding *f)
{
	return f->site_count && f->sites[0].open * 2 > f->limit.open;
}

/* One row holds most of the table, and most of what was looked at of it is idle, or given up. */
static bool are_idle(const struct finding *f)
{
	const struct site_row *row = &f->sites[0];

	return is_most(f) && row->asked &&
	       (row->close_wait * 2 > row->asked || row->idle * 2 > row->asked);
}

/* What was not looked at is not counted: a sample is reported as one. */
static void limit_format_idle(struct report *r, const char *call)
{
	const struct site_row *row = &r->finding.sites[0];
	bool waits = row->close_wait * 2 > row->asked;
	uint32_t part = waits ? row->close_wait : row->idle;
	char span[32], place[160];

	site_row_format(row, place, sizeof(place));
	finding_format_time(row->idle_ns, span, sizeof(span));
	report_message(r, "%s failed with EMFILE: the table is held by %s%s%s: ", call,
		       waits ? "" : "idle ", row_noun(row),
		       waits ? " whose peers have closed" : "");
	if (row->asked < row->open)
		report_add_message(r, "%u of the %u looked at, of %llu open", part, row->asked,
				   (unsigned long long)row->open);
	else
		report_add_message(r, "%u of %llu open descriptors", part,
				   (unsigned long long)r->finding.limit.open);
	if (waits)
		report_add_message(r, " in CLOSE_WAIT, from %s", place);
	else
		report_add_message(r, ", idle for %s or longer, from %s%s", span, place,
				   row->close_wait ? " (some peers have closed)" : "");
	r->finding.help = idle_help(row);
}

static void limit_help_full(struct report *r)
{
	const struct finding *f = &r->finding;
	enum fd_kind kind = f->site_count ? f->sites[0].kind : FD_KIND_UNKNOWN;

	if (kind == FD_KIND_PIPE || kind == FD_KIND_FILE)
		report_help(r, HELP_FULL);
	else
		r->finding.help =
			"find out why the site that holds most does not close; raising the limit "
			"only postpones it";
}

/* "most of them (612 tcp) from pool.py:88 Pool.connect", "the largest part (40 tcp): to 10.0.0.9:53 ..." */
static void limit_format_holder(struct report *r)
{
	const struct finding *f = &r->finding;
	const struct site_row *row = &f->sites[0];
	char place[160];

	if (!f->site_count)
		return;
	site_row_format(row, place, sizeof(place));
	report_add_message(r, ", %s (%llu %s)%s %s",
			   is_most(f) ? "most of them" : "the largest part",
			   (unsigned long long)row->open, fd_kind_name(row->kind),
			   row->site ? " from" : ":", place);
}

/* Most of what is open was opened before the limit was lowered, and stands above it. */
static bool is_lowered(const struct failure *x)
{
	return x->open * 2 < x->table->open;
}

static void limit_format_full(struct report *r, const struct failure *x, const char *call)
{
	const struct finding *f = &r->finding;
	unsigned long long open = f->limit.open, soft = f->limit.soft, all = x->table->open;

	if (are_idle(f)) {
		limit_format_idle(r, call);
		return;
	}
	if (is_lowered(x))
		report_message(r,
			       "%s failed with EMFILE: the limit was lowered to %llu while %llu "
			       "descriptors were open, %llu of them at numbers from there on",
			       call, soft, all, all - open);
	else
		report_message(r, "%s failed with EMFILE: %llu of %llu descriptors are open", call,
			       open, soft);
	limit_format_holder(r);
	limit_help_full(r);
}

static void limit_format(struct report *r, const struct failure *x)
{
	const char *call = syscall_name(r->finding.used.syscall);
	unsigned long long open = r->finding.limit.open, soft = r->finding.limit.soft;

	switch (x->fullness) {
	case TABLE_FULL: limit_format_full(r, x, call); break;
	case TABLE_UNSURE:
		report_message(r,
			       "%s failed with EMFILE: of %llu descriptors at least %llu are open, "
			       "and not all could be followed",
			       call, soft, open);
		r->finding.help =
			"repeat the run with a larger ring.size or memory.max: see lost and "
			"refused in the summary";
		break;
	case OTHER_LIMIT:
		report_message(r,
			       "%s failed with EMFILE although only %llu of %llu descriptors are "
			       "open: another limit was hit",
			       call, open, soft);
		r->finding.help = "look at the limits of what was to be made, e.g. "
				  "fs.inotify.max_user_instances";
		break;
	case SYSTEM_FULL:
		report_message(r,
			       "%s failed with ENFILE: the whole system has no file left; this "
			       "process holds %llu",
			       call, open);
		r->finding.help = "see fs.file-nr and fs.file-max for who needs so many";
		break;
	}
}

static bool is_accept(const struct fdt_error *event)
{
	return event->head.syscall == FDT_SYS_accept || event->head.syscall == FDT_SYS_accept4;
}

static void limit_format_why(struct report *r, const struct failure *x)
{
	const struct site_row *row = r->finding.site_count ? &r->finding.sites[0] : NULL;
	unsigned long long count = x->count;

	if (count >= SPINS && is_accept(x->event))
		report_why(r,
			   "the accept loop spins: %llu failures within %llu ms, and what waits in "
			   "the backlog stays there",
			   count, (unsigned long long)x->span_ns / 1000000);
	else if (count > 1)
		report_why(r, "the call has failed %llu times in a row", count);
	if (row && row->asked)
		report_add_why(
			r, "%sof the %u looked at %u are established, %u in CLOSE_WAIT, %u idle",
			count > 1 ? "; " : "", row->asked, row->established, row->close_wait,
			row->idle);
}

/* ---- looking up who holds a table means to walk through all of it: once a second must do ---- */

static struct full_table *full_of(struct engine *e, const struct fdtable *table)
{
	return &limit_state(e)->full[(table->key * HASH_GOLDEN >> 32) % FULL_TABLES_MAX];
}

/* The fingerprint of a full table, where it is known without a walk. 0: it is not. */
static uint64_t limit_recall(struct engine *e, const struct failure *x)
{
	const struct full_table *full = full_of(e, x->table);

	if (full->table != x->table->key || full->process != x->actor.process->serial ||
	    e->now_ns - full->looked_ns >= LOOK_EVERY_NS)
		return 0;
	return full->fingerprint;
}

static void keep_in_mind(struct engine *e, const struct failure *x, uint64_t fingerprint)
{
	*full_of(e, x->table) = (struct full_table){ .table = x->table->key,
						     .looked_ns = e->now_ns,
						     .process = x->actor.process->serial,
						     .fingerprint = fingerprint };
}

/* True: it was one more of those that were reported, and has been counted. */
static bool is_counted(struct report *r, const struct failure *x)
{
	if (x->fullness == TABLE_FULL) {
		r->finding.fingerprint = limit_recall(r->engine, x);
		if (!r->finding.fingerprint)
			return false;
	}
	if (report_is_news(r))
		return false;
	report_send(r);
	return true;
}

/* Of a full table the site that holds most is to blame, wherever the call was. */
static void blame_holder(struct report *r, const struct failure *x)
{
	const struct finding *f = &r->finding;
	const struct site *holder = f->site_count ? f->sites[0].site : NULL;

	report_cause(r, RULE_LIMIT_EMFILE, holder ? holder : x->actor.site);
	keep_in_mind(r->engine, x, report_fingerprint(r));
}

static void limit_report(struct engine *e, const struct failure *x)
{
	struct site_labels labels;
	struct report r;
	struct finding *f = &r.finding;

	report_begin(&r, e, RULE_LIMIT_EMFILE, x->actor.process, x->actor.site);
	report_trust(&r, x->table, CONFIDENCE_EXACT);
	f->severity = x->fullness == OTHER_LIMIT ? SEVERITY_WARNING : SEVERITY_ERROR;
	f->first_ns = x->event->first_ns;
	f->used = actor_operation(&x->actor, x->event->error);
	f->limit = (struct finding_limit){ .present = true,
					   .soft = x->event->nofile,
					   .open = x->open };
	if (is_counted(&r, x))
		return;
	finding_sites(e, f, x->table, NULL, NULL, &labels);
	if (x->fullness == TABLE_FULL)
		blame_holder(&r, x);
	if (report_is_news(&r)) {
		finding_look_at_sites(e, f, x->table, NULL, NULL, &labels);
		if (f->site_count && x->fullness == TABLE_FULL && f->sites[0].site)
			finding_ask_idle(e, x->table, &f->sites[0], 0, ROW_IDLE_NS);
		limit_format(&r, x);
		limit_format_why(&r, x);
	}
	report_send(&r);
}

/* ---- a server that can't accept is looked at for a moment: does it try again and again? ---- */

static void limit_report_kept(struct engine *e, struct kept_limit *k, struct fdtable *table)
{
	uint64_t open = k->open ? k->open : fdtable_open_below(table, k->event.nofile);
	const struct failure x = { .event = &k->event,
				   .actor = { .process = k->process,
					      .tid = k->event.head.tid,
					      .syscall = k->event.head.syscall,
					      .site_hash = k->event.site,
					      .site = k->site,
					      .time_ns = k->time_ns },
				   .table = table,
				   .open = open,
				   .count = k->count,
				   .span_ns = e->now_ns - k->time_ns,
				   .fullness = limit_judge(&k->event, table, open) };

	limit_report(e, &x);
}

static void limit_forget(struct engine *e, unsigned int index)
{
	struct kept_limit *k = &limit_state(e)->kept[index];

	site_unref(&e->sites, k->site);
	process_unref(&e->mem, k->process);
	limit_state(e)->count--;
	for (unsigned int i = index; i < limit_state(e)->count; i++)
		limit_state(e)->kept[i] = limit_state(e)->kept[i + 1];
}

static struct kept_limit *kept_for(struct engine *e, const struct failure *x)
{
	for (unsigned int i = 0; i < limit_state(e)->count; i++)
		if (limit_state(e)->kept[i].table == x->table->key &&
		    limit_state(e)->kept[i].process == x->actor.process)
			return &limit_state(e)->kept[i];
	return NULL;
}

static void count_again(struct kept_limit *k, const struct fdt_error *event)
{
	bool same_run = event->run == k->event.run && event->count >= k->event.count;

	k->count += event->count - (same_run ? k->event.count : 0);
	k->event.count = event->count;
	k->event.run = event->run;
}

/* False: no room, it is to be reported at once. */
static bool limit_keep(struct engine *e, const struct failure *x)
{
	struct kept_limit *k = kept_for(e, x);

	if (k) {
		count_again(k, x->event);
		return true;
	}
	if (limit_state(e)->count == KEPT_MAX)
		return false;
	tasks_ask_place(e, x->actor.process);
	limit_state(e)->kept[limit_state(e)->count++] = (struct kept_limit){
		.event = *x->event,
		.table = x->table->key,
		.time_ns = e->now_ns,
		.open = x->fullness == TABLE_FULL ? x->open : 0,
		.count = x->event->count,
		.site = x->actor.site ? site_ref(x->actor.site) : NULL,
		.process = process_ref(x->actor.process),
	};
	return true;
}

static bool limit_is_due(const struct engine *e, const struct kept_limit *k,
			 const struct fdtable *table)
{
	uint64_t passed_ns = e->now_ns - k->time_ns;

	if (!k->open && !table->complete)
		return passed_ns >= SNAPSHOT_NS;
	return passed_ns >= KEPT_NS;
}

static void limit_tick(struct engine *e)
{
	for (unsigned int i = 0; i < limit_state(e)->count;) {
		struct kept_limit *k = &limit_state(e)->kept[i];
		struct fdtable *table = map_get(&e->tables, k->table);

		if (table && !limit_is_due(e, k, table)) {
			i++;
			continue;
		}
		if (table)
			limit_report_kept(e, k, table);
		limit_forget(e, i);
	}
}

static void limit_run_ended(struct engine *e, struct fdtable *table)
{
	for (unsigned int i = 0; i < limit_state(e)->count;) {
		if (limit_state(e)->kept[i].table != table->key) {
			i++;
			continue;
		}
		limit_report_kept(e, &limit_state(e)->kept[i], table);
		limit_forget(e, i);
	}
}

static void limit_table_ended(struct engine *e, struct fdtable *table)
{
	if (!table->replaced)
		limit_run_ended(e, table);
}

static void limit_done(struct engine *e)
{
	while (limit_state(e)->count)
		limit_forget(e, 0);
}

static void limit_failed(struct engine *e, const struct fdt_error *event, const struct actor *actor,
			 struct fdtable *table)
{
	struct failure x = {
		.event = event, .actor = *actor, .table = table, .count = event->count
	};

	if (event->error == EBADF)
		return;
	/* numbers above (it was lowered, or they were inherited) take no place */
	x.open = fdtable_open_below(table, event->nofile);
	x.fullness = limit_judge(event, table, x.open);
	/* Others fail beside an accept loop: one table is full, once. */
	if (x.fullness == TABLE_FULL && (is_accept(event) || kept_for(e, &x)) && limit_keep(e, &x))
		return;
	/* Its snapshot is on its way: until then nobody can say what is open. */
	if (!table->complete && x.fullness == TABLE_UNSURE && limit_keep(e, &x))
		return;
	limit_report(e, &x);
}

const struct detector detector_limit_emfile = {
	.name = "limit.emfile",
	.id = DETECTOR_LIMIT_EMFILE,
	.rules = RULE_BIT(LIMIT_EMFILE),
	.state_bytes = sizeof(struct limit_emfile),
	.failed = limit_failed,
	.table_ended = limit_table_ended,
	.run_ended = limit_run_ended,
	.tick = limit_tick,
	.done = limit_done,
};
