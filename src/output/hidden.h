/* SPDX-License-Identifier: BSD-2-Clause */
/* What a sink has left out because it is less severe than --min-severity. */
#ifndef FDTRACE_OUTPUT_HIDDEN_H
#define FDTRACE_OUTPUT_HIDDEN_H

#include "output/sink.h"

/* Causes, by rule and by the severity they have now. */
struct hidden {
	uint64_t by_rule[RULE_COUNT];
	uint64_t by_severity[SEVERITY_ERROR + 1];
	uint64_t total;
};

void hidden_count(const struct sink_options *options, struct engine *engine,
		  struct hidden *ret_hidden);

/* The --min-severity that would show all of them. There are some. */
enum severity hidden_least(const struct hidden *hidden);

#endif
