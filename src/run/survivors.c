// SPDX-License-Identifier: BSD-2-Clause
#include "run/survivors.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"
#include "engine/engine.h"
#include "model/process.h"
#include "util/log.h"

#define SURVIVORS_SHOWN 8

struct survivors {
	uint32_t ended;
	unsigned int count;
	size_t names_length, pids_length;
	char names[SURVIVORS_SHOWN * 64]; /* "python3[10480] (5 descriptors open), sh[10482] (3)" */
	char pids[SURVIVORS_SHOWN * 12];
};

/* Its end may not have been heard yet. */
static bool has_gone(uint32_t pid)
{
	return kill((pid_t)pid, 0) < 0 && errno == ESRCH;
}

static void survivors_name(struct survivors *s, const struct process_row *row)
{
	const struct process *process = row->process;
	const char *open = s->count         ? ""
			   : row->open == 1 ? " descriptor open"
					    : " descriptors open";

	s->names_length +=
		text_format(s->names + s->names_length, sizeof(s->names) - s->names_length,
			    "%s%s[%" PRIu32 "] (%" PRIu64 "%s)", s->count ? ", " : "",
			    process->name, process->pid, row->open, open);
	s->pids_length += text_format(s->pids + s->pids_length, sizeof(s->pids) - s->pids_length,
				      "%s%" PRIu32, s->count ? "," : "", process->pid);
}

static void survivors_add(void *ctx, const struct process_row *row)
{
	const struct process *process = row->process;
	struct survivors *s = ctx;

	if (process->ended_ns || process->pid == s->ended || has_gone(process->pid))
		return;
	if (s->count < SURVIVORS_SHOWN)
		survivors_name(s, row);
	s->count++;
}

void survivors_report(struct engine *engine, pid_t ended)
{
	struct survivors s = { .ended = (uint32_t)ended };
	char more[32] = "";

	engine_each_process(engine, survivors_add, &s);
	if (!s.count)
		return;
	if (s.count > SURVIVORS_SHOWN)
		text_format(more, sizeof(more), ", and %u more", s.count - SURVIVORS_SHOWN);
	log_info("%u process%s still running, no longer traced: %s%s", s.count,
		 s.count == 1 ? " is" : "es are", s.names, more);
	log_info("to continue: fdtrace -p %s; to trace until the last has ended: --wait", s.pids);
}
