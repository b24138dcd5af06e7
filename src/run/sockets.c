// SPDX-License-Identifier: BSD-2-Clause
#include "run/sockets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TABLE_BYTES_MAX (4u << 20)
#define LINE_SIZE 512

#define TCP_LISTENING 0x0a /* TCP_LISTEN, include/net/tcp_states.h */

static const char *const table_name[SOCKET_TABLES] = { "tcp", "tcp6", "udp", "udp6", "unix" };

bool socket_table_of(uint32_t detail, enum socket_table *ret_table)
{
	unsigned int family = FDT_SOCK_FAMILY(detail), type = FDT_SOCK_TYPE(detail);
	bool six = family == AF_INET6;

	if (family == AF_UNIX)
		*ret_table = SOCKET_UNIX;
	else if (family != AF_INET && !six)
		return false;
	else if (type == SOCK_STREAM)
		*ret_table = six ? SOCKET_TCP6 : SOCKET_TCP;
	else if (type == SOCK_DGRAM)
		*ret_table = six ? SOCKET_UDP6 : SOCKET_UDP;
	else
		return false;
	return true;
}

struct endpoint {
	struct in6_addr address;
	bool is_v4;
	unsigned int port;
};

/* The kernel prints addresses as numbers of 32 bits in its own byte order: read back as such. */
static bool parse_endpoint(const char *hex, unsigned int port, struct endpoint *ret)
{
	size_t length = strlen(hex);
	uint32_t word[4] = { 0 };

	if (length != 8 && length != 32)
		return false;
	for (size_t i = 0; i < length / 8; i++) {
		char part[9] = { 0 };

		memcpy(part, hex + 8 * i, 8);
		word[i] = (uint32_t)strtoul(part, NULL, 16);
	}
	memcpy(&ret->address, word, sizeof(word));
	ret->is_v4 = length == 8;
	ret->port = port;
	return true;
}

static void format_endpoint(const struct endpoint *e, char *buffer, size_t size)
{
	char text[INET6_ADDRSTRLEN] = "?";

	if (e->is_v4)
		inet_ntop(AF_INET, &e->address, text, sizeof(text));
	else if (IN6_IS_ADDR_V4MAPPED(&e->address))
		inet_ntop(AF_INET, e->address.s6_addr + 12, text, sizeof(text));
	else
		inet_ntop(AF_INET6, &e->address, text, sizeof(text));
	snprintf(buffer, size, strchr(text, ':') ? "[%s]:%u" : "%s:%u", text, e->port);
}

static void describe(const char *protocol, const struct endpoint *local,
		     const struct endpoint *peer, unsigned int state, char *buffer, size_t size)
{
	char local_text[80], peer_text[80];

	format_endpoint(local, local_text, sizeof(local_text));
	format_endpoint(peer, peer_text, sizeof(peer_text));
	if (peer->port)
		snprintf(buffer, size, "%s %s -> %s", protocol, local_text, peer_text);
	else
		snprintf(buffer, size, "%s %s%s", protocol, local_text,
			 *protocol == 't' && state == TCP_LISTENING ? " listening" : "");
}

static struct socket_query *query_of(struct socket_query *queries, unsigned int count,
				     uint64_t inode)
{
	for (unsigned int i = 0; i < count; i++) {
		if (queries[i].inode == inode && !queries[i].found)
			return &queries[i];
	}
	return NULL;
}

/* "  0: 0100007F:1F90 00000000:0000 0A 0:0 0:0 0 uid timeout inode ...", net/ipv4/tcp_ipv4.c */
static void read_inet_line(const char *line, const char *protocol, struct socket_query *queries,
			   unsigned int count)
{
	char local_hex[33], peer_hex[33];
	unsigned int local_port, peer_port, state;
	struct endpoint local, peer;
	struct socket_query *query;
	uint64_t inode;

	if (sscanf(line, "%*u: %32[0-9A-F]:%4x %32[0-9A-F]:%4x %2x %*s %*s %*s %*u %*u %" SCNu64,
		   local_hex, &local_port, peer_hex, &peer_port, &state, &inode) != 6)
		return;
	query = query_of(queries, count, inode);
	if (!query || !parse_endpoint(local_hex, local_port, &local) ||
	    !parse_endpoint(peer_hex, peer_port, &peer))
		return;
	describe(protocol, &local, &peer, state, query->text, sizeof(query->text));
	query->found = true;
}

/*
 * "0000000000000000: 00000002 00000000 00010000 0001 01 inode path", net/unix/af_unix.c. The
 * path is the program's own bytes: one with a newline in it can forge lines. It could then
 * lie about the name of its sockets only as it can by binding them to that name.
 */
static void read_unix_line(const char *line, struct socket_query *queries, unsigned int count)
{
	struct socket_query *query;
	uint64_t inode;
	int path = 0;

	if (sscanf(line, "%*x: %*x %*x %*x %*x %*x %" SCNu64 " %n", &inode, &path) != 1 || !path)
		return;
	query = query_of(queries, count, inode);
	if (!query || !line[path])
		return;
	snprintf(query->text, sizeof(query->text), "unix %s", line + path);
	query->found = true;
}

/* A line of any length: what does not fit is dropped. False at the end. */
static bool next_line(FILE *file, char line[LINE_SIZE], size_t *left)
{
	size_t length;
	int c;

	if (!fgets(line, LINE_SIZE, file))
		return false;
	length = strcspn(line, "\n");
	if (length == LINE_SIZE - 1) {
		while ((c = getc_unlocked(file)) != EOF && c != '\n' && *left) /* bounded, too */
			--*left;
	}
	line[length] = '\0';
	*left -= length < *left ? length : *left;
	return *left > 0;
}

void sockets_scan(FILE *file, enum socket_table table, struct socket_query *queries,
		  unsigned int count)
{
	const char *protocol = table == SOCKET_TCP || table == SOCKET_TCP6 ? "tcp" : "udp";
	size_t left = TABLE_BYTES_MAX;
	char line[LINE_SIZE];

	while (next_line(file, line, &left)) {
		if (table == SOCKET_UNIX)
			read_unix_line(line, queries, count);
		else
			read_inet_line(line, protocol, queries, count);
	}
	fclose(file);
}

int sockets_lookup(uint32_t pid, enum socket_table table, struct socket_query *queries,
		   unsigned int count)
{
	char path[64];
	FILE *file;
	int fd;

	snprintf(path, sizeof(path), "/proc/%" PRIu32 "/net/%s", pid, table_name[table]);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	file = fdopen(fd, "r");
	if (!file) {
		close(fd);
		return -ENOMEM;
	}
	sockets_scan(file, table, queries, count);
	return 0;
}
