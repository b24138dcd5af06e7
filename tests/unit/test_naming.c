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
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include "run/naming.h"
#include "run/sockets.h"

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

static void scan_text(const char *text, enum socket_table table, struct socket_query *query)
{
	sockets_scan(fmemopen((void *)(uintptr_t)text, strlen(text), "r"), table, query, 1);
}

static void tables_of_any_shape_are_read(void **state)
{
	static const char tcp6[] =
		"  sl  local_address ...\n"
		"   0: 0000000000000000FFFF00000100007F:1F90 0000000000000000FFFF00000200007F:C001 "
		"01 "
		"00000000:00000000 00:00000000 00000000     0        0 77 1 0 100 0 0 10 0\n"
		"   1: 000080FE000000000000000001000000:0016 00000000000000000000000000000000:0000 "
		"0A "
		"00000000:00000000 00:00000000 00000000     0        0 78 1 0\n"
		"   2: nonsense\n\n   3: 01:1 02:2 01 x y z 0 0 79\n";
	struct socket_query query = { .inode = 77 };
	char longest[5000];

	(void)state;
	scan_text(tcp6, SOCKET_TCP6, &query);
	assert_true(query.found);
	assert_string_equal(query.text, "tcp 127.0.0.1:8080 -> 127.0.0.2:49153");
	query = (struct socket_query){ .inode = 78 };
	scan_text(tcp6, SOCKET_TCP6, &query);
	assert_string_equal(query.text, "tcp [fe80::1]:22 listening");
	query = (struct socket_query){ .inode = 79 };
	scan_text(tcp6, SOCKET_TCP6, &query);
	assert_false(query.found);
	memset(longest, 'x', sizeof(longest));
	memcpy(longest + 4000, "\n0000: 2 0 10000 1 1 5 @abstract\n", 34);
	longest[sizeof(longest) - 1] = '\0';
	query = (struct socket_query){ .inode = 5 };
	scan_text(longest, SOCKET_UNIX, &query);
	assert_string_equal(query.text, "unix @abstract");
}

struct told {
	unsigned int count;
	int32_t fd[16];
	char text[16][512];
};

static void on_name(void *ctx, const struct fdt_name *event, size_t size)
{
	struct told *told = ctx;

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
	naming_resolve(naming, 1, 200, on_name, &told);
	assert_int_equal(told.count, 1);
	assert_int_equal(told.fd[0], kept);
	assert_string_equal(told.text[0], kept_path);
	note(kept, &kept_file); /* the same again: already named */
	naming_resolve(naming, 2, 200, on_name, &told);
	assert_int_equal(told.count, 1);
	close(kept);
	close(closed);
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
	naming_resolve(naming, 1, 4, on_name, &told);
	assert_int_equal(told.count, 4);
	naming_resolve(naming, 2, 200, on_name, &told);
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
	naming_resolve(naming, 1000, 200, on_name, &told);
	assert_int_equal(connect(client, (struct sockaddr *)&address, sizeof(address)), 0);
	naming_resolve(naming, 1001, 200, on_name, &told);
	assert_int_equal(told.count, 0); /* not due yet */
	naming_resolve(naming, 300000000, 200, on_name, &told);
	assert_int_equal(told.count, 1);
	assert_non_null(strstr(told.text[0], " -> 127.0.0.1:"));
	close(client);
	close(listener);
}

static int set_up(void **state)
{
	(void)state;
	return naming_new(&naming);
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
		cmocka_unit_test(tables_of_any_shape_are_read),
		cmocka_unit_test_setup_teardown(what_stays_open_is_named_in_passing, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(the_budget_holds_and_the_rest_comes_later, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_client_is_named_once_it_is_connected, set_up,
						tear_down),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
