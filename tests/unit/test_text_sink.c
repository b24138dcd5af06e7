// SPDX-License-Identifier: BSD-2-Clause
/* What a person sees: the block of a finding, the event lines, the summary. */
#include "sink_fixture.h"

#include <signal.h>
#include <sys/socket.h>
#include <time.h>

#include "output/text/phrase.h"
#include "util/utf8.h"

#define WIDTH_LEAST 40

static void begin(struct capture *c, unsigned int width, bool color)
{
	struct sink_options options;

	c->fd = capture_file();
	options = capture_options(c->fd);
	options.width = width;
	options.color = color;
	assert_int_equal(output_format_text.sink_new(&options, &c->sink), 0);
}

static const char *render(struct capture *c, const struct finding *f)
{
	assert_int_equal(c->sink->ops->finding(c->sink, f), 0);
	return captured(c);
}

static void the_story_of_a_descriptor(void **state)
{
	static struct capture c;
	struct finding f = finding_unowned();

	(void)state;
	begin(&c, 100, false);
	assert_string_equal(
		render(&c, &f),
		"error[close.unowned]: fd 4 was closed by worker() while send_payment() still used "
		"it        "
		"9f31c2d4\n"
		"  --> python3[4121]   2026-11-20 23:59:59.123   exact\n"
		"   |  fd 4 gen 2   tcp 10.0.0.5:51234 -> 10.0.0.9:5432\n"
		" 1 | gen 1 opened  -20.3 s   tid 4130  openat\n"
		" 2 | gen 1 closed  -18.2 s   tid 4130  close           app.py:57 worker\n"
		" 3 | gen 2 opened  -18.1 s   tid 4121  socket          pool.py:88 Pool.connect < "
		"app.py:31 main\n"
		" 4 | gen 2 CLOSED  -21.0 ms  tid 4130  close           app.py:57 worker  <-- "
		"culprit\n"
		" 5 | gen 2 used        0     tid 4121  sendto = EBADF  pay.py:140 send_payment < "
		"app.py:44 loop\n"
		"   = why:  tid 4130 had closed gen 1 of number 4 itself, then closed 4 again\n"
		"   = help: let the object own its descriptor; remove the second os.close()\n"
		"\n");
	capture_end(&c);
}

#define ID "3f2a9c1b7d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8"

static const char *place_line(const char *cgroup, unsigned int width)
{
	static struct capture c;
	static char line[512];
	struct process placed = python;
	struct finding f = finding_unowned();
	const char *at;

	placed.cgroup = (char *)cgroup;
	f.process = &placed;
	begin(&c, width, false);
	at = strstr(render(&c, &f), "  --> ");
	assert_non_null(at);
	snprintf(line, sizeof(line), "%.*s", (int)(strstr(at, "\n   |  fd") - at), at);
	capture_end(&c);
	return line;
}

static void where_it_is(void **state)
{
	(void)state;
	assert_string_equal(place_line("/system.slice/app.service", 100),
			    "  --> python3[4121] app.service   2026-11-20 23:59:59.123   exact");
	assert_string_equal(
		place_line("/kubepods/pod1/docker/" ID, 100),
		"  --> python3[4121] docker 3f2a9c1b7d4e   2026-11-20 23:59:59.123   exact");
	assert_string_equal(place_line("/ecs/" ID "/init.scope", 100),
			    "  --> python3[4121] init.scope container 3f2a9c1b7d4e   "
			    "2026-11-20 23:59:59.123   exact");
	assert_string_equal(place_line("/some/where", 100),
			    "  --> python3[4121]   2026-11-20 23:59:59.123   exact");
	assert_string_equal(place_line("/\x1b[2Jx.service", 100),
			    "  --> python3[4121] \\x1B[2Jx.service   2026-11-20 23:59:59.123   "
			    "exact");
	assert_string_equal(place_line("/system.slice/a-rather-long-name.service", 44),
			    "  --> python3[4121]\n   |  a-rather-long-name.service\n"
			    "   |  2026-11-20 23:59:59.123   exact");
}

static void who_holds_the_table(void **state)
{
	static struct capture c;
	struct finding f = finding_emfile();

	(void)state;
	begin(&c, 0, false);
	assert_string_equal(
		render(&c, &f),
		"error[limit.emfile]: the descriptor table is full: 1019 of 1024 are open   "
		"1b7e0c55\n"
		"  --> python3[4121]   2026-11-20 23:59:59.123   inferred   ongoing, 17 times\n"
		" 1 | failed  0     tid 4121  accept4 = EMFILE  pay.py:140 send_payment < "
		"app.py:44 loop\n"
		"   |  limit 1019/1024 ###################   99 %   +2.5 /min   full in 2m00s\n"
		"   |   OPEN  KIND       OLDEST  SITE\n"
		"   |    612  tcp        13m32s  pool.py:88 Pool.connect   e.g. fd 5 "
		"10.0.0.5:51234 -> "
		"10.0.0.9:5432\n"
		"   |                             < app.py:31 main\n"
		"   |                            64 looked at: 33 idle for 12.0 s or longer, 34 "
		"established, 30 in CLOSE_WAIT\n"
		"   |     33  file        4.0 s  openat   e.g. fd 17 "
		"/var/log/a/very/long/path/of/some/service/that/never/ends/app.log\n"
		"   |      3  anon        1d01h  opener unknown   e.g. fd 3\n"
		"   |   and 6 more sites\n"
		"   = why:  accept4 failed with EMFILE; 612 of them come from one place and 33 are "
		"idle\n"
		"   = help: close what is idle, or raise the limit (ulimit -n)\n"
		"\n");
	capture_end(&c);
}

static void a_sweep_and_a_narrow_terminal(void **state)
{
	static struct capture c;
	struct finding f = finding_sweep();

	(void)state;
	begin(&c, 60, false);
	assert_string_equal(render(&c, &f),
			    "warning[close.sweep]: a loop closed 1,048,573       abcdef01\n"
			    "      numbers and hit 12 descriptors of others\n"
			    "  --> python3[4121]   2026-11-20 23:59:59.123   after_loss\n"
			    " 1 | CLOSED  -2.0 s   tid 4121  close\n"
			    "   |     app.py:57 worker  <-- culprit\n"
			    "   |  swept 3 to 1048575: 1,048,573 tries,\n"
			    "   |        12 closed, took 2.1 s\n"
			    "   |  descriptors it closed\n"
			    "   |  fd 5   tcp 10.0.0.5:51234 -> 10.0.0.9:5432\n"
			    "   |         opened -18.0 s in pool.py:88 Pool.connect\n"
			    "   |         sendto = EBADF tid 4122 -21.0 ms\n"
			    "   |  fd 17  file /var/log/app.log  opener not seen\n"
			    "   |   and 10 more descriptors\n"
			    "   = help: close only what you opened; use close_range() in\n"
			    "           a child before exec\n"
			    "\n");
	capture_end(&c);
}

static void a_socket_has_its_state_and_a_pipe_its_other_end(void **state)
{
	static struct capture c;
	struct finding f = finding_unowned();
	struct fdt_detail detail = { .facts = FDT_FACT_SOCKET | FDT_FACT_TCP,
				     .state = 8,
				     .unread_bytes = 12 };

	(void)state;
	begin(&c, 0, false);
	f.descriptor.detail = &detail;
	render(&c, &f);
	assert_non_null(strstr(c.text, " close-wait, 12 bytes unread\n"));
	detail.state = 200; /* of a damaged recording */
	f.descriptor.name = NULL;
	f.other_end = (struct other_end){ .present = true,
					  .holders = { { 123, 4, "python3" }, { 124, 0, "cat" } },
					  .holder_count = 2,
					  .holder_total = 5 };
	render(&c, &f);
	assert_null(strstr(c.text, "unread"));
	assert_non_null(strstr(c.text, "other end: python3[123] fd 4, cat[124] fd 0, 3 more\n"));
	f.other_end = (struct other_end){ .present = true, .closed = true };
	render(&c, &f);
	assert_non_null(strstr(c.text, "other end closed\n"));
	capture_end(&c);
}

/* A stack of all kinds of frames: in short, cut by the width, and whole. */
static void stacks_in_a_line_and_in_full(void **state)
{
	static struct capture c;
	struct finding f = finding_unowned();
	static const struct {
		unsigned int width;
		const char *row;
	} cases[] = {
		{ 0, "tid 4130  close (finalizer)  pool.py:99 Pool.__del__ < app.py:7 handle < "
		     "app.py:70 main < ...  <-- culprit\n" },
		{ 112, "tid 4130  close (finalizer)  pool.py:99 Pool.__del__ < app.py:7 handle < "
		       "...  <-- culprit\n" },
		{ 86, "tid 4130  close (finalizer)\n   |     pool.py:99 Pool.__del__ < app.py:7 "
		      "handle < app.py:70 main < ...  <-- culprit\n" },
	};

	(void)state;
	f.history_count = 0;
	f.closed.site = &site_mixed;
	f.closed.how = "close (finalizer)";
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		begin(&c, cases[i].width, false);
		render(&c, &f);
		if (!strstr(c.text, cases[i].row))
			assert_string_equal(c.text, cases[i].row);
		capture_end(&c);
	}
}

static void verbose_tells_every_frame(void **state)
{
	static const struct stack starting = { .flags = FDT_SITE_NO_INTERPRETED,
					       .frames = mixed_frames,
					       .frame_count = 1 };
	struct site no_python = site_mixed;
	static struct capture c;
	struct finding f = finding_unowned();
	struct sink_options options;

	(void)state;
	c.fd = capture_file();
	options = capture_options(c.fd);
	options.width = 100;
	options.verbosity = 1;
	assert_int_equal(output_format_text.sink_new(&options, &c.sink), 0);
	no_python.stack = &starting;
	f.closed.site = &site_mixed;
	f.used.site = &no_python;
	f.history_count = 0;
	render(&c, &f);
	assert_non_null(strstr(c.text, "   |     close (libc.so.6+0xf4b20)\n"
				       "   |     ?? (python3.11+0x2c0de)\n"
				       "   |     Pool.__del__ (/srv/pool.py:99)\n"
				       "   |     run (/usr/lib/python3.11/threading.py:975)\n"
				       "   |     ... 3 frames omitted\n"
				       "   |     handle (/srv/app.py:7)\n"
				       "   |     main (/srv/app.py:70)\n"
				       "   |     start (boot.c:12)\n"
				       "   |     ... (stack cut: the outer frames could not be "
				       "read)\n"));
	assert_non_null(strstr(c.text, "   |     no Python frames: the interpreter is starting"));
	capture_end(&c);
	begin(&c, 100, false);
	render(&c, &f);
	assert_null(strstr(c.text, "libc.so.6"));
	assert_null(strstr(c.text, "no Python frames"));
	capture_end(&c);
}

static void what_nobody_saw_is_said(void **state)
{
	static struct capture c;
	struct finding f = finding_unowned();

	(void)state;
	begin(&c, 0, false);
	f.history_count = 0;
	f.opened.known = false;
	f.closed.time_ns = MOMENT - MS; /* nearer than a coarse clock can tell */
	f.closed.pid = 77;
	f.closed.name = "sh";
	f.closed.how = "dup2 (replaced)";
	render(&c, &f);
	assert_non_null(strstr(c.text, " 1 | opened  not seen (before attach, or lost)\n"));
	assert_non_null(
		strstr(c.text, " 2 | CLOSED  <4 ms  sh[77]    dup2 (replaced)  app.py:57 worker"));
	f.descriptor.generation = 0; /* a number that was never open has no opener to miss */
	render(&c, &f);
	assert_null(strstr(c.text, "not seen"));
	capture_end(&c);
}

static void below_the_minimum_is_not_printed(void **state)
{
	struct sink_options options;
	static struct capture c;
	struct finding f = finding_unowned();

	(void)state;
	c.fd = capture_file();
	options = capture_options(c.fd);
	options.min_severity = SEVERITY_WARNING;
	assert_int_equal(output_format_text.sink_new(&options, &c.sink), 0);
	f.severity = SEVERITY_INFO;
	assert_string_equal(render(&c, &f), "");
	f.severity = SEVERITY_WARNING;
	assert_string_not_equal(render(&c, &f), "");
	capture_end(&c);
}

/* Part of a suppression, which no width may cut. */
static bool is_to_paste(const char *line)
{
	return strncmp(line, "  exe: '", 8) == 0 || strncmp(line, "  frame: '", 10) == 0;
}

/* Valid UTF-8, no controls but newlines, no blanks at line ends, no line wider than it may be. */
static void assert_tidy(const char *text, unsigned int width)
{
	size_t columns = 0, left = strlen(text);
	const char *line = text;
	char before = 'x';

	while (left) {
		uint32_t character;
		size_t size = utf8_decode(text, left, &character);

		assert_true(size > 0);
		if (character == '\n') {
			assert_true(!width || columns <= width || is_to_paste(line));
			assert_int_not_equal(before, ' ');
			columns = 0;
			line = text + 1;
		} else {
			assert_false(utf8_is_unsafe(character));
			columns += utf8_columns(character);
		}
		before = *text;
		text += size;
		left -= size;
	}
}

static char hostile_name[] = "/srv/\033]0;title\a/\xe6\xbc\xa2\xe5\xad\x97\xe6\xbc\xa2/\xff\xfe\n"
			     "error[forged]: \xe2\x80\xae\xc2\x9b"
			     "31m /a/very/long/path/that/does/not/end";

static struct finding hostile(struct process *process)
{
	struct finding f = finding_unowned();
	struct finding g = finding_emfile(), h = finding_sweep();

	*process = python;
	snprintf(process->name, sizeof(process->name),
		 "\033[2J\n\xff\xe2\x80\xae"
		 "evil");
	process->exe = process->args = hostile_name;
	process->args_size = sizeof(hostile_name);
	f.process = process;
	f.message = f.why = f.help = f.subject = f.descriptor.name = hostile_name;
	f.closed.name = f.closed.how = hostile_name;
	f.closed.pid = 1;
	f.limit = g.limit;
	f.site_count = 3;
	f.site_total = 1000;
	f.state = FINDING_ONGOING;
	memcpy(f.sites, g.sites, sizeof(f.sites));
	f.sites[0].label = f.sites[0].example_name = hostile_name;
	f.sweep = h.sweep;
	f.victim_count = 2;
	f.victim_total = 3;
	memcpy(f.victims, h.victims, sizeof(f.victims));
	f.victims[0].name = f.victims[0].failed_use.how = hostile_name;
	return f;
}

static void hostile_names_stay_in_their_place(void **state)
{
	static struct capture c;
	struct process process;
	struct finding f = hostile(&process);
	struct sink_options options;

	(void)state;
	for (unsigned int width = 0; width < 200; width++) {
		c.fd = capture_file();
		options = capture_options(c.fd);
		options.width = width;
		options.verbosity = width & 1;
		assert_int_equal(output_format_text.sink_new(&options, &c.sink), 0);
		render(&c, &f);
		assert_tidy(c.text, width && width < WIDTH_LEAST ? WIDTH_LEAST : width);
		assert_null(strstr(c.text, "\nerror[forged]"));
		capture_end(&c);
	}
}

static void strip_colors(char *text)
{
	char *to = text;

	while (*text) {
		if (text[0] == '\033' && text[1] == '[')
			text = strchr(text, 'm') + 1;
		else
			*to++ = *text++;
	}
	*to = '\0';
}

static void colors_change_nothing_but_colors(void **state)
{
	static struct capture plain, color;
	struct finding f = finding_unowned();

	(void)state;
	for (unsigned int width = 0; width < 120; width += 30) {
		begin(&plain, width, false);
		begin(&color, width, true);
		render(&plain, &f);
		render(&color, &f);
		assert_non_null(strstr(color.text, "\033[0;1;31merror[close.unowned]"));
		assert_non_null(strstr(color.text, "\033[0;1;31m<-- culprit\033[0m\n"));
		strip_colors(color.text);
		assert_string_equal(color.text, plain.text);
		capture_end(&plain);
		capture_end(&color);
	}
}

static void a_block_is_one_write(void **state)
{
	struct sink_options options;
	struct finding f = finding_unowned();
	struct sink *sink;
	char text[4096];
	int fds[2];
	ssize_t length;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	options = capture_options(fds[1]);
	assert_int_equal(output_format_text.sink_new(&options, &sink), 0);
	assert_int_equal(sink->ops->finding(sink, &f), 0);
	length = recv(fds[0], text, sizeof(text), MSG_DONTWAIT);
	assert_true(length > 500 && text[length - 1] == '\n' && text[length - 2] == '\n');
	assert_int_equal(recv(fds[0], text, sizeof(text), MSG_DONTWAIT), -1);
	close(fds[0]);
	assert_int_equal(sink->ops->finding(sink, &f), -EPIPE);
	close(fds[1]);
	sink_free(sink);
}

static void events_are_a_line_each(void **state)
{
	struct change change = {
		.time_ns = MOMENT,
		.process = &python,
		.tid = 4130,
		.syscall = FDT_SYS_openat,
		.descriptor = { .fd = 5, .generation = 1, .kind = FD_KIND_FILE, .name = "/path" }
	};
	const struct sample {
		enum change_op op;
		uint32_t syscall;
		int fd;
		const char *text;
	} samples[] = {
		{ CHANGE_OPEN, FDT_SYS_openat, 5, "openat = 5 file /path\n" },
		{ CHANGE_CLOSE, FDT_SYS_close, 5, "close(5) file /path\n" },
		{ CHANGE_REPLACE, FDT_SYS_dup2, 5, "dup2 = 5 file /path\n" },
		{ CHANGE_ERROR, FDT_SYS_close, 5, "close(5) = EBADF x30 file /path\n" },
		{ CHANGE_ERROR, FDT_SYS_openat, -1, "openat = EBADF x30\n" },
		{ CHANGE_FOUND, 0, 5, "found 5 file /path\n" },
		{ CHANGE_FORK, 0, -1, "fork = 5000\n" },
		{ CHANGE_EXEC, 0, -1, "exec /usr/bin/python3.11\n" },
		{ CHANGE_EXIT, 0, -1, "exit\n" },
	};
	static struct capture c;
	char expected[128];

	(void)state;
	begin(&c, 0, false);
	for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
		change.op = samples[i].op;
		change.syscall = samples[i].syscall;
		change.descriptor.fd = samples[i].fd;
		change.error = EBADF;
		change.count = 30;
		change.other_pid = 5000;
		assert_int_equal(c.sink->ops->change(c.sink, &change), 0);
		snprintf(expected, sizeof(expected), "23:59:59.123 python3[4121] tid 4130 %s",
			 samples[i].text);
		assert_string_equal(captured(&c), expected);
	}
	capture_end(&c);
}

static struct summary summary_of(struct stream *s)
{
	struct summary summary = { .host = &fixture_host,
				   .engine = s->engine,
				   .duration_ns = 302 * S,
				   .cpu_ratio = 0.0041,
				   .final = true };

	engine_counters(s->engine, &summary.counters);
	return summary;
}

static void nothing_found_is_said(void **state)
{
	static struct capture c;
	static struct stream s;
	struct summary summary;

	(void)state;
	stream_start(&s, ENGINE_PID);
	begin(&c, 0, false);
	summary = summary_of(&s);
	summary.counters.events = 41203;
	assert_int_equal(c.sink->ops->summary(c.sink, &summary), 0);
	assert_string_equal(captured(&c), "fdtrace: nothing found; 5m02s, 41,203 events, 0 lost, "
					  "coverage tracepoint, 0.4 % cpu\n");
	summary.duration_ns = 12300 * MS;
	summary.cpu_ratio = -1;
	summary.counters.events = 1;
	summary.counters.lost = 3;
	summary.counters.corrections = 1;
	summary.counters.refused = 2;
	summary.counters.findings_dropped = 7;
	summary.counters.ended_dropped = 1;
	summary.counters.malformed = 4;
	summary.counters.findings[SEVERITY_INFO] = 5;
	summary.damaged = 6;
	assert_int_equal(c.sink->ops->summary(c.sink, &summary), 0);
	captured(&c);
	assert_non_null(
		strstr(c.text, "fdtrace: 5 info; 12.3 s, 1 event, 3 lost, coverage tracepoint\n"));
	assert_non_null(strstr(c.text, "\nlost: 3 events "));
	assert_non_null(strstr(c.text, "\ncorrected: 1 slot "));
	assert_non_null(strstr(c.text, "\nrefused: 2 requests "));
	assert_non_null(strstr(c.text, "\ndropped: 7 findings least recently seen"));
	assert_non_null(strstr(c.text, "\nforgotten: 1 earlier generation to save memory "));
	assert_non_null(strstr(c.text, "\nmalformed: 4 events "));
	assert_non_null(strstr(c.text, "\ndamaged: 6 records "));
	capture_end(&c);
	stream_end(&s);
}

static void a_summary_of_what_was_found(void **state)
{
	static struct capture c;
	static struct stream s;
	struct summary summary;

	(void)state;
	stream_start(&s, ENGINE_PID);
	opens(&s, PID, 4, 1);
	s.now_ns += 18 * S;
	closes(&s, PID + 9, 4);
	s.now_ns += MS;
	fails(&s, FDT_SYS_sendto, PID, 4, EBADF);
	assert_int_equal(s.kept_count, 1);
	for (unsigned int width = 0; width < 120; width += 20) {
		begin(&c, width, false);
		summary = summary_of(&s);
		assert_int_equal(c.sink->ops->summary(c.sink, &summary), 0);
		assert_tidy(captured(&c), width && width < WIDTH_LEAST ? WIDTH_LEAST : width);
		assert_non_null(strstr(c.text, "fdtrace: 1 error in 1 site; 5m02s,"));
		assert_non_null(strstr(c.text, "\n  error    close.unowned "));
		assert_non_null(strstr(c.text, "[100]  open 0"));
		assert_non_null(strstr(c.text, "opened 1  closed 1"));
		capture_end(&c);
	}
	stream_end(&s);
}

static void quiet_has_no_summary(void **state)
{
	static struct capture c;
	static struct stream s;
	struct sink_options options;
	struct summary summary;

	(void)state;
	stream_start(&s, ENGINE_PID);
	summary = summary_of(&s);
	for (int way = 0; way < 2; way++) {
		c.fd = capture_file();
		options = capture_options(c.fd);
		options.quiet = way == 0;
		options.summaries = way == 0;
		assert_int_equal(output_format_text.sink_new(&options, &c.sink), 0);
		assert_int_equal(c.sink->ops->summary(c.sink, &summary), 0);
		assert_null(c.sink->ops->state); /* start and stop are reported on stderr */
		assert_string_equal(captured(&c), "");
		capture_end(&c);
	}
	stream_end(&s);
}

static void phrases(void **state)
{
	static const struct {
		uint64_t ns;
		const char *text;
	} durations[] = {
		{ 0, "0 us" },
		{ 850000, "850 us" },
		{ 21 * MS, "21.0 ms" },
		{ 18100 * MS, "18.1 s" },
		{ 59999 * MS, "59.9 s" },
		{ 60 * S, "1m00s" },
		{ 3600 * S, "1h00m" },
		{ 90000 * S, "1d01h" },
		{ UINT64_MAX, "213503d23h" },
	};
	char text[PHRASE_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(durations) / sizeof(durations[0]); i++) {
		phrase_duration(text, sizeof(text), durations[i].ns);
		assert_string_equal(text, durations[i].text);
	}
	phrase_number(text, sizeof(text), UINT64_MAX);
	assert_string_equal(text, "18,446,744,073,709,551,615");
	phrase_number(text, sizeof(text), 999);
	assert_string_equal(text, "999");
	phrase_relative(text, sizeof(text), 7 * S, 5 * S);
	assert_string_equal(text, "+2.0 s ");
	phrase_rate(text, sizeof(text), -0.25);
	assert_string_equal(text, "-0.3");
	phrase_rate(text, sizeof(text), 0.0 / 0.0 * strlen(text));
	assert_string_equal(text, "-");
	phrase_error(text, sizeof(text), 4711);
	assert_string_equal(text, "errno 4711");
	assert_string_equal(phrase_name(FD_KIND_TCP, "tcp6 [::1]:80"), "[::1]:80");
	assert_string_equal(phrase_name(FD_KIND_FILE, "/file"), "/file");
	assert_string_equal(phrase_name(FD_KIND_UNIX, "unix"), "unix");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_story_of_a_descriptor),
		cmocka_unit_test(where_it_is),
		cmocka_unit_test(who_holds_the_table),
		cmocka_unit_test(a_sweep_and_a_narrow_terminal),
		cmocka_unit_test(a_socket_has_its_state_and_a_pipe_its_other_end),
		cmocka_unit_test(stacks_in_a_line_and_in_full),
		cmocka_unit_test(verbose_tells_every_frame),
		cmocka_unit_test(what_nobody_saw_is_said),
		cmocka_unit_test(below_the_minimum_is_not_printed),
		cmocka_unit_test(hostile_names_stay_in_their_place),
		cmocka_unit_test(colors_change_nothing_but_colors),
		cmocka_unit_test(a_block_is_one_write),
		cmocka_unit_test(events_are_a_line_each),
		cmocka_unit_test(nothing_found_is_said),
		cmocka_unit_test(a_summary_of_what_was_found),
		cmocka_unit_test(quiet_has_no_summary),
		cmocka_unit_test(phrases),
	};

	setenv("TZ", "UTC", 1);
	tzset();
	signal(SIGPIPE, SIG_IGN);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
