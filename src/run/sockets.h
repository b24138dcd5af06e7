/* SPDX-License-Identifier: BSD-2-Clause */
/* Endpoints of sockets, from the tables in /proc/PID/net of a process in the same network. */
#ifndef FDTRACE_RUN_SOCKETS_H
#define FDTRACE_RUN_SOCKETS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "fdtrace/event.h"

/* Which table lists a socket. */
enum socket_table { SOCKET_TCP, SOCKET_TCP6, SOCKET_UDP, SOCKET_UDP6, SOCKET_UNIX, SOCKET_TABLES };

/* detail: as in struct fdt_file. False: no table that we read lists such sockets. */
bool socket_table_of(uint32_t detail, enum socket_table *ret_table);

#define SOCKET_TEXT_SIZE 256

struct socket_query {
	uint64_t inode;
	bool found;
	char text[SOCKET_TEXT_SIZE]; /* "tcp 10.0.0.5:51234 -> 10.0.0.9:5432", "unix /run/x.sock" */
};

/*
 * Reads the table once, at most a few MiB of it, and answers what it can. Sockets that are in
 * no table (not yet bound or connected, a socketpair) stay unfound. 0 or -errno.
 */
int sockets_lookup(uint32_t pid, enum socket_table table, struct socket_query *queries,
		   unsigned int count);

/* The same from an open file (closed by it). For tests. */
void sockets_scan(FILE *file, enum socket_table table, struct socket_query *queries,
		  unsigned int count);

#endif
