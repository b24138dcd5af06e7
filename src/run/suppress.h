/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading suppressions (--suppress): a YAML list of mappings.
 *
 *     - name: the pool keeps its connections open at exit on purpose
 *       rule: leak.exit               # or a family: leak
 *       exe: /usr/bin/python3*        # or without a slash: the program's name
 *       frame: 'Pool.connect (*)'     # a glob on any frame of the culprit's stack
 *       fingerprint: 0123456789abcdef # of one cause: 16 hex digits
 *       comment: never printed, kept for the next reader
 */
#ifndef FDTRACE_RUN_SUPPRESS_H
#define FDTRACE_RUN_SUPPRESS_H

#include "engine/suppression.h"

struct error;

#define SUPPRESS_ENTRIES_MAX 1000 /* of a file */

/*
 * What all the files hold, in their order. 0, or -errno with *error naming file, line, what is
 * wrong and what to do. The caller frees *ret_list.
 */
int suppress_read(const char *const *paths, unsigned int path_count,
		  struct suppression_list **ret_list, struct error *error);
void suppress_free(struct suppression_list *list); /* NULL is allowed */

#endif
