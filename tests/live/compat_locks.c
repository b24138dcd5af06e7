// SPDX-License-Identifier: BSD-2-Clause
/*
 * compat_locks FILE: sets record locks as a 32-bit program does. Exit status 77: this machine has
 * no such system calls.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifdef __x86_64__

#define FCNTL64 221
#define SETLK64 13
#define SETLKW64 14

/* i386's struct flock and struct flock64: the latter has no padding either */
struct flock32 {
	int16_t type, whence;
	int32_t start, length, pid;
};

struct flock64_i386 {
	int16_t type, whence;
	int32_t start[2], length[2], pid;
};

static int calls_i386(int fd, int command, const void *argument)
{
	int result;

	__asm__ volatile("int $0x80"
			 : "=a"(result)
			 : "a"(FCNTL64), "b"(fd), "c"(command), "d"(argument)
			 : "memory");
	return result;
}

static int lock32(int fd, void *low, const struct flock32 *lock)
{
	return calls_i386(fd, F_SETLK, memcpy(low, lock, sizeof(*lock)));
}

static int lock64(int fd, void *low, int command, const struct flock64_i386 *lock)
{
	return calls_i386(fd, command, memcpy(low, lock, sizeof(*lock)));
}

/* Where i386 is not to be had at all, the instruction is a fault. */
static void on_fault(int signal)
{
	(void)signal;
	_exit(77);
}

int main(int argc, char **argv)
{
	const struct flock32 write = { F_WRLCK, SEEK_SET, 5, 10, 0 };
	const struct flock32 read = { F_RDLCK, SEEK_CUR, 0, 0, 0 };
	const struct flock64_i386 far = { F_WRLCK, SEEK_SET, { 0, 2 }, { 1, 4 }, 0 };
	const struct flock64_i386 none = { F_UNLCK, SEEK_SET, { 0, 0 }, { 0, 0 }, 0 };
	int fd = argc == 2 ? open(argv[1], O_RDWR | O_CREAT, 0600) : -1;
	void *low = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);

	if (fd < 0 || low == MAP_FAILED || lseek(fd, 100, SEEK_SET) != 100)
		return 1;
	signal(SIGSEGV, on_fault);
	if (calls_i386(fd, F_GETFL, NULL) < 0)
		return 77;
	return lock32(fd, low, &write) || lock32(fd, low, &read) ||
	       lock64(fd, low, SETLK64, &far) || lock64(fd, low, SETLKW64, &none);
}

#else

int main(void)
{
	return 77;
}

#endif
