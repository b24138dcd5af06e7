// SPDX-License-Identifier: BSD-2-Clause
/* What is held too long: stragglers, orphans, what a child keeps alive; each beside its twin. */
#include "stream.h"

#define CHILD 200
#define CHILD_TABLE 0xffff888000002000ull
#define READER 300
#define READER_TABLE 0xffff888000003000ull
#define LISTEN 10
#define ESTABLISHED 1
#define CLOSE_WAIT 8
#define PIPEFS 0x50495045 /* linux/magic.h */
#define SOCKFS 0x534f434b

/* The host's answers: the same for every descriptor of a file. */
struct answer {
	uint64_t inode;
	struct fdt_detail detail;
	uint64_t touched_ns; /* idle since then; 0: not told */
};

struct world {
	struct stream s; /* first: the engine's ctx */
	struct answer answers[128];
	unsigned int answer_count, asked;
	uint64_t environment; /* bit n: number n is named */
	unsigned int environments;
	uint32_t marked_pid; /* in whose table every number is close-on-exec */
};

static int answer_detail(void *ctx, uint32_t pid, int32_t fd, const struct fdt_file *file,
			 struct fdt_detail *ret_detail)
{
	struct world *w = ctx;

	w->asked++;
	for (unsigned int i = 0; i < w->answer_count; i++) {
		const struct answer *a = &w->answers[i];

		if (a->inode != file->inode)
			continue;
		*ret_detail = a->detail;
		ret_detail->head =
			(struct fdt_head)HEAD(&w->s, FDT_DETAIL, 0, fdt_detail, pid, pid, 0);
		ret_detail->fd = fd;
		ret_detail->file = *file;
		if (a->touched_ns) {
			ret_detail->facts |= FDT_FACT_IDLE;
			ret_detail->idle_ns = w->s.now_ns - a->touched_ns;
		}
		if (pid == w->marked_pid)
			ret_detail->facts |= FDT_FACT_CLOEXEC;
		return 0;
	}
	return -ENOENT;
}

static int answer_environment(void *ctx, uint32_t pid, struct fdt_environ *ret_environment)
{
	struct world *w = ctx;

	(void)pid;
	w->environments++;
	*ret_environment = (struct fdt_environ){ .word = { w->environment } };
	return 0;
}

static const struct engine_host host = { .detail = answer_detail,
					 .environment = answer_environment };

static void start(struct world *w, bool asks)
{
	struct engine_options options = stream_options(&w->s, ENGINE_ALL);

	*w = (struct world){ .s = { .now_ns = 1000 * S } };
	options.host = asks ? &host : NULL;
	assert_int_equal(engine_new(&options, &w->s.engine), 0);
	task(&w->s, FDT_OP_SNAPSHOT, PID, PID, TABLE, 0, 0);
}

static struct answer *answers(struct world *w, uint64_t inode)
{
	for (unsigned int i = 0; i < w->answer_count; i++)
		if (w->answers[i].inode == inode)
			return &w->answers[i];
	assert_true(w->answer_count < 128);
	w->answers[w->answer_count].inode = inode;
	return &w->answers[w->answer_count++];
}

static struct answer *answers_socket(struct world *w, uint64_t inode, unsigned int state)
{
	struct answer *a = answers(w, inode);

	a->detail.facts = FDT_FACT_SOCKET | FDT_FACT_TCP;
	a->detail.state = (uint8_t)state;
	return a;
}

static struct answer *answers_pipe(struct world *w, uint64_t inode, uint32_t readers,
				   uint32_t writers)
{
	struct answer *a = answers(w, inode);

	a->detail.facts = FDT_FACT_PIPE;
	a->detail.readers = readers;
	a->detail.writers = writers;
	return a;
}

static struct fdt_file a_socket(uint64_t number)
{
	struct fdt_file file = a_file(number);

	file.mode = S_IFSOCK | 0777;
	file.magic = SOCKFS;
	file.detail = 2 | 1 << 8 | 6 << 16; /* IPv4, stream, TCP */
	file.flags = O_RDWR;
	return file;
}

/* Both ends have the inode of the pipe, each its own open file. */
static struct fdt_file a_pipe_end(uint64_t number, bool writes)
{
	struct fdt_file file = a_file(number);

	file.file += writes ? 64 : 0;
	file.mode = S_IFIFO | 0600;
	file.magic = PIPEFS;
	file.flags = writes ? O_WRONLY : O_RDONLY;
	return file;
}

static void runs(struct stream *s, unsigned int seconds)
{
	for (unsigned int i = 0; i < seconds; i++)
		tick(s, S);
}

/* ---- leak.stale ---- */

/* A hundred and more are opened and closed within a moment. */
static void usual_life(struct stream *s, int count)
{
	for (int i = 0; i < count; i++) {
		put(s, FDT_OP_OPEN, FDT_SYS_openat, PID, 500, a_file(100000 + i));
		s->now_ns += MS;
		closes(s, PID, 500);
	}
}

static void forgets_one_in_ten_seconds(struct world *w, int count, bool sockets, bool touched)
{
	for (int i = 0; i < count; i++) {
		struct fdt_file file = sockets ? a_socket(1 + i) : a_file(1 + i);

		put(&w->s, FDT_OP_OPEN, FDT_SYS_openat, PID, 10 + i, file);
		if (sockets)
			answers_socket(w, 1 + i, ESTABLISHED)->touched_ns = w->s.now_ns;
		for (int second = 0; second < 10; second++) {
			tick(&w->s, S);
			for (int j = 0; touched && j <= i; j++)
				answers(w, 1 + j)->touched_ns = w->s.now_ns;
		}
		usual_life(&w->s, 20);
	}
}

static void forgotten_on_one_path(void **state)
{
	struct world w;

	(void)state;
	start(&w, true);
	usual_life(&w.s, 200);
	forgets_one_in_ten_seconds(&w, 14, false, false);
	assert_int_equal(only_finding(&w.s, RULE_LEAK_STALE)->severity, SEVERITY_WARNING);
	assert_int_equal(w.s.kept[0].fd, 10);
	assert_true(w.s.kept[0].first_site_open >= 4);
	assert_non_null(strstr(w.s.kept[0].message, "forgets to close some file descriptors"));
	stream_end(&w.s);
}

/* A pool and what is closed at once seem to be one place where the interpreter alone is known. */
static void forgotten_by_a_runtime(void **state)
{
	static const struct frame frames[] = {
		{ "_php_stream_fopen (php8.2+0x2b7606)", 1, FDT_SITE_FRAME_LIBRARY },
		{ "execute_ex (php8.2+0x3a0)", 2, FDT_SITE_FRAME_LIBRARY }
	};
	struct world w;

	(void)state;
	start(&w, true);
	tells(&w.s, 77, 0, 2, frames);
	for (int i = 0; i < 15; i++) {
		for (int j = 0; j < (i ? 20 : 200); j++) {
			opens_at(&w.s, 500, (uint64_t)(100000 + 1000 * i + j), 77);
			w.s.now_ns += MS;
			closes(&w.s, PID, 500);
		}
		opens_at(&w.s, 10 + i, (uint64_t)i + 1, 77);
		runs(&w.s, 10);
	}
	assert_int_equal(only_finding(&w.s, RULE_LEAK_STALE)->severity, SEVERITY_INFO);
	stream_end(&w.s);
}

static void forgotten_connections(void **state)
{
	struct world w;

	(void)state;
	start(&w, true);
	usual_life(&w.s, 200);
	forgets_one_in_ten_seconds(&w, 18, true, false);
	only_finding(&w.s, RULE_LEAK_STALE);
	stream_end(&w.s);
}

/* Websockets beside short requests: they last, and they are used. */
static void long_connections_are_used(void **state)
{
	struct world w;

	(void)state;
	start(&w, true);
	usual_life(&w.s, 200);
	forgets_one_in_ten_seconds(&w, 18, true, true);
	assert_int_equal(w.s.kept_count, 0);
	stream_end(&w.s);
}

/* Twenty long ones, and no more of them: a pool at its plateau. */
static void a_plateau_is_not_stale(void **state)
{
	struct world w;

	(void)state;
	start(&w, true);
	usual_life(&w.s, 200);
	for (int i = 0; i < 20; i++)
		opens(&w.s, PID, 10 + i, 1 + i);
	for (int i = 0; i < 30; i++) {
		runs(&w.s, 10);
		usual_life(&w.s, 10);
	}
	assert_int_equal(w.s.kept_count, 0);
	stream_end(&w.s);
}

/* They rise, but now and then an old one is closed after all. */
static void stragglers_that_are_closed(void **state)
{
	struct world w;

	(void)state;
	start(&w, true);
	usual_life(&w.s, 2000);
	for (int i = 0; i < 30; i++) {
		opens(&w.s, PID, 10 + i, 1 + i);
		if (i >= 4 && i % 2 == 0)
			closes(&w.s, PID, 10 + i - 4);
		runs(&w.s, 10);
		usual_life(&w.s, 60);
	}
	assert_int_equal(w.s.kept_count, 0);
	stream_end(&w.s);
}

/* Fewer than a hundred lifetimes do not say what is usual. */
static void too_few_to_tell(void **state)
{
	struct world w;

	(void)state;
	start(&w, true);
	usual_life(&w.s, 50);
	for (int i = 0; i < 14; i++) {
		opens(&w.s, PID, 10 + i, 1 + i);
		runs(&w.s, 10);
	}
	assert_int_equal(w.s.kept_count, 0);
	stream_end(&w.s);
}

/* ---- leak.orphan ---- */

static void peer_has_closed(void **state)
{
	struct world w;

	(void)state;
	start(&w, true);
	for (int i = 0; i < 3; i++) {
		put(&w.s, FDT_OP_OPEN, FDT_SYS_accept4, PID, 5 + i, a_socket(1 + i));
		answers_socket(&w, 1 + i, CLOSE_WAIT)->touched_ns = w.s.now_ns;
	}
	runs(&w.s, 60);
	assert_int_equal(w.s.kept_count, 0); /* seen dead for half a minute only */
	runs(&w.s, 60);
	assert_int_equal(only_finding(&w.s, RULE_LEAK_ORPHAN)->severity, SEVERITY_WARNING);
	assert_int_equal(w.s.kept[0].first_site_open, 3);
	assert_non_null(strstr(w.s.kept[0].message, "3 connections whose peer has closed"));
	stream_end(&w.s);
}

/* Half closed, and the answer still flows. */
static void half_closed_and_in_use(void **state)
{
	struct world w;

	(void)state;
	start(&w, true);
	put(&w.s, FDT_OP_OPEN, FDT_SYS_accept4, PID, 5, a_socket(1));
	for (int i = 0; i < 300; i++) {
		answers_socket(&w, 1, CLOSE_WAIT)->touched_ns = w.s.now_ns;
		tick(&w.s, S);
	}
	assert_int_equal(w.s.kept_count, 0);
	assert_true(w.asked > 5);
	stream_end(&w.s);
}

/* It is read, slowly: what is unread changes from look to look. */
static void close_wait_that_is_read(void **state)
{
	struct world w;

	(void)state;
	start(&w, true);
	put(&w.s, FDT_OP_OPEN, FDT_SYS_accept4, PID, 5, a_socket(1));
	for (int i = 0; i < 300; i++) {
		answers_socket(&w, 1, CLOSE_WAIT)->detail.unread_bytes = 3000 - i;
		tick(&w.s, S);
	}
	assert_int_equal(w.s.kept_count, 0);
	stream_end(&w.s);
}

static void a_pipe_alone(void **state)
{
	struct world w;

	(void)state;
	start(&w, true);
	put(&w.s, FDT_OP_OPEN, FDT_SYS_pipe2, PID, 5, a_pipe_end(1, false));
	answers_pipe(&w, 1, 1, 0);
	put(&w.s, FDT_OP_OPEN, FDT_SYS_pipe2, PID, 6, a_pipe_end(2, true));
	answers_pipe(&w, 2, 1, 1); /* its reader lives */
	runs(&w.s, 130);
	assert_int_equal(only_finding(&w.s, RULE_LEAK_ORPHAN)->fd, 5);
	stream_end(&w.s);
}

/* 0 is a dead pipe, 5 came by fork: neither is this program's to close. */
static void pipes_of_others(void **state)
{
	struct fdt_vec e;
	struct world w;

	(void)state;
	start(&w, true);
	put(&w.s, FDT_OP_OPEN, FDT_SYS_pipe2, PID, 0, a_pipe_end(1, false));
	answers_pipe(&w, 1, 1, 0);
	put(&w.s, FDT_OP_OPEN, FDT_SYS_pipe2, PID, 5, a_pipe_end(2, false));
	answers_pipe(&w, 2, 1, 0);
	task(&w.s, FDT_OP_FORK, CHILD, CHILD, CHILD_TABLE, PID, 0);
	e = (struct fdt_vec){ .head = HEAD(&w.s, FDT_VEC, FDT_OP_FORK, fdt_vec, CHILD, CHILD,
					   CHILD_TABLE),
			      .max_fds = 64,
			      .file = { [5] = a_pipe_end(2, false) } };
	e.head.flags = FDT_FIRST | FDT_LAST;
	stream_apply(&w.s, &e);
	closes(&w.s, PID, 5);
	runs(&w.s, 200);
	assert_int_equal(w.s.kept_count, 0);
	stream_end(&w.s);
}

static struct answer *answers_deleted(struct world *w, uint64_t inode, uint64_t size)
{
	struct answer *a = answers(w, inode);

	a->detail.facts = FDT_FACT_REGULAR | FDT_FACT_UNLINKED;
	a->detail.size = size;
	return a;
}

static void deleted_files(void **state)
{
	struct world w;

	(void)state;
	start(&w, true);
	for (int i = 0; i < 7; i++)
		opens(&w.s, PID, 5 + i, 1 + i);
	answers_deleted(&w, 1, 0);
	answers_deleted(&w, 2, 0);
	answers_deleted(&w, 3, 0)->detail.facts |= FDT_FACT_MAPPED;
	answers_deleted(&w, 4, 0)->detail.facts |= FDT_FACT_LOCKED;
	answers_deleted(&w, 5, 0)->detail.facts |= FDT_FACT_MEMFD;
	answers_deleted(&w, 6, 8192);
	answers_deleted(&w, 7, 0)->detail.position = 1;
	runs(&w.s, 130);
	assert_int_equal(only_finding(&w.s, RULE_LEAK_ORPHAN)->severity, SEVERITY_INFO);
	assert_int_equal(w.s.kept[0].first_site_open, 2);
	opens(&w.s, PID, 20, 20);
	answers_deleted(&w, 20, 0);
	runs(&w.s, 130);
	assert_int_equal(w.s.kept_count, 2);
	assert_int_equal(w.s.kept[1].severity, SEVERITY_WARNING);
	stream_end(&w.s);
}

/* A hundred seconds, ten thousand candidates. */
static void questions_are_few(void **state)
{
	struct world w;

	(void)state;
	start(&w, true);
	for (int i = 0; i < 10000; i++)
		put(&w.s, FDT_OP_OPEN, FDT_SYS_accept4, PID, 5 + i, a_socket(1 + i));
	for (int i = 0; i < 1000; i++)
		tick(&w.s, 100 * MS);
	assert_true(w.asked > 20000);
	assert_true(w.asked <= 101 * 500);
	stream_end(&w.s);
}

/* The same looks as events, and nobody to ask. */
static void orphans_in_a_replay(void **state)
{
	struct world w;

	(void)state;
	start(&w, false);
	put(&w.s, FDT_OP_OPEN, FDT_SYS_accept4, PID, 5, a_socket(1));
	for (int i = 0; i < 130; i++) {
		struct fdt_detail d = { .head = HEAD(&w.s, FDT_DETAIL, 0, fdt_detail, PID, PID,
						     TABLE),
					.fd = 5,
					.facts = FDT_FACT_SOCKET | FDT_FACT_TCP,
					.file = a_socket(1),
					.state = CLOSE_WAIT };

		if (i % 30 == 29)
			stream_apply(&w.s, &d);
		tick(&w.s, S);
	}
	only_finding(&w.s, RULE_LEAK_ORPHAN);
	stream_end(&w.s);
}

/* It was looked at once, long ago: that is no second look. */
static void one_look_is_not_two(void **state)
{
	struct fdt_detail d = { .facts = FDT_FACT_SOCKET | FDT_FACT_TCP, .state = CLOSE_WAIT };
	struct world w;

	(void)state;
	start(&w, false);
	put(&w.s, FDT_OP_OPEN, FDT_SYS_accept4, PID, 5, a_socket(1));
	d.head = (struct fdt_head)HEAD(&w.s, FDT_DETAIL, 0, fdt_detail, PID, PID, TABLE);
	d.file = a_socket(1);
	stream_apply(&w.s, &d);
	runs(&w.s, 300);
	assert_int_equal(w.s.kept_count, 0);
	stream_end(&w.s);
}

/* ---- exec ---- */

static void vec_of(struct stream *s, unsigned int op, uint32_t pid, uint64_t table, int fd,
		   struct fdt_file file)
{
	struct fdt_vec e = { .head = HEAD(s, FDT_VEC, op, fdt_vec, pid, pid, table),
			     .max_fds = 64 };

	e.head.flags = FDT_FIRST | FDT_LAST;
	e.file[fd] = file;
	stream_apply(s, &e);
}

/* A child with that one descriptor, which then becomes another program. */
static void child_execs(struct world *w, uint32_t uid, int fd, struct fdt_file file)
{
	struct fdt_task exec;

	task(&w->s, FDT_OP_FORK, CHILD, CHILD, CHILD_TABLE, PID, 0);
	vec_of(&w->s, FDT_OP_FORK, CHILD, CHILD_TABLE, fd, file);
	exec = a_task(&w->s, FDT_OP_EXEC, CHILD, CHILD, CHILD_TABLE);
	exec.head.flags = FDT_TASK_WATCHED;
	exec.uid = uid;
	memcpy(exec.comm, "sleep", 6);
	stream_apply(&w->s, &exec);
	vec_of(&w->s, FDT_OP_EXEC, CHILD, CHILD_TABLE, fd, file);
}

static void uses(struct stream *s, uint32_t pid, uint64_t table, int fd, struct fdt_file file)
{
	struct fdt_slot e = { .head = HEAD(s, FDT_USE, FDT_OP_USE, fdt_slot, pid, pid, table),
			      .fd = fd,
			      .file = file };

	stream_apply(s, &e);
}

static const struct kept *find_kept(const struct stream *s, enum rule rule)
{
	for (unsigned int i = 0; i < s->kept_count; i++)
		if (s->kept[i].rule == rule)
			return &s->kept[i];
	return NULL;
}

static void listener(struct world *w)
{
	struct answer *a = answers_socket(w, 1, LISTEN);

	put(&w->s, FDT_OP_OPEN, FDT_SYS_socket, PID, 3, a_socket(1));
	a->detail.local_port = 8080;
	a->detail.backlog = 2;
}

static void a_port_kept_busy(void **state)
{
	const struct kept *k;
	struct world w;

	(void)state;
	start(&w, true);
	listener(&w);
	child_execs(&w, 0, 3, a_socket(1));
	runs(&w.s, 12);
	assert_null(find_kept(&w.s, RULE_EXEC_HELD)); /* its opener still listens */
	closes(&w.s, PID, 3);
	runs(&w.s, 6);
	k = find_kept(&w.s, RULE_EXEC_HELD);
	assert_non_null(k);
	assert_int_equal(k->severity, SEVERITY_WARNING);
	assert_string_equal(k->message,
			    "port 8080 is kept busy by sleep[200], which inherited fd 3 "
			    "from prog[100] and never used it");
	assert_non_null(strstr(k->why, "has closed it"));
	runs(&w.s, 60);
	assert_int_equal(w.s.kept_count, 2); /* exec.inherit and this, once */
	stream_end(&w.s);
}

static void a_port_of_the_dead(void **state)
{
	struct world w;

	(void)state;
	start(&w, true);
	listener(&w);
	child_execs(&w, 0, 3, a_socket(1));
	task(&w.s, FDT_OP_EXIT, PID, PID, TABLE, 0, FDT_TASK_LAST);
	runs(&w.s, 12);
	assert_non_null(find_kept(&w.s, RULE_EXEC_HELD));
	assert_non_null(strstr(find_kept(&w.s, RULE_EXEC_HELD)->why, "has ended"));
	stream_end(&w.s);
}

/* Prefork: a forked worker has it, and accepts. */
static void a_listener_that_is_needed(void **state)
{
	struct world w;

	(void)state;
	start(&w, true);
	listener(&w);
	child_execs(&w, 0, 3, a_socket(1));
	task(&w.s, FDT_OP_FORK, READER, READER, READER_TABLE, PID, 0);
	vec_of(&w.s, FDT_OP_FORK, READER, READER_TABLE, 3, a_socket(1));
	closes(&w.s, PID, 3);
	runs(&w.s, 30);
	assert_null(find_kept(&w.s, RULE_EXEC_HELD));
	stream_end(&w.s);
}

static void a_listener_that_is_used(void **state)
{
	struct world w;

	(void)state;
	start(&w, true);
	listener(&w);
	child_execs(&w, 0, 3, a_socket(1));
	uses(&w.s, CHILD, CHILD_TABLE, 3, a_socket(1));
	closes(&w.s, PID, 3);
	runs(&w.s, 30);
	assert_int_equal(w.s.kept_count, 0);
	stream_end(&w.s);
}

/* Socket activation: LISTEN_FDS names it. */
static void named_in_the_environment(void **state)
{
	struct world w;

	(void)state;
	start(&w, true);
	w.environment = 1 << 3;
	listener(&w);
	child_execs(&w, 1000, 3, a_socket(1));
	closes(&w.s, PID, 3);
	runs(&w.s, 30);
	assert_int_equal(w.s.kept_count, 0);
	assert_int_equal(w.environments, 1);
	stream_end(&w.s);
}

static void named_in_a_recorded_environment(void **state)
{
	struct fdt_environ e;
	struct world w;

	(void)state;
	start(&w, false);
	listener(&w);
	child_execs(&w, 0, 3, a_socket(1));
	e = (struct fdt_environ){ .head = HEAD(&w.s, FDT_ENVIRON, 0, fdt_environ, CHILD, CHILD, 0),
				  .word = { 1 << 3 } };
	stream_apply(&w.s, &e);
	assert_int_equal(w.s.last_err, 0);
	runs(&w.s, 30);
	assert_int_equal(w.s.kept_count, 0);
	stream_end(&w.s);
}

/* PID makes the pipe, READER reads it, CHILD has got the write end by accident. */
static void a_pipe_with_three(struct world *w, struct answer **ret_answer)
{
	put(&w->s, FDT_OP_OPEN, FDT_SYS_pipe2, PID, 4, a_pipe_end(1, false));
	put(&w->s, FDT_OP_OPEN, FDT_SYS_pipe2, PID, 5, a_pipe_end(1, true));
	*ret_answer = answers_pipe(w, 1, 1, 1);
	task(&w->s, FDT_OP_FORK, READER, READER, READER_TABLE, PID, 0);
	vec_of(&w->s, FDT_OP_FORK, READER, READER_TABLE, 4, a_pipe_end(1, false));
	closes(&w->s, PID, 4);
	child_execs(w, 0, 5, a_pipe_end(1, true));
}

static void eof_never_comes(void **state)
{
	const struct kept *k;
	struct answer *a;
	struct world w;

	(void)state;
	start(&w, true);
	a_pipe_with_three(&w, &a);
	a->detail.facts |= FDT_FACT_WAITED;
	runs(&w.s, 12);
	assert_null(find_kept(&w.s, RULE_EXEC_HELD)); /* its maker may still write */
	closes(&w.s, PID, 5);
	runs(&w.s, 12);
	k = find_kept(&w.s, RULE_EXEC_HELD);
	assert_non_null(k);
	assert_non_null(
		strstr(k->message, "the reader prog[300] never sees EOF: sleep[200] holds"));
	stream_end(&w.s);
}

static void nobody_waits_for_eof(void **state)
{
	struct answer *a;
	struct world w;

	(void)state;
	start(&w, true);
	a_pipe_with_three(&w, &a);
	closes(&w.s, PID, 5);
	runs(&w.s, 30);
	assert_null(find_kept(&w.s, RULE_EXEC_HELD));
	stream_end(&w.s);
}

/* The kernel counts a writer whom we do not know: he may write. */
static void an_unknown_writer(void **state)
{
	struct answer *a;
	struct world w;

	(void)state;
	start(&w, true);
	a_pipe_with_three(&w, &a);
	a->detail.facts |= FDT_FACT_WAITED;
	a->detail.writers = 2;
	closes(&w.s, PID, 5);
	runs(&w.s, 30);
	assert_null(find_kept(&w.s, RULE_EXEC_HELD));
	stream_end(&w.s);
}

/* fork came between open and F_SETFD: the opener's own one is marked. */
static void raced(void **state)
{
	struct world w;

	(void)state;
	start(&w, true);
	w.marked_pid = PID;
	answers(&w, 1);
	opens(&w.s, PID, 3, 1);
	child_execs(&w, 0, 3, a_file(1));
	runs(&w.s, 6);
	assert_int_equal(only_finding(&w.s, RULE_EXEC_INHERIT)->severity, SEVERITY_INFO);
	assert_non_null(strstr(w.s.kept[0].message, "raced"));
	assert_non_null(strstr(w.s.kept[0].why, "fcntl(F_SETFD) in tid 100"));
	stream_end(&w.s);
}

/* Opened long before the fork: no race, whatever has been marked since. */
static void marked_late(void **state)
{
	struct world w;

	(void)state;
	start(&w, true);
	w.marked_pid = PID;
	answers(&w, 1);
	opens(&w.s, PID, 3, 1);
	runs(&w.s, 10);
	child_execs(&w, 0, 3, a_file(1));
	runs(&w.s, 6);
	assert_null(strstr(only_finding(&w.s, RULE_EXEC_INHERIT)->message, "raced"));
	stream_end(&w.s);
}

static void dangerous(void **state)
{
	struct fdt_file file = a_file(1);
	struct world w;

	(void)state;
	start(&w, true);
	file.flags = O_WRONLY;
	put(&w.s, FDT_OP_OPEN, FDT_SYS_openat, PID, 3, file);
	child_execs(&w, 1000, 3, file);
	runs(&w.s, 6);
	assert_int_equal(only_finding(&w.s, RULE_EXEC_INHERIT)->severity, SEVERITY_WARNING);
	assert_non_null(strstr(w.s.kept[0].why, "as root, and uid 1000 has it now"));
	stream_end(&w.s);
}

/* To be read only: as harmless as any. */
static void not_dangerous(void **state)
{
	struct world w;

	(void)state;
	start(&w, true);
	opens(&w.s, PID, 3, 1);
	child_execs(&w, 1000, 3, a_file(1));
	runs(&w.s, 6);
	assert_int_equal(only_finding(&w.s, RULE_EXEC_INHERIT)->severity, SEVERITY_INFO);
	stream_end(&w.s);
}

/* ---- limit.emfile, leak.growth ---- */

static void accepts(struct world *w, int first, int end, unsigned int state)
{
	for (int fd = first; fd < end; fd++) {
		put(&w->s, FDT_OP_OPEN, FDT_SYS_accept4, PID, fd, a_socket(fd));
		answers_socket(w, fd, state)->touched_ns = w->s.now_ns;
	}
}

static void idle_connections_hold_the_table(void **state)
{
	struct world w;

	(void)state;
	start(&w, true);
	accepts(&w, 3, 64, ESTABLISHED);
	tick(&w.s, 10 * S);
	for (int i = 0; i < 5; i++)
		fails(&w.s, FDT_SYS_accept4, PID, -1, EMFILE);
	assert_int_equal(w.s.kept_count, 0);
	tick(&w.s, 2 * S);
	only_finding(&w.s, RULE_LIMIT_EMFILE);
	assert_non_null(strstr(w.s.kept[0].message,
			       "held by idle accepted connections: 61 of 61 open descriptors, "
			       "idle for 12 s or longer, from accept4"));
	assert_non_null(strstr(w.s.kept[0].why, "the accept loop spins: 5 failures"));
	assert_non_null(strstr(w.s.kept[0].why, "61 are established, 0 in CLOSE_WAIT"));
	stream_end(&w.s);
}

static void peers_that_have_closed_hold_the_table(void **state)
{
	struct world w;

	(void)state;
	start(&w, true);
	accepts(&w, 3, 34, ESTABLISHED);
	accepts(&w, 34, 64, CLOSE_WAIT);
	for (int fd = 3; fd < 20; fd++)
		answers_socket(&w, fd, CLOSE_WAIT);
	fails(&w.s, FDT_SYS_accept4, PID, -1, EMFILE);
	tick(&w.s, 2 * S);
	only_finding(&w.s, RULE_LIMIT_EMFILE);
	assert_non_null(strstr(w.s.kept[0].message,
			       "whose peers have closed: 47 of 61 open descriptors in CLOSE_WAIT"));
	stream_end(&w.s);
}

/* Who dies of it can't be asked, and is told of at once. */
static void killed_by_the_limit(void **state)
{
	struct world w;

	(void)state;
	start(&w, true);
	accepts(&w, 3, 64, ESTABLISHED);
	fails(&w.s, FDT_SYS_accept4, PID, -1, EMFILE);
	task(&w.s, FDT_OP_EXIT, PID, PID, TABLE, 0, FDT_TASK_LAST);
	assert_int_equal(only_finding(&w.s, RULE_LIMIT_EMFILE)->open, 61);
	stream_end(&w.s);
}

static void at_the_end_of_the_run(void **state)
{
	struct world w;

	(void)state;
	start(&w, true);
	accepts(&w, 3, 64, ESTABLISHED);
	fails(&w.s, FDT_SYS_accept4, PID, -1, EMFILE);
	engine_finish(w.s.engine, w.s.now_ns);
	only_finding(&w.s, RULE_LIMIT_EMFILE);
	stream_end(&w.s);
}

/* One pipe a second; severity tells how near the limit is: an hour or a year. */
static enum severity growth_below(uint64_t nofile, uint64_t later)
{
	enum severity severity;
	struct world w;

	start(&w, true);
	for (int i = 0; i < 60; i++) {
		struct fdt_limit limit = { .head = HEAD(&w.s, FDT_LIMIT, 0, fdt_limit, PID, PID, 0),
					   .nofile = i < 10 ? nofile : later };

		stream_apply(&w.s, &limit);
		put(&w.s, FDT_OP_OPEN, FDT_SYS_pipe2, PID, 3 + i, a_file(i + 1));
		tick(&w.s, S);
	}
	severity = only_finding(&w.s, RULE_LEAK_GROWTH)->severity;
	stream_end(&w.s);
	return severity;
}

static void forecast_follows_prlimit(void **state)
{
	(void)state;
	assert_int_equal(growth_below(1024, 1024), SEVERITY_ERROR);
	assert_int_equal(growth_below(1024, 1 << 20), SEVERITY_WARNING);
	assert_int_equal(growth_below(1 << 20, 1024), SEVERITY_ERROR);
}

/* Teeth of so many seconds, one descriptor a second, all closed at the end of each. */
static void saw(struct world *w, int teeth, int length, int keep)
{
	int next = 10;

	for (int tooth = 0; tooth < teeth; tooth++) {
		for (int i = 0; i < length; i++) {
			opens(&w->s, PID, next + i, 1 + tooth * 1000 + i);
			tick(&w->s, S);
		}
		for (int i = keep; i < length; i++)
			closes(&w->s, PID, next + i);
		next += keep;
	}
}

/* Slower than three windows: within a tooth all minima rise. The first can't be told. */
static void later_teeth_are_no_growth(void **state)
{
	struct engine_options options;
	struct world w;

	(void)state;
	start(&w, false);
	stream_end(&w.s);
	options = stream_options(&w.s, ENGINE_ALL);
	options.settings.leak_min_count = 60;
	assert_int_equal(engine_new(&options, &w.s.engine), 0);
	task(&w.s, FDT_OP_SNAPSHOT, PID, PID, TABLE, 0, 0);
	saw(&w, 1, 55, 0); /* below leak.min_count */
	saw(&w, 8, 62, 0);
	assert_int_equal(w.s.kept_count, 0);
	saw(&w, 1, 120, 0); /* beyond every tooth before */
	only_finding(&w.s, RULE_LEAK_GROWTH);
	stream_end(&w.s);
}

/* ---- all of them ---- */

/* Orphans, a held port and stragglers in one run. */
static void everything(struct world *w)
{
	listener(w);
	child_execs(w, 0, 3, a_socket(1));
	closes(&w->s, PID, 3);
	for (int i = 0; i < 3; i++) {
		put(&w->s, FDT_OP_OPEN, FDT_SYS_accept4, PID, 600 + i, a_socket(600 + i));
		answers_socket(w, 600 + i, CLOSE_WAIT);
	}
	usual_life(&w->s, 200);
	forgets_one_in_ten_seconds(w, 14, false, false);
}

/* Any one allocation may fail: less is told, nothing is lost or freed twice. */
static void without_memory(void **state)
{
	struct world w;
	unsigned int told = 0;

	(void)state;
	for (uint64_t n = 1; n <= 200; n++) {
		struct engine_options options = stream_options(&w.s, ENGINE_ALL);

		w = (struct world){ .s = { .now_ns = 1000 * S } };
		options.fail_at = n;
		options.host = &host;
		if (engine_new(&options, &w.s.engine)) {
			assert_true(n <= 1 + DETECTOR_COUNT);
			continue;
		}
		task(&w.s, FDT_OP_SNAPSHOT, PID, PID, TABLE, 0, 0);
		everything(&w);
		assert_true(w.s.kept_count <= 8); /* openers may be unknown then */
		told += w.s.kept_count;
		stream_end(&w.s);
	}
	assert_true(told > 500);
}

static void the_same_again(void **state)
{
	struct world a, b;

	(void)state;
	start(&a, true);
	everything(&a);
	start(&b, true); /* at other addresses: the first one's are still taken */
	everything(&b);
	assert_int_equal(a.s.kept_count, 4);
	assert_int_equal(b.s.kept_count, 4);
	for (unsigned int i = 0; i < 4; i++) {
		assert_string_equal(a.s.kept[i].message, b.s.kept[i].message);
		assert_string_equal(a.s.kept[i].why, b.s.kept[i].why);
	}
	stream_end(&a.s);
	stream_end(&b.s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forgotten_on_one_path),
		cmocka_unit_test(forgotten_by_a_runtime),
		cmocka_unit_test(forgotten_connections),
		cmocka_unit_test(long_connections_are_used),
		cmocka_unit_test(a_plateau_is_not_stale),
		cmocka_unit_test(stragglers_that_are_closed),
		cmocka_unit_test(too_few_to_tell),
		cmocka_unit_test(peer_has_closed),
		cmocka_unit_test(half_closed_and_in_use),
		cmocka_unit_test(close_wait_that_is_read),
		cmocka_unit_test(a_pipe_alone),
		cmocka_unit_test(pipes_of_others),
		cmocka_unit_test(deleted_files),
		cmocka_unit_test(questions_are_few),
		cmocka_unit_test(orphans_in_a_replay),
		cmocka_unit_test(one_look_is_not_two),
		cmocka_unit_test(a_port_kept_busy),
		cmocka_unit_test(a_port_of_the_dead),
		cmocka_unit_test(a_listener_that_is_needed),
		cmocka_unit_test(a_listener_that_is_used),
		cmocka_unit_test(named_in_the_environment),
		cmocka_unit_test(named_in_a_recorded_environment),
		cmocka_unit_test(eof_never_comes),
		cmocka_unit_test(nobody_waits_for_eof),
		cmocka_unit_test(an_unknown_writer),
		cmocka_unit_test(raced),
		cmocka_unit_test(marked_late),
		cmocka_unit_test(dangerous),
		cmocka_unit_test(not_dangerous),
		cmocka_unit_test(idle_connections_hold_the_table),
		cmocka_unit_test(peers_that_have_closed_hold_the_table),
		cmocka_unit_test(killed_by_the_limit),
		cmocka_unit_test(at_the_end_of_the_run),
		cmocka_unit_test(forecast_follows_prlimit),
		cmocka_unit_test(later_teeth_are_no_growth),
		cmocka_unit_test(without_memory),
		cmocka_unit_test(the_same_again),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
