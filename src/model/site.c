// SPDX-License-Identifier: BSD-2-Clause
#include "model/site.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "model/process.h"
#include "model/syscall_name.h"

/* What a site is found by. hash counts only where the stack is not known. */
struct place {
	const struct process *process;
	const struct stack *stack;
	const struct stack_hash *hash;
	uint32_t syscall;
};

static struct place site_place(const struct site *site)
{
	return (struct place){ site->process, site->stack, site->hash, site->syscall };
}

/* Not of addresses: the order of sites in the map must be the same in a replay. */
static uint64_t site_first_key(const struct place *p)
{
	uint64_t stack = p->stack ? p->stack->content : p->hash ? p->hash->hash : 0;

	return ((uint64_t)p->process->serial << 16 ^ p->syscall) * HASH_GOLDEN ^ stack;
}

static bool site_is_at(const struct site *site, const struct place *p)
{
	return site->process == p->process && site->syscall == p->syscall &&
	       site->stack == p->stack && (p->stack || site->hash == p->hash);
}

/* Keys may collide; the next number is tried then, so a look-up walks to the first free one. */
static uint64_t site_find_key(const struct sites *sites, const struct place *p,
			      struct site **ret_site)
{
	uint64_t key = site_first_key(p);

	while ((*ret_site = map_get(&sites->map, key)) && !site_is_at(*ret_site, p))
		key++;
	return key;
}

static void site_link_hash(struct stacks *stacks, struct site *site)
{
	struct stack_hash *hash = site->hash;

	if (!hash)
		return;
	site->next = hash->sites;
	if (site->next)
		site->next->previous = site;
	hash->sites = site;
	stacks_settle(stacks, hash);
}

static void site_unlink_hash(struct site *site)
{
	if (site->previous)
		site->previous->next = site->next;
	else if (site->hash)
		site->hash->sites = site->next;
	if (site->next)
		site->next->previous = site->previous;
	site->next = site->previous = NULL;
	site->hash = NULL;
}

static struct site *site_new(struct sites *sites, uint64_t key, struct process *process,
			     uint32_t syscall, struct stack_hash *hash)
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
	site->stack = hash ? hash->stack : NULL;
	site_link_hash(&sites->stacks, site);
	return site;
}

/* A hash that is not known yet, or was forgotten, is asked for: once for each site. */
static void ask_for_stack(struct stacks *stacks, const struct stack_hash *hash)
{
	if (hash->stack || hash->sites)
		return;
	stacks->unknown++;
	if (stacks->ask)
		stacks->ask(stacks->ctx, hash->hash);
}

struct site *site_get(struct sites *sites, struct process *process, uint32_t syscall, uint64_t hash)
{
	struct stack_hash *entry = hash ? stacks_hash(&sites->stacks, hash) : NULL;
	struct place place = { process, entry ? entry->stack : NULL, entry, syscall };
	struct site *site;
	uint64_t key;

	/* Most hashes have one site: it is found without its key. */
	if (entry && entry->sites && site_is_at(entry->sites, &place))
		return site_ref(entry->sites);
	key = site_find_key(sites, &place, &site);
	if (site)
		return site_ref(site);
	if (entry)
		ask_for_stack(&sites->stacks, entry);
	site = site_new(sites, key, process, syscall, entry);
	if (!site && entry)
		stacks_settle(&sites->stacks, entry);
	return site;
}

struct site *site_ref(struct site *site)
{
	site->refs++;
	return site;
}

/* A site further along a chain of colliding keys must be found without this one: it moves up. */
static void site_forget(struct sites *sites, const struct site *site)
{
	struct place place = site_place(site);
	struct site *other;
	uint64_t key = site_find_key(sites, &place, &other);

	map_remove(&sites->map, key);
	while ((other = map_remove(&sites->map, ++key))) {
		struct site *none;

		place = site_place(other);
		map_put(sites->mem, &sites->map, site_find_key(sites, &place, &none), other);
	}
}

static void site_free(struct sites *sites, struct site *site)
{
	struct stack_hash *hash = site->hash;

	if (!site->same)
		site_forget(sites, site);
	site_unlink_hash(site);
	if (hash)
		stacks_settle(&sites->stacks, hash);
	process_unref(sites->mem, site->process);
	mem_free(sites->mem, site, sizeof(*site));
}

void site_unref(struct sites *sites, struct site *site)
{
	while (site && !--site->refs) {
		struct site *same = site->same;

		site_free(sites, site);
		site = same;
	}
}

void sites_done(struct sites *sites)
{
	map_done(sites->mem, &sites->map);
	stacks_done(&sites->stacks);
}

/* ---- a stack becomes known ---- */

/* The fewest open of both together were at least the sum of the fewest of each. */
static void merge_growth(struct site_growth *into, const struct site_growth *from)
{
	into->min_now += from->min_now;
	for (int i = 0; i < GROWTH_WINDOWS; i++)
		into->minimum[i] += from->minimum[i];
	if (from->windows > into->windows)
		into->windows = from->windows;
}

static void site_merge(struct site *into, struct site *from)
{
	into->open += from->open;
	into->opened += from->opened;
	into->closed += from->closed;
	if (into->peak < from->peak)
		into->peak = from->peak;
	if (into->peak < into->open)
		into->peak = into->open;
	into->high += from->high;
	into->tooth += from->tooth;
	into->falls += from->falls;
	into->growth_reported |= from->growth_reported;
	into->stale = (struct site_stale){ 0 }; /* the sum is not what either was before */
	for (int scale = 0; scale < GROWTH_SCALES; scale++)
		merge_growth(&into->growth[scale], &from->growth[scale]);
	for (int i = 0; i < LIFETIME_BUCKETS; i++)
		into->lifetime[i] += from->lifetime[i];
	if (from->opened)
		into->kind = from->kind;
	from->same = site_ref(into);
}

/* map_put() cannot fail here: a place has just become free. */
static void site_move(struct sites *sites, struct site *site, const struct stack *stack)
{
	struct place place = site_place(site);
	struct site *other;
	uint64_t key;

	site_forget(sites, site);
	place.stack = stack;
	key = site_find_key(sites, &place, &other);
	site->stack = stack;
	if (!other) {
		map_put(sites->mem, &sites->map, key, site);
		return;
	}
	site_merge(other, site);
	site_unlink_hash(site);
	site->stack = NULL;
}

static void set_stack(struct sites *sites, struct stack_hash *hash, struct stack *stack)
{
	struct stack *before = hash->stack;
	struct site *next;

	hash->stack = stack;
	for (struct site *site = hash->sites; site && before != stack; site = next) {
		next = site->next;
		site_move(sites, site, stack);
	}
	stacks_drop(&sites->stacks, before);
	stacks_settle(&sites->stacks, hash);
}

int sites_told(struct sites *sites, const struct fdt_site *event, size_t size)
{
	struct stack_hash *hash;
	struct stack *stack;
	int err = stack_check(event, size);

	if (err)
		return err;
	stack = stacks_put(&sites->stacks, event, size);
	if (!stack)
		return 0;
	hash = stacks_hash(&sites->stacks, event->hash);
	if (hash)
		set_stack(sites, hash, stack);
	else
		stacks_drop(&sites->stacks, stack);
	return 0;
}

/* ---- counting ---- */

void site_count_open(struct site *site, enum fd_kind kind)
{
	site = site_now(site);
	site->kind = kind;
	site->opened++;
	if (++site->open > site->peak)
		site->peak = site->open;
	if (site->open > site->high)
		site->high = site->open;
}

/* What came down by half may come down again: the teeth of a saw. */
static void note_fall(struct site *site)
{
	if (site->open * 2 > site->high)
		return;
	if (site->high > site->tooth)
		site->tooth = site->high;
	site->high = site->open;
	site->falls++;
}

void site_count_close(struct site *site)
{
	site = site_now(site);
	site->closed++;
	site->open--;
	for (int scale = 0; scale < GROWTH_SCALES; scale++)
		if (site->open < site->growth[scale].min_now)
			site->growth[scale].min_now = site->open;
	note_fall(site);
}

void site_uncount_open(struct site *site)
{
	site_count_close(site);
	site = site_now(site);
	site->closed--;
	site->opened--;
}

void site_count_lifetime(struct site *site, uint64_t lifetime_ns)
{
	unsigned int bucket = 0;

	for (lifetime_ns >>= LIFETIME_FIRST_BIT; lifetime_ns && bucket < LIFETIME_BUCKETS - 1;
	     lifetime_ns >>= 1)
		bucket++;
	site_now(site)->lifetime[bucket]++;
}

uint64_t site_lifetime_ns(const struct site *site, unsigned int percent, uint64_t *ret_closed)
{
	uint64_t total = 0, below = 0;

	site = site_now((struct site *)site);
	for (int i = 0; i < LIFETIME_BUCKETS; i++)
		total += site->lifetime[i];
	*ret_closed = total;
	for (int i = 0; total && i < LIFETIME_BUCKETS; i++) {
		below += site->lifetime[i];
		if (below * 100 >= total * percent)
			return 1ull << (LIFETIME_FIRST_BIT + i);
	}
	return 0;
}

uint64_t site_median_lifetime_ns(const struct site *site)
{
	uint64_t closed;

	return site_lifetime_ns(site, 50, &closed);
}

/* ---- questions ---- */

unsigned int site_flags(const struct site *site)
{
	site = site_now((struct site *)site);
	return site && site->stack ? site->stack->flags : 0;
}

static const struct stack_frame *site_frame(const struct site *site)
{
	const struct stack *stack = site_now((struct site *)site)->stack;
	enum frame_rank rank = stack_best_rank(stack);

	if (rank == FRAME_SYSTEM)
		return NULL;
	return &stack->frames[stack_next_frame(stack, rank, 0)];
}

void site_format(const struct site *site, char *buffer, size_t size)
{
	const struct stack_frame *frame = site_frame(site);

	if (frame)
		stack_frame_format(frame, buffer, size);
	else
		snprintf(buffer, size, "%s", syscall_name(site->syscall));
}

void site_format_function(const struct site *site, char *buffer, size_t size)
{
	const struct stack_frame *frame = site_frame(site);

	buffer[0] = '\0';
	if (frame)
		stack_frame_function(frame, buffer, size);
}

/* ---- fingerprints ---- */

enum language site_language(const struct site *site)
{
	const struct stack *stack = site_now((struct site *)site)->stack;

	return stack ? stack->place.language : LANGUAGE_NATIVE;
}

uint64_t site_fingerprint(const struct site *site)
{
	uint64_t hash = hash_text(HASH_START, syscall_name(site->syscall));

	site = site_now((struct site *)site);
	if (site->stack && site->stack->place.is_known)
		return hash_number(hash, site->stack->place.hash);
	return hash_text(hash, fd_kind_name(site->kind));
}
