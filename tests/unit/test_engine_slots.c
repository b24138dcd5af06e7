// SPDX-License-Identifier: BSD-2-Clause
/* Rules about what becomes of a number and of its file: each guilty stream beside innocent twins. */
#include <linux/magic.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "engine/engine_private.h"
#include "detect/close_lock.h"
#include "detect/epoll_foreign.h"
#include "stream.h"

#define CHILD 200
#define CHILD_TABLE 0xffff888000002000ull
#define OTHER (PID + 1)

/* What the kernel answers when asked about a file. */
static struct {
	struct fdt_registration registration;
	unsigned int asked;
	bool watched;
} kernel;

static int answer(void *ctx, uint32_t pid, int32_t fd, const struct fdt_file *file,
		  struct fdt_detail *ret_detail)
{
	(void)ctx, (void)pid;
	kernel.asked++;
	*ret_detail = (struct fdt_detail){ .fd = fd,
					   .file = *file,
					   .facts = kernel.watched ? FDT_FACT_WATCHED : 0,
					   .registration_count = kernel.watched,
					   .registrations = { kernel.registration } };
	return 0;
}

static const struct engine_host host = { .detail = answer };

static void start(struct stream *s, rule_set rules)
{
	struct engine_options options = stream_options(s, ENGINE_PID);

	memset(&kernel, 0, sizeof(kernel));
	*s = (struct stream){ .now_ns = 1000 * S };
	options.rules = rules;
	options.host = &host;
	options.listener = &stream_findings; /* one to changes would ask, too */
	assert_int_equal(engine_new(&options, &s->engine), 0);
}

static struct fdt_file with_flags(struct fdt_file file, unsigned int flags)
{
	file.flags = (uint16_t)flags;
	return file;
}

static struct fdt_file a_socket(uint64_t number)
{
	struct fdt_file file = with_flags(a_file(number), O_RDWR);

	file.magic = SOCKFS_MAGIC;
	file.mode = S_IFSOCK | 0777;
	file.detail = AF_INET | SOCK_STREAM << 8 | IPPROTO_TCP << 16;
	return file;
}

static struct fdt_file of_mode(uint64_t number, unsigned int mode)
{
	struct fdt_file file = with_flags(a_file(number), O_RDWR);

	file.mode = (uint16_t)mode;
	return file;
}

static struct fdt_file an_epoll(uint64_t number)
{
	struct fdt_file file = with_flags(a_file(number), O_RDWR);

	file.magic = ANON_INODE_FS_MAGIC;
	return file;
}

static void makes(struct stream *s, unsigned int syscall, int fd, struct fdt_file file)
{
	put(s, FDT_OP_OPEN, syscall, PID, fd, file);
}

/* A whole table of up to 16 slots. */
static void table_is(struct stream *s, unsigned int op, uint32_t pid, uint64_t table,
		     const struct fdt_file files[16])
{
	struct fdt_vec e = { .head = HEAD(s, FDT_VEC, op, fdt_vec, pid, pid, table),
			     .max_fds = 64 };

	e.head.flags = FDT_FIRST | FDT_LAST;
	memcpy(e.file, files, 16 * sizeof(*files));
	stream_apply(s, &e);
}

static void child_with(struct stream *s, const struct fdt_file files[16])
{
	task(s, FDT_OP_FORK, CHILD, CHILD, CHILD_TABLE, PID, 0);
	table_is(s, FDT_OP_FORK, CHILD, CHILD_TABLE, files);
}

static void names(struct stream *s, int fd, struct fdt_file file, const char *text)
{
	struct {
		struct fdt_name name;
		char text[64];
	} e = { .name = { .head = HEAD(s, FDT_NAME, 0, fdt_name, PID, PID, TABLE),
			  .fd = fd,
			  .file = file } };

	snprintf(e.text, sizeof(e.text), "%s", text);
	e.name.head.size = (uint16_t)(sizeof(e.name) + ((strlen(text) + 8) & ~7u));
	stream_apply(s, &e);
}

static void nothing_found(struct stream *s)
{
	for (unsigned int i = 0; i < s->kept_count; i++)
		print_message("# found: %s\n", s->kept[i].message);
	assert_int_equal(s->kept_count, 0);
	stream_end(s);
}

/* --- close.stdio --- */

static void a_socket_becomes_stderr(void **state)
{
	struct stream s;

	(void)state;
	start(&s, rule_set_default());
	makes(&s, FDT_SYS_openat, 2, of_mode(1, S_IFCHR));
	closes(&s, PID, 2);
	makes(&s, FDT_SYS_socket, 2, a_socket(2));
	assert_int_equal(only_finding(&s, RULE_CLOSE_STDIO)->severity, SEVERITY_WARNING);
	assert_string_equal(s.kept[0].message,
			    "fd 2 is now tcp: what is written to stderr goes there");
	assert_non_null(strstr(s.kept[0].why, "tid 100 had closed it"));
	assert_int_equal(s.kept[0].history_count, 1);
	assert_int_equal(s.kept[0].generation, 2);
	assert_string_equal(s.kept[0].opened_at, "socket");
	stream_end(&s);
}

static void a_log_becomes_stdout(void **state)
{
	const struct fdt_file log = with_flags(a_file(2), O_WRONLY);
	struct stream s;

	(void)state;
	start(&s, rule_set_default());
	makes(&s, FDT_SYS_openat, 1, of_mode(1, S_IFCHR));
	closes(&s, PID, 1);
	names(&s, 1, log, "/data/orders.db");
	makes(&s, FDT_SYS_openat, 1, log);
	assert_string_equal(
		only_finding(&s, RULE_CLOSE_STDIO)->message,
		"fd 1 is now file /data/orders.db: what is written to stdout goes there");
	stream_end(&s);
}

static void what_is_meant_for_a_standard_number(void **state)
{
	static const struct {
		unsigned int op, syscall, mode;
		int fd;
	} calls[] = {
		{ FDT_OP_REPLACE, FDT_SYS_dup2, S_IFREG, 2 },
		{ FDT_OP_REPLACE, FDT_SYS_dup3, S_IFREG, 2 },
		{ FDT_OP_OPEN, FDT_SYS_dup2, S_IFREG, 2 },
		{ FDT_OP_OPEN, FDT_SYS_dup, S_IFREG, 2 },
		{ FDT_OP_OPEN, FDT_SYS_fcntl, S_IFREG, 2 },
		{ FDT_OP_OPEN, FDT_SYS_openat, S_IFCHR, 2 },
		{ FDT_OP_OPEN, FDT_SYS_pipe2, S_IFIFO, 1 },
		{ FDT_OP_OPEN, FDT_SYS_openat, S_IFREG, 3 },
	};
	struct stream s;

	(void)state;
	start(&s, rule_set_default());
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		put(&s, calls[i].op, calls[i].syscall, PID, calls[i].fd,
		    of_mode(i + 1, calls[i].mode));
		closes(&s, PID, calls[i].fd);
	}
	tick(&s, 2 * S);
	nothing_found(&s);
}

static void a_child_prepares_its_exec(void **state)
{
	const struct fdt_file files[16] = { a_file(1), a_file(1), a_file(1) };
	struct stream s;

	(void)state;
	start(&s, rule_set_default());
	table_is(&s, FDT_OP_SNAPSHOT, PID, TABLE, files);
	child_with(&s, files);
	put_at(&s, FDT_OP_CLOSE, FDT_SYS_close, CHILD, CHILD_TABLE, 1, (struct fdt_file){ 0 }, 0);
	put_at(&s, FDT_OP_OPEN, FDT_SYS_openat, CHILD, CHILD_TABLE, 1,
	       with_flags(a_file(2), O_WRONLY), 0);
	nothing_found(&s);
}

static void started_with_a_number_closed(void **state)
{
	const struct fdt_file files[16] = { a_file(1), a_file(1) };
	struct stream s;

	(void)state;
	start(&s, rule_set_default());
	makes(&s, FDT_SYS_openat, 0, of_mode(1, S_IFCHR));
	makes(&s, FDT_SYS_openat, 2, of_mode(1, S_IFCHR));
	closes(&s, PID, 2);
	s.now_ns += MS;
	task(&s, FDT_OP_EXEC, PID, PID, TABLE, PID, 0);
	table_is(&s, FDT_OP_EXEC, PID, TABLE, files);
	s.now_ns += MS;
	makes(&s, FDT_SYS_socket, 2, a_socket(2));
	assert_non_null(strstr(only_finding(&s, RULE_CLOSE_STDIO)->why, "was started with it"));
	stream_end(&s);
}

static void execs_with(struct stream *s, const struct fdt_file files[16])
{
	s->now_ns += MS;
	task(s, FDT_OP_EXEC, PID, PID, TABLE, PID, 0);
	table_is(s, FDT_OP_EXEC, PID, TABLE, files);
	s->now_ns += MS;
}

/* As the dynamic linker does before main() with the lowest number free. */
static void loads_libraries(struct stream *s, int fd, int count)
{
	for (int i = 0; i < count; i++) {
		s->now_ns += MS;
		makes(s, FDT_SYS_openat, fd, a_file(50 + i));
		closes(s, PID, fd);
	}
}

/* However many libraries: more than are remembered, and none that is. */
static void started_without_stdin(void **state)
{
	const struct fdt_file files[16] = { { 0 }, a_file(1), a_file(1) };
	static const int libraries[] = { 0, 1, 3, 20 };

	(void)state;
	for (size_t i = 0; i < sizeof(libraries) / sizeof(libraries[0]); i++) {
		struct stream s;

		start(&s, rule_set_default());
		execs_with(&s, files);
		loads_libraries(&s, 0, libraries[i]);
		makes(&s, FDT_SYS_openat, 0, with_flags(a_file(2), O_RDWR));
		assert_string_equal(only_finding(&s, RULE_CLOSE_STDIO)->why,
				    "number 0 was free (the program was started with it closed), "
				    "and openat takes the lowest free one");
		stream_end(&s);
	}
}

/* Whoever closed what was there is named, not who closed what found the number free. */
static void stdin_closed_by_the_program(void **state)
{
	const struct fdt_file files[16] = { a_file(1), a_file(1), a_file(1) };
	struct stream s;

	(void)state;
	for (int later = 0; later <= 20; later += 2) {
		start(&s, rule_set_default());
		execs_with(&s, files);
		put(&s, FDT_OP_CLOSE, FDT_SYS_close, OTHER, 0, (struct fdt_file){ 0 });
		loads_libraries(&s, 0, later);
		makes(&s, FDT_SYS_openat, 0, with_flags(a_file(2), O_RDWR));
		assert_non_null(strstr(only_finding(&s, RULE_CLOSE_STDIO)->why,
				       later < 4 ? "(tid 101 had closed it)"
						 : "(it was closed too long ago"));
		stream_end(&s);
	}
}

/* Started without it, filled on purpose, and closed again. */
static void stdin_filled_and_closed_again(void **state)
{
	const struct fdt_file files[16] = { { 0 }, a_file(1), a_file(1) };
	struct stream s;

	(void)state;
	start(&s, rule_set_default());
	execs_with(&s, files);
	loads_libraries(&s, 0, 2);
	makes(&s, FDT_SYS_dup2, 0, of_mode(3, S_IFCHR));
	put(&s, FDT_OP_CLOSE, FDT_SYS_close, OTHER, 0, (struct fdt_file){ 0 });
	loads_libraries(&s, 0, 1);
	makes(&s, FDT_SYS_openat, 0, with_flags(a_file(2), O_RDWR));
	assert_non_null(strstr(only_finding(&s, RULE_CLOSE_STDIO)->why, "(tid 101 had closed it)"));
	stream_end(&s);
}

/* In the background, whichever of the two was without it first. */
static void forked_without_stdin(void **state)
{
	const struct fdt_file files[16] = { { 0 }, a_file(1), a_file(1) };
	const struct fdt_file all[16] = { a_file(1), a_file(1), a_file(1) };

	(void)state;
	for (int closes_it = 0; closes_it <= 1; closes_it++) {
		struct stream s;

		start(&s, rule_set_default());
		execs_with(&s, closes_it ? all : files);
		if (closes_it)
			closes(&s, PID, 0);
		child_with(&s, files);
		s.now_ns += 2 * S;
		put_at(&s, FDT_OP_OPEN, FDT_SYS_openat, CHILD, CHILD_TABLE, 0,
		       with_flags(a_file(2), O_RDWR), 0);
		assert_non_null(strstr(only_finding(&s, RULE_CLOSE_STDIO)->why,
				       closes_it ? "(it was closed already when the process was"
						 : "(the program was started with it closed)"));
		stream_end(&s);
	}
}

/* The dynamic linker of a program started without stdin reads its libraries by number 0. */
static void read_only_and_soon_gone(void **state)
{
	struct stream s;

	(void)state;
	start(&s, rule_set_default());
	for (int i = 0; i < 200; i++) {
		makes(&s, FDT_SYS_openat, 0, a_file(i + 1));
		tick(&s, MS);
		closes(&s, PID, 0);
	}
	tick(&s, 2 * S);
	nothing_found(&s);
}

static void read_only_and_there_to_stay(void **state)
{
	struct stream s;

	(void)state;
	start(&s, rule_set_default());
	makes(&s, FDT_SYS_openat, 0, a_file(1));
	assert_int_equal(s.kept_count, 0);
	tick(&s, 2 * S);
	assert_non_null(strstr(only_finding(&s, RULE_CLOSE_STDIO)->message, "stdin"));
	stream_end(&s);
}

/* A compiler closes stdin when it has read it all, and 0 is the number of its output. */
static void written_by_number_0(void **state)
{
	struct stream s;

	(void)state;
	start(&s, rule_set_default());
	makes(&s, FDT_SYS_openat, 0, of_mode(1, S_IFIFO));
	closes(&s, PID, 0);
	makes(&s, FDT_SYS_openat, 0, with_flags(a_file(2), O_WRONLY));
	tick(&s, 2 * S);
	nothing_found(&s);
}

static void read_and_written_by_number_0(void **state)
{
	struct stream s;

	(void)state;
	start(&s, rule_set_default());
	makes(&s, FDT_SYS_openat, 0, with_flags(a_file(1), O_RDWR));
	assert_string_equal(only_finding(&s, RULE_CLOSE_STDIO)->message,
			    "fd 0 is now file: what reads stdin reads from it");
	stream_end(&s);
}

/* What is printed can't get into it. */
static void read_only_where_output_goes(void **state)
{
	struct stream s;

	(void)state;
	start(&s, rule_set_default());
	makes(&s, FDT_SYS_openat, 1, a_file(1));
	makes(&s, FDT_SYS_openat, 2, a_file(2));
	tick(&s, 2 * S);
	task(&s, FDT_OP_EXIT, PID, PID, TABLE, 0, FDT_TASK_LAST);
	nothing_found(&s);
}

/* read(2) of a directory fails. */
static void a_directory_on_0(void **state)
{
	struct stream s;

	(void)state;
	start(&s, rule_set_default());
	makes(&s, FDT_SYS_openat, 0, with_flags(of_mode(1, S_IFDIR), O_RDONLY));
	tick(&s, 2 * S);
	nothing_found(&s);
}

static void read_by_stdin_in_the_last_moments(void **state)
{
	struct stream s;

	(void)state;
	start(&s, rule_set_default());
	makes(&s, FDT_SYS_openat, 0, a_file(1));
	task(&s, FDT_OP_EXIT, PID, PID, TABLE, 0, FDT_TASK_LAST);
	assert_int_equal(s.kept_count, 0);
	stream_end(&s);
}

/* --- close.lock --- */

static void locks_as(struct stream *s, uint32_t tid, int fd, struct fdt_file file,
		     unsigned int type, int64_t from, int64_t length)
{
	struct fdt_lock e = { .head = HEAD(s, FDT_LOCK, 0, fdt_lock, PID, tid, TABLE),
			      .fd = fd,
			      .type = type,
			      .start = from,
			      .length = length,
			      .file = file };

	e.head.syscall = FDT_SYS_fcntl;
	stream_apply(s, &e);
}

static void locks(struct stream *s, int fd, unsigned int type, int64_t from, int64_t length)
{
	locks_as(s, PID, fd, a_file(1), type, from, length);
}

/* Another open file of the same inode. */
static struct fdt_file reopened(uint64_t number)
{
	struct fdt_file file = a_file(number);

	file.file += 128;
	return file;
}

static void two_of_one_file(struct stream *s)
{
	start(s, rule_set_default());
	names(s, 3, a_file(1), "/data/db");
	opens(s, PID, 3, 1);
	makes(s, FDT_SYS_openat, 7, reopened(1));
}

static void lock_lost_by_another_close(void **state)
{
	struct stream s;

	(void)state;
	two_of_one_file(&s);
	locks_as(&s, OTHER, 3, a_file(1), FDT_LOCK_WRITE, 0, 0);
	assert_int_equal(s.last_err, 0);
	closes(&s, PID, 7);
	assert_int_equal(only_finding(&s, RULE_CLOSE_LOCK)->severity, SEVERITY_WARNING);
	assert_string_equal(s.kept[0].message,
			    "the record lock on /data/db (taken by tid 101) was lost when fd 7, "
			    "another descriptor of the same file, was closed by tid 100");
	assert_true(s.kept[0].closed_is_culprit);
	assert_int_equal(s.kept[0].used_tid, OTHER);
	assert_int_equal(s.kept[0].closed_tid, PID);
	assert_int_equal(s.kept[0].fd, 7);
	closes(&s, PID, 3);
	assert_int_equal(s.kept_count, 1);
	stream_end(&s);
}

static void lock_lost_with_a_duplicate(void **state)
{
	struct stream s;

	(void)state;
	two_of_one_file(&s);
	makes(&s, FDT_SYS_dup, 8, a_file(1));
	locks(&s, 3, FDT_LOCK_READ, 100, 10);
	put(&s, FDT_OP_REPLACE, FDT_SYS_dup2, PID, 8, a_file(9));
	assert_string_equal(only_finding(&s, RULE_CLOSE_LOCK)->closed_how, "dup2 (replaced)");
	stream_end(&s);
}

static void lock_given_up_as_it_should(void **state)
{
	struct stream s;

	(void)state;
	two_of_one_file(&s);
	locks(&s, 3, FDT_LOCK_WRITE, 0, 0);
	closes(&s, PID, 3);
	closes(&s, PID, 7);
	nothing_found(&s);
}

static void lock_removed_before_the_close(void **state)
{
	struct stream s;

	(void)state;
	two_of_one_file(&s);
	locks(&s, 3, FDT_LOCK_WRITE, 0, 100);
	locks(&s, 3, FDT_LOCK_NONE, 0, 40);
	locks(&s, 3, FDT_LOCK_NONE, 100, -60);
	closes(&s, PID, 7);
	nothing_found(&s);
}

/* The middle goes, then the first part: what is behind stays, and only an unlock to the end takes it. */
static void lock_removed_in_parts(void **state)
{
	(void)state;
	for (int whole = 0; whole <= 1; whole++) {
		struct stream s;

		two_of_one_file(&s);
		locks(&s, 3, FDT_LOCK_WRITE, 0, 0);
		locks(&s, 7, FDT_LOCK_NONE, 50, 10);
		locks(&s, 3, FDT_LOCK_NONE, 0, 50);
		locks(&s, 3, FDT_LOCK_NONE, 60, whole ? 0 : 1000);
		closes(&s, PID, 7);
		assert_int_equal(s.kept_count, !whole);
		stream_end(&s);
	}
}

/* Taken over by the one that closes: what it set it may drop. */
static void lock_set_anew_through_the_one_closed(void **state)
{
	struct stream s;

	(void)state;
	two_of_one_file(&s);
	locks(&s, 3, FDT_LOCK_READ, 0, 100);
	locks_as(&s, PID, 7, reopened(1), FDT_LOCK_WRITE, 0, 0);
	closes(&s, PID, 7);
	nothing_found(&s);
}

static void closes_that_touch_no_lock(void **state)
{
	const struct fdt_file files[16] = { [3] = a_file(1), [7] = reopened(1) };
	struct stream s;

	(void)state;
	two_of_one_file(&s);
	opens(&s, PID, 8, 2);
	locks(&s, 3, FDT_LOCK_WRITE, 0, 0);
	closes(&s, PID, 8);
	child_with(&s, files);
	put_at(&s, FDT_OP_CLOSE, FDT_SYS_close, CHILD, CHILD_TABLE, 7, (struct fdt_file){ 0 }, 0);
	task(&s, FDT_OP_EXIT, CHILD, CHILD, CHILD_TABLE, 0, FDT_TASK_LAST);
	task(&s, FDT_OP_EXIT, PID, PID, TABLE, 0, FDT_TASK_LAST);
	nothing_found(&s);
}

static void locks_end_with_an_exec_that_closes(void **state)
{
	const struct fdt_file kept[16] = { [3] = a_file(1), [8] = reopened(1) };
	struct stream s;

	(void)state;
	two_of_one_file(&s);
	makes(&s, FDT_SYS_dup, 8, reopened(1));
	locks(&s, 3, FDT_LOCK_WRITE, 0, 0);
	task(&s, FDT_OP_EXEC, PID, PID, TABLE, PID, 0);
	table_is(&s, FDT_OP_EXEC, PID, TABLE, kept);
	closes(&s, PID, 8);
	nothing_found(&s);
}

/* An exec that closes nothing of the file leaves the locks in force. */
static void locks_live_through_an_exec(void **state)
{
	const struct fdt_file kept[16] = { [3] = a_file(1), [7] = reopened(1) };
	struct stream s;

	(void)state;
	two_of_one_file(&s);
	locks(&s, 3, FDT_LOCK_WRITE, 0, 0);
	task(&s, FDT_OP_EXEC, PID, PID, TABLE, PID, 0);
	table_is(&s, FDT_OP_EXEC, PID, TABLE, kept);
	closes(&s, PID, 7);
	only_finding(&s, RULE_CLOSE_LOCK);
	stream_end(&s);
}

/* 16 ranges are kept exactly; a 17th and nothing is known any more. */
static void too_many_ranges_are_forgotten(void **state)
{
	(void)state;
	for (int count = 16; count <= 17; count++) {
		struct stream s;

		two_of_one_file(&s);
		for (int i = 0; i < count; i++)
			locks(&s, 3, FDT_LOCK_READ, 10 * i, 1);
		closes(&s, PID, 7);
		assert_int_equal(s.kept_count, count == 16);
		stream_end(&s);
	}
}

static void locks_on_too_many_files_are_not_kept(void **state)
{
	struct engine_counters before, after;
	struct stream s;

	(void)state;
	start(&s, rule_set_default());
	for (int i = 1; i <= 6000; i++)
		opens(&s, PID, i, i);
	engine_counters(s.engine, &before);
	for (int i = 1; i <= 6000; i++)
		locks_as(&s, PID, i, a_file(i), FDT_LOCK_WRITE, 0, 0);
	engine_counters(s.engine, &after);
	assert_true(after.memory_bytes - before.memory_bytes < 5 << 20);
	makes(&s, FDT_SYS_openat, 7000, reopened(4096));
	makes(&s, FDT_SYS_openat, 7001, reopened(4097));
	closes(&s, PID, 7001);
	assert_int_equal(s.kept_count, 0);
	closes(&s, PID, 7000);
	only_finding(&s, RULE_CLOSE_LOCK);
	task(&s, FDT_OP_EXIT, PID, PID, TABLE, 0, FDT_TASK_LAST);
	assert_int_equal(lock_file_count(s.engine), 0);
	stream_end(&s);
}

static void malformed_locks(void **state)
{
	struct stream s;

	(void)state;
	two_of_one_file(&s);
	locks(&s, 3, 3, 0, 0);
	assert_int_equal(s.last_err, -EINVAL);
	locks(&s, 3, FDT_LOCK_WRITE, 5, -6);
	assert_int_equal(s.last_err, -EINVAL);
	locks(&s, -1, FDT_LOCK_WRITE, 0, 0);
	assert_int_equal(s.last_err, -EINVAL);
	locks(&s, 3, FDT_LOCK_WRITE, INT64_MAX, INT64_MAX);
	assert_int_equal(s.last_err, 0);
	locks_as(&s, PID, 50, a_file(3), FDT_LOCK_WRITE, 0, 0); /* holds nothing that we know */
	assert_int_equal(s.last_err, 0);
	closes(&s, PID, 7);
	only_finding(&s, RULE_CLOSE_LOCK);
	stream_end(&s);
}

/* --- epoll.foreign --- */

static void registers(struct stream *s, uint32_t pid, uint64_t table, uint32_t maker,
		      unsigned int op)
{
	struct fdt_register e = { .head = HEAD(s, FDT_REGISTER, 0, fdt_register, pid, pid, table),
				  .epoll_fd = 4,
				  .fd = 5,
				  .maker_tgid = maker,
				  .epoll = an_epoll(4),
				  .file = a_socket(5) };

	e.head.syscall = FDT_SYS_epoll_ctl;
	e.head.flags = (uint16_t)op;
	stream_apply(s, &e);
}

static void two_share_an_epoll(struct stream *s)
{
	const struct fdt_file files[16] = { [4] = an_epoll(4), [5] = a_socket(5) };

	start(s, rule_set_default());
	task(s, FDT_OP_SNAPSHOT, PID, PID, TABLE, 0, 0);
	makes(s, FDT_SYS_epoll_create1, 4, an_epoll(4));
	makes(s, FDT_SYS_socket, 5, a_socket(5));
	child_with(s, files);
}

static void a_child_removes_its_parents_registration(void **state)
{
	struct stream s;

	(void)state;
	two_share_an_epoll(&s);
	registers(&s, CHILD, CHILD_TABLE, PID, EPOLL_CTL_DEL);
	assert_int_equal(only_finding(&s, RULE_EPOLL_FOREIGN)->severity, SEVERITY_WARNING);
	assert_string_equal(s.kept[0].message,
			    "prog[200] removed the registration of fd 5 (tcp) in epoll fd 4, which "
			    "it shares with prog[100]");
	assert_int_equal(s.kept[0].used_tid, CHILD);
	assert_int_equal(s.kept[0].opened_tid, PID);
	assert_int_equal(s.kept[0].kind, FD_KIND_EPOLL);
	assert_non_null(strstr(s.kept[0].why, "no longer come"));
	stream_end(&s);
}

/* The host is not asked about what nobody will read. */
static void a_storm_of_changes_asks_little(void **state)
{
	struct stream s;

	(void)state;
	two_share_an_epoll(&s);
	for (int i = 0; i < 1000; i++)
		registers(&s, CHILD, CHILD_TABLE, PID, EPOLL_CTL_MOD);
	only_finding(&s, RULE_EPOLL_FOREIGN);
	assert_in_range(kernel.asked, 1, 3);
	stream_end(&s);
}

static void an_exec_makes_it_no_better(void **state)
{
	const struct fdt_file files[16] = { [4] = an_epoll(4), [5] = a_socket(5) };
	struct stream s;

	(void)state;
	two_share_an_epoll(&s);
	task(&s, FDT_OP_EXEC, CHILD, CHILD, CHILD_TABLE, CHILD, 0);
	table_is(&s, FDT_OP_EXEC, CHILD, CHILD_TABLE, files);
	task(&s, FDT_OP_EXEC, PID, PID, TABLE, PID, 0);
	table_is(&s, FDT_OP_EXEC, PID, TABLE, files);
	registers(&s, CHILD, CHILD_TABLE, PID, EPOLL_CTL_ADD);
	assert_non_null(strstr(only_finding(&s, RULE_EPOLL_FOREIGN)->message, "added"));
	stream_end(&s);
}

static void the_parents_own_changes(void **state)
{
	struct stream s;

	(void)state;
	two_share_an_epoll(&s);
	registers(&s, PID, TABLE, CHILD, EPOLL_CTL_DEL);
	registers(&s, PID, TABLE, PID, EPOLL_CTL_MOD);
	nothing_found(&s);
}

static void the_parent_has_left_the_epoll(void **state)
{
	struct stream s;

	(void)state;
	two_share_an_epoll(&s);
	closes(&s, PID, 4);
	registers(&s, CHILD, CHILD_TABLE, PID, EPOLL_CTL_DEL);
	nothing_found(&s);
}

static void a_child_that_shares_the_table(void **state)
{
	struct stream s;

	(void)state;
	start(&s, rule_set_default());
	makes(&s, FDT_SYS_epoll_create1, 4, an_epoll(4));
	makes(&s, FDT_SYS_socket, 5, a_socket(5));
	task(&s, FDT_OP_FORK, CHILD, CHILD, TABLE, PID, FDT_TASK_SHARED);
	registers(&s, CHILD, TABLE, PID, EPOLL_CTL_DEL);
	nothing_found(&s);
}

/* Got through a socket: meant to be shared. */
static void an_unrelated_process(void **state)
{
	struct stream s;

	(void)state;
	start(&s, rule_set_default());
	makes(&s, FDT_SYS_epoll_create1, 4, an_epoll(4));
	put_at(&s, FDT_OP_RECEIVE, FDT_SYS_recvmsg, CHILD, CHILD_TABLE, 4, an_epoll(4), 0);
	registers(&s, CHILD, CHILD_TABLE, PID, EPOLL_CTL_ADD);
	registers(&s, CHILD, CHILD_TABLE, PID, 7);
	assert_int_equal(s.last_err, -EINVAL);
	nothing_found(&s);
}

/* --- epoll.stale --- */

static void is_watched(int32_t fd)
{
	kernel.watched = true;
	kernel.registration = (struct fdt_registration){ .epoll = an_epoll(4).file, .fd = fd };
}

static void a_child_keeps_what_is_watched(void **state)
{
	struct stream s;

	(void)state;
	two_share_an_epoll(&s);
	is_watched(5);
	closes(&s, PID, 5);
	tick(&s, 500 * MS);
	assert_int_equal(s.kept_count, 0);
	tick(&s, S);
	assert_int_equal(only_finding(&s, RULE_EPOLL_STALE)->severity, SEVERITY_WARNING);
	assert_string_equal(s.kept[0].message,
			    "fd 5 (tcp) was closed by tid 100, but epoll fd 4 still watches it: "
			    "prog[200] holds a copy (fd 5)");
	assert_true(s.kept[0].closed_is_culprit);
	assert_int_equal(s.kept[0].closed_tid, PID);
	stream_end(&s);
}

static void a_duplicate_keeps_what_is_watched(void **state)
{
	struct stream s;

	(void)state;
	start(&s, rule_set_default());
	makes(&s, FDT_SYS_epoll_create1, 4, an_epoll(4));
	makes(&s, FDT_SYS_socket, 5, a_socket(5));
	makes(&s, FDT_SYS_dup, 6, a_socket(5));
	is_watched(5);
	closes(&s, PID, 5);
	tick(&s, 2 * S);
	assert_non_null(strstr(only_finding(&s, RULE_EPOLL_STALE)->message, "copy (fd 6)"));
	stream_end(&s);
}

static void closed_as_it_should_be(void **state)
{
	struct stream s;

	(void)state;
	two_share_an_epoll(&s);
	closes(&s, PID, 5); /* EPOLL_CTL_DEL came before */
	tick(&s, 2 * S);
	assert_int_equal(kernel.asked, 1);
	nothing_found(&s);
}

static void a_child_lets_go_in_time(void **state)
{
	const struct fdt_file kept[16] = { { 0 } };
	struct stream s;

	(void)state;
	two_share_an_epoll(&s);
	is_watched(5);
	closes(&s, PID, 5);
	task(&s, FDT_OP_EXEC, CHILD, CHILD, CHILD_TABLE, CHILD, 0);
	table_is(&s, FDT_OP_EXEC, CHILD, CHILD_TABLE, kept);
	tick(&s, 2 * S);
	assert_int_equal(kernel.asked, 0);
	nothing_found(&s);
}

/* The parent's registration is alive and well. */
static void a_child_closes_its_copy(void **state)
{
	struct stream s;

	(void)state;
	two_share_an_epoll(&s);
	is_watched(5);
	put_at(&s, FDT_OP_CLOSE, FDT_SYS_close, CHILD, CHILD_TABLE, 5, (struct fdt_file){ 0 }, 0);
	tick(&s, 2 * S);
	nothing_found(&s);
}

/* The same where both were there before us, so that nothing tells whose epoll it is but the kinship. */
static void a_child_found_later_closes_its_copy(void **state)
{
	const struct fdt_file files[16] = { [4] = an_epoll(4), [5] = a_socket(5) };
	struct fdt_task child;
	struct stream s;

	(void)state;
	start(&s, rule_set_default());
	task(&s, FDT_OP_SNAPSHOT, PID, PID, TABLE, 0, 0);
	table_is(&s, FDT_OP_SNAPSHOT, PID, TABLE, files);
	child = a_task(&s, FDT_OP_SNAPSHOT, CHILD, CHILD, CHILD_TABLE);
	child.parent_tgid = PID;
	stream_apply(&s, &child);
	table_is(&s, FDT_OP_SNAPSHOT, CHILD, CHILD_TABLE, files);
	detector_epoll_foreign.duplicated(s.engine, NULL, &(struct fdt_slot){ .file = a_socket(5) },
					  NULL);
	((struct fdtable *)map_get(&s.engine->tables, CHILD_TABLE))->facts |= TABLE_HAS_EPOLL;
	is_watched(5);
	put_at(&s, FDT_OP_CLOSE, FDT_SYS_close, CHILD, CHILD_TABLE, 5, (struct fdt_file){ 0 }, 0);
	assert_int_equal(epoll_closed_count(s.engine), 1);
	tick(&s, 2 * S);
	nothing_found(&s);
}

static void watched_by_another_number_or_epoll(void **state)
{
	struct stream s;

	(void)state;
	two_share_an_epoll(&s);
	is_watched(6);
	closes(&s, PID, 5);
	tick(&s, 2 * S);
	assert_int_equal(kernel.asked, 1);
	nothing_found(&s);
}

/* More closes than are kept: the rest is let go, and no more is asked at once than is cheap. */
static void many_closes_are_bounded(void **state)
{
	struct stream s;

	(void)state;
	start(&s, rule_set_default());
	makes(&s, FDT_SYS_epoll_create1, 4, an_epoll(4));
	for (int fd = 5; fd < 1005; fd++) {
		makes(&s, FDT_SYS_socket, fd, a_socket(fd));
		makes(&s, FDT_SYS_dup, fd + 1000, a_socket(fd));
		closes(&s, PID, fd);
	}
	assert_int_equal(epoll_closed_count(s.engine), EPOLL_CLOSED_MAX);
	tick(&s, 2 * S);
	assert_int_equal(kernel.asked, 32);
	for (int i = 0; i < 10; i++)
		tick(&s, S);
	assert_int_equal(kernel.asked, EPOLL_CLOSED_MAX);
	assert_int_equal(epoll_closed_count(s.engine), 0);
	nothing_found(&s);
}

/* --- use.stale --- */

static void uses(struct stream *s, uint32_t tid, int fd, struct fdt_file file)
{
	struct fdt_slot e = { .head = HEAD(s, FDT_USE, FDT_OP_STALE_USE, fdt_slot, PID, tid, TABLE),
			      .fd = fd,
			      .file = file };

	e.head.syscall = FDT_SYS_write;
	stream_apply(s, &e);
}

static void used_after_others_filled_it_anew(void **state)
{
	struct stream s;

	(void)state;
	start(&s, (rule_set)1 << RULE_USE_STALE);
	opens(&s, PID, 5, 1);
	closes(&s, OTHER, 5);
	opens(&s, PID, 5, 2);
	uses(&s, PID + 2, 5, a_file(2));
	assert_string_equal(only_finding(&s, RULE_USE_STALE)->message,
			    "tid 102 kept using fd 5 (file), which meanwhile is another file");
	assert_int_equal(s.kept[0].confidence, CONFIDENCE_INFERRED);
	assert_int_equal(s.kept[0].history_count, 1);
	assert_int_equal(s.kept[0].generation, 2);
	assert_true(fdtable_slot(map_get(&s.engine->tables, TABLE), 5)->flags & SLOT_USED);
	stream_end(&s);
}

/* Who opened or closed it itself knows; dup2 is how a log is changed under its writers. */
static void used_by_who_knows(void **state)
{
	struct stream s;

	(void)state;
	start(&s, (rule_set)1 << RULE_USE_STALE);
	opens(&s, PID, 5, 1);
	closes(&s, OTHER, 5);
	opens(&s, PID, 5, 2);
	uses(&s, PID, 5, a_file(2));
	uses(&s, OTHER, 5, a_file(2));
	uses(&s, PID + 2, 5, a_file(1)); /* not what it holds */
	put(&s, FDT_OP_REPLACE, FDT_SYS_dup2, PID, 5, a_file(3));
	uses(&s, PID + 2, 5, a_file(3));
	nothing_found(&s);
}

static void stale_use_is_off_by_default(void **state)
{
	struct stream s;

	(void)state;
	start(&s, rule_set_default());
	opens(&s, PID, 5, 1);
	closes(&s, OTHER, 5);
	opens(&s, PID, 5, 2);
	uses(&s, PID + 2, 5, a_file(2));
	nothing_found(&s);
}

/* --- a slow sweep by F_GETFD --- */

static void probes(struct stream *s, int first, uint32_t count, int step)
{
	struct fdt_error e = { .head = HEAD(s, FDT_ERROR, 0, fdt_error, PID, PID, TABLE),
			       .fd = first,
			       .error = EBADF,
			       .count = count,
			       .step = step,
			       .run = 9,
			       .first_ns = s->now_ns - S };

	e.head.syscall = FDT_SYS_fcntl;
	e.head.flags = FDT_ERR_EMPTY;
	stream_apply(s, &e);
}

static void a_million_numbers_asked_about(void **state)
{
	(void)state;
	for (int step = -1; step <= 1; step += 2) {
		struct stream s;

		start(&s, rule_set_default());
		for (uint32_t count = 1; count < 999997; count *= 4)
			probes(&s, step > 0 ? 3 : 999999, count, count > 1 ? step : 0);
		assert_int_equal(s.kept_count, 0);
		probes(&s, step > 0 ? 3 : 999999, 999997, step);
		probes(&s, step > 0 ? 3 : 999999, 999997, step);
		assert_int_equal(only_finding(&s, RULE_CLOSE_SWEEP)->severity, SEVERITY_INFO);
		assert_int_equal(s.kept[0].count, 1);
		assert_non_null(strstr(s.kept[0].message, "1000000 descriptor numbers"));
		stream_end(&s);
	}
}

static void a_few_thousand_numbers_asked_about(void **state)
{
	struct stream s;

	(void)state;
	start(&s, rule_set_default());
	probes(&s, 32, 2016, 1);
	probes(&s, 7, 2000000, 0); /* one and the same */
	tick(&s, 4 * S);
	nothing_found(&s);
}

/* --- flags of a slot --- */

static unsigned int flags_of(struct stream *s, uint64_t table, int fd)
{
	return fdtable_slot(map_get(&s->engine->tables, table), fd)->flags;
}

static void marks(struct stream *s, int fd, struct fdt_file file, int set)
{
	struct fdt_slot e = { .head = HEAD(s, FDT_MARK, FDT_OP_MARK, fdt_slot, PID, PID, TABLE),
			      .fd = fd,
			      .result = set,
			      .file = file };

	e.head.syscall = FDT_SYS_fcntl;
	stream_apply(s, &e);
}

static void marks_are_kept_and_inherited(void **state)
{
	const struct fdt_file files[16] = { [3] = a_file(1), [4] = a_file(2), [5] = a_file(3) };
	const unsigned int marked = SLOT_CLOEXEC | SLOT_MEANT;
	struct stream s;

	(void)state;
	start(&s, rule_set_default());
	for (int fd = 3; fd <= 5; fd++)
		opens(&s, PID, fd, fd - 2);
	marks(&s, 3, a_file(1), 1);
	marks(&s, 4, a_file(2), 1);
	marks(&s, 4, a_file(2), 0);
	marks(&s, 5, a_file(9), 1); /* it held something else then */
	marks(&s, 60, a_file(9), 1);
	assert_int_equal(s.last_err, 0);
	marks(&s, -1, a_file(9), 1);
	assert_int_equal(s.last_err, -EINVAL);
	assert_false(flags_of(&s, TABLE, 3) & SLOT_SHARED);
	child_with(&s, files);
	assert_int_equal(flags_of(&s, TABLE, 3) & marked, SLOT_CLOEXEC);
	assert_int_equal(flags_of(&s, CHILD_TABLE, 3) & marked, SLOT_CLOEXEC);
	assert_int_equal(flags_of(&s, CHILD_TABLE, 4) & marked, SLOT_MEANT);
	assert_int_equal(flags_of(&s, CHILD_TABLE, 5) & marked, 0);
	assert_true(flags_of(&s, TABLE, 3) & SLOT_SHARED);
	assert_true(flags_of(&s, CHILD_TABLE, 3) & SLOT_SHARED);
	closes(&s, PID, 3);
	opens(&s, PID, 3, 7);
	assert_int_equal(flags_of(&s, TABLE, 3) & (marked | SLOT_SHARED), 0);
	stream_end(&s);
}

/* --- all of it without memory: no crash, no leak (valgrind) --- */

static void a_life_with_everything(struct stream *s)
{
	const struct fdt_file files[16] = { [3] = a_file(1), [4] = an_epoll(4), [5] = a_socket(5) };

	makes(s, FDT_SYS_socket, 2, a_socket(8));
	makes(s, FDT_SYS_openat, 0, a_file(9));
	opens(s, PID, 3, 1);
	makes(s, FDT_SYS_epoll_create1, 4, an_epoll(4));
	makes(s, FDT_SYS_socket, 5, a_socket(5));
	makes(s, FDT_SYS_openat, 7, reopened(1));
	for (int i = 0; i < 16; i++)
		locks(s, 3, FDT_LOCK_WRITE, i * 10, 5);
	child_with(s, files);
	registers(s, CHILD, CHILD_TABLE, PID, EPOLL_CTL_MOD);
	is_watched(5);
	closes(s, PID, 5);
	closes(s, PID, 7);
	locks(s, 3, FDT_LOCK_WRITE, 0, 0);
	opens(s, OTHER, 7, 2);
	uses(s, PID + 2, 7, a_file(2));
	probes(s, 3, 2000000, 1);
	tick(s, 2 * S);
}

static void nth_allocation_fails(void **state)
{
	(void)state;
	for (uint64_t n = 0; n < 300; n++) {
		struct stream s = { .now_ns = 1000 * S };
		struct engine_options options = stream_options(&s, ENGINE_PID);
		rule_set told = 0;

		memset(&kernel, 0, sizeof(kernel));
		options.fail_at = n;
		options.rules = ~(rule_set)0;
		options.host = &host;
		if (engine_new(&options, &s.engine))
			continue;
		a_life_with_everything(&s);
		for (unsigned int i = 0; i < s.kept_count; i++)
			told |= (rule_set)1 << s.kept[i].rule;
		if (!n)
			assert_int_equal(told, 1 << RULE_CLOSE_STDIO | 1 << RULE_CLOSE_LOCK |
						       1 << RULE_EPOLL_FOREIGN |
						       1 << RULE_EPOLL_STALE |
						       1 << RULE_CLOSE_SWEEP | 1 << RULE_USE_STALE);
		stream_end(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_socket_becomes_stderr),
		cmocka_unit_test(a_log_becomes_stdout),
		cmocka_unit_test(what_is_meant_for_a_standard_number),
		cmocka_unit_test(a_child_prepares_its_exec),
		cmocka_unit_test(started_with_a_number_closed),
		cmocka_unit_test(started_without_stdin),
		cmocka_unit_test(stdin_closed_by_the_program),
		cmocka_unit_test(stdin_filled_and_closed_again),
		cmocka_unit_test(forked_without_stdin),
		cmocka_unit_test(read_only_and_soon_gone),
		cmocka_unit_test(read_only_and_there_to_stay),
		cmocka_unit_test(written_by_number_0),
		cmocka_unit_test(read_and_written_by_number_0),
		cmocka_unit_test(read_only_where_output_goes),
		cmocka_unit_test(a_directory_on_0),
		cmocka_unit_test(read_by_stdin_in_the_last_moments),
		cmocka_unit_test(lock_lost_by_another_close),
		cmocka_unit_test(lock_lost_with_a_duplicate),
		cmocka_unit_test(lock_given_up_as_it_should),
		cmocka_unit_test(lock_removed_before_the_close),
		cmocka_unit_test(lock_removed_in_parts),
		cmocka_unit_test(lock_set_anew_through_the_one_closed),
		cmocka_unit_test(closes_that_touch_no_lock),
		cmocka_unit_test(locks_end_with_an_exec_that_closes),
		cmocka_unit_test(locks_live_through_an_exec),
		cmocka_unit_test(too_many_ranges_are_forgotten),
		cmocka_unit_test(locks_on_too_many_files_are_not_kept),
		cmocka_unit_test(malformed_locks),
		cmocka_unit_test(a_child_removes_its_parents_registration),
		cmocka_unit_test(a_storm_of_changes_asks_little),
		cmocka_unit_test(an_exec_makes_it_no_better),
		cmocka_unit_test(the_parents_own_changes),
		cmocka_unit_test(the_parent_has_left_the_epoll),
		cmocka_unit_test(a_child_that_shares_the_table),
		cmocka_unit_test(an_unrelated_process),
		cmocka_unit_test(a_child_keeps_what_is_watched),
		cmocka_unit_test(a_duplicate_keeps_what_is_watched),
		cmocka_unit_test(closed_as_it_should_be),
		cmocka_unit_test(a_child_lets_go_in_time),
		cmocka_unit_test(a_child_closes_its_copy),
		cmocka_unit_test(a_child_found_later_closes_its_copy),
		cmocka_unit_test(watched_by_another_number_or_epoll),
		cmocka_unit_test(many_closes_are_bounded),
		cmocka_unit_test(used_after_others_filled_it_anew),
		cmocka_unit_test(used_by_who_knows),
		cmocka_unit_test(stale_use_is_off_by_default),
		cmocka_unit_test(a_million_numbers_asked_about),
		cmocka_unit_test(a_few_thousand_numbers_asked_about),
		cmocka_unit_test(marks_are_kept_and_inherited),
		cmocka_unit_test(nth_allocation_fails),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
