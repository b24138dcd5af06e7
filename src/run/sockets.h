/* SPDX-License-Identifier: BSD-2-Clause */
/* Names of sockets. */
#ifndef FDTRACE_RUN_SOCKETS_H
#define FDTRACE_RUN_SOCKETS_H

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

#endif
