// SPDX-License-Identifier: BSD-2-Clause
/*
 * libcyaml turns the YAML into structs of strings and says which key, list or mapping does not fit;
 * what the strings mean is judged here. yaml_place.c finds where it stands.
 */
#include "daemon/config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "util/nearest.h"
#include "run/evidence.h"
#include "daemon/metrics.h"
#include "daemon/reported.h"
#include "util/io.h"
#include "util/yaml_load.h"
#include "util/escape.h"
#include "util/trouble.h"

#define BYTES_MAX (1 << 20) /* of the file */
#define LIST_MAX 256        /* entries of any list but the outputs */
#define TEXT_MAX 4095
#define PATTERN_MAX 1024 /* compiled, a pattern may be far larger */
#define SETTINGS_MAX 64
#define KIB UINT64_C(1024)
/* Of a ring in use every page counts twice; the budget keeps events to what this has room for. */
#define RING_BYTES (UINT64_C(4) << 20)

#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define QUEUE_BYTES MIB

/* As it is written. */
struct raw_output {
	char *type, *path, *rfc5424, *min_severity, *summaries, *queue;
};
struct raw_set {
	char *value[SETTINGS_MAX]; /* by row of settings_table() */
};
struct raw_metrics {
	char *listen, *remote, *textfile;
};
struct raw_evidence {
	char *path, *max;
};
struct raw {
	char *rules, *stacks, *hooks, *summary_interval, *command_line, *state;
	struct raw_set set;
	struct raw_output *outputs;
	unsigned int outputs_count;
	char **redact, **cgroups, **exclude_cgroups, **suppress;
	unsigned int redact_count, cgroups_count, exclude_cgroups_count, suppress_count;
	struct raw_metrics metrics;
	struct raw_evidence evidence;
};

struct loaded {
	struct config config; /* what the caller sees; first, so that it leads back here */
	struct raw *raw;      /* NULL: nothing was written */
};

/* --- what may be written --- */

#define OPTIONAL_TEXT (CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL)
#define TEXT(type, key) CYAML_FIELD_STRING_PTR(#key, OPTIONAL_TEXT, type, key, 1, TEXT_MAX)
#define LIST(key, entry, max) \
	CYAML_FIELD_SEQUENCE_COUNT(#key, OPTIONAL_TEXT, struct raw, key, key##_count, entry, 0, max)

static const cyaml_schema_field_t output_fields[] = {
	CYAML_FIELD_STRING_PTR("type", CYAML_FLAG_POINTER, struct raw_output, type, 1, TEXT_MAX),
	TEXT(struct raw_output, path),
	TEXT(struct raw_output, rfc5424),
	TEXT(struct raw_output, min_severity),
	TEXT(struct raw_output, summaries),
	TEXT(struct raw_output, queue),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t output_schema = { CYAML_VALUE_MAPPING(
	CYAML_FLAG_DEFAULT, struct raw_output, output_fields) };
static const cyaml_schema_value_t text_schema = { CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 1,
								     TEXT_MAX) };
static const cyaml_schema_field_t metrics_fields[] = {
	TEXT(struct raw_metrics, listen),
	TEXT(struct raw_metrics, remote),
	TEXT(struct raw_metrics, textfile),
	CYAML_FIELD_END,
};
static const cyaml_schema_field_t evidence_fields[] = {
	TEXT(struct raw_evidence, path),
	TEXT(struct raw_evidence, max),
	CYAML_FIELD_END,
};
static const cyaml_schema_field_t raw_fields[] = {
	TEXT(struct raw, rules),
	TEXT(struct raw, stacks),
	TEXT(struct raw, hooks),
	TEXT(struct raw, summary_interval),
	TEXT(struct raw, command_line),
	TEXT(struct raw, state),
	LIST(outputs, &output_schema, CONFIG_OUTPUTS_MAX),
	LIST(redact, &text_schema, LIST_MAX),
	LIST(cgroups, &text_schema, LIST_MAX),
	LIST(exclude_cgroups, &text_schema, LIST_MAX),
	LIST(suppress, &text_schema, LIST_MAX),
	CYAML_FIELD_MAPPING("metrics", CYAML_FLAG_OPTIONAL, struct raw, metrics, metrics_fields),
	CYAML_FIELD_MAPPING("evidence", CYAML_FLAG_OPTIONAL, struct raw, evidence, evidence_fields),
};
#define RAW_FIELDS (sizeof(raw_fields) / sizeof(raw_fields[0]))

/* The keys of `set` are those of the thresholds: libcyaml gets them when they are known. */
struct schema {
	cyaml_schema_field_t set[SETTINGS_MAX + 1];
	cyaml_schema_field_t fields[RAW_FIELDS + 2];
	cyaml_schema_value_t root;
};

static void fill_schema(struct schema *schema)
{
	size_t count;
	const struct setting *settings = settings_table(&count);
	const cyaml_schema_field_t set =
		CYAML_FIELD_MAPPING("set", CYAML_FLAG_OPTIONAL, struct raw, set, schema->set);
	const cyaml_schema_value_t root = { CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct raw,
								schema->fields) };

	memset(schema, 0, sizeof(*schema));
	for (size_t i = 0; i < count && i < SETTINGS_MAX; i++) {
		schema->set[i] = (cyaml_schema_field_t)CYAML_FIELD_STRING_PTR(
			settings[i].key, OPTIONAL_TEXT, struct raw_set, value[0], 1, TEXT_MAX);
		schema->set[i].data_offset = (uint32_t)(i * sizeof(char *));
	}
	memcpy(schema->fields, raw_fields, sizeof(raw_fields));
	memcpy(&schema->fields[RAW_FIELDS], &set, sizeof(set));
	memcpy(&schema->root, &root, sizeof(root));
}

/* --- reading --- */

struct file {
	const char *path;
	char name[128]; /* safe to print */
	char *text;
	size_t size;
	struct schema schema;
	struct yaml_complaint complaint;
	struct loaded *loaded;
	struct trouble *trouble;
};

static int config_no_memory(struct trouble *trouble)
{
	return trouble_set(trouble, ENOMEM, EXIT_INTERNAL, NULL, NULL, "out of memory");
}

static int config_cannot_read(struct file *file, int err)
{
	return trouble_set(file->trouble, err, EXIT_USAGE, NULL, NULL, "%s cannot be read: %s",
			   file->name, strerror(err));
}

static int config_refuse_at(struct file *file, struct yaml_place place, const char *remedy,
			    const char *what)
{
	return trouble_set(file->trouble, EINVAL, EXIT_USAGE, remedy, NULL, "%s:%u:%u: %s",
			   file->name, place.line, place.column, what);
}

static int config_read_text(struct file *file, int fd)
{
	struct stat status;
	int err;

	if (fstat(fd, &status) < 0)
		return config_cannot_read(file, errno);
	if (!S_ISREG(status.st_mode))
		return trouble_set(file->trouble, S_ISDIR(status.st_mode) ? EISDIR : EINVAL,
				   EXIT_USAGE, "name a YAML file: -c FILE", NULL, "%s is %s",
				   file->name,
				   S_ISDIR(status.st_mode) ? "a directory" : "no regular file");
	err = read_bounded(fd, BYTES_MAX, &file->text, &file->size);
	if (err == -EFBIG)
		return trouble_set(file->trouble, EFBIG, EXIT_USAGE, NULL, NULL,
				   "%s is larger than 1 MiB", file->name);
	if (err == -ENOMEM)
		return config_no_memory(file->trouble);
	return err ? config_cannot_read(file, -err) : 0;
}

/* O_NONBLOCK: a FIFO would keep us waiting before it can be refused. */
static int config_read_file(struct file *file)
{
	int fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), err;

	if (fd < 0)
		return config_cannot_read(file, errno);
	err = config_read_text(file, fd);
	close(fd);
	return err;
}

/* --- libcyaml's words as ours --- */

/* The keys that may stand where the unknown one does. */
static const cyaml_schema_field_t *fields_of(const struct file *file)
{
	const struct yaml_complaint *c = &file->complaint;
	const char *outermost = c->step_count ? c->steps[c->step_count - 1].key : NULL;

	if (!outermost)
		return file->schema.fields;
	return strcmp(outermost, "set") == 0       ? file->schema.set
	       : strcmp(outermost, "metrics") == 0 ? metrics_fields
	       : strcmp(outermost, "outputs") == 0 ? output_fields
						   : evidence_fields;
}

static void describe_unknown(const struct file *file, const char *key, char *what, size_t size,
			     char *remedy, size_t remedy_size)
{
	struct nearest nearest = { .word = key, .length = strlen(key) };
	const cyaml_schema_field_t *fields = fields_of(file);
	size_t used = (size_t)snprintf(remedy, remedy_size, "the keys are");

	snprintf(what, size, "there is no key \"%.60s\"", key);
	for (size_t i = 0; fields[i].key; i++) {
		nearest_try(&nearest, fields[i].key);
		if (used < remedy_size)
			used += (size_t)snprintf(remedy + used, remedy_size - used, "%s %s",
						 i ? "," : "", fields[i].key);
	}
	if (nearest.best)
		snprintf(remedy, remedy_size, "did you mean \"%s\"?", nearest.best);
	else if (used >= remedy_size)
		snprintf(remedy, remedy_size, "fdtrace --set help lists them");
}

static const char *kind_wanted(const char *key)
{
	static const char *const lists[] = { "outputs", "redact", "cgroups", "exclude_cgroups",
					     "suppress" };
	static const char *const mappings[] = { "set", "metrics", "evidence" };

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		if (strcmp(key, lists[i]) == 0)
			return "a list (- ...)";
	for (size_t i = 0; i < sizeof(mappings) / sizeof(mappings[0]); i++)
		if (strcmp(key, mappings[i]) == 0)
			return "a mapping (key: value)";
	return "plain text";
}

static void config_describe(const struct yaml_complaint *c, cyaml_err_t err, char *what,
			    size_t size)
{
	const struct yaml_step *innermost = c->step_count ? &c->steps[0] : NULL;
	const char *key = innermost ? innermost->key : NULL;

	if (yaml_complains(c, "Missing required"))
		snprintf(what, size, "an output has no type");
	else if (yaml_complains(c, "Mapping field already seen"))
		snprintf(what, size, "\"%s\" stands here twice", key ? key : "a key");
	else if (err == CYAML_ERR_SEQUENCE_ENTRIES_MAX)
		snprintf(what, size, "more entries than may be: %d",
			 c->step_count && c->steps[c->step_count - 1].key &&
					 strcmp(c->steps[c->step_count - 1].key, "outputs") == 0
				 ? CONFIG_OUTPUTS_MAX
				 : LIST_MAX);
	else if (err == CYAML_ERR_STRING_LENGTH_MIN || err == CYAML_ERR_STRING_LENGTH_MAX)
		snprintf(what, size, "%s is %s", key ? key : "the entry",
			 err == CYAML_ERR_STRING_LENGTH_MIN ? "empty" : "too long");
	else if (key)
		snprintf(what, size, "%s must be %s", key, kind_wanted(key));
	else if (innermost)
		snprintf(what, size, "an entry of this list must be %s",
			 c->step_count > 1 && c->steps[1].key &&
					 strcmp(c->steps[1].key, "outputs") == 0
				 ? "a mapping (- type: ...)"
				 : "plain text");
	else
		snprintf(what, size, "this is no mapping of keys to values (%s)",
			 c->text[0] ? c->text : cyaml_strerror(err));
}

static int config_not_understood(struct file *file, cyaml_err_t err)
{
	const struct yaml_complaint *c = &file->complaint;
	const char *unknown = yaml_complains(c, "Unexpected key: ");
	struct yaml_step steps[YAML_STEPS_MAX + 1];
	char what[224], remedy[224] = "";
	unsigned int count;

	if (err == CYAML_ERR_OOM)
		return config_no_memory(file->trouble);
	count = yaml_way(c, unknown, steps);
	if (yaml_complains(c, "Missing required") && count && steps[count - 1].key)
		count--; /* it names the last key that is there */
	if (unknown)
		describe_unknown(file, unknown, what, sizeof(what), remedy, sizeof(remedy));
	else
		config_describe(c, err, what, sizeof(what));
	return config_refuse_at(file, yaml_find(file->text, file->size, steps, count, unknown),
				remedy, what);
}

static int config_parse_file(struct file *file)
{
	cyaml_config_t config = yaml_config(&file->complaint);
	struct yaml_place place;
	char buffer[160];
	const char *fault;
	cyaml_err_t err;
	bool empty;

	fault = yaml_fault(file->text, file->size, buffer, sizeof(buffer), &place, &empty);
	if (fault)
		return config_refuse_at(file, place, NULL, fault);
	if (empty) /* libcyaml leaves it open what nothing is */
		return 0;
	err = cyaml_load_data((const uint8_t *)file->text, file->size, &config, &file->schema.root,
			      (cyaml_data_t **)&file->loaded->raw, NULL);
	return err == CYAML_OK ? 0 : config_not_understood(file, err);
}

/* --- what the words mean --- */

/* Of one value: where it stands, for a complaint. */
struct at {
	struct file *file;
	struct yaml_step steps[YAML_STEPS_MAX];
	unsigned int count;
};

static struct at at_key(struct file *file, const char *key)
{
	return (struct at){ file, { { .key = key } }, 1 };
}

static struct at at_sub(struct file *file, const char *key, const char *sub)
{
	return (struct at){ file, { { .key = key }, { .key = sub } }, 2 };
}

static struct at at_entry(struct file *file, const char *key, unsigned int index, const char *sub)
{
	return (struct at){ file,
			    { { .key = key }, { .index = index }, { .key = sub } },
			    sub ? 3 : 2 };
}

static const char *config_name_of(const struct at *at)
{
	for (unsigned int i = at->count; i; i--)
		if (at->steps[i - 1].key)
			return at->steps[i - 1].key;
	return "";
}

__attribute__((format(printf, 3, 4))) static int refuse(const struct at *at, const char *remedy,
							const char *format, ...)
{
	struct file *file = at->file;
	char what[224], safe[224];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	escape_text(safe, sizeof(safe), what, strlen(what));
	return config_refuse_at(
		file, yaml_find(file->text, file->size, at->steps, at->count, false), remedy, safe);
}

/* The index of text among names; -EINVAL with a trouble that lists them. */
static int take_word(struct at at, const char *text, const char *const *names, unsigned int count)
{
	char allowed[160] = "allowed:";

	for (unsigned int i = 0; i < count; i++) {
		if (strcmp(text, names[i]) == 0)
			return (int)i;
		strncat(allowed, i ? ", " : " ", sizeof(allowed) - strlen(allowed) - 1);
		strncat(allowed, names[i], sizeof(allowed) - strlen(allowed) - 1);
	}
	return refuse(&at, allowed, "%s: \"%.60s\" is not understood", config_name_of(&at), text);
}

static int take_bool(struct at at, const char *text, bool *ret_value)
{
	static const char *const names[] = { "false", "true" };
	int word = text ? take_word(at, text, names, 2) : *ret_value;

	if (word < 0)
		return word;
	*ret_value = word;
	return 0;
}

static bool is_off(const char *text)
{
	return strcmp(text, "off") == 0;
}

/* A bound on sun_path, or on a file's name. */
static int take_path(struct at at, const char *text, size_t size, const char **ret_path)
{
	if (!text)
		return 0;
	if (*text != '/')
		return refuse(&at, "give the whole path, from / on",
			      "%s: \"%.60s\" is a relative path", config_name_of(&at), text);
	if (strlen(text) >= size)
		return refuse(&at, NULL, "%s: the path is too long", config_name_of(&at));
	*ret_path = text;
	return 0;
}

static int take_path_or_off(struct at at, const char *text, const char **ret_path)
{
	if (!text || !is_off(text))
		return take_path(at, text, TEXT_MAX, ret_path);
	*ret_path = NULL;
	return 0;
}

static int take_size(struct at at, const char *text, uint64_t min, uint64_t max,
		     uint64_t *ret_bytes)
{
	static const struct setting any = { .type = SETTING_SIZE };
	uint64_t factor = 1, number;
	char least[32], most[32], *end;
	char remedy[128];

	if (!text)
		return 0;
	errno = 0;
	number = strtoull(text, &end, 10);
	if (*end && strchr("KMG", *end) && !end[1])
		factor = *end == 'K' ? KIB : *end == 'M' ? MIB : GIB;
	setting_format(&any, min, least, sizeof(least));
	setting_format(&any, max, most, sizeof(most));
	snprintf(remedy, sizeof(remedy), "give a number with K, M or G, from %s to %s", least,
		 most);
	if (*text < '0' || *text > '9' || (*end && (factor == 1)))
		return refuse(&at, remedy, "%s: \"%.60s\" is not understood", config_name_of(&at),
			      text);
	if (errno || __builtin_mul_overflow(number, factor, &number) || number < min ||
	    number > max)
		return refuse(&at, remedy, "%s: %.60s is out of range", config_name_of(&at), text);
	*ret_bytes = number;
	return 0;
}

static int config_parse_rules(struct file *file, const char *text)
{
	struct at at = at_key(file, "rules");
	const char *bad;
	size_t length;

	if (!text || rule_set_parse(text, &file->loaded->config.rules, &bad, &length) == 0)
		return 0;
	return refuse(&at, "try: fdtrace --rules help", "no rule or family is called \"%.*s\"",
		      length > 60 ? 60 : (int)length, bad);
}

static int config_parse_setting(struct file *file, const struct setting *setting, const char *text)
{
	char assignment[TEXT_MAX + 64], min[32], max[32], remedy[160];
	struct at at = at_sub(file, "set", setting->key);
	int err;

	snprintf(assignment, sizeof(assignment), "%s=%s", setting->key, text);
	err = settings_parse(&file->loaded->config.settings, assignment, NULL);
	if (!err)
		return 0;
	setting_format(setting, setting->min, min, sizeof(min));
	setting_format(setting, setting->max, max, sizeof(max));
	snprintf(remedy, sizeof(remedy), "from %s to %s; fdtrace --set help lists them all", min,
		 max);
	return refuse(&at, remedy, "%s: \"%.60s\" is %s", setting->key, text,
		      err == -ERANGE ? "out of range" : "not understood");
}

static int take_set(struct file *file, const struct raw_set *set)
{
	size_t count;
	const struct setting *settings = settings_table(&count);
	int err = 0;

	for (size_t i = 0; !err && i < count && i < SETTINGS_MAX; i++)
		if (set->value[i])
			err = config_parse_setting(file, &settings[i], set->value[i]);
	return err;
}

static int take_modes(struct file *file, const struct raw *raw)
{
	static const char *const stacks[] = { "auto", "native", "python", "off" };
	static const char *const hooks[] = { "auto", "function", "tracepoint" };
	static const char *const lines[] = { "full", "argv0", "off" };
	struct config *config = &file->loaded->config;
	int word = take_word(at_key(file, "stacks"), raw->stacks ? raw->stacks : "auto", stacks, 4);

	if (word < 0)
		return word;
	config->stacks_native = word < 2;
	config->stacks_python = word == 0 || word == 2;
	word = take_word(at_key(file, "hooks"), raw->hooks ? raw->hooks : "auto", hooks, 3);
	if (word < 0)
		return word;
	config->hooks = (enum hook_set)word;
	word = take_word(at_key(file, "command_line"),
			 raw->command_line ? raw->command_line : "full", lines, 3);
	if (word < 0)
		return word;
	config->command_line = (enum command_line)word;
	return 0;
}

static int take_interval(struct file *file, const char *text)
{
	struct at at = at_key(file, "summary_interval");
	uint64_t *interval = &file->loaded->config.summary_interval_ns;

	if (text && is_off(text))
		*interval = 0;
	else if (text && time_parse(text, interval))
		return refuse(&at, "a number with s, m, h or d, e.g. 10m; or off",
			      "summary_interval: \"%.60s\" is not understood", text);
	if (*interval && (*interval < SEC_NS || *interval > 3650 * DAY_NS))
		return refuse(&at, "from 1s to 3650d, or off",
			      "summary_interval: \"%.60s\" is out of range", text);
	return 0;
}

/* --- outputs --- */

static int config_parse_severity(struct at at, const char *text, enum severity *ret_severity)
{
	if (!text || severity_parse(text, ret_severity) == 0)
		return 0;
	return refuse(&at, "allowed: info, warning, error",
		      "min_severity: \"%.60s\" is not understood", text);
}

static int take_output_path(struct file *file, unsigned int i, struct output_config *output)
{
	const struct raw_output *raw = &file->loaded->raw->outputs[i];
	struct at at = at_entry(file, "outputs", i, "path");
	size_t socket_size = sizeof(((struct sockaddr_un *)NULL)->sun_path);

	if (output->type == OUTPUT_STDOUT && raw->path)
		return refuse(&at, NULL, "an output of type stdout has no path");
	if ((output->type == OUTPUT_FILE || output->type == OUTPUT_UNIX) && !raw->path) {
		at.count = 2;
		return refuse(&at, "e.g. path: /var/log/fdtrace/findings.jsonl",
			      "an output of type %s needs a path", raw->type);
	}
	return take_path(at, raw->path, output->type == OUTPUT_FILE ? TEXT_MAX : socket_size,
			 &output->path);
}

static bool same_output(const struct output_config *a, const struct output_config *b)
{
	return a->type == b->type && !a->path == !b->path &&
	       (!a->path || strcmp(a->path, b->path) == 0);
}

static int refuse_twice(struct file *file, unsigned int i)
{
	const struct config *config = &file->loaded->config;
	struct at at = at_entry(file, "outputs", i, NULL);

	for (unsigned int j = 0; j < i; j++)
		if (same_output(&config->outputs[j], &config->outputs[i]))
			return refuse(&at, NULL, "this output stands here twice");
	return 0;
}

static int take_output(struct file *file, unsigned int i)
{
	static const char *const types[] = { "stdout", "file", "journal", "syslog", "unix" };
	const struct raw_output *raw = &file->loaded->raw->outputs[i];
	struct output_config *output = &file->loaded->config.outputs[i];
	int err = take_word(at_entry(file, "outputs", i, "type"), raw->type, types, 5);

	if (err < 0)
		return err;
	*output = (struct output_config){ .type = (enum output_type)err,
					  .min_severity = SEVERITY_INFO,
					  .summaries = true,
					  .queue_bytes = QUEUE_BYTES };
	err = take_output_path(file, i, output);
	if (!err)
		err = take_bool(at_entry(file, "outputs", i, "rfc5424"), raw->rfc5424,
				&output->rfc5424);
	if (!err && raw->rfc5424 && output->type != OUTPUT_SYSLOG) {
		struct at at = at_entry(file, "outputs", i, "rfc5424");

		err = refuse(&at, NULL, "rfc5424 has no meaning for %s", raw->type);
	}
	if (!err)
		err = config_parse_severity(at_entry(file, "outputs", i, "min_severity"),
					    raw->min_severity, &output->min_severity);
	if (!err)
		err = take_bool(at_entry(file, "outputs", i, "summaries"), raw->summaries,
				&output->summaries);
	if (!err)
		err = take_size(at_entry(file, "outputs", i, "queue"), raw->queue, 64 * KIB, GIB,
				&output->queue_bytes);
	return err ? err : refuse_twice(file, i);
}

static int take_outputs(struct file *file, const struct raw *raw)
{
	int err = 0;

	if (!raw->outputs_count)
		return 0;
	file->loaded->config.output_count = raw->outputs_count;
	for (unsigned int i = 0; !err && i < raw->outputs_count; i++)
		err = take_output(file, i);
	return err;
}

/* --- lists --- */

static int take_pattern(struct at at, const char *pattern)
{
	regex_t regex;
	char why[128];
	int err;

	if (strlen(pattern) > PATTERN_MAX)
		return refuse(&at, NULL, "the regular expression is longer than %d bytes",
			      PATTERN_MAX);
	err = regcomp(&regex, pattern, REG_EXTENDED);
	if (!err) {
		regfree(&regex);
		return 0;
	}
	regerror(err, &regex, why, sizeof(why));
	return refuse(&at, "POSIX extended: see regex(7)", "no regular expression: %s", why);
}

static int check_lists(struct file *file, const struct raw *raw)
{
	const char *path;
	int err = 0;

	for (unsigned int i = 0; !err && i < raw->redact_count; i++)
		err = take_pattern(at_entry(file, "redact", i, NULL), raw->redact[i]);
	for (unsigned int i = 0; !err && i < raw->suppress_count; i++)
		err = take_path(at_entry(file, "suppress", i, NULL), raw->suppress[i], TEXT_MAX,
				&path);
	return err;
}

static int take_lists(struct file *file, const struct raw *raw)
{
	struct config *config = &file->loaded->config;

	config->redact = (const char **)raw->redact;
	config->redact_count = raw->redact_count;
	config->cgroups = (const char **)raw->cgroups;
	config->cgroup_count = raw->cgroups_count;
	config->exclude_cgroups = (const char **)raw->exclude_cgroups;
	config->exclude_cgroup_count = raw->exclude_cgroups_count;
	config->suppress = (const char **)raw->suppress;
	config->suppress_count = raw->suppress_count;
	return check_lists(file, raw);
}

/* --- metrics, state and evidence --- */

static bool is_port(const char *text)
{
	char *end;
	unsigned long port = strtoul(text, &end, 10);

	return *text >= '0' && *text <= '9' && !*end && strlen(text) <= 5 && port >= 1 &&
	       port <= 65535;
}

/* "address:port" or "[v6]:port". 1: loopback, 0: not, -EINVAL. */
static int is_loopback(const char *listen)
{
	const char *colon = strrchr(listen, ':');
	char address[64];
	struct in6_addr v6;
	struct in_addr v4;
	size_t length = colon ? (size_t)(colon - listen) : 0;
	bool brackets = length > 2 && listen[0] == '[' && colon[-1] == ']';

	if (!colon || length >= sizeof(address) || !is_port(colon + 1))
		return -EINVAL;
	snprintf(address, sizeof(address), "%.*s", (int)(length - 2 * brackets), listen + brackets);
	if (brackets)
		return inet_pton(AF_INET6, address, &v6) == 1 ? IN6_IS_ADDR_LOOPBACK(&v6) : -EINVAL;
	return inet_pton(AF_INET, address, &v4) == 1 ? ntohl(v4.s_addr) >> 24 == 127 : -EINVAL;
}

static int take_metrics(struct file *file, const struct raw_metrics *raw)
{
	struct config *config = &file->loaded->config;
	struct at at = at_sub(file, "metrics", "listen");
	int err =
		take_bool(at_sub(file, "metrics", "remote"), raw->remote, &config->metrics_remote);
	int loopback = raw->listen && !is_off(raw->listen) ? is_loopback(raw->listen) : 1;

	if (err)
		return err;
	if (loopback < 0)
		return refuse(&at, "e.g. 127.0.0.1:9893 or [::1]:9893, or off",
			      "metrics.listen: \"%.60s\" is no address:port", raw->listen);
	if (!loopback && !config->metrics_remote)
		return refuse(&at, "metrics.remote: true says that this is meant",
			      "metrics.listen: %.60s can be reached from other machines",
			      raw->listen);
	if (raw->listen)
		config->metrics_listen = is_off(raw->listen) ? NULL : raw->listen;
	return take_path_or_off(at_sub(file, "metrics", "textfile"), raw->textfile,
				&config->metrics_textfile);
}

static int take_store(struct file *file, const struct raw *raw)
{
	struct config *config = &file->loaded->config;
	int err = take_path_or_off(at_key(file, "state"), raw->state, &config->state_path);

	if (!err)
		err = take_path_or_off(at_sub(file, "evidence", "path"), raw->evidence.path,
				       &config->evidence_path);
	if (!err)
		err = take_size(at_sub(file, "evidence", "max"), raw->evidence.max, MIB, 1024 * GIB,
				&config->evidence_bytes);
	return err;
}

static int take_all(struct file *file)
{
	const struct raw *raw = file->loaded->raw;
	int err;

	if (!raw)
		return 0;
	err = config_parse_rules(file, raw->rules);
	if (!err)
		err = take_set(file, &raw->set);
	if (!err)
		err = take_modes(file, raw);
	if (!err)
		err = take_interval(file, raw->summary_interval);
	if (!err)
		err = take_outputs(file, raw);
	if (!err)
		err = take_lists(file, raw);
	if (!err)
		err = take_metrics(file, &raw->metrics);
	return err ? err : take_store(file, raw);
}

/* --- the whole --- */

static struct loaded *loaded_new(void)
{
	struct loaded *loaded = calloc(1, sizeof(*loaded));

	if (!loaded)
		return NULL;
	loaded->config = (struct config){
		.path = "",
		.rules = rule_set_default(),
		.stacks_native = true,
		.stacks_python = true,
		.outputs = { { .type = OUTPUT_STDOUT,
			       .min_severity = SEVERITY_INFO,
			       .summaries = true,
			       .queue_bytes = QUEUE_BYTES } },
		.output_count = 1,
		.metrics_listen = METRICS_LISTEN,
		.state_path = REPORTED_PATH,
		.evidence_path = EVIDENCE_PATH,
		.evidence_bytes = EVIDENCE_BYTES,
	};
	settings_default(&loaded->config.settings);
	loaded->config.settings.ring_size_bytes = RING_BYTES;
	return loaded;
}

int config_default(struct config **ret_config)
{
	struct loaded *loaded = loaded_new();

	if (!loaded)
		return -ENOMEM;
	*ret_config = &loaded->config;
	return 0;
}

static int config_load_file(struct file *file)
{
	int err = config_read_file(file);

	if (!err)
		err = config_parse_file(file);
	if (!err)
		err = take_all(file);
	free(file->text);
	return err;
}

int config_load(const char *path, struct config **ret_config, struct trouble *trouble)
{
	struct file file = { .path = path, .trouble = trouble, .loaded = loaded_new() };
	char *kept = strdup(path);
	int err;

	if (!file.loaded || !kept) {
		free(kept);
		free(file.loaded);
		return config_no_memory(trouble);
	}
	file.loaded->config.path = kept;
	escape_text(file.name, sizeof(file.name), path, strlen(path));
	fill_schema(&file.schema);
	err = config_load_file(&file);
	if (err)
		config_free(&file.loaded->config);
	else
		*ret_config = &file.loaded->config;
	return err;
}

void config_free(struct config *config)
{
	struct loaded *loaded = (struct loaded *)config;
	struct yaml_complaint complaint = { 0 };
	cyaml_config_t cyaml = yaml_config(&complaint);
	struct schema schema;

	if (!loaded)
		return;
	fill_schema(&schema);
	if (loaded->raw)
		cyaml_free(&cyaml, &schema.root, loaded->raw, 0);
	if (loaded->config.path[0])
		free((char *)loaded->config.path);
	free(loaded);
}
