// SPDX-License-Identifier: BSD-2-Clause
/* The keys stand in tables for util/yaml_reader.h; what their texts mean is judged here. */
#include "daemon/config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "base/clock.h"
#include "run/evidence.h"
#include "daemon/metrics.h"
#include "daemon/reported.h"
#include "util/error.h"
#include "util/yaml_reader.h"

#define LIST_MAX 256     /* entries of any list but the outputs */
#define PATTERN_MAX 1024 /* compiled, a pattern may be far larger */
#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
/* Of a ring in use every page counts twice; the budget keeps events to what this has room for. */
#define RING_BYTES (4 * MIB)
#define QUEUE_BYTES MIB

struct loaded {
	struct config config; /* what the caller sees; first, so that it leads back here */
	struct yaml_reader reader;
};

/* --- texts --- */

static bool is_off(const struct yaml_node *node)
{
	return strcmp(node->text, "off") == 0;
}

static int config_take_path(struct yaml_reader *r, const struct yaml_row *row,
			    const struct yaml_node *node, void *field)
{
	if (*node->text != '/')
		return yaml_refuse(r, node, "give the whole path, from / on",
				   "%s: \"%.60s\" is a relative path", row->key, node->text);
	*(const char **)field = node->text;
	return 0;
}

static int config_take_path_or_off(struct yaml_reader *r, const struct yaml_row *row,
				   const struct yaml_node *node, void *field)
{
	if (!is_off(node))
		return config_take_path(r, row, node, field);
	*(const char **)field = NULL;
	return 0;
}

static int config_refuse_number(struct yaml_reader *r, const struct yaml_row *row,
				const struct yaml_node *node, int err, const char *remedy)
{
	if (err == -ERANGE)
		return yaml_refuse(r, node, remedy, "%s: \"%.60s\" is out of range", row->key,
				   node->text);
	return yaml_refuse(r, node, remedy, "%s: invalid value \"%.60s\"", row->key, node->text);
}

/* "from 64K to 1G" */
static void config_format_range(const struct setting *setting, char *buffer, size_t size)
{
	char min[32], max[32];

	setting_format(setting, setting->min, min, sizeof(min));
	setting_format(setting, setting->max, max, sizeof(max));
	snprintf(buffer, size, "from %s to %s", min, max);
}

static int config_take_size(struct yaml_reader *r, const struct yaml_row *row,
			    const struct yaml_node *node, void *field)
{
	const struct setting like = { .type = SETTING_SIZE, .min = row->min, .max = row->max };
	char range[80], remedy[128];
	uint64_t bytes;
	int err = size_parse(node->text, &bytes);

	if (!err && (bytes < row->min || bytes > row->max))
		err = -ERANGE;
	if (err) {
		config_format_range(&like, range, sizeof(range));
		snprintf(remedy, sizeof(remedy), "give a number with K, M or G, %s", range);
		return config_refuse_number(r, row, node, err, remedy);
	}
	*(uint64_t *)field = bytes;
	return 0;
}

static int config_take_interval(struct yaml_reader *r, const struct yaml_row *row,
				const struct yaml_node *node, void *field)
{
	uint64_t interval_ns = 0;
	int err = is_off(node) ? 0 : time_parse(node->text, &interval_ns);

	if (!err && !is_off(node) && (interval_ns < row->min || interval_ns > row->max))
		err = -ERANGE;
	if (err)
		return config_refuse_number(r, row, node, err,
					    "give a number with s, m, h or d, from 1s to 3650d, "
					    "e.g. 10m; or off");
	*(uint64_t *)field = interval_ns;
	return 0;
}

static int config_take_rules(struct yaml_reader *r, const struct yaml_row *row,
			     const struct yaml_node *node, void *field)
{
	const char *bad;
	size_t length;

	(void)row;
	if (rule_set_parse(node->text, field, &bad, &length) == 0)
		return 0;
	return yaml_refuse(r, node, "try: fdtrace --rules help", "unknown rule or family \"%.*s\"",
			   length > 60 ? 60 : (int)length, bad);
}

static int config_take_severity(struct yaml_reader *r, const struct yaml_row *row,
				const struct yaml_node *node, void *field)
{
	if (severity_parse(node->text, field) == 0)
		return 0;
	return yaml_refuse(r, node, "allowed: info, warning, error", "%s: invalid value \"%.60s\"",
			   row->key, node->text);
}

static int config_take_pattern(struct yaml_reader *r, const struct yaml_row *row,
			       const struct yaml_node *node, void *field)
{
	regex_t regex;
	char why[128];
	int err;

	(void)row;
	if (strlen(node->text) > PATTERN_MAX)
		return yaml_refuse(r, node, NULL, "the regular expression is longer than %d bytes",
				   PATTERN_MAX);
	err = regcomp(&regex, node->text, REG_EXTENDED);
	if (err) {
		regerror(err, &regex, why, sizeof(why));
		return yaml_refuse(r, node, "POSIX extended syntax: see regex(7)",
				   "invalid regular expression: %s", why);
	}
	regfree(&regex);
	*(const char **)field = node->text;
	return 0;
}

/* --- set --- */

static int config_take_setting(struct yaml_reader *r, const struct yaml_row *row,
			       const struct yaml_node *node, void *field)
{
	const struct setting *setting = setting_find(row->key, strlen(row->key));
	int err = setting_parse(field, setting, node->text);
	char range[80], remedy[160];

	if (!err)
		return 0;
	config_format_range(setting, range, sizeof(range));
	snprintf(remedy, sizeof(remedy), "%s; fdtrace --set help lists all settings", range);
	return config_refuse_number(r, row, node, err, remedy);
}

/* The settings' own table has their rows; each field is found there, too. */
static bool config_setting_row(size_t index, struct yaml_row *ret_row)
{
	size_t count;
	const struct setting *table = settings_table(&count);

	if (index >= count)
		return false;
	*ret_row = (struct yaml_row){ .key = table[index].key,
				      .type = YAML_OTHER,
				      .take = config_take_setting };
	return true;
}

/* --- outputs --- */

static const char *const output_types[] = { "stdout", "file", "journal", "syslog", "unix", NULL };

static int config_check_output_path(struct yaml_reader *r, const struct yaml_node *node,
				    const struct output_config *output)
{
	const struct yaml_node *path = yaml_value(node, "path");
	bool socket = output->type == OUTPUT_UNIX || output->type == OUTPUT_SYSLOG;

	if (output->type == OUTPUT_STDOUT && path)
		return yaml_refuse(r, path, NULL, "an output of type stdout has no path");
	if ((output->type == OUTPUT_FILE || output->type == OUTPUT_UNIX) && !path)
		return yaml_refuse(r, node, "e.g. path: /var/log/fdtrace/findings.jsonl",
				   "an output of type %s needs a path", output_types[output->type]);
	if (path && socket && strlen(path->text) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
		return yaml_refuse(r, path, NULL, "path: too long for a socket");
	return 0;
}

static bool is_same_output(const struct output_config *a, const struct output_config *b)
{
	return a->type == b->type && !a->path == !b->path &&
	       (!a->path || strcmp(a->path, b->path) == 0);
}

static int config_check_output(struct yaml_reader *r, const struct yaml_node *node, void *record)
{
	const struct config *config = r->ctx;
	const struct output_config *output = record;
	int err = config_check_output_path(r, node, output);

	if (err)
		return err;
	if (yaml_value(node, "rfc5424") && output->type != OUTPUT_SYSLOG)
		return yaml_refuse(r, yaml_value(node, "rfc5424"), NULL,
				   "rfc5424 cannot be used with type %s",
				   output_types[output->type]);
	for (const struct output_config *earlier = config->outputs; earlier < output; earlier++)
		if (is_same_output(earlier, output))
			return yaml_refuse(r, node, NULL, "this output is given twice");
	return 0;
}

/* --- metrics --- */

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

static int config_take_listen(struct yaml_reader *r, const struct yaml_row *row,
			      const struct yaml_node *node, void *field)
{
	if (!is_off(node) && is_loopback(node->text) < 0)
		return yaml_refuse(r, node, "e.g. 127.0.0.1:9893 or [::1]:9893, or off",
				   "%s: \"%.60s\" is not ADDRESS:PORT", row->key, node->text);
	*(const char **)field = is_off(node) ? NULL : node->text;
	return 0;
}

static int config_check_metrics(struct yaml_reader *r, const struct yaml_node *node, void *record)
{
	const struct config *config = r->ctx;
	const struct yaml_node *listen = yaml_value(node, "listen");

	(void)record;
	if (!listen || is_off(listen) || is_loopback(listen->text) || config->metrics_remote)
		return 0;
	return yaml_refuse(r, listen, "to allow that, add remote: true",
			   "listen: other machines can connect to %.60s", listen->text);
}

/* --- the tables --- */

/* In the order of their enums. */
static const char *const stack_modes[] = { "auto", "native", "python", "off", NULL };
static const char *const hook_sets[] = { "auto", "function", "tracepoint", NULL };
static const char *const command_lines[] = { "full", "argv0", "off", NULL };

static const struct output_config standard_output = { .type = OUTPUT_STDOUT,
						      .min_severity = SEVERITY_INFO,
						      .summaries = true,
						      .queue_bytes = QUEUE_BYTES };

/* tests/packaging/words.py reads these rows and compares the documents with them. */
/* clang-format off */
#define AT(member) .offset = offsetof(struct output_config, member)
static const struct yaml_row output_rows[] = {
	{ "type", YAML_WORD, AT(type), .words = output_types, .required = true,
	  .remedy = "add one, e.g. type: journal" },
	{ "path", YAML_TEXT, AT(path), .take = config_take_path },
	{ "rfc5424", YAML_BOOL, AT(rfc5424) },
	{ "min_severity", YAML_OTHER, AT(min_severity), .take = config_take_severity },
	{ "summaries", YAML_BOOL, AT(summaries) },
	{ "queue", YAML_NUMBER, AT(queue_bytes), .min = 64 * KIB, .max = GIB, .take = config_take_size },
	{ .key = NULL },
};
#undef AT

#define AT(member) .offset = offsetof(struct config, member)
#define COUNT(member) .count = offsetof(struct config, member)
static const struct yaml_row metrics_rows[] = {
	{ "listen", YAML_TEXT, AT(metrics_listen), .take = config_take_listen, .restart = true },
	{ "remote", YAML_BOOL, AT(metrics_remote), .restart = true },
	{ "textfile", YAML_TEXT, AT(metrics_textfile), .take = config_take_path_or_off },
	{ .key = NULL },
};
static const struct yaml_row evidence_rows[] = {
	{ "path", YAML_TEXT, AT(evidence_path), .take = config_take_path_or_off, .restart = true },
	{ "max", YAML_NUMBER, AT(evidence_bytes), .min = MIB, .max = 1024 * GIB,
	  .take = config_take_size, .restart = true },
	{ .key = NULL },
};
static const struct yaml_row config_rows[] = {
	{ "rules", YAML_OTHER, AT(rules), .take = config_take_rules },
	{ "set", YAML_RECORD, AT(settings), .row_at = config_setting_row,
	  .remedy = "fdtrace --set help lists them" },
	{ "stacks", YAML_WORD, AT(stacks), .words = stack_modes, .restart = true },
	{ "hooks", YAML_WORD, AT(hooks), .words = hook_sets, .restart = true },
	{ "outputs", YAML_RECORDS, AT(outputs), COUNT(output_count), .max = CONFIG_OUTPUTS_MAX,
	  .rows = output_rows, .check = config_check_output,
	  .size = sizeof(struct output_config), .standard = &standard_output },
	{ "summary_interval", YAML_NUMBER, AT(summary_interval_ns), .min = SEC_NS, .max = 3650 * DAY_NS,
	  .take = config_take_interval },
	{ "command_line", YAML_WORD, AT(command_line), .words = command_lines },
	{ "redact", YAML_TEXTS, AT(redact), COUNT(redact_count), .max = LIST_MAX,
	  .take = config_take_pattern },
	{ "cgroups", YAML_TEXTS, AT(cgroups), COUNT(cgroup_count), .max = LIST_MAX },
	{ "exclude_cgroups", YAML_TEXTS, AT(exclude_cgroups), COUNT(exclude_cgroup_count),
	  .max = LIST_MAX },
	{ "suppress", YAML_TEXTS, AT(suppress), COUNT(suppress_count), .max = LIST_MAX,
	  .take = config_take_path },
	{ "metrics", YAML_RECORD, .rows = metrics_rows, .check = config_check_metrics },
	{ "state", YAML_TEXT, AT(state_path), .take = config_take_path_or_off },
	{ "evidence", YAML_RECORD, .rows = evidence_rows },
	{ .key = NULL },
};
#undef COUNT
#undef AT
/* clang-format on */

static const struct yaml_row config_file = { .type = YAML_RECORD, .rows = config_rows };

/* --- the whole --- */

static struct loaded *loaded_new(void)
{
	struct loaded *loaded = calloc(1, sizeof(*loaded));

	if (!loaded)
		return NULL;
	loaded->config = (struct config){
		.path = "",
		.rules = rule_set_default(),
		.stacks = STACKS_AUTO,
		.outputs = { standard_output },
		.output_count = 1,
		.metrics_listen = METRICS_LISTEN,
		.state_path = REPORTED_PATH,
		.evidence_path = EVIDENCE_PATH,
		.evidence_bytes = EVIDENCE_BYTES,
	};
	settings_default(&loaded->config.settings);
	loaded->config.settings.ring_size_bytes = RING_BYTES;
	loaded->reader.ctx = &loaded->config;
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

int config_load(const char *path, struct config **ret_config, struct error *error)
{
	struct loaded *loaded = loaded_new();
	char *kept = strdup(path);
	int err;

	if (!loaded || !kept) {
		free(kept);
		free(loaded);
		return error_no_memory(error);
	}
	loaded->config.path = kept;
	loaded->reader.error = error;
	err = yaml_reader_open(&loaded->reader, path, false);
	if (!err)
		err = yaml_reader_fill(&loaded->reader, &config_file, &loaded->config);
	if (err)
		config_free(&loaded->config);
	else
		*ret_config = &loaded->config;
	return err;
}

void config_free(struct config *config)
{
	struct loaded *loaded = (struct loaded *)config;

	if (!loaded)
		return;
	yaml_reader_done(&loaded->reader);
	if (loaded->config.path[0])
		free((char *)loaded->config.path);
	free(loaded);
}

struct restart_listener {
	void (*changed)(void *ctx, const char *key);
	void *ctx;
};

static void config_pass_setting(void *ctx, const struct setting *setting)
{
	const struct restart_listener *listener = ctx;

	listener->changed(listener->ctx, setting->key);
}

void config_each_restart(const struct config *in_force, const struct config *next,
			 void (*changed)(void *ctx, const char *key), void *ctx)
{
	struct restart_listener listener = { .changed = changed, .ctx = ctx };

	settings_each_restart(&in_force->settings, &next->settings, config_pass_setting, &listener);
	yaml_each_restart(config_rows, in_force, next, changed, ctx);
}
