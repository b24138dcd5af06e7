// SPDX-License-Identifier: BSD-2-Clause
#include "daemon/lines.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "engine/finding.h"
#include "model/process.h"
#include "daemon/channel.h"
#include "run/evidence.h"
#include "util/escape.h"
#include "util/log.h"
#include "util/error.h"

#define MESSAGE_SIZE 512

/* --- opening --- */

static bool is_same_channel(const struct output_config *a, const char *a_path,
			    const struct output_config *b)
{
	return a->type == b->type && a->rfc5424 == b->rfc5424 &&
	       a->min_severity == b->min_severity && a->summaries == b->summaries &&
	       a->queue_bytes == b->queue_bytes && !a_path == !b->path &&
	       (!a_path || strcmp(a_path, b->path) == 0);
}

/* The channel that is already open; NULL: there is none. */
static struct channel *find_channel(const struct lines *lines, const struct output_config *config)
{
	for (unsigned int i = 0; i < lines->count; i++)
		if (is_same_channel(&lines->configs[i], lines->paths[i], config))
			return lines->channels[i];
	return NULL;
}

static bool lines_hold(const struct lines *lines, const struct channel *channel)
{
	for (unsigned int i = 0; i < lines->count; i++)
		if (lines->channels[i] == channel)
			return true;
	return false;
}

static int add_channel(struct lines *to, const struct lines *from,
		       const struct output_config *config, struct error *error)
{
	unsigned int i = to->count;
	int err = 0;

	to->configs[i] = *config;
	to->paths[i] = config->path ? strdup(config->path) : NULL;
	if (config->path && !to->paths[i])
		return error_no_memory(error);
	to->channels[i] = find_channel(from, config);
	if (!to->channels[i])
		err = channel_open(config, &to->channels[i], error);
	if (!err)
		to->count++;
	else
		free(to->paths[i]);
	return err;
}

/* Closes the channels that the other set does not have. */
static void drop_channels(struct lines *lines, const struct lines *other)
{
	for (unsigned int i = 0; i < lines->count; i++) {
		free(lines->paths[i]);
		if (!lines_hold(other, lines->channels[i]))
			channel_free(lines->channels[i]);
	}
}

/* Findings without stored evidence are better than none, so this is only a warning. */
static void open_lines_evidence(struct lines *lines, const struct config *config)
{
	struct error error;

	if (lines->evidence || !config->evidence_path)
		return;
	if (evidence_open(config->evidence_path, config->evidence_bytes, &lines->evidence,
			  &error) == 0)
		return;
	lines->evidence = NULL;
	error_print(&error);
	log_warn("not storing full evidence (another error was logged above)");
}

int lines_apply(struct lines *lines, const struct config *config, uint64_t now, struct error *error)
{
	struct lines next = { .evidence = lines->evidence, .findings = lines->findings };
	int err = 0;

	for (unsigned int i = 0; !err && i < config->output_count; i++)
		err = add_channel(&next, lines, &config->outputs[i], error);
	if (err) {
		drop_channels(&next, lines);
		return err;
	}
	for (unsigned int i = 0; i < lines->count; i++)
		if (lines_hold(&next, lines->channels[i]))
			channel_reopen(lines->channels[i], now);
	drop_channels(lines, &next);
	*lines = next;
	open_lines_evidence(lines, config);
	return 0;
}

void lines_done(struct lines *lines)
{
	static const struct lines none;

	drop_channels(lines, &none);
	evidence_free(lines->evidence);
	*lines = none;
}

/* --- lines --- */

static void put_line_to_channels(struct lines *lines, const struct line *line)
{
	uint64_t now = clock_monotonic_ns();

	for (unsigned int i = 0; i < lines->count; i++)
		channel_put(lines->channels[i], line, now);
}

static void put_finding(struct lines *lines, const char *json, size_t length,
			const struct finding *f)
{
	char message[MESSAGE_SIZE], fingerprint[17], pid[16];
	struct line line = { .json = json,
			     .length = length,
			     .is_finding = true,
			     .severity = f->severity,
			     .rule = rule_info(f->rule)->id,
			     .fingerprint = fingerprint,
			     .message = message };

	escape_text(message, sizeof(message), f->message, strlen(f->message));
	snprintf(fingerprint, sizeof(fingerprint), "%016" PRIx64, f->fingerprint);
	if (f->process) {
		snprintf(pid, sizeof(pid), "%" PRIu32, f->process->pid);
		line.pid = pid;
	}
	put_line_to_channels(lines, &line);
}

/* Findings are few, so parsing them again is cheap enough. */
static void put_other(struct lines *lines, const char *json, size_t length)
{
	json_t *root = json_loadb(json, length, 0, NULL);
	const char *text = json_string_value(json_object_get(root, "message"));
	char message[MESSAGE_SIZE];
	struct line line = {
		.json = json, .length = length, .severity = SEVERITY_INFO, .message = message
	};

	if (!text)
		text = "summary of a process";
	escape_text(message, sizeof(message), text, strlen(text));
	text = json_string_value(json_object_get(root, "severity"));
	if (text)
		severity_parse(text, &line.severity);
	put_line_to_channels(lines, &line);
	json_decref(root);
}

int lines_put(void *ctx, const char *json, size_t length, const struct finding *finding)
{
	struct lines *lines = ctx;

	lines->findings += finding != NULL;
	if (finding)
		put_finding(lines, json, length, finding);
	else
		put_other(lines, json, length);
	return 0;
}

int lines_keep(void *ctx, const char *json, size_t length, const struct finding *finding)
{
	struct lines *lines = ctx;
	int err;

	if (!lines->evidence || !finding)
		return 0;
	err = evidence_put(lines->evidence, finding->fingerprint, json, length);
	if (err && !lines->evidence_failed)
		log_warn("cannot store evidence: %s", strerror(-err));
	lines->evidence_failed = err;
	return 0;
}

void lines_tick(struct lines *lines, uint64_t now)
{
	for (unsigned int i = 0; i < lines->count; i++)
		channel_tick(lines->channels[i], now);
}
