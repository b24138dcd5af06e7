// SPDX-License-Identifier: BSD-2-Clause
/* Loops over descriptor numbers: before an exec, in a new daemon, and where they do harm. */
#include <linux/close_range.h>
#include <sys/stat.h>
#include "pattern.h"

#define MILLION 1000000
#define FILES 8

static struct worker owner;
static int files[FILES];

static void open_files(void)
{
	for (int i = 0; i < FILES; i++)
		files[i] = open_data();
}

NAMED void close_from_3(int end)
{
	for (int fd = 3; fd < end; fd++)
		close(fd);
}

NAMED void ask_from_3(int end)
{
	int found = 0;

	for (int fd = 3; fd < end; fd++)
		found += fcntl(fd, F_GETFD) >= 0;
	claim(found == FILES);
}

static void execute_true(void)
{
	execl("/bin/true", "true", NULL);
	_exit(PROGRAM_BROKEN);
}

static void child_sweeps(int end)
{
	pid_t child;

	open_files();
	child = must(fork());
	if (!child) {
		close_from_3(end);
		claim(!is_open(files[0]));
		execute_true();
	}
	reap(child);
	for (int i = 0; i < FILES; i++)
		must(close(files[i]));
}

static void before_exec(void)
{
	child_sweeps(1024);
}

static void a_million_before_exec(void)
{
	child_sweeps(MILLION + 100);
}

/* A vfork child has a table of its own, on its parent's memory. */
static void vfork_sweeps(void)
{
	pid_t child;

	open_files();
	child = vfork();
	if (!child) {
		for (int fd = 3; fd < 1024; fd++)
			close(fd);
		execl("/bin/true", "true", NULL);
		_exit(PROGRAM_BROKEN);
	}
	reap(must(child));
	claim(is_open(files[0]));
}

static void range_before_exec(void)
{
	pid_t child;

	open_files();
	child = must(fork());
	if (!child) {
		must(close_range(3, ~0U, 0));
		execute_true();
	}
	reap(child);
	claim(is_open(files[0]));
}

NAMED void daemonize(int end)
{
	must(setsid());
	for (int fd = 0; fd < end; fd++)
		close(fd);
	claim(must(open("/dev/null", O_RDWR)) == 0);
	claim(must(dup(0)) == 1);
	claim(must(dup(0)) == 2);
	umask(0);
}

static void become_daemon(int end)
{
	pid_t child;

	open_files();
	child = must(fork());
	if (!child) {
		daemonize(end);
		read_byte(open_data());
		_exit(0);
	}
	reap(child);
}

static void daemonizes(void)
{
	become_daemon(1024);
}

static void daemonizes_a_million(void)
{
	become_daemon(MILLION + 100);
}

NAMED void miss_files(void)
{
	char byte;

	for (int i = 0; i < FILES; i++)
		must_fail(read(files[i], &byte, 1), EBADF);
}

/* It has a thread already, whose files it closes. */
static void daemonizes_late(void)
{
	pid_t child = must(fork());

	if (!child) {
		worker_start(&owner);
		worker_do(&owner, open_files);
		close_from_3(1024);
		worker_do(&owner, miss_files);
		worker_end(&owner);
		_exit(0);
	}
	reap(child);
}

static void marks_all(void)
{
	pid_t child;

	for (int i = 0; i < FILES; i++)
		files[i] = must(open("/proc/self/exe", O_RDONLY));
	must(close_range(3, ~0U, CLOSE_RANGE_CLOEXEC));
	child = must(fork());
	if (!child) {
		execl("/bin/sleep", "sleep", "1", NULL);
		_exit(PROGRAM_BROKEN);
	}
	for (int i = 0; i < FILES; i++)
		read_byte(files[i]);
	reap(child);
}

NAMED void close_whole_range(void)
{
	must(close_range(3, ~0U, 0));
}

static void closes_all(void)
{
	worker_start(&owner);
	worker_do(&owner, open_files);
	close_whole_range();
	worker_do(&owner, miss_files);
	worker_end(&owner);
}

static void asks_a_million(void)
{
	open_files();
	ask_from_3(MILLION + 100);
}

static void asks_a_thousand(void)
{
	open_files();
	ask_from_3(1024);
}

#define NOTHING "silent none=close.sweep"

static const struct pattern patterns[] = {
	{ "before-exec", NOTHING, before_exec },
	{ "vfork", NOTHING, vfork_sweeps },
	{ "range-before-exec", NOTHING, range_before_exec },
	{ "a-million-before-exec", "close.sweep info shows=close_from_3", a_million_before_exec },
	{ "daemonizes", NOTHING " none=close.stdio", daemonizes },
	{ "daemonizes-a-million", "close.sweep info shows=daemonize", daemonizes_a_million },
	{ "daemonizes-late", "close.sweep warning culprit=close_from_3 victim=miss_files",
	  daemonizes_late },
	{ "marks-all", NOTHING " none=exec.inherit", marks_all },
	{ "closes-all", "close.sweep warning shows=close_range victim=miss_files", closes_all },
	{ "asks-a-million", "close.sweep info shows=ask_from_3", asks_a_million },
	{ "asks-a-thousand", NOTHING, asks_a_thousand },
	{ NULL, NULL, NULL },
};

int main(int argc, char **argv)
{
	return run_pattern(patterns, argc, argv);
}
