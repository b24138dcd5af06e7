/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What descriptors are called, looked up in /proc while they are open. A name is believed only
 * if what is there has the inode and device that the event told: the number may have been
 * reused since. Pipes, eventfds and their like have no name worth telling.
 *
 * Two ways: on demand, when a finding needs a name, and in passing, for descriptors that were
 * opened a moment ago and are still open, because a short program's leaks are found when it
 * has gone and cannot be asked any more.
 */
#ifndef FDTRACE_RUN_NAMING_H
#define FDTRACE_RUN_NAMING_H

#include <stddef.h>
#include <stdint.h>

#include "fdtrace/event.h"

struct naming;

/* 0 or -ENOMEM. */
int naming_new(struct naming **ret_naming);
void naming_free(struct naming *naming); /* NULL is allowed */

/*
 * The path ("/var/log/x", "/tmp/y (deleted)", "memfd:z") or the endpoints (sockets.h) of a
 * descriptor open now. NUL-terminated, cut to size, any byte. 0; -ENODATA: it has no name;
 * -ESTALE: the number holds something else by now; -EAGAIN: too much time went into sockets
 * lately; or -errno.
 */
int naming_lookup(struct naming *naming, uint32_t pid, int32_t fd, const struct fdt_file *file,
		  char *buffer, size_t size);

/* A slot changed: what was opened is remembered (the last about a thousand), what ended forgotten. */
void naming_note(struct naming *naming, const struct fdt_slot *event);

/* One name, of `size` bytes. */
typedef void (*naming_fn)(void *ctx, const struct fdt_name *event, size_t size);

/*
 * Looks up at most `budget` of those remembered. now_ns: event time, becomes that of the events
 * told. Sockets not yet connected are tried again later.
 */
void naming_resolve(struct naming *naming, uint64_t now_ns, unsigned int budget, naming_fn tell,
		    void *ctx);

/* Makes an FDT_NAME event in event[0 .. FDT_SIZE_MAX). Returns its size. */
size_t naming_event(void *event, uint32_t pid, int32_t fd, const struct fdt_file *file,
		    uint64_t time_ns, const char *name);

#endif
