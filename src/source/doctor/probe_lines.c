// SPDX-License-Identifier: BSD-2-Clause
#include <stdarg.h>
#include <stdio.h>

#include "source/doctor/probe_private.h"

static void __attribute__((format(printf, 6, 0)))
probe_add_line(struct probe_report *report, enum verdict verdict, const char *what,
	       const char *consequence, const char *remedy, const char *found, va_list args)
{
	struct probe_line *out = &report->line[report->count];

	if (report->count == PROBE_LINES_MAX)
		return;
	report->count++;
	out->verdict = verdict;
	snprintf(out->what, sizeof(out->what), "%s", what);
	snprintf(out->consequence, sizeof(out->consequence), "%s", consequence);
	snprintf(out->remedy, sizeof(out->remedy), "%s", remedy);
	vsnprintf(out->found, sizeof(out->found), found, args);
}

void probe_report_line(struct probe_report *report, enum verdict verdict, const char *what,
		       const char *consequence, const char *remedy, const char *found, ...)
{
	va_list args;

	va_start(args, found);
	probe_add_line(report, verdict, what, consequence, remedy, found, args);
	va_end(args);
}

void probe_fine(struct probe_report *report, const char *what, const char *found, ...)
{
	va_list args;

	va_start(args, found);
	probe_add_line(report, VERDICT_OK, what, "", "", found, args);
	va_end(args);
}
