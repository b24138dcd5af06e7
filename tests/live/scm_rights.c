// SPDX-License-Identifier: BSD-2-Clause
/* A descriptor that arrives in a message (SCM_RIGHTS): kept for ever, or closed. */
#include <fcntl.h>
#include <sys/socket.h>
#include "program.h"

static struct msghdr one_descriptor(struct iovec *byte, void *control, size_t size)
{
	return (struct msghdr){
		.msg_iov = byte,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = size,
	};
}

static void send_fd(int to, int fd)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = { 0 };
	char byte = 'x';
	struct iovec data = { &byte, 1 };
	struct msghdr message = one_descriptor(&data, control, sizeof(control));
	struct cmsghdr *c = CMSG_FIRSTHDR(&message);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(int));
	must(sendmsg(to, &message, 0));
}

static int receive_fd(int from)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = { 0 };
	char byte;
	struct iovec data = { &byte, 1 };
	struct msghdr message = one_descriptor(&data, control, sizeof(control));
	int fd;

	must(recvmsg(from, &message, MSG_CMSG_CLOEXEC));
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
	return fd;
}

static int pass_one(void)
{
	int pair[2];
	int fd = must(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
	int received;

	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	send_fd(pair[0], fd);
	received = receive_fd(pair[1]);
	must(close(fd));
	must(close(pair[0]));
	must(close(pair[1]));
	return received;
}

static int kept(void)
{
	must(pass_one());
	return 0;
}

static int closed(void)
{
	return must(close(pass_one()));
}

static const struct variant variants[] = {
	{ "kept", kept },
	{ "closed", closed },
	{ NULL, NULL },
};

int main(int argc, char **argv)
{
	return run_variant(variants, argc > 1 ? argv[1] : NULL);
}
