// SPDX-License-Identifier: BSD-2-Clause
#include "model/suspect.h"

#include "base/hash.h"
#include "base/mem.h"

/* Two of the same key are as good as never; the later one is then judged again. */
static uint64_t suspect_key(uint64_t table, int32_t fd)
{
	return hash_number(hash_number(HASH_START, table), (uint32_t)fd);
}

static struct suspect *suspect_lookup(const struct map *map, uint64_t table, int32_t fd,
				      uint32_t generation)
{
	struct suspect *found = map_get(map, suspect_key(table, fd));

	if (!found || found->table != table || found->fd != fd || found->generation != generation)
		return NULL;
	return found;
}

const struct suspect *suspects_before(const struct suspects *s, uint64_t table, int32_t fd,
				      uint32_t generation)
{
	return suspect_lookup(&s->before, table, fd, generation);
}

struct suspect *suspects_now(const struct suspects *s, uint64_t table, int32_t fd,
			     uint32_t generation)
{
	return suspect_lookup(&s->now, table, fd, generation);
}

struct suspect *suspects_put(struct mem *m, struct suspects *s, const struct suspect *suspect)
{
	uint64_t key = suspect_key(suspect->table, suspect->fd);
	struct suspect *kept = map_get(&s->now, key);

	if (!kept) {
		kept = s->now.count < SUSPECTS_MAX ? mem_alloc(m, sizeof(*kept)) : NULL;
		if (!kept)
			return NULL;
		if (map_put(m, &s->now, key, kept)) {
			mem_free(m, kept, sizeof(*kept));
			return NULL;
		}
	}
	*kept = *suspect;
	return kept;
}

static void drop_all(struct mem *m, struct map *map)
{
	map_each (map, entry)
		mem_free(m, entry->value, sizeof(struct suspect));
	map_done(m, map);
}

void suspects_turn(struct mem *m, struct suspects *s)
{
	drop_all(m, &s->before);
	s->before = s->now;
	s->now = (struct map){ 0 };
}

void suspects_done(struct mem *m, struct suspects *s)
{
	drop_all(m, &s->before);
	drop_all(m, &s->now);
}
