// SPDX-License-Identifier: BSD-2-Clause
#include "cli/doctor.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/escape.h"

#define VERDICT_WIDTH 6
#define FOUND_WIDTH_MAX 40
#define WIDTH_MIN 40

static const char *const verdict_names[] = {
	[VERDICT_OK] = "ok", [VERDICT_WARN] = "warn", [VERDICT_FAIL] = "fail"
};

static bool in_container(void)
{
	return access("/.dockerenv", F_OK) == 0 || access("/run/.containerenv", F_OK) == 0 ||
	       access("/run/systemd/container", F_OK) == 0;
}

/* Words from `column` on, with lines that begin at `indent`; ends the line. */
static void print_words(FILE *out, const char *text, unsigned int column, unsigned int indent,
			unsigned int width)
{
	bool first = true;

	while (*text) {
		unsigned int length = (unsigned int)strcspn(text, " ");

		if (width && !first && column + 1 + length > width) {
			fprintf(out, "\n%*s", (int)indent, "");
			column = indent;
			first = true;
		}
		fprintf(out, "%s%.*s", first ? "" : " ", (int)length, text);
		column += length + !first;
		first = false;
		text += length;
		text += strspn(text, " ");
	}
	fputc('\n', out);
}

struct columns {
	unsigned int what, found, width;
};

static unsigned int wider(unsigned int a, size_t b)
{
	return b > a ? (unsigned int)b : a;
}

static struct columns measure(const struct probe_report *report, unsigned int width)
{
	struct columns c = { .width = width && width < WIDTH_MIN ? WIDTH_MIN : width };

	for (unsigned int i = 0; i < report->count; i++) {
		size_t found = strlen(report->line[i].found);

		c.what = wider(c.what, strlen(report->line[i].what));
		if (found <= FOUND_WIDTH_MAX && report->line[i].consequence[0])
			c.found = wider(c.found, found);
	}
	return c;
}

static void print_line(FILE *out, const struct probe_line *line, const struct columns *c)
{
	char what[sizeof(line->what)], found[sizeof(line->found) * 2],
		text[sizeof(line->consequence) * 2];
	unsigned int at = VERDICT_WIDTH + c->what + 2, column;

	escape_text(what, sizeof(what), line->what, strlen(line->what));
	escape_text(found, sizeof(found), line->found, strlen(line->found));
	escape_text(text, sizeof(text), line->consequence, strlen(line->consequence));
	fprintf(out, "%-*s%-*s  ", VERDICT_WIDTH, verdict_names[line->verdict], (int)c->what, what);
	column = at + wider(c->found, strlen(found)) + 2;
	if (*text && (!c->width || column + strlen(text) <= c->width)) {
		fprintf(out, "%-*s  %s\n", (int)c->found, found, text);
		return;
	}
	print_words(out, found, at, at, c->width);
	if (*text) {
		fprintf(out, "%*s", (int)at, "");
		print_words(out, text, at, at, c->width);
	}
}

void doctor_print_text(FILE *out, const struct probe_report *report, const struct hostinfo *host,
		       unsigned int width)
{
	struct columns columns = measure(report, width);

	fprintf(out, "fdtrace %s on %s, kernel %s, uid %u%s\n", host->version, host->host_name,
		host->kernel, geteuid(), in_container() ? " in a container" : "");
	for (unsigned int i = 0; i < report->count; i++)
		print_line(out, &report->line[i], &columns);
	print_words(out, report->summary, 0, 0, columns.width);
}

static json_t *string_of(const char *text)
{
	char clean[1024];

	sanitize_utf8(clean, sizeof(clean), text, strlen(text));
	return json_string(clean);
}

static json_t *line_of(const struct probe_line *line)
{
	json_t *object = json_pack("{s:s, s:o, s:o}", "verdict", verdict_names[line->verdict],
				   "what", string_of(line->what), "found", string_of(line->found));

	if (line->consequence[0])
		json_object_set_new(object, "consequence", string_of(line->consequence));
	return object;
}

int doctor_print_json(FILE *out, const struct probe_report *report, const struct hostinfo *host)
{
	json_t *lines = json_array(), *object;
	char *text;

	for (unsigned int i = 0; i < report->count; i++)
		json_array_append_new(lines, line_of(&report->line[i]));
	object = json_pack("{s:s, s:o, s:o, s:i, s:b, s:b, s:o, s:o}", "version", host->version,
			   "host", string_of(host->host_name), "kernel", string_of(host->kernel),
			   "uid", (int)geteuid(), "container", in_container(), "can_trace",
			   report->can_trace, "summary", string_of(report->summary), "checks",
			   lines);
	text = object ? json_dumps(object, JSON_COMPACT) : NULL;
	if (text)
		fprintf(out, "%s\n", text);
	free(text);
	json_decref(object);
	return text ? 0 : -ENOMEM;
}
