// SPDX-License-Identifier: BSD-2-Clause
#include "util/yaml_tree.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "util/escape.h"

struct yaml_chunk {
	struct yaml_chunk *next;
	_Alignas(16) char data[];
};

/* A list or mapping that has begun and not ended. */
struct level {
	struct yaml_node *node;
	struct yaml_node **end; /* where the next entry goes */
	struct yaml_node *key;  /* of the next value; NULL: a key is next */
};

struct builder {
	struct yaml_tree *tree;
	struct yaml_fault *fault;
	struct level levels[YAML_DEPTH_MAX];
	unsigned int depth, documents;
};

void *yaml_tree_alloc(struct yaml_tree *tree, size_t size)
{
	struct yaml_chunk *chunk = calloc(1, sizeof(*chunk) + size);

	if (!chunk)
		return NULL;
	chunk->next = tree->chunks;
	tree->chunks = chunk;
	return chunk->data;
}

void yaml_tree_free(struct yaml_tree *tree)
{
	while (tree->chunks) {
		struct yaml_chunk *chunk = tree->chunks;

		tree->chunks = chunk->next;
		free(chunk);
	}
	*tree = (struct yaml_tree){ 0 };
}

/* --- faults --- */

static int tree_refuse(struct builder *b, const yaml_mark_t *mark, const char *what)
{
	b->fault->line = (unsigned int)mark->line + 1;
	b->fault->column = (unsigned int)mark->column + 1;
	escape_text(b->fault->what, sizeof(b->fault->what), what, strlen(what));
	return -EINVAL;
}

/* libyaml reports bytes that it cannot read by their offset alone. */
static yaml_mark_t mark_of_offset(const char *text, size_t offset)
{
	yaml_mark_t mark = { 0 };

	for (size_t i = 0; i < offset; i++) {
		mark.column = text[i] == '\n' ? 0 : mark.column + ((text[i] & 0xc0) != 0x80);
		mark.line += text[i] == '\n';
	}
	return mark;
}

static int tree_refuse_syntax(struct builder *b, const yaml_parser_t *parser, const char *text)
{
	yaml_mark_t mark = parser->problem_mark;
	char what[160];

	if (parser->error == YAML_MEMORY_ERROR || !parser->problem)
		return -ENOMEM;
	if (parser->error == YAML_READER_ERROR)
		mark = mark_of_offset(text, parser->problem_offset);
	else if (parser->error == YAML_SCANNER_ERROR && strstr(parser->problem, "end of stream"))
		mark = parser->context_mark; /* what never ends is wrong where it begins */
	snprintf(what, sizeof(what), "invalid YAML: %s", parser->problem);
	return tree_refuse(b, &mark, what);
}

static int tree_check_tags(struct builder *b, const char *text, size_t size)
{
	const char *at = text, *end = text + size;
	unsigned int count = 0;
	yaml_mark_t mark;

	while ((at = memmem(at, (size_t)(end - at), "%TAG", 4)) && count++ < YAML_TAGS_MAX)
		at += 4;
	if (!at)
		return 0;
	mark = mark_of_offset(text, (size_t)(at - text));
	return tree_refuse(b, &mark, "too many %TAG directives; fdtrace needs none");
}

/* --- nodes --- */

static struct yaml_node *node_new(struct yaml_tree *tree, const yaml_event_t *event)
{
	struct yaml_node *node = yaml_tree_alloc(tree, sizeof(*node));
	char *text;

	if (!node)
		return NULL;
	node->line = (unsigned int)event->start_mark.line + 1;
	node->column = (unsigned int)event->start_mark.column + 1;
	if (event->type != YAML_SCALAR_EVENT) {
		node->shape = event->type == YAML_MAPPING_START_EVENT ? YAML_SHAPE_MAPPING
								      : YAML_SHAPE_LIST;
		return node;
	}
	text = yaml_tree_alloc(tree, event->data.scalar.length + 1);
	if (!text)
		return NULL;
	node->text = memcpy(text, event->data.scalar.value, event->data.scalar.length);
	return node;
}

/* Where the node belongs: the root, the next entry, the next key or that key's value. */
static void node_place(struct builder *b, struct yaml_node *node)
{
	struct level *in = b->depth ? &b->levels[b->depth - 1] : NULL;

	if (!in) {
		b->tree->root = node;
	} else if (in->node->shape == YAML_SHAPE_MAPPING && !in->key) {
		in->key = node;
	} else {
		node->key = in->key;
		in->key = NULL;
		*in->end = node;
		in->end = &node->next;
		in->node->count++;
	}
}

static bool key_is_next(const struct builder *b)
{
	const struct level *in = b->depth ? &b->levels[b->depth - 1] : NULL;

	return in && in->node->shape == YAML_SHAPE_MAPPING && !in->key;
}

static const char *fault_of_node(const struct builder *b, const yaml_event_t *event)
{
	bool text = event->type == YAML_SCALAR_EVENT;

	if (b->tree->node_count == YAML_NODES_MAX)
		return "too many keys and values";
	if (!text && b->depth == YAML_DEPTH_MAX)
		return "nested too deeply";
	if (!text && key_is_next(b))
		return "a key must be plain text";
	if (text && memchr(event->data.scalar.value, '\0', event->data.scalar.length))
		return "the text contains a NUL character";
	return NULL;
}

static int tree_add_node(struct builder *b, const yaml_event_t *event)
{
	const char *what = fault_of_node(b, event);
	struct yaml_node *node;

	if (what)
		return tree_refuse(b, &event->start_mark, what);
	node = node_new(b->tree, event);
	if (!node)
		return -ENOMEM;
	b->tree->node_count++;
	node_place(b, node);
	if (node->shape != YAML_SHAPE_TEXT)
		b->levels[b->depth++] = (struct level){ .node = node, .end = &node->first };
	return 0;
}

static int tree_add(struct builder *b, const yaml_event_t *event)
{
	switch (event->type) {
	case YAML_DOCUMENT_START_EVENT:
		if (b->documents++)
			return tree_refuse(b, &event->start_mark,
					   "more than one document; only one is allowed");
		return 0;
	case YAML_ALIAS_EVENT:
		return tree_refuse(b, &event->start_mark,
				   "aliases (*name) are not supported; repeat the value");
	case YAML_SCALAR_EVENT:
	case YAML_SEQUENCE_START_EVENT:
	case YAML_MAPPING_START_EVENT: return tree_add_node(b, event);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT: b->depth--; return 0;
	default: return 0;
	}
}

/* "---" alone is one empty text. */
static void tree_drop_empty_root(struct yaml_tree *tree, bool plain)
{
	if (plain && tree->root && tree->root->shape == YAML_SHAPE_TEXT && !*tree->root->text)
		tree->root = NULL;
}

static int tree_build(struct builder *b, yaml_parser_t *parser, const char *text)
{
	bool over = false, plain = true;
	yaml_event_t event;
	int err = 0;

	while (!over && !err) {
		if (!yaml_parser_parse(parser, &event))
			return tree_refuse_syntax(b, parser, text);
		err = tree_add(b, &event);
		if (event.type == YAML_SCALAR_EVENT)
			plain = event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
		over = event.type == YAML_STREAM_END_EVENT;
		yaml_event_delete(&event);
	}
	tree_drop_empty_root(b->tree, plain);
	return err;
}

int yaml_tree_parse(struct yaml_tree *tree, const char *text, size_t size,
		    struct yaml_fault *ret_fault)
{
	struct builder builder = { .tree = tree, .fault = ret_fault };
	yaml_parser_t parser;
	int err;

	*tree = (struct yaml_tree){ 0 };
	err = tree_check_tags(&builder, text, size);
	if (err)
		return err;
	if (!yaml_parser_initialize(&parser))
		return -ENOMEM;
	yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, size);
	err = tree_build(&builder, &parser, text);
	yaml_parser_delete(&parser);
	return err;
}
