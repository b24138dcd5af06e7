/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How a detector reports: it begins a report, fills in the evidence, asks whether this is news,
 * words it if it is, and sends it. What is no news is sent, too, for it is counted.
 *
 *	struct report r;
 *
 *	report_begin(&r, e, RULE_CLOSE_STDIO, table->owner, slot->site);
 *	report_trust(&r, table, CONFIDENCE_EXACT);
 *	r.finding.opened = slot_opening(slot);
 *	if (report_is_news(&r)) {
 *		report_message(&r, "fd %d is now %s", fd, what);
 *		report_why(&r, "number %d was free", fd);
 *		r.finding.help = "keep 0, 1 and 2 open";
 *	}
 *	report_send(&r);
 *
 * No function here fails: words that have no room are cut, and what finds no memory is counted as
 * dropped. Everything that the report points to is borrowed until report_send() returns.
 */
#ifndef FDTRACE_ENGINE_REPORT_H
#define FDTRACE_ENGINE_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include "engine/finding.h"
#include "engine/help.h"

struct engine;
struct fdtable;

#define REPORT_TEXT_SIZE 512 /* of a message or its reason, NUL included */

struct report_text {
	size_t length;
	char text[REPORT_TEXT_SIZE];
};

/* On the caller's stack; it owns nothing and needs no end. */
struct report {
	struct engine *engine;
	struct finding finding; /* the detector fills in what it knows */
	const struct site *cause;
	bool is_joint; /* report_lead(): the other rows are causes, too */
	bool is_news;  /* only words of news are kept */
	struct report_text message, why;
};

/*
 * A finding without evidence: of the rule's usual severity, about no descriptor, certain, and
 * caused at the site (NULL: not known).
 */
void report_begin(struct report *r, struct engine *e, enum rule rule, const struct process *process,
		  const struct site *site);

/* It is of this rule instead, and this site causes it: for who has to look at the evidence first. */
void report_cause(struct report *r, enum rule rule, const struct site *site);

/* It rests on what is known of the table: at_best, or CONFIDENCE_AFTER_LOSS if events are missing. */
void report_trust(struct report *r, const struct fdtable *table, enum confidence at_best);

/*
 * The finding's fingerprint: of rule, process and cause, made when it is first asked for, unless
 * the detector has set another. It costs as much as a few words.
 */
uint64_t report_fingerprint(struct report *r);

/*
 * Whether it would be reported now, by rule, fingerprint and severity: these must not change any
 * more. Where it is not, the host need not be asked for what nobody will read.
 */
bool report_is_news(struct report *r);

/*
 * The message, and the evidence in a sentence: one line each, without a newline. Nothing before
 * report_is_news() has said yes. The second of each pair adds to what is there.
 */
void report_message(struct report *r, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void report_add_message(struct report *r, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void report_why(struct report *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
void report_add_why(struct report *r, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * The remedy in the language of the place to look at (finding_culprit()), so the evidence comes
 * first. One that is the same everywhere is written into finding.help.
 */
void report_help(struct report *r, enum help help);

/*
 * The rows of r.finding.sites are causes of their own that are reported together: rows whose cause is
 * suppressed are counted and left out, and the first one that is news leads, and is the cause. To be
 * called when all but the words is known; false: no row is left. report_send() then counts all.
 */
bool report_lead(struct report *r);

/*
 * Counts it under its fingerprint, and hands it to the listener if it is news and neither suppressed
 * nor one of too many. Once for each report.
 */
void report_send(struct report *r);

#endif
