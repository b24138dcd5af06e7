// SPDX-License-Identifier: BSD-2-Clause
/* Channels: slow, dead and returning readers, rotation, what is refused, and no line ever torn. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

#include "daemon/channel.h"
#include "util/log.h"
#include "util/error.h"

#define S UINT64_C(1000000000)
#define BOUND CHANNEL_QUEUE_MIN

static char folder[64], path[96];

static int make_folder(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/test_channel.XXXXXX");
	snprintf(path, sizeof(path), "%s/lines", mkdtemp(folder) ? folder : "/nowhere");
	log_set_level(LOG_QUIET);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	return 0;
}

static int remove_folder(void **state)
{
	char moved[128];

	(void)state;
	snprintf(moved, sizeof(moved), "%s.1", path);
	unlink(moved);
	unlink(path);
	return rmdir(folder);
}

static struct output_config config_of(enum output_type type)
{
	return (struct output_config){ .type = type,
				       .path = path,
				       .min_severity = SEVERITY_INFO,
				       .summaries = true,
				       .queue_bytes = BOUND };
}

static struct channel *opened(const struct output_config *config)
{
	struct channel *c = NULL;
	struct error error = { 0 };
	int err = channel_open(config, &c, &error);

	if (err)
		print_message("%s\n", error.what);
	assert_int_equal(err, 0);
	return c;
}

static size_t line_size;

/* {"n":7,"pad":"xxx"}, of line_size bytes or as short as it can be. */
static void put_number(struct channel *c, unsigned int number, uint64_t now_ns)
{
	static char json[5 << 20];
	int done = snprintf(json, sizeof(json), "{\"n\":%u,\"pad\":\"", number);
	struct line line = { .json = json,
			     .is_finding = true,
			     .severity = SEVERITY_ERROR,
			     .rule = "close.unowned",
			     .fingerprint = "9f31c2d4a7b80e15",
			     .message = "fd 4 was closed",
			     .pid = "4121" };

	while ((size_t)done + 3 < line_size)
		json[done++] = 'x';
	done += snprintf(json + done, sizeof(json) - (size_t)done, "\"}\n");
	line.length = (size_t)done;
	channel_put(c, &line, now_ns);
}

static struct channel_counters counters_of(const struct channel *c)
{
	struct channel_counters counters;

	channel_counters(c, &counters);
	return counters;
}

static int listener(int type)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	memcpy(address.sun_path, path, strlen(path));
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, 4), 0);
	return fd;
}

/* What has come to a stream so far. */
struct received {
	char text[1 << 20];
	size_t size;
};

static void receive(struct received *r, int fd, size_t most)
{
	while (most) {
		size_t room = sizeof(r->text) - 1 - r->size;
		ssize_t size = recv(fd, r->text + r->size, room < most ? room : most, MSG_DONTWAIT);

		if (size <= 0)
			break;
		r->size += (size_t)size;
		most -= (size_t)size;
	}
	r->text[r->size] = '\0';
}

/* What whole lines tell: every one must be JSON, and numbers must rise. */
struct told {
	unsigned int lines, markers;
	uint64_t dropped;
	json_int_t last;
};

static void read_line(struct told *told, const char *text, size_t length)
{
	json_error_t error;
	json_t *line = json_loadb(text, length, 0, &error);
	json_t *number = json_object_get(line, "n");

	if (!line)
		print_message("%s in: %.*s\n", error.text, (int)length, text);
	assert_non_null(line);
	if (number) {
		assert_true(json_integer_value(number) > told->last);
		told->last = json_integer_value(number);
		told->lines++;
	} else {
		json_t *own = json_object_get(line, "fdtrace");

		told->markers++;
		told->dropped += (uint64_t)json_integer_value(json_object_get(own, "dropped"));
	}
	json_decref(line);
}

static struct told read_lines(const char *text)
{
	struct told told = { .last = -1 };

	while (*text) {
		const char *end = strchr(text, '\n');

		assert_non_null(end);
		read_line(&told, text, (size_t)(end - text));
		text = end + 1;
	}
	return told;
}

static struct told read_file(const char *name)
{
	static char text[1 << 20];
	FILE *file = fopen(name, "r");
	size_t size;

	assert_non_null(file);
	size = fread(text, 1, sizeof(text) - 1, file);
	text[size] = '\0';
	fclose(file);
	return read_lines(text);
}

static void a_file_is_appended_to(void **state)
{
	struct output_config config = config_of(OUTPUT_FILE);
	struct channel *c = opened(&config);
	struct stat file;

	(void)state;
	put_number(c, 1, S);
	put_number(c, 2, S);
	channel_free(c);
	c = opened(&config);
	put_number(c, 3, S);
	assert_int_equal(counters_of(c).sent, 1);
	channel_free(c);
	assert_int_equal(read_file(path).lines, 3);
	assert_int_equal(stat(path, &file), 0);
	assert_int_equal(file.st_mode & 0137, 0);
}

static void a_line_left_unfinished_is_ended(void **state)
{
	struct output_config config = config_of(OUTPUT_FILE);
	struct channel *c;
	char text[64] = "";
	int fd = open(path, O_RDWR | O_CREAT, 0600);

	(void)state;
	assert_int_equal(write(fd, "{\"hal", 5), 5);
	c = opened(&config);
	line_size = 0;
	put_number(c, 1, S);
	channel_free(c);
	assert_true(pread(fd, text, sizeof(text) - 1, 0) > 0);
	assert_string_equal(text, "{\"hal\n{\"n\":1,\"pad\":\"\"}\n");
	close(fd);
}

static void a_file_is_rotated_by_rename(void **state)
{
	struct output_config config = config_of(OUTPUT_FILE);
	struct channel *c = opened(&config);
	char moved[128];

	(void)state;
	snprintf(moved, sizeof(moved), "%s.1", path);
	put_number(c, 1, S);
	assert_int_equal(rename(path, moved), 0);
	put_number(c, 2, S); /* noticed each second: until then the old one is right */
	channel_tick(c, 2 * S);
	put_number(c, 3, 2 * S);
	assert_int_equal(read_file(moved).lines, 2);
	assert_int_equal(read_file(path).lines, 1);
	unlink(path);
	channel_reopen(c, 3 * S);
	put_number(c, 4, 3 * S);
	assert_int_equal(read_file(path).last, 4);
	channel_free(c);
}

/* What has come in its place is not ours to write to: lines wait until that has gone again. */
static void a_file_is_rotated_into_something_else(void **state)
{
	struct output_config config = config_of(OUTPUT_FILE);
	struct channel *c = opened(&config);
	char moved[128];

	(void)state;
	snprintf(moved, sizeof(moved), "%s.1", path);
	put_number(c, 1, S);
	assert_int_equal(rename(path, moved), 0);
	assert_int_equal(symlink(moved, path), 0);
	channel_tick(c, 2 * S);
	put_number(c, 2, 2 * S);
	assert_int_equal(counters_of(c).failures, 1);
	assert_int_equal(read_file(moved).lines, 1);
	unlink(path);
	channel_tick(c, 4 * S);
	assert_int_equal(counters_of(c).sent, 2);
	assert_int_equal(read_file(path).last, 2);
	channel_free(c);
}

static void refused(const struct output_config *config, int expected)
{
	struct channel *c = NULL;
	struct error error = { 0 };

	assert_int_equal(channel_open(config, &c, &error), -expected);
	assert_null(c);
	assert_non_null(strstr(error.what, path));
	assert_true(error.remedy[0]);
}

static void what_is_no_file_of_ours_is_refused(void **state)
{
	struct output_config config = config_of(OUTPUT_FILE);
	char other[128];
	int fd;

	(void)state;
	snprintf(other, sizeof(other), "%s.1", path);
	assert_int_equal(mkdir(path, 0700), 0);
	refused(&config, EISDIR);
	rmdir(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	refused(&config, EINVAL);
	unlink(path);
	fd = open(other, O_CREAT | O_RDWR, 0600);
	assert_int_equal(symlink(other, path), 0);
	refused(&config, ELOOP);
	unlink(path);
	assert_int_equal(link(other, path), 0);
	refused(&config, EPERM);
	unlink(other);
	assert_int_equal(fchmod(fd, 0602), 0);
	refused(&config, EPERM);
	assert_int_equal(fchmod(fd, 0600), 0);
	if (geteuid() == 0) {
		assert_int_equal(fchown(fd, 12345, 12345), 0);
		refused(&config, EPERM);
	}
	close(fd);
	unlink(path);
	config.path = "/nonexistent/folder/lines";
	assert_int_equal(channel_open(&config, &(struct channel *){ NULL }, &(struct error){ 0 }),
			 -ENOENT);
}

/* RLIMIT_FSIZE makes the short writes and errors of a full disk. */
static void a_full_disk_tears_no_line(void **state)
{
	struct output_config config = config_of(OUTPUT_FILE);
	struct channel *c = opened(&config);
	struct rlimit limit, small;
	struct told told;

	(void)state;
	line_size = 100;
	getrlimit(RLIMIT_FSIZE, &limit);
	small = limit;
	for (unsigned int i = 1; i <= 200; i++) {
		small.rlim_cur = i * 37;
		setrlimit(RLIMIT_FSIZE, &small);
		put_number(c, i, i * 2 * S);
		told = read_file(path);
		assert_int_equal(told.lines, counters_of(c).sent);
		assert_int_equal(told.lines, small.rlim_cur / 100);
	}
	setrlimit(RLIMIT_FSIZE, &limit);
	assert_int_equal(counters_of(c).queued_bytes, (200 - 200 * 37 / 100) * 100);
	channel_tick(c, 1000 * S);
	assert_int_equal(counters_of(c).sent, 200);
	assert_int_equal(counters_of(c).dropped, 0);
	assert_true(counters_of(c).failures > 0);
	channel_free(c);
	assert_int_equal(read_file(path).lines, 200);
	line_size = 0;
}

/* Nobody reads: the queue fills to its bound, not a byte further, and all is accounted for. */
static void a_slow_reader_loses_the_newest(void **state)
{
	static struct received r;
	struct output_config config = config_of(OUTPUT_UNIX);
	int listening = listener(SOCK_STREAM), fd;
	struct channel *c = opened(&config);
	struct channel_counters counters;
	struct told told;
	uint64_t most = 0;

	(void)state;
	fd = accept(listening, NULL, NULL);
	line_size = 1024;
	for (unsigned int i = 1; i <= 2000; i++) {
		put_number(c, i, S);
		counters = counters_of(c);
		assert_true(counters.queued_bytes <= BOUND);
		most = counters.queued_bytes > most ? counters.queued_bytes : most;
	}
	assert_int_equal(most, BOUND);
	assert_int_equal(counters.sent + counters.queued_bytes / 1024 + counters.dropped, 2000);
	assert_true(counters.dropped > 500);
	for (unsigned int i = 0; i < 200; i++) {
		receive(&r, fd, 8000);
		channel_tick(c, S);
	}
	put_number(c, 2001, S);
	receive(&r, fd, sizeof(r.text));
	told = read_lines(r.text);
	assert_int_equal(told.markers, 1);
	assert_int_equal(told.dropped, counters.dropped);
	assert_int_equal(told.lines, 2001 - counters.dropped);
	assert_int_equal(told.last, 2001);
	channel_free(c);
	close(fd);
	close(listening);
	line_size = 0;
}

/* Any pace of reading, any size of lines, a tiny send buffer: whole lines, in order. */
static void short_writes_tear_no_line(void **state)
{
	static struct received r;
	struct output_config config = config_of(OUTPUT_STDOUT);
	int pair[2], saved = dup(STDOUT_FILENO), small = 1;
	struct channel *c;
	struct channel_counters counters;
	struct told told;

	(void)state;
	config.path = NULL;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	fflush(stdout);
	dup2(pair[0], STDOUT_FILENO);
	c = opened(&config);
	srand(1);
	r.size = 0;
	for (unsigned int i = 1; i <= 500; i++) {
		line_size = (size_t)(rand() % 9000);
		put_number(c, i, S);
		receive(&r, pair[1], (size_t)(rand() % 4000));
	}
	for (unsigned int i = 0; i < 100; i++) {
		receive(&r, pair[1], sizeof(r.text));
		channel_tick(c, S);
	}
	counters = counters_of(c);
	channel_free(c);
	dup2(saved, STDOUT_FILENO);
	told = read_lines(r.text);
	assert_int_equal(told.lines, counters.sent);
	assert_int_equal(told.dropped, counters.dropped);
	assert_int_equal(counters.sent + counters.dropped, 500);
	assert_true(counters.dropped > 0);
	close(saved);
	close(pair[0]);
	close(pair[1]);
	line_size = 0;
}

/* The other end of the pipe stays as it is: blocking or not is everybody's. */
static void a_full_pipe_holds_nobody_up(void **state)
{
	static char text[1 << 18];
	struct output_config config = config_of(OUTPUT_STDOUT);
	int ends[2], saved = dup(STDOUT_FILENO), flags;
	struct channel *c;
	ssize_t size;

	(void)state;
	config.path = NULL;
	assert_int_equal(pipe(ends), 0);
	fflush(stdout);
	dup2(ends[1], STDOUT_FILENO);
	c = opened(&config);
	line_size = 3000;
	for (unsigned int i = 1; i <= 100; i++)
		put_number(c, i, S);
	flags = fcntl(STDOUT_FILENO, F_GETFL);
	size = read(ends[0], text, sizeof(text) - 1);
	dup2(saved, STDOUT_FILENO);
	assert_false(flags & O_NONBLOCK);
	assert_true(counters_of(c).dropped > 0);
	assert_true(size > 0);
	text[size] = '\0';
	assert_int_equal(read_lines(text).lines * 3000, size);
	channel_free(c);
	close(saved);
	close(ends[0]);
	close(ends[1]);
	line_size = 0;
}

static void a_reader_comes_and_goes_and_comes_back(void **state)
{
	static struct received r;
	struct output_config config = config_of(OUTPUT_UNIX);
	struct channel *c = opened(&config); /* nobody is there yet: no reason to refuse */
	int listening, fd;

	(void)state;
	put_number(c, 1, S);
	assert_int_equal(counters_of(c).queued_bytes, sizeof("{\"n\":1,\"pad\":\"\"}"));
	listening = listener(SOCK_STREAM);
	channel_tick(c, 100 * S);
	assert_int_equal(counters_of(c).sent, 1);
	fd = accept(listening, NULL, NULL);
	receive(&r, fd, sizeof(r.text));
	close(fd);
	close(listening);
	unlink(path);
	put_number(c, 2, 100 * S);
	assert_int_equal(counters_of(c).sent, 1);
	listening = listener(SOCK_DGRAM); /* it may come back as something else */
	channel_tick(c, 200 * S);
	assert_int_equal(counters_of(c).sent, 2);
	receive(&r, listening, sizeof(r.text));
	assert_int_equal(read_lines(r.text).last, 2);
	assert_int_equal(read_lines(r.text).lines, 2);
	channel_free(c);
	close(listening);
}

/* Not more often than after 1, 2, 4 ... 30 s. */
static void a_dead_reader_is_asked_ever_less(void **state)
{
	struct output_config config = config_of(OUTPUT_UNIX);
	struct channel *c = opened(&config);

	(void)state;
	for (unsigned int second = 1; second <= 600; second++)
		for (unsigned int i = 0; i < 3; i++)
			channel_tick(c, second * S);
	assert_in_range(counters_of(c).failures, 20, 26);
	channel_free(c);
}

static void what_is_no_socket_is_refused(void **state)
{
	struct output_config config = config_of(OUTPUT_UNIX);
	struct channel *c = NULL;
	struct error error = { 0 };
	char far_too_long[200];

	(void)state;
	close(open(path, O_CREAT | O_RDWR, 0600));
	assert_int_equal(channel_open(&config, &c, &error), -ENOTSOCK);
	memset(far_too_long, 'a', sizeof(far_too_long) - 1);
	far_too_long[sizeof(far_too_long) - 1] = '\0';
	config.path = far_too_long;
	assert_int_equal(channel_open(&config, &c, &error), -ENAMETOOLONG);
}

static void only_what_was_asked_for_is_put(void **state)
{
	struct output_config config = config_of(OUTPUT_FILE);
	struct line line = { .json = "{\"n\":1}\n", .length = 8, .severity = SEVERITY_INFO };
	struct channel *c;

	(void)state;
	config.summaries = false;
	config.min_severity = SEVERITY_WARNING;
	c = opened(&config);
	channel_put(c, &line, S);
	line.is_finding = true;
	channel_put(c, &line, S);
	assert_int_equal(read_file(path).lines, 0);
	line.severity = SEVERITY_WARNING;
	channel_put(c, &line, S);
	assert_int_equal(read_file(path).lines, 1);
	assert_int_equal(counters_of(c).dropped, 0);
	channel_free(c);
}

/* One line of this kind to a socket of this type. */
static void sent_as(const struct output_config *config, int type, struct received *r)
{
	int listening = listener(type), fd = listening;
	struct channel *c = opened(config);

	if (type == SOCK_STREAM)
		fd = accept(listening, NULL, NULL);
	put_number(c, 7, S);
	r->size = 0;
	receive(r, fd, sizeof(r->text));
	channel_free(c);
	if (fd != listening)
		close(fd);
	close(listening);
	unlink(path);
}

#define JSON_7 "{\"n\":7,\"pad\":\"\"}"

static void syslog_has_two_forms(void **state)
{
	static struct received r;
	struct output_config config = config_of(OUTPUT_SYSLOG);
	char expected[128], month[8];
	int day, pid, used = 0;
	size_t size = 0;

	(void)state;
	sent_as(&config, SOCK_DGRAM, &r);
	assert_int_equal(
		sscanf(r.text, "<27>%3s %2d %*d:%*d:%*d fdtrace[%d]: %n", month, &day, &pid, &used),
		3);
	assert_int_equal(pid, getpid());
	assert_int_equal(r.text[7], ' ');
	assert_string_equal(r.text + used, JSON_7);
	sent_as(&config, SOCK_STREAM, &r);
	assert_string_equal(r.text + used, JSON_7 "\n");
	config.rfc5424 = true;
	sent_as(&config, SOCK_STREAM, &r);
	assert_int_equal(sscanf(r.text, "%zu %n", &size, &used), 1);
	assert_int_equal(size, r.size - (size_t)used);
	snprintf(expected, sizeof(expected), " fdtrace %d close.unowned - " JSON_7, getpid());
	assert_string_equal(r.text + r.size - strlen(expected), expected);
	assert_memory_equal(r.text + used, "<27>1 20", 8);
	sent_as(&config, SOCK_DGRAM, &r);
	assert_memory_equal(r.text, "<27>1 20", 8);
}

static void journald_gets_fields(void **state)
{
	static struct received r;
	static const char expected[] =
		"MESSAGE=fd 4 was closed\nPRIORITY=3\nSYSLOG_IDENTIFIER=fdtrace\n"
		"FDTRACE_RULE=close.unowned\nFDTRACE_FINGERPRINT=9f31c2d4a7b80e15\n"
		"FDTRACE_SEVERITY=error\nFDTRACE_PID=4121\nFDTRACE_JSON=" JSON_7 "\n";
	struct output_config config = config_of(OUTPUT_JOURNAL);

	(void)state;
	sent_as(&config, SOCK_DGRAM, &r);
	assert_string_equal(r.text, expected);
}

/* A newline in a value must not make a field of its own. */
static void journald_gets_newlines_by_length(void **state)
{
	static struct received r;
	static const char expected[] = "MESSAGE\n\x0b\0\0\0\0\0\0\0a\nPRIORITY=\nPRIORITY=6\n"
				       "SYSLOG_IDENTIFIER=fdtrace\nFDTRACE_JSON={}\n";
	struct output_config config = config_of(OUTPUT_JOURNAL);
	struct line line = { .json = "{}", .length = 2, .message = "a\nPRIORITY=" };
	int listening = listener(SOCK_DGRAM);
	struct channel *c = opened(&config);

	(void)state;
	channel_put(c, &line, S);
	r.size = 0;
	receive(&r, listening, sizeof(r.text));
	assert_int_equal(r.size, sizeof(expected) - 1);
	assert_memory_equal(r.text, expected, r.size);
	channel_free(c);
	close(listening);
}

/* Too long for the queue, or for a datagram: dropped, told, and those behind it go on. */
static void too_long(size_t size, uint64_t queue_bytes)
{
	static struct received r;
	struct output_config config = config_of(OUTPUT_UNIX);
	int listening = listener(SOCK_DGRAM);
	struct channel *c;

	config.queue_bytes = queue_bytes;
	c = opened(&config);
	line_size = size;
	put_number(c, 1, S);
	line_size = 0;
	put_number(c, 2, S);
	r.size = 0;
	receive(&r, listening, sizeof(r.text));
	assert_int_equal(read_lines(r.text).lines, 1);
	assert_int_equal(read_lines(r.text).dropped, 1);
	assert_int_equal(counters_of(c).dropped, 1);
	assert_int_equal(counters_of(c).sent, 1);
	channel_free(c);
	close(listening);
	unlink(path);
}

static void a_line_too_long_holds_up_no_other(void **state)
{
	(void)state;
	too_long(30000, 20000);
	too_long(4 << 20, 8 << 20);
}

static void the_journal_is_told_priorities_on_stdout(void **state)
{
	static struct received r;
	struct output_config config = config_of(OUTPUT_STDOUT);
	int pair[2], saved = dup(STDOUT_FILENO);
	struct channel *c;
	struct stat out;
	char stream[64];

	(void)state;
	config.path = NULL;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(fstat(pair[0], &out), 0);
	snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)out.st_dev, (uintmax_t)out.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	fflush(stdout);
	dup2(pair[0], STDOUT_FILENO);
	c = opened(&config);
	put_number(c, 7, S);
	dup2(saved, STDOUT_FILENO);
	unsetenv("JOURNAL_STREAM");
	r.size = 0;
	receive(&r, pair[1], sizeof(r.text));
	assert_string_equal(r.text, "<3>" JSON_7 "\n");
	channel_free(c);
	close(saved);
	close(pair[0]);
	close(pair[1]);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, make_folder, remove_folder)
int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_file_is_appended_to),
		TEST(a_line_left_unfinished_is_ended),
		TEST(a_file_is_rotated_by_rename),
		TEST(a_file_is_rotated_into_something_else),
		TEST(what_is_no_file_of_ours_is_refused),
		TEST(a_full_disk_tears_no_line),
		TEST(a_slow_reader_loses_the_newest),
		TEST(short_writes_tear_no_line),
		TEST(a_full_pipe_holds_nobody_up),
		TEST(a_reader_comes_and_goes_and_comes_back),
		TEST(a_dead_reader_is_asked_ever_less),
		TEST(what_is_no_socket_is_refused),
		TEST(only_what_was_asked_for_is_put),
		TEST(syslog_has_two_forms),
		TEST(journald_gets_fields),
		TEST(journald_gets_newlines_by_length),
		TEST(a_line_too_long_holds_up_no_other),
		TEST(the_journal_is_told_priorities_on_stdout),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
