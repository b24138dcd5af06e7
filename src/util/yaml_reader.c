// SPDX-License-Identifier: BSD-2-Clause
#include "util/yaml_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/escape.h"
#include "util/io.h"
#include "util/nearest.h"
#include "util/error.h"

/* --- opening --- */

static int reader_no_memory(struct yaml_reader *r)
{
	return error_no_memory(r->error);
}

static int reader_cannot_read(struct yaml_reader *r, int err, const char *remedy, const char *why)
{
	error_set(r->error, err, EXIT_USAGE, "cannot read %s: %s", r->name, why);
	return error_explain(r->error, NULL, remedy);
}

static int reader_read(struct yaml_reader *r, int fd, bool pipes, char **ret_text, size_t *ret_size)
{
	struct stat status;
	int err;

	if (fstat(fd, &status) < 0)
		return reader_cannot_read(r, errno, NULL, strerror(errno));
	if (S_ISDIR(status.st_mode))
		return reader_cannot_read(r, EISDIR, "name a YAML file", "it is a directory");
	if (!S_ISREG(status.st_mode) && !pipes)
		return reader_cannot_read(r, EINVAL, "name a YAML file", "not a regular file");
	err = read_bounded(fd, YAML_BYTES_MAX, ret_text, ret_size);
	if (err == -EFBIG)
		return reader_cannot_read(r, EFBIG, NULL, "it is larger than 1 MiB");
	return err ? reader_cannot_read(r, -err, NULL, strerror(-err)) : 0;
}

int yaml_reader_open(struct yaml_reader *r, const char *path, bool pipes)
{
	/* O_NONBLOCK: a FIFO would keep us waiting before it can be refused. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | (pipes ? 0 : O_NONBLOCK)), err;
	struct yaml_fault fault;
	char *text = NULL;
	size_t size;

	escape_text(r->name, sizeof(r->name), path, strlen(path));
	if (fd < 0)
		return reader_cannot_read(r, errno, NULL, strerror(errno));
	err = reader_read(r, fd, pipes, &text, &size);
	close(fd);
	if (err)
		return err;
	err = yaml_tree_parse(&r->tree, text, size, &fault);
	free(text);
	if (err == -ENOMEM)
		return reader_no_memory(r);
	return err ? error_set(r->error, EINVAL, EXIT_USAGE, "%s:%u:%u: %s", r->name, fault.line,
			       fault.column, fault.what)
		   : 0;
}

void yaml_reader_done(struct yaml_reader *r)
{
	yaml_tree_free(&r->tree);
}

/* --- reporting --- */

int yaml_refuse(struct yaml_reader *r, const struct yaml_node *node, const char *remedy,
		const char *format, ...)
{
	char what[224], safe[224];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	escape_text(safe, sizeof(safe), what, strlen(what));
	error_set(r->error, EINVAL, EXIT_USAGE, "%s:%u:%u: %s", r->name, node->line, node->column,
		  safe);
	return error_explain(r->error, NULL, remedy);
}

/* "stacks", "an entry of outputs", "the file" */
static const char *node_name(const struct yaml_row *row, const struct yaml_node *node, char *buffer,
			     size_t size)
{
	if (node->key)
		return node->key->text;
	if (row->type != YAML_TEXTS && row->type != YAML_RECORDS)
		return "the file";
	snprintf(buffer, size, "an entry%s%.60s", row->key ? " of " : "", row->key ? row->key : "");
	return buffer;
}

static int reader_refuse_shape(struct yaml_reader *r, const char *name,
			       const struct yaml_node *node, enum yaml_shape wanted)
{
	static const char *const expected[] = { "plain text", "a list (- ...)",
						"a mapping (key: value)" };
	static const char *const found[] = { NULL, "a list", "a mapping" };

	if (node->shape != YAML_SHAPE_TEXT)
		return yaml_refuse(r, node, NULL, "%.60s must be %s, not %s", name,
				   expected[wanted], found[node->shape]);
	if (!*node->text)
		return yaml_refuse(r, node, NULL, "%.60s must be %s, but it is empty", name,
				   expected[wanted]);
	return yaml_refuse(r, node, NULL, "%.60s must be %s, not \"%.60s\"", name, expected[wanted],
			   node->text);
}

static bool record_row(const struct yaml_row *record, size_t index, struct yaml_row *ret_row)
{
	if (record->row_at)
		return record->row_at(index, ret_row);
	*ret_row = record->rows[index];
	return ret_row->key != NULL;
}

static int reader_refuse_key(struct yaml_reader *r, const struct yaml_row *record,
			     const struct yaml_node *key)
{
	struct nearest nearest = { .word = key->text, .length = strlen(key->text) };
	char remedy[224] = "the keys are";
	size_t used = strlen(remedy);
	struct yaml_row row;

	for (size_t i = 0; record_row(record, i, &row); i++) {
		nearest_try(&nearest, row.key);
		if (used < sizeof(remedy))
			used += (size_t)snprintf(remedy + used, sizeof(remedy) - used, "%s %s",
						 i ? "," : "", row.key);
	}
	if (nearest.best)
		snprintf(remedy, sizeof(remedy), "did you mean \"%s\"?", nearest.best);
	return yaml_refuse(r, key, used < sizeof(remedy) || nearest.best ? remedy : record->remedy,
			   "unknown key \"%.60s\"", key->text);
}

/* --- texts --- */

static int reader_take_word(struct yaml_reader *r, const struct yaml_row *row,
			    const struct yaml_node *node, const char *const *words,
			    unsigned int *ret_word)
{
	char allowed[160] = "allowed:";
	size_t used = strlen(allowed);

	for (unsigned int i = 0; words[i]; i++) {
		if (strcmp(node->text, words[i]) == 0) {
			*ret_word = i;
			return 0;
		}
		if (used < sizeof(allowed))
			used += (size_t)snprintf(allowed + used, sizeof(allowed) - used, "%s %s",
						 i ? "," : "", words[i]);
	}
	return yaml_refuse(r, node, allowed, "%s: invalid value \"%.60s\"", row->key, node->text);
}

static int reader_take_bool(struct yaml_reader *r, const struct yaml_row *row,
			    const struct yaml_node *node, bool *ret_value)
{
	static const char *const words[] = { "false", "true", NULL };
	unsigned int word;
	int err = reader_take_word(r, row, node, words, &word);

	if (!err)
		*ret_value = word;
	return err;
}

static int reader_take_text(struct yaml_reader *r, const struct yaml_row *row,
			    const struct yaml_node *node, void *field)
{
	char buffer[80];
	const char *name = node_name(row, node, buffer, sizeof(buffer));
	size_t length = node->shape == YAML_SHAPE_TEXT ? strlen(node->text) : 0;

	if (node->shape != YAML_SHAPE_TEXT)
		return reader_refuse_shape(r, name, node, YAML_SHAPE_TEXT);
	if (!length)
		return yaml_refuse(r, node, row->remedy, "%s is empty", name);
	if (length > YAML_TEXT_MAX)
		return yaml_refuse(r, node, NULL, "%s is too long: %zu bytes, at most %d", name,
				   length, YAML_TEXT_MAX);
	if (row->take)
		return row->take(r, row, node, field);
	if (row->type == YAML_BOOL)
		return reader_take_bool(r, row, node, field);
	if (row->type == YAML_WORD)
		return reader_take_word(r, row, node, row->words, field);
	if (row->type == YAML_TEXT || row->type == YAML_TEXTS)
		*(const char **)field = node->text;
	return 0;
}

/* --- records --- */

static int reader_take_value(struct yaml_reader *r, const struct yaml_row *row,
			     const struct yaml_node *node, void *record);

const struct yaml_node *yaml_value(const struct yaml_node *mapping, const char *key)
{
	for (const struct yaml_node *node = mapping->first; node; node = node->next)
		if (strcmp(node->key->text, key) == 0)
			return node;
	return NULL;
}

/* Each key once, and only known ones: so there are never more steps than rows, squared. */
static int reader_take_key(struct yaml_reader *r, const struct yaml_row *record,
			   const struct yaml_node *mapping, const struct yaml_node *node,
			   void *fields)
{
	const struct yaml_node *first = yaml_value(mapping, node->key->text);
	struct yaml_row row;

	if (first != node)
		return yaml_refuse(r, node->key, NULL, "\"%.60s\" is given twice, first in line %u",
				   node->key->text, first->key->line);
	for (size_t i = 0; record_row(record, i, &row); i++)
		if (strcmp(row.key, node->key->text) == 0)
			return reader_take_value(r, &row, node, fields);
	return reader_refuse_key(r, record, node->key);
}

static int reader_check_required(struct yaml_reader *r, const struct yaml_row *record,
				 const struct yaml_node *mapping, const char *name)
{
	struct yaml_row row;

	for (size_t i = 0; record_row(record, i, &row); i++)
		if (row.required && !yaml_value(mapping, row.key))
			return yaml_refuse(r, mapping, row.remedy, "%s has no %s", name, row.key);
	return 0;
}

static int reader_take_record(struct yaml_reader *r, const struct yaml_row *record,
			      const struct yaml_node *mapping, void *fields)
{
	char buffer[80];
	const char *name = node_name(record, mapping, buffer, sizeof(buffer));
	int err = 0;

	if (mapping->shape != YAML_SHAPE_MAPPING)
		return reader_refuse_shape(r, name, mapping, YAML_SHAPE_MAPPING);
	for (const struct yaml_node *node = mapping->first; !err && node; node = node->next)
		err = reader_take_key(r, record, mapping, node, fields);
	if (!err)
		err = reader_check_required(r, record, mapping, name);
	return !err && record->check ? record->check(r, mapping, fields) : err;
}

/* --- lists --- */

static int reader_check_list(struct yaml_reader *r, const struct yaml_row *row,
			     const struct yaml_node *list)
{
	const struct yaml_node *entry = list->first;

	if (list->shape != YAML_SHAPE_LIST)
		return reader_refuse_shape(r, list->key ? list->key->text : "the file", list,
					   YAML_SHAPE_LIST);
	if (list->count <= row->max)
		return 0;
	for (uint64_t i = 0; i < row->max; i++)
		entry = entry->next;
	return yaml_refuse(r, entry, row->remedy, "more than %u entries", (unsigned int)row->max);
}

static int reader_take_texts(struct yaml_reader *r, const struct yaml_row *row,
			     const struct yaml_node *list, const char ***ret_texts)
{
	const char **texts = yaml_tree_alloc(&r->tree, list->count * sizeof(*texts));
	unsigned int count = 0;
	int err = 0;

	if (!texts)
		return reader_no_memory(r);
	for (const struct yaml_node *node = list->first; !err && node; node = node->next)
		err = reader_take_text(r, row, node, &texts[count++]);
	*ret_texts = texts;
	return err;
}

static int reader_take_records(struct yaml_reader *r, const struct yaml_row *row,
			       const struct yaml_node *list, char *record)
{
	int err = 0;

	for (const struct yaml_node *node = list->first; !err && node; node = node->next) {
		if (row->standard)
			memcpy(record, row->standard, row->size);
		else
			memset(record, 0, row->size);
		err = reader_take_record(r, row, node, record);
		record += row->size;
	}
	return err;
}

static int reader_take_list(struct yaml_reader *r, const struct yaml_row *row,
			    const struct yaml_node *list, char *record)
{
	void *field = record + row->offset;
	int err = reader_check_list(r, row, list);

	if (err || !list->count)
		return err;
	err = row->type == YAML_TEXTS ? reader_take_texts(r, row, list, field)
				      : reader_take_records(r, row, list, field);
	*(unsigned int *)(record + row->count) = list->count;
	return err;
}

static int reader_take_value(struct yaml_reader *r, const struct yaml_row *row,
			     const struct yaml_node *node, void *record)
{
	if (row->type == YAML_TEXTS || row->type == YAML_RECORDS)
		return reader_take_list(r, row, node, record);
	if (row->type == YAML_RECORD)
		return reader_take_record(r, row, node, (char *)record + row->offset);
	return reader_take_text(r, row, node, (char *)record + row->offset);
}

int yaml_reader_fill(struct yaml_reader *r, const struct yaml_row *row, void *record)
{
	const struct yaml_node *root = r->tree.root;
	int err;

	if (!root)
		return 0;
	if (row->type == YAML_RECORD)
		return reader_take_record(r, row, root, record);
	err = reader_check_list(r, row, root);
	return err ? err : reader_take_records(r, row, root, record);
}

/* --- what a restart alone applies --- */

static bool fields_equal(const struct yaml_row *row, const char *a, const char *b)
{
	const char *text_a, *text_b;

	switch (row->type) {
	case YAML_BOOL: return memcmp(a, b, sizeof(bool)) == 0;
	case YAML_WORD: return memcmp(a, b, sizeof(unsigned int)) == 0;
	case YAML_NUMBER: return memcmp(a, b, sizeof(uint64_t)) == 0;
	case YAML_TEXT:
		text_a = *(const char *const *)a;
		text_b = *(const char *const *)b;
		return text_a && text_b ? strcmp(text_a, text_b) == 0 : text_a == text_b;
	default: return true;
	}
}

static void each_restart_below(const char *above, const struct yaml_row *rows, const char *in_force,
			       const char *next, void (*changed)(void *ctx, const char *name),
			       void *ctx)
{
	char name[160];

	for (const struct yaml_row *row = rows; row->key; row++) {
		const char *a = in_force + row->offset, *b = next + row->offset;

		snprintf(name, sizeof(name), "%s%s%s", above, *above ? "." : "", row->key);
		if (row->restart && !fields_equal(row, a, b))
			changed(ctx, name);
		if (row->type == YAML_RECORD && row->rows)
			each_restart_below(name, row->rows, a, b, changed, ctx);
	}
}

void yaml_each_restart(const struct yaml_row *rows, const void *in_force, const void *next,
		       void (*changed)(void *ctx, const char *name), void *ctx)
{
	each_restart_below("", rows, in_force, next, changed, ctx);
}
