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
#include "detect/close_meant.h"
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
	int32_t last_fd;         /* of a run of failures on neighbouring numbers; else as fd */
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
	case FDT_SYS_getsockname:
	case FDT_SYS_getpeername:
	case FDT_SYS_getsockopt:
	case FDT_SYS_ioctl: return true;
	default: return false;
	}
}

static void describe_ended(struct engine *e, struct finding *f, const struct ended *ended,
			   uint32_t fd)
{
	f->descriptor =
		(struct descriptor){ .fd = fd,
				     .generation = ended->generation,
				     .kind = ended->kind,
				     .name = names_get_key(&e->names, ended->name, ended->named) };
	f->opened = ended_opening(ended);
	f->closed = ended_closing(ended);
	finding_history(e, f, ended->next);
}

static bool same_image(const struct operation *a, const struct operation *b)
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

/* How a call says that a number is closed: poll() has a way of its own. */
static const char *use_outcome(unsigned int syscall)
{
	return syscall == FDT_SYS_poll || syscall == FDT_SYS_ppoll ? "reported POLLNVAL"
								   : "failed with EBADF";
}

static void explain_unowned(struct report *r)
{
	const struct finding *f = &r->finding;
	const struct lifetime *before = closed_before(f);
	const char *call = syscall_name(f->used.syscall), *outcome = use_outcome(f->used.syscall);
	char ago[40], earlier[40];

	format_span(close_since(f->used.time_ns, f->closed.time_ns), ago, sizeof(ago));
	if (before) {
		format_span(close_since(f->closed.time_ns, before->closed.time_ns), earlier,
			    sizeof(earlier));
		report_why(
			r,
			"tid %u had closed generation %u of number %d %s before, then closed the "
			"number again; %s later %s %s",
			f->closed.tid, before->generation, f->descriptor.fd, earlier, ago, call,
			outcome);
	} else if (f->opened.known) {
		report_why(r, "opened by tid %u, closed by tid %u, then %s %s %s later",
			   f->opened.tid, f->closed.tid, call, outcome, ago);
	} else {
		report_why(r, "closed by tid %u, then %s %s %s later", f->closed.tid, call, outcome,
			   ago);
	}
}

#define BY_OBJECT (FDT_SITE_FINALIZER | FDT_SITE_COLLECTOR)

static uint64_t caller_of(const struct operation *operation)
{
	return operation->known && operation->site ? stack_caller(operation->site->stack) : 0;
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
		   "to another file; %s later %s %s",
		   before->generation, f->descriptor.fd, where, ago, syscall_name(f->used.syscall),
		   use_outcome(f->used.syscall));
}

static bool is_opened_elsewhere(const struct site *a, const struct site *b)
{
	return a && b && a->stack && b->stack && a->process == b->process &&
	       !stack_same_line(a->stack, b->stack) && stack_best_rank(a->stack) < FRAME_SYSTEM;
}

static bool is_closed_alike(const struct site *a, const struct site *b)
{
	return a && b && a->process == b->process && stack_same_line(a->stack, b->stack);
}

/* Waits for any of many numbers: an event loop goes on with one that it has closed. */
static bool is_wait(unsigned int syscall)
{
	switch (syscall) {
	case FDT_SYS_poll:
	case FDT_SYS_ppoll:
	case FDT_SYS_select:
	case FDT_SYS_pselect6:
	case FDT_SYS_epoll_wait:
	case FDT_SYS_epoll_pwait:
	case FDT_SYS_epoll_pwait2: return true;
	default: return false;
	}
}

/*
 * Threads say nothing where an event loop or a scheduler of coroutines runs all there is in one.
 * Places do: one that closed this generation and the one before, which another place had opened,
 * closed the number twice.
 */
static bool is_same_place(struct engine *e, const struct actor *actor, const struct ended *ended)
{
	const struct ended *before = ended->next ? ended_at(&e->ended, ended->next) : NULL;

	if (is_wait(actor->syscall) || ended->closer_tid != actor->tid || !before ||
	    before->generation + 1 != ended->generation || ended->ending != END_CLOSE ||
	    before->ending != END_CLOSE || (ended->flags | before->flags) & ENDED_SWEPT)
		return false;
	return is_opened_elsewhere(site_now(ended->opened_at), site_now(before->opened_at)) &&
	       is_closed_alike(site_now(ended->closed_at), site_now(before->closed_at));
}

static void explain_one_place(struct report *r)
{
	const struct finding *f = &r->finding;
	char where[96], opener[96], ago[40];

	site_format(f->closed.site, where, sizeof(where));
	site_format(f->opened.site, opener, sizeof(opener));
	format_span(close_since(f->used.time_ns, f->closed.time_ns), ago, sizeof(ago));
	report_why(r,
		   "%s had closed generation %u of number %d before, and closed the number again, "
		   "which by then %s had opened; %s later %s %s",
		   where, f->descriptor.generation - 1, f->descriptor.fd, opener, ago,
		   syscall_name(f->used.syscall), use_outcome(f->used.syscall));
}

/* "worker()", "a finalizer in drop()"; "" where the stack names no function. */
static void name_function(const struct operation *operation, char *buffer, size_t size)
{
	char function[64];
	unsigned int flags;

	buffer[0] = '\0';
	if (!operation->site)
		return;
	site_format_function(operation->site, function, sizeof(function));
	flags = operation->syscall == FDT_SYS_close ? site_flags(operation->site) : 0;
	if (function[0])
		text_format(buffer, size, "%s%s%s",
			    flags & FDT_SITE_COLLECTOR   ? "the garbage collector in "
			    : flags & FDT_SITE_FINALIZER ? "a finalizer in "
							 : "",
			    function, function[0] == '<' ? "" : "()");
}

/* The two by function, or by line where they are in one; by thread where no stack is known. */
static void name_operations(const struct finding *f, char *closer, char *user, size_t size)
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

/* What shows that the close was another's business. */
enum proof { CLOSED_BY_OTHER, CLOSED_BY_OBJECT, CLOSED_AT_ONE_PLACE };

static void unowned_format(struct report *r, enum proof proof)
{
	char what[160], closer[96], user[96];

	finding_describe(&r->finding.descriptor, what, sizeof(what));
	name_operations(&r->finding, closer, user, sizeof(closer));
	report_message(r, "%s was closed by %s while %s still used it", what, closer, user);
	if (proof == CLOSED_BY_OBJECT)
		explain_stale(r);
	else if (proof == CLOSED_AT_ONE_PLACE)
		explain_one_place(r);
	else
		explain_unowned(r);
	report_help(r, HELP_OWNER);
}

static void unowned_report(struct report *r, const struct fdtable *table, enum proof proof)
{
	struct finding *f = &r->finding;

	report_cause(r, RULE_CLOSE_UNOWNED, f->closed.site);
	report_trust(r, table, proof == CLOSED_BY_OTHER ? CONFIDENCE_EXACT : CONFIDENCE_INFERRED);
	f->closed_is_culprit = true;
	if (report_is_news(r))
		unowned_format(r, proof);
	report_send(r);
}

static void robbed_format(struct report *r, const struct operation *middle, uint32_t generation)
{
	const struct finding *f = &r->finding;
	char what[160], thief[96], robbed[96], user[96], ago[40];

	finding_describe(&f->descriptor, what, sizeof(what));
	name_operations(f, thief, user, sizeof(thief));
	operation_format(middle, robbed, sizeof(robbed));
	format_span(close_since(f->used.time_ns, middle->time_ns), ago, sizeof(ago));
	report_message(r, "%s was closed by %s, whose it was not; %s then failed", what, thief,
		       user);
	report_why(r,
		   "generation %u was opened by tid %u and closed by tid %u; tid %u then closed "
		   "the number in %s as its own, which by then was generation %u: a bystander; "
		   "%s later %s %s",
		   f->descriptor.generation, f->opened.tid, f->closed.tid, middle->tid, robbed,
		   generation, ago, syscall_name(f->used.syscall), use_outcome(f->used.syscall));
	report_help(r, HELP_OWNER);
}

/* The one in the middle closed what it took for its own: the first wrong close is to blame. */
static void robbed_report(struct report *r, const struct fdtable *table, struct operation middle,
			  uint32_t generation)
{
	struct finding *f = &r->finding;

	report_cause(r, RULE_CLOSE_UNOWNED, f->closed.site);
	report_trust(r, table, middle.tid == f->used.tid ? CONFIDENCE_INFERRED : CONFIDENCE_EXACT);
	f->closed_is_culprit = true;
	if (report_is_news(r))
		robbed_format(r, &middle, generation);
	report_send(r);
}

static void used_closed_format(struct report *r, bool is_before_exec)
{
	const struct finding *f = &r->finding;
	char what[160], ago[40];

	finding_describe(&f->descriptor, what, sizeof(what));
	format_span(close_since(f->used.time_ns, f->closed.time_ns), ago, sizeof(ago));
	report_message(r, "tid %u called %s on %s, which ", f->used.tid,
		       syscall_name(f->used.syscall), what);
	if (is_before_exec)
		report_add_message(r, "was closed before %s was started",
				   process_program(f->process));
	else
		report_add_message(r, "%s had closed", f->closed.known ? "it" : "somebody");
	report_why(r, "closed %s before the call, which %s; nobody has had the number since", ago,
		   use_outcome(f->used.syscall));
	report_help(r, HELP_USE);
}

static void used_closed_report(struct report *r, const struct fdtable *table, bool is_before_exec)
{
	report_cause(r, RULE_USE_CLOSED, r->finding.used.site);
	report_trust(r, table, r->finding.closed.known ? CONFIDENCE_EXACT : CONFIDENCE_INFERRED);
	if (report_is_news(r))
		used_closed_format(r, is_before_exec);
	report_send(r);
}

/* Servers end a blocked accept() that way, on purpose. */
static bool is_interrupted(const struct finding *f)
{
	return f->closed.known && f->closed.tid == f->used.tid && f->closed.site && f->used.site &&
	       f->closed.site->process == f->used.site->process &&
	       stack_interrupts(f->closed.site->stack, f->used.site->stack);
}

static void interrupted_report(struct report *r, const struct fdtable *table)
{
	struct finding *f = &r->finding;
	const char *call = syscall_name(f->used.syscall);
	char what[160];

	report_cause(r, RULE_USE_CLOSED, f->used.site);
	report_trust(r, table, CONFIDENCE_EXACT);
	f->severity = SEVERITY_INFO;
	if (report_is_news(r)) {
		finding_describe(&f->descriptor, what, sizeof(what));
		report_message(r, "a signal handler closed %s in the middle of %s", what, call);
		report_why(
			r,
			"the handler interrupted tid %u's own call, which then %s: some programs "
			"end a blocked call so on purpose",
			f->used.tid, use_outcome(f->used.syscall));
		f->help = "if it is not meant, let the handler set a flag, and close where the "
			  "call returns";
	}
	report_send(r);
}

/* Those who had the number since belong to its story, too. */
static void add_bystanders(struct engine *e, struct finding *f, const struct ended *newest)
{
	const struct ended *ended = newest;
	struct lifetime later[FINDING_HISTORY_MAX];
	unsigned int count = 0, kept;

	for (; ended && ended->generation != f->descriptor.generation;
	     ended = ended->next ? ended_at(&e->ended, ended->next) : NULL)
		if (count < FINDING_HISTORY_MAX)
			later[count++] = (struct lifetime){ .generation = ended->generation,
							    .kind = ended->kind,
							    .opened = ended_opening(ended),
							    .closed = ended_closing(ended) };
	kept = FINDING_HISTORY_MAX - count;
	if (f->history_count < kept)
		kept = f->history_count;
	memmove(f->history + count, f->history, kept * sizeof(later[0]));
	memcpy(f->history, later, count * sizeof(later[0]));
	f->history_count = count + kept;
}

/* "tid 7 called write on fd 3 (file /x), which was close-on-exec": its parent's mistake. */
static void closed_at_start_report(struct report *r, const struct fdtable *table, bool by_exec)
{
	struct finding *f = &r->finding;
	char what[160];

	report_cause(r, RULE_USE_CLOSED, f->opened.site);
	report_trust(r, table, CONFIDENCE_INFERRED);
	f->opened_is_culprit = f->opened.site != NULL;
	if (report_is_news(r)) {
		const char *program = process_program(f->process);

		finding_describe(&f->descriptor, what, sizeof(what));
		report_message(r, "tid %u called %s on %s, which was %s when %s was started",
			       f->used.tid, syscall_name(f->used.syscall), what,
			       by_exec ? "close-on-exec, and so was closed"
				       : "closed with all others",
			       program);
		report_why(r, "number %d was named to %s when it was started; %s %s",
			   f->descriptor.fd, program, syscall_name(f->used.syscall),
			   use_outcome(f->used.syscall));
		report_help(r, HELP_CLOEXEC);
	}
	report_send(r);
}

static void use_judge_wrong(struct report *r, const struct fdtable *table,
			    const struct actor *actor, const struct ended *newest,
			    const struct ended *meant)
{
	const struct ended *wrong = close_first_wrong(r->engine, meant);
	struct finding *f = &r->finding;

	describe_ended(r->engine, f, wrong, f->descriptor.fd);
	if (wrong != meant) {
		add_bystanders(r->engine, f, newest);
		robbed_report(r, table, ended_closing(meant), meant->generation);
	} else if (meant == newest && closed_by_stale_object(f)) {
		unowned_report(r, table, CLOSED_BY_OBJECT);
	} else if (is_same_place(r->engine, actor, meant)) {
		add_bystanders(r->engine, f, newest);
		unowned_report(r, table, CLOSED_AT_ONE_PLACE);
	} else {
		add_bystanders(r->engine, f, newest);
		if (f->closed.known && f->closed.tid != actor->tid)
			unowned_report(r, table, CLOSED_BY_OTHER);
		else if (meant == newest && is_interrupted(f))
			interrupted_report(r, table);
		else
			used_closed_report(r, table, close_before_exec(meant, actor));
	}
}

/* The call was a use of the number: who ended the generation that it was about? */
static void judge_use(struct engine *e, const struct actor *actor, struct fdtable *table,
		      int32_t fd, const struct ended *newest)
{
	const struct ended *meant = close_meant(e, newest, fd, actor);
	bool is_at_start;
	struct report r;

	if (!meant)
		return;
	is_at_start = close_at_start(meant, actor);
	if (is_at_start && !close_is_named(e, actor->process, fd))
		return; /* a number from before the exec: not this program's mistake with a descriptor */
	if (!is_at_start && meant->flags & ENDED_SWEPT && sweep_hurt(e, table, meant, fd, actor))
		return;
	report_begin(&r, e, RULE_USE_CLOSED, actor->process, NULL); /* or RULE_CLOSE_UNOWNED */
	r.finding.used = actor_operation(actor, EBADF);
	r.finding.first_ns = newest->closed_ns;
	r.finding.descriptor.fd = fd;
	if (!is_at_start) {
		use_judge_wrong(&r, table, actor, newest, meant);
		return;
	}
	describe_ended(e, &r.finding, meant, fd);
	closed_at_start_report(&r, table, meant->ending == END_EXEC);
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

static void double_begin(struct report *r, struct engine *e, const struct actor *actor,
			 const struct fdtable *table, int32_t fd, const struct ended *ended)
{
	report_begin(r, e, RULE_CLOSE_DOUBLE, actor->process, site_now(actor->site));
	report_trust(r, table, CONFIDENCE_EXACT);
	r->finding.used = actor_operation(actor, EBADF);
	r->finding.first_ns = ended->closed_ns;
	describe_ended(e, &r->finding, ended, fd);
}

static void judge_close(struct engine *e, const struct actor *actor, struct fdtable *table,
			int32_t fd, const struct ended *ended)
{
	struct report r;

	if (ended->flags & ENDED_SWEPT || ended->ending == END_EXEC || close_is_loaders(ended) ||
	    close_before_exec(ended, actor))
		return; /* it was not the program that closed it before */
	double_begin(&r, e, actor, table, fd, ended);
	if (report_is_news(&r))
		double_format(&r);
	report_send(&r);
}

bool close_all_own(struct engine *e, const struct fdtable *table, const struct process *process,
		   int32_t low, int32_t high, uint64_t before_ns)
{
	for (int32_t fd = low; fd <= high; fd++) {
		const struct slot *slot = fdtable_slot(table, fd);
		const struct ended *ended =
			slot && slot->ended ? ended_at(&e->ended, slot->ended) : NULL;

		while (ended && ended->closed_ns > before_ns)
			ended = ended->next ? ended_at(&e->ended, ended->next) : NULL;
		if (!ended || ended->ending != END_CLOSE || ended->flags & ENDED_SWEPT ||
		    !ended->opened_at || ended->opened_at->process != process ||
		    !ended->closed_at || ended->closed_at->process != process)
			return false;
	}
	return true;
}

static void double_run_format(struct report *r, int32_t low, int32_t high)
{
	char ago[40];

	format_span(close_since(r->finding.used.time_ns, r->finding.first_ns), ago, sizeof(ago));
	report_message(r, "fd %d to %d were closed twice by %s", low, high,
		       process_program(r->finding.process));
	report_why(
		r,
		"%d numbers in a row, all of which it had opened and closed; the second close of "
		"the first came %s after the first and failed with EBADF",
		high - low + 1, ago);
	report_help(r, HELP_DOUBLE);
}

void close_report_run(struct engine *e, const struct actor *actor, struct fdtable *table,
		      int32_t first, int32_t last)
{
	const struct slot *slot = fdtable_slot(table, first);
	const struct ended *ended = slot && slot->ended ? ended_at(&e->ended, slot->ended) : NULL;
	struct report r;

	if (!ended)
		return;
	double_begin(&r, e, actor, table, first, ended);
	if (report_is_news(&r))
		double_run_format(&r, first < last ? first : last, first < last ? last : first);
	report_send(&r);
}

static void close_judge(struct engine *e, const struct actor *actor, struct fdtable *table,
			int32_t fd, const struct ended *ended)
{
	if (actor->syscall == FDT_SYS_close)
		judge_close(e, actor, table, fd, ended);
	else
		judge_use(e, actor, table, fd, ended);
}

static bool is_second_teardown(struct engine *e, const struct deferred_failure *deferred,
			       const struct fdtable *table)
{
	int32_t fd = deferred->fd, last = deferred->last_fd;

	return fd != last && close_all_own(e, table, deferred->process, fd < last ? fd : last,
					   fd < last ? last : fd, deferred->time_ns);
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
	const struct ended *ended =
		table ? finding_ended(e, table, deferred.fd, deferred.generation) : NULL;

	/* In order: of too many, the oldest is resolved, while that generation is still known. */
	memmove(&state->deferred[index], &state->deferred[index + 1],
		(--state->count - index) * sizeof(deferred));
	if (ended && is_second_teardown(e, &deferred, table))
		close_report_run(e, &actor, table, deferred.fd, deferred.last_fd);
	else if (ended)
		close_judge(e, &actor, table, deferred.fd, ended);
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
			int32_t fd, const struct ended *ended)
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
					   .last_fd = fd,
					   .generation = ended->generation,
					   .process = process_ref(actor->process) };
}

/* More of a run whose first failure is deferred. */
static void close_defer_more(struct engine *e, const struct fdt_error *event,
			     const struct fdtable *table)
{
	struct close_unowned *state = detector_state(e, DETECTOR_CLOSE_UNOWNED);

	for (unsigned int i = 0; event->step && i < state->count; i++) {
		struct deferred_failure *deferred = &state->deferred[i];

		if (deferred->tid == event->head.tid && deferred->table == table->key &&
		    deferred->syscall == FDT_SYS_close && deferred->fd == (uint32_t)event->fd)
			deferred->last_fd = event->fd + event->step * ((int32_t)event->count - 1);
	}
}

static void close_failed(struct engine *e, const struct fdt_error *event, const struct actor *actor,
			 struct fdtable *table)
{
	const struct slot *slot = event->fd >= 0 ? fdtable_slot(table, event->fd) : NULL;
	const struct ended *ended =
		slot && !slot->file && slot->ended ? ended_at(&e->ended, slot->ended) : NULL;
	bool is_close = event->head.syscall == FDT_SYS_close;

	if (event->error != EBADF || !(event->head.flags & FDT_ERR_EMPTY))
		return; /* or open after all, for the other access mode */
	if (is_close && sweep_failed(e, table, event, actor))
		return;
	if (is_close && event->count > 1)
		close_defer_more(e, event, table);
	if (event->head.syscall == FDT_SYS_fcntl)
		sweep_probed(e, table, event, actor);
	if (!ended || event->count != 1 || (!is_close && is_probe(event->head.syscall)))
		return; /* never seen open; the rest of a run that has been judged; a question */
	if (is_close || sweep_in_progress(e, table, ended))
		close_defer(e, actor, table, event->fd, ended);
	else
		judge_use(e, actor, table, event->fd, ended);
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
