// SPDX-License-Identifier: BSD-2-Clause
/* What the engine counts for the metrics, the text made of it, which usages are told, the textfile. */
#include "stream.h"

#include <math.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "daemon/metrics.h"
#include "util/error.h"
#include "util/utf8.h"

static struct engine_counters counted(const struct stream *s)
{
	struct engine_counters counters;

	engine_counters(s->engine, &counters);
	return counters;
}

/* --- the engine --- */

static void changes_are_counted_by_op(bool listened)
{
	struct stream s = { .now_ns = 1000 * S };
	struct engine_options options = stream_options(&s, ENGINE_PID);
	struct engine_counters c;

	if (!listened)
		options.listener = &stream_findings;
	assert_int_equal(engine_new(&options, &s.engine), 0);
	opens(&s, PID, 3, 1);
	task(&s, FDT_OP_FORK, 200, 200, TABLE + 4096, PID, 0);
	opens(&s, PID, 4, 2);
	closes(&s, PID, 3);
	put(&s, FDT_OP_REPLACE, FDT_SYS_dup2, PID, 4, a_file(3));
	fails(&s, FDT_SYS_read, PID, 9, EBADF);
	task(&s, FDT_OP_EXEC, PID, PID, TABLE, PID, 0);
	task(&s, FDT_OP_EXIT, PID, PID, TABLE, PID, FDT_TASK_LAST);
	c = counted(&s);
	assert_int_equal(c.changes[CHANGE_OPEN], 3);
	assert_int_equal(c.changes[CHANGE_CLOSE], 1);
	assert_int_equal(c.changes[CHANGE_REPLACE], 1);
	assert_int_equal(c.changes[CHANGE_ERROR], 1);
	assert_int_equal(c.changes[CHANGE_FORK], 1);
	assert_int_equal(c.changes[CHANGE_EXEC], 1);
	assert_int_equal(c.changes[CHANGE_EXIT], 1);
	if (listened)
		assert_int_equal(s.changes, 3 + 2 + 1 + 3); /* all of them */
	stream_end(&s);
}

static void changes_are_counted(void **state)
{
	(void)state;
	changes_are_counted_by_op(true);
	changes_are_counted_by_op(false);
}

static uint64_t reported(const struct stream *s, enum rule rule, enum severity severity)
{
	return counted(s).by_rule[rule].reported[severity];
}

static void every_time_counts_in_its_severity(void **state)
{
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_PID);
	opens(&s, PID, 3, 1);
	closes(&s, PID, 3);
	fails(&s, FDT_SYS_read, PID, 3, EBADF);
	assert_int_equal(reported(&s, RULE_USE_CLOSED, SEVERITY_WARNING), 1);
	fails(&s, FDT_SYS_read, PID, 3, EBADF);
	assert_int_equal(s.kept_count, 1);
	assert_int_equal(reported(&s, RULE_USE_CLOSED, SEVERITY_WARNING), 2);
	assert_int_equal(reported(&s, RULE_USE_CLOSED, SEVERITY_ERROR), 0);
	stream_end(&s);
}

static bool yes(void *ctx, const struct finding *finding)
{
	(void)ctx, (void)finding;
	return true;
}

static void suppressed_ones_count_apart(void **state)
{
	static const struct engine_policy policy = { .suppressed = yes };
	struct stream s = { .now_ns = 1000 * S };
	struct engine_options options = stream_options(&s, ENGINE_PID);

	(void)state;
	options.policy = &policy;
	assert_int_equal(engine_new(&options, &s.engine), 0);
	opens(&s, PID, 3, 1);
	closes(&s, PID, 3);
	fails(&s, FDT_SYS_read, PID, 3, EBADF);
	fails(&s, FDT_SYS_read, PID, 3, EBADF);
	assert_int_equal(reported(&s, RULE_USE_CLOSED, SEVERITY_WARNING), 0);
	assert_int_equal(counted(&s).times_suppressed, 2);
	stream_end(&s);
}

/* A process with so many open descriptors, whose limit is 1024. */
static void has_open(struct stream *s, uint32_t pid, int count)
{
	uint64_t table = TABLE + pid * 4096ull;

	task(s, FDT_OP_SNAPSHOT, pid, pid, table, pid, 0);
	for (int fd = 0; fd < count; fd++)
		put_at(s, FDT_OP_OPEN, FDT_SYS_openat, pid, table, fd, a_file(pid * 1000u + fd), 0);
}

static void the_fullest_come_first(void **state)
{
	struct usage_row rows[5];
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_ALL);
	for (uint32_t pid = 2; pid <= 50; pid++)
		has_open(&s, pid, (int)(pid * 7 % 50)); /* each number from 1 to 49 once */
	assert_int_equal(counted(&s).processes, 49);
	assert_int_equal(engine_fullest(s.engine, rows, 5), 5);
	for (unsigned int i = 0; i < 5; i++) {
		assert_int_equal(rows[i].open, 49 - i);
		assert_int_equal(rows[i].process->pid * 7 % 50, 49 - i);
		assert_int_equal(rows[i].nofile, 1024);
	}
	assert_int_equal(engine_fullest(s.engine, rows, 0), 0);
	stream_end(&s);
}

static void without_a_limit_there_is_no_ratio(void **state)
{
	struct usage_row row;
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_ALL);
	opens(&s, PID, 3, 1);
	assert_int_equal(engine_fullest(s.engine, &row, 1), 0);
	has_open(&s, 7, 1);
	assert_int_equal(engine_fullest(s.engine, &row, 1), 1);
	assert_int_equal(row.process->pid, 7);
	stream_end(&s);
}

/* --- usages --- */

static void offer_numbered(struct metrics_usages *u, int number, double ratio)
{
	char exe[32];

	snprintf(exe, sizeof(exe), "/bin/%03d", number);
	metrics_usages_offer(u, exe, "", ratio);
}

static bool is_told(const struct metrics_usages *u, int number)
{
	char exe[32];

	snprintf(exe, sizeof(exe), "/bin/%03d", number);
	for (unsigned int i = 0; i < u->reported_count; i++)
		if (strcmp(u->reported[i].exe, exe) == 0)
			return true;
	return false;
}

/* 1 to 20, of which 11 to 20 are the fullest. */
static void ten_are_told(struct metrics_usages *u)
{
	memset(u, 0, sizeof(*u));
	metrics_usages_begin(u);
	for (int i = 1; i <= 20; i++)
		offer_numbered(u, i, 0.3 + i / 100.0);
	metrics_usages_end(u);
	assert_int_equal(u->reported_count, 10);
}

static void the_ten_fullest_are_told(void **state)
{
	static struct metrics_usages u;

	(void)state;
	ten_are_told(&u);
	for (int i = 1; i <= 20; i++)
		assert_int_equal(is_told(&u, i), i > 10);
	assert_string_equal(u.reported[0].exe, "/bin/020");
}

static void a_little_fuller_changes_nothing(void **state)
{
	static struct metrics_usages u;

	(void)state;
	ten_are_told(&u);
	metrics_usages_begin(&u);
	for (int i = 1; i <= 20; i++)
		offer_numbered(&u, i, i <= 10 ? 0.42 : 0.4);
	metrics_usages_end(&u);
	for (int i = 1; i <= 20; i++)
		assert_int_equal(is_told(&u, i), i > 10);
	assert_true(u.reported[0].ratio == 0.4); /* as it is now */
}

static void much_fuller_takes_the_least_ones_place(void **state)
{
	static struct metrics_usages u;

	(void)state;
	ten_are_told(&u);
	metrics_usages_begin(&u);
	for (int i = 1; i <= 20; i++)
		offer_numbered(&u, i, i == 3 ? 0.9 : 0.3 + i / 100.0);
	metrics_usages_end(&u);
	assert_true(is_told(&u, 3));
	assert_false(is_told(&u, 11));
	assert_true(is_told(&u, 12));
	assert_int_equal(u.reported_count, 10);
}

static void who_is_gone_is_not_told(void **state)
{
	static struct metrics_usages u;

	(void)state;
	ten_are_told(&u);
	metrics_usages_begin(&u);
	offer_numbered(&u, 15, 0.1);
	metrics_usages_end(&u);
	assert_int_equal(u.reported_count, 1);
	assert_true(is_told(&u, 15));
	metrics_usages_begin(&u);
	metrics_usages_end(&u);
	assert_int_equal(u.reported_count, 0);
}

/* A name cut to the same label is the same series. */
static void one_program_and_unit_is_one(void **state)
{
	static struct metrics_usages u;
	char name[300];

	(void)state;
	memset(name, 'a', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	metrics_usages_begin(&u);
	metrics_usages_offer(&u, name, "u", 0.1);
	name[200] = 'b';
	metrics_usages_offer(&u, name, "u", 0.5);
	metrics_usages_offer(&u, name, "u", 0.2);
	metrics_usages_offer(&u, name, "v", 0.2);
	metrics_usages_end(&u);
	assert_int_equal(u.reported_count, 2);
	assert_true(u.reported[0].ratio == 0.5);
	assert_int_equal(strlen(u.reported[0].exe), METRICS_LABEL_BYTES);
}

static void of_thousands_offered_some_are_kept(void **state)
{
	static struct metrics_usages u;

	(void)state;
	metrics_usages_begin(&u);
	for (int i = 0; i < 900; i++)
		offer_numbered(&u, i, 1 - i / 1000.0);
	metrics_usages_end(&u);
	assert_int_equal(u.reported_count, METRICS_USAGES);
	assert_true(is_told(&u, 0));
}

static void unit_of(void *ctx, uint32_t pid, char *buffer, size_t size)
{
	unsigned int *asked = ctx;

	++*asked;
	snprintf(buffer, size, "%s.service", pid % 2 ? "odd" : "even");
}

static void usages_come_from_the_engine(void **state)
{
	static struct metrics_usages u;
	struct metrics m = { 0 };
	unsigned int asked = 0;
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_ALL);
	for (uint32_t pid = 2; pid <= 5; pid++)
		has_open(&s, pid, (int)pid * 2);
	assert_true(metrics_usages_update(&u, s.engine, unit_of, &asked) == 10 / 1024.0);
	assert_int_equal(asked, 4);
	metrics_usages_give(&u, &m);
	assert_int_equal(m.usage_count, 2);
	assert_string_equal(m.usages[0].unit, "odd.service");
	assert_true(m.usages[1].ratio == 8 / 1024.0);
	stream_end(&s);
}

/* --- text --- */

static char *text_of(const struct metrics *m)
{
	size_t length, textfile_length;
	char *text = metrics_text(m, &length, &textfile_length);

	assert_non_null(text);
	assert_int_equal(strlen(text), length);
	assert_int_equal(text[length - 1], '\n');
	assert_ptr_equal(strstr(text, "# HELP process_"), text + textfile_length);
	assert_null(strchr(text, '\r'));
	for (size_t i = 0; i < length;) {
		uint32_t character;
		size_t size = utf8_decode(text + i, length - i, &character);

		assert_int_not_equal(size, 0);
		i += size;
	}
	return text;
}

static void assert_line(const char *text, const char *line)
{
	char wanted[512];

	snprintf(wanted, sizeof(wanted), "\n%s\n", line);
	if (!strstr(text, wanted))
		print_message("# not there: %s\n", line);
	assert_non_null(strstr(text, wanted));
}

static unsigned int times(const char *text, const char *part)
{
	unsigned int count = 0;

	while ((text = strstr(text, part))) {
		count++;
		text += strlen(part);
	}
	return count;
}

static void every_pair_is_there_from_the_start(void **state)
{
	struct metrics m = { .version = "1", .coverage = "tracepoint" };
	char *text = text_of(&m), line[128];

	(void)state;
	for (unsigned int rule = 0; rule < RULE_COUNT; rule++)
		for (unsigned int severity = SEVERITY_INFO; severity <= SEVERITY_ERROR;
		     severity++) {
			snprintf(line, sizeof(line),
				 "fdtrace_findings_total{rule=\"%s\",severity=\"%s\"} 0",
				 rule_info(rule)->id, severity_name(severity));
			assert_line(text, line);
		}
	assert_line(text, "fdtrace_events_total{op=\"error\"} 0");
	assert_null(strstr(text, "op=\"found\""));
	assert_null(strstr(text, "fdtrace_limit_used_ratio{"));
	free(text);
}

static const struct metrics full = {
	.counters = { .by_rule[RULE_LEAK_STALE].reported[SEVERITY_ERROR] = UINT64_MAX,
		      .times_suppressed = 3,
		      .changes[CHANGE_OPEN] = 4,
		      .lost = 5,
		      .corrections = 6,
		      .processes = 7,
		      .descriptors = 8 },
	.version = "9.9",
	.resyncs = 9,
	.coverage = "function",
	.coverage_ratio = 0.25,
	.overhead_ratio = 0.001,
	.program_count = 1,
	.programs = { { "p", 1.5 } },
	.limit_used_max = 0.5,
	.usage_count = 1,
	.usages = { { "/x", "y.service", 0.5 } },
	.channel_count = 1,
	.channels = { { "stdout", 10, 11 } },
	.last_event_s = 1700000000.125,
};

static void every_name_has_its_number(void **state)
{
	static const char *const lines[] = {
		"fdtrace_build_info{version=\"9.9\"} 1",
		"fdtrace_findings_total{rule=\"leak.stale\",severity=\"error\"} "
		"18446744073709551615",
		"fdtrace_findings_suppressed_total 3",
		"fdtrace_events_total{op=\"open\"} 4",
		"fdtrace_events_lost_total 5",
		"fdtrace_table_corrections_total 6",
		"fdtrace_tracked_processes 7",
		"fdtrace_tracked_descriptors 8",
		"fdtrace_resyncs_total 9",
		"fdtrace_coverage{hook=\"function\"} 0.25",
		"fdtrace_overhead_ratio 0.001",
		"fdtrace_bpf_run_seconds_total{program=\"p\"} 1.5",
		"fdtrace_limit_used_ratio_max 0.5",
		"fdtrace_limit_used_ratio{exe=\"/x\",unit=\"y.service\"} 0.5",
		"fdtrace_output_lines_total{output=\"stdout\"} 10",
		"fdtrace_output_lines_dropped_total{output=\"stdout\"} 11",
		"fdtrace_last_event_timestamp_seconds 1700000000.125",
		"# TYPE fdtrace_findings_total counter",
		"# TYPE fdtrace_coverage gauge",
	};
	char *text = text_of(&full);

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		assert_line(text, lines[i]);
	assert_int_equal(times(text, "# HELP "), times(text, "# TYPE "));
	free(text);
}

static void hostile_labels_are_harmless(void **state)
{
	struct metrics m = { .version = "\"\\\n\r\xff", .coverage = NULL };
	char *text = text_of(&m);

	(void)state;
	assert_non_null(
		strstr(text, "fdtrace_build_info{version=\"\\\"\\\\\\\\n\\\\r\\\\xFF\"} 1\n"));
	assert_line(text, "fdtrace_coverage{hook=\"\"} 0");
	free(text);
}

static void a_label_is_cut_at_a_character(void **state)
{
	char exe[300] = "x";
	struct metrics m = { .usage_count = 1, .usages = { { exe, "", 1 } } };
	char *text;

	(void)state;
	for (size_t i = 1; i + 2 < sizeof(exe); i += 2)
		memcpy(exe + i, "\xc3\xa4", 2);
	text = text_of(&m);
	assert_int_equal(times(text, "\xc3\xa4"), 63); /* 1 + 2 * 63 = 127 bytes */
	free(text);
}

/* Two samples with the same labels: Prometheus refuses the whole page. */
static void a_series_is_there_once(void **state)
{
	char *text;
	struct metrics m = { .program_count = 2,
			     .programs = { { "p", 1.5 }, { "p", 2 } },
			     .usage_count = 3,
			     .usages = { { "a", "u", 0.25 }, { "b", "u", 0.1 }, { "a", "u", 0.5 } },
			     .channel_count = 2,
			     .channels = { { "c", 1, 2 }, { "c", 10, 20 } } };

	(void)state;
	text = text_of(&m);
	assert_line(text, "fdtrace_bpf_run_seconds_total{program=\"p\"} 3.5");
	assert_line(text, "fdtrace_limit_used_ratio{exe=\"a\",unit=\"u\"} 0.5");
	assert_line(text, "fdtrace_output_lines_total{output=\"c\"} 11");
	assert_line(text, "fdtrace_output_lines_dropped_total{output=\"c\"} 22");
	assert_int_equal(times(text, "program=\"p\""), 1);
	assert_int_equal(times(text, "exe=\"a\""), 1);
	assert_int_equal(times(text, "output=\"c\""), 2);
	free(text);
}

static void numbers_that_are_none_are_readable(void **state)
{
	struct metrics m = { .coverage = "c",
			     .coverage_ratio = -NAN,
			     .overhead_ratio = INFINITY,
			     .limit_used_max = -INFINITY };
	char *text = text_of(&m);

	(void)state;
	assert_line(text, "fdtrace_coverage{hook=\"c\"} NaN");
	assert_line(text, "fdtrace_overhead_ratio +Inf");
	assert_line(text, "fdtrace_limit_used_ratio_max -Inf");
	free(text);
}

/* A caller who counts beyond the arrays. */
static void too_many_are_cut_off(void **state)
{
	struct metrics m = { .program_count = ~0u, .usage_count = ~0u, .channel_count = ~0u };
	char *text = text_of(&m);

	(void)state;
	assert_int_equal(times(text, "\nfdtrace_limit_used_ratio{"), 1);
	free(text);
}

static void its_own_process_is_measured(void **state)
{
	struct timespec now;
	struct metrics_process before, after;
	struct rlimit limit;
	int fd;

	(void)state;
	metrics_process(&before);
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	metrics_process(&after);
	close(fd);
	assert_true(after.open_fds == before.open_fds + 1);
	assert_true(before.cpu_s > 0 && after.cpu_s >= before.cpu_s);
	assert_true(before.resident_bytes > 100e3);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_true(before.max_fds == (double)limit.rlim_cur);
	clock_gettime(CLOCK_REALTIME, &now);
	assert_true(before.start_s > (double)now.tv_sec - 600 &&
		    before.start_s < (double)now.tv_sec + 2);
}

/* --- the textfile --- */

struct folder {
	char path[64], file[128], temporary[160];
};

static int setup_folder(void **state)
{
	static struct folder f;

	strcpy(f.path, "/tmp/fdtrace-metrics-XXXXXX");
	assert_non_null(mkdtemp(f.path));
	snprintf(f.file, sizeof(f.file), "%s/fdtrace.prom", f.path);
	snprintf(f.temporary, sizeof(f.temporary), "%s.tmp", f.file);
	*state = &f;
	return 0;
}

static int teardown_folder(void **state)
{
	struct folder *f = *state;

	unlink(f->file);
	rmdir(f->file);
	unlink(f->temporary);
	rmdir(f->temporary);
	return rmdir(f->path);
}

static void assert_holds(const char *path, const char *text)
{
	char buffer[64];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = read(fd, buffer, sizeof(buffer) - 1);

	assert_true(got >= 0);
	buffer[got] = '\0';
	assert_string_equal(buffer, text);
	close(fd);
}

static void it_is_replaced_whole(void **state)
{
	const struct folder *f = *state;
	struct stat st;
	mode_t mask = umask(077);

	assert_int_equal(metrics_textfile(f->file, "one\n", 4), 0);
	assert_int_equal(metrics_textfile(f->file, "two\n", 4), 0);
	umask(mask);
	assert_holds(f->file, "two\n");
	assert_int_equal(stat(f->file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	assert_int_equal(access(f->temporary, F_OK), -1);
}

static void links_are_not_followed(void **state)
{
	const struct folder *f = *state;
	char victim[128];

	snprintf(victim, sizeof(victim), "%s/victim", f->path);
	close(open(victim, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	assert_int_equal(symlink(victim, f->file), 0);
	assert_int_equal(symlink(victim, f->temporary), 0);
	assert_int_equal(metrics_textfile(f->file, "one\n", 4), 0);
	assert_holds(f->file, "one\n");
	assert_holds(victim, "");
	unlink(victim);
}

static void what_is_wrong_leaves_nothing(void **state)
{
	const struct folder *f = *state;
	char path[512];

	assert_int_equal(mkdir(f->file, 0700), 0);
	assert_int_equal(metrics_textfile(f->file, "one\n", 4), -EISDIR);
	assert_int_equal(access(f->temporary, F_OK), -1);
	snprintf(path, sizeof(path), "%s/none/x.prom", f->path);
	assert_int_equal(metrics_textfile(path, "one\n", 4), -ENOENT);
	snprintf(path, sizeof(path), "%s/x.txt", f->path);
	assert_int_equal(metrics_textfile(path, "one\n", 4), -EINVAL);
	snprintf(path, sizeof(path), "%s/.prom", f->path);
	assert_int_equal(metrics_textfile(path, "one\n", 4), -EINVAL);
	assert_int_equal(metrics_textfile("x.prom", "one\n", 4), -EINVAL);
	snprintf(path, sizeof(path), "%s/%0255d.prom", f->path, 1);
	assert_int_equal(metrics_textfile(path, "one\n", 4), -ENAMETOOLONG);
}

static void a_folder_of_everybodys_is_refused(void **state)
{
	const struct folder *f = *state;

	assert_int_equal(chmod(f->path, 0777), 0);
	assert_int_equal(metrics_textfile(f->file, "one\n", 4), -EPERM);
	assert_int_equal(chmod(f->path, 01777), 0);
	assert_int_equal(metrics_textfile(f->file, "one\n", 4), 0);
}

/* --- addresses of the server; what it does is tested live --- */

static int start_at(const char *listen, bool remote, struct error *error)
{
	struct metrics_server *server = NULL;
	int err = metrics_server_open(listen, remote, &server, error);

	metrics_server_stop(server);
	return err;
}

static void only_what_is_understood_is_served(void **state)
{
	static const char *const bad[] = {
		"",
		":",
		"127.0.0.1",
		"localhost:0",
		"127.0.0.1:",
		"::1:0",
		"[::1]",
		"[::1:0",
		"127.0.0.1:+1",
		"127.0.0.1:65536",
		"[::1]x:0",
		"[]:0",
		":0",
		"127.0.0.1:1 ",
		"[127.0.0.1]:0",
		"127.1:0",
		"]:1",
		"127.0.0.1:99999999999999999999",
	};
	struct error error;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(start_at(bad[i], true, &error), -EINVAL);
		assert_int_equal(error.status, EXIT_USAGE);
		assert_non_null(strstr(error.what, bad[i][0] ? bad[i] + 1 : "''"));
	}
}

static void what_is_not_loopback_must_be_meant(void **state)
{
	struct error error;

	(void)state;
	assert_int_equal(start_at("0.0.0.0:0", false, &error), -EPERM);
	assert_non_null(strstr(error.remedy, "metrics.remote"));
	assert_int_equal(start_at("[::]:0", false, &error), -EPERM);
	assert_int_equal(start_at("[::ffff:127.0.0.1]:0", false, &error), -EPERM);
	assert_int_equal(start_at("192.0.2.1:0", false, &error), -EPERM);
	assert_int_equal(start_at("192.0.2.1:0", true, &error), -EADDRNOTAVAIL);
	assert_int_equal(start_at("127.9.9.9:0", false, &error), 0);
	assert_int_equal(start_at("0.0.0.0:0", true, &error), 0);
}

static void a_port_taken_is_told(void **state)
{
	struct metrics_server *server;
	struct error error;

	(void)state;
	assert_int_equal(metrics_server_open("127.0.0.1:0", false, &server, &error), 0);
	assert_int_equal(metrics_server_run(server, &error), 0);
	assert_int_equal(start_at(metrics_server_address(server), false, &error), -EADDRINUSE);
	assert_int_equal(error.status, EXIT_CANNOT);
	assert_non_null(strstr(error.what, metrics_server_address(server)));
	assert_non_null(strstr(error.cause, "another program"));
	metrics_server_stop(server);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, setup_folder, teardown_folder)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(changes_are_counted),
		cmocka_unit_test(every_time_counts_in_its_severity),
		cmocka_unit_test(suppressed_ones_count_apart),
		cmocka_unit_test(the_fullest_come_first),
		cmocka_unit_test(without_a_limit_there_is_no_ratio),
		cmocka_unit_test(the_ten_fullest_are_told),
		cmocka_unit_test(a_little_fuller_changes_nothing),
		cmocka_unit_test(much_fuller_takes_the_least_ones_place),
		cmocka_unit_test(who_is_gone_is_not_told),
		cmocka_unit_test(one_program_and_unit_is_one),
		cmocka_unit_test(of_thousands_offered_some_are_kept),
		cmocka_unit_test(usages_come_from_the_engine),
		cmocka_unit_test(every_pair_is_there_from_the_start),
		cmocka_unit_test(every_name_has_its_number),
		cmocka_unit_test(hostile_labels_are_harmless),
		cmocka_unit_test(a_label_is_cut_at_a_character),
		cmocka_unit_test(a_series_is_there_once),
		cmocka_unit_test(numbers_that_are_none_are_readable),
		cmocka_unit_test(too_many_are_cut_off),
		cmocka_unit_test(its_own_process_is_measured),
		IN_FOLDER(it_is_replaced_whole),
		IN_FOLDER(links_are_not_followed),
		IN_FOLDER(what_is_wrong_leaves_nothing),
		IN_FOLDER(a_folder_of_everybodys_is_refused),
		cmocka_unit_test(only_what_is_understood_is_served),
		cmocka_unit_test(what_is_not_loopback_must_be_meant),
		cmocka_unit_test(a_port_taken_is_told),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
