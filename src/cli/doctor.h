/* SPDX-License-Identifier: BSD-2-Clause */
/* `fdtrace doctor`: what the probe found, for a person or a program. */
#ifndef FDTRACE_CLI_DOCTOR_H
#define FDTRACE_CLI_DOCTOR_H

#include <stdbool.h>
#include <stdio.h>

#include "source/doctor/probe.h"
#include "util/hostinfo.h"

/* width: in columns, 0: unlimited; longer lines are wrapped under their column. */
void doctor_print_text(FILE *out, const struct probe_report *report, const struct hostinfo *host,
		       unsigned int width);

/* One JSON object on one line. 0 or -ENOMEM. */
int doctor_print_json(FILE *out, const struct probe_report *report, const struct hostinfo *host);

#endif
