// SPDX-License-Identifier: BSD-2-Clause
#include "engine/holdings.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/text.h"
#include "engine/engine_private.h"
#include "model/sockets.h"

#define TARGETS_MAX 6 /* rows of one kind without an opener; the others share one more */

/* A row in the making. */
struct holding {
	struct site_row row; /* label, target and example_name are not set yet */
	uint64_t opened_ns;  /* of the oldest */
	char target[HOLDING_TEXT_SIZE];
};

struct holdings {
	struct engine *engine;
	const struct fdtable *table;
	holdings_only_fn only;
	const void *ctx;
	struct map by_site;  /* address of a site, or kind + 1 without one -> index + 1 */
	struct map by_place; /* holdings_place() -> index + 1 */
	struct holding *list;
	size_t count, capacity;
};

/* ---- which row ---- */

/* In a language of its own the functions say which program it is; else the program does. */
uint64_t holdings_place(const struct site *site)
{
	uint64_t hash = site_fingerprint(site);

	if (site_language(site) == LANGUAGE_NATIVE)
		hash = hash_text(hash, process_program(site->process));
	return hash;
}

bool holdings_is_of(const struct site_row *row, const struct slot *slot)
{
	const struct site *site = site_now(slot->site);

	if (!row->site || !site)
		return !row->site && !site && row->kind == slot->kind;
	return site == row->site || holdings_place(site) == holdings_place(row->site);
}

/* NULL: out of memory. Rows move when one is added. */
static struct holding *holdings_append(struct holdings *h)
{
	size_t capacity = h->capacity ? h->capacity * 2 : 32;
	struct holding *list = h->list;

	if (h->count == h->capacity) {
		list = mem_resize(&h->engine->mem, list, h->capacity * sizeof(*list),
				  capacity * sizeof(*list));
		if (!list)
			return NULL;
		h->list = list;
		h->capacity = capacity;
	}
	list[h->count] = (struct holding){ .row = { .example_fd = -1 } };
	return &list[h->count++];
}

static struct holding *holdings_add(struct holdings *h, struct map *map, uint64_t key)
{
	struct holding *holding = holdings_append(h);

	if (holding && map_put(&h->engine->mem, map, key, (void *)(uintptr_t)h->count)) {
		h->count--;
		return NULL;
	}
	return holding;
}

/* Of the sites of a place the one with most open stands for all. */
static void holding_join(struct holding *holding, const struct site *site)
{
	struct site_row *row = &holding->row;

	row->calls++;
	row->opened += site->opened;
	row->closed += site->closed;
	if (!row->site || site->open > row->site->open)
		row->site = site;
}

static struct holding *holding_of_site(struct holdings *h, const struct site *site)
{
	uint64_t place = holdings_place(site);
	uintptr_t index = (uintptr_t)map_get(&h->by_place, place);
	struct holding *holding =
		index ? &h->list[index - 1] : holdings_add(h, &h->by_place, place);

	if (!holding || map_put(&h->engine->mem, &h->by_site, (uintptr_t)site,
				(void *)(uintptr_t)(holding - h->list + 1)))
		return NULL;
	holding_join(holding, site);
	return holding;
}

static struct holding *holding_of_slot(struct holdings *h, const struct slot *slot)
{
	const struct site *site = site_now(slot->site);
	uint64_t key = site ? (uintptr_t)site : slot->kind + 1u;
	uintptr_t index = (uintptr_t)map_get(&h->by_site, key);

	if (index)
		return &h->list[index - 1];
	return site ? holding_of_site(h, site) : holdings_add(h, &h->by_site, key);
}

static void holding_count(struct holding *holding, const struct slot *slot, int32_t fd)
{
	struct site_row *row = &holding->row;

	if (row->open++ && slot->opened_ns >= holding->opened_ns)
		return;
	holding->opened_ns = slot->opened_ns;
	row->example_fd = fd;
	row->kind = slot->kind;
}

static void holdings_count(struct holdings *h)
{
	fdtable_each (h->table, fd) {
		const struct slot *slot = fdtable_slot(h->table, fd);
		struct holding *holding;

		if (h->only && !h->only(slot, fd, h->ctx))
			continue;
		holding = holding_of_slot(h, slot);
		if (holding)
			holding_count(holding, slot, fd);
	}
}

static int holdings_most_open_first(const void *a, const void *b)
{
	const struct site_row *x = &((const struct holding *)a)->row;
	const struct site_row *y = &((const struct holding *)b)->row;

	if (x->open != y->open)
		return x->open < y->open ? 1 : -1;
	return (x->example_fd > y->example_fd) - (x->example_fd < y->example_fd);
}

static void holdings_sort(struct holdings *h)
{
	if (h->count)
		qsort(h->list, h->count, sizeof(*h->list), holdings_most_open_first);
}

static void holdings_done(struct holdings *h)
{
	struct mem *mem = &h->engine->mem;

	map_done(mem, &h->by_site);
	map_done(mem, &h->by_place);
	mem_free(mem, h->list, h->capacity * sizeof(*h->list));
}

/* ---- looking at those without an opener ---- */

/*
 * Where one of them leads, said in two ways: precisely, and in common with others. A client's
 * connections share the peer, a server's the local end; files share a path or a folder.
 */
struct look {
	int32_t fd;
	bool by_group;                                         /* the common way is taken */
	const char *state;                                     /* NULL: nothing to say */
	char own[HOLDING_TEXT_SIZE], group[HOLDING_TEXT_SIZE]; /* "": none */
};

struct looks {
	struct look *list;
	size_t count, capacity;
	struct map counts; /* look_key() of either way -> how many */
};

static uint64_t look_key(const struct look *look, bool by_group)
{
	uint64_t hash = hash_text(HASH_START, by_group ? look->group : look->own);

	return hash_text(hash, look->state ? look->state : "");
}

static void look_at_inet(struct look *look, const struct fdt_detail *detail, enum fd_kind kind)
{
	struct socket_ends ends;

	if (!detail || !(detail->facts & FDT_FACT_SOCKET))
		return;
	if (kind == FD_KIND_TCP)
		look->state = tcp_state_name(detail->state);
	if (!socket_ends(detail, &ends))
		return;
	text_format(look->own, sizeof(look->own), ends.peer[0] ? "to %s" : "on %s",
		    ends.peer[0] ? ends.peer : ends.local);
	if (ends.peer[0])
		text_format(look->group, sizeof(look->group), "on %s", ends.local);
}

static void look_at_unix(struct look *look, const struct fdt_detail *detail)
{
	char name[SOCKET_TEXT_SIZE];

	if (detail && socket_name(detail, name, sizeof(name)))
		text_format(look->own, sizeof(look->own), "%.90s", name + strlen("unix "));
}

static void look_at_pipe(struct look *look, const struct slot *slot,
			 const struct fdt_detail *detail)
{
	bool reads = slot->flags & SLOT_READS;

	if (!detail || !(detail->facts & FDT_FACT_PIPE))
		return;
	if (!(reads ? detail->writers : detail->readers))
		look->state = "other end closed";
}

/* "/var/log/a", and "/var/log/<...>" for the folder; a long path keeps its end. */
static void look_at_path(struct look *look, const char *path)
{
	static const char mark[] = " (deleted)";
	size_t length = path ? strlen(path) : 0;
	const char *slash;

	if (!length)
		return;
	if (length > sizeof(mark) && strcmp(path + length - (sizeof(mark) - 1), mark) == 0) {
		length -= sizeof(mark) - 1;
		look->state = "deleted";
	}
	if (length < sizeof(look->own))
		text_format(look->own, sizeof(look->own), "%.*s", (int)length, path);
	else
		text_format(look->own, sizeof(look->own), "...%.*s", HOLDING_TEXT_SIZE - 4,
			    path + length - (HOLDING_TEXT_SIZE - 4));
	slash = strrchr(look->own, '/');
	if (slash)
		text_format(look->group, sizeof(look->group), "%.*s/*", (int)(slash - look->own),
			    look->own);
}

static void look_at_fd(struct holdings *h, struct look *look)
{
	struct slot room;
	const struct slot *slot = fdtable_look(h->table, (uint32_t)look->fd, &room);

	switch (slot->kind) {
	case FD_KIND_TCP:
	case FD_KIND_UDP:
		look_at_inet(look, slots_look(h->engine, h->table, look->fd), slot->kind);
		break;
	case FD_KIND_UNIX: look_at_unix(look, slots_look(h->engine, h->table, look->fd)); break;
	case FD_KIND_PIPE:
		look_at_pipe(look, slot, slots_look(h->engine, h->table, look->fd));
		break;
	case FD_KIND_FILE:
	case FD_KIND_DIR:
	case FD_KIND_FIFO:
	case FD_KIND_CHR:
	case FD_KIND_BLK:
	case FD_KIND_MEMFD: look_at_path(look, slots_name(h->engine, h->table, look->fd)); break;
	default: break;
	}
}

static uintptr_t look_count(const struct looks *looks, const struct look *look, bool by_group)
{
	return (uintptr_t)map_get(&looks->counts, look_key(look, by_group));
}

static void look_tally(struct holdings *h, struct looks *looks, const struct look *look,
		       bool by_group)
{
	uint64_t key = look_key(look, by_group);
	uintptr_t count = (uintptr_t)map_get(&looks->counts, key);

	map_put(&h->engine->mem, &looks->counts, key, (void *)(count + 1));
}

/* The precise way, unless that would leave most of a group alone. */
static void looks_choose(struct looks *looks)
{
	for (size_t i = 0; i < looks->count; i++) {
		struct look *look = &looks->list[i];
		uintptr_t own = look_count(looks, look, false);

		look->by_group = look->group[0] && look_count(looks, look, true) > 2 * own;
	}
}

/* Every step-th of the row's, so that a sample is spread evenly over the table. */
static void looks_take(struct holdings *h, struct looks *looks, const struct site_row *row)
{
	uint64_t step = (row->open + looks->capacity - 1) / looks->capacity, at = 0;

	fdtable_each (h->table, fd) {
		struct slot room;
		const struct slot *slot = fdtable_look(h->table, (uint32_t)fd, &room);
		struct look *look = &looks->list[looks->count];

		if ((h->only && !h->only(slot, fd, h->ctx)) || !holdings_is_of(row, slot) ||
		    at++ % step || looks->count == looks->capacity)
			continue;
		*look = (struct look){ .fd = fd };
		look_at_fd(h, look);
		look_tally(h, looks, look, false);
		if (look->group[0])
			look_tally(h, looks, look, true);
		looks->count++;
	}
	looks_choose(looks);
}

/* ---- rows by target ---- */

static struct holding *holding_of_look(struct holdings *rows, const struct look *look)
{
	uint64_t key = look_key(look, look->by_group);
	uintptr_t index = (uintptr_t)map_get(&rows->by_place, key);
	struct holding *holding =
		index ? &rows->list[index - 1] : holdings_add(rows, &rows->by_place, key);

	if (holding && !index) {
		holding->row.state = look->state;
		text_format(holding->target, sizeof(holding->target), "%s",
			    look->by_group ? look->group : look->own);
	}
	return holding;
}

static void looks_count(struct holdings *rows, const struct looks *looks)
{
	for (size_t i = 0; i < looks->count; i++) {
		struct slot room;
		const struct look *look = &looks->list[i];
		const struct slot *slot = fdtable_look(rows->table, (uint32_t)look->fd, &room);
		struct holding *holding = holding_of_look(rows, look);

		if (!holding)
			continue;
		holding_count(holding, slot, look->fd);
		if (finding_can_be_idle(slot))
			finding_count_idle(&holding->row, slot,
					   slots_known_detail(rows->engine, slot), ROW_IDLE_NS);
	}
}

/* Beyond the largest few: one row that says no more than their kind. */
static void looks_join_rest(struct holdings *rows)
{
	struct holding *rest = &rows->list[TARGETS_MAX];

	if (rows->count <= TARGETS_MAX + 1)
		return;
	for (size_t i = TARGETS_MAX + 1; i < rows->count; i++) {
		rest->row.open += rows->list[i].row.open;
		if (rest->row.state != rows->list[i].row.state)
			rest->row.state = NULL;
	}
	rest->target[0] = '\0';
	rest->row.asked = 0;
	rows->count = TARGETS_MAX + 1;
}

/* A sample says what most of those looked at are like, and of how many. */
static void looks_describe(struct holding *holding, const struct holding *most, size_t looked)
{
	holding->row.looked = (uint32_t)looked;
	holding->row.alike = (uint32_t)most->row.open;
	holding->row.state = most->row.state;
	memcpy(holding->target, most->target, sizeof(holding->target));
	holding->row.asked = most->row.asked;
	holding->row.idle = most->row.idle;
	holding->row.idle_ns = most->row.idle_ns;
	holding->row.established = most->row.established;
	holding->row.close_wait = most->row.close_wait;
}

static void looks_replace(struct holdings *h, size_t index, const struct holdings *rows)
{
	h->list[index] = rows->list[0];
	for (size_t i = 1; i < rows->count; i++) {
		struct holding *added = holdings_append(h);

		if (added)
			*added = rows->list[i];
	}
}

static void holding_split(struct holdings *h, size_t index, struct looks *looks)
{
	struct holdings rows = { .engine = h->engine, .table = h->table };
	struct site_row row = h->list[index].row;

	looks_take(h, looks, &row);
	looks_count(&rows, looks);
	holdings_sort(&rows);
	if (rows.count && looks->count < row.open)
		looks_describe(&h->list[index], &rows.list[0], looks->count);
	else if (rows.count) {
		looks_join_rest(&rows);
		looks_replace(h, index, &rows);
	}
	holdings_done(&rows);
	map_done(&h->engine->mem, &looks->counts);
}

static uint64_t holdings_unknown(const struct holdings *h)
{
	uint64_t open = 0;

	for (size_t i = 0; i < h->count; i++)
		open += h->list[i].row.site ? 0 : h->list[i].row.open;
	return open;
}

/* Each kind gets its share of the looks; in a full engine none is looked at. */
static void holdings_look(struct holdings *h)
{
	struct mem *mem = &h->engine->mem;
	size_t bytes = HOLDINGS_LOOKS_MAX * sizeof(struct look), count = h->count;
	uint64_t unknown = holdings_unknown(h);
	struct look *list = unknown ? mem_alloc_beyond(mem, bytes) : NULL;

	for (size_t i = 0; list && i < count; i++) {
		uint64_t open = h->list[i].row.open, share = open;
		struct looks looks = { .list = list };

		if (h->list[i].row.site)
			continue;
		if (unknown > HOLDINGS_LOOKS_MAX)
			share = open * HOLDINGS_LOOKS_MAX / unknown;
		looks.capacity = share ? share : 1;
		holding_split(h, i, &looks);
	}
	mem_free(mem, list, bytes);
}

/* ---- out ---- */

/* A command's descriptors that nobody opened since its start are those that it was started with. */
static const char *label_unknown(const struct holdings *h, int32_t fd)
{
	const struct slot *slot = fdtable_slot(h->table, fd);

	if (h->engine->options.mode == ENGINE_COMMAND &&
	    slot->flags & (SLOT_CROSSED_EXEC | SLOT_INHERITED))
		return "inherited";
	return "opener unknown";
}

static struct site_row holdings_row(struct holdings *h, struct holding *holding, char *label,
				    size_t label_size)
{
	struct engine *e = h->engine;
	struct site_row row = holding->row;

	row.label = label;
	/* before the kind: it may change that */
	row.example_name = slots_name(e, h->table, row.example_fd);
	row.kind = fdtable_slot(h->table, row.example_fd)->kind;
	if (row.site) {
		site_format(row.site, label, label_size);
		row.oldest_ns = e->now_ns - holding->opened_ns;
		return row;
	}
	text_format(label, label_size, "%s", label_unknown(h, row.example_fd));
	row.target = holding->target[0] ? holding->target : NULL;
	return row;
}

static void holdings_fill(struct holdings *h, struct finding *f, struct site_labels *labels)
{
	f->site_total = (unsigned int)h->count;
	f->site_count = h->count < FINDING_SITES_MAX ? (unsigned int)h->count : FINDING_SITES_MAX;
	for (unsigned int i = 0; i < f->site_count; i++) {
		f->sites[i] =
			holdings_row(h, &h->list[i], labels->text[i], sizeof(labels->text[i]));
		if (!f->sites[i].target)
			continue;
		memcpy(labels->target[i], h->list[i].target, sizeof(labels->target[i]));
		f->sites[i].target = labels->target[i];
	}
}

void finding_sites(struct engine *e, struct finding *f, const struct fdtable *table,
		   holdings_only_fn only, const void *ctx, struct site_labels *labels)
{
	struct holdings h = { .engine = e, .table = table, .only = only, .ctx = ctx };

	holdings_count(&h);
	holdings_sort(&h);
	holdings_fill(&h, f, labels);
	holdings_done(&h);
}

void finding_look_at_sites(struct engine *e, struct finding *f, const struct fdtable *table,
			   holdings_only_fn only, const void *ctx, struct site_labels *labels)
{
	struct holdings h = { .engine = e, .table = table, .only = only, .ctx = ctx };

	holdings_count(&h);
	holdings_look(&h);
	holdings_sort(&h);
	holdings_fill(&h, f, labels);
	holdings_done(&h);
}

void finding_put_site(struct finding *f, const struct site_row *row)
{
	f->sites[0] = *row;
	f->site_count = f->site_total = 1;
}

void finding_each_site(struct engine *e, const struct fdtable *table, holdings_only_fn only,
		       const void *ctx,
		       void (*row)(struct engine *e, const struct fdtable *table,
				   const struct site_row *row))
{
	struct holdings h = { .engine = e, .table = table, .only = only, .ctx = ctx };
	char label[HOLDING_TEXT_SIZE];

	holdings_count(&h);
	holdings_sort(&h);
	for (size_t i = 0; i < h.count; i++) {
		struct site_row out = holdings_row(&h, &h.list[i], label, sizeof(label));

		row(e, table, &out);
	}
	holdings_done(&h);
}

/* ---- words ---- */

static void row_format_leads(const struct site_row *row, char *buffer, size_t size)
{
	const char *target = row->target ? row->target : "", *state = row->state ? row->state : "";

	text_format(buffer, size, "%s%s%s", target, *target && *state ? ", " : "", state);
}

void site_row_format(const struct site_row *row, char *buffer, size_t size)
{
	const char *label = row->label ? row->label : "opener unknown";
	char leads[HOLDING_TEXT_SIZE + 32];

	row_format_leads(row, leads, sizeof(leads));
	if (row->calls > 1)
		text_format(buffer, size, "%s (%u calls)", label, row->calls);
	else if (!leads[0])
		text_format(buffer, size, "%s", label);
	else if (row->looked)
		text_format(buffer, size, "%s; %u of %u looked at: %s", label, row->alike,
			    row->looked, leads);
	else
		text_format(buffer, size, "%s (%s)", leads, label);
}
