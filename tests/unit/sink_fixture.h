/* SPDX-License-Identifier: BSD-2-Clause */
/* Findings built by hand, for the tests of the sinks. */
#ifndef FDTRACE_TESTS_SINK_FIXTURE_H
#define FDTRACE_TESTS_SINK_FIXTURE_H

#include <sys/mman.h>
#include <unistd.h>

#include "stream.h"
#include "engine/finding.h"
#include "model/site.h"
#include "output/format.h"
#include "util/hostinfo.h"

#define MOMENT (100000 * S)

#define PYTHON FDT_SITE_FRAME_OF(LANGUAGE_PYTHON)

static const struct stack_frame worker_frames[] = { { "worker (app.py:57)", 1, PYTHON },
						    { "run (threading.py:975)", 2,
						      PYTHON | FDT_SITE_FRAME_LIBRARY } };
static const struct stack_frame connect_frames[] = { { "Pool.connect (pool.py:88)", 3, PYTHON },
						     { "main (app.py:31)", 4, PYTHON } };
static const struct stack_frame send_frames[] = { { "send_payment (pay.py:140)", 5, PYTHON },
						  { "loop (app.py:44)", 6, PYTHON } };
static const struct stack worker_stack = { .frames = worker_frames, .frame_count = 2 };
static const struct stack connect_stack = { .frames = connect_frames, .frame_count = 2 };
static const struct stack send_stack = { .frames = send_frames, .frame_count = 2 };

/* All that a stack can have: the system's frames, a gap, an end that is cut. */
static const struct stack_frame mixed_frames[] = {
	{ "close (libc.so.6+0xf4b20)", 11, FDT_SITE_FRAME_SYSTEM },
	{ "?? (python3.11+0x2c0de)", 12, FDT_SITE_FRAME_SYSTEM },
	{ "Pool.__del__ (/srv/pool.py:99)", 13, PYTHON },
	{ "run (/usr/lib/python3.11/threading.py:975)", 14, PYTHON | FDT_SITE_FRAME_LIBRARY },
	{ "handle (/srv/app.py:7)", 15, PYTHON },
	{ "main (/srv/app.py:70)", 16, PYTHON },
	{ "start (boot.c:12)", 17, 0 },
};
static const struct stack mixed_stack = { .flags = FDT_SITE_CUT | FDT_SITE_FINALIZER,
					  .frames = mixed_frames,
					  .frame_count = 7,
					  .left_out = 3,
					  .left_out_at = 4 };

static struct process python = {
	.refs = 1,
	.pid = 4121,
	.parent_pid = 1,
	.uid = 1000,
	.start_ns = 90000 * S,
	.nofile = 1024,
	.name = "python3",
	.exe = (char *)"/usr/bin/python3.11",
	.args = (char *)"python3\0app.py\0--port=80",
	.args_size = 25,
	.opened = 41020,
	.closed = 40001,
	.short_lived = 39870,
};

static const struct site site_worker = {
	.refs = 1, .syscall = FDT_SYS_close, .process = &python, .stack = &worker_stack
};
static const struct site site_connect = { .refs = 1,
					  .syscall = FDT_SYS_socket,
					  .process = &python,
					  .kind = FD_KIND_TCP,
					  .stack = &connect_stack };
static const struct site site_send = {
	.refs = 1, .syscall = FDT_SYS_write, .process = &python, .stack = &send_stack
};
static const struct site site_mixed = {
	.refs = 1, .syscall = FDT_SYS_close, .process = &python, .stack = &mixed_stack
};
static const struct site site_bare = { .refs = 1, .syscall = FDT_SYS_openat, .process = &python };

static const struct hostinfo fixture_host = {
	.version = "0.1.0",
	.host_name = "web-17",
	.host_id = "7d8e6a0b6f1c4c0f9a3a5d2b1c0e9f88",
	.boot_id = "0b9f3c52-5a9e-4f6e-9d0a-2f1f3a1f9c77",
	.kernel = "6.1.0-25-amd64",
	.coverage = "tracepoint",
	.mode = "pid",
	.start_id = "00c0ffee00c0ffee",
	/* so that MOMENT is 2026-11-20T23:59:59.123456789Z */
	.wall_offset_ns = (int64_t)(UINT64_C(1795219199123456789) - MOMENT),
};

static inline struct operation operation(uint64_t before_ns, uint32_t tid, uint32_t syscall,
					 int32_t error, const struct site *site)
{
	return (struct operation){ .known = true,
				   .pid = python.pid,
				   .tid = tid,
				   .name = python.name,
				   .time_ns = MOMENT - before_ns,
				   .syscall = syscall,
				   .error = error,
				   .site = site };
}

/* The story of a descriptor closed twice: two generations, a culprit and a victim. */
static inline struct finding finding_unowned(void)
{
	struct finding f = {
		.rule = RULE_CLOSE_UNOWNED,
		.severity = SEVERITY_ERROR,
		.confidence = CONFIDENCE_EXACT,
		.fingerprint = 0x9f31c2d4a7b80e15,
		.sequence = 812,
		.count = 1,
		.time_ns = MOMENT,
		.first_ns = MOMENT - 18100 * MS,
		.process = &python,
		.descriptor = { .fd = 4,
				.generation = 2,
				.kind = FD_KIND_TCP,
				.file = { .inode = 88123, .mode = S_IFSOCK },
				.name = "tcp 10.0.0.5:51234 -> 10.0.0.9:5432" },
		.opened = operation(18100 * MS, 4121, FDT_SYS_socket, 0, &site_connect),
		.closed = operation(21 * MS, 4130, FDT_SYS_close, 0, &site_worker),
		.used = operation(0, 4121, FDT_SYS_sendto, EBADF, &site_send),
		.closed_is_culprit = true,
		.history_count = 1,
		.message = "fd 4 was closed by worker() while send_payment() still used it",
		.why = "tid 4130 had closed gen 1 of number 4 itself, then closed 4 again",
		.help = "let the object own its descriptor; remove the second os.close()",
	};

	f.history[0] = (struct lifetime){
		.generation = 1,
		.kind = FD_KIND_FILE,
		.opened = operation(20300 * MS, 4130, FDT_SYS_openat, 0, &site_bare),
		.closed = operation(18200 * MS, 4130, FDT_SYS_close, 0, &site_worker)
	};
	return f;
}

static inline struct finding finding_emfile(void)
{
	struct finding f = {
		.rule = RULE_LIMIT_EMFILE,
		.severity = SEVERITY_ERROR,
		.confidence = CONFIDENCE_INFERRED,
		.state = FINDING_ONGOING,
		.fingerprint = 0x1b7e0c5500000001,
		.sequence = 813,
		.count = 17,
		.time_ns = MOMENT,
		.first_ns = MOMENT - 5 * S,
		.process = &python,
		.descriptor = { .fd = -1 },
		.used = operation(0, 4121, FDT_SYS_accept4, EMFILE, &site_send),
		.site_count = 3,
		.site_total = 9,
		.limit = { .present = true,
			   .soft = 1024,
			   .open = 1019,
			   .rate_per_min = 2.5,
			   .exhausted_in_s = 120 },
		.message = "the descriptor table is full: 1019 of 1024 are open",
		.why = "accept4 failed with EMFILE; 612 of them come from one place and 33 are "
		       "idle",
		.help = "close what is idle, or raise the limit (ulimit -n)",
	};

	f.sites[0] = (struct site_row){ .site = &site_connect,
					.label = "pool.py:88 Pool.connect",
					.kind = FD_KIND_TCP,
					.open = 612,
					.opened = 700,
					.closed = 88,
					.oldest_ns = 812 * S,
					.example_fd = 5,
					.example_name = "10.0.0.5:51234 -> 10.0.0.9:5432",
					.asked = 64,
					.idle = 33,
					.idle_ns = 12 * S,
					.established = 34,
					.close_wait = 30 };
	f.sites[1] = (struct site_row){
		.site = &site_bare,
		.label = "openat",
		.kind = FD_KIND_FILE,
		.open = 33,
		.opened = 41000,
		.closed = 40967,
		.oldest_ns = 4 * S,
		.example_fd = 17,
		.example_name = "/var/log/a/very/long/path/of/some/service/that/never/ends/app.log",
	};
	f.sites[2] = (struct site_row){ .label = "opener unknown",
					.kind = FD_KIND_ANON,
					.open = 3,
					.oldest_ns = 90000 * S,
					.example_fd = 3 };
	return f;
}

static inline struct finding finding_sweep(void)
{
	struct finding f = {
		.rule = RULE_CLOSE_SWEEP,
		.severity = SEVERITY_WARNING,
		.confidence = CONFIDENCE_AFTER_LOSS,
		.fingerprint = 0xabcdef0123456789,
		.sequence = 2,
		.count = 1,
		.time_ns = MOMENT,
		.first_ns = MOMENT - 2 * S,
		.process = &python,
		.descriptor = { .fd = -1 },
		.closed = operation(2 * S, 4121, FDT_SYS_close, 0, &site_worker),
		.closed_is_culprit = true,
		.sweep = { .present = true,
			   .first = 3,
			   .last = 1048575,
			   .tries = 1048573,
			   .closed = 12,
			   .duration_ns = 2100 * MS },
		.victim_count = 2,
		.victim_total = 12,
		.message = "a loop closed 1,048,573 numbers and hit 12 descriptors of others",
		.why = "",
		.help = "close only what you opened; use close_range() in a child before exec",
	};

	f.victims[0] =
		(struct victim){ 5, FD_KIND_TCP, "10.0.0.5:51234 -> 10.0.0.9:5432",
				 operation(18 * S, 4121, FDT_SYS_socket, 0, &site_connect),
				 operation(21 * MS, 4122, FDT_SYS_sendto, EBADF, &site_send) };
	f.victims[1] =
		(struct victim){ .fd = 17, .kind = FD_KIND_FILE, .name = "/var/log/app.log" };
	return f;
}

/* Where a sink writes to, and what it has written. */
struct capture {
	struct sink *sink;
	int fd;
	char text[256 * 1024];
};

static inline struct sink_options capture_options(int fd)
{
	return (struct sink_options){
		.fd = fd, .host = &fixture_host, .min_severity = SEVERITY_INFO, .summaries = true
	};
}

static inline int capture_file(void)
{
	int fd = memfd_create("capture", MFD_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

/* What was written since the last time. */
static inline const char *captured(struct capture *c)
{
	ssize_t length;

	assert_int_equal(lseek(c->fd, 0, SEEK_SET), 0);
	length = read(c->fd, c->text, sizeof(c->text) - 1);
	assert_true(length >= 0);
	c->text[length] = '\0';
	assert_int_equal(strlen(c->text), length);
	assert_int_equal(ftruncate(c->fd, 0), 0);
	assert_int_equal(lseek(c->fd, 0, SEEK_SET), 0);
	return c->text;
}

static inline void capture_end(struct capture *c)
{
	sink_free(c->sink);
	close(c->fd);
}

#endif
