// SPDX-License-Identifier: BSD-2-Clause
/* Findings and the summary for a person. How they look: text_block.c and text_summary.c. */
#include "output/text/text.h"

#include <errno.h>
#include <stdlib.h>

static struct text_sink *text_sink(struct sink *sink)
{
	return (struct text_sink *)sink;
}

static int show(struct text_sink *t)
{
	return page_write(&t->page, t->options.fd);
}

/* stdout carries what was found; that tracing starts and stops is said on stderr. */
/* What a terminal is told of it goes to stderr. */
static int text_coverage(struct sink *sink, const struct coverage_change *change)
{
	(void)sink, (void)change;
	return 0;
}

static int text_state(struct sink *sink, enum run_state state, uint64_t time_ns)
{
	(void)sink, (void)state, (void)time_ns;
	return 0;
}

static int text_finding(struct sink *sink, const struct finding *finding)
{
	struct text_sink *t = text_sink(sink);

	if (finding->severity < t->options.min_severity)
		return 0;
	text_finding_block(t, finding);
	return show(t);
}

static int text_withheld(struct sink *sink, const struct withheld *withheld)
{
	struct text_sink *t = text_sink(sink);

	text_withheld_line(t, withheld);
	return show(t);
}

static int text_change(struct sink *sink, const struct change *change)
{
	struct text_sink *t = text_sink(sink);

	text_change_line(t, change);
	return show(t);
}

static int text_sum_up(struct sink *sink, const struct summary *summary)
{
	struct text_sink *t = text_sink(sink);

	if (t->options.quiet || !t->options.summaries)
		return 0;
	text_summary(t, summary);
	return show(t);
}

static void text_free(struct sink *sink)
{
	struct text_sink *t = text_sink(sink);

	page_done(&t->page);
	free(t);
}

int text_sink_new(const struct sink_options *options, struct sink **ret_sink)
{
	static const struct sink_ops ops = {
		.state = text_state,
		.coverage = text_coverage,
		.finding = text_finding,
		.withheld = text_withheld,
		.change = text_change,
		.summary = text_sum_up,
		.free = text_free,
	};
	struct text_sink *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->sink.ops = &ops;
	t->options = *options;
	page_init(&t->page, options->width, options->color);
	*ret_sink = &t->sink;
	return 0;
}
