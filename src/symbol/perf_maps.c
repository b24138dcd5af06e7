// SPDX-License-Identifier: BSD-2-Clause
/* The perf maps of a few processes, read when they are asked for and again when they have grown. */
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "symbol/frames.h"
#include "symbol/perf_map.h"

#define KEPT 4 /* at most 32 MiB of text each, and what is made of it */
#define LOOK_AGAIN_NS SEC_NS

struct perf_maps {
	struct kept {
		pid_t pid;            /* 0: free */
		struct perf_map *map; /* NULL: that process has none */
		uint64_t looked_ns, used_ns;
	} kept[KEPT];
};

int perf_maps_new(struct perf_maps **ret_maps)
{
	*ret_maps = calloc(1, sizeof(**ret_maps));
	return *ret_maps ? 0 : -ENOMEM;
}

void perf_maps_free(struct perf_maps *maps)
{
	for (int i = 0; maps && i < KEPT; i++)
		perf_map_free(maps->kept[i].map);
	free(maps);
}

/* The one of that process, or the one unused for longest. */
static struct kept *perf_maps_choose(struct perf_maps *maps, pid_t pid)
{
	struct kept *oldest = &maps->kept[0];

	for (int i = 0; i < KEPT; i++) {
		if (maps->kept[i].pid == pid)
			return &maps->kept[i];
		if (maps->kept[i].used_ns < oldest->used_ns)
			oldest = &maps->kept[i];
	}
	return oldest;
}

static void perf_maps_look(struct kept *kept, pid_t pid, uint64_t now_ns)
{
	perf_map_free(kept->map);
	*kept = (struct kept){ .pid = pid, .looked_ns = now_ns };
	if (perf_map_open(pid, &kept->map))
		kept->map = NULL;
}

const char *perf_maps_find(struct perf_maps *maps, pid_t pid, uint64_t address, uint64_t now_ns)
{
	struct kept *kept = perf_maps_choose(maps, pid);
	const char *name;

	if (kept->pid != pid)
		perf_maps_look(kept, pid, now_ns);
	kept->used_ns = now_ns;
	name = kept->map ? perf_map_find(kept->map, address) : NULL;
	if (name || now_ns - kept->looked_ns < LOOK_AGAIN_NS)
		return name;
	kept->looked_ns = now_ns;
	if (kept->map && !perf_map_is_stale(kept->map, pid))
		return NULL;
	perf_maps_look(kept, pid, now_ns);
	kept->used_ns = now_ns;
	return kept->map ? perf_map_find(kept->map, address) : NULL;
}
