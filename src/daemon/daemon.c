// SPDX-License-Identifier: BSD-2-Clause
#include "daemon/daemon.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "daemon/lines.h"
#include "daemon/lock.h"
#include "daemon/place.h"
#include "daemon/publish.h"
#include "daemon/reported.h"
#include "detect/detectors.h"
#include "output/format.h"
#include "run/coverage.h"
#include "run/outputs.h"
#include "run/signals.h"
#include "run/suppress.h"
#include "source/live/cost.h"
#include "source/doctor/privilege.h"
#include "source/source.h"
#include "util/log.h"
#include "util/notify.h"
#include "util/error.h"

#define TICK_NS SEC_NS
#define SAVE_NS (60 * SEC_NS)
#define STATUS_NS (10 * SEC_NS)

struct daemon {
	const struct daemon_options *options;
	struct config *config;  /* the last one that was valid */
	struct config *started; /* as of the start: what needs a restart still follows it */
	struct suppression_list *suppressions;
	struct lines lines;
	struct signals signals;
	struct source *source;
	struct outputs *outputs;
	struct engine *engine;                  /* the session's */
	const struct coverage_keeper *coverage; /* the same */
	struct publisher publisher;
	struct run_options run;
	struct session_service service;
	struct session_config session;
	uint64_t tick_ns, save_ns, status_ns, watchdog_ns; /* not before */
	uint64_t watchdog_every_ns;                        /* 0: no watchdog */
	int lock_fd;
	uint64_t saved;   /* lines.findings at the last save */
	bool save_failed; /* and reported */
};

/* --- the configuration --- */

static int read_config(const struct daemon_options *options, struct config **ret_config,
		       struct error *error)
{
	const char *path = options->config_path ? options->config_path : CONFIG_PATH;
	int err = config_load(path, ret_config, error);

	if (err != -ENOENT || options->config_path)
		return err;
	if (config_default(ret_config))
		return error_no_memory(error);
	return 0;
}

static void apply_command_line(const struct daemon_options *options, struct config *config)
{
	overrides_apply(&options->run->overrides, &config->settings, &config->rules);
	if (options->hooks != HOOKS_AUTO)
		config->hooks = options->hooks;
	if (options->stacks != STACKS_AUTO)
		config->stacks = options->stacks;
}

static int daemon_load(const struct daemon_options *options, struct config **ret_config,
		       struct suppression_list **ret_suppressions, struct error *error)
{
	int err = read_config(options, ret_config, error);

	if (err)
		return err;
	apply_command_line(options, *ret_config);
	err = suppress_read((*ret_config)->suppress, (*ret_config)->suppress_count,
			    ret_suppressions, error);
	if (err) {
		config_free(*ret_config);
		*ret_config = NULL;
	}
	return err;
}

static const char *config_name(const struct config *config)
{
	return config->path[0] ? config->path : "the built-in configuration";
}

int daemon_check_config(const struct daemon_options *options)
{
	struct suppression_list *suppressions = NULL;
	struct config *config = NULL;
	struct error error;

	if (daemon_load(options, &config, &suppressions, &error)) {
		error_print(&error);
		return error.status;
	}
	printf("%s: ok\n", config_name(config));
	suppress_free(suppressions);
	config_free(config);
	return EXIT_OK;
}

/* --- reloading --- */

static void warn_restart(void *ctx, const char *what)
{
	log_warn("%s: %s changed; restart fdtrace to apply it", config_name(ctx), what);
}

/* Compared with the start, so that each reload names whatever still waits for a restart. */
static void warn_of_what_waits(const struct daemon *d, struct config *next)
{
	const struct config *was = d->started;
	char ids[320] = "the rule ";
	rule_set unserved = next->rules & ~detectors_served(detectors_needs(was->rules));

	config_each_restart(was, next, warn_restart, next);
	if (!unserved)
		return;
	rule_set_format(unserved, ids + 9, sizeof(ids) - 9);
	warn_restart(next, ids);
}

static void daemon_apply(struct daemon *d, struct config *config,
			 struct suppression_list *suppressions)
{
	if (d->config != d->started)
		config_free(d->config);
	suppress_free(d->suppressions);
	d->config = config;
	d->suppressions = suppressions;
	d->session.suppressions = suppressions;
	d->service.settings = &config->settings;
	d->service.rules = config->rules;
	d->run.interval_ns = config->summary_interval_ns;
}

static int redact(struct daemon *d, const struct config *config, struct error *error)
{
	return outputs_redact(d->outputs, config->command_line, config->redact,
			      config->redact_count, error);
}

static bool reload(struct daemon *d)
{
	struct suppression_list *suppressions = NULL;
	struct config *next = NULL;
	struct error error;
	int err = daemon_load(d->options, &next, &suppressions, &error);

	if (!err)
		err = lines_apply(&d->lines, next, clock_monotonic_ns(), &error);
	if (!err)
		err = redact(d, next, &error);
	if (err) {
		error_print(&error);
		log_warn("keeping the previous configuration");
		suppress_free(suppressions);
		config_free(next);
		return false;
	}
	warn_of_what_waits(d, next);
	daemon_apply(d, next, suppressions);
	log_info("%s: reloaded", config_name(next));
	return true;
}

static bool on_reload(void *ctx)
{
	bool done;

	notify("RELOADING=1\nMONOTONIC_USEC=%" PRIu64, clock_monotonic_ns() / 1000);
	done = reload(ctx);
	notify("READY=1\nSTATUS=%s",
	       done ? "configuration reloaded"
		    : "the new configuration is invalid; keeping the previous one");
	return done;
}

/* --- whose findings --- */

static bool on_wanted(void *ctx, const char *cgroup)
{
	const struct daemon *d = ctx;

	return place_wanted(d->config, cgroup);
}

/* --- what was reported --- */

static void on_engine(void *ctx, struct engine *engine)
{
	struct daemon *d = ctx;
	const char *path = d->config->state_path;
	int count;

	d->engine = engine;
	if (!path)
		return;
	count = reported_load(path, engine);
	if (count > 0)
		log_info("%d finding%s already been reported", count,
			 count == 1 ? " has" : "s have");
	else if (count < 0 && count != -ENOENT)
		log_warn("%s: cannot be read (%s): findings may be reported again", path,
			 strerror(-count));
}

static void save_now(struct daemon *d)
{
	const char *path = d->config->state_path;
	int err;

	if (!path || !d->engine)
		return;
	err = reported_save(path, d->engine);
	if (err && !d->save_failed)
		log_warn("%s: cannot be written: %s; findings will be reported again after a "
			 "restart",
			 path, strerror(-err));
	if (!err && d->save_failed)
		log_info("%s: writable again", path);
	d->save_failed = err;
	if (!err)
		d->saved = d->lines.findings;
}

/* Without news the minute does not start, so the next finding is saved within a second. */
static void save(struct daemon *d)
{
	if (d->saved == d->lines.findings)
		d->save_ns = 0;
	else
		save_now(d);
}

/* --- time --- */

static void tell_status(const struct daemon *d)
{
	struct engine_counters c;

	if (!d->engine)
		return;
	engine_counters(d->engine, &c);
	notify("STATUS=%" PRIu64 " tables, %" PRIu64 " descriptors; causes found: %" PRIu64
	       " errors, %" PRIu64 " warnings",
	       c.tables, c.descriptors, c.findings[SEVERITY_ERROR], c.findings[SEVERITY_WARNING]);
}

static void publish(struct daemon *d, uint64_t now)
{
	char words[32] = "";
	struct bpf_cost cost;
	struct publish_sources sources = { .config = d->config,
					   .engine = d->engine,
					   .coverage = d->coverage,
					   .cost = &cost,
					   .lines = &d->lines,
					   .coverage_words = source_facts(d->source).coverage };

	if (!d->engine || !publisher_is_due(&d->publisher, d->config, now))
		return;
	d->source->ops->cost(d->source, now, &cost);
	if (d->coverage) {
		coverage_words(d->coverage, words, sizeof(words));
		sources.coverage_words = words;
	}
	publisher_publish(&d->publisher, &sources, now);
}

static bool is_due(uint64_t *due_ns, uint64_t now, uint64_t every_ns)
{
	if (now < *due_ns)
		return false;
	*due_ns = now + every_ns;
	return true;
}

static void on_turn(void *ctx, uint64_t now)
{
	struct daemon *d = ctx;

	if (d->watchdog_every_ns && is_due(&d->watchdog_ns, now, d->watchdog_every_ns))
		notify("WATCHDOG=1");
	if (!is_due(&d->tick_ns, now, TICK_NS))
		return;
	lines_tick(&d->lines, now);
	publish(d, now);
	if (is_due(&d->save_ns, now, SAVE_NS))
		save(d);
	if (is_due(&d->status_ns, now, STATUS_NS))
		tell_status(d);
}

static void on_coverage(void *ctx, const struct coverage_keeper *keeper)
{
	struct daemon *d = ctx;

	d->coverage = keeper;
}

static void on_ready(void *ctx)
{
	struct daemon *d = ctx;

	d->status_ns = clock_monotonic_ns() + STATUS_NS;
	notify("READY=1\nSTATUS=the whole machine is traced");
	log_info("the whole machine is traced");
}

static void on_ending(void *ctx)
{
	(void)ctx;
	notify("STOPPING=1");
}

static void on_ended(void *ctx)
{
	struct daemon *d = ctx;

	save_now(d);
	d->engine = NULL;
	d->coverage = NULL;
}

/* --- beginning and end --- */

static void prepare(struct daemon *d)
{
	d->run = (struct run_options){ .format = &output_format_json,
				       .quiet = d->options->run->quiet,
				       .verbosity = d->options->run->verbosity,
				       .interval_ns = d->config->summary_interval_ns };
	d->service = (struct session_service){ .ctx = d,
					       .wanted = on_wanted,
					       .settings = &d->config->settings,
					       .rules = d->config->rules,
					       .engine = on_engine,
					       .coverage = on_coverage,
					       .ready = on_ready,
					       .turn = on_turn,
					       .reload = on_reload,
					       .ending = on_ending,
					       .ended = on_ended };
	d->session = (struct session_config){ .options = &d->run,
					      .mode = ENGINE_ALL,
					      .signals = &d->signals,
					      .suppressions = d->suppressions,
					      .service = &d->service };
	d->started = d->config;
	d->watchdog_every_ns = notify_watchdog_ns() / 2;
}

/* SIGHUP reloads, even if fdtrace was started with it ignored. */
static int begin_signals(struct daemon *d, struct error *error)
{
	int err;

	signal(SIGHUP, SIG_DFL);
	signal(SIGXFSZ, SIG_IGN);
	err = signals_init(&d->signals, false);
	if (!err)
		return 0;
	error_set(error, -err, EXIT_INTERNAL, "cannot read signals");
	return error_explain(error, strerror(-err), NULL);
}

static int open_outputs(struct daemon *d, struct error *error)
{
	struct outputs_lines lines = { .ctx = &d->lines,
				       .line = lines_put,
				       .full = d->config->evidence_path ? lines_keep : NULL };

	d->session.outputs = NULL;
	return outputs_open_lines(&d->run, &lines, &d->outputs, error);
}

static int begin(struct daemon *d, struct error *error)
{
	int err = begin_signals(d, error);

	if (!err)
		err = daemon_load(d->options, &d->config, &d->suppressions, error);
	if (!err)
		err = lock_take(&d->lock_fd, error);
	if (err)
		return err;
	prepare(d);
	err = open_outputs(d, error);
	if (!err)
		err = redact(d, d->config, error);
	if (!err)
		err = publisher_begin(&d->publisher, d->config, error);
	if (!err)
		err = d->options->open_kernel(d->config, &d->source, error);
	if (err)
		return err;
	privilege_drop(false);
	err = publisher_run(&d->publisher, error);
	if (err)
		return err;
	d->session.source = d->source;
	d->session.outputs = d->outputs;
	return lines_apply(&d->lines, d->config, clock_monotonic_ns(), error);
}

static void done(struct daemon *d)
{
	publisher_done(&d->publisher);
	source_free(d->source);
	outputs_free(d->outputs);
	lines_done(&d->lines);
	signals_done(&d->signals);
	suppress_free(d->suppressions);
	if (d->config != d->started)
		config_free(d->config);
	config_free(d->started);
	if (d->lock_fd >= 0)
		close(d->lock_fd);
}

int daemon_run(const struct daemon_options *options)
{
	struct daemon d = { .options = options, .signals.fd = -1, .lock_fd = -1 };
	struct session_result result;
	struct error error;
	int err = begin(&d, &error);

	if (!err)
		err = session_run(&d.session, &result, &error);
	if (err) {
		error_print(&error);
		notify("STATUS=%.200s", error.what);
	}
	done(&d);
	return err ? error.status : EXIT_OK;
}
