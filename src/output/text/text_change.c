// SPDX-License-Identifier: BSD-2-Clause
/* --events: one line a change. */
#include "output/text/text.h"

#include <inttypes.h>

#include "model/process.h"
#include "model/syscall_name.h"
#include "util/hostinfo.h"

/* "openat = 5", "close(5)", "read(5) = EBADF x30", "fork = 4131" */
static void change_call(struct page *page, const struct change *c)
{
	const char *how = c->how && c->how[0] ? c->how : syscall_name(c->syscall);
	char error[PHRASE_SIZE];

	switch (c->op) {
	case CHANGE_OPEN:
	case CHANGE_REPLACE: page_printf(page, "%s = %" PRId32, how, c->descriptor.fd); return;
	case CHANGE_CLOSE: page_printf(page, "%s(%" PRId32 ")", how, c->descriptor.fd); return;
	case CHANGE_ERROR:
		phrase_error(error, sizeof(error), c->error);
		if (c->descriptor.fd >= 0)
			page_printf(page, "%s(%" PRId32 ") = %s", how, c->descriptor.fd, error);
		else
			page_printf(page, "%s = %s", how, error);
		if (c->count > 1)
			page_printf(page, " x%" PRIu32, c->count);
		return;
	case CHANGE_FORK: page_printf(page, "fork = %" PRIu32, c->other_pid); return;
	case CHANGE_FOUND: page_printf(page, "found %" PRId32, c->descriptor.fd); return;
	case CHANGE_EXEC:
	case CHANGE_EXIT: page_text(page, change_op_name(c->op), PAGE_ALL); return;
	}
}

void text_change_line(struct text_sink *t, const struct change *c)
{
	const struct descriptor *d = &c->descriptor;
	char wall[PHRASE_SIZE];

	phrase_wall(wall, sizeof(wall), c->time_ns, t->options.host->wall_offset_ns, false);
	page_printf(&t->page, "%s ", wall);
	if (c->process)
		page_printf(&t->page, "%s[%" PRIu32 "] ", c->process->name, c->process->pid);
	page_printf(&t->page, "tid %" PRIu32 " ", c->tid);
	change_call(&t->page, c);
	if (c->op == CHANGE_EXEC && c->process && c->process->exe) {
		page_tab(&t->page, 0, 1);
		page_path(&t->page, c->process->exe, PAGE_ALL);
	}
	if (d->fd >= 0 && (d->kind != FD_KIND_UNKNOWN || d->name)) {
		page_printf(&t->page, " %s", fd_kind_name(d->kind));
		page_tab(&t->page, 0, 1);
		page_path(&t->page, phrase_name(d->kind, d->name), PAGE_ALL);
		text_socket_state(&t->page, d);
	}
	page_newline(&t->page);
	if (t->options.verbosity)
		text_plain_frames(&t->page, c->site);
}
