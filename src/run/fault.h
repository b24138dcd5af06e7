/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Faults on purpose (--set fault.drop, fault.delay): assertions about slots that are dropped, or
 * held back so that they arrive late and out of order. Nothing else makes
 * the tables wrong on purpose; tests check that --verify notices and that audits repair it.
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

/* Passes the event on to fn, or not, or others with it. What fn returned, if not 0. */
int fault_pass(struct fault *fault, const void *event, size_t size, source_event_fn fn, void *ctx);

#endif
