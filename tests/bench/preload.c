// SPDX-License-Identifier: BSD-2-Clause
/*
 * A peer of fdtrace: a library for LD_PRELOAD that keeps who opened each descriptor, by the return
 * address, and forgets it at the close. It sees what goes through the C library's functions: no
 * static program, no system call made directly, no descriptor that came with a message.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <unistd.h>

#define NUMBERS 65536
#define CALLER __builtin_return_address(0)
#define OPENS_FILE(flags) ((flags)&O_CREAT || ((flags)&O_TMPFILE) == O_TMPFILE)

static struct {
	void *opener;
	unsigned long generation;
} table[NUMBERS];

static int (*next_openat)(int, const char *, int, ...);
static int (*next_close)(int);
static int (*next_dup)(int);
static int (*next_dup2)(int, int);
static int (*next_dup3)(int, int, int);
static int (*next_pipe2)(int[2], int);
static int (*next_socket)(int, int, int);
static int (*next_accept4)(int, struct sockaddr *, socklen_t *, int);

__attribute__((constructor)) static void find_next(void)
{
	next_openat = dlsym(RTLD_NEXT, "openat");
	next_close = dlsym(RTLD_NEXT, "close");
	next_dup = dlsym(RTLD_NEXT, "dup");
	next_dup2 = dlsym(RTLD_NEXT, "dup2");
	next_dup3 = dlsym(RTLD_NEXT, "dup3");
	next_pipe2 = dlsym(RTLD_NEXT, "pipe2");
	next_socket = dlsym(RTLD_NEXT, "socket");
	next_accept4 = dlsym(RTLD_NEXT, "accept4");
}

static int opened(int fd, void *opener)
{
	if (fd < 0 || fd >= NUMBERS)
		return fd;
	__atomic_fetch_add(&table[fd].generation, 1, __ATOMIC_RELAXED);
	__atomic_store_n(&table[fd].opener, opener, __ATOMIC_RELAXED);
	return fd;
}

int openat(int folder, const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list args;

	va_start(args, flags);
	if (OPENS_FILE(flags))
		mode = va_arg(args, mode_t);
	va_end(args);
	return opened(next_openat(folder, path, flags, mode), CALLER);
}

int open(const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list args;

	va_start(args, flags);
	if (OPENS_FILE(flags))
		mode = va_arg(args, mode_t);
	va_end(args);
	return opened(next_openat(AT_FDCWD, path, flags, mode), CALLER);
}

int open64(const char *path, int flags, ...) __attribute__((alias("open")));
int openat64(int folder, const char *path, int flags, ...) __attribute__((alias("openat")));

/* Before the call: afterwards the number may be another thread's already. */
int close(int fd)
{
	if (fd >= 0 && fd < NUMBERS)
		__atomic_store_n(&table[fd].opener, NULL, __ATOMIC_RELAXED);
	return next_close(fd);
}

int dup(int fd)
{
	return opened(next_dup(fd), CALLER);
}

int dup2(int fd, int to)
{
	return opened(next_dup2(fd, to), CALLER);
}

int dup3(int fd, int to, int flags)
{
	return opened(next_dup3(fd, to, flags), CALLER);
}

static int pipe_by(int ends[2], int flags, void *opener)
{
	if (next_pipe2(ends, flags))
		return -1;
	opened(ends[0], opener);
	opened(ends[1], opener);
	return 0;
}

int pipe2(int ends[2], int flags)
{
	return pipe_by(ends, flags, CALLER);
}

int pipe(int ends[2])
{
	return pipe_by(ends, 0, CALLER);
}

int socket(int family, int type, int protocol)
{
	return opened(next_socket(family, type, protocol), CALLER);
}

int accept4(int fd, struct sockaddr *address, socklen_t *size, int flags)
{
	return opened(next_accept4(fd, address, size, flags), CALLER);
}

int accept(int fd, struct sockaddr *address, socklen_t *size)
{
	return opened(next_accept4(fd, address, size, 0), CALLER);
}
