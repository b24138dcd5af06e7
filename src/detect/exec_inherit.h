/* SPDX-License-Identifier: BSD-2-Clause */
/* What crossed an exec unused; exec.held and close.unowned ask, too. */
#ifndef FDTRACE_DETECT_EXEC_INHERIT_H
#define FDTRACE_DETECT_EXEC_INHERIT_H

#include <stdbool.h>
#include <stdint.h>

struct engine;
struct map;
struct process;
struct slot;

/*
 * ctx: the image (struct process) that holds the slot. It was opened by an earlier image, has
 * crossed an exec, has not been used, and nothing says that it was meant to be handed over.
 */
bool exec_unused(const struct slot *slot, int32_t fd, const void *ctx);
/* The number stands on its command line, on its own. */
bool exec_named_in_args(const struct process *process, int32_t fd);
/* Asks the host, once for each image, which numbers its environment names. */
void exec_ask_environment(struct engine *e, struct process *process);
/* serial -> struct process: images with something of that kind. Borrowed. */
struct map *exec_pending(struct engine *e);

#endif
