// SPDX-License-Identifier: BSD-2-Clause
/*
 * fdtrace: one function for each command. The only file that ties the kernel's source to a
 * session; everything else can be built and tested without libbpf.
 */
#include <errno.h>
#include <malloc.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/doctor.h"
#include "cli/explain.h"
#include "cli/options.h"
#include "daemon/daemon.h"
#include "detect/detectors.h"
#include "output/format.h"
#include "run/launch.h"
#include "run/outputs.h"
#include "run/session.h"
#include "run/signals.h"
#include "run/suppress.h"
#include "source/doctor/privilege.h"
#include "source/doctor/probe.h"
#include "source/live/bpf.h"
#include "source/replay.h"
#include "util/io.h"
#include "util/log.h"
#include "util/error.h"

#define OWN_DESCRIPTORS 4096 /* most of them for ELF files of traced processes */
#define LARGE_BYTES (64 << 10)

/* was_closed: from stdio_guard(), which of 0, 1 and 2 were closed when we started. */
struct start {
	const struct options *options;
	unsigned int was_closed;
};

/* What a run owns, in order of creation. */
struct run {
	struct suppression_list *suppressions;
	struct outputs *outputs;
	struct signals signals;
	struct launch *launch;
	struct source *source;
	struct session_result result;
	struct error error;
};

/* --error-exitcode comes first, then the run's own status, then output that could not be written. */
static int status_of(const struct start *start, const struct run *run, int own)
{
	unsigned int on_findings = start->options->run.error_exitcode;

	if (run->result.differences)
		return EXIT_DIFFERS;
	if (on_findings && run->result.serious)
		return (int)on_findings;
	return own == EXIT_OK && outputs_lost(run->outputs) ? EXIT_INTERNAL : own;
}

static int begin_run(const struct start *start, struct run *run)
{
	bool with_command = start->options->command != NULL;
	const struct run_options *options = &start->options->run;
	int err = suppress_read(options->suppress, options->suppress_count, &run->suppressions,
				&run->error);

	if (!err)
		err = outputs_open(options, start->was_closed, &run->outputs, &run->error);
	if (err)
		return err;
	err = signals_init(&run->signals, with_command);
	if (err) {
		error_set(&run->error, -err, EXIT_INTERNAL,
			  "cannot set up the handling of signals");
		return error_explain(&run->error, strerror(-err), NULL);
	}
	return 0;
}

/*
 * A user who hunts a shortage of descriptors may start us with a low limit. The command keeps it (it
 * is forked by now), but we need some fifty descriptors for ourselves.
 */
static void raise_own_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= OWN_DESCRIPTORS)
		return;
	limit.rlim_cur = OWN_DESCRIPTORS;
	if (limit.rlim_max < OWN_DESCRIPTORS)
		limit.rlim_max = OWN_DESCRIPTORS;
	if (setrlimit(RLIMIT_NOFILE, &limit) == 0)
		return;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static struct stacking_options stacking_options(const struct options *options,
						const struct settings *settings)
{
	enum stack_mode mode = options->stacks;

	return (struct stacking_options){ .native = mode == STACKS_AUTO || mode == STACKS_NATIVE,
					  .python = mode == STACKS_AUTO || mode == STACKS_PYTHON,
					  .budget_ppm = settings->stacks_budget_ppm,
					  .tables_bytes = settings->stacks_tables_bytes,
					  .command =
						  options->command ? options->command[0] : NULL };
}

/* The daemon always keeps to a budget; -a does if the user has set one. */
static bool keeps_budget(const struct options *options)
{
	return options->all &&
	       overrides_has(&options->run.overrides, offsetof(struct settings, budget_ppm));
}

static int open_kernel(const struct options *options, struct run *run)
{
	struct bpf_source_options bpf = { .pids = options->pids,
					  .pid_count = options->pid_count,
					  .follow = !options->no_follow,
					  .hooks = options->hooks };
	struct settings settings;
	rule_set rules;
	pid_t pid;
	int err;

	if (options->command) {
		err = launch_new(options->command, &run->signals, &run->launch, &run->error);
		if (err)
			return err;
		pid = launch_pid(run->launch);
		bpf.pids = &pid;
		bpf.pid_count = 1;
	}
	raise_own_limit();
	overrides_effective(&options->run.overrides, &settings, &rules);
	bpf.ring_size_bytes = settings.ring_size_bytes;
	bpf.stacks = stacking_options(options, &settings);
	bpf.needs = detectors_needs(rules);
	bpf.cost = keeps_budget(options);
	return bpf_source_open(&bpf, &run->source, &run->error);
}

static int trace(const struct start *start, struct run *run)
{
	const struct options *options = start->options;
	struct session_config config = { .options = &options->run,
					 .outputs = run->outputs,
					 .signals = &run->signals };
	int err = open_kernel(options, run);

	if (err)
		return err;
	privilege_drop(options->command != NULL);
	config.source = run->source;
	config.suppressions = run->suppressions;
	config.launch = run->launch;
	config.mode = options->all ? ENGINE_ALL : options->command ? ENGINE_COMMAND : ENGINE_PID;
	return session_run(&config, &run->result, &run->error);
}

/* A program that does not exist may be a command of fdtrace, misspelt. */
static void suggest_command(const struct options *options, struct error *error)
{
	const char *nearest = options_nearest_command(options->command[0]);

	if (nearest && error->status == EXIT_NOT_FOUND && !error->remedy[0])
		snprintf(error->remedy, sizeof(error->remedy), "did you mean: fdtrace %s?",
			 nearest);
}

/* Reports why a run failed and returns the exit status; a command that never ran has its own. */
static int failed(const struct start *start, struct run *run)
{
	int status = run->error.status;

	if (start->options->command)
		suggest_command(start->options, &run->error);
	error_print(&run->error);
	if (!start->options->command || run->result.command_started)
		return status;
	return status == EXIT_NOT_FOUND || status == EXIT_NOT_EXECUTABLE ? status
									 : EXIT_TRACE_COMMAND;
}

/* Tracing ends and all hooks are removed before we wait for a command that is still running. */
static int mode_trace(const struct start *start)
{
	struct run run = { .signals.fd = -1 };
	int err = begin_run(start, &run), status;

	if (!err)
		err = trace(start, &run);
	source_free(run.source);
	if (run.outputs)
		outputs_close(run.outputs);
	status = err ? failed(start, &run) : EXIT_OK;
	if (run.result.command_started) {
		int own = launch_wait(run.launch, &run.signals);

		status = own ? own : status;
	}
	if (run.outputs && (!err || run.result.command_started))
		status = status_of(start, &run, status);
	launch_free(run.launch);
	signals_done(&run.signals);
	outputs_free(run.outputs);
	suppress_free(run.suppressions);
	return status;
}

/* Opening the output would empty the recording. */
static bool overwrites_recording(const struct options *options)
{
	struct stat output, recording;

	return options->run.output && stat(options->run.output, &output) == 0 &&
	       S_ISREG(output.st_mode) && stat(options->operand, &recording) == 0 &&
	       output.st_ino == recording.st_ino && output.st_dev == recording.st_dev;
}

static int replay(const struct start *start, struct run *run)
{
	const struct options *options = start->options;
	struct session_config config = { .options = &options->run,
					 .replay = true,
					 .signals = &run->signals };
	int err;

	if (strcmp(options->operand, "-") == 0 && start->was_closed & 1u << STDIN_FILENO) {
		error_set(&run->error, EBADF, EXIT_USAGE, "cannot replay standard input");
		return error_explain(&run->error,
				     "fdtrace was started with its standard input closed",
				     "name a file");
	}
	if (overwrites_recording(options)) {
		error_set(&run->error, EINVAL, EXIT_USAGE, "-o names the recording to be replayed");
		return error_explain(&run->error, "opening it for writing would empty it",
				     "choose another file for -o");
	}
	err = replay_source_open(options->operand, &run->source, &run->error);
	if (err)
		return err;
	err = begin_run(start, run);
	if (err)
		return err;
	config.source = run->source;
	config.suppressions = run->suppressions;
	config.outputs = run->outputs;
	return session_run(&config, &run->result, &run->error);
}

static int mode_replay(const struct start *start)
{
	struct run run = { .signals.fd = -1 };
	int err = replay(start, &run), status;

	if (run.source && replay_source_damage(run.source))
		log_warn("the recording %s", replay_source_damage(run.source));
	source_free(run.source);
	if (run.outputs)
		outputs_close(run.outputs);
	status = err ? failed(start, &run) : status_of(start, &run, EXIT_OK);
	signals_done(&run.signals);
	outputs_free(run.outputs);
	suppress_free(run.suppressions);
	return status;
}

static int mode_doctor(const struct start *start)
{
	struct winsize size = { 0 };
	struct probe_report report;
	struct hostinfo host;

	hostinfo_gather(&host);
	memset(&report, 0, sizeof(report));
	probe_machine(&report);
	if (isatty(STDOUT_FILENO))
		ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
	if (start->options->run.format == &output_format_json)
		doctor_print_json(stdout, &report, &host);
	else
		doctor_print_text(stdout, &report, &host, size.ws_col);
	return report.can_trace ? EXIT_OK : EXIT_CANNOT;
}

static int open_for_daemon(const struct config *config, struct source **ret_source,
			   struct error *error)
{
	const struct settings *settings = &config->settings;
	struct bpf_source_options bpf = {
		.follow = true,
		.hooks = config->hooks,
		.cost = true,
		.ring_size_bytes = settings->ring_size_bytes,
		.stacks = { .native = config->stacks == STACKS_AUTO ||
				      config->stacks == STACKS_NATIVE,
			    .python = config->stacks == STACKS_AUTO ||
				      config->stacks == STACKS_PYTHON,
			    .budget_ppm = settings->stacks_budget_ppm,
			    .tables_bytes = settings->stacks_tables_bytes },
	};

	raise_own_limit();
	bpf.needs = detectors_needs(config->rules);
	return bpf_source_open(&bpf, ret_source, error);
}

static struct daemon_options daemon_options(const struct start *start)
{
	const struct options *options = start->options;

	return (struct daemon_options){ .config_path = options->config,
					.run = &options->run,
					.stacks = options->stacks,
					.hooks = options->hooks,
					.open_kernel = open_for_daemon };
}

static int mode_daemon(const struct start *start)
{
	const struct daemon_options options = daemon_options(start);

	return daemon_run(&options);
}

static int mode_check_config(const struct start *start)
{
	const struct daemon_options options = daemon_options(start);

	return daemon_check_config(&options);
}

static int mode_explain(const struct start *start)
{
	struct winsize size = { 0 };
	struct error error;
	bool terminal = isatty(STDOUT_FILENO);
	int err;

	if (terminal)
		ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
	err = explain(STDOUT_FILENO, start->options->operand,
		      start->options->run.format == &output_format_json, size.ws_col,
		      terminal && !getenv("NO_COLOR"), &error);
	if (!err)
		return EXIT_OK;
	error_print(&error);
	return error.status;
}

static int mode_help(const struct start *start)
{
	(void)start;
	options_help(stdout);
	return EXIT_OK;
}

static int mode_version(const struct start *start)
{
	(void)start;
	puts("fdtrace " FDTRACE_VERSION);
	return EXIT_OK;
}

static int mode_list_settings(const struct start *start)
{
	struct settings settings;
	rule_set rules;

	overrides_effective(&start->options->run.overrides, &settings, &rules);
	options_list_settings(stdout, &settings);
	return EXIT_OK;
}

static int mode_list_rules(const struct start *start)
{
	(void)start;
	options_list_rules(stdout);
	return EXIT_OK;
}

static int (*const modes[MODE_COUNT])(const struct start *start) = {
#define COMMAND_FUNCTION(NAME, name, word, operand, groups, usage) [MODE_##NAME] = mode_##name,
	COMMANDS(COMMAND_FUNCTION)
#undef COMMAND_FUNCTION
};

static void set_log_level(const struct options *options)
{
	if (options->run.quiet)
		log_set_level(LOG_WARN);
	else if (options->run.verbosity > 1)
		log_set_level(LOG_DEBUG);
}

/* For commands that print with stdio; a run writes by itself and has reported its own failures. */
static int finish_stdout(int status)
{
	if (fflush(stdout) == 0)
		return status;
	log_error("cannot write standard output: %s", strerror(errno));
	return status == EXIT_OK ? EXIT_INTERNAL : status;
}

/*
 * A service stays small if large blocks go back to the kernel when they are freed: glibc would
 * raise that threshold with the first of them, and give the thread that reads ELF files a heap of
 * its own.
 */
static void keep_memory_small(void)
{
	mallopt(M_ARENA_MAX, 1);
	mallopt(M_MMAP_THRESHOLD, LARGE_BYTES);
	mallopt(M_TRIM_THRESHOLD, LARGE_BYTES);
}

int main(int argc, char **argv)
{
	struct options options;
	struct start start = { .options = &options };
	struct error error;
	int status;

	keep_memory_small();
	if (stdio_guard(&start.was_closed))
		return EXIT_INTERNAL;
	if (options_parse(argc, argv, &options, &error) == 0) {
		set_log_level(&options);
		status = finish_stdout(modes[options.mode](&start));
	} else {
		error_print(&error);
		status = error.status;
	}
	options_done(&options);
	return status;
}
