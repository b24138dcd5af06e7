/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A YAML text as a tree of mappings, lists and texts, each with its place. It is parsed once, event
 * by event, and every bound is checked before anything is kept, so that no input costs much memory,
 * time or stack: aliases are refused, and so is what is larger or deeper or has more nodes than
 * the bounds below allow.
 */
#ifndef FDTRACE_UTIL_YAML_TREE_H
#define FDTRACE_UTIL_YAML_TREE_H

#include <stddef.h>

#define YAML_BYTES_MAX (1 << 20)
#define YAML_NODES_MAX 20000 /* texts, keys among them, lists and mappings */
#define YAML_DEPTH_MAX 16    /* lists and mappings in each other */
#define YAML_TAGS_MAX 16     /* %TAG directives: libyaml compares each with all others */

enum yaml_shape { YAML_SHAPE_TEXT, YAML_SHAPE_LIST, YAML_SHAPE_MAPPING };

struct yaml_node {
	enum yaml_shape shape;
	unsigned int line, column; /* from 1; columns are characters */
	const char *text;          /* of a text; valid UTF-8, no NUL in it */
	struct yaml_node *key;     /* of a mapping's value: a text; else NULL */
	struct yaml_node *first;   /* entries of a list, values of a mapping */
	struct yaml_node *next;    /* beside it */
	unsigned int count;        /* of a list's entries or a mapping's values */
};

struct yaml_tree {
	struct yaml_node *root; /* NULL: nothing is written, comments at most */
	unsigned int node_count;
	struct yaml_chunk *chunks;
};

/* What is wrong with the text. */
struct yaml_fault {
	unsigned int line, column;
	char what[160]; /* safe to print */
};

/*
 * 0; -EINVAL with *ret_fault filled; -ENOMEM. The caller frees the tree in each case, after its
 * last use of a node or a text.
 */
int yaml_tree_parse(struct yaml_tree *tree, const char *text, size_t size,
		    struct yaml_fault *ret_fault);

/* Zeroed memory that lives as long as the tree. NULL: there is none. */
void *yaml_tree_alloc(struct yaml_tree *tree, size_t size);

void yaml_tree_free(struct yaml_tree *tree); /* what it holds; an empty one is allowed */

#endif
