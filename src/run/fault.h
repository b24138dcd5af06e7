/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Injected faults (--set fault.drop, fault.delay): slot events that are dropped, or held back so
 * that they arrive late and out of order. Tests check that --verify notices and that audits repair
 * the tables.
 */
#ifndef FDTRACE_RUN_FAULT_H
#define FDTRACE_RUN_FAULT_H

#include <stddef.h>
#include <stdint.h>
#include "source/source.h"

struct fault;

/* Both in percent of all FDT_SLOT events; their sum may reach 100. 0 or -ENOMEM. */
int fault_new(unsigned int drop, unsigned int delay, struct fault **ret_fault);
void fault_free(struct fault *fault); /* NULL is allowed */

/* Passes the event on to fn, or drops or delays it; late ones may follow. Returns what fn did. */
int fault_pass(struct fault *fault, const void *event, size_t size, source_event_fn fn, void *ctx);

#endif
