// SPDX-License-Identifier: BSD-2-Clause
/*
 * One finding as a block of text:
 *
 *     error[close.unowned]: fd 4 was closed by worker() while ...        9f31c2d4
 *       --> python3[4121]   2026-11-20 23:59:59.123   exact
 *        |  fd 4 gen 2   tcp 10.0.0.5:51234 -> 10.0.0.9:5432
 *      1 | opened  -18.1 s   tid 4121  socket          Pool.connect (pool.py:88)
 *      2 | CLOSED  -21.1 ms  tid 4130  close           worker (app.py:57)  <-- culprit
 *      3 | used      0       tid 4121  sendto = EBADF  send_payment (pay.py:140)
 *        = why:  ...
 *        = help: ...
 *        = more: fdtrace explain 9f31c2d4
 */
#include "base/clock.h"
#include "output/text/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/process.h"
#include "model/site.h"
#include "model/syscall_name.h"
#include "util/container.h"
#include "util/hostinfo.h"
#include "util/redact.h"

#define UNIT_COLUMNS 40 /* at most of a unit's name */

enum style text_severity_style(enum severity severity)
{
	switch (severity) {
	case SEVERITY_ERROR: return STYLE_ERROR;
	case SEVERITY_WARNING: return STYLE_WARNING;
	case SEVERITY_INFO: break;
	}
	return STYLE_INFO;
}

static void put_headline(struct page *page, const struct finding *f)
{
	char fingerprint[20];

	snprintf(fingerprint, sizeof(fingerprint), "%08" PRIx32, (uint32_t)(f->fingerprint >> 32));
	page_style(page, text_severity_style(f->severity));
	page_printf(page, "%s[%s]", severity_name(f->severity), rule_info(f->rule)->id);
	page_style(page, STYLE_BOLD);
	page_text(page, ": ", PAGE_ALL);
	page_wrap(page, 6, f->message, fingerprint);
}

static void put_repeat(struct page *page, const struct finding *f)
{
	char number[PHRASE_SIZE], text[2 * PHRASE_SIZE];

	if (f->state == FINDING_NEW)
		return;
	phrase_count(number, sizeof(number), f->count, "time", "times");
	snprintf(text, sizeof(text), "%s, %s", finding_state_name(f->state), number);
	page_tab(page, 0, 3);
	text_make_room(page, page_columns(text), 6);
	page_text(page, text, PAGE_ALL);
}

static void put_whole(struct page *page, const char *text)
{
	unsigned int columns = page_columns(text);

	page_tab(page, 0, 1);
	text_make_room(page, columns < UNIT_COLUMNS ? columns : UNIT_COLUMNS, 6);
	page_text(page, text, UNIT_COLUMNS);
}

/* "app.service", "docker 3f2a9c1b7d4e": the short form of an id is its first 12 digits. */
static void put_process_line(struct page *page, const struct process *p)
{
	struct container c;
	char text[32];

	if (!p->cgroup)
		return;
	container_parse_path(p->cgroup, strlen(p->cgroup), &c);
	if (c.unit[0])
		put_whole(page, c.unit);
	snprintf(text, sizeof(text), "%.15s %.12s", c.runtime[0] ? c.runtime : "container", c.id);
	if (c.id[0])
		put_whole(page, text);
}

static void put_place_line(struct text_sink *t, const struct finding *f)
{
	char wall[PHRASE_SIZE];

	page_style(&t->page, STYLE_FRAME);
	page_text(&t->page, "  -->", PAGE_ALL);
	page_style(&t->page, STYLE_PLAIN);
	page_tab(&t->page, 6, 0);
	if (f->process) {
		page_text(&t->page, f->process->name, 24);
		page_printf(&t->page, "[%" PRIu32 "]", f->process->pid);
		put_process_line(&t->page, f->process);
		page_tab(&t->page, 0, 3);
	}
	phrase_wall(wall, sizeof(wall), f->time_ns, t->options.host->wall_offset_ns, true);
	text_make_room(&t->page, page_columns(wall), 6);
	page_printf(&t->page, "%s   %s", wall, confidence_name(f->confidence));
	put_repeat(&t->page, f);
	page_newline(&t->page);
}

/* With -v: which program that was. */
static void put_program_line(struct text_sink *t, const struct finding *f)
{
	struct page *page = &t->page;
	const struct process *p = f->process;
	char *arguments = NULL;

	if (p->args)
		arguments = redact_arguments(t->options.redaction, p->args, p->args_size);
	text_frame(page, 0);
	page_printf(page, " uid %" PRIu32 ", parent %" PRIu32 "   ", p->uid, p->parent_pid);
	page_path(page, p->exe ? p->exe : "?", 48);
	if (arguments && arguments[0]) {
		page_text(page, ":", PAGE_ALL);
		page_tab(page, 0, 1);
		page_text(page, arguments, PAGE_ALL);
	}
	free(arguments);
	page_newline(page);
	if (f->subject && f->subject[0]) {
		text_frame(page, 0);
		page_text(page, " subject: ", PAGE_ALL);
		page_path(page, f->subject, PAGE_ALL);
		page_newline(page);
	}
}

/* "close-wait", "close-wait, 12 bytes unread"; that one listens is part of its name. */
void text_socket_state(struct page *page, const struct descriptor *d)
{
	const char *state = phrase_tcp_state(d);
	bool listens = state && !strcmp(state, "listening");
	char unread[PHRASE_SIZE];

	if (!state)
		return;
	if (!listens)
		page_printf(page, " %s", state);
	if (listens && d->detail->backlog)
		page_printf(page, ", %" PRIu32 " of %" PRIu32 " waiting", d->detail->backlog,
			    d->detail->backlog_max);
	phrase_count(unread, sizeof(unread), d->detail->unread_bytes, "byte", "bytes");
	if (d->detail->unread_bytes)
		page_printf(page, ", %s unread", unread);
}

static void descriptor_line(struct page *page, const struct descriptor *d)
{
	if (d->fd < 0)
		return;
	text_frame(page, 0);
	page_printf(page, " fd %" PRId32, d->fd);
	if (d->generation)
		page_printf(page, " gen %" PRIu32, d->generation);
	if (d->kind != FD_KIND_UNKNOWN || d->name)
		page_printf(page, "   %s", fd_kind_name(d->kind));
	page_tab(page, 0, 1);
	page_path(page, phrase_name(d->kind, d->name), PAGE_ALL);
	text_socket_state(page, d);
	page_newline(page);
}

static void other_end_line(struct page *page, const struct other_end *end)
{
	char text[FINDING_HOLDERS_MAX * 48 + 2 * PHRASE_SIZE];

	phrase_other_end(text, sizeof(text), end);
	if (!text[0])
		return;
	text_frame(page, 0);
	page_tab(page, 6, 0);
	page_text(page, text, PAGE_ALL);
	page_newline(page);
}

static enum style fullness_style(double ratio)
{
	if (ratio >= 0.9)
		return STYLE_ERROR;
	return ratio >= 0.5 ? STYLE_WARNING : STYLE_PLAIN;
}

void text_limit(struct page *page, uint64_t open, uint64_t soft)
{
	static const char bar[TEXT_BAR_COLUMNS + 1] = "####################";
	unsigned int filled, begin = page->column;
	double ratio;

	if (!soft || soft > INT64_MAX) {
		page_printf(page, soft ? "%" PRIu64 "/unlimited" : "%" PRIu64, open);
		return;
	}
	ratio = (double)open / (double)soft;
	filled = ratio >= 1 ? TEXT_BAR_COLUMNS : (unsigned int)(ratio * TEXT_BAR_COLUMNS);
	filled += open && !filled;
	page_printf(page, "%" PRIu64 "/%" PRIu64, open, soft);
	page_tab(page, begin + 10, 1);
	if (page_room(page) >= TEXT_BAR_COLUMNS + 6) {
		begin = page->column;
		page_style(page, fullness_style(ratio));
		page_text(page, bar + TEXT_BAR_COLUMNS - filled, PAGE_ALL);
		page_style(page, STYLE_PLAIN);
		page_tab(page, begin + TEXT_BAR_COLUMNS, 0);
	}
	page_printf(page, "%4u %%",
		    ratio < 10 ? (unsigned int)(ratio * 100) : 999); /* 99.9 is not full */
}

static void limit_line(struct page *page, const struct finding_limit *limit)
{
	char rate[PHRASE_SIZE], left[PHRASE_SIZE];

	if (!limit->present)
		return;
	text_frame(page, 0);
	page_text(page, " limit ", PAGE_ALL);
	text_limit(page, limit->open, limit->soft);
	phrase_rate(rate, sizeof(rate), limit->rate_per_min);
	page_tab(page, 0, 3);
	if (strcmp(rate, "-")) {
		text_make_room(page, limit->exhausted_in_s ? 30 : 12, 12);
		page_printf(page, "%s /min", rate);
		page_tab(page, 0, 3);
	}
	if (limit->exhausted_in_s) {
		phrase_duration(left, sizeof(left), limit->exhausted_in_s * SEC_NS);
		page_printf(page, "full in %s", left);
	}
	page_newline(page);
}

void text_site_head(struct page *page)
{
	page_tab(page, 5, 0);
	page_style(page, STYLE_DIM);
	page_text(page, "  OPEN  KIND       OLDEST  SITE", PAGE_ALL);
	page_newline(page);
}

void text_site_row(struct page *page, const struct site_row *row)
{
	char open[PHRASE_SIZE], oldest[PHRASE_SIZE];
	char label[TEXT_LABEL_BYTES + 64];
	unsigned int room;

	site_row_format(row, label, sizeof(label));
	phrase_number(open, sizeof(open), row->open);
	snprintf(oldest, sizeof(oldest), "-"); /* the open was not seen */
	if (row->oldest_ns)
		phrase_duration(oldest, sizeof(oldest), row->oldest_ns);
	text_right(page, 5, 6, open);
	page_tab(page, 13, 2);
	page_text(page, fd_kind_name(row->kind), 9);
	text_right(page, 22, 8, oldest);
	page_tab(page, 32, 2);
	room = page_room(page);
	page_text(page, label, room == PAGE_ALL ? PAGE_ALL : room > 60 ? room / 2 : room);
	/* "/var/log/app.log   e.g. fd 3 /var/log/app.log" says it twice */
	if (page_room(page) > 24 && row->example_fd >= 0 && (!row->target || row->open > 1)) {
		page_style(page, STYLE_DIM);
		page_printf(page, "   e.g. fd %" PRId32, row->example_fd);
		page_tab(page, 0, 1);
		page_path(page, phrase_name(row->kind, row->example_name), PAGE_ALL);
	}
	page_newline(page);
}

/* The state of the descriptors, where the kernel was asked for it. */
static void asked_line(struct page *page, const struct site_row *row)
{
	char idle[PHRASE_SIZE];

	if (!row->asked)
		return;
	text_frame(page, 0);
	page_tab(page, 32, 0);
	page_style(page, STYLE_DIM);
	page_printf(page, "%" PRIu32 " looked at:", row->asked);
	if (row->idle) {
		phrase_duration(idle, sizeof(idle), row->idle_ns);
		page_printf(page, " %" PRIu32 " idle for %s or longer,", row->idle, idle);
	}
	page_printf(page, " %" PRIu32 " established, %" PRIu32 " in CLOSE_WAIT", row->established,
		    row->close_wait);
	page_newline(page);
}

static void more_line(struct page *page, unsigned int shown, unsigned int total, const char *one,
		      const char *many)
{
	char count[PHRASE_SIZE];

	if (total <= shown)
		return;
	phrase_count(count, sizeof(count), total - shown, one, many);
	text_frame(page, 0);
	page_printf(page, "  and %s", count);
	page_newline(page);
}

/* Of the first site, unless the biography shows it already; with -v of all. */
static void site_stack(struct page *page, const struct finding *f, unsigned int index,
		       unsigned int verbosity)
{
	const struct site *site = f->sites[index].site;

	if (!site || site == f->opened.site)
		return;
	if (verbosity) {
		text_frames(page, site);
	} else if (!index && text_has_callers(site)) {
		text_frame(page, 0);
		page_tab(page, 32, 0);
		text_callers(page, site, 0);
		page_newline(page);
	}
}

static void put_site_lines(struct page *page, const struct finding *f, unsigned int verbosity)
{
	if (f->site_count) {
		text_frame(page, 0);
		text_site_head(page);
	}
	for (unsigned int i = 0; i < f->site_count; i++) {
		text_frame(page, 0);
		text_site_row(page, &f->sites[i]);
		site_stack(page, f, i, verbosity);
		asked_line(page, &f->sites[i]);
	}
	more_line(page, f->site_count, f->site_total, "more site", "more sites");
}

static void sweep_line(struct page *page, const struct finding_sweep *sweep)
{
	char tries[PHRASE_SIZE], closed[PHRASE_SIZE], took[PHRASE_SIZE];

	if (!sweep->present)
		return;
	phrase_count(tries, sizeof(tries), sweep->tries, "try", "tries");
	phrase_number(closed, sizeof(closed), sweep->closed);
	phrase_duration(took, sizeof(took), sweep->duration_ns);
	text_frame(page, 0);
	page_printf(page, " swept %" PRId32 " to %" PRId32 ": %s,", sweep->first, sweep->last,
		    tries);
	page_tab(page, 0, 1);
	text_make_room(page, 36, 12);
	page_printf(page, "%s closed, took %s", closed, took);
	page_newline(page);
}

static void say_victim_opener(char *buffer, size_t size, const struct finding *f,
			      const struct operation *opened)
{
	char when[PHRASE_SIZE], what[96], label[TEXT_LABEL_BYTES];

	if (!opened->known) {
		snprintf(buffer, size, "opener not seen");
		return;
	}
	text_say_when(when, sizeof(when), opened, f);
	text_say_what(what, sizeof(what), opened);
	text_say_where(label, sizeof(label), opened);
	snprintf(buffer, size, "opened %s %s %s", when, label[0] ? "in" : "by",
		 label[0] ? label : what);
}

/* What happened to it; nothing if no failure was seen. */
static void victim_failure(struct page *page, const struct finding *f,
			   const struct operation *failure)
{
	char when[PHRASE_SIZE], what[96], who[2 * PHRASE_SIZE];

	if (!failure->known)
		return;
	text_say_when(when, sizeof(when), failure, f);
	text_say_what(what, sizeof(what), failure);
	snprintf(who, sizeof(who), " tid %" PRIu32 " %s", failure->tid, when);
	page_tab(page, 0, 2);
	text_make_room(page, page_columns(what) + page_columns(who), 13);
	page_style(page, STYLE_ERROR);
	page_text(page, what, 32);
	page_style(page, STYLE_PLAIN);
	page_text(page, who, PAGE_ALL);
}

static void victim_line(struct page *page, const struct finding *f, const struct victim *v)
{
	char opener[TEXT_LABEL_BYTES + 160];

	text_frame(page, 0);
	page_printf(page, " fd %" PRId32, v->fd);
	page_tab(page, 13, 1);
	page_text(page, fd_kind_name(v->kind), PAGE_ALL);
	page_tab(page, 0, 1);
	page_path(page, phrase_name(v->kind, v->name), 40);
	page_tab(page, 0, v->name ? 2 : 1);
	say_victim_opener(opener, sizeof(opener), f, &v->opened);
	text_make_room(page, page_columns(opener), 13);
	page_text(page, opener, PAGE_ALL);
	victim_failure(page, f, &v->failed_use);
	page_newline(page);
}

static void put_victim_lines(struct page *page, const struct finding *f)
{
	if (f->victim_count) {
		text_frame(page, 0);
		page_style(page, STYLE_DIM);
		page_text(page,
			  f->sweep.present ? " descriptors it closed" : " affected descriptors",
			  PAGE_ALL);
		page_newline(page);
	}
	for (unsigned int i = 0; i < f->victim_count; i++)
		victim_line(page, f, &f->victims[i]);
	more_line(page, f->victim_count, f->victim_total, "more descriptor", "more descriptors");
}

static void put_note(struct page *page, const char *lead, const char *text)
{
	if (!text || !text[0])
		return;
	page_style(page, STYLE_FRAME);
	page_text(page, "   = ", PAGE_ALL);
	page_style(page, STYLE_BOLD);
	page_text(page, lead, PAGE_ALL);
	page_style(page, STYLE_PLAIN);
	page_tab(page, 11, 1);
	page_wrap(page, 11, text, NULL);
}

/* The summary names the most severe one. */
static void note_more(struct text_sink *t, const struct finding *f)
{
	char command[40];

	snprintf(command, sizeof(command), "fdtrace explain %08" PRIx64, f->fingerprint >> 32);
	put_note(&t->page, "more:", command);
	if (f->severity <= t->next_severity)
		return;
	t->next_severity = f->severity;
	t->next = f->fingerprint;
}

void text_finding_block(struct text_sink *t, const struct finding *f)
{
	struct page *page = &t->page;

	put_headline(page, f);
	put_place_line(t, f);
	if (t->options.verbosity && f->process)
		put_program_line(t, f);
	descriptor_line(page, &f->descriptor);
	other_end_line(page, &f->other_end);
	text_biography(page, f, t->options.verbosity);
	limit_line(page, &f->limit);
	put_site_lines(page, f, t->options.verbosity);
	sweep_line(page, &f->sweep);
	put_victim_lines(page, f);
	put_note(page, "why:", f->why);
	put_note(page, "help:", f->help);
	if (t->sink.kept)
		note_more(t, f);
	if (t->options.verbosity)
		text_suppression(page, f);
	page_newline(page);
}
