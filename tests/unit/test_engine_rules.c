// SPDX-License-Identifier: BSD-2-Clause
/* The rules: each guilty stream beside an innocent twin. */
#include "stream.h"

#define CHILD 200
#define CHILD_TABLE 0xffff888000002000ull

static void closed_by_another_and_used(void **state)
{
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_PID);
	opens(&s, PID, 4, 1);
	s.now_ns += 18 * S;
	closes(&s, PID + 9, 4);
	s.now_ns += MS;
	fails(&s, FDT_SYS_sendto, PID, 4, EBADF);
	assert_int_equal(only_finding(&s, RULE_CLOSE_UNOWNED)->severity, SEVERITY_ERROR);
	assert_true(s.kept[0].closed_is_culprit);
	assert_int_equal(s.kept[0].opened_tid, PID);
	assert_int_equal(s.kept[0].closed_tid, PID + 9);
	assert_int_equal(s.kept[0].used_tid, PID);
	stream_end(&s);
}

/* Whose number the user believes in is its own; those in between did nothing wrong. */
static void those_in_between_are_bystanders(void **state)
{
	const uint32_t offender = PID + 1, bystander = PID + 2;
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_PID);
	opens(&s, PID, 4, 1);
	closes(&s, offender, 4);
	opens(&s, bystander, 4, 2);
	closes(&s, bystander, 4);
	s.now_ns += 20 * MS;
	fails(&s, FDT_SYS_read, PID, 4, EBADF);
	assert_int_equal(only_finding(&s, RULE_CLOSE_UNOWNED)->closed_tid, offender);
	assert_int_equal(s.kept[0].generation, 1);
	assert_int_equal(s.kept[0].history_count, 1); /* the bystander's */
	stream_end(&s);
}

/* What was handed to the user and closed under its hands is not its opener's own affair. */
static void closed_by_who_had_handed_it_over(void **state)
{
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_PID);
	opens(&s, PID + 1, 4, 1);
	closes(&s, PID + 1, 4);
	opens(&s, PID + 2, 4, 2);
	closes(&s, PID + 2, 4);
	fails(&s, FDT_SYS_read, PID, 4, EBADF);
	assert_int_equal(only_finding(&s, RULE_CLOSE_UNOWNED)->closed_tid, PID + 2);
	assert_int_equal(s.kept[0].generation, 2);
	stream_end(&s);
}

/* Every worker pool closes what another thread opened. */
static void closed_by_another_and_left_alone(void **state)
{
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_PID);
	for (int i = 0; i < 50; i++) {
		opens(&s, PID, 4, i + 1);
		closes(&s, PID + 1 + i % 3, 4);
		tick(&s, 100 * MS);
	}
	assert_int_equal(s.kept_count, 0);
	stream_end(&s);
}

/* A's stale close hits B's new file; B closed nothing wrong and must not be blamed. */
static void the_last_closer_is_the_culprit(void **state)
{
	const uint32_t offender = PID + 1, bystander = PID + 2;
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_PID);
	opens(&s, offender, 4, 1);
	closes(&s, offender, 4);
	opens(&s, bystander, 4, 2);
	s.now_ns += 20 * MS;
	closes(&s, offender, 4);
	fails(&s, FDT_SYS_write, bystander, 4, EBADF);
	assert_int_equal(only_finding(&s, RULE_CLOSE_UNOWNED)->closed_tid, offender);
	assert_int_equal(s.kept[0].generation, 2);
	assert_non_null(strstr(s.kept[0].why, "had closed generation 1"));
	stream_end(&s);
}

static void double_close_is_told_after_a_moment(void **state)
{
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_PID);
	opens(&s, PID, 5, 1);
	closes(&s, PID, 5);
	fails(&s, FDT_SYS_close, PID, 5, EBADF);
	assert_int_equal(s.kept_count, 0);
	tick(&s, S);
	assert_int_equal(only_finding(&s, RULE_CLOSE_DOUBLE)->severity, SEVERITY_INFO);
	assert_int_equal(s.kept[0].fd, 5);
	stream_end(&s);
}

static void double_close_at_the_very_end(void **state)
{
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_PID);
	opens(&s, PID, 5, 1);
	closes(&s, PID, 5);
	fails(&s, FDT_SYS_close, PID, 5, EBADF);
	task(&s, FDT_OP_EXIT, PID, PID, TABLE, 0, FDT_TASK_LAST);
	only_finding(&s, RULE_CLOSE_DOUBLE);
	stream_end(&s);
}

static void close_of_what_was_never_open(void **state)
{
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_PID);
	fails(&s, FDT_SYS_close, PID, 50, EBADF);
	fails(&s, FDT_SYS_read, PID, 51, EBADF);
	tick(&s, S);
	assert_int_equal(s.kept_count, 0);
	stream_end(&s);
}

static void used_after_own_close(void **state)
{
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_PID);
	opens(&s, PID, 5, 1);
	closes(&s, PID, 5);
	fails(&s, FDT_SYS_fcntl, PID, 5, EBADF);
	assert_int_equal(s.kept_count, 0);
	fails(&s, FDT_SYS_read, PID, 5, EBADF);
	assert_int_equal(only_finding(&s, RULE_USE_CLOSED)->severity, SEVERITY_WARNING);
	stream_end(&s);
}

static void wrong_access_mode_is_no_closed_number(void **state)
{
	struct fdt_error e;
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_PID);
	opens(&s, PID, 5, 1);
	e = (struct fdt_error){ .head = HEAD(&s, FDT_ERROR, 0, fdt_error, PID, PID, TABLE),
				.fd = 5,
				.error = EBADF,
				.count = 1,
				.run = 1 };
	e.head.syscall = FDT_SYS_write;
	stream_apply(&s, &e);
	assert_int_equal(s.kept_count, 0);
	stream_end(&s);
}

/* One leak a second against the same opens closed again, over a minute. */
static void leak_rises(void **state)
{
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_PID);
	task(&s, FDT_OP_SNAPSHOT, PID, PID, TABLE, 0, 0);
	for (int i = 0; i < 60; i++) {
		put(&s, FDT_OP_OPEN, FDT_SYS_pipe2, PID, 3 + i, a_file(i + 1));
		opens(&s, PID, 1000, 5000 + i);
		tick(&s, S);
		closes(&s, PID, 1000);
	}
	assert_int_equal(only_finding(&s, RULE_LEAK_GROWTH)->severity, SEVERITY_ERROR);
	assert_string_equal(s.kept[0].site, "pipe2");
	stream_end(&s);
}

static void plateau_and_sawtooth_are_no_leak(void **state)
{
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_PID);
	for (int i = 0; i < 100; i++)
		put(&s, FDT_OP_OPEN, FDT_SYS_socket, PID, 3 + i, a_file(i + 1));
	for (int i = 0; i < 300; i++) {
		int tooth = i % 17;

		put(&s, FDT_OP_OPEN, FDT_SYS_pipe2, PID, 200 + 2 * tooth, a_file(1000 + i));
		put(&s, FDT_OP_OPEN, FDT_SYS_pipe2, PID, 201 + 2 * tooth, a_file(2000 + i));
		for (int fd = 200; tooth == 16 && fd < 234; fd++)
			closes(&s, PID, fd);
		tick(&s, S);
	}
	assert_int_equal(s.kept_count, 0);
	stream_end(&s);
}

static void full_table(void **state)
{
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_PID);
	for (int fd = 3; fd < 64; fd++)
		put(&s, FDT_OP_OPEN, fd < 10 ? FDT_SYS_openat : FDT_SYS_accept4, PID, fd,
		    a_file(fd));
	fails(&s, FDT_SYS_accept4, PID, -1, EMFILE);
	fails(&s, FDT_SYS_accept4, PID, -1, EMFILE);
	tick(&s, 2 * S); /* a server that can't accept is looked at for a moment */
	assert_int_equal(only_finding(&s, RULE_LIMIT_EMFILE)->severity, SEVERITY_ERROR);
	assert_string_equal(s.kept[0].site, "accept4");
	assert_int_equal(s.kept[0].open, 61);
	stream_end(&s);
}

/* What stands above a limit that was lowered takes no place below it. */
static void full_below_a_lowered_limit(void **state)
{
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_PID);
	for (int fd = 3; fd < 64; fd++)
		opens(&s, PID, fd, fd);
	opens(&s, PID, 100, 100);
	opens(&s, PID, 5000, 101);
	fails(&s, FDT_SYS_openat, PID, -1, EMFILE);
	assert_int_equal(only_finding(&s, RULE_LIMIT_EMFILE)->open, 61);
	stream_end(&s);
}

static uint64_t times_found(struct stream *s, enum rule rule)
{
	struct engine_counters counters;

	engine_counters(s->engine, &counters);
	return counters.by_rule[rule].found;
}

static void fill_by(struct stream *s, unsigned int syscall)
{
	for (int fd = 3; fd < 64; fd++) {
		closes(s, PID, fd);
		put(s, FDT_OP_OPEN, syscall, PID, fd, a_file(fd));
	}
}

/* Each failure counts, and who holds the table is looked up anew after a second. */
static void full_table_storm(void **state)
{
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_PID);
	fill_by(&s, FDT_SYS_openat);
	for (int i = 0; i < 1000; i++)
		fails(&s, i % 2 ? FDT_SYS_openat : FDT_SYS_socket, PID, -1, EMFILE);
	assert_int_equal(times_found(&s, RULE_LIMIT_EMFILE), 1000);
	assert_string_equal(only_finding(&s, RULE_LIMIT_EMFILE)->site, "openat");
	fill_by(&s, FDT_SYS_socket);
	s.now_ns += S / 2;
	fails(&s, FDT_SYS_openat, PID, -1, EMFILE);
	assert_int_equal(s.kept_count, 1);
	s.now_ns += S / 2;
	fails(&s, FDT_SYS_openat, PID, -1, EMFILE);
	assert_int_equal(s.kept_count, 2);
	assert_string_equal(s.kept[1].site, "socket");
	assert_int_equal(times_found(&s, RULE_LIMIT_EMFILE), 1002);
	stream_end(&s);
}

static void another_limit(void **state)
{
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_PID);
	met(&s);
	opens(&s, PID, 3, 1);
	fails(&s, FDT_SYS_inotify_init1, PID, -1, EMFILE);
	assert_int_equal(only_finding(&s, RULE_LIMIT_EMFILE)->severity, SEVERITY_WARNING);
	assert_non_null(strstr(s.kept[0].message, "another limit"));
	stream_end(&s);
}

static void exec_with_two_left(struct stream *s, bool watched, bool use_them)
{
	const uint64_t copied[] = { 0, 0, 0, 1, 2, 3 }, kept[] = { 0, 0, 0, 1, 2 };

	opens(s, PID, 3, 1);
	opens(s, PID, 4, 2);
	opens(s, PID, 5, 3);
	task(s, FDT_OP_FORK, CHILD, CHILD, CHILD_TABLE, PID, 0);
	vec(s, FDT_OP_FORK, CHILD, CHILD_TABLE, 6, copied);
	task(s, FDT_OP_EXEC, CHILD, CHILD, CHILD_TABLE, CHILD, watched ? FDT_TASK_WATCHED : 0);
	vec(s, FDT_OP_EXEC, CHILD, CHILD_TABLE, 5, kept);
	for (int fd = 3; use_them && fd < 5; fd++) {
		struct fdt_slot use = { .head = HEAD(s, FDT_USE, FDT_OP_USE, fdt_slot, CHILD, CHILD,
						     CHILD_TABLE),
					.fd = fd,
					.file = a_file(fd - 2) };

		stream_apply(s, &use);
	}
	tick(s, 6 * S);
}

static void inherited_and_unused(void **state)
{
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_PID);
	exec_with_two_left(&s, true, false);
	assert_int_equal(only_finding(&s, RULE_EXEC_INHERIT)->victim_total, 2);
	assert_int_equal(s.kept[0].severity, SEVERITY_INFO);
	assert_int_equal(s.kept[0].opened_tid, PID);
	stream_end(&s);
}

/* However many are due at one tick. */
static void a_crowd_inherits(void **state)
{
	const uint64_t files[] = { 0, 0, 0, 1 };
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_PID);
	opens(&s, PID, 3, 1);
	for (uint32_t i = 0; i < 1000; i++) {
		task(&s, FDT_OP_FORK, CHILD + i, CHILD + i, CHILD_TABLE + i * 4096, PID, 0);
		vec(&s, FDT_OP_FORK, CHILD + i, CHILD_TABLE + i * 4096, 4, files);
		task(&s, FDT_OP_EXEC, CHILD + i, CHILD + i, CHILD_TABLE + i * 4096, CHILD + i,
		     FDT_TASK_WATCHED);
		vec(&s, FDT_OP_EXEC, CHILD + i, CHILD_TABLE + i * 4096, 4, files);
	}
	tick(&s, 6 * S);
	assert_int_equal(times_found(&s, RULE_EXEC_INHERIT), 1000);
	tick(&s, 6 * S);
	assert_int_equal(times_found(&s, RULE_EXEC_INHERIT), 1000);
	stream_end(&s);
}

/* A child with a copy of the table, which has number 3 and execs the program of that name. */
static void child_execs(struct stream *s, uint32_t child, const char *name)
{
	const uint64_t files[] = { 0, 0, 0, 1 }, table = CHILD_TABLE + child * 4096ull;
	struct fdt_task exec;

	task(s, FDT_OP_FORK, child, child, table, PID, 0);
	vec(s, FDT_OP_FORK, child, table, 4, files);
	exec = a_task(s, FDT_OP_EXEC, child, child, table);
	exec.head.flags = FDT_TASK_WATCHED;
	snprintf(exec.comm, sizeof(exec.comm), "%s", name);
	stream_apply(s, &exec);
	vec(s, FDT_OP_EXEC, child, table, 4, files);
}

/* One line that forgets close-on-exec is one cause, whatever programs it is left to. */
static void many_programs_inherit(void **state)
{
	char name[16];
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_PID);
	opens(&s, PID, 3, 1);
	for (uint32_t i = 0; i < 10; i++) {
		snprintf(name, sizeof(name), "program %u", i);
		child_execs(&s, CHILD + i, name);
	}
	tick(&s, 6 * S);
	only_finding(&s, RULE_EXEC_INHERIT);
	assert_int_equal(times_found(&s, RULE_EXEC_INHERIT), 10);
	closes(&s, PID, 3);
	put(&s, FDT_OP_OPEN, FDT_SYS_memfd_create, PID, 3, a_file(1)); /* another line */
	child_execs(&s, CHILD + 20, "program 0");
	tick(&s, 6 * S);
	assert_int_equal(s.kept_count, 2);
	stream_end(&s);
}

static bool is_of_ls(void *ctx, const struct finding *f)
{
	(void)ctx;
	return !strcmp(f->process->name, "ls");
}

/* That one of the programs is of no interest says nothing of the others. */
static void suppressed_for_one_program(void **state)
{
	static const struct engine_policy policy = { .suppressed = is_of_ls };
	struct stream s = { .now_ns = 1000 * S };
	struct engine_options options = stream_options(&s, ENGINE_PID);

	(void)state;
	options.policy = &policy;
	assert_int_equal(engine_new(&options, &s.engine), 0);
	opens(&s, PID, 3, 1);
	for (uint32_t i = 0; i < 4; i++) {
		child_execs(&s, CHILD + i, i == 2 ? "sleep" : "ls");
		tick(&s, 6 * S);
		assert_int_equal(s.kept_count, i >= 2);
	}
	assert_int_equal(s.kept[0].pid, CHILD + 2);
	assert_non_null(strstr(s.kept[0].message, "sleep inherited 1 descriptor"));
	child_execs(&s, CHILD + 9, "ls");
	tick(&s, 3601 * S);
	assert_int_equal(s.kept_count, 1); /* nor when it would be due again */
	stream_end(&s);
}

static void inherited_and_used(void **state)
{
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_PID);
	exec_with_two_left(&s, true, true);
	assert_int_equal(s.kept_count, 0);
	stream_end(&s);
}

/* Nobody watched whether they are used: then nothing can be said. */
static void inherited_and_not_watched(void **state)
{
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_PID);
	exec_with_two_left(&s, false, false);
	assert_int_equal(s.kept_count, 0);
	stream_end(&s);
}

static void exec_accumulates(void **state)
{
	uint64_t files[10] = { 0 };
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_PID);
	for (int i = 0; i < 4; i++) {
		opens(&s, PID, 3 + i, 1 + i);
		files[3 + i] = 1 + i;
		task(&s, FDT_OP_EXEC, PID, PID, TABLE, PID, FDT_TASK_WATCHED);
		vec(&s, FDT_OP_EXEC, PID, TABLE, 10, files);
		tick(&s, 6 * S);
	}
	assert_true(s.kept_count >= 2);
	assert_int_equal(s.kept[s.kept_count - 1].rule, RULE_EXEC_INHERIT);
	assert_int_equal(s.kept[s.kept_count - 1].severity, SEVERITY_WARNING);
	stream_end(&s);
}

/* A program that execs itself in a child: each generation opens one more. */
struct upgrades {
	unsigned int generations;
	bool waits;     /* the old one stays for as long as its child runs */
	bool is_script; /* at another line each time */
	bool other_program;
};

static void upgrade(struct stream *s, const struct upgrades *how)
{
	uint64_t files[16] = { 0 };

	task(s, FDT_OP_SNAPSHOT, PID, PID, TABLE, PID, 0);
	for (unsigned int i = 0; i < how->generations; i++) {
		uint32_t pid = PID + i, next = pid + 1;
		uint64_t table = TABLE + i * 4096, copy = table + 4096;
		struct fdt_task exec;

		put_at(s, FDT_OP_OPEN, how->is_script ? FDT_SYS_openat + i : FDT_SYS_openat, pid,
		       table, 3 + i, a_file(1 + i), 0);
		files[3 + i] = 1 + i;
		task(s, FDT_OP_FORK, next, next, copy, pid, 0);
		vec(s, FDT_OP_FORK, next, copy, 16, files);
		exec = a_task(s, FDT_OP_EXEC, next, next, copy);
		exec.head.flags = FDT_TASK_WATCHED;
		if (how->other_program)
			snprintf(exec.comm, sizeof(exec.comm), "program %u", i);
		stream_apply(s, &exec);
		vec(s, FDT_OP_EXEC, next, copy, 16, files);
		tick(s, S);
		if (!how->waits)
			task(s, FDT_OP_EXIT, pid, pid, table, 0, FDT_TASK_LAST);
		tick(s, 6 * S);
	}
}

static void generations_accumulate(void **state)
{
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_PID);
	upgrade(&s, &(struct upgrades){ .generations = 3 });
	assert_int_equal(s.kept_count, 2);
	assert_int_equal(s.kept[0].severity, SEVERITY_INFO);
	assert_int_equal(s.kept[1].severity, SEVERITY_WARNING);
	assert_int_equal(s.kept[1].fingerprint, s.kept[0].fingerprint);
	assert_string_equal(s.kept[1].why,
			    "3 generations of prog, each started by the one before, left 3 of them "
			    "behind, all opened at openat");
	assert_int_equal(s.kept[1].victim_total, 3);
	stream_end(&s);
}

/* More than the engine keeps of a chain of images. */
static void many_generations_accumulate(void **state)
{
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_PID);
	upgrade(&s, &(struct upgrades){ .generations = 12 });
	assert_int_equal(s.kept_count, 2);
	assert_int_equal(times_found(&s, RULE_EXEC_INHERIT), 12);
	stream_end(&s);
}

static void what_is_no_line_of_generations(void **state)
{
	static const struct upgrades innocent[] = {
		{ .generations = 2 },
		{ .generations = 8, .waits = true },
		{ .generations = 8, .is_script = true },
		{ .generations = 8, .other_program = true },
	};
	struct stream s;

	(void)state;
	for (size_t i = 0; i < sizeof(innocent) / sizeof(innocent[0]); i++) {
		stream_start(&s, ENGINE_PID);
		upgrade(&s, &innocent[i]);
		for (unsigned int k = 0; k < s.kept_count; k++)
			if (s.kept[k].rule == RULE_EXEC_INHERIT)
				assert_int_equal(s.kept[k].severity, SEVERITY_INFO);
		stream_end(&s);
	}
}

static void left_open_at_exit(void **state)
{
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_COMMAND);
	put(&s, FDT_OP_REPLACE, FDT_SYS_dup2, PID, 1, a_file(9));
	opens(&s, PID, 3, 1);
	opens(&s, PID, 4, 2);
	put(&s, FDT_OP_OPEN, FDT_SYS_socket, PID, 5, a_file(3));
	task(&s, FDT_OP_EXIT, PID, PID, TABLE, 0, FDT_TASK_LAST);
	assert_int_equal(s.kept_count, 2);
	assert_int_equal(s.kept[0].rule, RULE_LEAK_EXIT);
	assert_non_null(strstr(s.kept[0].message, "2 descriptors still open from openat"));
	assert_int_equal(s.kept[1].fd, 5);
	stream_end(&s);
}

/* A thread closes 3..99; two of them were others'; one of the others is hurt. */
static void sweep_hits_others(void **state)
{
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_PID);
	task(&s, FDT_OP_SNAPSHOT, PID, PID, TABLE, 0, 0);
	opens(&s, PID, 7, 1);
	opens(&s, PID, 12, 2);
	for (int fd = 3; fd < 100; fd++)
		fd == 7 || fd == 12 ? closes(&s, PID + 1, fd)
				    : fails(&s, FDT_SYS_close, PID + 1, fd, EBADF);
	fails(&s, FDT_SYS_read, PID, 12, EBADF);
	tick(&s, S);
	tick(&s, 3 * S);
	assert_int_equal(only_finding(&s, RULE_CLOSE_SWEEP)->severity, SEVERITY_WARNING);
	assert_int_equal(s.kept[0].victim_total, 2);
	assert_int_equal(s.kept[0].closed_tid, PID + 1);
	assert_non_null(strstr(s.kept[0].why, "97 numbers tried"));
	stream_end(&s);
}

/* A victim's row shows the call that failed first, not the last one on the way out. */
static void the_first_failure_is_the_victims(void **state)
{
	const struct frame first[] = { { "send (app.c:7)", 0x71, 0 } };
	const struct frame last[] = { { "destroy (app.c:9)", 0x72, 0 } };
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_PID);
	task(&s, FDT_OP_SNAPSHOT, PID, PID, TABLE, 0, 0);
	tells(&s, 71, 0, 1, first);
	tells(&s, 72, 0, 1, last);
	opens(&s, PID, 12, 2);
	for (int fd = 3; fd < 100; fd++)
		fd == 12 ? closes(&s, PID + 1, fd) : fails(&s, FDT_SYS_close, PID + 1, fd, EBADF);
	fails_at(&s, FDT_SYS_sendto, PID, 12, EBADF, 71);
	fails_at(&s, FDT_SYS_read, PID, 12, EBADF, 72);
	tick(&s, S);
	tick(&s, 3 * S);
	assert_string_equal(only_finding(&s, RULE_CLOSE_SWEEP)->hurt_at, "app.c:7 send");
	assert_non_null(strstr(s.kept[0].why, "afterwards 2 calls"));
	stream_end(&s);
}

/* A process sweeps, and executes another image in its place: that one's failures are its own. */
static void swept_before_the_exec(void **state)
{
	const uint64_t none[] = { 0 };
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_PID);
	task(&s, FDT_OP_SNAPSHOT, PID, PID, TABLE, 0, 0);
	opens(&s, PID, 12, 2);
	for (int fd = 3; fd < 100; fd++)
		fd == 12 ? closes(&s, PID, fd) : fails(&s, FDT_SYS_close, PID, fd, EBADF);
	task(&s, FDT_OP_EXEC, PID, PID, TABLE, PID, 0);
	vec(&s, FDT_OP_EXEC, PID, TABLE, 1, none);
	fails(&s, FDT_SYS_read, PID, 12, EBADF);
	tick(&s, S);
	tick(&s, 3 * S);
	assert_int_equal(s.kept_count, 0);
	stream_end(&s);
}

/* What only asks harms nobody. */
static void questions_are_no_uses(void **state)
{
	const unsigned int questions[] = { FDT_SYS_getsockname, FDT_SYS_getpeername,
					   FDT_SYS_getsockopt, FDT_SYS_fstat, FDT_SYS_ioctl };
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_PID);
	opens(&s, PID, 5, 1);
	closes(&s, PID, 5);
	for (size_t i = 0; i < sizeof(questions) / sizeof(*questions); i++)
		fails(&s, questions[i], PID, 5, EBADF);
	assert_int_equal(s.kept_count, 0);
	stream_end(&s);
}

/* The one who is hurt is heard while the loop has not yet been recognized as one. */
static void sweep_hurts_early(void **state)
{
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_PID);
	task(&s, FDT_OP_SNAPSHOT, PID, PID, TABLE, 0, 0);
	opens(&s, PID, 3, 1);
	opens(&s, PID, 4, 2);
	closes(&s, PID + 1, 3);
	closes(&s, PID + 1, 4);
	fails(&s, FDT_SYS_close, PID + 1, 5, EBADF);
	fails(&s, FDT_SYS_read, PID, 3, EBADF);
	for (int fd = 6; fd < 100; fd++)
		fails(&s, FDT_SYS_close, PID + 1, fd, EBADF);
	task(&s, FDT_OP_EXIT, PID, PID + 1, TABLE, 0, 0);
	task(&s, FDT_OP_EXIT, PID, PID, TABLE, 0, FDT_TASK_LAST);
	assert_non_null(strstr(only_finding(&s, RULE_CLOSE_SWEEP)->why, "afterwards 1 call"));
	stream_end(&s);
}

/* Two closes in a row by the culprit are not yet a sweep: told all the same, a moment later. */
static void two_in_a_row_are_no_sweep(void **state)
{
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_PID);
	opens(&s, PID, 3, 1);
	opens(&s, PID, 4, 2);
	closes(&s, PID + 1, 3);
	closes(&s, PID + 1, 4);
	fails(&s, FDT_SYS_read, PID, 3, EBADF);
	assert_int_equal(s.kept_count, 0);
	tick(&s, S);
	assert_int_equal(only_finding(&s, RULE_CLOSE_UNOWNED)->closed_tid, PID + 1);
	stream_end(&s);
}

/* The same loop told in runs, as the kernel side counts them. */
static void sweep_in_runs(void **state)
{
	struct fdt_error e;
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_PID);
	opens(&s, PID, 7, 1);
	closes(&s, PID + 1, 7);
	for (uint32_t count = 1; count <= 65536; count *= 16) {
		e = (struct fdt_error){ .head = HEAD(&s, FDT_ERROR, 0, fdt_error, PID, PID + 1,
						     TABLE),
					.fd = 8,
					.error = EBADF,
					.count = count,
					.step = count > 1,
					.run = 77,
					.first_ns = s.now_ns };
		e.head.syscall = FDT_SYS_close;
		e.head.flags = FDT_ERR_EMPTY;
		stream_apply(&s, &e);
	}
	tick(&s, S);
	tick(&s, 3 * S);
	assert_non_null(strstr(only_finding(&s, RULE_CLOSE_SWEEP)->why, "65537 numbers tried"));
	stream_end(&s);
}

static void daemonize_and_own_files_are_no_sweep(void **state)
{
	const uint64_t files[] = { 0, 0, 0, 1, 2 };
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_PID);
	opens(&s, PID, 3, 1);
	opens(&s, PID, 4, 2);
	task(&s, FDT_OP_FORK, CHILD, CHILD, CHILD_TABLE, PID, 0);
	vec(&s, FDT_OP_FORK, CHILD, CHILD_TABLE, 5, files);
	for (int fd = 3; fd < 300; fd++) {
		struct fdt_slot e = { .head = HEAD(&s, FDT_SLOT, FDT_OP_CLOSE, fdt_slot, CHILD,
						   CHILD, CHILD_TABLE),
				      .fd = fd };
		struct fdt_error bad = { .head = HEAD(&s, FDT_ERROR, 0, fdt_error, CHILD, CHILD,
						      CHILD_TABLE),
					 .fd = fd,
					 .error = EBADF,
					 .count = 1,
					 .run = 1000 + fd };

		e.head.syscall = bad.head.syscall = FDT_SYS_close;
		bad.head.flags = FDT_ERR_EMPTY;
		fd < 5 ? stream_apply(&s, &e) : stream_apply(&s, &bad);
	}
	for (int fd = 10; fd < 100; fd++)
		opens(&s, PID, fd, fd);
	for (int fd = 10; fd < 100; fd++)
		closes(&s, PID, fd);
	tick(&s, S);
	tick(&s, 3 * S);
	assert_int_equal(s.kept_count, 0);
	stream_end(&s);
}

/* CHILD has 3 and 4 from its parent, and does something in its own table. */
static void child_puts(struct stream *s, unsigned int op, int fd, uint64_t number, uint64_t site)
{
	struct fdt_file file = number ? a_file(number) : (struct fdt_file){ 0 };

	put_at(s, op, number ? FDT_SYS_openat : FDT_SYS_close, CHILD, CHILD_TABLE, fd, file, site);
}

static void child_fails(struct stream *s, unsigned int syscall, int fd)
{
	static uint64_t run = 1000000;
	struct fdt_error e = { .head = HEAD(s, FDT_ERROR, 0, fdt_error, CHILD, CHILD, CHILD_TABLE),
			       .fd = fd,
			       .error = EBADF,
			       .count = 1,
			       .run = ++run };

	e.head.syscall = syscall;
	e.head.flags = FDT_ERR_EMPTY;
	stream_apply(s, &e);
}

static void child_inherits(struct stream *s, uint64_t site)
{
	const uint64_t files[] = { 0, 0, 0, 1, 2 };

	stream_start(s, ENGINE_ALL);
	task(s, FDT_OP_SNAPSHOT, PID, PID, TABLE, 0, 0);
	opens_at(s, 3, 1, site);
	opens(s, PID, 4, 2);
	task(s, FDT_OP_FORK, CHILD, CHILD, CHILD_TABLE, PID, 0);
	vec(s, FDT_OP_FORK, CHILD, CHILD_TABLE, 5, files);
}

static void child_sweeps(struct stream *s)
{
	for (int fd = 3; fd < 100; fd++)
		fd < 5 ? child_puts(s, FDT_OP_CLOSE, fd, 0, 0) : child_fails(s, FDT_SYS_close, fd);
}

/* It opens and closes another under the number it had lost: the loop is to blame all the same. */
static void a_daemon_closes_what_it_needs(void **state)
{
	struct stream s;

	(void)state;
	child_inherits(&s, 0);
	child_sweeps(&s);
	child_puts(&s, FDT_OP_OPEN, 3, 9, 0);
	child_puts(&s, FDT_OP_CLOSE, 3, 0, 0);
	child_fails(&s, FDT_SYS_write, 3);
	assert_int_equal(s.kept_count, 0);
	tick(&s, S);
	tick(&s, 3 * S);
	assert_int_equal(only_finding(&s, RULE_CLOSE_SWEEP)->severity, SEVERITY_WARNING);
	assert_int_equal(s.kept[0].victim_total, 1);
	assert_int_equal(s.kept[0].closed_tid, CHILD);
	stream_end(&s);
}

/* The same long after: the loop has been forgotten as harmless, but the ended generation shows it. */
static void a_daemon_notices_late(void **state)
{
	struct stream s;

	(void)state;
	child_inherits(&s, 0);
	child_sweeps(&s);
	tick(&s, S);
	tick(&s, 60 * S);
	assert_int_equal(s.kept_count, 0);
	child_fails(&s, FDT_SYS_write, 4);
	assert_int_equal(only_finding(&s, RULE_CLOSE_SWEEP)->severity, SEVERITY_WARNING);
	assert_int_equal(s.kept[0].victim_total, 1);
	assert_true(s.kept[0].closed_is_culprit);
	stream_end(&s);
}

static void says_arguments(struct stream *s, uint32_t pid, uint64_t table, const char *args,
			   size_t size)
{
	struct fdt_process e = { .head = HEAD(s, FDT_PROCESS, 0, fdt_process, pid, pid, table),
				 .args_size = (uint32_t)size,
				 .start_ns = 5 * S + pid };

	memcpy(e.args, args, size);
	stream_apply(s, &e);
}

static void says_its_arguments(struct stream *s, const char *args, size_t size)
{
	says_arguments(s, CHILD, CHILD_TABLE, args, size);
}

static uint64_t fingerprint_of(const char *args, size_t size, unsigned int flags)
{
	const struct frame frames[] = { { "_php_stream_fopen (php8.2+0x2b7606)", 1, flags } };
	uint64_t fingerprint;
	struct stream s;

	stream_start(&s, ENGINE_PID);
	task(&s, FDT_OP_SNAPSHOT, PID, PID, TABLE, PID, 0);
	says_arguments(&s, PID, TABLE, args, size);
	tells(&s, 91, 0, 1, frames);
	opens_at(&s, 4, 1, 0);
	closes_at(&s, 4, 0);
	fails_at(&s, FDT_SYS_read, PID, 4, EBADF, 91);
	assert_int_equal(s.kept_count, 1);
	fingerprint = s.kept[0].fingerprint;
	stream_end(&s);
	return fingerprint;
}

#define FINGERPRINT(args, flags) fingerprint_of(args, sizeof(args), flags)

/* The frames are the interpreter's: what it runs tells two bugs apart, the folder of that does not. */
static void two_scripts_of_one_interpreter(void **state)
{
	const unsigned int runtime = FDT_SITE_FRAME_LIBRARY;
	uint64_t a = FINGERPRINT("php\0-q\0/srv/1/a.php\0x", runtime);

	(void)state;
	assert_true(a != FINGERPRINT("php\0-q\0/srv/1/b.php\0x", runtime));
	assert_true(a == FINGERPRINT("php\0/srv/2/a.php", runtime));
	assert_true(FINGERPRINT("java\0-cp\0x.jar\0Main", runtime) ==
		    FINGERPRINT("java\0-cp\0y.jar\0Main", runtime));
	assert_true(FINGERPRINT("sh\0-c\0one", runtime) == FINGERPRINT("sh\0-c\0two", runtime));
	assert_true(FINGERPRINT("sh\0-cp", runtime) == FINGERPRINT("sh", runtime));
	assert_true(FINGERPRINT("app\0one", 0) == FINGERPRINT("app\0two", 0));
}

/* Number 3 is gone at the exec, and the dynamic loader uses it again. */
static void executes_without_it(struct stream *s, const char *args, size_t size)
{
	const struct frame by_app[] = { { "main (app.c:13)", 0x81, 0 } };
	const struct frame by_loader[] = { { "?? (ld-linux-x86-64.so.2+0x1234)", 0x82,
					     FDT_SITE_FRAME_SYSTEM } };
	const uint64_t files[] = { 0, 0, 0, 0, 2 };

	child_inherits(s, 81);
	tells(s, 81, 0, 1, by_app);
	tells(s, 82, 0, 1, by_loader);
	task(s, FDT_OP_EXEC, CHILD, CHILD, CHILD_TABLE, CHILD, 0);
	vec(s, FDT_OP_EXEC, CHILD, CHILD_TABLE, 5, files);
	says_its_arguments(s, args, size);
	for (int i = 0; i < 5; i++) {
		child_puts(s, FDT_OP_OPEN, 3, 20 + i, 82);
		child_puts(s, FDT_OP_CLOSE, 3, 0, 82);
	}
	child_fails(s, FDT_SYS_write, 3);
}

static void handed_over_but_close_on_exec(void **state)
{
	const char args[] = "child\0--fd=3";
	struct stream s;

	(void)state;
	executes_without_it(&s, args, sizeof(args));
	assert_string_equal(only_finding(&s, RULE_USE_CLOSED)->opened_at, "app.c:13 main");
	assert_non_null(strstr(s.kept[0].message, "close-on-exec"));
	assert_int_equal(s.kept[0].generation, 1);
	assert_int_equal(s.kept[0].confidence, CONFIDENCE_INFERRED);
	assert_non_null(strstr(s.kept[0].help, "F_SETFD"));
	stream_end(&s);
}

/* subprocess closes all before the exec, but for pass_fds; Python then reads many files. */
static void executes_after_a_sweep(struct stream *s, const char *args, size_t size)
{
	const struct frame by_app[] = { { "main (app.c:13)", 0x81, 0 } };
	const uint64_t none[] = { 0 };

	child_inherits(s, 81);
	tells(s, 81, 0, 1, by_app);
	child_sweeps(s);
	task(s, FDT_OP_EXEC, CHILD, CHILD, CHILD_TABLE, CHILD, 0);
	vec(s, FDT_OP_EXEC, CHILD, CHILD_TABLE, 1, none);
	says_its_arguments(s, args, size);
	for (int i = 0; i < 9; i++) {
		child_puts(s, FDT_OP_OPEN, 3, 20 + i, 0);
		child_puts(s, FDT_OP_CLOSE, 3, 0, 0);
	}
	child_fails(s, FDT_SYS_write, 3);
}

static void handed_over_but_swept(void **state)
{
	const char named[] = "child\0--fd=3", other[] = "child\0--fd=4";
	struct stream s;

	(void)state;
	executes_after_a_sweep(&s, named, sizeof(named));
	assert_string_equal(only_finding(&s, RULE_USE_CLOSED)->opened_at, "app.c:13 main");
	assert_int_equal(s.kept[0].generation, 1);
	assert_non_null(strstr(s.kept[0].message, "closed with all others when prog was started"));
	stream_end(&s);
	executes_after_a_sweep(&s, other, sizeof(other));
	assert_non_null(strstr(only_finding(&s, RULE_USE_CLOSED)->message, "which it had closed"));
	stream_end(&s);
}

/* Nobody named the number: 33 is another, and what the loader had is nobody's. */
static void close_on_exec_and_not_named(void **state)
{
	const char args[] = "child\0"
			    "33\0x3";
	struct stream s;

	(void)state;
	executes_without_it(&s, args, sizeof(args));
	assert_int_equal(s.kept_count, 0);
	stream_end(&s);
}

/* What a shell closed before it became the program is not what the program had closed. */
static void closed_before_it_was_started(void **state)
{
	const uint64_t files[] = { 0, 0, 0, 0, 2 };
	struct stream s;

	(void)state;
	child_inherits(&s, 0);
	child_puts(&s, FDT_OP_CLOSE, 3, 0, 0);
	task(&s, FDT_OP_EXEC, CHILD, CHILD, CHILD_TABLE, CHILD, 0);
	vec(&s, FDT_OP_EXEC, CHILD, CHILD_TABLE, 5, files);
	child_fails(&s, FDT_SYS_write, 3);
	only_finding(&s, RULE_USE_CLOSED);
	assert_non_null(strstr(s.kept[0].message, "was closed before prog was started"));
	stream_end(&s);
}

/* A closes twice, B opens in between, C gets the number when B has lost it, and B closes that. */
static void a_thief_robs(struct stream *s, uint32_t c)
{
	const uint32_t a = PID + 1, b = PID + 2;

	stream_start(s, ENGINE_PID);
	opens(s, a, 4, 1);
	closes(s, a, 4);
	opens(s, b, 4, 2);
	closes(s, a, 4);
	opens(s, c, 4, 3);
	closes(s, b, 4);
	s->now_ns += 20 * MS;
	fails(s, FDT_SYS_write, c, 4, EBADF);
	assert_int_equal(only_finding(s, RULE_CLOSE_UNOWNED)->closed_tid, a);
	assert_int_equal(s->kept[0].generation, 2);
	assert_int_equal(s->kept[0].used_tid, c);
	assert_non_null(strstr(s->kept[0].why, "tid 102 then closed the number"));
	assert_non_null(strstr(s->kept[0].why, "a bystander"));
}

static void the_first_wrong_close_is_to_blame(void **state)
{
	struct stream s;

	(void)state;
	a_thief_robs(&s, PID + 3);
	assert_int_equal(s.kept[0].confidence, CONFIDENCE_EXACT);
	stream_end(&s);
	a_thief_robs(&s, PID + 2);
	assert_int_equal(s.kept[0].confidence, CONFIDENCE_INFERRED);
	stream_end(&s);
}

/* A thread that closes for all the others robs nobody; who closes and goes on does wrong. */
static void a_helper_that_closes_is_no_thief(void **state)
{
	const uint32_t helper = PID + 1, b = PID + 2;
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_PID);
	opens(&s, PID, 4, 1);
	closes(&s, helper, 4);
	opens(&s, b, 4, 2);
	closes(&s, helper, 4);
	opens(&s, b, 4, 3);
	closes(&s, b, 4);
	s.now_ns += 20 * MS;
	fails(&s, FDT_SYS_write, b, 4, EBADF);
	assert_int_equal(only_finding(&s, RULE_USE_CLOSED)->closed_tid, b);
	assert_int_equal(s.kept[0].generation, 3);
	stream_end(&s);
}

/* Lines of two openers, two closers and a reader. */
static void knows_lines(struct stream *s)
{
	const struct frame lines[] = { { "load (app.c:11)", 0x91, 0 },
				       { "accept_one (app.c:22)", 0x92, 0 },
				       { "drop (app.c:33)", 0x93, 0 },
				       { "finish (app.c:44)", 0x94, 0 },
				       { "reader (app.c:55)", 0x95, 0 } };

	stream_start(s, ENGINE_PID);
	for (int i = 0; i < 5; i++)
		tells(s, 91 + i, 0, 1, &lines[i]);
}

static void one_thread_closes_twice(struct stream *s, uint64_t opener, uint64_t closer,
				    unsigned int syscall)
{
	knows_lines(s);
	opens_at(s, 4, 1, 91);
	closes_at(s, 4, 93);
	opens_at(s, 4, 2, opener);
	s->now_ns += 20 * MS;
	closes_at(s, 4, closer);
	fails_at(s, syscall, PID, 4, EBADF, 95);
}

/* An event loop, or coroutines on one thread: two closes at one place are of one owner. */
static void one_place_closes_twice(void **state)
{
	struct stream s;

	(void)state;
	one_thread_closes_twice(&s, 92, 93, FDT_SYS_read);
	assert_string_equal(only_finding(&s, RULE_CLOSE_UNOWNED)->closed_at, "app.c:33 drop");
	assert_int_equal(s.kept[0].confidence, CONFIDENCE_INFERRED);
	assert_true(s.kept[0].closed_is_culprit);
	assert_non_null(strstr(s.kept[0].why, "drop had closed generation 1"));
	stream_end(&s);
}

/* closer: 96 a handler in the middle of the call; 97 the same function, but between two calls. */
static void closed_around_accept(struct stream *s, uint64_t closer)
{
	static const struct frame call[] = { { "accept (libc.so.6+0x20)", 1, 0 },
					     { "serve (app.c:50)", 2, 0 },
					     { "main (app.c:60)", 3, 0 } };
	static const struct frame handler[] = {
		{ "close (libc.so.6+0x10)", 4, 0 }, { "on_quit (app.c:12)", 5, 0 },
		{ "?? (libc.so.6+0x3c050)", 6, 0 }, { "accept (libc.so.6+0x1e)", 1, 0 },
		{ "serve (app.c:50)", 2, 0 },       { "main (app.c:60)", 3, 0 }
	};
	static const struct frame between[] = { { "close (libc.so.6+0x10)", 4, 0 },
						{ "on_quit (app.c:12)", 5, 0 },
						{ "serve (app.c:51)", 2, 0 },
						{ "main (app.c:60)", 3, 0 } };

	stream_start(s, ENGINE_PID);
	tells(s, 95, 0, 3, call);
	tells(s, 96, 0, 6, handler);
	tells(s, 97, 0, 4, between);
	opens_at(s, 4, 1, 0);
	closes_at(s, 4, closer);
	fails_at(s, FDT_SYS_accept, PID, 4, EBADF, 95);
}

static void a_signal_handler_ends_the_call(void **state)
{
	struct stream s;

	(void)state;
	closed_around_accept(&s, 96);
	assert_int_equal(only_finding(&s, RULE_USE_CLOSED)->severity, SEVERITY_INFO);
	assert_non_null(strstr(s.kept[0].message, "a signal handler closed"));
	stream_end(&s);
	closed_around_accept(&s, 97);
	assert_int_equal(only_finding(&s, RULE_USE_CLOSED)->severity, SEVERITY_WARNING);
	stream_end(&s);
}

static void its_owner_closed_it(void **state)
{
	struct stream s;

	(void)state;
	one_thread_closes_twice(&s, 92, 94, FDT_SYS_read); /* at another place */
	only_finding(&s, RULE_USE_CLOSED);
	stream_end(&s);
	one_thread_closes_twice(&s, 91, 93, FDT_SYS_read); /* the next of its kind */
	only_finding(&s, RULE_USE_CLOSED);
	stream_end(&s);
	one_thread_closes_twice(&s, 0, 93, FDT_SYS_read); /* nobody knows */
	only_finding(&s, RULE_USE_CLOSED);
	stream_end(&s);
	one_thread_closes_twice(&s, 92, 93, FDT_SYS_poll); /* an event loop asks for all it has */
	assert_null(strstr(only_finding(&s, RULE_USE_CLOSED)->why, "EBADF"));
	assert_non_null(strstr(s.kept[0].why, "which reported POLLNVAL"));
	stream_end(&s);
}

static void fails_in_a_run(struct stream *s, int first, uint32_t count)
{
	struct fdt_error e = { .head = HEAD(s, FDT_ERROR, 0, fdt_error, PID, PID, TABLE),
			       .fd = first,
			       .error = EBADF,
			       .count = 1,
			       .run = 7777,
			       .first_ns = s->now_ns };

	e.head.syscall = FDT_SYS_close;
	e.head.flags = FDT_ERR_EMPTY;
	stream_apply(s, &e);
	e.count = count;
	e.step = 1;
	e.head.flags |= FDT_ERR_FINAL;
	stream_apply(s, &e);
}

/* A pool is torn down twice, be it small or large. */
static void a_pool_closed_twice(void **state)
{
	static const int sizes[] = { 5, 60 };
	struct stream s;

	(void)state;
	for (int n = 0; n < 2; n++) {
		char numbers[32];

		stream_start(&s, ENGINE_PID);
		for (int fd = 3; fd < 3 + sizes[n]; fd++)
			opens(&s, PID, fd, fd);
		for (int fd = 3; fd < 3 + sizes[n]; fd++)
			closes(&s, PID, fd);
		fails_in_a_run(&s, 3, (uint32_t)sizes[n]);
		tick(&s, S);
		tick(&s, 3 * S);
		snprintf(numbers, sizeof(numbers), "fd 3 to %d were closed", 2 + sizes[n]);
		assert_non_null(strstr(only_finding(&s, RULE_CLOSE_DOUBLE)->message, numbers));
		assert_int_equal(s.kept[0].severity, SEVERITY_INFO);
		stream_end(&s);
	}
}

/* A loop over all numbers that finds nothing: some had never been open. */
static void a_sweep_that_finds_nothing(void **state)
{
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_PID);
	for (int fd = 3; fd < 30; fd++)
		opens(&s, PID, fd, fd);
	for (int fd = 3; fd < 30; fd++)
		closes(&s, PID, fd);
	fails_in_a_run(&s, 3, 60);
	tick(&s, S);
	tick(&s, 3 * S);
	assert_int_equal(s.kept_count, 0);
	stream_end(&s);
}

/* 100,000 bad closes: a handful of lines. */
static void alert_storm(void **state)
{
	struct engine_counters counters;
	struct stream s;

	(void)state;
	stream_start(&s, ENGINE_PID);
	for (int i = 0; i < 100000; i++) {
		opens(&s, PID, 3 + i % 5, i + 1);
		closes(&s, PID + 1, 3 + i % 5);
		fails(&s, FDT_SYS_read, PID, 3 + i % 5, EBADF);
		if (i % 1000 == 0)
			tick(&s, MS);
	}
	only_finding(&s, RULE_CLOSE_UNOWNED);
	engine_counters(s.engine, &counters);
	assert_true(counters.memory_peak_bytes < 1 << 20);
	stream_end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(closed_by_another_and_used),
		cmocka_unit_test(those_in_between_are_bystanders),
		cmocka_unit_test(closed_by_who_had_handed_it_over),
		cmocka_unit_test(closed_by_another_and_left_alone),
		cmocka_unit_test(the_last_closer_is_the_culprit),
		cmocka_unit_test(double_close_is_told_after_a_moment),
		cmocka_unit_test(double_close_at_the_very_end),
		cmocka_unit_test(close_of_what_was_never_open),
		cmocka_unit_test(used_after_own_close),
		cmocka_unit_test(wrong_access_mode_is_no_closed_number),
		cmocka_unit_test(leak_rises),
		cmocka_unit_test(plateau_and_sawtooth_are_no_leak),
		cmocka_unit_test(full_table),
		cmocka_unit_test(full_below_a_lowered_limit),
		cmocka_unit_test(full_table_storm),
		cmocka_unit_test(another_limit),
		cmocka_unit_test(inherited_and_unused),
		cmocka_unit_test(a_crowd_inherits),
		cmocka_unit_test(many_programs_inherit),
		cmocka_unit_test(suppressed_for_one_program),
		cmocka_unit_test(inherited_and_used),
		cmocka_unit_test(inherited_and_not_watched),
		cmocka_unit_test(exec_accumulates),
		cmocka_unit_test(generations_accumulate),
		cmocka_unit_test(many_generations_accumulate),
		cmocka_unit_test(what_is_no_line_of_generations),
		cmocka_unit_test(left_open_at_exit),
		cmocka_unit_test(sweep_hits_others),
		cmocka_unit_test(sweep_in_runs),
		cmocka_unit_test(sweep_hurts_early),
		cmocka_unit_test(the_first_failure_is_the_victims),
		cmocka_unit_test(swept_before_the_exec),
		cmocka_unit_test(questions_are_no_uses),
		cmocka_unit_test(two_in_a_row_are_no_sweep),
		cmocka_unit_test(daemonize_and_own_files_are_no_sweep),
		cmocka_unit_test(a_daemon_closes_what_it_needs),
		cmocka_unit_test(a_daemon_notices_late),
		cmocka_unit_test(handed_over_but_close_on_exec),
		cmocka_unit_test(handed_over_but_swept),
		cmocka_unit_test(close_on_exec_and_not_named),
		cmocka_unit_test(closed_before_it_was_started),
		cmocka_unit_test(the_first_wrong_close_is_to_blame),
		cmocka_unit_test(a_helper_that_closes_is_no_thief),
		cmocka_unit_test(two_scripts_of_one_interpreter),
		cmocka_unit_test(one_place_closes_twice),
		cmocka_unit_test(a_signal_handler_ends_the_call),
		cmocka_unit_test(its_owner_closed_it),
		cmocka_unit_test(a_pool_closed_twice),
		cmocka_unit_test(a_sweep_that_finds_nothing),
		cmocka_unit_test(alert_storm),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
