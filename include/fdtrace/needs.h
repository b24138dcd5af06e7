/* SPDX-License-Identifier: BSD-2-Clause */
/* What only some rules need from the source. What no rule needs is not observed and costs nothing. */
#ifndef FDTRACE_NEEDS_H
#define FDTRACE_NEEDS_H

enum fdt_need {
	FDT_NEED_LOCKS = 1 << 0,         /* FDT_LOCK */
	FDT_NEED_REGISTRATIONS = 1 << 1, /* FDT_REGISTER */
	FDT_NEED_MARKS = 1 << 2,         /* FDT_MARK */
	FDT_NEED_STALE_USES = 1 << 3,    /* FDT_OP_STALE_USE */
};

#endif
