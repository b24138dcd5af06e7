// SPDX-License-Identifier: BSD-2-Clause
/* EMFILE: of the table, of another limit, without an errno (MSG_CTRUNC), and lived with. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include "pattern.h"

#define LIMIT 48
#define CLIENTS 5

static void set_limit(rlim_t count)
{
	struct rlimit limit = { count, count };

	must(setrlimit(RLIMIT_NOFILE, &limit));
}

/* All but `left` numbers. */
NAMED void fill_table(int left)
{
	int last, spare[LIMIT];

	for (int i = 0; i < left; i++)
		spare[i] = open_data();
	do
		last = open_data();
	while (last < LIMIT - 1);
	for (int i = 0; i < left; i++)
		must(close(spare[i]));
}

NAMED void one_too_many(void)
{
	must_fail(open("/dev/null", O_RDONLY | O_CLOEXEC), EMFILE);
}

static void table_full(void)
{
	set_limit(LIMIT);
	fill_table(0);
	one_too_many();
}

/* As a user of its own, so that nobody else finds the limit used up. */
static void too_many_instances(void)
{
	uid_t nobody_else = 200000 + getpid() % 500000;
	int fd, count = 0;

	set_limit(4096);
	must(setuid(nobody_else));
	while ((fd = inotify_init1(IN_CLOEXEC)) >= 0)
		count = fd;
	claim(errno == EMFILE && count < 2048);
}

static int channel[2];

static void send_number(void)
{
	char byte = 'x', control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec data = { &byte, 1 };
	struct msghdr message = { .msg_iov = &data,
				  .msg_iovlen = 1,
				  .msg_control = control,
				  .msg_controllen = sizeof(control) };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	int fd = 0;

	*header = (struct cmsghdr){ .cmsg_level = SOL_SOCKET,
				    .cmsg_type = SCM_RIGHTS,
				    .cmsg_len = CMSG_LEN(sizeof(int)) };
	memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	must(sendmsg(channel[0], &message, 0));
}

NAMED void receive_cut(size_t room)
{
	char byte, control[CMSG_SPACE(sizeof(int))];
	struct iovec data = { &byte, 1 };
	struct msghdr message = {
		.msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = room
	};

	must(recvmsg(channel[1], &message, MSG_CMSG_CLOEXEC));
	claim(message.msg_flags & MSG_CTRUNC);
}

static void received_at_full_table(void)
{
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel));
	set_limit(LIMIT);
	fill_table(0);
	send_number();
	receive_cut(CMSG_SPACE(sizeof(int)));
}

/* There is room in the table, but none in the buffer for control messages. */
static void received_without_room(void)
{
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel));
	set_limit(LIMIT);
	send_number();
	receive_cut(4);
}

static struct sockaddr_in address;
static int listener, spare;

static void start_server(void)
{
	socklen_t size = sizeof(address);

	address = (struct sockaddr_in){ .sin_family = AF_INET,
					.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	listener = must(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
	must(bind(listener, (struct sockaddr *)&address, sizeof(address)));
	must(listen(listener, CLIENTS));
	must(getsockname(listener, (struct sockaddr *)&address, &size));
}

/* Each waits until it has been served or sent away. */
static pid_t start_clients(void)
{
	pid_t child = must(fork());
	char byte;

	if (child)
		return child;
	for (int i = 0; i < CLIENTS; i++) {
		int fd = must(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));

		must(connect(fd, (struct sockaddr *)&address, sizeof(address)));
		claim(must(read(fd, &byte, 1)) == 0);
		must(close(fd));
	}
	_exit(0);
}

static void take_spare(void)
{
	spare = must(open("/dev/null", O_RDONLY | O_CLOEXEC));
}

NAMED int accept_client(void)
{
	return accept4(listener, NULL, NULL, SOCK_CLOEXEC);
}

/* What libuv does: give the spare number up, accept, close, take it again. */
static void send_client_away(void)
{
	must_fail(accept_client(), EMFILE);
	must(close(spare));
	must(close(must(accept_client())));
	take_spare();
}

static void serve_client(void)
{
	must(close(must(accept_client())));
}

static void serve_all(int free_numbers, void (*serve)(void))
{
	pid_t clients;

	start_server();
	take_spare();
	set_limit(LIMIT);
	clients = start_clients();
	fill_table(free_numbers);
	for (int i = 0; i < CLIENTS; i++)
		serve();
	reap(clients);
}

static void spare_at_the_limit(void)
{
	serve_all(0, send_client_away);
}

static void spare_below_the_limit(void)
{
	serve_all(1, serve_client);
}

static const struct pattern patterns[] = {
	{ "table-full", "limit.emfile error culprit=fill_table victim=one_too_many", table_full },
	{ "too-many-instances", "limit.emfile warning says=\"another limit\"", too_many_instances },
	{ "received-at-full-table", "limit.emfile error culprit=fill_table victim=receive_cut",
	  received_at_full_table },
	{ "received-without-room", "silent none=limit.emfile", received_without_room },
	{ "spare-at-the-limit", "limit.emfile error culprit=fill_table says=spin count=1",
	  spare_at_the_limit },
	{ "spare-below-the-limit", "silent none=limit.emfile", spare_below_the_limit },
	{ NULL, NULL, NULL },
};

int main(int argc, char **argv)
{
	return run_pattern(patterns, argc, argv);
}
