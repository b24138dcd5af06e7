// SPDX-License-Identifier: BSD-2-Clause
#include "run/outputs.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "run/evidence.h"
#include "run/output_file.h"
#include "output/format.h"
#include "output/json/json.h"
#include "output/record.h"
#include "util/log.h"
#include "util/redact.h"
#include "util/terminal.h"
#include "util/error.h"

/* One place where results go, in one format. */
struct output {
	struct output_file file;
	const struct output_format *format;
	struct sink *sink;
	enum severity min_severity;
};

struct outputs {
	const struct run_options *options;
	struct output output[OUTPUTS_MAX];
	unsigned int count; /* 1 or more */
	struct output_file recording;
	struct outputs_lines lines; /* all NULL: there are files */
	struct recorder *recorder;
	const struct hostinfo *host;
	struct redaction *redaction;
	struct evidence *evidence; /* opened with the first finding */
	uint64_t evidence_bytes;   /* 0: nothing is stored (any more) */
	bool reader_gone;
	bool lost;
};

#define output_each(outputs, output)                                       \
	for (__typeof__(&(outputs)->output[0]) output = (outputs)->output; \
	     output < (outputs)->output + (outputs)->count; output++)

static int open_output(struct output *output, const struct run_options *options,
		       const struct output_request *request, unsigned int was_closed,
		       struct error *error)
{
	output->format = request->format   ? request->format
			 : options->format ? options->format
					   : &output_format_text;
	if (request->file)
		return output_file_open(&output->file, request->file, 0666, was_closed, error);
	return output_file_standard(&output->file,
				    options->to_stderr ? STDERR_FILENO : STDOUT_FILENO, was_closed,
				    error);
}

static int open_requested(struct outputs *o, unsigned int was_closed, struct error *error)
{
	static const struct output_request standard;
	const struct run_options *options = o->options;
	int err = 0;

	if (!options->output_count) {
		o->count = 1;
		return open_output(&o->output[0], options, &standard, was_closed, error);
	}
	while (!err && o->count < options->output_count) {
		o->output[o->count].file.fd = -1;
		err = open_output(&o->output[o->count], options, &options->output[o->count],
				  was_closed, error);
		o->count++;
	}
	return err;
}

static int same_file(const struct output_file *a, const struct output_file *b, struct error *error)
{
	if (a->fd < 0 || b->fd < 0 || !output_file_same(a, b))
		return 0;
	error_set(error, EINVAL, EXIT_USAGE, "two outputs go to the same file: %s and %s", a->name,
		  b->name);
	return error_explain(error, "what one writes would be mixed with what the other writes",
			     "name a file for each");
}

/* Nothing has been emptied so far: what a wrong command line names is not lost. */
static int check_files(const struct outputs *o, struct error *error)
{
	int err = 0;

	output_each(o, output)
	{
		for (const struct output *other = o->output; !err && other < output; other++)
			err = same_file(&other->file, &output->file, error);
		if (!err)
			err = same_file(&output->file, &o->recording, error);
	}
	return err;
}

static int empty_file(struct output_file *file, struct error *error)
{
	int err = output_file_empty(file);

	if (!err)
		return 0;
	return error_set(error, -err, EXIT_CANNOT, "cannot empty %s: %s", file->name,
			 strerror(-err));
}

static int empty_files(struct outputs *o, struct error *error)
{
	int err = empty_file(&o->recording, error);

	output_each(o, output)
	{
		if (!err)
			err = empty_file(&output->file, error);
	}
	return err;
}

/* A recording holds command lines of other users' processes: for its owner only. */
static int open_files(struct outputs *o, unsigned int was_closed, struct error *error)
{
	int err = open_requested(o, was_closed, error);

	if (!err && o->options->record)
		err = output_file_open(&o->recording, o->options->record, 0600, was_closed, error);
	if (!err)
		err = check_files(o, error);
	return err ? err : empty_files(o, error);
}

static struct outputs *outputs_new(const struct run_options *options)
{
	struct outputs *o = calloc(1, sizeof(*o));

	if (!o)
		return NULL;
	o->options = options;
	o->output[0].file.fd = o->recording.fd = -1;
	return o;
}

int outputs_open(const struct run_options *options, unsigned int was_closed,
		 struct outputs **ret_outputs, struct error *error)
{
	struct outputs *o = outputs_new(options);
	int err;

	if (!o)
		return error_no_memory(error);
	err = open_files(o, was_closed, error);
	if (err) {
		outputs_free(o);
		return err;
	}
	*ret_outputs = o;
	return 0;
}

int outputs_open_lines(const struct run_options *options, const struct outputs_lines *lines,
		       struct outputs **ret_outputs, struct error *error)
{
	struct outputs *o = outputs_new(options);

	if (!o)
		return error_no_memory(error);
	o->lines = *lines;
	o->count = 1;
	o->output[0].format = &output_format_json;
	*ret_outputs = o;
	return 0;
}

static int make_sink(struct outputs *o, struct output *output)
{
	const struct run_options *run = o->options;
	struct sink_options options = {
		.fd = output->file.fd,
		.host = o->host,
		.redaction = o->redaction,
		.min_severity = output->min_severity,
		.fail_on = &run->fail_on,
		.width = terminal_width(output->file.fd, run->width),
		.color = terminal_color(output->file.fd, run->color),
		.ascii = terminal_is_ascii(output->file.fd),
		.verbosity = run->verbosity,
		.quiet = run->quiet,
		.summaries = !run->quiet,
		.full = run->full,
	};

	return output->format->sink_new(&options, &output->sink);
}

static int make_line_sink(struct outputs *o, struct output *output)
{
	struct sink_options options = { .fd = -1,
					.write = o->lines.line,
					.write_ctx = o->lines.ctx,
					.host = o->host,
					.redaction = o->redaction,
					.min_severity = SEVERITY_INFO };

	return output->format->sink_new(&options, &output->sink);
}

static int make_sinks(struct outputs *o)
{
	int err = 0;

	output_each(o, output)
	{
		output->min_severity = o->options->min_severity ?: output->format->min_severity;
		if (!err)
			err = o->lines.line ? make_line_sink(o, output) : make_sink(o, output);
	}
	return err;
}

/* One message for each output that fails; then it is not used any more. */
static void check_output(struct outputs *o, struct output_file *file, int err)
{
	if (!err || file->failed)
		return;
	file->failed = true;
	if (err == -EPIPE) {
		o->reader_gone = true;
		return;
	}
	o->lost = true;
	log_error("cannot write %s: %s%s", file->name, strerror(-err),
		  file == &o->recording ? "; the recording ends here"
					: "; further results are lost");
}

int outputs_begin(struct outputs *o, const struct hostinfo *host, struct error *error)
{
	int err =
		o->redaction ? 0 : redaction_new(COMMAND_LINE_FULL, NULL, 0, &o->redaction, error);

	if (err)
		return err;
	o->host = host;
	err = make_sinks(o);
	if (err)
		return error_no_memory(error);
	if (o->recording.fd < 0)
		return 0;
	err = recorder_new(o->recording.fd, &o->recorder);
	if (err == -ENOMEM)
		return error_no_memory(error);
	check_output(o, &o->recording, err);
	return 0;
}

int outputs_redact(struct outputs *o, enum command_line mode, const char *const *patterns,
		   unsigned int count, struct error *error)
{
	struct redaction *redaction;
	int err = redaction_new(mode, patterns, count, &redaction, error);

	if (err)
		return err;
	if (o->redaction)
		redaction_take(o->redaction, redaction); /* the sinks know the old one */
	else
		o->redaction = redaction;
	return 0;
}

void outputs_record(struct outputs *o, const void *event, size_t size)
{
	if (o->recorder && !o->recording.failed)
		check_output(o, &o->recording, recorder_write(o->recorder, event, size));
}

void outputs_record_flush(struct outputs *o)
{
	if (o->recorder && !o->recording.failed)
		check_output(o, &o->recording, recorder_flush(o->recorder));
}

/* Calls a function of all sinks that have it. */
#define output_call(outputs, function, ...)                                                   \
	output_each(outputs, output) if (!output->file.failed && output->sink->ops->function) \
		check_output(outputs, &output->file,                                          \
			     output->sink->ops->function(output->sink, __VA_ARGS__))

void outputs_state(struct outputs *o, enum run_state state, uint64_t time_ns)
{
	output_call(o, state, state, time_ns);
}

void outputs_coverage(struct outputs *o, const struct coverage_change *change)
{
	output_call(o, coverage, change);
}

void outputs_keep(struct outputs *o, uint64_t max_bytes)
{
	o->evidence_bytes = geteuid() == 0 ? max_bytes : 0;
}

static void stop_keeping(struct outputs *o, const char *why)
{
	if (o->options->verbosity)
		log_info("not storing findings for fdtrace explain: %s", why);
	o->evidence_bytes = 0;
}

static int open_run_evidence(struct outputs *o)
{
	struct error error;
	int err;

	if (o->evidence)
		return 0;
	err = evidence_open(evidence_path(), o->evidence_bytes, &o->evidence, &error);
	if (err)
		stop_keeping(o, error.what);
	return err;
}

/* A sink that has built its line anyway shares the work. */
static int evidence_line(struct outputs *o, const struct finding *finding, char **ret_line,
			 size_t *ret_length)
{
	output_each(o, output)
	{
		if (!output->file.failed && output->sink->ops->evidence)
			return output->sink->ops->evidence(output->sink, finding, ret_line,
							   ret_length);
	}
	return json_finding_line(o->host, o->redaction, finding, ret_line, ret_length);
}

/* A finding that is too long is skipped; later ones are stored. */
static int put_evidence(struct outputs *o, const struct finding *finding)
{
	size_t length;
	char *line;
	int err = evidence_line(o, finding, &line, &length);

	if (err)
		return err;
	err = evidence_put(o->evidence, finding->fingerprint, line, length);
	free(line);
	if (err && err != -EFBIG)
		stop_keeping(o, strerror(-err));
	return err;
}

/* To the store of the service that receives the lines. */
static bool give_full(struct outputs *o, const struct finding *finding)
{
	size_t length;
	char *line;
	int err = evidence_line(o, finding, &line, &length);

	if (err)
		return false;
	err = o->lines.full(o->lines.ctx, line, length, finding);
	free(line);
	return !err;
}

/* What fails the run is always shown. */
static bool outputs_shows(const struct outputs *o, const struct finding *finding)
{
	if (fail_on_matches(&o->options->fail_on, finding->rule, finding->severity))
		return true;
	output_each(o, output)
	{
		if (!output->file.failed && finding->severity >= output->min_severity)
			return true;
	}
	return false;
}

static bool keep_finding(struct outputs *o, const struct finding *finding)
{
	return o->evidence_bytes && outputs_shows(o, finding) && !open_run_evidence(o) &&
	       !put_evidence(o, finding);
}

static bool all_failed(const struct outputs *o)
{
	output_each(o, output)
	{
		if (!output->file.failed)
			return false;
	}
	return true;
}

void outputs_finding(struct outputs *o, const struct finding *finding)
{
	bool kept;

	if (all_failed(o))
		return;
	kept = o->lines.full ? give_full(o, finding) : keep_finding(o, finding);
	output_each(o, output) output->sink->kept = kept;
	if (!finding->joined)
		output_call(o, finding, finding);
}

void outputs_withheld(struct outputs *o, const struct withheld *withheld)
{
	output_call(o, withheld, withheld);
}

void outputs_change(struct outputs *o, const struct change *change)
{
	output_call(o, change, change);
}

void outputs_summary(struct outputs *o, const struct summary *summary)
{
	output_call(o, summary, summary);
}

void outputs_inventory(struct outputs *o, const struct summary *summary)
{
	output_call(o, inventory, summary);
}

unsigned int outputs_count(const struct outputs *o)
{
	return o->count;
}

int outputs_poll_fd(const struct outputs *o, unsigned int n)
{
	return o->output[n].file.fd;
}

void outputs_check_readers(struct outputs *o)
{
	output_each(o, output)
	{
		struct pollfd reader = { .fd = output->file.fd };

		if (poll(&reader, 1, 0) > 0 && reader.revents & (POLLERR | POLLHUP))
			check_output(o, &output->file, -EPIPE);
	}
}

/* A recording of what nobody reads any more is no reason to go on. */
bool outputs_alive(const struct outputs *o)
{
	bool recording = o->recording.fd >= 0 && !o->recording.failed;

	return !all_failed(o) || (recording && !o->reader_gone);
}

bool outputs_lost(const struct outputs *o)
{
	return o->lost;
}

static void close_sink(struct outputs *o, struct output *output)
{
	sink_free(output->sink);
	output->sink = NULL;
	check_output(o, &output->file, output_file_close(&output->file));
}

void outputs_close(struct outputs *o)
{
	int err = recorder_free(o->recorder);

	o->recorder = NULL;
	if (err)
		check_output(o, &o->recording, err);
	output_each(o, output) close_sink(o, output);
	check_output(o, &o->recording, output_file_close(&o->recording));
	evidence_free(o->evidence);
	o->evidence = NULL;
	redaction_free(o->redaction);
	o->redaction = NULL;
}

void outputs_free(struct outputs *o)
{
	if (!o)
		return;
	outputs_close(o);
	free(o);
}
