// SPDX-License-Identifier: BSD-2-Clause
/* The biography of a descriptor: who opened it, who closed it, whose call failed, row by row. */
#include "output/text/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "model/process.h"
#include "model/site.h"
#include "model/syscall_name.h"
#include "fdtrace/syscall.h"

#define CULPRIT "<-- culprit"
#define NOT_SEEN "not seen (before attach, or lost)"
#define ROWS_MAX (2 * FINDING_HISTORY_MAX + 3)

/* A row of the biography, in words; columns are as wide as their widest. */
struct row {
	const char *verb;
	uint32_t generation;
	bool culprit, unseen;
	char when[PHRASE_SIZE];
	char who[80];
	char what[96];
	char label[TEXT_LABEL_BYTES];
	const struct site *site;
};

struct biography {
	struct row row[ROWS_MAX];
	unsigned int count;
	unsigned int generation, verb, when, who, what; /* widths */
};

static void say_who(char *buffer, size_t size, const struct operation *operation,
		    const struct process *process)
{
	if (process && operation->pid != process->pid)
		snprintf(buffer, size, "%s[%" PRIu32 "]", operation->name ? operation->name : "pid",
			 operation->pid);
	else
		snprintf(buffer, size, "tid %" PRIu32, operation->tid);
}

void text_say_what(char *buffer, size_t size, const struct operation *operation)
{
	const char *how = operation->how && operation->how[0] ? operation->how
							      : syscall_name(operation->syscall);
	char error[PHRASE_SIZE];

	if (!operation->error) {
		snprintf(buffer, size, "%s", how);
		return;
	}
	phrase_error(error, sizeof(error), operation->error);
	snprintf(buffer, size, "%s = %s", how, error);
}

/* A site without a stack has the name of its syscall, which the row shows already. */
void text_say_where(char *buffer, size_t size, const struct operation *operation)
{
	buffer[0] = '\0';
	if (operation->site)
		site_format(operation->site, buffer, size);
	if (!strcmp(buffer, syscall_name(operation->syscall)))
		buffer[0] = '\0';
}

void text_say_when(char *buffer, size_t size, const struct operation *operation,
		   const struct finding *f)
{
	size_t length;

	phrase_relative(buffer, size, operation->time_ns, f->time_ns);
	for (length = strlen(buffer); length && buffer[length - 1] == ' ';)
		buffer[--length] = '\0';
}

static void widen_column(unsigned int *width, const char *text, unsigned int most)
{
	unsigned int columns = page_columns(text);

	if (columns > most)
		columns = most;
	if (columns > *width)
		*width = columns;
}

static void add_biography_row(struct biography *b, const struct finding *f, const char *verb,
			      uint32_t generation, const struct operation *operation, bool culprit)
{
	struct row *row = &b->row[b->count++];

	*row = (struct row){ .verb = verb, .generation = generation, .culprit = culprit };
	widen_column(&b->verb, verb, PAGE_ALL);
	row->unseen = !operation->known;
	if (row->unseen)
		return;
	phrase_relative(row->when, sizeof(row->when), operation->time_ns, f->time_ns);
	say_who(row->who, sizeof(row->who), operation, f->process);
	text_say_what(row->what, sizeof(row->what), operation);
	text_say_where(row->label, sizeof(row->label), operation);
	row->site = operation->site;
	widen_column(&b->when, row->when, PAGE_ALL);
	widen_column(&b->who, row->who, 24);
	widen_column(&b->what, row->what, 32);
}

static void add_lifetime(struct biography *b, const struct finding *f, const struct lifetime *l)
{
	add_biography_row(b, f, "opened", l->generation, &l->opened, false);
	if (l->closed.known || l->closed.time_ns)
		add_biography_row(b, f, "closed", l->generation, &l->closed, false);
}

/* A call that wanted a new descriptor, or tried to close one. */
static bool is_no_use(const struct finding *f)
{
	return f->used.error && (f->descriptor.fd < 0 || f->used.syscall == FDT_SYS_close);
}

static const char *used_verb(const struct finding *f)
{
	if (is_no_use(f))
		return "failed";
	return f->used_is_culprit ? "USED" : "used";
}

static void collect_biography(struct biography *b, const struct finding *f)
{
	uint32_t generation = f->descriptor.generation;

	for (unsigned int i = f->history_count; i--;)
		if (f->history[i].generation < generation || !generation)
			add_lifetime(b, f, &f->history[i]);
	/* generation 0: no open descriptor of this number is known, nor an opener */
	if (f->opened.known || (f->descriptor.fd >= 0 && generation))
		add_biography_row(b, f, f->opened_is_culprit ? "OPENED" : "opened", generation,
				  &f->opened, f->opened_is_culprit);
	if (f->closed.known)
		add_biography_row(b, f, f->closed_is_culprit ? "CLOSED" : "closed", generation,
				  &f->closed, f->closed_is_culprit);
	for (unsigned int i = f->history_count; i--;)
		if (generation && f->history[i].generation > generation)
			add_lifetime(b, f, &f->history[i]);
	if (f->used.known)
		add_biography_row(b, f, used_verb(f), generation, &f->used, f->used_is_culprit);
	if (f->history_count && generation) {
		char number[16];

		snprintf(number, sizeof(number), "gen %" PRIu32, generation);
		b->generation = (unsigned int)strlen(number) + 1;
	}
}

/* Right of the row if it fits there, else below. */
static void put_operation_label(struct page *page, const struct row *row)
{
	unsigned int needed = page_columns(row->label),
		     mark = row->culprit ? sizeof(CULPRIT) + 1 : 0;
	unsigned int room;

	if (!needed && !mark)
		return;
	page_tab(page, 0, 2);
	text_make_room(page, needed + mark, 9);
	room = page_room(page);
	page_text(page, row->label, room == PAGE_ALL ? PAGE_ALL : room - mark);
	text_callers(page, row->site, mark);
	if (!mark)
		return;
	page_tab(page, 0, needed ? 2 : 0);
	page_style(page, STYLE_ERROR);
	page_text(page, CULPRIT, PAGE_ALL);
}

static void put_row(struct page *page, const struct biography *b, unsigned int index)
{
	const struct row *row = &b->row[index];
	unsigned int column = 5;

	text_frame(page, index + 1);
	if (b->generation && row->generation)
		page_printf(page, "gen %" PRIu32, row->generation);
	column += b->generation;
	page_tab(page, column, 0);
	page_style(page, row->culprit ? STYLE_ERROR : STYLE_PLAIN);
	page_text(page, row->verb, PAGE_ALL);
	page_style(page, STYLE_PLAIN);
	column += b->verb + 2;
	if (row->unseen) {
		page_tab(page, column, 0);
		page_style(page, STYLE_DIM);
		page_text(page, NOT_SEEN, PAGE_ALL);
		page_newline(page);
		return;
	}
	text_right(page, column, b->when, row->when);
	column += b->when + 2;
	page_tab(page, column, 0);
	page_text(page, row->who, b->who);
	column += b->who + 2;
	page_tab(page, column, 0);
	page_text(page, row->what, b->what);
	if (row->label[0] || row->culprit)
		page_tab(page, column + b->what, 0);
	put_operation_label(page, row);
	page_newline(page);
}

void text_biography(struct page *page, const struct finding *f, unsigned int verbosity)
{
	struct biography b = { 0 };

	collect_biography(&b, f);
	for (unsigned int i = 0; i < b.count; i++) {
		put_row(page, &b, i);
		/* for earlier generations the site is enough, unless -v asks for everything */
		if (verbosity > 1 || (verbosity && b.row[i].generation == f->descriptor.generation))
			text_frames(page, b.row[i].site);
	}
}
