// SPDX-License-Identifier: BSD-2-Clause
/*
 * What an EBADF means. The number is empty (the kernel side has looked), so the question is
 * who ended its last generation, and whether the one that fails now is affected by that:
 *   close.unowned  another thread had closed what this one still used
 *   use.closed     this thread itself had closed it
 *   close.double   it is a close that fails: there is no visible effect
 * The one to blame is always the last closer; never the bystander who got the number since.
 */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "detect/detectors.h"
#include "detect/close_sweep.h"
#include "detect/close_unowned.h"
#include "engine/engine_private.h"
#include "engine/report.h"
#include "model/syscall_name.h"
#include "fdtrace/syscall.h"

/* A failure is deferred this long where it may turn out to belong to a sweep. */
#define DEFER_NS 300000000ull

/* Opens and closes are timed by the kernel's tick, which may be as slow as 100 Hz. */
#define TICK_NS 10000000ull

/* A call that failed with EBADF, deferred for a moment: a sweep may turn out to be behind it. */
struct deferred_failure {
	uint64_t table, time_ns;
	struct site *site; /* owned reference; may be NULL */
	uint32_t tid, syscall, fd;
	uint32_t generation;     /* of the number's newest past then */
	struct process *process; /* owned reference */
};
#define DEFERRED_MAX 256

struct close_unowned {
	struct deferred_failure deferred[DEFERRED_MAX]; /* oldest first */
	unsigned int count;
};

static void format_span(uint64_t ns, char *buffer, size_t size)
{
	if (ns < TICK_NS)
		text_format(buffer, size, "less than 10 ms");
	else if (ns < SEC_NS)
		text_format(buffer, size, "%.0f ms", ns / 1e6);
	else
		text_format(buffer, size, "%.1f s", ns / 1e9);
}

static uint64_t close_since(uint64_t later_ns, uint64_t earlier_ns)
{
	return later_ns > earlier_ns ? later_ns - earlier_ns : 0;
}

/* Calls that ask whether a number is open, or tidy up after it: their EBADF harms nobody. */
static bool is_probe(unsigned int syscall)
{
	switch (syscall) {
	case FDT_SYS_fcntl:
	case FDT_SYS_fstat:
	case FDT_SYS_newfstatat:
	case FDT_SYS_statx:
	case FDT_SYS_dup:
	case FDT_SYS_dup2:
	case FDT_SYS_dup3:
	case FDT_SYS_epoll_ctl:
	case FDT_SYS_close:
	case FDT_SYS_close_range:
	case FDT_SYS_ioctl: return true;
	default: return false;
	}
}

static void describe_past(struct engine *e, struct finding *f, const struct past *past, uint32_t fd)
{
	f->descriptor = (struct descriptor){ .fd = fd,
					     .generation = past->generation,
					     .kind = past->kind,
					     .name = names_get_key(&e->names, past->name) };
	f->opened = party_past_opened(past);
	f->closed = party_past_closed(past);
	finding_history(e, f, past->next);
}

static bool same_image(const struct party *a, const struct party *b)
{
	return a->site && b->site && a->site->process == b->site->process;
}

/* Did the closer end the generation before as well? That makes the last close its second. */
static const struct lifetime *closed_before(const struct finding *f)
{
	for (unsigned int i = 0; i < f->history_count; i++) {
		const struct lifetime *l = &f->history[i];

		if (l->generation + 1 != f->descriptor.generation)
			continue;
		return l->closed.known && l->closed.tid == f->closed.tid &&
				       same_image(&l->closed, &f->closed)
			       ? l
			       : NULL;
	}
	return NULL;
}

static void explain_unowned(struct report *r)
{
	const struct finding *f = &r->finding;
	const struct lifetime *before = closed_before(f);
	const char *call = syscall_name(f->used.syscall);
	char ago[40], earlier[40];

	format_span(close_since(f->used.time_ns, f->closed.time_ns), ago, sizeof(ago));
	if (before) {
		format_span(close_since(f->closed.time_ns, before->closed.time_ns), earlier,
			    sizeof(earlier));
		report_why(
			r,
			"tid %u had closed generation %u of number %d %s before, then closed the "
			"number again; %s later %s failed with EBADF",
			f->closed.tid, before->generation, f->descriptor.fd, earlier, ago, call);
	} else if (f->opened.known) {
		report_why(r,
			   "opened by tid %u, closed by tid %u, then %s failed with EBADF %s later",
			   f->opened.tid, f->closed.tid, call, ago);
	} else {
		report_why(r, "closed by tid %u, then %s failed with EBADF %s later", f->closed.tid,
			   call, ago);
	}
}

#define BY_OBJECT (FDT_SITE_FINALIZER | FDT_SITE_COLLECTOR)

static uint64_t caller_of(const struct party *party)
{
	return party->known && party->site ? stack_caller(party->site->stack) : 0;
}

/* socket.close() and its like, which close on an object's behalf, are written in Python. */
static bool by_library(const struct stack *stack)
{
	int library = stack_next_frame(stack, FRAME_LIBRARY, 0);

	return library >= 0 && library < stack_next_frame(stack, FRAME_APPLICATION, 0);
}

/* An interpreter with its symbols shows it; otherwise earlier generations show how such objects close. */
static bool closed_as_objects_do(const struct finding *f)
{
	if (site_flags(f->closed.site) & BY_OBJECT)
		return true;
	for (unsigned int i = 1; i < f->history_count; i++)
		if (caller_of(&f->history[i].opened) == caller_of(&f->opened) &&
		    caller_of(&f->history[i].closed) == caller_of(&f->closed))
			return true;
	return false;
}

/*
 * An object whose descriptor was closed behind its back (os.close(file.fileno())) closes the
 * number again when it goes. One thread may do all that, so that its number alone does not
 * show whose close it was. What does is this: the last close was one that objects make; the
 * generation before was opened by the same function of the interpreter as this one, so it had an
 * object of that kind, but the application closed it, and by another function than such objects
 * close with. Had the object been closed as it should, that function would be the same; then
 * the last close was that of the descriptor's own object, and the user kept a number too long.
 */
static bool closed_by_stale_object(const struct finding *f)
{
	const struct lifetime *before = &f->history[0];

	if (!f->history_count || !f->closed.known || !before->closed.known ||
	    before->closed.pid != f->closed.pid || before->closed.syscall != FDT_SYS_close)
		return false;
	if (site_flags(f->closed.site) & FDT_SITE_AT_EXIT ||
	    site_flags(before->closed.site) & (BY_OBJECT | FDT_SITE_AT_EXIT))
		return false;
	if (stack_best_rank(before->closed.site->stack) != FRAME_APPLICATION ||
	    by_library(before->closed.site->stack))
		return false;
	return caller_of(&f->opened) && caller_of(&f->opened) == caller_of(&before->opened) &&
	       caller_of(&f->closed) && caller_of(&before->closed) &&
	       caller_of(&f->closed) != caller_of(&before->closed) && closed_as_objects_do(f);
}

static void explain_stale(struct report *r)
{
	const struct finding *f = &r->finding;
	const struct lifetime *before = &f->history[0];
	char where[96], ago[40];

	site_format(before->closed.site, where, sizeof(where));
	format_span(close_since(f->used.time_ns, f->closed.time_ns), ago, sizeof(ago));
	report_why(r,
		   "generation %u of number %d had been closed in %s and not by the object that "
		   "opened it; that object then closed the number again, which by then belonged "
		   "to another file; %s later %s failed with EBADF",
		   before->generation, f->descriptor.fd, where, ago, syscall_name(f->used.syscall));
}

/* "worker()", "a finalizer in drop()"; "" where the stack names no function. */
static void name_function(const struct party *party, char *buffer, size_t size)
{
	char function[64];
	unsigned int flags;

	buffer[0] = '\0';
	if (!party->site)
		return;
	site_format_function(party->site, function, sizeof(function));
	flags = party->syscall == FDT_SYS_close ? site_flags(party->site) : 0;
	if (function[0])
		text_format(buffer, size, "%s%s%s",
			    flags & FDT_SITE_COLLECTOR   ? "the garbage collector in "
			    : flags & FDT_SITE_FINALIZER ? "a finalizer in "
							 : "",
			    function, function[0] == '<' ? "" : "()");
}

/* The two by function, or by line where they are in one; by thread where no stack is known. */
static void name_parties(const struct finding *f, char *closer, char *user, size_t size)
{
	name_function(&f->closed, closer, size);
	name_function(&f->used, user, size);
	if (closer[0] && strcmp(closer, user) == 0) {
		site_format(f->closed.site, closer, size);
		site_format(f->used.site, user, size);
	}
	if (!user[0])
		text_format(user, size, "tid %u", f->used.tid);
	if (f->closed.pid != f->used.pid)
		text_format(closer, size, "%s[%u]", f->closed.name, f->closed.pid);
	else if (!closer[0] || strcmp(closer, user) == 0)
		text_format(closer, size, "tid %u", f->closed.tid);
}

static void unowned_format(struct report *r, bool is_stale)
{
	char what[160], closer[96], user[96];

	finding_describe(&r->finding.descriptor, what, sizeof(what));
	name_parties(&r->finding, closer, user, sizeof(closer));
	report_message(r, "%s was closed by %s while %s still used it", what, closer, user);
	if (is_stale)
		explain_stale(r);
	else
		explain_unowned(r);
	report_help(r, HELP_OWNER);
}

static void unowned_report(struct report *r, const struct fdtable *table)
{
	struct finding *f = &r->finding;
	bool is_stale = f->closed.tid == f->used.tid;

	report_cause(r, RULE_CLOSE_UNOWNED, f->closed.site);
	report_trust(r, table, is_stale ? CONFIDENCE_INFERRED : CONFIDENCE_EXACT);
	f->closed_is_culprit = true;
	if (report_is_news(r))
		unowned_format(r, is_stale);
	report_send(r);
}

static void used_closed_format(struct report *r)
{
	const struct finding *f = &r->finding;
	char what[160], ago[40];

	finding_describe(&f->descriptor, what, sizeof(what));
	format_span(close_since(f->used.time_ns, f->closed.time_ns), ago, sizeof(ago));
	report_message(r, "tid %u called %s on %s, which %s had closed", f->used.tid,
		       syscall_name(f->used.syscall), what, f->closed.known ? "it" : "somebody");
	report_why(r,
		   "closed %s before the call, which failed with EBADF; nobody has had the number "
		   "since",
		   ago);
	report_help(r, HELP_USE);
}

static void used_closed_report(struct report *r, const struct fdtable *table)
{
	report_cause(r, RULE_USE_CLOSED, r->finding.used.site);
	report_trust(r, table, r->finding.closed.known ? CONFIDENCE_EXACT : CONFIDENCE_INFERRED);
	if (report_is_news(r))
		used_closed_format(r);
	report_send(r);
}

/*
 * Whose number does the user believe it has? Where it opened one itself, and all that had the
 * number since opened and closed it in one thread, they are bystanders: what counts is how the
 * user's own generation ended.
 */
static const struct past *generation_meant(const struct engine *e, const struct past *newest,
					   const struct actor *actor)
{
	for (const struct past *past = newest; past; past = past_at(&e->pasts, past->next)) {
		if (past->opened_at && past->opener_tid == actor->tid)
			return past->opened_at->process == actor->process ? past : newest;
		if (past->opener_tid != past->closer_tid || !past->next)
			break;
	}
	return newest;
}

/* Those who had the number since belong to its story, too. */
static void add_bystanders(struct engine *e, struct finding *f, const struct past *newest)
{
	const struct past *past = newest;
	struct lifetime later[FINDING_HISTORY_MAX];
	unsigned int count = 0, kept;

	for (; past->generation != f->descriptor.generation; past = past_at(&e->pasts, past->next))
		if (count < FINDING_HISTORY_MAX)
			later[count++] = (struct lifetime){ .generation = past->generation,
							    .kind = past->kind,
							    .opened = party_past_opened(past),
							    .closed = party_past_closed(past) };
	kept = FINDING_HISTORY_MAX - count;
	if (f->history_count < kept)
		kept = f->history_count;
	memmove(f->history + count, f->history, kept * sizeof(later[0]));
	memcpy(f->history, later, count * sizeof(later[0]));
	f->history_count = count + kept;
}

/* The call was a use of the number: who ended its last generation? */
static void judge_use(struct engine *e, const struct actor *actor, struct fdtable *table,
		      int32_t fd, const struct past *past)
{
	const struct past *newest = past;
	struct report r;
	struct finding *f = &r.finding;
	bool is_stale;

	if (past->flags & PAST_SWEPT && sweep_affected(e, table, past, fd, actor))
		return;
	if (past->ending == END_EXEC)
		return; /* a number from before the exec: not this program's mistake with a descriptor */
	report_begin(&r, e, RULE_USE_CLOSED, actor->process, NULL); /* or RULE_CLOSE_UNOWNED */
	f->used = party_actor(actor, EBADF);
	f->first_ns = newest->closed_ns;
	past = generation_meant(e, newest, actor);
	describe_past(e, f, past, fd);
	is_stale = past == newest && closed_by_stale_object(f);
	add_bystanders(e, f, newest);
	if (f->closed.known && (f->closed.tid != actor->tid || is_stale))
		unowned_report(&r, table);
	else
		used_closed_report(&r, table);
}

static void double_format(struct report *r)
{
	const struct finding *f = &r->finding;
	char what[160], ago[40];

	finding_describe(&f->descriptor, what, sizeof(what));
	format_span(close_since(f->used.time_ns, f->first_ns), ago, sizeof(ago));
	report_message(r, "%s was closed twice by %s", what, process_program(f->process));
	report_why(r,
		   "the second close came %s after the first and failed with EBADF; nobody had the "
		   "number in between",
		   ago);
	report_help(r, HELP_DOUBLE);
}

static void judge_close(struct engine *e, const struct actor *actor, struct fdtable *table,
			int32_t fd, const struct past *past)
{
	struct report r;

	if (past->flags & PAST_SWEPT)
		return;
	report_begin(&r, e, RULE_CLOSE_DOUBLE, actor->process, site_now(actor->site));
	report_trust(&r, table, CONFIDENCE_EXACT);
	r.finding.used = party_actor(actor, EBADF);
	r.finding.first_ns = past->closed_ns;
	describe_past(e, &r.finding, past, fd);
	if (report_is_news(&r))
		double_format(&r);
	report_send(&r);
}

static void close_judge(struct engine *e, const struct actor *actor, struct fdtable *table,
			int32_t fd, const struct past *past)
{
	if (actor->syscall == FDT_SYS_close)
		judge_close(e, actor, table, fd, past);
	else
		judge_use(e, actor, table, fd, past);
}

/* table NULL: it is gone, or nothing is to be said. */
static void close_resolve(struct engine *e, unsigned int index, struct fdtable *table)
{
	struct close_unowned *state = detector_state(e, DETECTOR_CLOSE_UNOWNED);
	struct deferred_failure deferred = state->deferred[index];
	struct actor actor = { .process = deferred.process,
			       .tid = deferred.tid,
			       .syscall = deferred.syscall,
			       .site = deferred.site,
			       .time_ns = deferred.time_ns };
	const struct past *past =
		table ? finding_past(e, table, deferred.fd, deferred.generation) : NULL;

	/* In order: of too many, the oldest is resolved, while its past is still known. */
	memmove(&state->deferred[index], &state->deferred[index + 1],
		(--state->count - index) * sizeof(deferred));
	if (past)
		close_judge(e, &actor, table, deferred.fd, past);
	site_unref(&e->sites, deferred.site);
	process_unref(&e->mem, deferred.process);
}

/*
 * Deferred failures of earlier generations of the number are resolved first: two failures of one
 * number are no loop over numbers, and only the latest generations are remembered.
 */
static void close_resolve_number(struct engine *e, struct fdtable *table, int32_t fd)
{
	const struct close_unowned *state = detector_state(e, DETECTOR_CLOSE_UNOWNED);

	for (unsigned int i = 0; i < state->count; i++) {
		const struct deferred_failure *deferred = &state->deferred[i];

		if (deferred->fd == (uint32_t)fd && deferred->table == table->key) {
			close_resolve(e, i, table);
			return;
		}
	}
}

static void close_defer(struct engine *e, const struct actor *actor, struct fdtable *table,
			int32_t fd, const struct past *past)
{
	struct close_unowned *state = detector_state(e, DETECTOR_CLOSE_UNOWNED);

	close_resolve_number(e, table, fd);
	if (state->count == DEFERRED_MAX)
		close_resolve(e, 0, map_get(&e->tables, state->deferred[0].table));
	tasks_ask_place(e, actor->process);
	state->deferred[state->count++] =
		(struct deferred_failure){ .table = table->key,
					   .site = actor->site ? site_ref(actor->site) : NULL,
					   .time_ns = actor->time_ns,
					   .tid = actor->tid,
					   .syscall = actor->syscall,
					   .fd = fd,
					   .generation = past->generation,
					   .process = process_ref(actor->process) };
}

static void close_failed(struct engine *e, const struct fdt_error *event, const struct actor *actor,
			 struct fdtable *table)
{
	const struct slot *slot = event->fd >= 0 ? fdtable_slot(table, event->fd) : NULL;
	const struct past *past =
		slot && !slot->file && slot->past ? past_at(&e->pasts, slot->past) : NULL;
	bool is_close = event->head.syscall == FDT_SYS_close;

	if (event->error != EBADF || !(event->head.flags & FDT_ERR_EMPTY))
		return; /* or open after all, for the other access mode */
	if (is_close && sweep_failed(e, table, event, actor))
		return;
	if (event->head.syscall == FDT_SYS_fcntl)
		sweep_probed(e, table, event, actor);
	if (!past || event->count != 1 || (!is_close && is_probe(event->head.syscall)))
		return; /* never seen open; the rest of a run that has been judged; a question */
	if (is_close || sweep_in_progress(e, table, past))
		close_defer(e, actor, table, event->fd, past);
	else
		judge_use(e, actor, table, event->fd, past);
}

static void close_tick(struct engine *e)
{
	const struct close_unowned *state = detector_state(e, DETECTOR_CLOSE_UNOWNED);

	for (unsigned int i = state->count; i-- > 0;) {
		const struct deferred_failure *deferred = &state->deferred[i];

		if (e->now_ns - deferred->time_ns >= DEFER_NS)
			close_resolve(e, i, map_get(&e->tables, deferred->table));
	}
}

static void close_table_ended(struct engine *e, struct fdtable *table)
{
	const struct close_unowned *state = detector_state(e, DETECTOR_CLOSE_UNOWNED);

	for (unsigned int i = state->count; i-- > 0;)
		if (state->deferred[i].table == table->key)
			close_resolve(e, i, table);
}

void close_forget(struct engine *e, uint32_t tid, uint64_t table)
{
	const struct close_unowned *state = detector_state(e, DETECTOR_CLOSE_UNOWNED);

	for (unsigned int i = state->count; i-- > 0;) {
		const struct deferred_failure *deferred = &state->deferred[i];

		if (deferred->tid == tid && deferred->table == table &&
		    deferred->syscall == FDT_SYS_close)
			close_resolve(e, i, NULL);
	}
}

static void close_done(struct engine *e)
{
	const struct close_unowned *state = detector_state(e, DETECTOR_CLOSE_UNOWNED);

	while (state->count)
		close_resolve(e, state->count - 1, NULL);
}

const struct detector detector_close_unowned = {
	.name = "close.unowned",
	.id = DETECTOR_CLOSE_UNOWNED,
	.rules = RULE_BIT(CLOSE_UNOWNED) | RULE_BIT(CLOSE_DOUBLE) | RULE_BIT(USE_CLOSED),
	.serves = RULE_BIT(CLOSE_SWEEP),
	.state_bytes = sizeof(struct close_unowned),
	.failed = close_failed,
	.address_ended = close_table_ended,
	.run_ended = close_table_ended,
	.tick = close_tick,
	.done = close_done,
};
