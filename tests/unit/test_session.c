// SPDX-License-Identifier: BSD-2-Clause
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fdtrace/syscall.h"
#include "output/format.h"
#include "run/launch.h"
#include "run/outputs.h"
#include "run/session.h"
#include "run/signals.h"
#include "source/replay.h"
#include "source/source.h"
#include "util/error.h"

/*
 * A source that plays a script: a process that opens a file of ours and ends with it, then
 * nothing but time. It counts what the session asks of it.
 */
struct script {
	struct source source;
	struct fdt_file file; /* of `fd`, which is open in this very process */
	int fd;
	bool lossy; /* tells a loss with each drain */
	bool fails;
	bool empty; /* finds no process at the start */
	unsigned int drains, starts;
	unsigned int snapshots[FDT_WHY_END + 1];
	unsigned int idle_after; /* drains; 0: never */
	void (*at_drain)(struct script *script);
};

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static struct fdt_head head_of(unsigned int kind, unsigned int op, size_t size)
{
	uint32_t pid = (uint32_t)getpid();

	return (struct fdt_head){ .kind = (__u8)kind,
				  .op = (__u8)op,
				  .size = (__u16)size,
				  .tgid = pid,
				  .tid = pid,
				  .time_ns = now(),
				  .table = 4096 };
}

static int say(source_event_fn event, void *ctx, unsigned int kind, unsigned int op,
	       unsigned int flags)
{
	struct fdt_head head = head_of(kind, op, sizeof(head));

	head.table = 0;
	head.flags = (__u16)flags;
	return event(ctx, &head, sizeof(head));
}

static int script_start(struct source *source, source_event_fn event, void *ctx,
			struct error *error)
{
	struct script *s = (struct script *)source;
	struct fdt_task task = { .head = head_of(FDT_TASK, FDT_OP_SNAPSHOT, sizeof(task)),
				 .comm = "script",
				 .start_ns = 5,
				 .nofile = 1024 };

	(void)error;
	s->starts++;
	say(event, ctx, FDT_SNAPSHOT, FDT_OP_BEGIN, FDT_WHY_START);
	if (!s->empty)
		event(ctx, &task, sizeof(task));
	return say(event, ctx, FDT_SNAPSHOT, FDT_OP_END, FDT_WHY_START);
}

static void tell_slot(const struct script *s, source_event_fn event, void *ctx)
{
	struct fdt_slot slot = { .head = head_of(FDT_SLOT, FDT_OP_OPEN, sizeof(slot)),
				 .fd = s->fd,
				 .file = s->file,
				 .result = s->fd };

	slot.head.syscall = FDT_SYS_open;
	event(ctx, &slot, sizeof(slot));
}

static int script_drain(struct source *source, source_event_fn event, void *ctx,
			struct error *error)
{
	struct script *s = (struct script *)source;
	struct fdt_loss loss = { .head = head_of(FDT_LOSS, 0, sizeof(loss)), .count = 1 };

	if (s->at_drain)
		s->at_drain(s);
	if (s->fails)
		return error_set(error, EIO, EXIT_INTERNAL, "the script fails");
	if (s->drains++ == 0 && !s->empty)
		tell_slot(s, event, ctx);
	if (s->lossy)
		event(ctx, &loss, sizeof(loss));
	return say(event, ctx, FDT_TICK, 0, 0);
}

static int script_snapshot(struct source *source, unsigned int why, source_event_fn event,
			   void *ctx, struct error *error)
{
	struct script *s = (struct script *)source;

	(void)error;
	assert_true(why <= FDT_WHY_END);
	s->snapshots[why]++;
	say(event, ctx, FDT_SNAPSHOT, FDT_OP_BEGIN, why);
	return say(event, ctx, FDT_SNAPSHOT, FDT_OP_END, why);
}

static int script_inspect(struct source *source, uint32_t pid, int32_t fd,
			  struct fdt_detail *ret_detail)
{
	struct script *s = (struct script *)source;

	assert_int_equal(pid, getpid());
	assert_int_equal(fd, s->fd);
	*ret_detail =
		(struct fdt_detail){ .head = { .kind = FDT_DETAIL, .size = sizeof(*ret_detail) },
				     .fd = fd,
				     .file = s->file,
				     .links = 1 };
	return 0;
}

static int script_poll_fd(const struct source *source)
{
	(void)source;
	return -1;
}

static void script_free(struct source *source)
{
	(void)source;
}

static bool script_idle(const struct source *source)
{
	const struct script *s = (const struct script *)source;

	return s->idle_after && s->drains >= s->idle_after;
}

static void script_describe(const struct source *source, struct source_facts *ret_facts)
{
	(void)source;
	*ret_facts = (struct source_facts){ .coverage = "tracepoint" };
}

static const struct source_ops script_ops = {
	.start = script_start,
	.poll_fd = script_poll_fd,
	.drain = script_drain,
	.snapshot = script_snapshot,
	.free = script_free,
	.inspect = script_inspect,
	.describe = script_describe,
	.idle = script_idle,
};

/* --- one test's things --- */

static struct signals signals;
static char directory[] = "/tmp/test_session.XXXXXX";
static char file_path[64], out_path[64], record_path[64];

static struct run_options json_run(void)
{
	return (struct run_options){ .format = &output_format_json,
				     .output = { { .file = out_path } },
				     .output_count = 1 };
}

static struct script script_new(void)
{
	struct script s = { .source = { &script_ops } };
	struct stat st;

	s.fd = open(file_path, O_RDONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(s.fd >= 0 && fstat(s.fd, &st) == 0);
	s.file = (struct fdt_file){ .file = 0xffff8880,
				    .inode = st.st_ino,
				    .mode = (__u16)st.st_mode,
				    .dev = (__u32)(major(st.st_dev) << 20 | minor(st.st_dev)) };
	return s;
}

struct ended {
	int err;
	struct session_result result;
	struct error error;
	bool lost;
};

static struct ended run(struct session_config *config, const struct run_options *options)
{
	struct ended ended = { 0 };
	struct outputs *outputs = NULL;

	assert_int_equal(outputs_open(options, 0, &outputs, &ended.error), 0);
	config->options = options;
	config->outputs = outputs;
	config->signals = &signals;
	ended.err = session_run(config, &ended.result, &ended.error);
	outputs_close(outputs);
	ended.lost = outputs_lost(outputs);
	outputs_free(outputs);
	return ended;
}

static struct ended run_script(struct script *script, const struct run_options *options)
{
	struct session_config config = { .source = &script->source, .mode = ENGINE_PID };
	struct ended ended = run(&config, options);

	close(script->fd);
	return ended;
}

static struct ended run_replay(const struct run_options *options)
{
	struct session_config config = { .replay = true };
	struct error error;
	struct ended ended;

	assert_int_equal(replay_source_open(record_path, &config.source, &error), 0);
	ended = run(&config, options);
	source_free(config.source);
	return ended;
}

/* The whole file, NUL-terminated; free it. */
static char *slurp(const char *path)
{
	char *text = calloc(1, 1 << 20);
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(text && fd >= 0);
	assert_true(read(fd, text, (1 << 20) - 1) >= 0);
	close(fd);
	return text;
}

/* Lines of the data set, in order, one after the other; free them. */
static char *lines_of(const char *path, const char *dataset)
{
	char *text = slurp(path), *kept = calloc(1, 1 << 20), wanted[64];

	snprintf(wanted, sizeof(wanted), "\"dataset\":\"%s\"", dataset);
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		if (strstr(line, wanted))
			strcat(strcat(kept, line), "\n");
	}
	free(text);
	return kept;
}

static unsigned int count_of(const char *text, const char *word)
{
	unsigned int count = 0;

	for (; (text = strstr(text, word)); text += strlen(word))
		count++;
	return count;
}

#define FINAL "\"scope\":\"run\",\"final\":true"
#define INTERIM "\"scope\":\"run\",\"final\":false"

/* --- tests --- */

static void a_replay_prints_the_same(void **state)
{
	struct run_options options = { .format = &output_format_json,
				       .events = true,
				       .output = { { .file = out_path } },
				       .output_count = 1,
				       .record = record_path,
				       .overrides = { .has_rules = true,
						      .rules = 1 << RULE_LEAK_EXIT } };
	struct script script = script_new();
	char *live, *again;

	(void)state;
	script.idle_after = 2;
	assert_int_equal(run_script(&script, &options).err, 0);
	live = lines_of(out_path, "fdtrace.event");
	options.record = NULL;
	options.overrides.has_rules = false;
	assert_int_equal(run_replay(&options).err, 0);
	again = lines_of(out_path, "fdtrace.event");
	assert_non_null(strstr(live, file_path));
	assert_string_equal(live, again);
	free(live);
	free(again);
}

struct order {
	bool engine_events; /* something other than META was seen */
	bool name, slot;
	unsigned int metas;
	char text[4096];
};

static int look(void *ctx, const void *event, size_t size)
{
	struct order *order = ctx;
	const struct fdt_head *head = event;
	const struct fdt_meta *meta = event;

	if (head->kind == FDT_META) {
		assert_false(order->engine_events);
		order->metas++;
		snprintf(order->text + strlen(order->text),
			 sizeof(order->text) - strlen(order->text), "%.*s\n",
			 (int)(size - sizeof(*meta)), meta->text);
		return 0;
	}
	order->engine_events = true;
	if (head->kind == FDT_NAME)
		order->name = true;
	if (head->kind == FDT_SLOT) {
		assert_true(order->name); /* -e asked for it while this event was applied */
		order->slot = true;
	}
	return 0;
}

static void a_recording_begins_with_how_it_was_made(void **state)
{
	struct run_options options = { .output = { { .file = out_path } },
				       .output_count = 1,
				       .record = record_path,
				       .events = true };
	struct script script = script_new();
	struct order order = { 0 };
	struct source *source;
	struct error error;

	(void)state;
	script.idle_after = 1;
	overrides_parse_setting(&options.overrides, "leak.min_age=7s", NULL);
	assert_int_equal(run_script(&script, &options).err, 0);
	assert_int_equal(replay_source_open(record_path, &source, &error), 0);
	while (source->ops->drain(source, look, &order, &error) == 0)
		;
	assert_null(replay_source_damage(source));
	source_free(source);
	assert_true(order.slot);
	assert_non_null(strstr(order.text, "set.leak.min_age=7s\n"));
	assert_non_null(strstr(order.text, "rules=leak.growth,"));
	assert_non_null(strstr(order.text, "mode=pid\n"));
	assert_non_null(strstr(order.text, "coverage=tracepoint\n"));
}

static void the_end_of_the_processes_ends_it(void **state)
{
	struct run_options options = json_run();
	struct script script = script_new();
	char *text;

	(void)state;
	script.idle_after = 3;
	assert_int_equal(run_script(&script, &options).err, 0);
	assert_int_equal(script.snapshots[FDT_WHY_END], 0); /* nobody is left to look at */
	text = slurp(out_path);
	assert_int_equal(count_of(text, FINAL), 1);
	assert_int_equal(count_of(text, "fdtrace.state"), 2);
	free(text);
}

static void a_run_that_attaches_to_nobody_fails(void **state)
{
	struct run_options options = json_run();
	struct script script = script_new();
	struct ended ended;
	char *text;

	(void)state;
	script.empty = true;
	ended = run_script(&script, &options);
	assert_int_equal(ended.err, -ESRCH);
	assert_int_equal(ended.error.status, EXIT_CANNOT);
	assert_int_equal(script.drains, 10);
	assert_non_null(strstr(ended.error.what, "no process given with -p"));
	text = slurp(out_path);
	assert_int_equal(count_of(text, "fdtrace.summary"), 0);
	assert_int_equal(count_of(text, "fdtrace.state"), 2);
	free(text);
	script = script_new();
	script.empty = true;
	script.idle_after = script.drains = 1; /* they have ended meanwhile */
	assert_int_equal(run_script(&script, &options).err, 0);
}

static void duration_and_intervals_are_kept(void **state)
{
	struct run_options options = { .format = &output_format_json,
				       .output = { { .file = out_path } },
				       .output_count = 1,
				       .duration_ns = 250000000,
				       .interval_ns = 100000000 };
	struct script script = script_new();
	uint64_t before = now(), took;
	char *text;

	(void)state;
	assert_int_equal(run_script(&script, &options).err, 0);
	took = now() - before;
	assert_true(took >= 250000000);
	assert_int_equal(script.snapshots[FDT_WHY_END], 1);
	text = slurp(out_path);
	assert_in_range(count_of(text, INTERIM), 1, took / options.interval_ns);
	assert_int_equal(count_of(text, FINAL), 1);
	free(text);
}

static void audits_come_in_time_and_after_losses(void **state)
{
	struct run_options options = { .output = { { .file = out_path } },
				       .output_count = 1,
				       .duration_ns = 300000000 };
	struct script script = script_new();
	uint64_t before = now();

	(void)state;
	overrides_parse_setting(&options.overrides, "audit.interval=50ms", NULL);
	assert_int_equal(run_script(&script, &options).err, 0);
	assert_in_range(script.snapshots[FDT_WHY_AUDIT], 1, (now() - before) / 50000000);
	assert_int_equal(script.snapshots[FDT_WHY_LOSS], 0);
	options.overrides = (struct overrides){ 0 };
	script = script_new();
	script.lossy = true;
	assert_int_equal(run_script(&script, &options).err, 0);
	assert_int_equal(script.snapshots[FDT_WHY_LOSS],
			 1); /* one in a second, however many losses */
}

static void send_interrupt(struct script *script)
{
	if (script->drains == 2)
		kill(getpid(), SIGINT);
}

static void a_signal_ends_it_with_the_summary(void **state)
{
	struct run_options options = json_run();
	struct script script = script_new();
	char *text;

	(void)state;
	script.at_drain = send_interrupt;
	assert_int_equal(run_script(&script, &options).err, 0);
	text = slurp(out_path);
	assert_int_equal(count_of(text, FINAL), 1);
	free(text);
}

static void a_source_that_fails_is_told_after_the_summary(void **state)
{
	struct run_options options = json_run();
	struct script script = script_new();
	struct ended ended;
	char *text;

	(void)state;
	script.fails = true;
	ended = run_script(&script, &options);
	assert_int_equal(ended.err, -EIO);
	assert_string_equal(ended.error.what, "the script fails");
	text = slurp(out_path);
	assert_int_equal(count_of(text, FINAL), 1);
	free(text);
}

static void a_full_disk_stops_one_output_not_the_other(void **state)
{
	struct run_options options = { .format = &output_format_json,
				       .output = { { .file = "/dev/full" } },
				       .output_count = 1,
				       .record = record_path };
	struct script script = script_new();
	struct ended ended;
	char *text;

	(void)state;
	script.idle_after = 3;
	ended = run_script(&script, &options);
	assert_int_equal(ended.err, 0);
	assert_true(ended.lost);
	options = (struct run_options){ .format = &output_format_json,
					.events = true,
					.output = { { .file = out_path } },
					.output_count = 1 };
	assert_int_equal(run_replay(&options).err, 0);
	text = slurp(out_path);
	assert_int_equal(count_of(text, FINAL), 1);
	assert_true(count_of(text, "fdtrace.event") >= 1);
	free(text);
	options = (struct run_options){ .format = &output_format_json,
					.output = { { .file = out_path } },
					.output_count = 1,
					.record = "/dev/full" };
	script = script_new();
	script.idle_after = 3;
	ended = run_script(&script, &options);
	assert_true(ended.err == 0 && ended.lost);
	text = slurp(out_path);
	assert_int_equal(count_of(text, FINAL), 1);
	free(text);
}

static void each_output_has_its_own_format_and_end(void **state)
{
	struct run_options options = { .output = { { &output_format_json, out_path },
						   { &output_format_text, "/dev/full" },
						   { NULL, record_path } },
				       .output_count = 3 };
	struct script script = script_new();
	struct ended ended;
	char *text;

	(void)state;
	script.idle_after = 3;
	ended = run_script(&script, &options);
	assert_true(ended.err == 0 && ended.lost); /* the second */
	text = slurp(out_path);
	assert_int_equal(count_of(text, FINAL), 1);
	free(text);
	text = slurp(record_path);
	assert_int_equal(count_of(text, "fdtrace: nothing found"), 1);
	assert_int_equal(count_of(text, FINAL), 0);
	free(text);
}

/* By two names, and what the file held is still there. */
static void two_outputs_are_not_one_file(void **state)
{
	char other[80];
	struct run_options options = { .output = { { .file = out_path }, { .file = other } },
				       .output_count = 2 };
	struct outputs *outputs;
	struct error error;
	FILE *file = fopen(out_path, "w");
	char *text;

	(void)state;
	snprintf(other, sizeof(other), "%s.link", out_path);
	assert_true(fputs("kept", file) >= 0 && fclose(file) == 0);
	assert_int_equal(symlink(out_path, other), 0);
	assert_int_equal(outputs_open(&options, 0, &outputs, &error), -EINVAL);
	assert_int_equal(error.status, EXIT_USAGE);
	assert_non_null(strstr(error.what, "two outputs go to the same file"));
	options = (struct run_options){ .output = { { .file = other } },
					.output_count = 1,
					.record = out_path };
	assert_int_equal(outputs_open(&options, 0, &outputs, &error), -EINVAL);
	text = slurp(out_path);
	assert_string_equal(text, "kept");
	free(text);
	unlink(other);
	options.output[0].file = options.output[1].file = "/dev/null";
	options.output_count = 2;
	options.record = NULL;
	assert_int_equal(outputs_open(&options, 0, &outputs, &error), 0);
	outputs_free(outputs);
}

static int reader = -1; /* the reading end of a FIFO that is the output */

static void leave(struct script *script)
{
	if (script->drains == 2)
		close(reader);
	assert_true(script->drains < 500); /* some ten seconds: it does not end by itself */
}

static void a_reader_that_leaves_ends_it_quietly(void **state)
{
	char path[80];
	struct run_options options = { .format = &output_format_json,
				       .output = { { .file = path } },
				       .output_count = 1 };
	struct script script = script_new();
	struct ended ended;

	(void)state;
	snprintf(path, sizeof(path), "%s/fifo", directory);
	assert_int_equal(mkfifo(path, 0600), 0);
	reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_true(reader >= 0);
	script.at_drain = leave;
	ended = run_script(&script, &options);
	assert_int_equal(ended.err, 0);
	assert_false(ended.lost);
}

static void a_command_is_run_to_its_end(void **state)
{
	char *argv[] = { (char *)"sh", (char *)"-c", (char *)"exit 11", NULL };
	struct run_options options = { .output = { { .file = out_path } }, .output_count = 1 };
	struct script script = script_new();
	struct session_config config = { .source = &script.source, .mode = ENGINE_COMMAND };
	struct error error;
	struct ended ended;

	(void)state;
	assert_int_equal(launch_new(argv, &signals, &config.launch, &error), 0);
	ended = run(&config, &options);
	assert_int_equal(ended.err, 0);
	assert_true(ended.result.command_started);
	assert_int_equal(launch_wait(config.launch, &signals), 11);
	launch_free(config.launch);
	close(script.fd);
}

static void a_command_that_cannot_run_leaves_no_summary(void **state)
{
	char *argv[] = { (char *)"no-such-command-here", NULL };
	struct run_options options = { .output = { { .file = out_path } }, .output_count = 1 };
	struct script script = script_new();
	struct session_config config = { .source = &script.source, .mode = ENGINE_COMMAND };
	struct ended ended;
	struct error error;
	char *text;

	(void)state;
	assert_int_equal(launch_new(argv, &signals, &config.launch, &error), 0);
	ended = run(&config, &options);
	assert_int_equal(ended.err, -ENOENT);
	assert_int_equal(ended.error.status, EXIT_NOT_FOUND);
	assert_false(ended.result.command_started);
	text = slurp(out_path);
	assert_string_equal(text, "");
	free(text);
	launch_free(config.launch);
	close(script.fd);
}

/* A session that ends lets signals kill again: each test begins with its own. */
static int take_signals(void **state)
{
	(void)state;
	return signals_init(&signals, true);
}

static int let_signals_go(void **state)
{
	(void)state;
	signals_done(&signals);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, take_signals, let_signals_go)

static int set_up(void **state)
{
	(void)state;
	if (!mkdtemp(directory))
		return -1;
	snprintf(file_path, sizeof(file_path), "%s/watched", directory);
	snprintf(out_path, sizeof(out_path), "%s/out", directory);
	snprintf(record_path, sizeof(record_path), "%s/record", directory);
	return 0;
}

static int tear_down(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof(command), "rm -r %s", directory);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_replay_prints_the_same),
		TEST(a_recording_begins_with_how_it_was_made),
		TEST(the_end_of_the_processes_ends_it),
		TEST(a_run_that_attaches_to_nobody_fails),
		TEST(duration_and_intervals_are_kept),
		TEST(audits_come_in_time_and_after_losses),
		TEST(a_signal_ends_it_with_the_summary),
		TEST(a_source_that_fails_is_told_after_the_summary),
		TEST(a_full_disk_stops_one_output_not_the_other),
		TEST(two_outputs_are_not_one_file),
		TEST(each_output_has_its_own_format_and_end),
		TEST(a_reader_that_leaves_ends_it_quietly),
		TEST(a_command_is_run_to_its_end),
		TEST(a_command_that_cannot_run_leaves_no_summary),
	};

	setenv("PATH", "/usr/bin:/bin", 1); /* of the caller's a user may read less */

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
