/* SPDX-License-Identifier: BSD-2-Clause */
/* Names of sockets. */
#ifndef FDTRACE_CORE_SOCKETS_H
#define FDTRACE_CORE_SOCKETS_H

#include <stdbool.h>
#include <stddef.h>

#include "fdtrace/event.h"

#define SOCKET_TEXT_SIZE 256 /* enough for each of them */

/*
 * "tcp 10.0.0.5:51234 -> 10.0.0.9:5432", "udp [::1]:53", "tcp 0.0.0.0:80 listening",
 * "unix /run/x.sock", "unix @abstract", "unix -> /run/x.sock" (unnamed itself, connected to it).
 * NUL-terminated, cut to size, any byte. False: it is not bound or connected yet, or never will
 * be (a socketpair).
 */
bool socket_name(const struct fdt_detail *detail, char *buffer, size_t size);

/* "10.0.0.5:51234", "[::1]:53"; peer is "" while there is none. */
struct socket_ends {
	char local[56], peer[56];
};
/* Of IPv4 and IPv6 sockets. False: of another kind, or neither bound nor connected. */
bool socket_ends(const struct fdt_detail *detail, struct socket_ends *ret);

/* "established", "close-wait", "listening" ... of fdt_detail.state, by include/net/tcp_states.h; NULL: none. */
const char *tcp_state_name(unsigned int state);

#endif
