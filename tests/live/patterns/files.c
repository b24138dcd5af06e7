// SPDX-License-Identifier: BSD-2-Clause
/* Standard numbers that come to hold data, and record locks that go with another descriptor. */
#include <stdint.h>
#include <sys/file.h>
#include <sys/socket.h>
#include "pattern.h"

/* --- 0, 1, 2 --- */

NAMED void open_data_at(int fd)
{
	claim(must(open("data", O_RDWR | O_CREAT | O_CLOEXEC, 0600)) == fd);
}

static void data_on_2(void)
{
	must(close(2));
	open_data_at(2);
	must(write(2, "a message amid the data\n", 24));
}

static void socket_on_0(void)
{
	must(close(0));
	claim(must(socket(AF_INET, SOCK_STREAM, 0)) == 0);
}

/* As compilers do: stdin has been read to its end, and the output file gets its number. */
static void output_on_0(void)
{
	must(close(0));
	claim(must(open("output", O_WRONLY | O_CREAT, 0600)) == 0);
	must(write(0, "x", 1));
	pace_ms(1200);
}

static void put_by_dup2(void)
{
	int fd = must(open("data", O_RDWR | O_CREAT | O_CLOEXEC, 0600));

	must(dup2(fd, 2));
	must(dup2(fd, 0));
	must(dup2(must(socket(AF_INET, SOCK_STREAM, 0)), 0)); /* as inetd does */
}

static void null_on_0_and_2(void)
{
	must(close(0));
	must(close(2));
	claim(must(open("/dev/null", O_RDONLY)) == 0);
	claim(must(open("/dev/null", O_WRONLY)) == 2);
}

/* As login does with the terminal it is started on. */
static void terminal_on_0(void)
{
	int master = must(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
	char name[64];

	must(grantpt(master));
	must(unlockpt(master));
	must(-ptsname_r(master, name, sizeof(name)));
	must(close(0));
	claim(must(open(name, O_RDWR | O_NOCTTY)) == 0);
	claim(isatty(0));
}

/* --- locks --- */

static int locked, second;

static int open_database(void)
{
	return must(open("database", O_RDWR | O_CREAT | O_CLOEXEC, 0600));
}

NAMED void take_lock(int command)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	locked = open_database();
	must(fcntl(locked, command, &lock));
}

NAMED void release_lock(void)
{
	struct flock lock = { .l_type = F_UNLCK, .l_whence = SEEK_SET };

	must(fcntl(locked, F_SETLK, &lock));
}

/* Asked by another process: a process never conflicts with itself. */
static bool is_locked(void)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	pid_t child = must(fork());
	int status;

	if (!child) {
		must(fcntl(open_database(), F_GETLK, &lock));
		_exit(lock.l_type != F_UNLCK);
	}
	must(waitpid(child, &status, 0));
	return WIFEXITED(status) && WEXITSTATUS(status) == 1;
}

NAMED void look_into_it(void)
{
	second = open_database();
	must(close(second));
}

static void lock_lost(void)
{
	take_lock(F_SETLK);
	claim(is_locked());
	look_into_it();
	claim(!is_locked());
}

static void lock_of_description(void)
{
	take_lock(F_OFD_SETLK);
	look_into_it();
	claim(is_locked());
}

static void lock_of_whole_file(void)
{
	locked = open_database();
	must(flock(locked, LOCK_EX));
	look_into_it();
	claim(flock(open_database(), LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK);
}

static void lock_released_before(void)
{
	take_lock(F_SETLK);
	release_lock();
	look_into_it();
	claim(!is_locked());
}

/* Closing what it was locked through is how many release a lock. */
static void lock_closed(void)
{
	take_lock(F_SETLK);
	must(close(locked));
	claim(!is_locked());
}

static void lock_other_file(void)
{
	take_lock(F_SETLK);
	must(close(must(open("other", O_RDWR | O_CREAT | O_CLOEXEC, 0600))));
	claim(is_locked());
}

#define STDIO "silent none=close.stdio"
#define LOCK "silent none=close.lock"

static const struct pattern patterns[] = {
	{ "data-on-2", "close.stdio warning shows=open_data_at", data_on_2 },
	{ "socket-on-0", "close.stdio warning shows=socket_on_0", socket_on_0 },
	{ "output-on-0", STDIO, output_on_0 },
	{ "put-by-dup2", STDIO, put_by_dup2 },
	{ "null-on-0-and-2", STDIO, null_on_0_and_2 },
	{ "terminal-on-0", STDIO, terminal_on_0 },
	{ "lock-lost", "close.lock warning culprit=look_into_it shows=take_lock", lock_lost },
	{ "lock-of-description", LOCK, lock_of_description },
	{ "lock-of-whole-file", LOCK, lock_of_whole_file },
	{ "lock-released-before", LOCK, lock_released_before },
	{ "lock-closed", LOCK, lock_closed },
	{ "lock-other-file", LOCK, lock_other_file },
	{ NULL, NULL, NULL },
};

int main(int argc, char **argv)
{
	return run_pattern(patterns, argc, argv);
}
