// SPDX-License-Identifier: BSD-2-Clause
#include "cli/doctor.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/escape.h"

#define VERDICT_WIDTH 6
#define VERDICT_SHOWN(verdict) ((verdict) == VERDICT_UNKNOWN ? "-" : verdict_names[verdict])
#define FOUND_WIDTH_MAX 40
#define WIDTH_MIN 40

static const char *const verdict_names[] = {
	[VERDICT_OK] = "ok",
	[VERDICT_WARN] = "warn",
	[VERDICT_FAIL] = "fail",
	[VERDICT_UNKNOWN] = "unknown",
};

/* Files that container runtimes create; systemd and podman set the variable. */
static bool in_container(void)
{
	return getenv("container") || access("/.dockerenv", F_OK) == 0 ||
	       access("/run/.containerenv", F_OK) == 0 ||
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

/* The consequence and what to do about it, as one text. */
static void join(const struct probe_line *line, char *buffer, size_t size)
{
	bool both = line->consequence[0] && line->remedy[0];

	snprintf(buffer, size, "%s%s%s", line->consequence, both ? ": " : "", line->remedy);
}

static void print_line(FILE *out, const struct probe_line *line, const struct columns *c)
{
	char what[sizeof(line->what)], found[sizeof(line->found) * 2], joined[384],
		text[sizeof(joined) * 2];
	unsigned int at = VERDICT_WIDTH + c->what + 2, column;

	join(line, joined, sizeof(joined));
	escape_text(what, sizeof(what), line->what, strlen(line->what));
	escape_text(found, sizeof(found), line->found, strlen(line->found));
	escape_text(text, sizeof(text), joined, strlen(joined));
	fprintf(out, "%-*s%-*s  ", VERDICT_WIDTH, VERDICT_SHOWN(line->verdict), (int)c->what, what);
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

/* The consequences of lines that are not ok: what tracing here lacks. */
static bool degrades(const struct probe_line *line)
{
	return (line->verdict == VERDICT_WARN || line->verdict == VERDICT_FAIL) &&
	       line->consequence[0];
}

/* Each consequence once, even if several lines have it. */
static bool is_news(const struct probe_report *report, unsigned int i)
{
	if (!degrades(&report->line[i]))
		return false;
	for (unsigned int j = 0; j < i; j++)
		if (degrades(&report->line[j]) &&
		    !strcmp(report->line[j].consequence, report->line[i].consequence))
			return false;
	return true;
}

static void list_degraded(const struct probe_report *report, char *buffer, size_t size)
{
	size_t used = 0;

	buffer[0] = '\0';
	for (unsigned int i = 0; i < report->count && used < size; i++)
		if (is_news(report, i))
			used += (size_t)snprintf(buffer + used, size - used, "%s%s",
						 used ? "; " : "", report->line[i].consequence);
}

/* Wrapped under its first word; prints nothing if there is no text. */
static void print_ending(FILE *out, const char *title, const char *text,
			 const struct columns *columns)
{
	char clean[4096];
	unsigned int at = (unsigned int)strlen(title) + 2;

	if (!*text)
		return;
	escape_text(clean, sizeof(clean) - 1, text, strlen(text));
	strcat(clean, ".");
	fprintf(out, "%s: ", title);
	print_words(out, clean, at, at, columns->width);
}

void doctor_print_text(FILE *out, const struct probe_report *report, const struct hostinfo *host,
		       unsigned int width)
{
	struct columns columns = measure(report, width);
	char degraded[2048], name[sizeof(host->host_name) * 4];

	escape_text(name, sizeof(name), host->host_name, strlen(host->host_name));
	fprintf(out, "fdtrace %s on %s, kernel %s, uid %u%s\n", host->version, name, host->kernel,
		geteuid(), in_container() ? " in a container" : "");
	for (unsigned int i = 0; i < report->count; i++)
		print_line(out, &report->line[i], &columns);
	print_ending(out, "Would trace", report->summary, &columns);
	list_degraded(report, degraded, sizeof(degraded));
	if (report->can_trace)
		print_ending(out, "Degraded", degraded, &columns);
	print_ending(out, "To do", report->remedy, &columns);
}

static json_t *string_of(const char *text)
{
	char clean[1024];

	sanitize_utf8(clean, sizeof(clean), text, strlen(text));
	return json_string(clean);
}

/* "io_uring", "pid_namespace": the first column in lower case, other characters as one "_". */
static void doctor_name_of(const char *what, char *name, size_t size)
{
	size_t used = 0;

	for (; *what && used + 1 < size; what++) {
		if (isalnum((unsigned char)*what))
			name[used++] = (char)tolower((unsigned char)*what);
		else if (used && name[used - 1] != '_')
			name[used++] = '_';
	}
	name[used] = '\0';
}

static void set_text(json_t *object, const char *key, const char *text)
{
	if (*text)
		json_object_set_new(object, key, string_of(text));
}

static json_t *line_of(const struct probe_line *line)
{
	char name[sizeof(line->what)];
	json_t *object;

	doctor_name_of(line->what, name, sizeof(name));
	object = json_pack("{s:s, s:s, s:s, s:o}", "name", name, "verdict",
			   verdict_names[line->verdict], "what", line->what, "found",
			   string_of(line->found));
	set_text(object, "consequence", line->consequence);
	set_text(object, "remedy", line->remedy);
	return object;
}

static json_t *degraded_of(const struct probe_report *report)
{
	json_t *list = json_array();

	for (unsigned int i = 0; i < report->count; i++)
		if (is_news(report, i))
			json_array_append_new(list, string_of(report->line[i].consequence));
	return list;
}

int doctor_print_json(FILE *out, const struct probe_report *report, const struct hostinfo *host)
{
	json_t *lines = json_array(), *object;
	char *text;

	for (unsigned int i = 0; i < report->count; i++)
		json_array_append_new(lines, line_of(&report->line[i]));
	object = json_pack("{s:s, s:o, s:o, s:i, s:b, s:b, s:s, s:o, s:o, s:o}", "version",
			   host->version, "host", string_of(host->host_name), "kernel",
			   string_of(host->kernel), "uid", (int)geteuid(), "container",
			   in_container(), "can_trace", report->can_trace, "obstacle",
			   report->obstacle, "summary", string_of(report->summary), "degraded",
			   degraded_of(report), "checks", lines);
	if (object)
		set_text(object, "remedy", report->remedy);
	text = object ? json_dumps(object, JSON_COMPACT) : NULL;
	if (text)
		fprintf(out, "%s\n", text);
	free(text);
	json_decref(object);
	return text ? 0 : -ENOMEM;
}
