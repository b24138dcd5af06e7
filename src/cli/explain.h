/* SPDX-License-Identifier: BSD-2-Clause */
/* `fdtrace explain`: what this host has stored about findings, as text or JSON lines. */
#ifndef FDTRACE_CLI_EXPLAIN_H
#define FDTRACE_CLI_EXPLAIN_H

#include <stdbool.h>
#include <stddef.h>

struct page;
struct error;

/* Puts one JSON line of a finding on the page. 0; -EINVAL: it is not JSON; page->failed: no memory. */
int explain_line(struct page *page, const char *line, size_t length);

/*
 * To fd, newest first: all of a finding; without a fingerprint (NULL) a list of the latest
 * EXPLAIN_LISTED findings. json: the lines as they were stored; else on the page, which the caller
 * has made. 0 or -errno with *error filled.
 */
#define EXPLAIN_LISTED 50
int explain(int fd, struct page *page, const char *fingerprint, bool json, struct error *error);

#endif
