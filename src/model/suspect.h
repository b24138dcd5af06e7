/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Descriptors that looked guilty, kept from round to round; one that a whole round has not found
 * guilty again is forgotten.
 */
#ifndef FDTRACE_CORE_SUSPECT_H
#define FDTRACE_CORE_SUSPECT_H

#include <stdbool.h>
#include <stdint.h>
#include "base/map.h"

struct mem;

#define SUSPECTS_MAX 16384 /* about 1.5 MiB; more are not kept */

struct suspect {
	uint64_t table;
	int32_t fd;
	uint32_t generation;
	uint64_t since_ns; /* the first of the looks that all found the same */
	uint64_t look_ns;  /* the latest of them */
	uint64_t trait;    /* what must stay the same between looks */
	bool guilty;       /* judged so */
	bool reported;
};

/* All zero is empty. */
struct suspects {
	struct map now, before; /* of the current round, of the last one */
};

/* As the last round left it; NULL: not a suspect then. */
const struct suspect *suspects_before(const struct suspects *s, uint64_t table, int32_t fd,
				      uint32_t generation);
/* As this round has it; NULL: not (yet) a suspect. */
struct suspect *suspects_now(const struct suspects *s, uint64_t table, int32_t fd,
			     uint32_t generation);
/* Copies into the current round. NULL: no room. */
struct suspect *suspects_put(struct mem *m, struct suspects *s, const struct suspect *suspect);
/* A round is over. */
void suspects_turn(struct mem *m, struct suspects *s);
void suspects_done(struct mem *m, struct suspects *s);

#endif
