// SPDX-License-Identifier: BSD-2-Clause
/* --verify against real processes, whose tables hold what the events given to the engine say or not. */
#include "stream.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "run/verify.h"

#define LINGER_S 60
#define LINGERING 1 /* the number it has in the process that closes it */

struct world {
	struct stream stream;
	struct verify *verify;
	struct verify_counters counters;
	pid_t zombie, holder; /* holder has number 0 open, on /dev/null, and maybe LINGERING */
	uint64_t inode;       /* of /dev/null */
	bool left;            /* the zombie's end has been told */
};

static pid_t make_zombie(void)
{
	siginfo_t info;
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	return pid;
}

/* Two ends of a connection of which the first, when closed, waits for data to be taken. */
static void make_lingering(int ret_ends[2])
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct linger linger = { .l_onoff = 1, .l_linger = LINGER_S };
	static const char data[65536];
	socklen_t size = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	ret_ends[0] = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
	assert_int_equal(connect(ret_ends[0], (struct sockaddr *)&address, size), 0);
	ret_ends[1] = accept(listener, NULL, NULL);
	close(listener);
	assert_true(ret_ends[1] >= 0);
	while (send(ret_ends[0], data, sizeof(data), MSG_DONTWAIT) > 0)
		;
	assert_int_equal(setsockopt(ret_ends[0], SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)),
			 0);
}

static void hold(int lingering)
{
	int null = open("/dev/null", O_RDONLY);

	if (lingering >= 0)
		dup2(lingering, LINGERING);
	dup2(null, 0);
	syscall(SYS_close_range, lingering >= 0 ? LINGERING + 1 : 1, ~0u, 0);
	raise(SIGSTOP);
	close(LINGERING);
	for (;;)
		pause();
}

static pid_t make_holder(int lingering)
{
	pid_t pid = fork();

	if (!pid)
		hold(lingering);
	assert_int_equal(waitpid(pid, NULL, WUNTRACED), pid);
	return pid;
}

static void end_child(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void world_start(struct world *w)
{
	struct stat null;

	assert_int_equal(stat("/dev/null", &null), 0);
	*w = (struct world){ .inode = null.st_ino };
	stream_start(&w->stream, ENGINE_PID);
	assert_int_equal(verify_new(&w->verify), 0);
}

static void world_end(struct world *w)
{
	verify_free(w->verify);
	stream_end(&w->stream);
}

static void compare(struct world *w, int (*drain)(void *ctx))
{
	assert_int_equal(verify_round(w->verify, w->stream.engine, 0, drain, w), 0);
	verify_counters(w->verify, &w->counters);
}

static int drain_nothing(void *ctx)
{
	(void)ctx;
	return 0;
}

/* The zombie shared its table with the holder. */
static int drain_its_end(void *ctx)
{
	struct world *w = ctx;
	uint32_t zombie = (uint32_t)w->zombie, holder = (uint32_t)w->holder;

	if (w->left)
		return 0;
	w->left = true;
	task(&w->stream, FDT_OP_FORK, holder, holder, TABLE, zombie, FDT_TASK_SHARED);
	task(&w->stream, FDT_OP_EXIT, zombie, zombie, TABLE, 0, FDT_TASK_LAST);
	return w->stream.last_err;
}

/* The table is the one it was when the round began, but not by way of the same task. */
static void a_table_outlives_a_task(void **state)
{
	struct world w;

	(void)state;
	world_start(&w);
	w.zombie = make_zombie();
	w.holder = make_holder(-1);
	task(&w.stream, FDT_OP_FORK, (uint32_t)w.zombie, (uint32_t)w.zombie, TABLE, 1, 0);
	vec(&w.stream, FDT_OP_FORK, (uint32_t)w.zombie, TABLE, 1, &w.inode);
	compare(&w, drain_its_end);
	assert_int_equal(w.counters.differences, 0);
	assert_int_equal(w.counters.compared, 1);
	assert_int_equal(w.counters.slots, 1);
	end_child(w.holder);
	end_child(w.zombie);
	world_end(&w);
}

/* Until /proc says so; the deadline of the test program is the limit. */
static void until_it_closes(pid_t pid)
{
	char path[64], expected[32], text[64] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/syscall", (int)pid);
	snprintf(expected, sizeof(expected), "%d 0x%x ", SYS_close, LINGERING);
	while (strncmp(text, expected, strlen(expected)) != 0) {
		sched_yield();
		file = fopen(path, "re");
		assert_non_null(file);
		if (!fgets(text, sizeof(text), file))
			text[0] = '\0';
		fclose(file);
	}
}

/* A process in the middle of close(LINGERING); the engine is told that it holds `count` numbers. */
static void compare_closing(struct world *w, int count)
{
	uint64_t numbers[] = { 0, 7, 8 };
	int ends[2];

	world_start(w);
	numbers[0] = w->inode;
	make_lingering(ends);
	w->holder = make_holder(ends[0]);
	close(ends[0]);
	kill(w->holder, SIGCONT);
	until_it_closes(w->holder);
	task(&w->stream, FDT_OP_FORK, (uint32_t)w->holder, (uint32_t)w->holder, TABLE, 1, 0);
	vec(&w->stream, FDT_OP_FORK, (uint32_t)w->holder, TABLE, count, numbers);
	compare(w, drain_nothing);
	until_it_closes(w->holder); /* it still did */
	close(ends[1]);
	end_child(w->holder);
	world_end(w);
}

static void a_close_that_is_not_over_is_no_difference(void **state)
{
	struct world w;

	(void)state;
	compare_closing(&w, 2);
	assert_int_equal(w.counters.differences, 0);
	assert_int_equal(w.counters.compared, 0);
	assert_int_equal(w.counters.busy, 1);
}

static void a_close_explains_its_own_number_alone(void **state)
{
	struct world w;

	(void)state;
	compare_closing(&w, 3);
	assert_int_equal(w.counters.differences, 1);
	assert_int_equal(w.counters.compared, 1);
}

/* A process in a folder of its own: number 0 open, and a thread that is ready to run. */
static void fake_file(const char *root, const char *name, const char *text)
{
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%d/task/%d/%s", root, PID, PID, name);
	file = fopen(path, "we");
	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
}

static void fake_process(char *root)
{
	static const char *const folders[] = { "", "/task", "/task/100", "/task/100/fd",
					       "/task/100/fdinfo" };
	char path[256];

	assert_non_null(mkdtemp(root));
	for (unsigned int i = 0; i < sizeof(folders) / sizeof(*folders); i++) {
		snprintf(path, sizeof(path), "%s/%d%s", root, PID, folders[i]);
		assert_int_equal(mkdir(path, 0700), 0);
	}
	fake_file(root, "fd/0", "");
	fake_file(root, "fdinfo/0", "pos:\t0\nino:\t7\n");
	fake_file(root, "syscall", "running\n");
	fake_file(root, "schedstat", "5000 6000 7\n");
}

static void fake_end(const char *root)
{
	static const char *const names[] = { "fd/0",      "fdinfo/0", "syscall",
					     "schedstat", "fd",       "fdinfo" };
	char path[256];

	for (unsigned int i = 0; i < sizeof(names) / sizeof(*names); i++) {
		snprintf(path, sizeof(path), "%s/%d/task/%d/%s", root, PID, PID, names[i]);
		assert_int_equal(remove(path), 0);
	}
	snprintf(path, sizeof(path), "%s/%d/task/%d", root, PID, PID);
	assert_int_equal(rmdir(path), 0);
	snprintf(path, sizeof(path), "%s/%d/task", root, PID);
	assert_int_equal(rmdir(path), 0);
	snprintf(path, sizeof(path), "%s/%d", root, PID);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(rmdir(root), 0);
}

static char fake_root[32];

static int drain_and_run(void *ctx)
{
	static unsigned int times;
	char text[32];

	(void)ctx;
	snprintf(text, sizeof(text), "%u 6000 7\n", 5000 + ++times);
	fake_file(fake_root, "schedstat", text);
	return 0;
}

/* The engine's table has another number open than the process's. */
static void compare_fake(struct world *w, int (*drain)(void *ctx))
{
	static const uint64_t other[] = { 7, 8 };

	strcpy(fake_root, "/tmp/fdtrace-verify-XXXXXX");
	fake_process(fake_root);
	world_start(w);
	task(&w->stream, FDT_OP_FORK, PID, PID, TABLE, 1, 0);
	vec(&w->stream, FDT_OP_FORK, PID, TABLE, 2, other);
	verify_set_proc(fake_root);
	compare(w, drain);
	verify_set_proc(NULL);
	world_end(w);
	fake_end(fake_root);
}

/* It may be in the middle of the close. */
static void a_task_without_a_processor_explains_a_difference(void **state)
{
	struct world w;

	(void)state;
	compare_fake(&w, drain_nothing);
	assert_int_equal(w.counters.differences, 0);
	assert_int_equal(w.counters.busy, 1);
}

static void a_task_that_has_run_does_not(void **state)
{
	struct world w;

	(void)state;
	compare_fake(&w, drain_and_run);
	assert_int_equal(w.counters.differences, 1);
	assert_int_equal(w.counters.busy, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_table_outlives_a_task),
		cmocka_unit_test(a_close_that_is_not_over_is_no_difference),
		cmocka_unit_test(a_close_explains_its_own_number_alone),
		cmocka_unit_test(a_task_without_a_processor_explains_a_difference),
		cmocka_unit_test(a_task_that_has_run_does_not),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
