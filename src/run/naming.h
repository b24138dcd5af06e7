/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names and details of descriptors, looked up while they are open. Paths come from
 * /proc, all else from the kernel's own structures. An answer is believed only if the number
 * still holds the same file as in the event: it may have been reused since. Pipes, eventfds and
 * the like have no useful name.
 *
 * Two ways: on demand, when a finding needs a name, and in passing, for descriptors that were
 * opened a moment ago and are still open, because the leaks of a short program are found when it
 * has ended and its descriptors are gone. In passing come the ends of sockets, and the paths that
 * the kernel did not send at the open (bpf/names.bpf.h).
 */
#ifndef FDTRACE_RUN_NAMING_H
#define FDTRACE_RUN_NAMING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fdtrace/event.h"

struct naming;

/* As inspector_ask() (source/inspect.h). */
typedef int (*naming_inspect_fn)(void *ctx, uint32_t pid, int32_t fd,
				 struct fdt_detail *ret_detail);

/* 0 or -ENOMEM. */
int naming_new(naming_inspect_fn inspect, void *ctx, struct naming **ret_naming);
void naming_free(struct naming *naming); /* NULL is allowed */

/* 0; -ESTALE: the number holds another file by now; or what the inspect function returned. */
int naming_inspect(struct naming *naming, uint32_t pid, int32_t fd, const struct fdt_file *file,
		   struct fdt_detail *ret_detail);

/*
 * The path ("/var/log/x", "/tmp/y (deleted)", "memfd:z") or the endpoints (sockets.h) of a
 * descriptor open now. The path is that of the process's own mount namespace, from its root,
 * even if the process has changed its root. NUL-terminated, cut to size, any byte. 0; -ENODATA: it has
 * no name; or as naming_inspect(), or -errno.
 */
int naming_lookup(struct naming *naming, uint32_t pid, int32_t fd, const struct fdt_file *file,
		  char *buffer, size_t size);

/* A slot changed: new descriptors are remembered (about a thousand), closed ones forgotten. */
void naming_note(struct naming *naming, const struct fdt_slot *event);

/* A snapshot of slots: those whose kind only the name shows are remembered in the same way. */
void naming_note_found(struct naming *naming, const struct fdt_vec *event);

/* An FDT_NAME or FDT_DETAIL event of `size` bytes. */
typedef void (*naming_fn)(void *ctx, const void *event, size_t size);

/* Whether the name of a file is known already, so that it need not be looked up. */
typedef bool (*naming_known_fn)(void *ctx, const struct fdt_file *file);

/*
 * Looks up at most `budget` of those remembered; a path that is known, as the kernel sent it at
 * the open, is passed over. now_ns: event time, becomes the time of the events made. Sockets not
 * yet connected are tried again later.
 */
void naming_resolve(struct naming *naming, uint64_t now_ns, unsigned int budget,
		    naming_known_fn known, naming_fn emit, void *ctx);

/* Makes an FDT_NAME event in event[0 .. FDT_SIZE_MAX). Returns its size. */
size_t naming_event(void *event, uint32_t pid, int32_t fd, const struct fdt_file *file,
		    uint64_t time_ns, const char *name);

#endif
