// SPDX-License-Identifier: BSD-2-Clause
#include "output/hidden.h"

#include <string.h>

struct hiding {
	const struct sink_options *options;
	struct hidden *hidden;
};

static void hidden_add(void *ctx, const struct finding_row *row)
{
	const struct hiding *hiding = ctx;
	struct hidden *hidden = hiding->hidden;

	if (sink_shows(hiding->options, row->rule, row->severity))
		return;
	hidden->by_rule[row->rule]++;
	hidden->by_severity[row->severity]++;
	hidden->total++;
}

void hidden_count(const struct sink_options *options, struct engine *engine,
		  struct hidden *ret_hidden)
{
	struct hiding hiding = { options, ret_hidden };

	memset(ret_hidden, 0, sizeof(*ret_hidden));
	engine_each_finding(engine, hidden_add, &hiding);
}

enum severity hidden_least(const struct hidden *hidden)
{
	int severity = SEVERITY_INFO;

	while (severity < SEVERITY_ERROR && !hidden->by_severity[severity])
		severity++;
	return (enum severity)severity;
}
