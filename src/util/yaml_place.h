/* SPDX-License-Identifier: BSD-2-Clause */
/* Where something stands in a YAML text, and what makes a text one that we do not read at all. */
#ifndef FDTRACE_UTIL_YAML_PLACE_H
#define FDTRACE_UTIL_YAML_PLACE_H

#include <stdbool.h>
#include <stddef.h>

struct yaml_place {
	unsigned int line, column; /* from 1; 0: not known */
};

/* One level of the way to a node. */
struct yaml_step {
	const char *key;    /* in a mapping; NULL: an entry of a list */
	unsigned int index; /* of the entry, from 0 */
};

#define YAML_DEPTH_MAX 16

/*
 * One document of plain mappings, lists and scalars: no aliases, no deeper than YAML_DEPTH_MAX, no NUL
 * in a scalar. NULL, or what is wrong, in words that live in buffer or for ever; *ret_place
 * says where. *ret_empty: there is no document (comments at most).
 */
const char *yaml_fault(const char *text, size_t size, char *buffer, size_t buffer_size,
		       struct yaml_place *ret_place, bool *ret_empty);

/*
 * The place of the node's value, or of its key in the mapping; of the nearest node above it that
 * there is, if there is no such node. The text has no yaml_fault().
 */
struct yaml_place yaml_find(const char *text, size_t size, const struct yaml_step *steps,
			    unsigned int step_count, bool key);

#endif
