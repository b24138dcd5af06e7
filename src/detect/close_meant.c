// SPDX-License-Identifier: BSD-2-Clause
#include "detect/close_meant.h"

#include "detect/exec_inherit.h"
#include "engine/engine_private.h"

static const struct ended *ended_before(const struct engine *e, const struct ended *ended)
{
	return ended->next ? ended_at(&e->ended, ended->next) : NULL;
}

static bool is_of_loader(const struct site *site)
{
	return site && stack_is_loader(site_now((struct site *)site)->stack);
}

bool close_is_loaders(const struct ended *ended)
{
	return is_of_loader(ended->opened_at) && is_of_loader(ended->closed_at);
}

bool close_before_exec(const struct ended *ended, const struct actor *actor)
{
	const struct process *closer = ended->closed_at ? ended->closed_at->process : NULL;

	return closer && closer != actor->process && closer->pid == actor->process->pid;
}

bool close_at_start(const struct ended *ended, const struct actor *actor)
{
	return ended->ending == END_EXEC ||
	       (ended->flags & ENDED_SWEPT && close_before_exec(ended, actor));
}

/* Some stay longer than others; behind many that had the number since they explain little. */
static bool is_recent(const struct ended *ended, const struct ended *newest)
{
	return ended->flags & ENDED_MISSED ||
	       newest->generation - ended->generation < ENDED_PER_NUMBER;
}

static bool is_from_parent(const struct ended *ended, const struct actor *actor)
{
	return ended->opened_at && ended->opened_at->process != actor->process;
}

static bool is_own(const struct ended *ended, const struct actor *actor)
{
	return ended->opened_at && ended->opener_tid == actor->tid &&
	       ended->opened_at->process == actor->process;
}

bool close_is_named(struct engine *e, struct process *process, int32_t fd)
{
	exec_ask_environment(e, process);
	return exec_named_in_args(process, fd) || process_environment_names(process, fd);
}

/*
 * Where the user opened one itself, and all that had the number since opened and closed it in one
 * thread, they are bystanders: what counts is how the user's own generation ended. What one thread
 * opened and closed is a bystander also if it is the user's, where behind it there is one that the
 * process was given: by fork, or under a number that was named to it; and one that a loop over
 * numbers ended, of which its owner knows nothing.
 */
const struct ended *close_meant(struct engine *e, const struct ended *newest, int32_t fd,
				const struct actor *actor)
{
	/* The newest that was not the loader's; then the newest of the user's own. */
	const struct ended *first = NULL;

	for (const struct ended *ended = newest; ended; ended = ended_before(e, ended)) {
		bool is_last = ended->opener_tid != ended->closer_tid;

		if (close_is_loaders(ended))
			continue;
		if (close_at_start(ended, actor))
			return !first || close_is_named(e, actor->process, fd) ? ended : first;
		if (first && (close_before_exec(ended, actor) || !is_recent(ended, newest)))
			return first;
		if (ended->flags & ENDED_SWEPT)
			return ended;
		if (is_own(ended, actor) && is_last)
			return first && is_own(first, actor) ? first : ended;
		if (is_from_parent(ended, actor) && first && ended->opener_tid != actor->tid)
			return is_own(first, actor) && ended->closer_tid == actor->tid ? first
										       : ended;
		if (!first || (is_own(ended, actor) && !is_own(first, actor)))
			first = ended;
		if (is_last)
			return first;
	}
	return first;
}

/* What the thread had opened under that number before this generation, as far as it is kept. */
static const struct ended *opened_before(const struct engine *e, const struct ended *ended,
					 uint32_t tid, const struct process *process)
{
	while ((ended = ended_before(e, ended)))
		if (ended->opener_tid == tid && ended->opened_at &&
		    ended->opened_at->process == process)
			return ended;
	return NULL;
}

/*
 * Its closer had closed the generation before, which was its own: that was its second close. A
 * pool's threads close for each other, too, and do no wrong.
 */
static bool is_second_close(const struct engine *e, const struct ended *ended)
{
	const struct ended *before = ended_before(e, ended);

	return before && before->generation + 1 == ended->generation && ended->closed_at &&
	       before->opened_at && before->closer_tid == ended->closer_tid &&
	       before->opener_tid == ended->closer_tid &&
	       before->opened_at->process == ended->closed_at->process;
}

const struct ended *close_first_wrong(const struct engine *e, const struct ended *meant)
{
	const struct ended *wrong = meant;

	while (wrong->closed_at) {
		const struct ended *own =
			opened_before(e, wrong, wrong->closer_tid, wrong->closed_at->process);

		if (!own || own->closer_tid == own->opener_tid || own->ending != END_CLOSE ||
		    !is_second_close(e, own))
			break;
		wrong = own;
	}
	return wrong;
}
