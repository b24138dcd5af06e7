// SPDX-License-Identifier: BSD-2-Clause
/* What crosses an exec: held, forgotten, used, meant. The other image is often sleep(1). */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include "pattern.h"

extern char **environ;

static struct sockaddr_in address;

static int socket_of_ours(int flags)
{
	return must(socket(AF_INET, SOCK_STREAM | flags, 0));
}

NAMED int listen_somewhere(int flags)
{
	socklen_t size = sizeof(address);
	int fd = socket_of_ours(flags);

	address = (struct sockaddr_in){ .sin_family = AF_INET,
					.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	must(bind(fd, (struct sockaddr *)&address, sizeof(address)));
	must(listen(fd, 16));
	must(getsockname(fd, (struct sockaddr *)&address, &size));
	return fd;
}

static int connect_to_it(void)
{
	int fd = socket_of_ours(SOCK_CLOEXEC);

	must(connect(fd, (struct sockaddr *)&address, sizeof(address)));
	return fd;
}

static bool port_is_busy(void)
{
	int fd = socket_of_ours(SOCK_CLOEXEC);
	int result = bind(fd, (struct sockaddr *)&address, sizeof(address));

	claim(result == 0 || errno == EADDRINUSE);
	must(close(fd));
	return result < 0;
}

/* It returns when the child has its new image. */
static pid_t execute(char *const argv[])
{
	int ready[2];
	pid_t child;
	char byte;

	must(pipe2(ready, O_CLOEXEC));
	child = must(fork());
	if (!child) {
		execve(argv[0], argv, environ);
		_exit(PROGRAM_BROKEN);
	}
	must(close(ready[1]));
	claim(read(ready[0], &byte, 1) == 0);
	must(close(ready[0]));
	return child;
}

static char *const sleeper[] = { "/bin/sleep", "1", NULL };
static char *const image_that_accepts[] = { "/proc/self/exe", "accepts", NULL };

static pid_t start_sleeper(void)
{
	return execute(sleeper);
}

/* The image of ours that finds a listener among its numbers, and accepts once from it. */
static int find_listener(void)
{
	for (int fd = 3; fd < 64; fd++) {
		struct stat st;

		if (is_open(fd) && !fstat(fd, &st) && S_ISSOCK(st.st_mode))
			return fd;
	}
	claim(!"a listener was inherited");
	return -1;
}

static void accept_once(int listener)
{
	int fd = must(accept4(listener, NULL, NULL, SOCK_CLOEXEC));
	char byte;

	claim(must(read(fd, &byte, 1)) == 0);
	must(close(fd));
}

static void accepts(void)
{
	accept_once(find_listener());
	pace_ms(LONG_MS);
}

static void is_served(void)
{
	must(close(connect_to_it()));
}

/* --- a listener in a child's hands --- */

static void listener_held(void)
{
	int listener = listen_somewhere(0);
	pid_t child = start_sleeper();

	must(close(listener));
	claim(port_is_busy());
	reap(child);
	claim(!port_is_busy());
}

/* The one that opened it has ended. */
static void listener_orphaned(void)
{
	pid_t middle;
	int done[2];
	char byte;

	must(pipe2(done, 0));
	middle = must(fork());
	if (!middle) {
		must(close(done[0]));
		listen_somewhere(0);
		start_sleeper();
		_exit(0);
	}
	must(close(done[1]));
	reap(middle);
	claim(read(done[0], &byte, 1) == 0); /* the sleeper has ended */
}

static void listener_marked(void)
{
	int listener = listen_somewhere(SOCK_CLOEXEC);
	pid_t child = start_sleeper();

	must(close(listener));
	claim(!port_is_busy());
	reap(child);
}

/* Passed to the workers on purpose, and closed by the master. */
static void prefork_execs(void)
{
	int listener = listen_somewhere(0);
	pid_t first = execute(image_that_accepts), second = execute(image_that_accepts);

	must(close(listener));
	is_served();
	is_served();
	reap(first);
	reap(second);
}

static void worker_accepts(int listener)
{
	accept_once(listener);
	pace_ms(LONG_MS);
	_exit(0);
}

static void prefork(void)
{
	int listener = listen_somewhere(SOCK_CLOEXEC);
	pid_t workers[3];

	for (int i = 0; i < 3; i++) {
		workers[i] = must(fork());
		if (!workers[i])
			worker_accepts(listener);
	}
	must(close(listener));
	for (int i = 0; i < 3; i++)
		is_served();
	for (int i = 0; i < 3; i++)
		reap(workers[i]);
}

/* One worker serves; a helper that it was never meant for holds it after the end of all workers. */
static void prefork_helper_holds(void)
{
	int listener = listen_somewhere(0);
	pid_t helper = start_sleeper(), worker = must(fork());

	if (!worker) {
		accept_once(listener);
		_exit(0);
	}
	must(close(listener));
	is_served();
	reap(worker);
	claim(port_is_busy());
	reap(helper);
}

/* --- the next version of a server --- */

static void upgrade_named(void)
{
	int listener = listen_somewhere(0);
	char number[32];
	pid_t next;

	snprintf(number, sizeof(number), "%d;", listener);
	must(setenv("SERVER_LISTENERS", number, 1));
	next = execute(image_that_accepts);
	must(close(listener));
	is_served();
	reap(next);
}

static void upgrade_used(void)
{
	listen_somewhere(0);
	if (!must(fork())) {
		is_served();
		_exit(0);
	}
	execve(image_that_accepts[0], image_that_accepts, environ);
	_exit(PROGRAM_BROKEN);
}

NAMED void open_log_for_ever(void)
{
	must(open("log", O_WRONLY | O_CREAT | O_APPEND, 0600));
}

/* Each version opens the log again and inherits those of the ones before. */
static void upgrade_leaves_logs(void)
{
	const char *generations = getenv("GENERATIONS");
	char next[16];

	open_log_for_ever();
	if (generations && strlen(generations) == 4) {
		pace_ms(LONG_MS);
		return;
	}
	snprintf(next, sizeof(next), "%sx", generations ? generations : "");
	must(setenv("GENERATIONS", next, 1));
	execl("/proc/self/exe", "images", "upgrade-again", NULL);
	_exit(PROGRAM_BROKEN);
}

/* The one to wait for all, whoever their parents were. */
static void start_generations(char *const first[])
{
	must(prctl(PR_SET_CHILD_SUBREAPER, 1));
	must(setenv("GENERATIONS", "", 1));
	execute(first);
	while (wait(NULL) > 0)
		;
	claim(errno == ECHILD);
}

/* As gunicorn does at SIGUSR2: the next version is a child of the old one, which then ends. */
static void generation(char *const next[], int flags, bool waits)
{
	const char *generations = getenv("GENERATIONS");
	char longer[16];
	pid_t child;

	if (!generations)
		return start_generations(next);
	must(open("log", O_WRONLY | O_CREAT | O_APPEND | flags, 0600));
	if (strlen(generations) == 4) {
		pace_ms(LONG_MS);
		return;
	}
	snprintf(longer, sizeof(longer), "%sx", generations);
	must(setenv("GENERATIONS", longer, 1));
	child = execute(next);
	if (waits)
		reap(child);
}

NAMED void generation_leaves_log(void)
{
	generation((char *[]){ "/proc/self/exe", "leaves-log-again", NULL }, 0, false);
}

static void generation_marks_log(void)
{
	generation((char *[]){ "/proc/self/exe", "marks-log-again", NULL }, O_CLOEXEC, false);
}

/* It calls itself: those in the middle need their own log, and wait. */
static void recursion_leaves_log(void)
{
	generation((char *[]){ "/proc/self/exe", "calls-itself-again", NULL }, 0, true);
}

/* --- pipes --- */

/* The writer writes one line and ends; what the reader waits for is the end of the sleeper. */
static void pipe_held(void)
{
	char line[2], byte;
	int end[2];
	pid_t holder, writer;

	must(pipe2(end, 0));
	holder = start_sleeper();
	writer = must(fork());
	if (!writer) {
		must(write(end[1], "x\n", 2));
		_exit(0);
	}
	must(close(end[1]));
	claim(must(read(end[0], line, 2)) == 2);
	reap(writer);
	claim(waitpid(holder, NULL, WNOHANG) == 0);
	claim(read(end[0], &byte, 1) == 0); /* a second later */
	reap(holder);
}

static void pipe_marked(void)
{
	char line[2], byte;
	int end[2];
	pid_t holder, writer;

	must(pipe2(end, O_CLOEXEC));
	holder = start_sleeper();
	writer = must(fork());
	if (!writer) {
		must(write(end[1], "x\n", 2));
		_exit(0);
	}
	must(close(end[1]));
	claim(must(read(end[0], line, 2)) == 2);
	claim(read(end[0], &byte, 1) == 0);
	claim(waitpid(holder, NULL, WNOHANG) == 0);
	reap(writer);
	reap(holder);
}

/* A child whose output the reader waits for, and which has none for long: on number 1. */
static void pipe_slow_writer(void)
{
	posix_spawn_file_actions_t actions;
	int end[2];
	pid_t child;
	char byte;

	must(pipe2(end, O_CLOEXEC));
	must(-posix_spawn_file_actions_init(&actions));
	must(-posix_spawn_file_actions_adddup2(&actions, end[1], 1));
	must(-posix_spawn(&child, sleeper[0], &actions, NULL, sleeper, environ));
	must(-posix_spawn_file_actions_destroy(&actions));
	must(close(end[1]));
	claim(read(end[0], &byte, 1) == 0);
	reap(child);
}

/* --- forgotten, raced, meant --- */

NAMED int open_unmarked(void)
{
	return must(open("/proc/self/exe", O_RDONLY));
}

static void spawn_forgets(void)
{
	pid_t child;

	open_unmarked();
	must(-posix_spawn(&child, sleeper[0], NULL, NULL, sleeper, environ));
	reap(child);
}

static void spawn_closes(void)
{
	posix_spawn_file_actions_t actions;
	int fd = open_unmarked(), marked = open_data();
	pid_t child;

	must(-posix_spawn_file_actions_init(&actions));
	must(-posix_spawn_file_actions_addclose(&actions, fd));
	must(-posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0));
	must(-posix_spawn_file_actions_adddup2(&actions, marked, 2));
	must(-posix_spawn(&child, sleeper[0], &actions, NULL, sleeper, environ));
	must(-posix_spawn_file_actions_destroy(&actions));
	reap(child);
}

static void popen_twice(void)
{
	FILE *first = popen("cat >/dev/null", "w"), *second = popen("echo x", "r");
	char line[16];

	claim(first && second);
	claim(fgets(line, sizeof(line), second) != NULL);
	claim(pclose(first) == 0 && pclose(second) == 0);
	claim(system("true") == 0);
}

static struct worker other;
static pid_t between;

NAMED void forks_in_between(void)
{
	between = start_sleeper();
}

NAMED void mark_late(int fd)
{
	must(fcntl(fd, F_SETFD, FD_CLOEXEC));
}

static void raced(void)
{
	int fd;

	worker_start(&other);
	fd = open_unmarked();
	worker_do(&other, forks_in_between);
	mark_late(fd);
	reap(between);
	worker_end(&other);
}

static void marked_in_time(void)
{
	worker_start(&other);
	mark_late(open_unmarked());
	worker_do(&other, forks_in_between);
	reap(between);
	worker_end(&other);
}

/* The sleeper's numbers are in its environment or on its command line. */
static void in_environment(void)
{
	char number[16];

	snprintf(number, sizeof(number), "%d", open_unmarked());
	must(setenv("NOTIFY_FD", number, 1));
	reap(start_sleeper());
}

static void waits(void)
{
	pace_ms(LONG_MS);
}

static void on_command_line(void)
{
	char option[32];
	char *const argv[] = { "/proc/self/exe", "waits", option, NULL };

	snprintf(option, sizeof(option), "--fd=%d", open_unmarked());
	reap(execute(argv));
}

/* Which only looks like the number of a descriptor. */
static void other_number_in_environment(void)
{
	char number[16];

	snprintf(number, sizeof(number), "x%dy", 100 + open_unmarked());
	must(setenv("BUILD_ID", number, 1));
	reap(start_sleeper());
}

NAMED void log_on_output(bool forgotten)
{
	pid_t child = must(fork());
	int fd;

	if (!child) {
		fd = must(open("log", O_WRONLY | O_CREAT | O_APPEND, 0600));
		must(dup2(fd, 1));
		must(dup2(fd, 2));
		if (!forgotten)
			must(close(fd));
		execve(sleeper[0], sleeper, environ);
		_exit(PROGRAM_BROKEN);
	}
	reap(child);
}

static void log_on_1_and_2(void)
{
	log_on_output(false);
}

static void log_also_on_3(void)
{
	log_on_output(true);
}

/* --- socket activation: what a service manager does, and a service --- */

static int claim_activated(void)
{
	const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");

	claim(pid && atoi(pid) == getpid());
	claim(count && !strcmp(count, "1"));
	return 3; /* SD_LISTEN_FDS_START */
}

/* The service manager, which becomes the service. */
static void activates(void)
{
	char pid[16];

	claim(listen_somewhere(0) == 3);
	if (!must(fork())) {
		is_served();
		_exit(0);
	}
	snprintf(pid, sizeof(pid), "%d", getpid());
	must(setenv("LISTEN_PID", pid, 1));
	must(setenv("LISTEN_FDS", "1", 1));
	execl("/proc/self/exe", "images", getenv("SERVICE"), NULL);
	_exit(PROGRAM_BROKEN);
}

static void activates_service(void)
{
	must(setenv("SERVICE", "service", 1));
	activates();
}

static void activates_with_grandchild(void)
{
	must(setenv("SERVICE", "service-with-grandchild", 1));
	activates();
}

/* A service that takes its time before it accepts. */
static void service(void)
{
	int listener = claim_activated();

	pace_ms(LONG_MS);
	must(close(must(accept4(listener, NULL, NULL, SOCK_CLOEXEC))));
}

static void service_with_grandchild(void)
{
	int listener = claim_activated();

	must(fcntl(listener, F_SETFD, 0));
	must(close(must(accept4(listener, NULL, NULL, SOCK_CLOEXEC))));
	reap(start_sleeper());
}

#define HELD "exec.held warning shows=listen_somewhere shows=sleep"
#define FORGOTTEN "exec.inherit info culprit=open_unmarked process=sleep"
#define NOTHING "silent none=exec.inherit none=exec.held"

static const struct pattern patterns[] = {
	{ "listener-held", HELD, listener_held },
	{ "listener-orphaned", HELD, listener_orphaned },
	{ "listener-marked", NOTHING, listener_marked },
	{ "prefork-helper-holds", HELD, prefork_helper_holds },
	{ "prefork", NOTHING, prefork },
	{ "prefork-execs", NOTHING, prefork_execs },
	{ "accepts", NULL, accepts },
	{ "waits", NULL, waits },
	{ "upgrade-leaves-logs", "exec.inherit warning culprit=open_log_for_ever",
	  upgrade_leaves_logs },
	{ "upgrade-again", NULL, upgrade_leaves_logs },
	{ "generations-leave-logs",
	  "exec.inherit warning culprit=generation_leaves_log says=generations",
	  generation_leaves_log },
	{ "leaves-log-again", NULL, generation_leaves_log },
	{ "generations-mark-logs", NOTHING, generation_marks_log },
	{ "marks-log-again", NULL, generation_marks_log },
	{ "calls-itself", "silent", recursion_leaves_log },
	{ "calls-itself-again", NULL, recursion_leaves_log },
	{ "upgrade-named", NOTHING, upgrade_named },
	{ "upgrade-used", NOTHING, upgrade_used },
	{ "pipe-held", "exec.held warning shows=pipe_held shows=sleep", pipe_held },
	{ "pipe-marked", NOTHING, pipe_marked },
	{ "pipe-slow-writer", NOTHING, pipe_slow_writer },
	{ "spawn-forgets", FORGOTTEN, spawn_forgets },
	{ "spawn-closes", NOTHING, spawn_closes },
	{ "popen", NOTHING, popen_twice },
	{ "raced", FORGOTTEN " says=raced", raced },
	{ "marked-in-time", NOTHING, marked_in_time },
	{ "in-environment", NOTHING, in_environment },
	{ "on-command-line", NOTHING, on_command_line },
	{ "other-number-in-environment", FORGOTTEN, other_number_in_environment },
	{ "log-on-1-and-2", NOTHING, log_on_1_and_2 },
	{ "log-also-on-3", "exec.inherit info culprit=log_on_output process=sleep", log_also_on_3 },
	{ "activates-service", NOTHING, activates_service },
	{ "activates-with-grandchild", "exec.inherit info process=sleep",
	  activates_with_grandchild },
	{ "service", NOTHING, service },
	{ "service-with-grandchild", "exec.inherit info process=sleep", service_with_grandchild },
	{ NULL, NULL, NULL },
};

int main(int argc, char **argv)
{
	return run_pattern(patterns, argc, argv);
}
