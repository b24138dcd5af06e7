// SPDX-License-Identifier: BSD-2-Clause
/* What was reported before a restart: in the engine, and in its file. Also new rules for a running engine. */
#include "stream.h"

#include <time.h>
#include <unistd.h>

#include "daemon/reported.h"

#define HOUR (3600 * S)

static char folder[] = "/tmp/fdtrace-reported-XXXXXX";
static char path[128], old_path[128];

/* Each number of its own makes a cause of its own: a stack that nobody else has. */
static void close_twice(struct stream *s, uint64_t cause)
{
	struct frame frame = { .text = "twice (prog.c:1)", .identity = cause };

	s->now_ns += MS;
	tells(s, cause, 0, 1, &frame);
	opens(s, PID, 5, 77);
	closes_at(s, 5, cause);
	fails_at(s, FDT_SYS_close, PID, 5, EBADF, cause);
	tick(s, S);
	tick(s, S);
}

static unsigned int found(const struct stream *s)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < s->kept_count; i++)
		count += s->kept[i].rule == RULE_CLOSE_DOUBLE;
	return count;
}

/* The engine's clock is the real one, as with the daemon. */
static void start(struct stream *s)
{
	struct timespec now;

	stream_start(s, ENGINE_ALL);
	clock_gettime(CLOCK_MONOTONIC, &now);
	s->now_ns = (uint64_t)now.tv_sec * S + (uint64_t)now.tv_nsec;
}

static uint64_t fingerprint_of(uint64_t cause)
{
	struct stream s;
	uint64_t fingerprint;

	start(&s);
	close_twice(&s, cause);
	assert_int_equal(found(&s), 1);
	fingerprint = s.kept[0].fingerprint;
	stream_end(&s);
	return fingerprint;
}

static void count_row(void *ctx, const struct finding_row *row)
{
	(void)row;
	++*(unsigned int *)ctx;
}

static void what_was_reported_is_counted(void **state)
{
	struct reported_row row = { .fingerprint = fingerprint_of(1),
				    .rule = RULE_CLOSE_DOUBLE,
				    .severity = SEVERITY_INFO,
				    .count = 7 };
	struct engine_counters counters;
	unsigned int rows = 0;
	struct stream s;

	(void)state;
	start(&s);
	row.reported_ns = s.now_ns - HOUR / 2;
	assert_int_equal(engine_restore_reported(s.engine, &row), 0);
	engine_each_finding(s.engine, count_row, &rows);
	assert_int_equal(rows, 0);
	close_twice(&s, 1);
	assert_int_equal(found(&s), 0);
	close_twice(&s, 2);
	assert_int_equal(found(&s), 1);
	engine_each_finding(s.engine, count_row, &rows);
	assert_int_equal(rows, 2);
	engine_counters(s.engine, &counters);
	assert_int_equal(counters.by_rule[RULE_CLOSE_DOUBLE].causes, 2);
	assert_int_equal(counters.findings[SEVERITY_INFO], 2);
	s.now_ns += HOUR;
	close_twice(&s, 1);
	assert_int_equal(found(&s), 2);
	assert_int_equal(s.kept[1].fingerprint, row.fingerprint);
	assert_int_equal(s.kept[1].count, 9);
	stream_end(&s);
}

static void of_another_boot_or_of_this_moment(void **state)
{
	struct reported_row row = { .fingerprint = fingerprint_of(1),
				    .rule = RULE_CLOSE_DOUBLE,
				    .severity = SEVERITY_INFO,
				    .count = 1 };
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_ALL);
	s.now_ns = 100 * S;
	row.reported_ns = s.now_ns - HOUR / 2; /* wraps: the machine is up for 100 s */
	engine_restore_reported(s.engine, &row);
	close_twice(&s, 1);
	assert_int_equal(found(&s), 0);
	stream_end(&s);
	stream_start(&s, ENGINE_ALL);
	row.reported_ns = s.now_ns + 10 * S; /* the event is older than our look at the clock */
	engine_restore_reported(s.engine, &row);
	close_twice(&s, 1);
	assert_int_equal(found(&s), 0);
	stream_end(&s);
}

static void rules_change_on_the_way(void **state)
{
	struct settings settings;
	struct stream s;

	(void)state;
	start(&s);
	settings_default(&settings);
	engine_reconfigure(s.engine, &settings, 1u << RULE_LEAK_GROWTH);
	close_twice(&s, 1);
	assert_int_equal(found(&s), 0);
	opens(&s, PID, 9, 99);
	engine_reconfigure(s.engine, &settings, rule_set_default());
	assert_int_equal(filled_bits(&s, PID), 1 << 9);
	close_twice(&s, 1);
	assert_int_equal(found(&s), 1);
	stream_end(&s);
}

static bool silence;

static bool suppressed(void *ctx, const struct finding *finding)
{
	(void)ctx, (void)finding;
	return silence;
}

static void suppressions_change_on_the_way(void **state)
{
	static const struct engine_policy policy = { .suppressed = suppressed };
	struct engine_counters counters;
	struct engine_options options;
	struct settings settings;
	struct stream s = { .now_ns = 1000 * S };

	(void)state;
	options = stream_options(&s, ENGINE_ALL);
	options.policy = &policy;
	assert_int_equal(engine_new(&options, &s.engine), 0);
	settings_default(&settings);
	silence = true;
	close_twice(&s, 1);
	assert_int_equal(found(&s), 0);
	silence = false;
	close_twice(&s, 1);
	assert_int_equal(found(&s), 0); /* asked once, until the rules change */
	engine_reconfigure(s.engine, &settings, rule_set_default());
	close_twice(&s, 1);
	assert_int_equal(found(&s), 1);
	engine_counters(s.engine, &counters);
	assert_int_equal(counters.findings_suppressed, 1);
	assert_int_equal(counters.by_rule[RULE_CLOSE_DOUBLE].causes, 1);
	stream_end(&s);
}

/* --- the file --- */

static void write_text(const char *text, mode_t mode)
{
	FILE *file;

	unlink(path);
	file = fopen(path, "w");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(path, mode), 0);
}

static int loaded(const char *text)
{
	struct stream s;
	int count;

	write_text(text, 0600);
	start(&s);
	count = reported_load(path, s.engine);
	stream_end(&s);
	return count;
}

static void it_comes_back(void **state)
{
	struct stream s;
	struct stat status;

	(void)state;
	unlink(path);
	start(&s);
	assert_int_equal(reported_load(path, s.engine), -ENOENT);
	close_twice(&s, 1);
	close_twice(&s, 2);
	close_twice(&s, 2);
	assert_int_equal(found(&s), 2);
	assert_int_equal(reported_save(path, s.engine), 0);
	stream_end(&s);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0600);
	start(&s);
	assert_int_equal(reported_load(path, s.engine), 2);
	close_twice(&s, 2);
	close_twice(&s, 1);
	assert_int_equal(found(&s), 0);
	close_twice(&s, 3);
	assert_int_equal(found(&s), 1);
	stream_end(&s);
}

/* reported_s: seconds from now. Returns how many times the finding is reported again. */
static unsigned int reported_again(long long reported_s)
{
	struct stream s;
	char text[256];
	unsigned int count;

	snprintf(text, sizeof(text),
		 "{\"format\":2,\"reported\":[{\"fingerprint\":\"%016llx\",\"rule\":\"close."
		 "double\","
		 "\"severity\":\"info\",\"count\":1,\"reported\":%lld}]}",
		 (unsigned long long)fingerprint_of(1), (long long)time(NULL) + reported_s);
	write_text(text, 0600);
	start(&s);
	assert_int_equal(reported_load(path, s.engine), 1);
	close_twice(&s, 1);
	count = found(&s);
	stream_end(&s);
	return count;
}

#define OLD_ROW(fingerprint, severity)                                                            \
	"{\"format\":1,\"told\":[{\"fingerprint\":\"" fingerprint "\",\"rule\":\"close.double\"," \
	"\"severity\":\"" severity "\",\"count\":3,\"told\":%lld}]}"

static void write_old(const char *to, const char *severity)
{
	char text[256];

	snprintf(text, sizeof(text), OLD_ROW("%016llx", "%s"),
		 (unsigned long long)fingerprint_of(1), severity, (long long)time(NULL));
	write_text(text, 0600);
	if (to != path)
		assert_int_equal(rename(path, to), 0);
}

/* The finding of the first cause is known, so it is not reported again. */
static void first_cause_is_known(struct stream *s)
{
	start(s);
	assert_int_equal(reported_load(path, s->engine), 1);
	close_twice(s, 1);
	assert_int_equal(found(s), 0);
}

static void the_first_format_is_read(void **state)
{
	static const char *const severities[] = { "info", "warn", "warning" };
	struct stream s;

	(void)state;
	for (size_t i = 0; i < sizeof(severities) / sizeof(severities[0]); i++) {
		write_old(path, severities[i]);
		first_cause_is_known(&s);
		stream_end(&s);
	}
}

static void the_first_name_is_read_once(void **state)
{
	struct stream s;

	(void)state;
	write_old(old_path, "warn");
	assert_int_equal(access(path, F_OK), -1);
	first_cause_is_known(&s);
	assert_int_equal(reported_save(path, s.engine), 0);
	stream_end(&s);
	/* From now on the new name counts, whatever the old file says. */
	assert_int_equal(truncate(old_path, 1), 0);
	first_cause_is_known(&s);
	stream_end(&s);
	unlink(old_path);
}

static void the_clock_may_have_jumped(void **state)
{
	(void)state;
	assert_int_equal(reported_again(0), 0);
	assert_int_equal(reported_again(-3500), 0);
	assert_int_equal(reported_again(-3601), 1);
	assert_int_equal(reported_again(3601), 0);
	assert_int_equal(reported_again(400000000), 0);
	assert_int_equal(reported_again(-400000000), 1);
	assert_int_equal(reported_again(-10000000000), 1);
}

#define ROW(fingerprint, rule, severity, count, reported)                             \
	"{\"format\":2,\"reported\":[{\"fingerprint\":" fingerprint ",\"rule\":" rule \
	",\"severity\":" severity ",\"count\":" count ",\"reported\":" reported "}]}"
#define GOOD "\"0123456789abcdef\""

static void what_is_no_state_is_refused(void **state)
{
	static const char *const bad[] = { "",
					   "x",
					   "[]",
					   "{}",
					   "{\"format\":2}",
					   "{\"format\":3,\"reported\":[]}",
					   "{\"format\":2,\"told\":[]}",
					   "{\"format\":1,\"reported\":[]}",
					   "{\"format\":2,\"reported\":{}}",
					   "{\"format\":2,\"reported\":[{" };
	static const char *const none[] = {
		"{\"format\":2,\"reported\":[]}",
		"{\"format\":2,\"reported\":[1,null,[],{}]}",
		ROW("\"0123\"", "\"close.double\"", "\"info\"", "1", "1"),
		ROW("\"0123456789abcdeg\"", "\"close.double\"", "\"info\"", "1", "1"),
		ROW("1", "\"close.double\"", "\"info\"", "1", "1"),
		ROW(GOOD, "\"close.treble\"", "\"info\"", "1", "1"),
		ROW(GOOD, "\"close.double\"", "\"fatal\"", "1", "1"),
		ROW(GOOD, "\"close.double\"", "\"info\"", "-1", "1"),
		ROW(GOOD, "\"close.double\"", "\"info\"", "1", "\"1\""),
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(loaded(bad[i]), -EBADMSG);
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		assert_int_equal(loaded(none[i]), 0);
	assert_int_equal(
		loaded(ROW(GOOD, "\"close.double\"", "\"info\"", "1", "-9223372036854775808")), 1);
	assert_int_equal(loaded(ROW(GOOD, "\"close.double\"", "\"info\"", "9223372036854775807",
				    "9223372036854775807")),
			 1);
}

static void what_others_could_write_is_refused(void **state)
{
	struct stream s;

	(void)state;
	start(&s);
	write_text("{\"format\":2,\"reported\":[]}", 0622);
	assert_int_equal(reported_load(path, s.engine), -EPERM);
	unlink(path);
	assert_int_equal(symlink("/dev/null", path), 0);
	assert_int_equal(reported_load(path, s.engine), -ELOOP);
	assert_int_equal(reported_save(path, s.engine), 0); /* the link goes, what it named stays */
	assert_int_equal(reported_load(path, s.engine), 0);
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(reported_load(path, s.engine), -EINVAL);
	unlink(path);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(reported_load(path, s.engine), -EISDIR);
	assert_true(reported_save(path, s.engine) < 0);
	assert_int_equal(rmdir(path), 0);
	stream_end(&s);
}

static void too_large_is_refused(void **state)
{
	struct stream s;

	(void)state;
	start(&s);
	write_text("", 0600);
	assert_int_equal(truncate(path, (4 << 20) + 1), 0);
	assert_int_equal(reported_load(path, s.engine), -EFBIG);
	stream_end(&s);
}

static int make_folder(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/reported.json", folder);
	snprintf(old_path, sizeof(old_path), "%s/told.json", folder);
	return 0;
}

/* Nothing but the file is left: no half-written one beside it. */
static int remove_folder(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_reported_is_counted),
		cmocka_unit_test(of_another_boot_or_of_this_moment),
		cmocka_unit_test(rules_change_on_the_way),
		cmocka_unit_test(suppressions_change_on_the_way),
		cmocka_unit_test(it_comes_back),
		cmocka_unit_test(the_first_format_is_read),
		cmocka_unit_test(the_first_name_is_read_once),
		cmocka_unit_test(the_clock_may_have_jumped),
		cmocka_unit_test(what_is_no_state_is_refused),
		cmocka_unit_test(what_others_could_write_is_refused),
		cmocka_unit_test(too_large_is_refused),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
