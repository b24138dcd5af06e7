/* SPDX-License-Identifier: BSD-2-Clause */
/* Which of a number's generations a failing call was about, and whose close of them was wrong. */
#ifndef FDTRACE_DETECT_CLOSE_MEANT_H
#define FDTRACE_DETECT_CLOSE_MEANT_H

#include <stdbool.h>
#include <stdint.h>

struct actor;
struct engine;
struct ended;
struct process;

/*
 * The generation that the actor believes it has, of those kept of the number `fd`, newest first.
 * NULL: none, or nothing can be said. May ask the host for the environment of the actor's process.
 */
const struct ended *close_meant(struct engine *e, const struct ended *newest, int32_t fd,
				const struct actor *actor);
/*
 * The generation whose close was the first wrong one, of those that led to the end of `meant`:
 * `meant` itself in most cases. It is an older one where the closer of `meant` had been robbed of
 * its own generation of the number, and so closed what it took for that.
 */
const struct ended *close_first_wrong(const struct engine *e, const struct ended *meant);
/* The number was named to the program when it was started: in its arguments or its environment. */
bool close_is_named(struct engine *e, struct process *process, int32_t fd);
/* The dynamic loader's: it opens and closes libraries under the lowest free number before main(). */
bool close_is_loaders(const struct ended *ended);
/* The image that ran in the actor's process before its latest exec had closed it. */
bool close_before_exec(const struct ended *ended, const struct actor *actor);
/* It was closed as the program was started: it was close-on-exec, or a sweep before the exec did. */
bool close_at_start(const struct ended *ended, const struct actor *actor);

#endif
