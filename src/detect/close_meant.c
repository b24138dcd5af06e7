// SPDX-License-Identifier: BSD-2-Clause
#include "detect/close_meant.h"

#include "detect/exec_inherit.h"
#include "engine/engine_private.h"

static const struct past *past_before(const struct engine *e, const struct past *past)
{
	return past->next ? past_at(&e->pasts, past->next) : NULL;
}

static bool is_of_loader(const struct site *site)
{
	return site && stack_is_loader(site_now((struct site *)site)->stack);
}

bool close_is_loaders(const struct past *past)
{
	return is_of_loader(past->opened_at) && is_of_loader(past->closed_at);
}

bool close_before_exec(const struct past *past, const struct actor *actor)
{
	const struct process *closer = past->closed_at ? past->closed_at->process : NULL;

	return closer && closer != actor->process && closer->pid == actor->process->pid;
}

bool close_at_start(const struct past *past, const struct actor *actor)
{
	return past->ending == END_EXEC ||
	       (past->flags & PAST_SWEPT && close_before_exec(past, actor));
}

/* Some stay longer than others; behind many that had the number since they explain little. */
static bool is_recent(const struct past *past, const struct past *newest)
{
	return past->flags & PAST_MISSED || newest->generation - past->generation < PAST_PER_NUMBER;
}

static bool is_from_parent(const struct past *past, const struct actor *actor)
{
	return past->opened_at && past->opened_at->process != actor->process;
}

static bool is_own(const struct past *past, const struct actor *actor)
{
	return past->opened_at && past->opener_tid == actor->tid &&
	       past->opened_at->process == actor->process;
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
const struct past *close_meant(struct engine *e, const struct past *newest, int32_t fd,
			       const struct actor *actor)
{
	/* The newest that was not the loader's; then the newest of the user's own. */
	const struct past *first = NULL;

	for (const struct past *past = newest; past; past = past_before(e, past)) {
		bool is_last = past->opener_tid != past->closer_tid;

		if (close_is_loaders(past))
			continue;
		if (close_at_start(past, actor))
			return !first || close_is_named(e, actor->process, fd) ? past : first;
		if (first && (close_before_exec(past, actor) || !is_recent(past, newest)))
			return first;
		if (past->flags & PAST_SWEPT)
			return past;
		if (is_own(past, actor) && is_last)
			return first && is_own(first, actor) ? first : past;
		if (is_from_parent(past, actor) && first && past->opener_tid != actor->tid)
			return is_own(first, actor) && past->closer_tid == actor->tid ? first
										      : past;
		if (!first || (is_own(past, actor) && !is_own(first, actor)))
			first = past;
		if (is_last)
			return first;
	}
	return first;
}

/* What the thread had opened under that number before this generation, as far as it is kept. */
static const struct past *opened_before(const struct engine *e, const struct past *past,
					uint32_t tid, const struct process *process)
{
	while ((past = past_before(e, past)))
		if (past->opener_tid == tid && past->opened_at &&
		    past->opened_at->process == process)
			return past;
	return NULL;
}

/*
 * Its closer had closed the generation before, which was its own: that was its second close. A
 * pool's threads close for each other, too, and do no wrong.
 */
static bool is_second_close(const struct engine *e, const struct past *past)
{
	const struct past *before = past_before(e, past);

	return before && before->generation + 1 == past->generation && past->closed_at &&
	       before->opened_at && before->closer_tid == past->closer_tid &&
	       before->opener_tid == past->closer_tid &&
	       before->opened_at->process == past->closed_at->process;
}

const struct past *close_first_wrong(const struct engine *e, const struct past *meant)
{
	const struct past *wrong = meant;

	while (wrong->closed_at) {
		const struct past *own =
			opened_before(e, wrong, wrong->closer_tid, wrong->closed_at->process);

		if (!own || own->closer_tid == own->opener_tid || own->ending != END_CLOSE ||
		    !is_second_close(e, own))
			break;
		wrong = own;
	}
	return wrong;
}
