// SPDX-License-Identifier: BSD-2-Clause
#include "model/sockets.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static void format_endpoint(const struct fdt_detail *detail, const __u8 address[16],
			    unsigned int port, char *buffer, size_t size)
{
	char text[INET6_ADDRSTRLEN] = "?";
	struct in6_addr six;

	memcpy(&six, address, sizeof(six));
	if (FDT_SOCK_FAMILY(detail->file.detail) == AF_INET)
		inet_ntop(AF_INET, address, text, sizeof(text));
	else if (IN6_IS_ADDR_V4MAPPED(&six))
		inet_ntop(AF_INET, address + 12, text, sizeof(text));
	else
		inet_ntop(AF_INET6, address, text, sizeof(text));
	snprintf(buffer, size, strchr(text, ':') ? "[%s]:%u" : "%s:%u", text, port);
}

bool socket_ends(const struct fdt_detail *detail, struct socket_ends *ret)
{
	*ret = (struct socket_ends){ 0 };
	if (!(detail->facts & FDT_FACT_SOCKET) || detail->facts & FDT_FACT_UNIX ||
	    (!detail->local_port && !detail->peer_port))
		return false;
	format_endpoint(detail, detail->local, detail->local_port, ret->local, sizeof(ret->local));
	if (detail->peer_port)
		format_endpoint(detail, detail->peer, detail->peer_port, ret->peer,
				sizeof(ret->peer));
	return true;
}

static bool inet_name(const struct fdt_detail *detail, char *buffer, size_t size)
{
	bool stream = FDT_SOCK_TYPE(detail->file.detail) == SOCK_STREAM;
	const char *protocol = stream ? "tcp" : "udp";
	struct socket_ends ends;

	if (!socket_ends(detail, &ends))
		return false;
	if (ends.peer[0])
		snprintf(buffer, size, "%s %s -> %s", protocol, ends.local, ends.peer);
	else
		snprintf(buffer, size, "%s %s%s", protocol, ends.local,
			 stream && detail->state == TCP_LISTEN ? " listening" : "");
	return true;
}

/* Abstract names begin with NUL and may hold more of them. */
static bool unix_name(const struct fdt_detail *detail, char *buffer, size_t size)
{
	const char *arrow = detail->facts & FDT_FACT_PEER_NAME ? "-> " : "";
	size_t length = detail->name_size;
	char name[FDT_DETAIL_NAME_MAX];

	if (!length || length > sizeof(name))
		return false;
	memcpy(name, detail->name, length);
	if (name[0])
		length = strnlen(name, length);
	for (size_t i = 0; i < length; i++)
		name[i] = name[i] ? name[i] : '@';
	snprintf(buffer, size, "unix %s%.*s", arrow, (int)length, name);
	return true;
}

bool socket_name(const struct fdt_detail *detail, char *buffer, size_t size)
{
	if (!(detail->facts & FDT_FACT_SOCKET))
		return false;
	if (detail->facts & FDT_FACT_UNIX)
		return unix_name(detail, buffer, size);
	return inet_name(detail, buffer, size);
}

const char *tcp_state_name(unsigned int state)
{
	static const char *const names[] = { NULL,           "established", "syn-sent",
					     "syn-received", "fin-wait-1",  "fin-wait-2",
					     "time-wait",    "closed",      "close-wait",
					     "last-ack",     "listening",   "closing",
					     "syn-received" };

	return state < sizeof(names) / sizeof(*names) ? names[state] : NULL;
}
