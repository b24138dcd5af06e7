// SPDX-License-Identifier: BSD-2-Clause
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include "run/naming.h"
#include "model/sockets.h"

static struct naming *naming;
static char directory[] = "/tmp/test_naming.XXXXXX";

/* What the kernel side would tell of a descriptor of ours. */
static struct fdt_file file_of(int fd)
{
	struct fdt_file file = { .file = 0xffff888000000000u + (uint64_t)fd };
	int family = 0, type = 0;
	socklen_t length = sizeof(int);
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	file.inode = st.st_ino;
	file.dev = (uint32_t)(major(st.st_dev) << 20 | minor(st.st_dev));
	file.mode = (uint16_t)st.st_mode;
	if (S_ISSOCK(st.st_mode)) {
		getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &length);
		getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length);
		file.detail = (uint32_t)(family | type << 8);
	}
	return file;
}

static void inspect_inet(int fd, struct fdt_detail *detail)
{
	struct sockaddr_in local = { 0 }, peer = { 0 };
	socklen_t length = sizeof(local);
	struct tcp_info info;

	getsockname(fd, (struct sockaddr *)&local, &length);
	length = sizeof(peer);
	getpeername(fd, (struct sockaddr *)&peer, &length);
	detail->local_port = ntohs(local.sin_port);
	detail->peer_port = ntohs(peer.sin_port);
	memcpy(detail->local, &local.sin_addr, 4);
	memcpy(detail->peer, &peer.sin_addr, 4);
	length = sizeof(info);
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) == 0)
		detail->state = info.tcpi_state;
}

static void inspect_unix(int fd, struct fdt_detail *detail)
{
	struct sockaddr_un address = { 0 };
	socklen_t length = sizeof(address);

	getsockname(fd, (struct sockaddr *)&address, &length);
	detail->facts |= FDT_FACT_UNIX;
	detail->name_size = (uint16_t)(length - sizeof(address.sun_family));
	memcpy(detail->name, address.sun_path, detail->name_size);
}

/* What the kernel side would answer about a descriptor of ours. */
static int inspect(void *ctx, uint32_t pid, int32_t fd, struct fdt_detail *ret_detail)
{
	struct stat st;
	char link[64], target[16] = "";

	(void)ctx;
	assert_int_equal(pid, getpid());
	if (fstat(fd, &st))
		return -EBADF;
	*ret_detail =
		(struct fdt_detail){ .head = { .kind = FDT_DETAIL, .size = sizeof(*ret_detail) },
				     .fd = fd,
				     .file = file_of(fd),
				     .links = (uint32_t)st.st_nlink };
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	if (readlink(link, target, sizeof(target)) > 0 && !strncmp(target, "/memfd:", 7))
		ret_detail->facts = FDT_FACT_MEMFD;
	else if (!st.st_nlink)
		ret_detail->facts = FDT_FACT_UNLINKED;
	if (!S_ISSOCK(st.st_mode))
		return 0;
	ret_detail->facts = FDT_FACT_SOCKET;
	if (FDT_SOCK_FAMILY(ret_detail->file.detail) == AF_UNIX)
		inspect_unix(fd, ret_detail);
	else
		inspect_inet(fd, ret_detail);
	return 0;
}

static int lookup(int fd, char name[512])
{
	struct fdt_file file = file_of(fd);

	return naming_lookup(naming, (uint32_t)getpid(), fd, &file, name, 512);
}

static int open_in(const char *name, char path[128])
{
	int fd;

	snprintf(path, 128, "%s/%s", directory, name);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	return fd;
}

static void a_file_has_its_path(void **state)
{
	char path[128], name[512];
	int fd = open_in("plain", path);

	(void)state;
	assert_int_equal(lookup(fd, name), 0);
	assert_string_equal(name, path);
	close(fd);
}

static void another_file_behind_the_number_is_noticed(void **state)
{
	char path[128], name[512];
	int fd = open_in("one", path);
	struct fdt_file file = file_of(fd);

	(void)state;
	file.inode++;
	assert_int_equal(naming_lookup(naming, (uint32_t)getpid(), fd, &file, name, sizeof(name)),
			 -ESTALE);
	file.inode--;
	close(fd);
	assert_int_equal(naming_lookup(naming, (uint32_t)getpid(), fd, &file, name, sizeof(name)),
			 -ENOENT);
}

static void deleted_files_are_told_from_odd_names(void **state)
{
	char path[128], name[512], expected[160];
	int fd = open_in("gone", path);

	(void)state;
	unlink(path);
	assert_int_equal(lookup(fd, name), 0);
	snprintf(expected, sizeof(expected), "%s (deleted)", path);
	assert_string_equal(name, expected);
	close(fd);
	fd = open_in("odd (deleted)", path);
	assert_int_equal(lookup(fd, name), 0);
	snprintf(expected, sizeof(expected), "/.%s", path);
	assert_string_equal(name, expected);
	close(fd);
}

static void a_memfd_has_its_name(void **state)
{
	char name[512];
	int fd = memfd_create("scratch", MFD_CLOEXEC);

	(void)state;
	assert_int_equal(lookup(fd, name), 0);
	assert_string_equal(name, "memfd:scratch");
	close(fd);
}

static void pipes_have_no_name(void **state)
{
	char name[512];
	int pair[2];

	(void)state;
	assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
	assert_int_equal(lookup(pair[0], name), -ENODATA);
	close(pair[0]);
	close(pair[1]);
}

static int listen_tcp(struct sockaddr_in *address)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t length = sizeof(*address);

	*address = (struct sockaddr_in){ .sin_family = AF_INET,
					 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	assert_int_equal(bind(fd, (struct sockaddr *)address, length), 0);
	assert_int_equal(listen(fd, 5), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)address, &length), 0);
	return fd;
}

static void tcp_sockets_have_endpoints(void **state)
{
	struct sockaddr_in address, own;
	socklen_t length = sizeof(own);
	int listener = listen_tcp(&address),
	    client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char name[512], expected[128];

	(void)state;
	assert_int_equal(lookup(client, name), -ENODATA);
	assert_int_equal(connect(client, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(getsockname(client, (struct sockaddr *)&own, &length), 0);
	assert_int_equal(lookup(listener, name), 0);
	snprintf(expected, sizeof(expected), "tcp 127.0.0.1:%u listening", ntohs(address.sin_port));
	assert_string_equal(name, expected);
	assert_int_equal(lookup(client, name), 0);
	snprintf(expected, sizeof(expected), "tcp 127.0.0.1:%u -> 127.0.0.1:%u",
		 ntohs(own.sin_port), ntohs(address.sin_port));
	assert_string_equal(name, expected);
	close(client);
	close(listener);
}

static void unix_sockets_have_paths(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char name[512], expected[160];

	(void)state;
	assert_int_equal(lookup(fd, name), -ENODATA);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/sock et", directory);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(lookup(fd, name), 0);
	snprintf(expected, sizeof(expected), "unix %s", address.sun_path);
	assert_string_equal(name, expected);
	close(fd);
}

static struct fdt_detail an_inet6(const char *local, unsigned int local_port, const char *peer,
				  unsigned int peer_port, unsigned int state)
{
	struct fdt_detail detail = { .facts = FDT_FACT_SOCKET,
				     .file.detail = AF_INET6 | SOCK_STREAM << 8,
				     .state = (uint8_t)state,
				     .local_port = (uint16_t)local_port,
				     .peer_port = (uint16_t)peer_port };

	inet_pton(AF_INET6, local, detail.local);
	inet_pton(AF_INET6, peer, detail.peer);
	return detail;
}

static void expect_name(const struct fdt_detail *detail, const char *expected)
{
	char name[SOCKET_TEXT_SIZE];

	assert_true(socket_name(detail, name, sizeof(name)));
	assert_string_equal(name, expected);
}

static void six_is_told_from_mapped_four(void **state)
{
	struct fdt_detail detail =
		an_inet6("::ffff:127.0.0.1", 8080, "::ffff:127.0.0.2", 49153, TCP_ESTABLISHED);

	(void)state;
	expect_name(&detail, "tcp 127.0.0.1:8080 -> 127.0.0.2:49153");
	detail = an_inet6("fe80::1", 22, "::", 0, TCP_LISTEN);
	expect_name(&detail, "tcp [fe80::1]:22 listening");
	detail.file.detail = AF_INET6 | SOCK_DGRAM << 8;
	expect_name(&detail, "udp [fe80::1]:22");
}

static void abstract_names_and_peers(void **state)
{
	struct fdt_detail detail = { .facts = FDT_FACT_SOCKET | FDT_FACT_UNIX,
				     .name = "\0a\0b",
				     .name_size = 4 };
	char name[SOCKET_TEXT_SIZE];

	(void)state;
	expect_name(&detail, "unix @a@b");
	memcpy(detail.name, "/run/x\0y", 8);
	detail.name_size = 8;
	detail.facts |= FDT_FACT_PEER_NAME;
	expect_name(&detail, "unix -> /run/x");
	detail.name_size = FDT_DETAIL_NAME_MAX + 1; /* of a damaged recording */
	assert_false(socket_name(&detail, name, sizeof(name)));
}

struct told {
	unsigned int count, details;
	int32_t fd[16];
	char text[16][512];
};

static const struct fdt_file *known_file; /* NULL: no name is known */

static bool known(void *ctx, const struct fdt_file *file)
{
	(void)ctx;
	return known_file && known_file->file == file->file;
}

static void on_name(void *ctx, const void *any, size_t size)
{
	const struct fdt_name *event = any;
	struct told *told = ctx;

	if (event->head.kind == FDT_DETAIL) {
		told->details++;
		return;
	}
	assert_int_equal(event->head.kind, FDT_NAME);
	assert_int_equal(event->head.size, size);
	told->fd[told->count] = event->fd;
	snprintf(told->text[told->count++], 512, "%.*s", (int)(size - sizeof(*event)), event->text);
}

static void note(int fd, const struct fdt_file *file)
{
	struct fdt_slot slot = { .head = { .kind = FDT_SLOT,
					   .op = file ? FDT_OP_OPEN : FDT_OP_CLOSE,
					   .size = sizeof(slot),
					   .tgid = (uint32_t)getpid(),
					   .table = 64 },
				 .fd = fd };

	if (file)
		slot.file = *file;
	naming_note(naming, &slot);
}

static void what_stays_open_is_named_in_passing(void **state)
{
	struct told told = { 0 };
	char kept_path[128], closed_path[128];
	int kept = open_in("kept", kept_path), closed = open_in("closed", closed_path);
	struct fdt_file kept_file = file_of(kept), closed_file = file_of(closed);

	(void)state;
	note(kept, &kept_file);
	note(closed, &closed_file);
	note(closed, NULL);
	naming_resolve(naming, 1, 200, known, on_name, &told);
	assert_int_equal(told.count, 1);
	assert_int_equal(told.fd[0], kept);
	assert_string_equal(told.text[0], kept_path);
	note(kept, &kept_file); /* the same again: already named */
	naming_resolve(naming, 2, 200, known, on_name, &told);
	assert_int_equal(told.count, 1);
	close(kept);
	close(closed);
}

static void a_path_that_is_known_is_not_looked_up(void **state)
{
	struct told told = { 0 };
	char path[128];
	int sent = open_in("sent", path), other = open_in("other", path);
	struct fdt_file sent_file = file_of(sent), other_file = file_of(other);

	(void)state;
	note(sent, &sent_file);
	note(other, &other_file);
	known_file = &sent_file;
	naming_resolve(naming, 1, 1, known, on_name, &told);
	known_file = NULL;
	assert_int_equal(told.count, 1); /* which is not counted, either */
	assert_int_equal(told.fd[0], other);
	naming_resolve(naming, 2, 200, known, on_name, &told);
	assert_int_equal(told.count, 1);
	close(sent);
	close(other);
}

static void the_budget_holds_and_the_rest_comes_later(void **state)
{
	struct told told = { 0 };
	char path[128], name[16];
	int fds[10];

	(void)state;
	for (int i = 0; i < 10; i++) {
		struct fdt_file file;

		snprintf(name, sizeof(name), "b%d", i);
		fds[i] = open_in(name, path);
		file = file_of(fds[i]);
		note(fds[i], &file);
	}
	naming_resolve(naming, 1, 4, known, on_name, &told);
	assert_int_equal(told.count, 4);
	naming_resolve(naming, 2, 200, known, on_name, &told);
	assert_int_equal(told.count, 10);
	for (int i = 0; i < 10; i++)
		close(fds[i]);
}

static void a_client_is_named_once_it_is_connected(void **state)
{
	struct told told = { 0 };
	struct sockaddr_in address;
	int listener = listen_tcp(&address),
	    client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct fdt_file file = file_of(client);

	(void)state;
	note(client, &file);
	naming_resolve(naming, 1000, 200, known, on_name, &told);
	assert_int_equal(connect(client, (struct sockaddr *)&address, sizeof(address)), 0);
	naming_resolve(naming, 1001, 200, known, on_name, &told);
	assert_int_equal(told.count, 0); /* not due yet */
	naming_resolve(naming, 300000000, 200, known, on_name, &told);
	assert_int_equal(told.count, 1);
	assert_int_equal(told.details, 1);
	assert_non_null(strstr(told.text[0], " -> 127.0.0.1:"));
	close(client);
	close(listener);
}

static int set_up(void **state)
{
	(void)state;
	return naming_new(inspect, NULL, &naming);
}

static int tear_down(void **state)
{
	(void)state;
	naming_free(naming);
	return 0;
}

static int make_directory(void **state)
{
	(void)state;
	return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof(command), "rm -r %s", directory);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_file_has_its_path, set_up, tear_down),
		cmocka_unit_test_setup_teardown(another_file_behind_the_number_is_noticed, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(deleted_files_are_told_from_odd_names, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_memfd_has_its_name, set_up, tear_down),
		cmocka_unit_test_setup_teardown(pipes_have_no_name, set_up, tear_down),
		cmocka_unit_test_setup_teardown(tcp_sockets_have_endpoints, set_up, tear_down),
		cmocka_unit_test_setup_teardown(unix_sockets_have_paths, set_up, tear_down),
		cmocka_unit_test(six_is_told_from_mapped_four),
		cmocka_unit_test(abstract_names_and_peers),
		cmocka_unit_test_setup_teardown(what_stays_open_is_named_in_passing, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_path_that_is_known_is_not_looked_up, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(the_budget_holds_and_the_rest_comes_later, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_client_is_named_once_it_is_connected, set_up,
						tear_down),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
