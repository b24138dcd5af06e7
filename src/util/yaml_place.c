// SPDX-License-Identifier: BSD-2-Clause
#include "util/yaml_place.h"

#include <stdio.h>
#include <string.h>
#include <yaml.h>

static struct yaml_place place_of(const yaml_mark_t *mark)
{
	return (struct yaml_place){ .line = (unsigned int)mark->line + 1,
				    .column = (unsigned int)mark->column + 1 };
}

static bool opens(const yaml_event_t *event)
{
	return event->type == YAML_SEQUENCE_START_EVENT || event->type == YAML_MAPPING_START_EVENT;
}

static bool closes(const yaml_event_t *event)
{
	return event->type == YAML_SEQUENCE_END_EVENT || event->type == YAML_MAPPING_END_EVENT;
}

static bool has_nul(const yaml_event_t *event)
{
	return event->type == YAML_SCALAR_EVENT &&
	       memchr(event->data.scalar.value, '\0', event->data.scalar.length);
}

struct check {
	unsigned int depth, documents;
};

static const char *fault_of(struct check *c, const yaml_event_t *event)
{
	c->depth += opens(event);
	c->depth -= closes(event);
	c->documents += event->type == YAML_DOCUMENT_START_EVENT;
	if (event->type == YAML_ALIAS_EVENT)
		return "YAML's aliases (*name) are not supported";
	if (c->depth > YAML_DEPTH_MAX)
		return "nested too deeply";
	if (c->documents > 1)
		return "there is more than one document; only one is read";
	return has_nul(event) ? "a text holds a NUL character" : NULL;
}

/* libyaml reports bytes that it can't read by offset alone. */
static struct yaml_place problem_place(const yaml_parser_t *parser, const char *text)
{
	struct yaml_place place = { 1, 1 };

	/* What never ends is wrong where it begins. */
	if (parser->error == YAML_SCANNER_ERROR && strstr(parser->problem, "end of stream"))
		return place_of(&parser->context_mark);
	if (parser->error != YAML_READER_ERROR)
		return place_of(&parser->problem_mark);
	for (size_t i = 0; i < parser->problem_offset; i++) {
		place.column = text[i] == '\n' ? 1 : place.column + 1;
		place.line += text[i] == '\n';
	}
	return place;
}

static const char *check_all(yaml_parser_t *parser, const char *text, char *buffer,
			     size_t buffer_size, struct yaml_place *ret_place, bool *ret_empty)
{
	struct check check = { 0 };
	const char *fault = NULL;
	yaml_event_t event;
	bool over = false;

	while (!over && !fault) {
		if (!yaml_parser_parse(parser, &event)) {
			snprintf(buffer, buffer_size, "no YAML: %s",
				 parser->problem ? parser->problem : "out of memory");
			*ret_place = problem_place(parser, text);
			return buffer;
		}
		fault = fault_of(&check, &event);
		*ret_place = place_of(&event.start_mark);
		over = event.type == YAML_STREAM_END_EVENT;
		yaml_event_delete(&event);
	}
	*ret_empty = !fault && !check.documents;
	return fault;
}

const char *yaml_fault(const char *text, size_t size, char *buffer, size_t buffer_size,
		       struct yaml_place *ret_place, bool *ret_empty)
{
	yaml_parser_t parser;
	const char *fault;

	*ret_place = (struct yaml_place){ 0 };
	*ret_empty = false;
	if (!yaml_parser_initialize(&parser))
		return "out of memory";
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, size);
	fault = check_all(&parser, text, buffer, buffer_size, ret_place, ret_empty);
	yaml_parser_delete(&parser);
	return fault;
}

/* A collection that the walk is in. */
struct level {
	bool mapping, matched, value_next, on_key;
	unsigned int index; /* of a list: the next entry */
};

struct walk {
	const struct yaml_step *steps;
	unsigned int step_count, depth;
	bool key;
	struct level levels[YAML_DEPTH_MAX + 1];
	struct yaml_place found;
};

static bool is_step(const struct yaml_step *step, const yaml_event_t *event)
{
	return step->key && event->type == YAML_SCALAR_EVENT &&
	       strcmp((const char *)event->data.scalar.value, step->key) == 0;
}

/* A node begins in the collection; true: it is on the way. */
static bool enters(struct walk *w, struct level *in, const yaml_event_t *event)
{
	unsigned int at = (unsigned int)(in - w->levels);
	const struct yaml_step *step = at < w->step_count ? &w->steps[at] : NULL;
	bool value = in->value_next;

	if (!in->mapping)
		return in->matched && step && !step->key && step->index == in->index++;
	in->value_next = !in->value_next;
	if (value)
		return in->on_key;
	in->on_key = in->matched && step && is_step(step, event);
	if (in->on_key)
		w->found = place_of(&event->start_mark);
	return false;
}

static void walk_node(struct walk *w, const yaml_event_t *event)
{
	struct level *in = w->depth ? &w->levels[w->depth - 1] : NULL;
	bool matched = !in || enters(w, in, event);
	bool last = w->depth == w->step_count;

	if (matched && in && !(last && w->key && in->mapping))
		w->found = place_of(&event->start_mark);
	if (!opens(event))
		return;
	w->levels[w->depth++] = (struct level){ .mapping = event->type == YAML_MAPPING_START_EVENT,
						.matched = matched };
}

struct yaml_place yaml_find(const char *text, size_t size, const struct yaml_step *steps,
			    unsigned int step_count, bool key)
{
	struct walk walk = { .steps = steps, .step_count = step_count, .key = key };
	yaml_parser_t parser;
	yaml_event_t event;
	bool over = false;

	walk.found = (struct yaml_place){ 1, 1 };
	if (!yaml_parser_initialize(&parser))
		return walk.found;
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, size);
	while (!over && yaml_parser_parse(&parser, &event)) {
		over = event.type == YAML_STREAM_END_EVENT;
		if (closes(&event))
			walk.depth--;
		else if (opens(&event) || event.type == YAML_SCALAR_EVENT)
			walk_node(&walk, &event);
		over |= walk.depth > YAML_DEPTH_MAX;
		yaml_event_delete(&event);
	}
	yaml_parser_delete(&parser);
	return walk.found;
}
