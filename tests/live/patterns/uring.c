// SPDX-License-Identifier: BSD-2-Clause
/* io_uring without a library: fixed files, which have no number, and ordinary ones. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include "pattern.h"
#include "ring.h"

/* fixed: 0 for an ordinary number, else one more than the place among the fixed files. */
NAMED int ring_open(uint32_t fixed)
{
	struct io_uring_sqe request = { .opcode = IORING_OP_OPENAT,
					.fd = AT_FDCWD,
					.addr = (uintptr_t) "/proc/self/exe",
					.open_flags = fixed ? O_RDONLY : O_RDONLY | O_CLOEXEC,
					.file_index = fixed };

	return must(ring_submit(&request));
}

NAMED void ring_close(int fd, uint32_t fixed)
{
	struct io_uring_sqe request = { .opcode = IORING_OP_CLOSE, .fd = fd, .file_index = fixed };

	must(ring_submit(&request));
}

static void ring_read(int fd, unsigned int flags)
{
	char byte;
	struct io_uring_sqe request = { .opcode = IORING_OP_READ,
					.flags = flags,
					.fd = fd,
					.addr = (uintptr_t)&byte,
					.len = 1 };

	claim(must(ring_submit(&request)) == 1);
}

/* Places 0 to 3 are no numbers 0 to 3: those stay as they are. */
static void fixed_files(void)
{
	int none[4] = { -1, -1, -1, -1 }, mine = open_data();

	ring_start(0);
	must(syscall(SYS_io_uring_register, ring, IORING_REGISTER_FILES, none, 4));
	for (int i = 0; i < 40; i++) {
		uint32_t place = i % 4;

		claim(ring_open(place + 1) == 0);
		ring_read((int)place, IOSQE_FIXED_FILE);
		ring_close(0, place + 1);
	}
	read_byte(mine);
	must(close(mine));
	must(close(ring));
}

static void in_order(void)
{
	ring_start(0);
	for (int i = 0; i < 20; i++) {
		int fd = ring_open(0);

		ring_read(fd, 0);
		read_byte(fd);
		ring_close(fd, 0);
		claim(!is_open(fd));
		fd = ring_open(0);
		must(close(fd));
	}
	must(close(ring));
}

static int number;

NAMED void read_closed(void)
{
	char byte;

	must_fail(read(number, &byte, 1), EBADF);
}

static void closed_then_read(void)
{
	ring_start(0);
	number = ring_open(0);
	ring_close(number, 0);
	read_closed();
	must(close(ring));
}

static struct sockaddr_in address;

static int listen_somewhere(void)
{
	socklen_t size = sizeof(address);
	int fd = must(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));

	address = (struct sockaddr_in){ .sin_family = AF_INET,
					.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	must(bind(fd, (struct sockaddr *)&address, sizeof(address)));
	must(listen(fd, 4));
	must(getsockname(fd, (struct sockaddr *)&address, &size));
	return fd;
}

NAMED int ring_accept(int listener)
{
	struct io_uring_sqe request = { .opcode = IORING_OP_ACCEPT,
					.fd = listener,
					.accept_flags = SOCK_CLOEXEC };

	return must(ring_submit(&request));
}

static void accepted_and_kept(void)
{
	int listener = listen_somewhere();
	int client = must(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));

	ring_start(0);
	must(connect(client, (struct sockaddr *)&address, sizeof(address)));
	claim(is_open(ring_accept(listener)));
	must(close(client));
	must(close(listener));
	must(close(ring));
}

static struct worker owner;

static void owner_opens(void)
{
	number = open_data();
}

NAMED void close_by_ring(void)
{
	ring_close(number, 0);
}

static void closed_under_its_owner(void)
{
	ring_start(0);
	worker_start(&owner);
	worker_do(&owner, owner_opens);
	close_by_ring();
	worker_do(&owner, read_closed);
	worker_end(&owner);
	must(close(ring));
}

static void probe(void)
{
	int fd = (int)syscall(SYS_io_uring_setup, RING_ENTRIES, &ring_params);

	if (fd < 0) {
		fprintf(stderr, "the kernel refuses io_uring_setup: %s\n", strerror(errno));
		_exit(1);
	}
	must(close(fd));
}

static const struct pattern patterns[] = {
	{ "fixed-files", "silent none=leak.exit none=close.double", fixed_files },
	{ "in-order", "silent none=leak.exit none=close.double", in_order },
	{ "closed-then-read", "use.closed warning shows=read_closed", closed_then_read },
	{ "accepted-and-kept", "leak.exit info shows=accept4", accepted_and_kept },
	{ "closed-under-its-owner",
	  "close.unowned error shows=\"io_uring close\" victim=read_closed",
	  closed_under_its_owner },
	{ "probe", NULL, probe },
	{ NULL, NULL, NULL },
};

int main(int argc, char **argv)
{
	return run_pattern(patterns, argc, argv);
}
