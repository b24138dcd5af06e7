// SPDX-License-Identifier: BSD-2-Clause
/* JSON lines: valid by the schema, short enough, the same every time, whatever names hold. */
#include "sink_fixture.h"

#include <jansson.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "output/json/json.h"
#include "output/json/json_text.h"

#define SCHEMA "src/output/json/finding.schema.json"
#define VALIDATOR "tests/live/validate_jsonl.py"
#define LINE_MAX_BYTES 4000

static void begin(struct capture *c, bool full)
{
	struct sink_options options;

	c->fd = capture_file();
	options = capture_options(c->fd);
	options.full = full;
	assert_int_equal(output_format_json.sink_new(&options, &c->sink), 0);
}

static const char *render(struct capture *c, const struct finding *f)
{
	assert_int_equal(c->sink->ops->finding(c->sink, f), 0);
	return captured(c);
}

static json_t *parse(const char *line)
{
	json_error_t error;
	json_t *object = json_loads(line, JSON_REJECT_DUPLICATES, &error);

	assert_non_null(object);
	return object;
}

/* "process.parent.pid"; numbers index arrays. NULL if there is nothing. */
static json_t *at(json_t *value, const char *path)
{
	char key[64];

	while (value && *path) {
		size_t length = strcspn(path, ".");

		snprintf(key, sizeof(key), "%.*s", (int)length, path);
		value = json_is_array(value) ? json_array_get(value, (size_t)atoi(key))
					     : json_object_get(value, key);
		path += length + (path[length] == '.');
	}
	return value;
}

static const char *text_at(json_t *value, const char *path)
{
	const char *text = json_string_value(at(value, path));

	return text ? text : "(absent)";
}

static void a_finding_to_the_byte(void **state)
{
	static struct capture c;
	struct finding f = finding_unowned();

	(void)state;
	begin(&c, false);
	f.history_count = 0;
	f.opened.known = false;
	f.used.site = NULL;
	assert_string_equal(
		render(&c, &f),
		"{\"@timestamp\":\"2026-11-20T23:59:59.123456789Z\",\"severity\":\"error\","
		"\"message\":\"fd 4 was closed by worker() while send_payment() still used it\","
		"\"rule\":{\"id\":\"close.unowned\",\"category\":\"close\"},"
		"\"host\":{\"name\":\"web-17\",\"id\":\"7d8e6a0b6f1c4c0f9a3a5d2b1c0e9f88\","
		"\"boot\":{\"id\":\"0b9f3c52-5a9e-4f6e-9d0a-2f1f3a1f9c77\"}},"
		"\"process\":{\"pid\":4121,\"name\":\"python3\",\"executable\":\"/usr/bin/"
		"python3.11\","
		"\"command_line\":\"python3 app.py "
		"--port=80\",\"start\":\"2026-11-20T21:13:19.123456789Z\","
		"\"entity_id\":\"2bd727918b8330ea\",\"parent\":{\"pid\":1},\"user\":{\"id\":"
		"\"1000\"}},"
		"\"network\":{\"transport\":\"tcp\",\"local\":{\"address\":\"10.0.0.5\",\"port\":"
		"51234},"
		"\"peer\":{\"address\":\"10.0.0.9\",\"port\":5432}},"
		"\"event\":{\"kind\":\"alert\",\"category\":[\"process\"],\"type\":[\"info\"],"
		"\"dataset\":\"fdtrace.finding\",\"id\":\"00c0ffee00c0ffee-812\",\"sequence\":812,"
		"\"severity\":17,\"start\":\"2026-11-20T23:59:41.023456789Z\","
		"\"end\":\"2026-11-20T23:59:59.123456789Z\","
		"\"reason\":\"tid 4130 had closed gen 1 of number 4 itself, then closed 4 again\"},"
		"\"log\":{\"level\":\"error\"},\"ecs\":{\"version\":\"8.11.0\"},"
		"\"error\":{\"code\":\"EBADF\",\"stack_trace\":\"worker (app.py:57)\\nrun "
		"(threading.py:975)\"},"
		"\"fdtrace\":{\"schema\":1,\"fingerprint\":\"9f31c2d4a7b80e15\",\"state\":\"new\","
		"\"count\":1,"
		"\"confidence\":\"exact\",\"coverage\":\"tracepoint\",\"fd\":4,\"kind\":\"tcp\","
		"\"generation\":2,"
		"\"help\":\"let the object own its descriptor; remove the second os.close()\","
		"\"closed\":{\"at\":\"2026-11-20T23:59:59.102456789Z\",\"pid\":4121,\"tid\":4130,"
		"\"name\":\"python3\",\"syscall\":\"close\","
		"\"stack\":[\"worker (app.py:57)\",\"run (threading.py:975)\"]},"
		"\"used\":{\"at\":\"2026-11-20T23:59:59.123456789Z\",\"pid\":4121,\"tid\":4121,"
		"\"name\":\"python3\",\"syscall\":\"sendto\",\"error\":\"EBADF\"}}}\n");
	capture_end(&c);
}

static void evidence_of_other_rules(void **state)
{
	static struct capture c;
	struct finding f = finding_emfile(), g = finding_sweep();
	json_t *line;

	(void)state;
	begin(&c, false);
	line = parse(render(&c, &f));
	assert_string_equal(text_at(line, "error.code"), "EMFILE");
	assert_string_equal(text_at(line, "fdtrace.state"), "ongoing");
	assert_int_equal(json_integer_value(at(line, "fdtrace.limit.exhausted_in_s")), 120);
	assert_true(json_real_value(at(line, "fdtrace.limit.rate_per_min")) == 2.5);
	assert_int_equal(json_integer_value(at(line, "fdtrace.sites.0.open")), 612);
	assert_int_equal(json_integer_value(at(line, "fdtrace.sites.0.oldest_s")), 812);
	assert_int_equal(json_integer_value(at(line, "fdtrace.sites.0.asked")), 64);
	assert_int_equal(json_integer_value(at(line, "fdtrace.sites.0.idle")), 33);
	assert_int_equal(json_integer_value(at(line, "fdtrace.sites.0.idle_s")), 12);
	assert_int_equal(json_integer_value(at(line, "fdtrace.sites.0.established")), 34);
	assert_int_equal(json_integer_value(at(line, "fdtrace.sites.0.close_wait")), 30);
	assert_null(at(line, "fdtrace.sites.1.asked"));
	assert_string_equal(text_at(line, "fdtrace.sites.0.stack.1"), "main (app.py:31)");
	assert_string_equal(text_at(line, "fdtrace.sites.2.label"), "opener unknown");
	assert_int_equal(json_integer_value(at(line, "fdtrace.sites_total")), 9);
	assert_null(at(line, "fdtrace.fd"));
	assert_null(at(line, "file"));
	json_decref(line);
	line = parse(render(&c, &g));
	assert_int_equal(json_integer_value(at(line, "event.severity")), 13);
	assert_int_equal(json_integer_value(at(line, "fdtrace.sweep.tries")), 1048573);
	assert_string_equal(text_at(line, "fdtrace.victims.0.hurt.error"), "EBADF");
	assert_string_equal(text_at(line, "fdtrace.victims.1.name"), "/var/log/app.log");
	assert_null(at(line, "fdtrace.victims.1.opened"));
	assert_null(at(line, "event.reason"));
	json_decref(line);
	capture_end(&c);
}

/* What a descriptor is called becomes a file, a connection, or stays a name. */
static void files_and_connections(void **state)
{
	static const struct {
		enum fd_kind kind;
		const char *name, *path, *value;
	} samples[] = {
		{ FD_KIND_FILE, "/var/x y", "file.path", "/var/x y" },
		{ FD_KIND_FILE, "/var/x y", "file.inode", "88123" },
		{ FD_KIND_PIPE, NULL, "file.inode", "88123" },
		{ FD_KIND_PIPE, "pipe:[88123]", "fdtrace.name", "pipe:[88123]" },
		{ FD_KIND_MEMFD, "memfd:z", "fdtrace.name", "memfd:z" },
		{ FD_KIND_TCP, "tcp [::1]:80 listening", "network.local.address", "::1" },
		{ FD_KIND_TCP, "tcp [::1]:80 listening", "network.connection.state", "listening" },
		{ FD_KIND_TCP, "tcp [fe80::1]:80 -> [fe80::2]:65535", "network.peer.address",
		  "fe80::2" },
		{ FD_KIND_UDP, "udp 0.0.0.0:53", "network.transport", "udp" },
		{ FD_KIND_UNIX, "unix /run/x.sock", "network.local.address", "/run/x.sock" },
		{ FD_KIND_TCP, "tcp 1.2.3.4:65536", "fdtrace.name", "1.2.3.4:65536" },
		{ FD_KIND_TCP, "tcp 1.2.3.4:99999999999999999999", "network.local.address",
		  "(absent)" },
		{ FD_KIND_TCP, "1.2.3.4:80 -> ", "network.local.address", "(absent)" },
		{ FD_KIND_TCP, "[]:1", "network.local.address", "(absent)" },
		{ FD_KIND_TCP, ":1", "network.local.address", "(absent)" },
		{ FD_KIND_TCP, "", "network.local.address", "(absent)" },
		{ FD_KIND_EPOLL, NULL, "file.inode", "(absent)" },
	};
	static struct capture c;
	struct finding f = finding_unowned();

	(void)state;
	begin(&c, false);
	for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
		json_t *line;

		f.descriptor.kind = samples[i].kind;
		f.descriptor.name = samples[i].name;
		line = parse(render(&c, &f));
		assert_string_equal(text_at(line, samples[i].path), samples[i].value);
		json_decref(line);
	}
	capture_end(&c);
}

#define ID "3f2a9c1b7d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8"
#define POD "1b4c2a33-9d1e-4f0a-8b77-0123456789ab"

static json_t *placed_line(struct capture *c, const char *cgroup, uint32_t inner_pid)
{
	struct process placed = python;
	struct finding f = finding_unowned();

	placed.cgroup = (char *)cgroup;
	placed.inner_pid = inner_pid;
	f.process = &placed;
	begin(c, false);
	return parse(render(c, &f));
}

static void where_it_is(void **state)
{
	static struct capture c;
	json_t *line = placed_line(&c, "/kubepods/pod" POD "/docker/" ID "/app.service", 7);

	(void)state;
	assert_string_equal(text_at(line, "service.name"), "app.service");
	assert_string_equal(text_at(line, "container.id"), ID);
	assert_string_equal(text_at(line, "container.runtime"), "docker");
	assert_string_equal(text_at(line, "orchestrator.type"), "kubernetes");
	assert_string_equal(text_at(line, "orchestrator.resource.type"), "pod");
	assert_string_equal(text_at(line, "orchestrator.resource.id"), POD);
	assert_string_equal(text_at(line, "kubernetes.pod.uid"), POD);
	assert_string_equal(text_at(line, "fdtrace.cgroup"),
			    "/kubepods/pod" POD "/docker/" ID "/app.service");
	assert_int_equal(json_integer_value(at(line, "fdtrace.pid_in_container")), 7);
	json_decref(line);
	capture_end(&c);
}

/* Absent, never empty: on the host the pid is no news. */
static void in_no_container(void **state)
{
	static const char *const absent[] = { "service", "container", "orchestrator", "kubernetes",
					      "fdtrace.pid_in_container" };
	static struct capture c;
	json_t *line = placed_line(&c, "/some/where", python.pid);

	(void)state;
	for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); i++)
		assert_null(at(line, absent[i]));
	assert_string_equal(text_at(line, "fdtrace.cgroup"), "/some/where");
	json_decref(line);
	capture_end(&c);
	line = placed_line(&c, NULL, 0);
	assert_null(at(line, "fdtrace.cgroup"));
	json_decref(line);
	capture_end(&c);
}

/* Whoever may make cgroups chooses their names: 500 bytes of them that all need escaping. */
static void a_hostile_cgroup(void **state)
{
	static char cgroup[512];
	static struct capture c;
	json_t *line;

	(void)state;
	memset(cgroup, '\x01', sizeof(cgroup) - 1);
	cgroup[0] = '/';
	memcpy(cgroup + 500, ".service", 9);
	line = placed_line(&c, cgroup, 7);
	assert_true(strlen(captured(&c)) <= LINE_MAX_BYTES);
	assert_string_equal(text_at(line, "rule.id"), "close.unowned");
	assert_true(json_is_true(at(line, "fdtrace.truncated")));
	json_decref(line);
	capture_end(&c);
}

static void numbers_and_times_at_their_ends(void **state)
{
	static struct capture c;
	struct finding f = finding_emfile();
	json_t *line;

	(void)state;
	begin(&c, false);
	f.limit.soft = f.count = f.sequence = UINT64_MAX;
	f.limit.rate_per_min = 1e300 * 1e300; /* infinite */
	f.fingerprint = UINT64_MAX;
	f.first_ns = 0;
	f.time_ns = UINT64_MAX;
	line = parse(render(&c, &f));
	assert_int_equal(json_integer_value(at(line, "fdtrace.limit.soft")),
			 (INT64_C(1) << 53) - 1);
	assert_int_equal(json_integer_value(at(line, "fdtrace.count")), (INT64_C(1) << 53) - 1);
	assert_null(at(line, "fdtrace.limit.rate_per_min"));
	assert_string_equal(text_at(line, "fdtrace.fingerprint"), "ffffffffffffffff");
	assert_string_equal(text_at(line, "event.id"), "00c0ffee00c0ffee-18446744073709551615");
	assert_string_equal(text_at(line, "@timestamp"), "2262-04-11T23:47:16.854775807Z");
	json_decref(line);
	capture_end(&c);
}

static void below_the_minimum_is_dropped(void **state)
{
	static struct capture c;
	struct sink_options options;
	struct finding f = finding_unowned();

	(void)state;
	c.fd = capture_file();
	options = capture_options(c.fd);
	options.min_severity = SEVERITY_ERROR;
	assert_int_equal(output_format_json.sink_new(&options, &c.sink), 0);
	f.severity = SEVERITY_WARNING;
	assert_string_equal(render(&c, &f), "");
	capture_end(&c);
}

/* Bytes that a name may hold, and that must not stand raw in a line. */
static void controls_are_escaped(void **state)
{
	static const char name[] =
		"/\x01\n\x7f\xc2\x85\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xae\xe2\x81\xa9\xff\"\\";
	static struct capture c;
	struct finding f = finding_unowned();
	json_t *line;

	(void)state;
	begin(&c, false);
	f.descriptor.kind = FD_KIND_FILE;
	f.descriptor.name = name;
	render(&c, &f);
	assert_non_null(strstr(c.text,
			       "\"path\":\"/\\u0001\\n\\u007F\\u0085\\u2028\\u2029\\u202E\\u2069"
			       "\xef\xbf\xbd\\\"\\\\\""));
	line = parse(c.text);
	assert_string_equal(text_at(line, "file.path"),
			    "/\x01\n\x7f\xc2\x85\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xae\xe2\x81\xa9"
			    "\xef\xbf\xbd\"\\");
	json_decref(line);
	capture_end(&c);
}

static void a_frame_cannot_forge_frames(void **state)
{
	static const struct stack_frame frames[] = { { .text = "evil\ninnocent (libc.so.6)" },
						     { .text = "main (a.c:1)" } };
	static const struct stack stack = { .frames = frames, .frame_count = 2 };
	struct site site = site_worker;
	static struct capture c;
	struct finding f = finding_unowned();
	json_t *line;

	(void)state;
	begin(&c, false);
	site.stack = &stack;
	f.closed.site = &site;
	line = parse(render(&c, &f));
	assert_string_equal(text_at(line, "error.stack_trace"),
			    "evil innocent (libc.so.6)\nmain (a.c:1)");
	json_decref(line);
	capture_end(&c);
}

static size_t length_at(json_t *line, const char *path)
{
	return json_array_size(at(line, path));
}

static void gaps_and_ends_of_stacks_are_told(void **state)
{
	static struct capture c;
	struct finding f = finding_unowned();
	json_t *line;

	(void)state;
	begin(&c, false);
	f.closed.site = &site_mixed;
	line = parse(render(&c, &f));
	assert_non_null(strstr(
		c.text, "\"stack\":[\"close (libc.so.6+0xf4b20)\",\"?? (python3.11+0x2c0de)\","
			"\"Pool.__del__ (/srv/pool.py:99)\","
			"\"run (/usr/lib/python3.11/threading.py:975)\",\"... 3 more\","
			"\"handle (/srv/app.py:7)\",\"main (/srv/app.py:70)\","
			"\"start (boot.c:12)\",\"...\"]"));
	assert_string_equal(
		text_at(line, "error.stack_trace"),
		"close (libc.so.6+0xf4b20)\n?? (python3.11+0x2c0de)\n"
		"Pool.__del__ (/srv/pool.py:99)\n"
		"run (/usr/lib/python3.11/threading.py:975)\n... 3 more\n"
		"handle (/srv/app.py:7)\nmain (/srv/app.py:70)\nstart (boot.c:12)\n...");
	assert_null(at(line, "fdtrace.truncated"));
	json_decref(line);
	capture_end(&c);
}

/* Before anything else has to go, the frames of the system do; where there are no others they stay. */
static void the_system_gives_way_first(void **state)
{
	static char text[40][64];
	static struct stack_frame frames[40], system[40];
	const struct stack mixed = { .frames = frames, .frame_count = 40 };
	const struct stack bare = { .frames = system, .frame_count = 40 };
	struct site closed = site_worker, opened = site_connect;
	static struct capture c;
	struct finding f = finding_unowned();
	json_t *line;

	(void)state;
	for (int i = 0; i < 40; i++) {
		snprintf(text[i], sizeof(text[i]), "some_function_%02d (libc.so.6+0x%d)", i, i);
		system[i] = frames[i] = (struct stack_frame){ text[i], 1, FDT_SITE_FRAME_SYSTEM };
		if (i % 4 == 3)
			frames[i].flags = PYTHON;
	}
	closed.stack = &mixed;
	opened.stack = &bare;
	begin(&c, false);
	f.closed.site = &closed;
	f.opened.site = &opened;
	f.history_count = 0;
	line = parse(render(&c, &f));
	assert_int_equal(length_at(line, "fdtrace.closed.stack"), 10);
	assert_string_equal(text_at(line, "fdtrace.closed.stack.1"),
			    "some_function_07 (libc.so.6+0x7)");
	assert_true(length_at(line, "fdtrace.opened.stack") > 10);
	assert_true(json_is_true(at(line, "fdtrace.truncated")));
	json_decref(line);
	capture_end(&c);
}

/* Everything as long as it can be, of the given character. */
struct worst {
	char text[5000];
	struct stack_frame frames[64];
	struct stack stack;
	struct site site;
	struct process process;
	struct hostinfo host;
	struct finding finding;
};

static void fill(char *field, size_t size, const char *unit)
{
	size_t length = strlen(unit);

	field[0] = '\0';
	for (size_t done = 0; done + length < size; done += length)
		memcpy(field + done, unit, length + 1);
}

static void make_worst(struct worst *w, const char *unit, size_t length, unsigned int frames)
{
	struct finding *f = &w->finding;
	struct operation everything;

	memset(w, 0, sizeof(*w));
	fill(w->text, length + 1, unit);
	for (int i = 0; i < 64; i++)
		w->frames[i].text = w->text;
	w->stack = (struct stack){ .frames = w->frames, .frame_count = (uint16_t)frames };
	w->site = (struct site){ .refs = 1, .process = &w->process, .stack = &w->stack };
	w->process = python;
	w->process.exe = w->process.args = w->text;
	w->process.args_size = length;
	fill(w->process.name, sizeof(w->process.name), unit);
	w->host = fixture_host;
	fill(w->host.host_name, sizeof(w->host.host_name), unit);
	fill(w->host.host_id, sizeof(w->host.host_id), unit);
	fill(w->host.boot_id, sizeof(w->host.boot_id), unit);
	fill(w->host.start_id, sizeof(w->host.start_id), unit);
	fill(w->host.coverage, sizeof(w->host.coverage), unit);
	*f = finding_unowned();
	everything = operation(5, 4121, FDT_SYS_sendto, EBADF, &w->site);
	everything.name = everything.how = w->text;
	f->process = &w->process;
	f->opened = f->closed = f->used = everything;
	f->message = f->why = f->help = f->subject = f->descriptor.name = w->text;
	f->history_count = FINDING_HISTORY_MAX;
	for (int i = 0; i < FINDING_HISTORY_MAX; i++)
		f->history[i] = (struct lifetime){ 1, FD_KIND_FILE, everything, everything };
	f->site_count = FINDING_SITES_MAX;
	f->site_total = UINT32_MAX;
	for (int i = 0; i < FINDING_SITES_MAX; i++)
		f->sites[i] = (struct site_row){ .site = &w->site,
						 .label = w->text,
						 .calls = UINT32_MAX,
						 .target = w->text,
						 .state = w->text,
						 .looked = UINT32_MAX,
						 .alike = UINT32_MAX,
						 .kind = FD_KIND_FILE,
						 .open = UINT64_MAX,
						 .opened = UINT64_MAX,
						 .closed = UINT64_MAX,
						 .oldest_ns = UINT64_MAX,
						 .example_fd = INT32_MAX,
						 .example_name = w->text,
						 .asked = UINT32_MAX,
						 .idle = UINT32_MAX,
						 .idle_ns = UINT64_MAX,
						 .established = UINT32_MAX,
						 .close_wait = UINT32_MAX };
	f->victim_count = FINDING_VICTIMS_MAX;
	f->victim_total = UINT32_MAX;
	for (int i = 0; i < FINDING_VICTIMS_MAX; i++)
		f->victims[i] =
			(struct victim){ INT32_MAX, FD_KIND_FILE, w->text, everything, everything };
	f->limit = finding_emfile().limit;
	f->sweep = finding_sweep().sweep;
	f->sequence = f->fingerprint = UINT64_MAX;
}

static void begin_with_host(struct capture *c, const struct hostinfo *host)
{
	struct sink_options options;

	c->fd = capture_file();
	options = capture_options(c->fd);
	options.host = host;
	assert_int_equal(output_format_json.sink_new(&options, &c->sink), 0);
}

static void a_line_is_never_too_long(void **state)
{
	static const char *const units[] = { "a",        "\x01", "\"", "\xff", "\xe2\x80\xae",
					     "\xc2\x9b", "\n" };
	static const size_t lengths[] = { 0, 1, 30, 100, 300, 1000, 4999 };
	static const unsigned int frames[] = { 0, 1, 3, 17, 64 };
	static struct capture c;
	static struct worst w;

	(void)state;
	for (unsigned int i = 0; i < 7 * 7 * 5; i++) {
		json_t *line;

		make_worst(&w, units[i % 7], lengths[i / 7 % 7], frames[i / 49]);
		begin_with_host(&c, &w.host);
		render(&c, &w.finding);
		assert_true(strlen(c.text) <= LINE_MAX_BYTES);
		assert_ptr_equal(strchr(c.text, '\n'), c.text + strlen(c.text) - 1);
		line = parse(c.text);
		assert_string_equal(text_at(line, "fdtrace.fingerprint"), "ffffffffffffffff");
		assert_string_equal(text_at(line, "rule.id"), "close.unowned");
		assert_true(json_is_true(at(line, "fdtrace.truncated")));
		json_decref(line);
		capture_end(&c);
	}
}

/* Frames go first and from the middle, then lists, then the command line; short texts stay. */
static void what_gives_way_first(void **state)
{
	static char text[64][48];
	static struct capture c;
	static struct worst w;
	struct finding f;
	json_t *line;

	(void)state;
	make_worst(&w, "a", 20, 64);
	for (int i = 0; i < 64; i++) {
		snprintf(text[i], sizeof(text[i]), "function_%02d (file.c:%d)", i, i);
		w.frames[i].text = text[i];
	}
	begin(&c, false);
	f = w.finding;
	f.history_count = f.victim_count = f.site_count = 0;
	f.victim_total = f.site_total = 0;
	line = parse(render(&c, &f));
	assert_true(length_at(line, "fdtrace.used.stack") > 8 &&
		    length_at(line, "fdtrace.used.stack") < 64);
	assert_string_equal(text_at(line, "fdtrace.used.stack.0"), "function_00 (file.c:0)");
	assert_non_null(strstr(
		c.text, "\"function_07 (file.c:7)\",\"... 48 more\",\"function_56 (file.c:56)\""));
	assert_string_equal(text_at(line, "process.command_line"), "aaaaaaaaaaaaaaaaaaaa");
	json_decref(line);
	line = parse(render(&c, &w.finding));
	assert_true(length_at(line, "fdtrace.used.stack") == 5);
	assert_true(length_at(line, "fdtrace.sites") < FINDING_SITES_MAX);
	assert_string_equal(text_at(line, "process.command_line"), "aaaaaaaaaaaaaaaaaaaa");
	json_decref(line);
	capture_end(&c);
}

/* A line of at most max bytes, freed by the caller; the one of a builder with that cap. */
static char *cut_to(const struct finding *f, const struct hostinfo *host, size_t max)
{
	struct builder b = { .host = host };
	json_t *object = json_finding_object(&b, f);
	size_t length;
	char *line;

	assert_false(b.failed);
	assert_int_equal(json_cut_line(&b.parts, object, max, &line, &length), 0);
	assert_int_equal(strlen(line), length);
	json_decref(object);
	json_builder_done(&b);
	return line;
}

static bool is_said_of_cuts(const char *key)
{
	return !strcmp(key, "truncated") || !strcmp(key, "sites_total") ||
	       !strcmp(key, "victims_total");
}

static bool shows_as_much(const json_t *more, const json_t *less);

static bool text_shows_as_much(const char *more, const char *less)
{
	size_t length = strlen(less);

	if (!strcmp(more, less))
		return true;
	return length >= 3 && !strcmp(less + length - 3, "...") && !strncmp(more, less, length - 3);
}

/* A stack: rows about missing frames aside, its frames are among those of the other one. */
static bool stack_shows_as_much(const json_t *more, const json_t *less)
{
	size_t at = 0;

	for (size_t i = 0; i < json_array_size(less); i++) {
		const char *frame = json_string_value(json_array_get(less, i));

		if (!strncmp(frame, "... ", 4))
			continue;
		while (at < json_array_size(more) &&
		       !text_shows_as_much(json_string_value(json_array_get(more, at)), frame))
			at++;
		if (at++ == json_array_size(more))
			return false;
	}
	return true;
}

static bool array_shows_as_much(const json_t *more, const json_t *less)
{
	if (json_is_string(json_array_get(less, 0)))
		return stack_shows_as_much(more, less);
	for (size_t i = 0; i < json_array_size(less); i++)
		if (!shows_as_much(json_array_get(more, i), json_array_get(less, i)))
			return false;
	return true;
}

static bool shows_as_much(const json_t *more, const json_t *less)
{
	const char *key;
	json_t *value;

	if (!more || json_typeof(more) != json_typeof(less))
		return false;
	if (json_is_array(less))
		return array_shows_as_much(more, less);
	if (json_is_string(less))
		return text_shows_as_much(json_string_value(more), json_string_value(less));
	json_object_foreach(
		(json_t *)less, key,
		value) if (strcmp(key, "stack_trace") && !is_said_of_cuts(key) &&
			   !shows_as_much(json_object_get(more, key), value)) return false;
	return json_is_object(less) || json_equal(more, less);
}

#define LONG_ROWS 3

/* The number of rows there were is said exactly where fewer are shown. */
static void assert_total(json_t *line, const char *key, const char *total_key, unsigned int total)
{
	json_t *said = at(line, total_key);

	if (length_at(line, key) < total)
		assert_int_equal(json_integer_value(said), total);
	else
		assert_null(said);
}

static void assert_well_cut(json_t *line, const json_t *full)
{
	json_t *copy = json_deep_copy(line);

	assert_total(line, "fdtrace.sites", "fdtrace.sites_total", LONG_ROWS);
	assert_total(line, "fdtrace.victims", "fdtrace.victims_total", LONG_ROWS);
	assert_true(shows_as_much(full, line));
	json_object_del(at(copy, "fdtrace"), "truncated");
	assert_int_equal(!json_equal(copy, full), json_is_true(at(line, "fdtrace.truncated")));
	json_decref(copy);
}

/* Frames, a gap, a cut end, rows, long texts: parts of every kind that may be cut. */
static void make_long(struct worst *w, char frames[16][64])
{
	make_worst(w, "ab\"\n\xe2\x80\xae", 120, 16);
	w->host = fixture_host;
	for (int i = 0; i < 16; i++) {
		snprintf(frames[i], 64, "frame_%02d\n\xc3\xa4 (some/file.c:%d)", i, i * i);
		w->frames[i].text = frames[i];
		w->frames[i].flags = i % 3 == 2 ? PYTHON : i % 3 == 1 ? FDT_SITE_FRAME_SYSTEM : 0;
	}
	w->stack.left_out = 3;
	w->stack.left_out_at = 5;
	w->stack.flags = FDT_SITE_CUT;
	w->finding.history_count = 0;
	w->finding.site_total = w->finding.site_count = LONG_ROWS;
	w->finding.victim_total = w->finding.victim_count = LONG_ROWS;
}

/* Lines of ever larger caps, and the one of the last cap. */
struct caps {
	struct worst w;
	json_t *full, *object;
	char *line;
	unsigned int changes;
};

/*
 * A line unlike that of the cap before has exactly the length of its cap: sizes are worked out to
 * the byte, and nothing is cut that there was room for.
 */
static void take_cap(struct caps *caps, size_t cap)
{
	char *line = cut_to(&caps->w.finding, &caps->w.host, cap);
	json_t *object;

	assert_true(strlen(line) <= cap);
	if (strcmp(line, caps->line)) {
		object = parse(line);
		assert_int_equal(strlen(line), cap);
		assert_true(shows_as_much(object, caps->object));
		assert_well_cut(object, caps->full);
		json_decref(caps->object);
		caps->object = object;
		caps->changes++;
	}
	free(caps->line);
	caps->line = line;
}

#define CAPS_STEP 64

/* Where two caps give the same line, so do those between them: only the others are tried one by one. */
static void take_caps(struct caps *caps, size_t from, size_t to)
{
	char *line = cut_to(&caps->w.finding, &caps->w.host, to);

	for (size_t cap = from; strcmp(caps->line, line) && cap <= to; cap++)
		take_cap(caps, cap);
	assert_string_equal(caps->line, line);
	free(line);
}

static void each_cap_is_used(void **state)
{
	static char frames[16][64];
	static struct caps caps;
	char *full_line;

	(void)state;
	make_long(&caps.w, frames);
	full_line = cut_to(&caps.w.finding, &caps.w.host, JSON_ALL);
	caps.full = parse(full_line);
	caps.line = cut_to(&caps.w.finding, &caps.w.host, 0);
	caps.object = parse(caps.line);
	for (size_t cap = strlen(caps.line); cap <= strlen(full_line); cap += CAPS_STEP)
		take_caps(&caps, cap, cap + CAPS_STEP - 1);
	assert_string_equal(caps.line, full_line);
	assert_true(caps.changes > 10);
	json_decref(caps.object);
	json_decref(caps.full);
	free(caps.line);
	free(full_line);
}

/* The line for the store is the same whoever makes it, and the one that follows it, too. */
static void evidence_is_built_once(void **state)
{
	static struct capture a, b;
	static struct worst w;
	char *line, *expected;
	size_t length, expected_length;

	(void)state;
	make_worst(&w, "a", 100, 10);
	begin(&a, false);
	begin(&b, false);
	assert_int_equal(
		json_finding_line(&fixture_host, NULL, &w.finding, &expected, &expected_length), 0);
	assert_int_equal(a.sink->ops->evidence(a.sink, &w.finding, &line, &length), 0);
	assert_int_equal(length, expected_length);
	assert_string_equal(line, expected);
	assert_non_null(strstr(line, "\"stack_ids\":["));
	render(&b, &w.finding);
	assert_string_equal(render(&a, &w.finding), b.text);
	assert_string_equal(render(&a, &w.finding), b.text);
	free(line);
	assert_int_equal(a.sink->ops->evidence(a.sink, &w.finding, &line, &length), 0);
	free(line);
	free(expected);
	capture_end(&a);
	capture_end(&b);
}

static void full_lines_keep_everything(void **state)
{
	static struct capture c;
	static struct worst w;
	json_t *line;

	(void)state;
	make_worst(&w, "a", 100, 10);
	begin(&c, true);
	line = parse(render(&c, &w.finding));
	assert_true(strlen(c.text) > LINE_MAX_BYTES);
	assert_null(at(line, "fdtrace.truncated"));
	assert_int_equal(length_at(line, "fdtrace.victims.9.hurt.stack"), 10);
	assert_int_equal(length_at(line, "fdtrace.history"), FINDING_HISTORY_MAX);
	json_decref(line);
	capture_end(&c);
}

static void the_same_every_time(void **state)
{
	static struct capture a, b;
	struct finding f = finding_unowned();

	(void)state;
	begin(&a, false);
	begin(&b, false);
	render(&b, &f);
	render(&a, &f);
	assert_string_equal(render(&b, &f), a.text);
	capture_end(&a);
	capture_end(&b);
}

static long allocations_left;

static void *scarce_malloc(size_t size)
{
	return allocations_left-- > 0 ? malloc(size) : NULL;
}

/* Every allocation that the JSON library makes fails once: a whole line or none comes out. */
static void want_of_memory_is_told(void **state)
{
	static struct capture c;
	struct finding findings[] = { finding_unowned(), finding_emfile(), finding_sweep() };
	unsigned int failures = 0;

	(void)state;
	begin(&c, false);
	for (size_t i = 0; i < 3; i++) {
		int err = -ENOMEM;

		for (long n = 0; err; n++) {
			allocations_left = n;
			json_set_alloc_funcs(scarce_malloc, free);
			err = c.sink->ops->finding(c.sink, &findings[i]);
			json_set_alloc_funcs(malloc, free);
			failures += err != 0;
			assert_true(!err || err == -ENOMEM);
			assert_int_equal(captured(&c)[0], err ? '\0' : '{');
		}
	}
	assert_true(failures > 300);
	capture_end(&c);
}

/* The same while a line is cut: every few allocations, since there are thousands. */
static void want_of_memory_while_cutting(void **state)
{
	static struct capture c;
	static struct worst w;
	int err = -ENOMEM;

	(void)state;
	make_worst(&w, "a\"", 100, 6);
	begin(&c, false);
	for (long n = 1; err; n += 5) {
		allocations_left = n;
		json_set_alloc_funcs(scarce_malloc, free);
		err = c.sink->ops->finding(c.sink, &w.finding);
		json_set_alloc_funcs(malloc, free);
		assert_true(!err || err == -ENOMEM);
		assert_int_equal(captured(&c)[0], err ? '\0' : '{');
	}
	capture_end(&c);
}

static void a_line_is_one_write(void **state)
{
	struct sink_options options;
	struct finding f = finding_unowned();
	struct sink *sink;
	char text[8192];
	int fds[2];
	ssize_t length;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	options = capture_options(fds[1]);
	assert_int_equal(output_format_json.sink_new(&options, &sink), 0);
	assert_int_equal(sink->ops->finding(sink, &f), 0);
	length = recv(fds[0], text, sizeof(text), MSG_DONTWAIT);
	assert_true(length > 1000 && text[0] == '{' && text[length - 1] == '\n');
	assert_int_equal(recv(fds[0], text, sizeof(text), MSG_DONTWAIT), -1);
	close(fds[0]);
	assert_int_equal(sink->ops->finding(sink, &f), -EPIPE);
	assert_int_equal(sink->ops->state(sink, RUN_STOP, MOMENT), -EPIPE);
	close(fds[1]);
	sink_free(sink);
}

/* One line of each kind, with everything in it that a line of that kind can have. */
static void write_all_datasets(struct capture *c, struct stream *s)
{
	const struct sink_ops *ops = c->sink->ops;
	struct change change = { .time_ns = MOMENT,
				 .process = &python,
				 .tid = 4130,
				 .syscall = FDT_SYS_openat,
				 .error = EBADF,
				 .count = 3,
				 .other_pid = 5 };
	struct finding findings[] = { finding_unowned(), finding_emfile(), finding_sweep() };
	struct summary summary = { .host = &fixture_host,
				   .engine = s->engine,
				   .duration_ns = 302 * S,
				   .cpu_ratio = 0.0041,
				   .final = true };

	engine_counters(s->engine, &summary.counters);
	assert_int_equal(ops->state(c->sink, RUN_START, MOMENT), 0);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(ops->finding(c->sink, &findings[i]), 0);
	for (int op = CHANGE_OPEN; op <= CHANGE_FOUND; op++) {
		bool has_fd = op != CHANGE_FORK && op != CHANGE_EXEC && op != CHANGE_EXIT;

		change.op = (enum change_op)op;
		change.how = op == CHANGE_CLOSE ? "io_uring close" : NULL;
		change.descriptor = (struct descriptor){ .fd = has_fd ? 5 : -1,
							 .generation = 1,
							 .kind = FD_KIND_FILE,
							 .name = "/path" };
		assert_int_equal(ops->change(c->sink, &change), 0);
	}
	assert_int_equal(ops->summary(c->sink, &summary), 0);
	summary.final = false;
	summary.cpu_ratio = -1;
	assert_int_equal(ops->summary(c->sink, &summary), 0);
	assert_int_equal(ops->state(c->sink, RUN_STOP, MOMENT + S), 0);
}

static void start_engine(struct stream *s)
{
	stream_start(s, ENGINE_PID);
	opens(s, PID, 4, 1);
	opens(s, PID, 5, 2);
	closes(s, PID, 4);
}

static void the_summary_counts(void **state)
{
	static struct capture c;
	static struct stream s;
	struct summary summary = { .host = &fixture_host, .final = true, .cpu_ratio = 0.5 };
	char *second;
	json_t *line;

	(void)state;
	start_engine(&s);
	begin(&c, false);
	summary.engine = s.engine;
	engine_counters(s.engine, &summary.counters);
	summary.counters.findings_dropped = 7;
	summary.counters.ended_dropped = 8;
	assert_int_equal(c.sink->ops->summary(c.sink, &summary), 0);
	second = strchr(captured(&c), '\n') + 1;
	second[-1] = '\0';
	line = parse(c.text);
	assert_string_equal(text_at(line, "event.dataset"), "fdtrace.summary");
	assert_int_equal(json_integer_value(at(line, "fdtrace.events")), 3);
	assert_int_equal(json_integer_value(at(line, "fdtrace.descriptors")), 1);
	assert_int_equal(json_integer_value(at(line, "fdtrace.findings_dropped")), 7);
	assert_int_equal(json_integer_value(at(line, "fdtrace.pasts_dropped")), 8);
	assert_true(json_real_value(at(line, "fdtrace.cpu_ratio")) == 0.5);
	json_decref(line);
	line = parse(second);
	assert_int_equal(json_integer_value(at(line, "process.pid")), PID);
	assert_int_equal(json_integer_value(at(line, "fdtrace.open")), 1);
	assert_int_equal(json_integer_value(at(line, "fdtrace.opened")), 2);
	assert_int_equal(json_integer_value(at(line, "fdtrace.closed")), 1);
	assert_int_equal(json_integer_value(at(line, "fdtrace.kinds.file")), 1);
	json_decref(line);
	capture_end(&c);
	stream_end(&s);
}

/* The validator reads fd; what it says goes to this test's own output. Its exit status. */
static int validate(int fd, const char *option)
{
	int status = -1;
	pid_t pid;

	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	pid = fork();
	if (!pid) {
		dup2(fd, STDIN_FILENO);
		dup2(STDERR_FILENO, STDOUT_FILENO);
		if (option)
			execl(VALIDATOR, VALIDATOR, option, SCHEMA, NULL);
		else
			execl(VALIDATOR, VALIDATOR, SCHEMA, NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* Tests run in the project's folder; exit status 77 of the validator: no python3-jsonschema. */
static bool can_validate(void)
{
	int fd = capture_file(), status;

	if (access(SCHEMA, R_OK)) {
		print_message("# skip: no %s below the current folder\n", SCHEMA);
		return false;
	}
	status = validate(fd, NULL);
	close(fd);
	if (status == 77 || status == 127)
		print_message("# skip: the validator cannot run (package python3-jsonschema)\n");
	else
		assert_int_equal(status, 0);
	return !status;
}

static void every_line_obeys_the_schema(void **state)
{
	static struct capture c;
	static struct stream s;
	static struct worst w;
	struct process placed = python;
	struct finding in_a_pod = finding_unowned();

	(void)state;
	if (!can_validate())
		skip();
	start_engine(&s);
	begin(&c, false);
	write_all_datasets(&c, &s);
	make_worst(&w, "\xff\x01\xe2\x80\xae\"", 4999, 64);
	assert_int_equal(c.sink->ops->finding(c.sink, &w.finding), 0);
	placed.cgroup = (char *)"/kubepods/pod" POD "/crio-" ID "/app.service";
	placed.inner_pid = 7;
	in_a_pod.process = &placed;
	in_a_pod.sequence = 900;
	assert_int_equal(c.sink->ops->finding(c.sink, &in_a_pod), 0);
	assert_int_equal(validate(c.fd, NULL), 0);
	capture_end(&c);
	begin(&c, true);
	assert_int_equal(c.sink->ops->finding(c.sink, &w.finding), 0);
	assert_int_equal(validate(c.fd, "--full"), 0);
	assert_int_equal(validate(c.fd, NULL), 1); /* too long: the validator does look */
	capture_end(&c);
	stream_end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_finding_to_the_byte),
		cmocka_unit_test(evidence_of_other_rules),
		cmocka_unit_test(files_and_connections),
		cmocka_unit_test(where_it_is),
		cmocka_unit_test(in_no_container),
		cmocka_unit_test(a_hostile_cgroup),
		cmocka_unit_test(numbers_and_times_at_their_ends),
		cmocka_unit_test(below_the_minimum_is_dropped),
		cmocka_unit_test(controls_are_escaped),
		cmocka_unit_test(a_frame_cannot_forge_frames),
		cmocka_unit_test(gaps_and_ends_of_stacks_are_told),
		cmocka_unit_test(the_system_gives_way_first),
		cmocka_unit_test(a_line_is_never_too_long),
		cmocka_unit_test(what_gives_way_first),
		cmocka_unit_test(each_cap_is_used),
		cmocka_unit_test(evidence_is_built_once),
		cmocka_unit_test(full_lines_keep_everything),
		cmocka_unit_test(the_same_every_time),
		cmocka_unit_test(want_of_memory_is_told),
		cmocka_unit_test(want_of_memory_while_cutting),
		cmocka_unit_test(a_line_is_one_write),
		cmocka_unit_test(the_summary_counts),
		cmocka_unit_test(every_line_obeys_the_schema),
	};

	signal(SIGPIPE, SIG_IGN);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
