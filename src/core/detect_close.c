// SPDX-License-Identifier: BSD-2-Clause
/*
 * What an EBADF tells. The number is empty (the kernel side has looked), so the question is
 * who ended its last generation, and whether the one who fails now is hurt by that:
 *   close.unowned  another thread had closed what this one still used
 *   use.closed     this thread itself had closed it
 *   close.double   it is a close that fails: nobody is hurt
 * The one to blame is always the last closer; never the bystander who got the number since.
 */
#include <errno.h>
#include <stdio.h>

#include "core/hash.h"
#include "core/state.h"
#include "core/syscall_name.h"
#include "fdtrace/syscall.h"

/* A failure is kept back this long where it may turn out to belong to a sweep. */
#define KEEP_BACK_NS 300000000ull

/* Opens and closes are timed by the kernel's tick, which may be as slow as 100 Hz. */
#define TICK_NS 10000000ull

static void format_span(uint64_t ns, char *buffer, size_t size)
{
	if (ns < TICK_NS)
		snprintf(buffer, size, "less than 10 ms");
	else if (ns < 1000000000ull)
		snprintf(buffer, size, "%.0f ms", ns / 1e6);
	else
		snprintf(buffer, size, "%.1f s", ns / 1e9);
}

static uint64_t since(uint64_t later_ns, uint64_t earlier_ns)
{
	return later_ns > earlier_ns ? later_ns - earlier_ns : 0;
}

/* Calls that ask whether a number is open, or tidy up after it: their EBADF hurts nobody. */
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

static void describe_past(struct engine *e, struct finding *f, const struct past *past, uint32_t fd,
			  char *what, size_t size)
{
	f->descriptor = (struct descriptor){ .fd = fd,
					     .generation = past->generation,
					     .kind = past->kind,
					     .name = names_get_key(&e->names, past->name) };
	finding_describe(&f->descriptor, what, size);
	f->opened = party_past_opened(past);
	f->closed = party_past_closed(past);
	finding_history(e, f, past->next);
}

/* Did the closer end an earlier generation of the number as well? That makes the last close its second. */
static const struct lifetime *closed_before(const struct finding *f)
{
	for (unsigned int i = 0; i < f->history_count; i++)
		if (f->history[i].closed.known && f->history[i].closed.tid == f->closed.tid)
			return &f->history[i];
	return NULL;
}

static void explain_unowned(const struct finding *f, char *why, size_t size)
{
	const struct lifetime *before = closed_before(f);
	char ago[40], earlier[40];

	format_span(since(f->used.time_ns, f->closed.time_ns), ago, sizeof(ago));
	if (before) {
		format_span(since(f->closed.time_ns, before->closed.time_ns), earlier,
			    sizeof(earlier));
		snprintf(why, size,
			 "tid %u had closed generation %u of number %d %s before, then closed the "
			 "number again; %s later %s failed with EBADF",
			 f->closed.tid, before->generation, f->descriptor.fd, earlier, ago,
			 syscall_name(f->used.syscall));
	} else if (f->opened.known) {
		snprintf(why, size,
			 "opened by tid %u, closed by tid %u, then %s failed with EBADF %s later",
			 f->opened.tid, f->closed.tid, syscall_name(f->used.syscall), ago);
	} else {
		snprintf(why, size, "closed by tid %u, then %s failed with EBADF %s later",
			 f->closed.tid, syscall_name(f->used.syscall), ago);
	}
}

static uint64_t place_of(const struct actor *actor)
{
	uint64_t hash = hash_text(HASH_START, syscall_name(actor->syscall));

	return actor->site_hash ? hash_number(hash, actor->site_hash) : hash;
}

static void report_unowned(struct engine *e, struct finding *f, const struct fdtable *table,
			   const struct past *past, const char *what)
{
	char message[320], why[384], closer[64];

	f->rule = RULE_CLOSE_UNOWNED;
	f->severity = SEVERITY_ERROR;
	f->closed_is_culprit = true;
	f->confidence = finding_confidence(table, CONFIDENCE_EXACT);
	f->fingerprint = finding_fingerprint(
		f->rule, f->process, past->closed_at ? site_fingerprint(past->closed_at) : 0);
	if (f->closed.pid == f->used.pid)
		snprintf(closer, sizeof(closer), "tid %u", f->closed.tid);
	else
		snprintf(closer, sizeof(closer), "%s[%u]", f->closed.name, f->closed.pid);
	snprintf(message, sizeof(message), "%s was closed by %s while tid %u still used it", what,
		 closer, f->used.tid);
	explain_unowned(f, why, sizeof(why));
	f->message = message;
	f->why = why;
	f->help = "let one owner close the descriptor, after every user is done; remove the other "
		  "close";
	finding_report(e, f);
}

static void report_used_closed(struct engine *e, struct finding *f, const struct fdtable *table,
			       const struct actor *actor, const char *what)
{
	char message[256], why[256], ago[40];

	f->rule = RULE_USE_CLOSED;
	f->severity = SEVERITY_WARNING;
	f->confidence =
		finding_confidence(table, f->closed.known ? CONFIDENCE_EXACT : CONFIDENCE_INFERRED);
	f->fingerprint = finding_fingerprint(f->rule, f->process, place_of(actor));
	format_span(since(f->used.time_ns, f->closed.time_ns), ago, sizeof(ago));
	snprintf(message, sizeof(message), "tid %u called %s on %s, which %s had closed",
		 f->used.tid, syscall_name(f->used.syscall), what,
		 f->closed.known ? "it" : "somebody");
	snprintf(why, sizeof(why),
		 "closed %s before the call, which failed with EBADF; nobody has had the number "
		 "since",
		 ago);
	f->message = message;
	f->why = why;
	f->help = "forget the number when it is closed (set it to -1, or drop the object that "
		  "holds it)";
	finding_report(e, f);
}

/* The call was a use of the number: who ended its last generation? */
static void judge_use(struct engine *e, const struct actor *actor, struct fdtable *table,
		      int32_t fd, const struct past *past)
{
	struct finding f = { .process = actor->process,
			     .used = party_actor(actor, EBADF),
			     .first_ns = past->closed_ns };
	char what[160];

	if (past->flags & PAST_SWEPT && sweep_hurt(e, table, past, fd, actor))
		return;
	if (past->ending == END_EXEC)
		return; /* a number from before the exec: not this program's mistake with a descriptor */
	describe_past(e, &f, past, fd, what, sizeof(what));
	if (f.closed.known && f.closed.tid != actor->tid)
		report_unowned(e, &f, table, past, what);
	else
		report_used_closed(e, &f, table, actor, what);
}

static void judge_close(struct engine *e, const struct actor *actor, struct fdtable *table,
			int32_t fd, const struct past *past)
{
	struct finding f = { .rule = RULE_CLOSE_DOUBLE,
			     .severity = SEVERITY_INFO,
			     .process = actor->process,
			     .used = party_actor(actor, EBADF),
			     .first_ns = past->closed_ns };
	char message[256], why[160], what[160], ago[40];

	if (past->flags & PAST_SWEPT)
		return;
	describe_past(e, &f, past, fd, what, sizeof(what));
	f.confidence = finding_confidence(table, CONFIDENCE_EXACT);
	f.fingerprint = finding_fingerprint(f.rule, actor->process, place_of(actor));
	format_span(since(actor->time_ns, past->closed_ns), ago, sizeof(ago));
	snprintf(message, sizeof(message), "%s was closed twice by %s", what,
		 process_program(actor->process));
	snprintf(why, sizeof(why),
		 "the second close came %s after the first and failed with EBADF; nobody had the "
		 "number in between",
		 ago);
	f.message = message;
	f.why = why;
	f.help = "harmless this time; had another thread opened a file in between, its number "
		 "would be gone";
	finding_report(e, &f);
}

static void judge(struct engine *e, const struct actor *actor, struct fdtable *table, int32_t fd,
		  const struct past *past)
{
	if (actor->syscall == FDT_SYS_close)
		judge_close(e, actor, table, fd, past);
	else
		judge_use(e, actor, table, fd, past);
}

/* table NULL: it is gone, or nothing is to be said. */
static void settle(struct engine *e, unsigned int index, struct fdtable *table)
{
	struct kept_failure kept = e->kept_failures[index];
	struct actor actor = { .process = kept.process,
			       .tid = kept.tid,
			       .syscall = kept.syscall,
			       .site_hash = kept.site_hash,
			       .time_ns = kept.time_ns };
	const struct past *past = table ? finding_past(e, table, kept.fd, kept.generation) : NULL;

	e->kept_failures[index] = e->kept_failures[--e->kept_failure_count];
	if (past)
		judge(e, &actor, table, kept.fd, past);
	process_unref(&e->mem, kept.process);
}

static void keep_back(struct engine *e, const struct actor *actor, const struct fdtable *table,
		      int32_t fd, const struct past *past)
{
	if (e->kept_failure_count == KEPT_FAILURES_MAX)
		settle(e, 0, map_get(&e->tables, e->kept_failures[0].table));
	e->kept_failures[e->kept_failure_count++] =
		(struct kept_failure){ .table = table->key,
				       .site_hash = actor->site_hash,
				       .time_ns = actor->time_ns,
				       .tid = actor->tid,
				       .syscall = actor->syscall,
				       .fd = fd,
				       .generation = past->generation,
				       .process = process_ref(actor->process) };
}

void close_failed(struct engine *e, const struct fdt_error *event, const struct actor *actor,
		  struct fdtable *table)
{
	const struct slot *slot = event->fd >= 0 ? fdtable_slot(table, event->fd) : NULL;
	const struct past *past =
		slot && !slot->file && slot->past ? past_at(&e->pasts, slot->past) : NULL;
	bool is_close = event->head.syscall == FDT_SYS_close;

	if (!(event->head.flags & FDT_ERR_EMPTY))
		return; /* open after all, for the other access mode */
	if (is_close && sweep_failed(e, table, event, actor))
		return;
	if (!past || event->count != 1 || (!is_close && is_probe(event->head.syscall)))
		return; /* never seen open; the rest of a run that has been judged; a question */
	if (is_close || sweep_in_progress(e, table, past))
		keep_back(e, actor, table, event->fd, past);
	else
		judge_use(e, actor, table, event->fd, past);
}

void close_tick(struct engine *e)
{
	for (unsigned int i = e->kept_failure_count; i-- > 0;) {
		const struct kept_failure *kept = &e->kept_failures[i];

		if (e->now_ns - kept->time_ns >= KEEP_BACK_NS)
			settle(e, i, map_get(&e->tables, kept->table));
	}
}

void close_table_died(struct engine *e, struct fdtable *table)
{
	for (unsigned int i = e->kept_failure_count; i-- > 0;)
		if (e->kept_failures[i].table == table->key)
			settle(e, i, table);
}

void close_forget(struct engine *e, uint32_t tid, uint64_t table)
{
	for (unsigned int i = e->kept_failure_count; i-- > 0;) {
		const struct kept_failure *kept = &e->kept_failures[i];

		if (kept->tid == tid && kept->table == table && kept->syscall == FDT_SYS_close)
			settle(e, i, NULL);
	}
}

void close_done(struct engine *e)
{
	while (e->kept_failure_count)
		settle(e, e->kept_failure_count - 1, NULL);
}
