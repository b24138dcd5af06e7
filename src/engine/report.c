// SPDX-License-Identifier: BSD-2-Clause
#include "engine/report.h"

#include <stdarg.h>
#include <string.h>

#include "base/text.h"
#include "engine/engine_private.h"

void report_begin(struct report *r, struct engine *e, enum rule rule, const struct process *process,
		  const struct site *site)
{
	memset(&r->finding, 0, offsetof(struct finding, history)); /* the rest is most of it */
	r->engine = e;
	r->finding.process = process;
	r->finding.descriptor.fd = -1;
	r->finding.confidence = CONFIDENCE_EXACT;
	r->is_news = r->is_joint = false;
	r->message.length = r->why.length = 0;
	r->message.text[0] = r->why.text[0] = '\0';
	report_cause(r, rule, site);
}

void report_cause(struct report *r, enum rule rule, const struct site *site)
{
	r->finding.rule = rule;
	r->finding.severity = rule_info(rule)->severity;
	r->finding.fingerprint = 0;
	r->cause = site;
}

uint64_t report_fingerprint(struct report *r)
{
	struct finding *f = &r->finding;

	if (!f->fingerprint)
		f->fingerprint = finding_fingerprint(f->rule, f->process, r->cause);
	return f->fingerprint;
}

void report_trust(struct report *r, const struct fdtable *table, enum confidence at_best)
{
	r->finding.confidence = table->tainted ? CONFIDENCE_AFTER_LOSS : at_best;
}

bool report_is_news(struct report *r)
{
	report_fingerprint(r);
	r->is_news = finding_wanted(r->engine, r->finding.rule) && !r->engine->finished &&
		     cause_is_news(r->engine, &r->finding);
	return r->is_news;
}

/* Behind the first `length` bytes. */
__attribute__((format(printf, 4, 0))) static void report_format(const struct report *r,
								struct report_text *text,
								size_t length, const char *format,
								va_list arguments)
{
	if (r->is_news)
		text->length =
			length + text_vformat(text->text + length, sizeof(text->text) - length,
					      format, arguments);
}

void report_message(struct report *r, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	report_format(r, &r->message, 0, format, arguments);
	va_end(arguments);
}

void report_add_message(struct report *r, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	report_format(r, &r->message, r->message.length, format, arguments);
	va_end(arguments);
}

void report_why(struct report *r, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	report_format(r, &r->why, 0, format, arguments);
	va_end(arguments);
}

void report_add_why(struct report *r, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	report_format(r, &r->why, r->why.length, format, arguments);
	va_end(arguments);
}

void report_help(struct report *r, enum help help)
{
	const struct site *site = finding_culprit(&r->finding);

	r->finding.help = help_text(help, site ? site_language(site) : LANGUAGE_NATIVE);
}

/* The finding as it would be if it were about that row alone. */
static struct finding report_row_alone(const struct report *r, unsigned int row)
{
	struct finding f = r->finding;

	finding_put_site(&f, &r->finding.sites[row]);
	f.fingerprint = finding_fingerprint(f.rule, f.process, f.sites[0].site);
	return f;
}

static void report_drop_row(struct finding *f, unsigned int row)
{
	f->site_count--;
	f->site_total--;
	memmove(&f->sites[row], &f->sites[row + 1], (f->site_count - row) * sizeof(f->sites[0]));
}

/* Those that are suppressed are counted and go. */
static void report_drop_silent(struct report *r)
{
	for (unsigned int i = 0; i < r->finding.site_count;) {
		struct finding alone = report_row_alone(r, i);

		if (!cause_is_silent(r->engine, &alone)) {
			i++;
			continue;
		}
		cause_report(r->engine, &alone);
		report_drop_row(&r->finding, i);
	}
}

bool report_lead(struct report *r)
{
	struct finding *f = &r->finding;
	unsigned int lead = 0;
	struct site_row row;

	report_drop_silent(r);
	if (!f->site_count)
		return false;
	for (unsigned int i = f->site_count; i-- > 0;) {
		struct finding alone = report_row_alone(r, i);

		if (cause_is_news(r->engine, &alone))
			lead = i;
	}
	row = f->sites[lead];
	memmove(&f->sites[1], &f->sites[0], lead * sizeof(row));
	f->sites[0] = row;
	r->cause = row.site;
	f->fingerprint = 0;
	r->is_joint = true;
	return true;
}

static void report_send_joined(struct report *r)
{
	for (unsigned int i = 1; i < r->finding.site_count; i++) {
		struct finding alone = report_row_alone(r, i);

		alone.joined = true;
		cause_report(r->engine, &alone);
	}
}

void report_send(struct report *r)
{
	report_fingerprint(r);
	r->finding.message = r->message.text;
	r->finding.why = r->why.text;
	cause_report(r->engine, &r->finding);
	if (r->is_joint)
		report_send_joined(r);
}
