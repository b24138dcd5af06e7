/* SPDX-License-Identifier: BSD-2-Clause */
/* Shared by the files that find out lines of the report. */
#ifndef FDTRACE_SOURCE_PROBE_PRIVATE_H
#define FDTRACE_SOURCE_PROBE_PRIVATE_H

#include "source/doctor/obstacle.h"
#include "source/doctor/probe.h"

/* Adds a line. consequence, remedy: "" if there is none. */
void probe_report_line(struct probe_report *report, enum verdict verdict, const char *what,
		       const char *consequence, const char *remedy, const char *found, ...)
	__attribute__((format(printf, 6, 7)));

/* Adds a line that is fine. */
void probe_fine(struct probe_report *report, const char *what, const char *found, ...)
	__attribute__((format(printf, 3, 4)));

/* Memory, memlock, sysctls, preemption, mounts, cgroups. */
void probe_limits(struct probe_report *report);

/* Interpreters that are recognised, and those that run. */
void probe_interpreters(struct probe_report *report);

#endif
