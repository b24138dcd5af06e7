// SPDX-License-Identifier: BSD-2-Clause
#include "run/suppress.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/error.h"
#include "util/yaml_reader.h"

struct loaded {
	struct suppression_list list; /* what the caller sees; first, so that it leads back here */
	struct yaml_reader *readers;  /* of the files; they hold the texts */
	unsigned int reader_count;
};

static int suppress_no_memory(struct error *error)
{
	return error_no_memory(error);
}

/* --- the keys --- */

static int suppress_take_rule(struct yaml_reader *r, const struct yaml_row *row,
			      const struct yaml_node *node, void *field)
{
	const char *bad;
	size_t length;

	(void)row;
	if (*node->text != '-' && rule_set_parse(node->text, field, &bad, &length) == 0)
		return 0;
	return yaml_refuse(r, node, "try: fdtrace --rules help", "unknown rule or family \"%.60s\"",
			   node->text);
}

static int suppress_take_fingerprint(struct yaml_reader *r, const struct yaml_row *row,
				     const struct yaml_node *node, void *field)
{
	struct suppression *s = field;

	(void)row;
	if (strlen(node->text) != 16 || strspn(node->text, "0123456789abcdefABCDEF") != 16)
		return yaml_refuse(
			r, node, "--json shows it in full, and so does -v with what to paste",
			"fingerprint: expected 16 hex digits, found \"%.60s\"", node->text);
	s->fingerprint = strtoull(node->text, NULL, 16);
	s->has_fingerprint = true;
	return 0;
}

static int suppress_take_glob(struct yaml_reader *r, const struct yaml_row *row,
			      const struct yaml_node *node, void *field)
{
	const char *fault = glob_fault(node->text);

	if (fault)
		return yaml_refuse(r, node,
				   "a backslash takes the special meaning from * ? [ and \\",
				   "%s: invalid glob: %s", row->key, fault);
	*(const char **)field = node->text;
	return 0;
}

static int suppress_check_entry(struct yaml_reader *r, const struct yaml_node *node, void *record)
{
	const struct suppression *s = record;

	if (s->rules || s->has_fingerprint || s->exe || s->frame)
		return 0;
	return yaml_refuse(r, node, "add at least one of rule, fingerprint, exe and frame",
			   "an entry without a condition would suppress everything");
}

/* clang-format off */
#define AT(member) .offset = offsetof(struct suppression, member)
static const struct yaml_row entry_rows[] = {
	{ "name", YAML_TEXT, AT(name), .required = true,
	  .remedy = "add one, e.g. name: the pool keeps these open" },
	{ "rule", YAML_OTHER, AT(rules), .take = suppress_take_rule },
	{ "fingerprint", YAML_OTHER, .take = suppress_take_fingerprint },
	{ "exe", YAML_TEXT, AT(exe), .take = suppress_take_glob },
	{ "frame", YAML_TEXT, AT(frame), .take = suppress_take_glob },
	{ .key = "comment", .type = YAML_OTHER },
	{ .key = NULL },
};
#undef AT
/* clang-format on */

static const struct yaml_row suppress_file = {
	.type = YAML_RECORDS,
	.max = SUPPRESS_ENTRIES_MAX,
	.rows = entry_rows,
	.check = suppress_check_entry,
	.size = sizeof(struct suppression),
	.remedy = "a glob can stand for many; or use several files",
};

/* --- files --- */

static int suppress_fill(struct loaded *loaded, struct yaml_reader *r)
{
	const struct yaml_node *root = r->tree.root;
	size_t count = root ? root->count : 0;
	struct suppression *grown;
	int err;

	grown = realloc(loaded->list.entries,
			(loaded->list.count + count + 1) * sizeof(*loaded->list.entries));
	if (!grown)
		return suppress_no_memory(r->error);
	loaded->list.entries = grown;
	err = yaml_reader_fill(r, &suppress_file, grown + loaded->list.count);
	if (!err)
		loaded->list.count += count;
	return err;
}

int suppress_read(const char *const *paths, unsigned int path_count,
		  struct suppression_list **ret_list, struct error *error)
{
	struct loaded *loaded = calloc(1, sizeof(*loaded));
	int err = 0;

	if (loaded)
		loaded->readers = calloc(path_count + 1, sizeof(*loaded->readers));
	if (!loaded || !loaded->readers) {
		free(loaded);
		return suppress_no_memory(error);
	}
	while (!err && loaded->reader_count < path_count) {
		struct yaml_reader *r = &loaded->readers[loaded->reader_count];

		r->error = error;
		err = yaml_reader_open(r, paths[loaded->reader_count++], true);
		if (!err)
			err = suppress_fill(loaded, r);
	}
	if (err)
		suppress_free(&loaded->list);
	else
		*ret_list = &loaded->list;
	return err;
}

void suppress_free(struct suppression_list *list)
{
	struct loaded *loaded = (struct loaded *)list;

	if (!loaded)
		return;
	for (unsigned int i = 0; i < loaded->reader_count; i++)
		yaml_reader_done(&loaded->readers[i]);
	free(loaded->readers);
	free(loaded->list.entries);
	free(loaded);
}
