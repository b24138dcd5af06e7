// SPDX-License-Identifier: BSD-2-Clause
/* The parts of a finding: who did what, earlier generations, who holds a table, and whose bug it is. */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/text.h"
#include "engine/engine_private.h"
#include "fdtrace/syscall.h"

const char *confidence_name(enum confidence confidence)
{
	switch (confidence) {
	case CONFIDENCE_EXACT: return "exact";
	case CONFIDENCE_INFERRED: return "inferred";
	case CONFIDENCE_AFTER_LOSS: break;
	}
	return "after_loss";
}

const char *finding_state_name(enum finding_state state)
{
	switch (state) {
	case FINDING_NEW: return "new";
	case FINDING_ONGOING: return "ongoing";
	case FINDING_RESOLVED: break;
	}
	return "resolved";
}

static struct operation operation_of(struct site *site, uint32_t tid, uint64_t time_ns)
{
	struct operation operation = { .tid = tid, .time_ns = time_ns, .site = site_now(site) };

	if (!site)
		return operation;
	operation.known = true;
	operation.pid = site->process->pid;
	operation.name = site->process->name;
	operation.syscall = site->syscall;
	return operation;
}

/* A close that nobody wrote: an object went and took its descriptor along. */
static const char *close_text(const struct site *site)
{
	unsigned int flags = site ? site_flags(site) : 0;

	if (flags & FDT_SITE_AT_EXIT)
		return "close (interpreter exit)";
	if (flags & FDT_SITE_COLLECTOR)
		return "close (garbage collector)";
	return flags & FDT_SITE_FINALIZER ? "close (finalizer)" : ending_text(END_CLOSE);
}

struct operation slot_opening(const struct slot *slot)
{
	return operation_of(slot->site, slot->opener_tid, slot->opened_ns);
}

void operation_format(const struct operation *operation, char *buffer, size_t size)
{
	char function[64] = "";

	if (operation->site)
		site_format_function(operation->site, function, sizeof(function));
	if (function[0])
		text_format(buffer, size, "%s%s", function, function[0] == '<' ? "" : "()");
	else if (operation->known)
		text_format(buffer, size, "tid %u", operation->tid);
	else
		text_format(buffer, size, "somebody");
}

struct operation ended_opening(const struct ended *ended)
{
	return operation_of(ended->opened_at, ended->opener_tid, ended->opened_ns);
}

struct operation ended_closing(const struct ended *ended)
{
	struct operation operation =
		operation_of(ended->closed_at, ended->closer_tid, ended->closed_ns);

	operation.how = ended->ending == END_CLOSE ? close_text(operation.site)
						   : ending_text(ended->ending);
	return operation;
}

struct operation actor_operation(const struct actor *actor, int32_t error)
{
	return (struct operation){ .known = true,
				   .pid = actor->process->pid,
				   .tid = actor->tid,
				   .name = actor->process->name,
				   .time_ns = actor->time_ns,
				   .syscall = actor->syscall,
				   .how = actor->syscall == FDT_SYS_close ? close_text(actor->site)
									  : NULL,
				   .error = error,
				   .site = site_now(actor->site) };
}

void finding_history(struct engine *e, struct finding *f, uint32_t index)
{
	f->history_count = 0;
	while (index && f->history_count < FINDING_HISTORY_MAX) {
		const struct ended *ended = ended_at(&e->ended, index);

		f->history[f->history_count++] =
			(struct lifetime){ .generation = ended->generation,
					   .kind = ended->kind,
					   .opened = ended_opening(ended),
					   .closed = ended_closing(ended) };
		index = ended->next;
	}
}

void finding_describe(const struct descriptor *d, char *buffer, size_t size)
{
	if (d->kind == FD_KIND_UNKNOWN)
		text_format(buffer, size, "fd %d", d->fd);
	else if (!d->name)
		text_format(buffer, size, "fd %d (%s)", d->fd, fd_kind_name(d->kind));
	else if (strncmp(d->name, fd_kind_name(d->kind), strlen(fd_kind_name(d->kind))) == 0)
		text_format(buffer, size, "fd %d (%.*s)", d->fd, text_fit(d->name, 100), d->name);
	else
		text_format(buffer, size, "fd %d (%s %.*s)", d->fd, fd_kind_name(d->kind),
			    text_fit(d->name, 100), d->name);
}

struct ended *finding_ended(struct engine *e, const struct fdtable *table, uint32_t fd,
			    uint32_t generation)
{
	const struct slot *slot = fdtable_slot(table, fd);
	uint32_t index = slot ? slot->ended : 0;

	while (index && ended_at(&e->ended, index)->generation != generation)
		index = ended_at(&e->ended, index)->next;
	return index ? ended_at(&e->ended, index) : NULL;
}

bool finding_wanted(const struct engine *e, enum rule rule)
{
	return e->options.rules >> rule & 1;
}

/* Options of interpreters and of java with a value that is not what they run. */
static bool takes_value(const char *option)
{
	static const char *const options[] = {
		"-cp", "-classpath", "--class-path", "-p", "--module-path", "-I", "-W", "-X"
	};

	for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++)
		if (strcmp(option, options[i]) == 0)
			return true;
	return false;
}

/*
 * The file name of the script, "app.jar", or the main class that a runtime was started with; NULL: not
 * known. A text to run, as of -c, differs from call to call.
 */
static const char *program_run(const struct process *process)
{
	const char *at = process ? process->args : NULL, *end;

	if (!at)
		return NULL;
	end = at + process->args_size;
	for (at += strlen(at) + 1; at < end; at += strlen(at) + 1) {
		const char *slash = strrchr(at, '/');

		if (!*at)
			return NULL;
		if (*at != '-')
			return slash ? slash + 1 : at;
		if (strcmp(at, "-c") == 0 || strcmp(at, "-e") == 0 || strcmp(at, "-r") == 0)
			return NULL;
		if (takes_value(at))
			at += strlen(at) + 1;
		if (at >= end)
			break;
	}
	return NULL;
}

uint64_t finding_fingerprint(enum rule rule, const struct process *process, const struct site *site)
{
	uint64_t hash = hash_text(HASH_START, rule_info(rule)->id);
	const char *run = site && stack_is_runtime(site->stack) ? program_run(process) : NULL;

	if (!site || site_language(site) == LANGUAGE_NATIVE)
		hash = hash_text(hash, process_program(process));
	if (run) /* else two programs of one interpreter would be one finding */
		hash = hash_text(hash, run);
	return hash_number(hash, site ? site_fingerprint(site) : 0);
}

const struct operation *finding_culprit_operation(const struct finding *f)
{
	if (f->closed_is_culprit && f->closed.site)
		return &f->closed;
	if (f->opened_is_culprit && f->opened.site)
		return &f->opened;
	return f->used.known ? &f->used : f->closed.known ? &f->closed : NULL;
}

const struct site *finding_culprit(const struct finding *f)
{
	const struct operation *operation = finding_culprit_operation(f);

	if (f->site_count)
		return f->sites[0].site;
	return operation ? operation->site : NULL;
}
