/* SPDX-License-Identifier: BSD-2-Clause */
/* `fdtrace explain FINGERPRINT`: what this host has stored about a finding, as text or JSON lines. */
#ifndef FDTRACE_CLI_EXPLAIN_H
#define FDTRACE_CLI_EXPLAIN_H

#include <stdbool.h>
#include <stddef.h>

struct page;
struct error;

/* Puts one JSON line of a finding on the page. 0; -EINVAL: it is not JSON; page->failed: no memory. */
int explain_line(struct page *page, const char *line, size_t length);

/* Newest first, to fd; json: the lines as they were stored. 0 or -errno with *error filled. */
int explain(int fd, const char *fingerprint, bool json, unsigned int width, bool color,
	    struct error *error);

#endif
