/* SPDX-License-Identifier: BSD-2-Clause */
/* A recording as a source; needs no privilege. */
#ifndef FDTRACE_SOURCE_REPLAY_H
#define FDTRACE_SOURCE_REPLAY_H

#include "source/source.h"

/*
 * "-" reads stdin. Nothing is delivered by start(): META comes first from drain(), as all else.
 * A pipe is read as it fills (poll_fd), a file in pieces. -errno with *error filled: not a file, empty, not a recording, another
 * ABI or byte order. Damage further in is no error: drain() delivers what is whole, then ends
 * with 1, and replay_source_damage() says how.
 */
int replay_source_open(const char *path, struct source **ret_source, struct error *error);

/* NULL, or a sentence about what is wrong with the recording ("cut after 1,204 records ..."). */
const char *replay_source_damage(const struct source *source);

/* Records passed over so far: of a kind unknown here, too short for their kind, or cut. */
uint64_t replay_source_unread(const struct source *source);

#endif
