// SPDX-License-Identifier: BSD-2-Clause
#include "run/outputs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "run/evidence.h"
#include "output/format.h"
#include "output/json/json.h"
#include "output/record.h"
#include "util/escape.h"
#include "util/log.h"
#include "util/redact.h"
#include "util/error.h"

#define NAME_SIZE 128

struct file {
	int fd;               /* -1: none */
	char name[NAME_SIZE]; /* safe to print */
	bool failed;
};

struct outputs {
	const struct run_options *options;
	struct file data, recording;
	struct outputs_lines lines; /* all NULL: data is a file */
	const struct output_format *format;
	struct sink *sink;
	struct recorder *recorder;
	const struct hostinfo *host;
	struct redaction *redaction;
	struct evidence *evidence; /* opened with the first finding */
	uint64_t evidence_bytes;   /* 0: nothing is stored (any more) */
	enum severity min_severity;
	bool reader_gone;
	bool lost;
};

static int open_stdout(struct file *file, unsigned int was_closed, struct error *error)
{
	snprintf(file->name, sizeof(file->name), "standard output");
	file->fd = STDOUT_FILENO;
	if (!(was_closed & 1u << STDOUT_FILENO))
		return 0;
	error_set(error, EBADF, EXIT_USAGE, "cannot write the results to standard output");
	return error_explain(error, "fdtrace was started with its standard output closed",
			     "name a file with -o FILE");
}

static int open_file(struct file *file, const char *path, mode_t mode, unsigned int was_closed,
		     struct error *error)
{
	if (!path || strcmp(path, "-") == 0)
		return open_stdout(file, was_closed, error);
	escape_text(file->name, sizeof(file->name), path, strlen(path));
	file->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, mode);
	if (file->fd >= 0)
		return 0;
	return error_set(error, errno, EXIT_CANNOT, "cannot write %s: %s", file->name,
			 strerror(errno));
}

/* A recording holds command lines of other users' processes: for its owner only. */
static int open_files(struct outputs *o, unsigned int was_closed, struct error *error)
{
	int err = open_file(&o->data, o->options->output, 0666, was_closed, error);

	if (!err && o->options->record)
		err = open_file(&o->recording, o->options->record, 0600, was_closed, error);
	return err;
}

int outputs_open(const struct run_options *options, unsigned int was_closed,
		 struct outputs **ret_outputs, struct error *error)
{
	struct outputs *o = calloc(1, sizeof(*o));
	int err;

	if (!o)
		return error_no_memory(error);
	o->options = options;
	o->data.fd = o->recording.fd = -1;
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
	struct outputs *o = calloc(1, sizeof(*o));

	if (!o)
		return error_no_memory(error);
	o->options = options;
	o->lines = *lines;
	o->data.fd = o->recording.fd = -1;
	*ret_outputs = o;
	return 0;
}

static unsigned int terminal_width(int fd)
{
	struct winsize size;

	if (!isatty(fd))
		return 0;
	return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 80;
}

static bool wants_color(int fd)
{
	const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");

	return isatty(fd) && !(no_color && *no_color) && term && strcmp(term, "dumb") != 0;
}

static int make_sink(struct outputs *o, const struct hostinfo *host)
{
	const struct run_options *run = o->options;
	struct sink_options options = {
		.fd = o->data.fd,
		.host = host,
		.redaction = o->redaction,
		.min_severity = o->min_severity,
		.width = terminal_width(o->data.fd),
		.color = wants_color(o->data.fd),
		.verbosity = run->verbosity,
		.quiet = run->quiet,
		.summaries = !run->quiet,
		.full = run->full,
	};

	return o->format->sink_new(&options, &o->sink);
}

static int make_line_sink(struct outputs *o, const struct hostinfo *host)
{
	struct sink_options options = { .fd = -1,
					.write = o->lines.line,
					.write_ctx = o->lines.ctx,
					.host = host,
					.redaction = o->redaction,
					.min_severity = SEVERITY_INFO };

	return output_format_json.sink_new(&options, &o->sink);
}

/* One message for each output that fails; then it is not used any more. */
static void check_output(struct outputs *o, struct file *file, int err)
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
	const struct run_options *run = o->options;
	int err =
		o->redaction ? 0 : redaction_new(COMMAND_LINE_FULL, NULL, 0, &o->redaction, error);

	if (err)
		return err;
	o->host = host;
	o->format = run->format ? run->format : &output_format_text;
	o->min_severity = run->min_severity ? run->min_severity : o->format->min_severity;
	err = o->lines.line ? make_line_sink(o, host) : make_sink(o, host);
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
		redaction_take(o->redaction, redaction); /* the sink knows the old one */
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

void outputs_state(struct outputs *o, enum run_state state, uint64_t time_ns)
{
	if (!o->data.failed && o->sink->ops->state)
		check_output(o, &o->data, o->sink->ops->state(o->sink, state, time_ns));
}

void outputs_coverage(struct outputs *o, const struct coverage_change *change)
{
	if (!o->data.failed && o->sink->ops->coverage)
		check_output(o, &o->data, o->sink->ops->coverage(o->sink, change));
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

static int evidence_line(struct outputs *o, const struct finding *finding, char **ret_line,
			 size_t *ret_length)
{
	if (o->sink->ops->evidence)
		return o->sink->ops->evidence(o->sink, finding, ret_line, ret_length);
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

static bool keep_finding(struct outputs *o, const struct finding *finding)
{
	return o->evidence_bytes && finding->severity >= o->min_severity && !open_run_evidence(o) &&
	       !put_evidence(o, finding);
}

void outputs_finding(struct outputs *o, const struct finding *finding)
{
	if (o->data.failed)
		return;
	o->sink->kept = o->lines.full ? give_full(o, finding) : keep_finding(o, finding);
	if (finding->joined)
		return;
	check_output(o, &o->data, o->sink->ops->finding(o->sink, finding));
}

void outputs_withheld(struct outputs *o, const struct withheld *withheld)
{
	if (!o->data.failed && o->sink->ops->withheld)
		check_output(o, &o->data, o->sink->ops->withheld(o->sink, withheld));
}

void outputs_change(struct outputs *o, const struct change *change)
{
	if (!o->data.failed && o->sink->ops->change)
		check_output(o, &o->data, o->sink->ops->change(o->sink, change));
}

void outputs_summary(struct outputs *o, const struct summary *summary)
{
	if (!o->data.failed && o->sink->ops->summary)
		check_output(o, &o->data, o->sink->ops->summary(o->sink, summary));
}

void outputs_inventory(struct outputs *o, const struct summary *summary)
{
	if (!o->data.failed && o->sink->ops->inventory)
		check_output(o, &o->data, o->sink->ops->inventory(o->sink, summary));
}

int outputs_poll_fd(const struct outputs *o)
{
	return o->data.fd;
}

void outputs_reader_left(struct outputs *o)
{
	check_output(o, &o->data, -EPIPE);
}

bool outputs_alive(const struct outputs *o)
{
	bool recording = o->recording.fd >= 0 && !o->recording.failed;

	return !o->reader_gone && (!o->data.failed || recording);
}

bool outputs_lost(const struct outputs *o)
{
	return o->lost;
}

/* Some file systems report a full disk only when the file is closed. */
static void close_file(struct outputs *o, struct file *file)
{
	if (file->fd > STDERR_FILENO && close(file->fd) < 0)
		check_output(o, file, -errno);
	file->fd = -1;
}

void outputs_close(struct outputs *o)
{
	int err = recorder_free(o->recorder);

	o->recorder = NULL;
	if (err)
		check_output(o, &o->recording, err);
	sink_free(o->sink);
	o->sink = NULL;
	evidence_free(o->evidence);
	o->evidence = NULL;
	redaction_free(o->redaction);
	o->redaction = NULL;
	close_file(o, &o->recording);
	close_file(o, &o->data);
}

void outputs_free(struct outputs *o)
{
	if (!o)
		return;
	outputs_close(o);
	free(o);
}
