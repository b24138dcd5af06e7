/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What only some rules need from the source: a set of bits. What no rule needs is not observed and
 * costs nothing. The events of one detector, and those below, are made only on demand.
 */
#ifndef FDTRACE_NEEDS_H
#define FDTRACE_NEEDS_H

#include "fdtrace/event.h"

#define FDT_NEED(NAME) (1u << FDT_##NAME) /* the events FDT_NAME: LOCK, REGISTER, MARK ... */
/* FDT_OP_STALE_USE, which comes in FDT_USE; no event has the number 0. */
#define FDT_STALE_USES 0
#define FDT_NEED_BITS 32
_Static_assert(FDT_EVENT_KINDS <= FDT_NEED_BITS, "needs are words");

#endif
