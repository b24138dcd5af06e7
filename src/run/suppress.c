// SPDX-License-Identifier: BSD-2-Clause
/*
 * libcyaml turns the YAML into structs and says what does not fit; yaml_place.c finds the line where
 * something stands, which the structs do not.
 */
#include "run/suppress.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/escape.h"
#include "util/io.h"
#include "util/trouble.h"
#include "util/yaml_load.h"

#define KEYS "the keys are name, rule, fingerprint, exe, frame and comment"

/* An entry as it is written. */
struct entry {
	char *name, *rule, *fingerprint, *exe, *frame, *comment;
};

#define TEXT(key, flags) \
	CYAML_FIELD_STRING_PTR(#key, CYAML_FLAG_POINTER | (flags), struct entry, key, 1, 4096)
static const cyaml_schema_field_t entry_fields[] = {
	TEXT(name, 0),
	TEXT(rule, CYAML_FLAG_OPTIONAL),
	TEXT(fingerprint, CYAML_FLAG_OPTIONAL),
	TEXT(exe, CYAML_FLAG_OPTIONAL),
	TEXT(frame, CYAML_FLAG_OPTIONAL),
	TEXT(comment, CYAML_FLAG_OPTIONAL),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t entry_schema = { CYAML_VALUE_MAPPING(
	CYAML_FLAG_DEFAULT, struct entry, entry_fields) };
static const cyaml_schema_value_t list_schema = { CYAML_VALUE_SEQUENCE(
	CYAML_FLAG_POINTER, struct entry, &entry_schema, 0, SUPPRESS_ENTRIES_MAX) };

struct file {
	const char *path;
	char name[96]; /* safe to print */
	char *text;
	size_t size;
	struct entry *entries;
	unsigned int entry_count;
	struct yaml_complaint complaint;
	struct trouble *trouble;
};

struct loaded {
	struct suppression_list list; /* what the caller sees; first, so that it leads back here */
	struct file *files;
	unsigned int file_count;
};

/* --- saying what is wrong --- */

static int suppress_refuse_at(struct file *file, unsigned int line, const char *remedy,
			      const char *what)
{
	return trouble_set(file->trouble, EINVAL, EXIT_USAGE, remedy, NULL,
			   "--suppress %s: line %u: %s", file->name, line, what);
}

/* At that key of that entry, from 0; at the entry, if it has no such key. */
static int suppress_refuse(struct file *file, unsigned int index, const char *key,
			   const char *remedy, const char *what)
{
	const struct yaml_step steps[] = { { .index = index }, { .key = key } };
	struct yaml_place place = yaml_find(file->text, file->size, steps, key ? 2 : 1, key);

	return suppress_refuse_at(file, place.line, remedy, what);
}

static int suppress_cannot_read(struct file *file, int err)
{
	return trouble_set(file->trouble, err, EXIT_USAGE, NULL, NULL,
			   "--suppress %s: cannot be read: %s", file->name, strerror(err));
}

static int suppress_no_memory(struct trouble *trouble)
{
	return trouble_set(trouble, ENOMEM, EXIT_INTERNAL, NULL, NULL, "out of memory");
}

/* The field complained of; "": none. */
static const char *field_of(const struct yaml_complaint *c)
{
	return c->step_count && c->steps[0].key ? c->steps[0].key : "";
}

static const char *suppress_describe(const struct yaml_complaint *c, cyaml_err_t err, char *what,
				     size_t size)
{
	const char *key = yaml_complains(c, "Unexpected key: "), *field = field_of(c);

	if (key) {
		snprintf(what, size, "there is no key \"%s\"", key);
		return KEYS;
	}
	if (yaml_complains(c, "Missing required")) {
		snprintf(what, size, "an entry has no name");
		return "give it one, e.g. name: why this is no fault";
	}
	if (err == CYAML_ERR_SEQUENCE_ENTRIES_MAX) {
		snprintf(what, size, "more than %d entries", SUPPRESS_ENTRIES_MAX);
		return "a glob can stand for many; or use several files";
	}
	if (yaml_complains(c, "Mapping field already seen"))
		snprintf(what, size, "\"%s\" stands twice in an entry", field);
	else if (err == CYAML_ERR_STRING_LENGTH_MIN || err == CYAML_ERR_STRING_LENGTH_MAX)
		snprintf(what, size, "%s is %s", field,
			 err == CYAML_ERR_STRING_LENGTH_MIN ? "empty" : "too long");
	else if (*field)
		snprintf(what, size, "%s is no plain text", field);
	else {
		snprintf(what, size, "this is no list of mappings (%s)",
			 c->text[0] ? c->text : cyaml_strerror(err));
		return "an entry begins with \"- name: ...\"; " KEYS;
	}
	return NULL;
}

/* libcyaml's words as ours. */
static int suppress_not_understood(struct file *file, cyaml_err_t err)
{
	const struct yaml_complaint *c = &file->complaint;
	const char *key = yaml_complains(c, "Unexpected key: "), *remedy;
	struct yaml_step steps[YAML_STEPS_MAX + 1];
	unsigned int count = yaml_way(c, key, steps);
	char what[224];

	if (err == CYAML_ERR_OOM)
		return suppress_no_memory(file->trouble);
	remedy = suppress_describe(c, err, what, sizeof(what));
	if (err == CYAML_ERR_SEQUENCE_ENTRIES_MAX) /* it names the last good one */
		steps[0].index = SUPPRESS_ENTRIES_MAX;
	if (yaml_complains(c, "Missing required") && count > 1)
		count = 1; /* it names the last key that is there */
	return suppress_refuse_at(
		file,
		yaml_find(file->text, file->size, steps, count, count && steps[count - 1].key).line,
		remedy, what);
}

/* --- reading --- */

static int suppress_read_text(struct file *file, int fd)
{
	struct stat status;
	int err;

	if (fstat(fd, &status) < 0)
		return suppress_cannot_read(file, errno);
	if (S_ISDIR(status.st_mode))
		return trouble_set(file->trouble, EISDIR, EXIT_USAGE,
				   "name a YAML file; --suppress may be given several times", NULL,
				   "--suppress %s: it is a directory", file->name);
	err = read_bounded(fd, SUPPRESS_BYTES_MAX, &file->text, &file->size);
	if (err == -EFBIG)
		return trouble_set(file->trouble, EFBIG, EXIT_USAGE, NULL, NULL,
				   "--suppress %s: larger than 1 MiB", file->name);
	if (err == -ENOMEM)
		return suppress_no_memory(file->trouble);
	return err ? suppress_cannot_read(file, -err) : 0;
}

static int suppress_read_file(struct file *file)
{
	int fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NOCTTY), err;

	if (fd < 0)
		return suppress_cannot_read(file, errno);
	err = suppress_read_text(file, fd);
	close(fd);
	return err;
}

static int suppress_parse_file(struct file *file)
{
	cyaml_config_t config = yaml_config(&file->complaint);
	struct yaml_place place;
	char buffer[160];
	const char *fault;
	cyaml_err_t err;
	bool empty;

	fault = yaml_fault(file->text, file->size, buffer, sizeof(buffer), &place, &empty);
	if (fault)
		return suppress_refuse_at(file, place.line, NULL, fault);
	if (empty) /* libcyaml leaves it open what nothing is */
		return 0;
	err = cyaml_load_data((const uint8_t *)file->text, file->size, &config, &list_schema,
			      (cyaml_data_t **)&file->entries, &file->entry_count);
	return err == CYAML_OK ? 0 : suppress_not_understood(file, err);
}

/* --- from words to conditions --- */

static int take_rule(struct file *file, unsigned int index, struct suppression *s)
{
	const char *rule = file->entries[index].rule, *bad;
	char word[64], what[128];
	size_t length;

	if (!rule)
		return 0;
	if (*rule != '-' && rule_set_parse(rule, &s->rules, &bad, &length) == 0)
		return 0;
	escape_text(word, sizeof(word), rule, strlen(rule));
	snprintf(what, sizeof(what), "no rule or family is called \"%s\"", word);
	return suppress_refuse(file, index, "rule", "try: fdtrace --rules help", what);
}

static int take_fingerprint(struct file *file, unsigned int index, struct suppression *s)
{
	const char *text = file->entries[index].fingerprint;

	if (!text)
		return 0;
	if (strlen(text) != 16 || strspn(text, "0123456789abcdefABCDEF") != 16)
		return suppress_refuse(file, index, "fingerprint",
				       "--json shows it in full, and so does -v with what to paste",
				       "a fingerprint has 16 hex digits");
	s->fingerprint = strtoull(text, NULL, 16);
	s->has_fingerprint = true;
	return 0;
}

static int take_glob(struct file *file, unsigned int index, const char *key, const char *text,
		     const char **ret_glob)
{
	const char *fault = text ? glob_fault(text) : NULL;
	char what[96];

	*ret_glob = text;
	if (!fault)
		return 0;
	snprintf(what, sizeof(what), "%s is no glob: %s", key, fault);
	return suppress_refuse(file, index, key,
			       "a backslash takes the special meaning from * ? [ and \\", what);
}

static int take_entry(struct file *file, unsigned int index, struct suppression *s)
{
	const struct entry *entry = &file->entries[index];
	int err;

	s->name = entry->name;
	err = take_rule(file, index, s);
	if (!err)
		err = take_fingerprint(file, index, s);
	if (!err)
		err = take_glob(file, index, "exe", entry->exe, &s->exe);
	if (!err)
		err = take_glob(file, index, "frame", entry->frame, &s->frame);
	if (!err && !s->rules && !s->has_fingerprint && !s->exe && !s->frame)
		err = suppress_refuse(file, index, NULL,
				      "add at least one of rule, fingerprint, exe and frame",
				      "an entry without a condition would suppress everything");
	return err;
}

static int take_file(struct loaded *loaded, struct file *file)
{
	size_t count = loaded->list.count + file->entry_count;
	struct suppression *grown;
	int err = 0;

	if (!file->entry_count)
		return 0;
	grown = realloc(loaded->list.entries, count * sizeof(*grown));
	if (!grown)
		return suppress_no_memory(file->trouble);
	loaded->list.entries = grown;
	for (unsigned int i = 0; !err && i < file->entry_count; i++) {
		struct suppression *s = &grown[loaded->list.count++];

		memset(s, 0, sizeof(*s));
		err = take_entry(file, i, s);
	}
	return err;
}

static int suppress_load(struct loaded *loaded, struct file *file)
{
	int err = suppress_read_file(file);

	if (!err)
		err = suppress_parse_file(file);
	if (!err)
		err = take_file(loaded, file);
	free(file->text);
	file->text = NULL;
	return err;
}

int suppress_read(const char *const *paths, unsigned int path_count,
		  struct suppression_list **ret_list, struct trouble *trouble)
{
	struct loaded *loaded = calloc(1, sizeof(*loaded));
	int err = 0;

	if (loaded)
		loaded->files = calloc(path_count + 1, sizeof(*loaded->files));
	if (!loaded || !loaded->files) {
		free(loaded);
		return suppress_no_memory(trouble);
	}
	while (!err && loaded->file_count < path_count) {
		struct file *file = &loaded->files[loaded->file_count];

		file->path = paths[loaded->file_count++];
		file->trouble = trouble;
		escape_text(file->name, sizeof(file->name), file->path, strlen(file->path));
		err = suppress_load(loaded, file);
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
	for (unsigned int i = 0; i < loaded->file_count; i++) {
		cyaml_config_t config = yaml_config(&loaded->files[i].complaint);

		cyaml_free(&config, &list_schema, loaded->files[i].entries,
			   loaded->files[i].entry_count);
	}
	free(loaded->files);
	free(loaded->list.entries);
	free(loaded);
}
