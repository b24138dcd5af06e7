// SPDX-License-Identifier: BSD-2-Clause
#include <errno.h>
#include <stdio.h>

#include "source/doctor/interpreters.h"
#include "source/doctor/probe_private.h"

#define NOT_WALKED "only native stacks for unknown interpreters"

static void probe_known(struct probe_report *report)
{
	char known[48], here[96];
	int err;

	interpreters_known(known, sizeof(known));
	err = interpreters_system(here, sizeof(here));
	if (err == -ENOTSUP)
		probe_report_line(report, VERDICT_WARN, "python", NOT_WALKED, "",
				  "%s; python3 here: %s", known, here);
	else
		probe_fine(report, "python", "%s; python3 here: %s", known,
			   err == 1 ? here : "none");
}

/* "CPython 3.11.2 (4), CPython 3.9 (1)": with the number of processes. */
static void list(const struct interpreters *all, bool walked, char *buffer, size_t size)
{
	size_t used = 0;

	buffer[0] = '\0';
	for (unsigned int i = 0; i < all->count && used < size; i++)
		if (all->found[i].walked == walked)
			used += (size_t)snprintf(buffer + used, size - used, "%s%s (%u)",
						 used ? ", " : "", all->found[i].description,
						 all->found[i].processes);
}

static void probe_running(struct probe_report *report)
{
	struct interpreters all;
	char text[128];

	interpreters_running(&all);
	list(&all, true, text, sizeof(text));
	probe_fine(report, "python running", "%s%s", *text ? text : "none visible",
		   all.more ? ", and more" : "");
	list(&all, false, text, sizeof(text));
	if (*text)
		probe_report_line(report, VERDICT_WARN, "python unknown", NOT_WALKED, "", "%s",
				  text);
}

void probe_interpreters(struct probe_report *report)
{
	probe_known(report);
	probe_running(report);
}
