/* SPDX-License-Identifier: BSD-2-Clause */
/* What channel.c and the kinds of channels share. */
#ifndef FDTRACE_DAEMON_CHANNEL_PRIVATE_H
#define FDTRACE_DAEMON_CHANNEL_PRIVATE_H

#include <sys/types.h>

#include "daemon/channel.h"
#include "util/hostinfo.h"

/* One waiting line in the form its receiver expects. */
struct waiting {
	struct waiting *next;
	size_t size, sent;                /* bytes */
	size_t frame_before, frame_after; /* part of size: only streams need them */
	bool marker; /* marks where lines were dropped, and does not count as a line */
	char data[];
};

struct kind {
	const char *name;
	const char *usual_path;                    /* NULL: one must be named, or none is needed */
	int (*open)(struct channel *c);            /* sets fd; 0 or -errno, *c untouched then */
	bool (*for_good)(int err);                 /* opening again will not help */
	const char *(*remedy)(int err);            /* for people; NULL: none */
	struct waiting *(*form)(struct channel *c, /* NULL: out of memory */
				const struct line *line);
	/* Bytes taken (at least 1), or -errno: -EAGAIN and -ENOSPC wait, others open again. */
	ssize_t (*send)(struct channel *c, const char *data, size_t size);
	bool (*moved)(const struct channel *c); /* the path is another file now; may be NULL */
	bool same_stream; /* continues where it stopped when opened again: no line may start over */
};

extern const struct kind kind_stdout, kind_file, kind_journal, kind_syslog, kind_unix;

struct channel {
	const struct kind *kind;
	struct output_config config; /* path: owned */
	char name[128];
	int fd;          /* -1: not open */
	bool stream;     /* lines need an end of their own; else each is one datagram */
	bool priorities; /* stdout is journald's: "<3>" first */
	size_t piece;    /* stdout that may block: at most this many bytes after a poll; 0: any */
	struct waiting *first, **last;
	struct channel_counters counters;
	uint64_t unreported;         /* dropped and not yet covered by a marker */
	uint64_t markers;            /* queued so far */
	uint64_t now_ns;             /* as of the last call */
	uint64_t retry_ns, pause_ns; /* not before; the next pause */
	bool complained;             /* a warning was printed since it last worked */
	struct hostinfo host;
};

/* size bytes to be filled in; NULL: out of memory. */
struct waiting *waiting_new(size_t size);
/* before, the line's JSON, after; without the line's newline unless `newline`. */
struct waiting *waiting_wrap(const char *before, size_t before_size, const struct line *line,
			     bool newline);
/* "fdtrace.state" for a channel that lost `count` lines: JSON to be freed, or NULL. */
char *channel_marker(const struct channel *c, uint64_t count, uint64_t now_ns, size_t *ret_length);

/* 3, 4 or 6 (syslog(3)). */
unsigned int line_priority(const struct line *line);

/* Sockets at a path: connected without waiting, stream or datagram as found. */
int socket_open(struct channel *c);
ssize_t socket_send(struct channel *c, const char *data, size_t size);
bool socket_for_good(int err);
const char *socket_remedy(int err);

#endif
