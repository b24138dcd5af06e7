/* SPDX-License-Identifier: BSD-2-Clause */
/* What the parts of the text sink share; private to it. */
#ifndef FDTRACE_OUTPUT_TEXT_H
#define FDTRACE_OUTPUT_TEXT_H

#include "output/text/page.h"
#include "output/text/phrase.h"
#include "output/text/text_layout.h"
#include "output/sink.h"

struct text_sink {
	struct sink sink;
	struct sink_options options;
	struct page page;
	enum severity next_severity; /* of what the summary advises to explain; 0: nothing */
	uint64_t next;
};

#define TEXT_BAR_COLUMNS 20
#define TEXT_LABEL_BYTES 256

enum style text_severity_style(enum severity severity);

/* What state a socket is in, with a blank before it; nothing where it has none. */
void text_socket_state(struct page *page, const struct descriptor *d);

/* "1019/1024 ###################   99 %", or "12" where the limit is not known. */
void text_limit(struct page *page, uint64_t open, uint64_t soft);

/* "sendto = EBADF"; the site, "" where it says no more than the syscall; "-18.1 s". */
void text_say_what(char *buffer, size_t size, const struct operation *operation);
void text_say_where(char *buffer, size_t size, const struct operation *operation);
void text_say_when(char *buffer, size_t size, const struct operation *operation,
		   const struct finding *f);

/*
 * The callers of the frame just put on the page: " < app.py:31 main < ...", as far as it fits
 * leaving `reserve` columns.
 */
void text_callers(struct page *page, const struct site *site, unsigned int reserve);
bool text_has_callers(const struct site *site);
/* All frames, one a line, and what is missing. Nothing without a stack. */
void text_frames(struct page *page, const struct site *site);

/* "  OPEN  KIND       OLDEST  SITE" and a row below it; the line begins before column 6. */
void text_site_head(struct page *page);
void text_site_row(struct page *page, const struct site_row *row);

/* Each puts its lines on the page, ending with a newline. */
void text_biography(struct page *page, const struct finding *f, unsigned int verbosity);
void text_finding_block(struct text_sink *t, const struct finding *f);
/* Nothing where all of them are below the least severity. */
void text_withheld_line(struct text_sink *t, const struct withheld *w);
void text_change_line(struct text_sink *t, const struct change *c);
/* The same by rule; how many were suppressed and by what. Nothing where there are none. */
void text_withheld_sum(struct page *page, const struct engine_counters *c);
void text_suppressed_sum(struct page *page, const struct summary *s);
/* The suppression that would match the finding, ready to be pasted. */
void text_suppression(struct page *page, const struct finding *f);
void text_summary(struct text_sink *t, const struct summary *s);
void text_inventory(struct text_sink *t, const struct summary *s);

#endif
