// SPDX-License-Identifier: BSD-2-Clause
#include "cli/explain.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "run/evidence.h"
#include "output/text/page.h"
#include "util/io.h"
#include "util/error.h"

#define LABEL 15 /* column at which the text after a label begins */

/* --- values by their path --- */

static const json_t *at(const json_t *value, const char *path)
{
	char key[64];

	while (value && *path) {
		size_t length = strcspn(path, ".");

		snprintf(key, sizeof(key), "%.*s", (int)length, path);
		value = json_object_get(value, key);
		path += length + (path[length] == '.');
	}
	return value;
}

static const char *text_at(const json_t *value, const char *path)
{
	const char *text = json_string_value(at(value, path));

	return text ? text : "";
}

static json_int_t number_at(const json_t *value, const char *path)
{
	return json_integer_value(at(value, path));
}

/* --- lines --- */

static void label(struct page *page, const char *name)
{
	page_text(page, "  ", PAGE_ALL);
	page_style(page, STYLE_BOLD);
	page_text(page, name, PAGE_ALL);
	page_style(page, STYLE_PLAIN);
	page_tab(page, LABEL, 1);
}

static void text_line(struct page *page, const char *name, const char *text)
{
	if (!text[0])
		return;
	label(page, name);
	page_wrap(page, LABEL, text, NULL);
}

/* The text after a separator; nothing if it is empty. */
static void more(struct page *page, const char *before, const char *text)
{
	if (text[0])
		page_printf(page, "%s%s", before, text);
}

static void explain_count(struct page *page, const json_t *value, const char *key,
			  const char *format)
{
	const json_t *number = at(value, key);

	if (!json_is_integer(number))
		return;
	page_printf(page, "%s%" JSON_INTEGER_FORMAT, format, json_integer_value(number));
}

static void seconds(struct page *page, const json_t *value, const char *key, const char *format)
{
	explain_count(page, value, key, format);
	if (at(value, key))
		page_text(page, " s", PAGE_ALL);
}

static void frames(struct page *page, const json_t *stack)
{
	size_t index;
	json_t *frame;

	json_array_foreach(stack, index, frame)
	{
		page_tab(page, LABEL + 2, 0);
		page_text(page, json_string_value(frame) ? json_string_value(frame) : "", PAGE_ALL);
		page_newline(page);
	}
}

static void print_operation(struct page *page, const char *name, const json_t *operation)
{
	if (!operation)
		return;
	label(page, name);
	page_printf(page, "%s  %s[%" JSON_INTEGER_FORMAT "] tid %" JSON_INTEGER_FORMAT,
		    text_at(operation, "at"), text_at(operation, "name"),
		    number_at(operation, "pid"), number_at(operation, "tid"));
	more(page, "  ", text_at(operation, "syscall"));
	more(page, " = ", text_at(operation, "error"));
	more(page, ", ", text_at(operation, "how"));
	page_newline(page);
	frames(page, at(operation, "stack"));
}

static void head(struct page *page, const json_t *line)
{
	const char *severity = text_at(line, "severity");

	page_style(page, !strcmp(severity, "error") ? STYLE_ERROR : STYLE_WARNING);
	page_printf(page, "%s[%s]", severity, text_at(line, "rule.id"));
	page_style(page, STYLE_PLAIN);
	page_tab(page, 0, 1);
	page_wrap(page, 2, text_at(line, "message"), NULL);
	label(page, "found");
	page_printf(page, "%s on %s", text_at(line, "@timestamp"), text_at(line, "host.name"));
	explain_count(page, line, "fdtrace.count", ", number ");
	more(page, ", ", text_at(line, "fdtrace.state"));
	more(page, ", ", text_at(line, "fdtrace.confidence"));
	more(page, ", hooks ", text_at(line, "fdtrace.coverage"));
	page_newline(page);
	text_line(page, "fingerprint", text_at(line, "fdtrace.fingerprint"));
	text_line(page, "event", text_at(line, "event.id"));
}

static void process(struct page *page, const json_t *line)
{
	const json_t *process = at(line, "process");

	if (!process)
		return;
	label(page, "process");
	page_printf(page, "%s[%" JSON_INTEGER_FORMAT "]", text_at(process, "name"),
		    number_at(process, "pid"));
	explain_count(page, process, "parent.pid", ", child of ");
	more(page, ", uid ", text_at(process, "user.id"));
	more(page, ", since ", text_at(process, "start"));
	page_newline(page);
	text_line(page, "executable", text_at(process, "executable"));
	text_line(page, "command", text_at(process, "command_line"));
	text_line(page, "service", text_at(line, "service.name"));
	text_line(page, "container", text_at(line, "container.id"));
}

static void endpoint(struct page *page, const json_t *network, const char *key, const char *before)
{
	const json_t *end = at(network, key);

	if (!end)
		return;
	page_printf(page, "%s%s", before, text_at(end, "address"));
	explain_count(page, end, "port", ":");
}

static void descriptor(struct page *page, const json_t *line)
{
	const json_t *own = at(line, "fdtrace"), *network = at(line, "network");

	if (!at(own, "fd"))
		return;
	label(page, "descriptor");
	page_printf(page, "fd %" JSON_INTEGER_FORMAT " %s", number_at(own, "fd"),
		    text_at(own, "kind"));
	explain_count(page, own, "generation", " generation ");
	more(page, " ", text_at(line, "file.path"));
	more(page, " ", text_at(own, "name"));
	endpoint(page, network, "local", " ");
	endpoint(page, network, "peer", " -> ");
	more(page, " ", text_at(network, "connection.state"));
	more(page, ", inode ", text_at(line, "file.inode"));
	page_newline(page);
}

static void history(struct page *page, const json_t *own)
{
	size_t index;
	json_t *row;

	json_array_foreach(at(own, "history"), index, row)
	{
		label(page, "before");
		page_printf(page, "generation %" JSON_INTEGER_FORMAT " %s",
			    number_at(row, "generation"), text_at(row, "kind"));
		page_newline(page);
		print_operation(page, " opened", at(row, "opened"));
		print_operation(page, " closed", at(row, "closed"));
	}
}

static void site(struct page *page, const json_t *row)
{
	label(page, "site");
	page_printf(page, "%s  %s", text_at(row, "label"), text_at(row, "kind"));
	explain_count(page, row, "open", "  open ");
	explain_count(page, row, "opened", ", opened ");
	explain_count(page, row, "closed", ", closed ");
	explain_count(page, row, "peak", ", at most ");
	seconds(page, row, "oldest_s", ", oldest ");
	explain_count(page, row, "idle", ", idle ");
	seconds(page, row, "idle_s", " for ");
	explain_count(page, row, "established", ", established ");
	explain_count(page, row, "close_wait", ", in CLOSE_WAIT ");
	explain_count(page, row, "example_fd", ", e.g. fd ");
	more(page, " ", text_at(row, "example_name"));
	page_newline(page);
	frames(page, at(row, "stack"));
}

static void victim(struct page *page, const json_t *row)
{
	label(page, "concerned");
	page_printf(page, "fd %" JSON_INTEGER_FORMAT " %s", number_at(row, "fd"),
		    text_at(row, "kind"));
	more(page, " ", text_at(row, "name"));
	page_newline(page);
	print_operation(page, " opened", at(row, "opened"));
	print_operation(page, " hurt", at(row, "hurt"));
}

static void each(struct page *page, const json_t *array,
		 void (*print)(struct page *page, const json_t *row))
{
	size_t index;
	json_t *row;

	json_array_foreach(array, index, row) print(page, row);
}

static void amounts(struct page *page, const json_t *own)
{
	const json_t *limit = at(own, "limit"), *sweep = at(own, "sweep");

	if (limit) {
		label(page, "limit");
		explain_count(page, limit, "open", "open ");
		explain_count(page, limit, "soft", " of ");
		seconds(page, limit, "exhausted_in_s", ", full in ");
		page_newline(page);
	}
	if (sweep) {
		label(page, "sweep");
		explain_count(page, sweep, "first", "from ");
		explain_count(page, sweep, "last", " to ");
		explain_count(page, sweep, "tries", ", tries ");
		explain_count(page, sweep, "closed", ", closed ");
		page_newline(page);
	}
}

static void finding(struct page *page, const json_t *line)
{
	const json_t *own = at(line, "fdtrace");

	head(page, line);
	process(page, line);
	descriptor(page, line);
	print_operation(page, "opened", at(own, "opened"));
	print_operation(page, "closed", at(own, "closed"));
	print_operation(page, "used", at(own, "used"));
	history(page, own);
	amounts(page, own);
	each(page, at(own, "sites"), site);
	each(page, at(own, "victims"), victim);
	text_line(page, "why", text_at(line, "event.reason"));
	text_line(page, "help", text_at(own, "help"));
	page_newline(page);
}

int explain_line(struct page *page, const char *line, size_t length)
{
	json_t *object = json_loadb(line, length, 0, NULL);
	int err = json_is_object(object) ? 0 : -EINVAL;

	if (!err)
		finding(page, object);
	json_decref(object);
	return err;
}

/* --- all lines of a fingerprint --- */

struct lines {
	struct {
		char *text;
		size_t length;
	} line[EVIDENCE_KEPT];
	unsigned int count;
};

static int explain_keep(void *ctx, const char *line, size_t length)
{
	struct lines *lines = ctx;
	char *copy;

	if (lines->count == EVIDENCE_KEPT)
		return 0;
	copy = malloc(length);
	if (!copy)
		return -ENOMEM;
	lines->line[lines->count].text = memcpy(copy, line, length);
	lines->line[lines->count++].length = length;
	return 0;
}

static int explain_print(int fd, struct page *page, const struct lines *lines, unsigned int i,
			 bool json)
{
	const char *text = lines->line[i].text;
	size_t length = lines->line[i].length;

	if (json)
		return write_all(fd, text, length);
	if (explain_line(page, text, length)) {
		page_text(page, "(not a JSON line: not written by fdtrace)", PAGE_ALL);
		page_newline(page);
	}
	return page_write(page, fd);
}

int explain(int fd, const char *fingerprint, bool json, unsigned int width, bool color,
	    struct error *error)
{
	struct lines lines = { 0 };
	struct page page;
	int err = evidence_find(evidence_path(), fingerprint, explain_keep, &lines, error);
	int failed = 0;

	page_init(&page, width, color);
	for (unsigned int i = lines.count; i-- && !err && !failed;)
		failed = explain_print(fd, &page, &lines, i, json);
	page_done(&page);
	while (lines.count)
		free(lines.line[--lines.count].text);
	if (failed && failed != -EPIPE)
		return error_set(error, -failed, EXIT_INTERNAL, "cannot write standard output: %s",
				 strerror(-failed));
	return err;
}
