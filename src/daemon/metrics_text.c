// SPDX-License-Identifier: BSD-2-Clause
/*
 * The text format 0.0.4 of Prometheus: "# HELP", "# TYPE", then the samples of the family. One
 * byte that is not UTF-8, or a series that appears twice, and the whole target counts as down.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/metrics.h"
#include "util/escape.h"

#define COUNTER "counter"
#define GAUGE "gauge"

static void put_family_head(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* Made safe and cut; doing it twice changes nothing. */
struct label {
	char text[METRICS_LABEL_BYTES + 1];
};

static struct label label_of(const char *text)
{
	struct label label;

	text = text ? text : "";
	escape_text(label.text, sizeof(label.text), text, strlen(text));
	return label;
}

static bool same_label(const char *a, const char *b)
{
	struct label x = label_of(a), y = label_of(b);

	return strcmp(x.text, y.text) == 0;
}

/* name="value" */
static void put_metric_label(FILE *out, const char *name, const char *text)
{
	struct label label = label_of(text);

	fprintf(out, "%s=\"", name);
	for (const char *c = label.text; *c; c++) {
		if (*c == '\\' || *c == '"')
			fputc('\\', out);
		fputc(*c, out);
	}
	fputc('"', out);
}

/* Go parses "NaN" and "+Inf", but not every spelling that printf uses. */
static void put_double(FILE *out, double value)
{
	if (isnan(value))
		fputs(" NaN\n", out);
	else if (isinf(value))
		fputs(value > 0 ? " +Inf\n" : " -Inf\n", out);
	else
		fprintf(out, " %.15g\n", value);
}

static void put_count(FILE *out, uint64_t value)
{
	fprintf(out, " %" PRIu64 "\n", value);
}

static void put_number_metric(FILE *out, const char *name, const char *type, const char *help,
			      uint64_t value)
{
	put_family_head(out, name, type, help);
	fputs(name, out);
	put_count(out, value);
}

static void put_real_metric(FILE *out, const char *name, const char *type, const char *help,
			    double value)
{
	put_family_head(out, name, type, help);
	fputs(name, out);
	put_double(out, value);
}

static void with_label(FILE *out, const char *name, const char *label, const char *text)
{
	fprintf(out, "%s{", name);
	put_metric_label(out, label, text);
	fputc('}', out);
}

static void put_build(FILE *out, const struct metrics *m)
{
	put_family_head(out, "fdtrace_build_info", GAUGE,
			"Always 1; the label is fdtrace's version.");
	with_label(out, "fdtrace_build_info", "version", m->version);
	put_count(out, 1);
}

/* Every pair from the start: to Prometheus, a counter that appears at 1 has never increased. */
static void put_finding_metrics(FILE *out, const struct engine_counters *c)
{
	static const char name[] = "fdtrace_findings_total";

	put_family_head(
		out, name, COUNTER,
		"Findings by rule and severity, each time one was found, reported or not; without "
		"suppressed ones.");
	for (unsigned int rule = 0; rule < RULE_COUNT; rule++)
		for (unsigned int severity = SEVERITY_INFO; severity <= SEVERITY_ERROR; severity++)
			fprintf(out, "%s{rule=\"%s\",severity=\"%s\"} %" PRIu64 "\n", name,
				rule_info(rule)->id, severity_name(severity),
				c->by_rule[rule].reported[severity]);
	put_number_metric(out, "fdtrace_findings_suppressed_total", COUNTER,
			  "How many times a suppression matched something that was found.",
			  c->times_suppressed);
}

static void put_events(FILE *out, const struct metrics *m)
{
	static const char name[] = "fdtrace_events_total";

	put_family_head(
		out, name, COUNTER,
		"Changes of descriptor tables seen, by what was done; op=\"error\": runs of failed "
		"calls.");
	for (unsigned int op = CHANGE_OPEN; op < CHANGE_FOUND; op++) {
		with_label(out, name, "op", change_op_name(op));
		put_count(out, m->counters.changes[op]);
	}
	put_number_metric(
		out, "fdtrace_events_lost_total", COUNTER,
		"Events dropped because the ring was full; the tables are then read again.",
		m->counters.lost);
	put_number_metric(out, "fdtrace_resyncs_total", COUNTER,
			  "How many times all tables were read again because events had been lost.",
			  m->resyncs);
	put_number_metric(out, "fdtrace_table_corrections_total", COUNTER,
			  "Slots of descriptor tables found to differ from what was known when the "
			  "tables were "
			  "read.",
			  m->counters.corrections -
				  m->counters.corrections_by[CORRECTION_AFTER_LOSS]);
	put_real_metric(out, "fdtrace_last_event_timestamp_seconds", GAUGE,
			"When the latest event was seen, in seconds since 1970.", m->last_event_s);
}

static void put_tracked(FILE *out, const struct engine_counters *c)
{
	put_number_metric(out, "fdtrace_tracked_processes", GAUGE,
			  "Processes whose descriptors are known now.", c->processes);
	put_number_metric(out, "fdtrace_tracked_descriptors", GAUGE, "Open descriptors known now.",
			  c->descriptors);
}

static void put_program_metrics(FILE *out, const struct metrics *m, unsigned int programs)
{
	static const char name[] = "fdtrace_bpf_run_seconds_total";

	if (programs)
		put_family_head(out, name, COUNTER, "Time spent in a BPF program, on all CPUs.");
	for (unsigned int i = 0; i < programs; i++) {
		double seconds = 0;
		unsigned int first = i;

		for (unsigned int j = programs; j-- > 0;)
			if (same_label(m->programs[i].name, m->programs[j].name)) {
				seconds += m->programs[j].seconds;
				first = j;
			}
		if (first < i)
			continue;
		with_label(out, name, "program", m->programs[i].name);
		put_double(out, seconds);
	}
}

static void put_cost(FILE *out, const struct metrics *m)
{
	static const char name[] = "fdtrace_coverage";

	put_family_head(
		out, name, GAUGE,
		"Share of the last minutes in which the hooks were on, 0 to 1; below 1 there are "
		"gaps.");
	with_label(out, name, "hook", m->coverage);
	put_double(out, m->coverage_ratio);
	put_real_metric(out, "fdtrace_overhead_ratio", GAUGE,
			"Measured cost of tracing, fdtrace itself included, of the CPU time of the "
			"machine.",
			m->overhead_ratio);
	put_program_metrics(
		out, m, m->program_count < METRICS_PROGRAMS ? m->program_count : METRICS_PROGRAMS);
}

/* The largest of those with the same labels, at the place of the first; negative: not the first. */
static double largest_usage(const struct metrics *m, unsigned int index, unsigned int usages)
{
	double ratio = m->usages[index].ratio;

	for (unsigned int i = 0; i < usages; i++) {
		if (i == index || !same_label(m->usages[i].exe, m->usages[index].exe) ||
		    !same_label(m->usages[i].unit, m->usages[index].unit))
			continue;
		if (i < index)
			return -1;
		ratio = m->usages[i].ratio > ratio ? m->usages[i].ratio : ratio;
	}
	return ratio;
}

static void put_usages(FILE *out, const struct metrics *m, unsigned int usages)
{
	static const char name[] = "fdtrace_limit_used_ratio";

	put_real_metric(
		out, "fdtrace_limit_used_ratio_max", GAUGE,
		"Open descriptors of the fullest table divided by its RLIMIT_NOFILE, 0 to 1.",
		m->limit_used_max);
	if (usages)
		put_family_head(
			out, name, GAUGE,
			"The same for the fullest tables, by program and unit; the largest of "
			"each.");
	for (unsigned int i = 0; i < usages; i++) {
		double ratio = largest_usage(m, i, usages);

		if (ratio < 0)
			continue;
		fprintf(out, "%s{", name);
		put_metric_label(out, "exe", m->usages[i].exe);
		fputc(',', out);
		put_metric_label(out, "unit", m->usages[i].unit);
		fputc('}', out);
		put_double(out, ratio);
	}
}

static void put_channel_family(FILE *out, const struct metrics *m, unsigned int channels,
			       const char *name, bool dropped, const char *help)
{
	if (channels)
		put_family_head(out, name, COUNTER, help);
	for (unsigned int i = 0; i < channels; i++) {
		unsigned int first = i;
		uint64_t lines = 0;

		for (unsigned int j = channels; j-- > 0;)
			if (same_label(m->channels[i].name, m->channels[j].name)) {
				lines += dropped ? m->channels[j].dropped : m->channels[j].sent;
				first = j;
			}
		if (first < i)
			continue;
		with_label(out, name, "output", m->channels[i].name);
		put_count(out, lines);
	}
}

static void put_channel_metrics(FILE *out, const struct metrics *m)
{
	unsigned int channels =
		m->channel_count < METRICS_CHANNELS ? m->channel_count : METRICS_CHANNELS;

	put_channel_family(out, m, channels, "fdtrace_output_lines_total", false,
			   "Lines handed to an output.");
	put_channel_family(out, m, channels, "fdtrace_output_lines_dropped_total", true,
			   "Lines an output could not take in time.");
}

static void put_process_metric(FILE *out, const char *name, const char *type, const char *help,
			       double value)
{
	if (value >= 0)
		put_real_metric(out, name, type, help, value);
}

static void put_process(FILE *out)
{
	struct metrics_process p;

	metrics_process(&p);
	put_process_metric(out, "process_cpu_seconds_total", COUNTER,
			   "User and system CPU time of fdtrace itself.", p.cpu_s);
	put_process_metric(out, "process_resident_memory_bytes", GAUGE,
			   "Resident memory of fdtrace itself.", p.resident_bytes);
	put_process_metric(out, "process_open_fds", GAUGE, "Open descriptors of fdtrace itself.",
			   p.open_fds);
	put_process_metric(out, "process_max_fds", GAUGE, "Its limit on open descriptors.",
			   p.max_fds);
	put_process_metric(out, "process_start_time_seconds", GAUGE,
			   "When it was started, in seconds since 1970.", p.start_s);
}

static void put_all(FILE *out, const struct metrics *m)
{
	put_build(out, m);
	put_finding_metrics(out, &m->counters);
	put_events(out, m);
	put_tracked(out, &m->counters);
	put_cost(out, m);
	put_usages(out, m, m->usage_count < METRICS_USAGES ? m->usage_count : METRICS_USAGES);
	put_channel_metrics(out, m);
}

char *metrics_text(const struct metrics *metrics, size_t *ret_length, size_t *ret_textfile_length)
{
	char *text = NULL;
	size_t length = 0, textfile_length;
	FILE *out = open_memstream(&text, &length);
	bool failed;

	if (!out)
		return NULL;
	put_all(out, metrics);
	fflush(out);
	textfile_length = length;
	put_process(out);
	failed = ferror(out);
	if (fclose(out) || failed) {
		free(text);
		return NULL;
	}
	*ret_length = length;
	*ret_textfile_length = textfile_length;
	return text;
}
