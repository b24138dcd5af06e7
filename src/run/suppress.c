// SPDX-License-Identifier: BSD-2-Clause
/*
 * libcyaml turns the YAML into structs and says what does not fit; libyaml, on which it rests, is
 * asked once more for the line where something stands, which the structs do not tell.
 */
#include "run/suppress.h"

#include <cyaml/cyaml.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml.h>

#include "util/escape.h"
#include "util/trouble.h"

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

/* What libcyaml had to say, put together as it comes in pieces. */
struct complaint {
	char text[160];     /* "Unexpected key: rulo" */
	char field[32];     /* where, by the backtrace; "": not in a field */
	unsigned int entry; /* from 1; 0: not in an entry */
};

struct file {
	const char *path;
	char name[96]; /* safe to print */
	char *text;
	size_t size;
	struct entry *entries;
	unsigned int entry_count;
	struct complaint complaint;
	struct trouble *trouble;
};

struct loaded {
	struct suppression_list list; /* what the caller sees; first, so that it leads back here */
	struct file *files;
	unsigned int file_count;
};

/* --- where things stand --- */

/* The walk through the events of a list of mappings. */
struct walk {
	unsigned int depth;   /* of collections: 1 the list, 2 an entry */
	unsigned int entry;   /* from 1 */
	bool value;           /* in an entry: a value comes next */
	unsigned int in_line; /* where the entry looked for begins */
};

static bool is_scalar(const yaml_event_t *event, const char *text)
{
	return event->type == YAML_SCALAR_EVENT &&
	       strcmp((const char *)event->data.scalar.value, text) == 0;
}

/* True: this event is the key looked for. */
static bool step(struct walk *w, const yaml_event_t *event, unsigned int entry, const char *key)
{
	bool opens =
		event->type == YAML_SEQUENCE_START_EVENT || event->type == YAML_MAPPING_START_EVENT;
	bool closes =
		event->type == YAML_SEQUENCE_END_EVENT || event->type == YAML_MAPPING_END_EVENT;
	bool at_key = w->depth == 2 && !w->value;

	if (closes)
		w->depth--;
	if (w->depth == 1 && !closes && ++w->entry == entry)
		w->in_line = (unsigned int)event->start_mark.line + 1;
	if (w->depth == 2 && event->type != YAML_NO_EVENT)
		w->value = closes ? false : !w->value;
	if (opens && ++w->depth == 2)
		w->value = false;
	return at_key && w->entry == entry && key && is_scalar(event, key);
}

/*
 * The line of that key in that entry; of the entry, if it has no such key; where the YAML itself
 * goes wrong, if it does; 0 if none of them is known.
 */
static unsigned int line_of(const struct file *file, unsigned int entry, const char *key)
{
	struct walk walk = { 0 };
	unsigned int line = 0;
	yaml_parser_t parser;
	yaml_event_t event;
	bool over = false;

	if (!yaml_parser_initialize(&parser))
		return 0;
	yaml_parser_set_input_string(&parser, (const unsigned char *)file->text, file->size);
	while (!over) {
		if (!yaml_parser_parse(&parser, &event)) {
			line = (unsigned int)parser.problem_mark.line + 1;
			break;
		}
		over = event.type == YAML_DOCUMENT_END_EVENT || event.type == YAML_NO_EVENT;
		if (step(&walk, &event, entry, key)) {
			line = (unsigned int)event.start_mark.line + 1;
			over = true;
		}
		yaml_event_delete(&event);
	}
	yaml_parser_delete(&parser);
	return line ? line : walk.in_line;
}

/* --- saying what is wrong --- */

static int refuse(struct file *file, unsigned int entry, const char *key, const char *remedy,
		  const char *what)
{
	unsigned int line = line_of(file, entry, key);
	char place[24] = "";

	if (line)
		snprintf(place, sizeof(place), "line %u: ", line);
	return trouble_set(file->trouble, EINVAL, EXIT_USAGE, remedy, NULL, "--suppress %s: %s%s",
			   file->name, place, what);
}

static int cannot_read(struct file *file, int err)
{
	return trouble_set(file->trouble, err, EXIT_USAGE, NULL, NULL,
			   "--suppress %s: cannot be read: %s", file->name, strerror(err));
}

static int no_memory(struct trouble *trouble)
{
	return trouble_set(trouble, ENOMEM, EXIT_INTERNAL, NULL, NULL, "out of memory");
}

/* The first line is the complaint, those after it tell where, from the inside out. */
__attribute__((format(printf, 3, 0))) static void on_log(cyaml_log_t level, void *ctx,
							 const char *format, va_list args)
{
	struct complaint *c = ctx;
	char text[256];

	(void)level;
	if (vsnprintf(text, sizeof(text), format, args) < 0)
		return;
	text[strcspn(text, "\n")] = '\0';
	if (sscanf(text, " in mapping field '%31[a-z]'", c->field) == 1 ||
	    sscanf(text, " in sequence entry '%u'", &c->entry) == 1)
		return;
	if (!c->text[0] && strncmp(text, "Load: ", 6) == 0 && strcmp(text, "Load: Backtrace:"))
		escape_text(c->text, sizeof(c->text), text + 6, strlen(text + 6));
	else if (!c->text[0] && strncmp(text, "Ignoring documents", 18) == 0)
		snprintf(c->text, sizeof(c->text), "there is more than one document");
}

static const char *after(const char *text, const char *lead)
{
	size_t length = strlen(lead);

	return strncmp(text, lead, length) == 0 ? text + length : NULL;
}

/* libcyaml's words as ours. */
static int not_understood(struct file *file, cyaml_err_t err)
{
	const struct complaint *c = &file->complaint;
	const char *key = after(c->text, "Unexpected key: "), *remedy = NULL;
	const char *yaml = after(c->text, "libyaml: ");
	char what[224];

	if (err == CYAML_ERR_OOM)
		return no_memory(file->trouble);
	if (key) {
		snprintf(what, sizeof(what), "there is no key \"%s\"", key);
		remedy = KEYS;
	} else if (after(c->text, "Missing required")) {
		snprintf(what, sizeof(what), "an entry has no name");
		remedy = "give it one, e.g. name: why this is no fault";
	} else if (after(c->text, "there is more")) {
		snprintf(what, sizeof(what), "%s; only one is read", c->text);
		remedy = "remove the line \"---\" between them";
	} else if (after(c->text, "Mapping field already seen")) {
		snprintf(what, sizeof(what), "\"%s\" stands twice in an entry", c->field);
	} else if (err == CYAML_ERR_SEQUENCE_ENTRIES_MAX) {
		snprintf(what, sizeof(what), "more than %d entries", SUPPRESS_ENTRIES_MAX);
		file->complaint.entry = SUPPRESS_ENTRIES_MAX + 1; /* it names the last good one */
		remedy = "a glob can stand for many; or use several files";
	} else if (err == CYAML_ERR_STRING_LENGTH_MIN || err == CYAML_ERR_STRING_LENGTH_MAX) {
		snprintf(what, sizeof(what), "%s is %s", c->field,
			 err == CYAML_ERR_STRING_LENGTH_MIN ? "empty" : "too long");
	} else if (yaml) {
		snprintf(what, sizeof(what), "no YAML: %s", yaml);
	} else if (err == CYAML_ERR_ALIAS) {
		snprintf(what, sizeof(what), "YAML's aliases (*name) are not supported");
	} else if (c->field[0] && c->entry) {
		snprintf(what, sizeof(what), "%s is no plain text", c->field);
	} else {
		snprintf(what, sizeof(what), "this is no list of mappings (%s)",
			 c->text[0] ? c->text : cyaml_strerror(err));
		remedy = "an entry begins with \"- name: ...\"; " KEYS;
	}
	return refuse(file, c->entry, key ? key : c->field, remedy, what);
}

/* --- reading --- */

static int read_some(struct file *file, int fd)
{
	ssize_t got;

	do {
		got = read(fd, file->text + file->size, SUPPRESS_BYTES_MAX + 1 - file->size);
		if (got > 0)
			file->size += (size_t)got;
	} while (got > 0 || (got < 0 && errno == EINTR));
	return got < 0 ? cannot_read(file, errno) : 0;
}

/* The size is found by reading: a pipe has none. */
static int read_text(struct file *file, int fd)
{
	struct stat status;
	int err;

	if (fstat(fd, &status) < 0)
		return cannot_read(file, errno);
	if (S_ISDIR(status.st_mode))
		return trouble_set(file->trouble, EISDIR, EXIT_USAGE,
				   "name a YAML file; --suppress may be given several times", NULL,
				   "--suppress %s: it is a directory", file->name);
	file->text = malloc(SUPPRESS_BYTES_MAX + 1);
	if (!file->text)
		return no_memory(file->trouble);
	err = read_some(file, fd);
	if (!err && file->size > SUPPRESS_BYTES_MAX)
		return trouble_set(file->trouble, EFBIG, EXIT_USAGE, NULL, NULL,
				   "--suppress %s: larger than 1 MiB", file->name);
	return err;
}

static int read_file(struct file *file)
{
	int fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NOCTTY), err;

	if (fd < 0)
		return cannot_read(file, errno);
	err = read_text(file, fd);
	close(fd);
	return err;
}

static cyaml_config_t config_of(struct file *file)
{
	return (cyaml_config_t){ .log_fn = on_log,
				 .log_ctx = &file->complaint,
				 .log_level = CYAML_LOG_WARNING,
				 .mem_fn = cyaml_mem,
				 .flags = CYAML_CFG_NO_ALIAS };
}

static int parse_file(struct file *file)
{
	cyaml_config_t config = config_of(file);
	cyaml_err_t err;

	if (!file->size) /* libcyaml leaves it open what nothing is */
		return 0;
	err = cyaml_load_data((const uint8_t *)file->text, file->size, &config, &list_schema,
			      (cyaml_data_t **)&file->entries, &file->entry_count);
	if (err != CYAML_OK || file->complaint.text[0])
		return not_understood(file, err);
	return 0;
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
	return refuse(file, index + 1, "rule", "try: fdtrace --rules help", what);
}

static int take_fingerprint(struct file *file, unsigned int index, struct suppression *s)
{
	const char *text = file->entries[index].fingerprint;

	if (!text)
		return 0;
	if (strlen(text) != 16 || strspn(text, "0123456789abcdefABCDEF") != 16)
		return refuse(file, index + 1, "fingerprint",
			      "--json tells it in full, and so does -v with what to paste",
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
	return refuse(file, index + 1, key,
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
		err = refuse(file, index + 1, NULL,
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
		return no_memory(file->trouble);
	loaded->list.entries = grown;
	for (unsigned int i = 0; !err && i < file->entry_count; i++) {
		struct suppression *s = &grown[loaded->list.count++];

		memset(s, 0, sizeof(*s));
		err = take_entry(file, i, s);
	}
	return err;
}

static int load(struct loaded *loaded, struct file *file)
{
	int err = read_file(file);

	if (!err)
		err = parse_file(file);
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
		return no_memory(trouble);
	}
	while (!err && loaded->file_count < path_count) {
		struct file *file = &loaded->files[loaded->file_count];

		file->path = paths[loaded->file_count++];
		file->trouble = trouble;
		escape_text(file->name, sizeof(file->name), file->path, strlen(file->path));
		err = load(loaded, file);
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
		cyaml_config_t config = config_of(&loaded->files[i]);

		cyaml_free(&config, &list_schema, loaded->files[i].entries,
			   loaded->files[i].entry_count);
	}
	free(loaded->files);
	free(loaded->list.entries);
	free(loaded);
}
