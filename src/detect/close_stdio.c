// SPDX-License-Identifier: BSD-2-Clause
/*
 * close.stdio: 0, 1 or 2 was closed, and a call that takes the lowest number free put a data
 * file or a socket there: what libraries print to stderr now goes into it. dup2() onto such a
 * number is meant; a call that happens to find it free hardly is. Harm is done through 0 to what
 * can be read, and through 1 and 2 to what can be written: a compiler that closes stdin late and
 * writes its output by number 0 does none. A program that was started with 0 closed reads its libraries
 * through it: a file that can only be read is reported if it stays.
 */
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "detect/detectors.h"
#include "engine/engine_private.h"
#include "engine/report.h"
#include "fdtrace/syscall.h"
#include "model/syscall_name.h"

#define STDIO_NUMBERS 3
#define STAYS_NS 1000000000ull

/* 0 came to hold a file that is open for reading only: reported if it stays. */
struct stdio_guest {
	uint64_t table, time_ns;
	uint32_t generation;
};
#define GUESTS_MAX 64

struct close_stdio {
	struct stdio_guest guests[GUESTS_MAX];
	unsigned int count;
};

static bool is_socket(const struct slot *slot)
{
	switch (slot->kind) {
	case FD_KIND_UNIX:
	case FD_KIND_TCP:
	case FD_KIND_UDP:
	case FD_KIND_NETLINK:
	case FD_KIND_PACKET:
	case FD_KIND_SOCKET: return true;
	default: return false;
	}
}

static bool holds_data(const struct slot *slot)
{
	switch (slot->kind) {
	case FD_KIND_FILE:
	case FD_KIND_BLK:
	case FD_KIND_MEMFD: return true;
	default: return is_socket(slot);
	}
}

/* Through a standard number only what it is for can happen by mistake. */
static bool stdio_does_harm(const struct slot *slot, int32_t fd)
{
	return is_socket(slot) || slot->flags & (fd == STDIN_FILENO ? SLOT_READS : SLOT_WRITES);
}

/* "tcp a -> b", "file /tmp/x", "udp" */
static void stdio_describe(const struct descriptor *d, char *buffer, size_t size)
{
	const char *kind = fd_kind_name(d->kind);

	if (!d->name)
		text_format(buffer, size, "%s", kind);
	else if (strncmp(d->name, kind, strlen(kind)) == 0)
		text_format(buffer, size, "%.*s", text_fit(d->name, 100), d->name);
	else
		text_format(buffer, size, "%s %.*s", kind, text_fit(d->name, 100), d->name);
}

static bool makes_second_one(uint32_t syscall)
{
	switch (syscall) {
	case FDT_SYS_dup:
	case FDT_SYS_dup2:
	case FDT_SYS_dup3:
	case FDT_SYS_fcntl: return true;
	default: return false;
	}
}

/*
 * The latest that was there on purpose: when the image started, or since put there by a duplicating
 * call. What came and went behind it, as the libraries that ld.so maps, found the number free.
 * NULL: none that is remembered.
 */
static const struct ended *stdio_last_meant(const struct engine *e, const struct slot *slot,
					    uint64_t started_ns)
{
	const struct ended *ended;

	for (uint32_t index = slot->ended; index; index = ended->next) {
		ended = ended_at(&e->ended, index);
		if (ended->closed_ns < started_ns)
			return NULL;
		if (ended->opened_ns <= started_ns ||
		    (ended->opened_at && makes_second_one(ended->opened_at->syscall)))
			return ended;
	}
	return NULL;
}

static bool starts_closed(const struct process *process, int32_t fd)
{
	return process->stdio_known && !(process->stdio_open >> fd & 1);
}

/* A program that forked itself into the background still is the one that was started. */
static const char *stdio_start(const struct process *process, int32_t fd)
{
	if (process->exec_ns || starts_closed(process_image(process), fd))
		return "the program was started with it closed";
	return "it was closed already when the process was forked";
}

/* By whom, or since when. Of an image whose start was not seen the latest close is all there is. */
static void stdio_add_closer(struct report *r, const struct slot *slot)
{
	const struct process *process = r->finding.process;
	uint64_t started_ns = process->exec_ns ? process->exec_ns : process->forked_ns;
	const struct ended *ended = stdio_last_meant(r->engine, slot, started_ns);
	struct operation closed = { 0 };
	char closer[80];

	if (!ended && slot->ended && !process->stdio_known)
		ended = ended_at(&r->engine->ended, slot->ended);
	if (ended && ended->closed_ns >= started_ns)
		closed = ended_closing(ended);
	operation_format(&closed, closer, sizeof(closer));
	if (closed.known)
		report_add_why(r, "%s had closed it", closer);
	else if (!ended && starts_closed(process, r->finding.descriptor.fd))
		report_add_why(r, "%s", stdio_start(process, r->finding.descriptor.fd));
	else if (!ended && slot->ended)
		report_add_why(r, "it was closed too long ago to know by whom");
	else
		report_add_why(r, "nobody was seen to close it");
}

static void stdio_explain(struct report *r, const struct slot *slot)
{
	report_why(r, "number %d was free (", r->finding.descriptor.fd);
	stdio_add_closer(r, slot);
	report_add_why(r, "), and %s takes the lowest free one",
		       slot->site ? syscall_name(slot->site->syscall) : "the call");
}

static void stdio_format(struct report *r, const struct fdtable *table, int32_t fd)
{
	static const char *const harm[STDIO_NUMBERS] = {
		"what reads stdin reads from it",
		"what is written to stdout goes there",
		"what is written to stderr goes there",
	};
	char what[160];

	r->finding.descriptor = slots_descriptor(r->engine, table, fd);
	stdio_describe(&r->finding.descriptor, what, sizeof(what));
	report_message(r, "fd %d is now %s: %s", fd, what, harm[fd]);
	stdio_explain(r, fdtable_slot(table, fd));
	r->finding.help =
		"keep 0, 1 and 2 open: put /dev/null there with dup2() instead of closing them";
}

static void stdio_report(struct engine *e, const struct fdtable *table, int32_t fd)
{
	const struct slot *slot = fdtable_slot(table, fd);
	struct report r;

	report_begin(&r, e, RULE_CLOSE_STDIO, table->owner, site_now(slot->site));
	report_trust(&r, table, CONFIDENCE_EXACT);
	r.finding.first_ns = slot->opened_ns;
	r.finding.opened = slot_opening(slot);
	r.finding.opened_is_culprit = true;
	finding_history(e, &r.finding, slot->ended);
	if (report_is_news(&r))
		stdio_format(&r, table, fd);
	report_send(&r);
}

/* Its name is asked for now: at the end of the process nobody knows it. */
static void wait_for(struct engine *e, const struct fdtable *table)
{
	struct close_stdio *stdio = detector_state(e, DETECTOR_CLOSE_STDIO);

	if (stdio->count == GUESTS_MAX)
		return;
	slots_name(e, table, STDIN_FILENO);
	stdio->guests[stdio->count++] =
		(struct stdio_guest){ .table = table->key,
				      .time_ns = e->now_ns,
				      .generation = fdtable_slot(table, STDIN_FILENO)->generation };
}

static void stdio_opened(struct engine *e, struct fdtable *table, const struct fdt_slot *event,
			 const struct actor *actor)
{
	const struct slot *slot = fdtable_slot(table, event->fd);

	if (!slot || !holds_data(slot) || !stdio_does_harm(slot, event->fd) ||
	    event->head.op == FDT_OP_REPLACE || process_is_newborn(actor->process, e->now_ns))
		return;
	if (is_socket(slot) || slot->flags & SLOT_WRITES)
		stdio_report(e, table, event->fd);
	else
		wait_for(e, table);
}

static void stdio_resolve(struct engine *e, unsigned int index)
{
	struct close_stdio *stdio = detector_state(e, DETECTOR_CLOSE_STDIO);
	struct stdio_guest guest = stdio->guests[index];
	const struct fdtable *table = map_get(&e->tables, guest.table);
	const struct slot *slot = table ? fdtable_slot(table, STDIN_FILENO) : NULL;

	stdio->guests[index] = stdio->guests[--stdio->count];
	if (slot && slot->file && slot->generation == guest.generation && !e->finished)
		stdio_report(e, table, STDIN_FILENO);
}

static void stdio_tick(struct engine *e)
{
	const struct close_stdio *stdio = detector_state(e, DETECTOR_CLOSE_STDIO);

	for (unsigned int i = stdio->count; i-- > 0;)
		if (e->now_ns - stdio->guests[i].time_ns >= STAYS_NS)
			stdio_resolve(e, i);
}

/* Nobody reads from stdin by mistake in the last moments: what has not stayed is forgotten. */
static void stdio_table_ended(struct engine *e, struct fdtable *table)
{
	struct close_stdio *stdio = detector_state(e, DETECTOR_CLOSE_STDIO);

	for (unsigned int i = stdio->count; i-- > 0;)
		if (stdio->guests[i].table == table->key)
			stdio->guests[i] = stdio->guests[--stdio->count];
}

const struct detector detector_close_stdio = {
	.name = "close.stdio",
	.id = DETECTOR_CLOSE_STDIO,
	.rules = RULE_BIT(CLOSE_STDIO),
	.state_bytes = sizeof(struct close_stdio),
	.opened_below = STDIO_NUMBERS,
	.opened = stdio_opened,
	.address_ended = stdio_table_ended,
	.run_ended = stdio_table_ended,
	.tick = stdio_tick,
};
