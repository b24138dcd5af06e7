// SPDX-License-Identifier: BSD-2-Clause
#include "core/site.h"

#include <stdbool.h>
#include <stdio.h>

#include "core/hash.h"
#include "core/mem.h"
#include "core/process.h"
#include "core/syscall_name.h"

static uint64_t first_key(const struct process *process, uint32_t syscall, uint64_t hash)
{
	return ((uint64_t)process->serial << 16 ^ syscall) * 0x9e3779b97f4a7c15ull ^ hash;
}

static bool is(const struct site *site, const struct process *process, uint32_t syscall,
	       uint64_t hash)
{
	return site->process == process && site->syscall == syscall && site->hash == hash;
}

/* Keys may collide; the next number is tried then, so a look-up walks to the first free one. */
static uint64_t find_key(const struct sites *sites, const struct process *process, uint32_t syscall,
			 uint64_t hash, struct site **ret_site)
{
	uint64_t key = first_key(process, syscall, hash);

	while ((*ret_site = map_get(&sites->map, key)) && !is(*ret_site, process, syscall, hash))
		key++;
	return key;
}

static struct site *site_new(struct sites *sites, uint64_t key, struct process *process,
			     uint32_t syscall, uint64_t hash)
{
	struct site *site = mem_alloc(sites->mem, sizeof(*site));

	if (!site)
		return NULL;
	*site = (struct site){ .refs = 1, .syscall = syscall, .hash = hash };
	if (map_put(sites->mem, &sites->map, key, site)) {
		mem_free(sites->mem, site, sizeof(*site));
		return NULL;
	}
	site->process = process_ref(process);
	return site;
}

struct site *site_get(struct sites *sites, struct process *process, uint32_t syscall, uint64_t hash)
{
	struct site *site;
	uint64_t key = find_key(sites, process, syscall, hash, &site);

	return site ? site_ref(site) : site_new(sites, key, process, syscall, hash);
}

struct site *site_ref(struct site *site)
{
	site->refs++;
	return site;
}

/* A site further along a chain of colliding keys must be found after this one has gone: it moves up. */
static void forget(struct sites *sites, const struct site *site)
{
	struct site *other;
	uint64_t key = find_key(sites, site->process, site->syscall, site->hash, &other);

	map_remove(&sites->map, key);
	while ((other = map_remove(&sites->map, ++key))) {
		struct site *none;
		uint64_t place =
			find_key(sites, other->process, other->syscall, other->hash, &none);

		map_put(sites->mem, &sites->map, place, other);
	}
}

void site_unref(struct sites *sites, struct site *site)
{
	if (!site || --site->refs)
		return;
	forget(sites, site);
	process_unref(sites->mem, site->process);
	mem_free(sites->mem, site, sizeof(*site));
}

void sites_done(struct sites *sites)
{
	map_done(sites->mem, &sites->map);
}

void site_count_open(struct site *site, enum fd_kind kind)
{
	site->kind = kind;
	site->opened++;
	if (++site->open > site->peak)
		site->peak = site->open;
}

void site_count_close(struct site *site)
{
	site->closed++;
	site->open--;
	for (int scale = 0; scale < GROWTH_SCALES; scale++)
		if (site->open < site->growth[scale].min_now)
			site->growth[scale].min_now = site->open;
}

void site_format(const struct site *site, char *buffer, size_t size)
{
	snprintf(buffer, size, "%s",
		 site->frame_count ? site->frames[0].text : syscall_name(site->syscall));
}

uint64_t site_fingerprint(const struct site *site)
{
	uint64_t hash = hash_text(HASH_START, process_program(site->process));

	hash = hash_text(hash, syscall_name(site->syscall));
	hash = hash_text(hash, fd_kind_name(site->kind));
	for (unsigned int i = 0; i < site->frame_count; i++)
		hash = hash_text(hash, site->frames[i].text);
	return hash;
}
