// SPDX-License-Identifier: BSD-2-Clause
/* Findings and the summary for a person. How they look: text_block.c and text_summary.c. */
#include "output/text/text.h"

#include <errno.h>
#include <stdlib.h>

#include "output/format.h"

static struct text_sink *text_sink(struct sink *sink)
{
	return (struct text_sink *)sink;
}

static int text_show(struct text_sink *t)
{
	return page_write(&t->page, t->options.fd);
}

static int text_finding(struct sink *sink, const struct finding *finding)
{
	struct text_sink *t = text_sink(sink);

	if (!sink_shows(&t->options, finding->rule, finding->severity))
		return 0;
	text_finding_block(t, finding);
	return text_show(t);
}

static int text_withheld(struct sink *sink, const struct withheld *withheld)
{
	struct text_sink *t = text_sink(sink);

	text_withheld_line(t, withheld);
	return text_show(t);
}

static int text_change(struct sink *sink, const struct change *change)
{
	struct text_sink *t = text_sink(sink);

	text_change_line(t, change);
	return text_show(t);
}

static int text_sum_up(struct sink *sink, const struct summary *summary)
{
	struct text_sink *t = text_sink(sink);

	if (t->options.quiet || !t->options.summaries)
		return 0;
	text_summary(t, summary);
	return text_show(t);
}

static int text_take_inventory(struct sink *sink, const struct summary *summary)
{
	struct text_sink *t = text_sink(sink);

	if (t->options.quiet || !t->options.summaries)
		return 0;
	text_inventory(t, summary);
	return text_show(t);
}

static void text_free(struct sink *sink)
{
	struct text_sink *t = text_sink(sink);

	page_done(&t->page);
	free(t);
}

static int text_new(const struct sink_options *options, struct sink **ret_sink)
{
	/* stdout carries findings; start, stop and coverage are reported on stderr */
	static const struct sink_ops ops = {
		.finding = text_finding,
		.withheld = text_withheld,
		.change = text_change,
		.summary = text_sum_up,
		.inventory = text_take_inventory,
		.free = text_free,
	};
	struct text_sink *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->sink.ops = &ops;
	t->options = *options;
	page_init(&t->page, options->width, options->color);
	t->page.ascii = options->ascii;
	*ret_sink = &t->sink;
	return 0;
}

const struct output_format output_format_text = {
	.name = "text",
	.min_severity = SEVERITY_WARNING,
	.sink_new = text_new,
};
