// SPDX-License-Identifier: BSD-2-Clause
/* What piles up, what only looks as if it did, and what is dead for certain. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include "pattern.h"

/* Some eight windows, which the cases make 200 ms long. */
#define STEPS 80
#define STEP_MS 20

static void step_by_step(void (*step)(void))
{
	struct rlimit near = { 1024, 1024 }; /* within the hour at this rate: an error */

	must(setrlimit(RLIMIT_NOFILE, &near));
	for (int i = 0; i < STEPS; i++) {
		step();
		pace_ms(STEP_MS);
	}
}

/* --- received in a message --- */

static int channel[2];

static void send_number(int fd)
{
	char byte = 'x', control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec data = { &byte, 1 };
	struct msghdr message = { .msg_iov = &data,
				  .msg_iovlen = 1,
				  .msg_control = control,
				  .msg_controllen = sizeof(control) };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	*header = (struct cmsghdr){ .cmsg_level = SOL_SOCKET,
				    .cmsg_type = SCM_RIGHTS,
				    .cmsg_len = CMSG_LEN(sizeof(int)) };
	memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	must(sendmsg(channel[0], &message, 0));
}

NAMED int receive_number(void)
{
	char byte, control[CMSG_SPACE(sizeof(int))];
	struct iovec data = { &byte, 1 };
	struct msghdr message = { .msg_iov = &data,
				  .msg_iovlen = 1,
				  .msg_control = control,
				  .msg_controllen = sizeof(control) };
	int fd;

	must(recvmsg(channel[1], &message, MSG_CMSG_CLOEXEC));
	claim(!(message.msg_flags & MSG_CTRUNC));
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
	return fd;
}

static void receive_and_keep(void)
{
	send_number(channel[0]);
	receive_number();
}

static void receive_and_close(void)
{
	send_number(channel[0]);
	must(close(receive_number()));
}

static void received(void (*step)(void))
{
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel));
	step_by_step(step);
}

static void received_and_kept(void)
{
	received(receive_and_keep);
}

static void received_and_closed(void)
{
	received(receive_and_close);
}

/* --- a pool of connections --- */

static struct sockaddr_in address;
static int listener, pool[STEPS], pooled;

static void start_server(void)
{
	socklen_t size = sizeof(address);

	address = (struct sockaddr_in){ .sin_family = AF_INET,
					.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	listener = must(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
	must(bind(listener, (struct sockaddr *)&address, sizeof(address)));
	must(listen(listener, STEPS));
	must(getsockname(listener, (struct sockaddr *)&address, &size));
}

NAMED int connect_one(void)
{
	int fd = must(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));

	must(connect(fd, (struct sockaddr *)&address, sizeof(address)));
	return fd;
}

static void add_to_pool(void)
{
	pool[pooled++] = connect_one();
}

static void use_pool(void)
{
	for (int i = 0; i < pooled; i++)
		must(write(pool[i], "x", 1));
}

static void pool_grows(void)
{
	start_server();
	step_by_step(add_to_pool);
}

static void pool_at_plateau(void)
{
	start_server();
	for (int i = 0; i < STEPS / 2; i++)
		add_to_pool();
	step_by_step(use_pool);
}

static struct worker workers[4];

static void warm_up(void)
{
	for (int i = 0; i < 10; i++)
		add_to_pool();
}

static void workers_warmed(void)
{
	start_server();
	for (int i = 0; i < 4; i++) {
		worker_start(&workers[i]);
		worker_do(&workers[i], warm_up);
	}
	step_by_step(use_pool);
	for (int i = 0; i < 4; i++)
		worker_end(&workers[i]);
}

/* --- mapped files --- */

NAMED int map_file(void)
{
	int fd = open_data();

	claim(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0) != MAP_FAILED);
	return fd;
}

static void map_and_keep(void)
{
	map_file();
}

static void map_and_close(void)
{
	must(close(map_file()));
}

static void mapped_and_kept(void)
{
	step_by_step(map_and_keep);
}

static void mapped_and_closed(void)
{
	step_by_step(map_and_close);
}

/* --- forgotten on the path that is seldom taken --- */

static int request, forget_every;

NAMED int open_request(void)
{
	return open_data();
}

static void serve_request(void)
{
	int fd = open_request();

	read_byte(fd);
	if (!forget_every || ++request % forget_every)
		must(close(fd));
}

static void error_path_forgets(void)
{
	forget_every = 8;
	for (int i = 0; i < 120; i++) { /* 15 are left: too few for leak.growth */
		serve_request();
		pace_ms(STEP_MS);
	}
	forget_every = 0;
	step_by_step(serve_request);
}

static void error_path_closes(void)
{
	step_by_step(serve_request);
}

/* Two for as long as it runs, from the same function as the short-lived ones. */
static void two_for_ever(void)
{
	int first = open_request(), second = open_request();

	step_by_step(serve_request);
	must(close(first));
	must(close(second));
}

/* --- dead for certain --- */

NAMED int accept_one(void)
{
	return must(accept4(listener, NULL, NULL, SOCK_CLOEXEC));
}

static int accept_from_one_who_goes(void)
{
	int client, served;

	start_server();
	client = connect_one();
	served = accept_one();
	must(close(client));
	return served;
}

static void peer_has_gone(void)
{
	accept_from_one_who_goes();
	pace_ms(2 * LONG_MS);
}

static void peer_has_gone_closed(void)
{
	int served = accept_from_one_who_goes();
	char byte;

	claim(read(served, &byte, 1) == 0);
	must(close(served));
	pace_ms(LONG_MS);
}

/* Nobody has gone: the connection is just quiet. */
static void peer_is_quiet(void)
{
	start_server();
	connect_one();
	accept_one();
	pace_ms(LONG_MS);
}

NAMED int make_pipe(int *ret_writer)
{
	int end[2];

	must(pipe2(end, O_CLOEXEC));
	*ret_writer = end[1];
	return end[0];
}

/* One such end may be kept on purpose, for its end of file. */
static void writers_have_gone(int count)
{
	int writer;

	for (volatile int left = count; left; left--) {
		make_pipe(&writer);
		must(close(writer));
	}
	pace_ms(2 * LONG_MS);
}

static void writer_has_gone(void)
{
	writers_have_gone(3);
}

static void one_writer_has_gone(void)
{
	writers_have_gone(1);
}

/* A pipe to oneself, for signal handlers. */
static void pipe_to_itself(void)
{
	int writer;

	make_pipe(&writer);
	pace_ms(LONG_MS);
}

NAMED int open_temporary(void)
{
	int fd = must(open("temporary", O_RDWR | O_CREAT | O_CLOEXEC, 0600));

	must(unlink("temporary"));
	return fd;
}

static void deleted_and_untouched(void)
{
	for (volatile int i = 0; i < 3; i++) /* one place in the machine code, too */
		open_temporary();
	pace_ms(2 * LONG_MS);
}

static void deleted_and_used(void)
{
	int fd = open_temporary();

	for (int i = 0; i < STEPS; i++) {
		must(write(fd, "x", 1));
		pace_ms(STEP_MS);
	}
}

static void deleted_and_mapped(void)
{
	int fd = open_temporary();

	must(ftruncate(fd, 4096));
	claim(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) != MAP_FAILED);
	pace_ms(LONG_MS);
}

/* --- at the end --- */

NAMED void open_and_forget(void)
{
	open_data();
}

static void open_and_close(void)
{
	must(close(open_data()));
}

#define NO_LEAK "silent none=leak.growth none=leak.stale none=leak.orphan"

static const struct pattern patterns[] = {
	{ "received-and-kept", "leak.growth error culprit=receive_number shows=recvmsg",
	  received_and_kept },
	{ "received-and-closed", NO_LEAK, received_and_closed },
	{ "pool-grows", "leak.growth error culprit=connect_one", pool_grows },
	{ "pool-at-plateau", NO_LEAK, pool_at_plateau },
	{ "workers-warmed", NO_LEAK, workers_warmed },
	{ "mapped-and-kept", "leak.growth error culprit=map_file", mapped_and_kept },
	{ "mapped-and-closed", NO_LEAK, mapped_and_closed },
	{ "error-path-forgets", "leak.stale warning culprit=open_request", error_path_forgets },
	{ "error-path-closes", NO_LEAK, error_path_closes },
	{ "two-for-ever", NO_LEAK, two_for_ever },
	{ "peer-has-gone", "leak.orphan warning culprit=accept_one", peer_has_gone },
	{ "peer-has-gone-closed", NO_LEAK, peer_has_gone_closed },
	{ "peer-is-quiet", NO_LEAK, peer_is_quiet },
	{ "writer-has-gone", "leak.orphan warning culprit=make_pipe", writer_has_gone },
	{ "one-writer-has-gone", "leak.orphan info culprit=make_pipe", one_writer_has_gone },
	{ "pipe-to-itself", NO_LEAK, pipe_to_itself },
	{ "deleted-and-untouched", "leak.orphan warning culprit=open_temporary",
	  deleted_and_untouched },
	{ "deleted-and-used", NO_LEAK, deleted_and_used },
	{ "deleted-and-mapped", NO_LEAK, deleted_and_mapped },
	{ "open-and-forget", "leak.exit info culprit=open_and_forget", open_and_forget },
	{ "open-and-close", "silent none=leak.exit", open_and_close },
	{ NULL, NULL, NULL },
};

int main(int argc, char **argv)
{
	return run_pattern(patterns, argc, argv);
}
