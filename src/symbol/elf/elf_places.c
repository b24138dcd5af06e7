// SPDX-License-Identifier: BSD-2-Clause
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/map.h"
#include "base/mem.h"
#include "symbol/elf/demangle.h"
#include "symbol/elf/elf_debug.h"
#include "symbol/elf/elf_lines.h"
#include "symbol/elf/elf_places.h"
#include "symbol/elf/elf_symbols.h"

#define PLACES_MAX 16         /* kept of an address */
#define ADDRESSES_MAX 8192    /* kept of a file: then all are forgotten */
#define TEXT_MAX (8u << 20)   /* bytes of names kept of a file: then no new ones are made */
#define TEXT_LENGTH_MAX 8192u /* of one name */

struct answer {
	uint64_t vaddr;
	bool is_return;
	unsigned int count;
	struct elf_place place[];
};

struct elf_cache {
	struct mem mem;
	struct map answers; /* by address */
	struct map texts;   /* by hash: names are handed out for as long as the file lives */
	size_t text_bytes;
};

static const char *text_add(struct elf_cache *cache, uint64_t key, const char *text, size_t length)
{
	char *copy = cache->text_bytes + length < TEXT_MAX ? strndup(text, length) : NULL;

	if (copy && map_put(&cache->mem, &cache->texts, key, copy) == 0) {
		cache->text_bytes += length + 1;
		return copy;
	}
	free(copy);
	return NULL;
}

/* One copy of each text. NULL: none given, too long, or there are too many. */
static const char *cache_keep(struct elf_cache *cache, const char *text)
{
	size_t length = text ? strnlen(text, TEXT_LENGTH_MAX) : 0;
	uint64_t key = HASH_START;
	const char *there;

	if (length == 0 || length == TEXT_LENGTH_MAX)
		return NULL;
	key = hash_text(key, text);
	/* equal hashes can be made on purpose */
	while ((there = map_get(&cache->texts, key)) && strcmp(there, text) != 0)
		key = hash_number(key, 1);
	return there ? there : text_add(cache, key, text, length);
}

/* As people write it; as it is in the table where that is the same or can't be had. */
static const char *keep_name(struct elf_cache *cache, const char *raw)
{
	char *name = raw ? demangle(raw) : NULL;
	const char *kept = cache_keep(cache, name);

	free(name);
	return kept ? kept : raw;
}

/* Without the version. */
static const char *keep_symbol(struct elf_cache *cache, const char *name)
{
	size_t length = strcspn(name, "@");
	char plain[DEMANGLE_MAX + 1];

	if (length > DEMANGLE_MAX)
		return cache_keep(cache, name);
	memcpy(plain, name, length);
	plain[length] = '\0';
	return cache_keep(cache, plain);
}

void elf_file_symbols_only(struct elf_file *file)
{
	file->symbols_only = true;
}

static void places_prepare(struct elf_file *file)
{
	Elf *debug;

	if (file->prepared)
		return;
	file->prepared = true;
	file->cache = calloc(1, sizeof(*file->cache));
	file->debug = (struct elf_image){ .fd = -1 };
	if (!file->symbols_only && elf_debug_find(&file->image, file->name, &file->debug) != 0)
		file->debug = (struct elf_image){ .fd = -1 };
	debug = file->debug.elf;
	if (elf_symbols_new(file->image.elf, debug, &file->symbols) != 0)
		file->symbols = NULL;
	if (file->symbols_only)
		return;
	if (elf_lines_new(file->image.elf, &file->lines) != 0 &&
	    (!debug || elf_lines_new(debug, &file->lines) != 0))
		file->lines = NULL;
}

static void place_from_line(struct elf_cache *cache, struct elf_place *place,
			    const struct elf_line *line)
{
	place->raw = cache_keep(cache, line->function);
	place->function = keep_name(cache, place->raw);
	place->source = cache_keep(cache, line->source);
	place->line = place->source ? line->line : 0;
	place->inlined = line->inlined;
}

/* The symbol names the function that the code is really in: the last place, if it is not inlined. */
static void place_from_symbol(struct elf_file *file, struct elf_place *place, uint64_t vaddr,
			      bool is_return)
{
	struct elf_function function;

	if (!file->symbols || place->inlined ||
	    !elf_symbols_find(file->symbols, vaddr - is_return, &function))
		return;
	place->raw = keep_symbol(file->cache, function.name);
	place->function = keep_name(file->cache, place->raw);
	place->offset = vaddr - function.vaddr;
}

static unsigned int look_up(struct elf_file *file, uint64_t vaddr, bool is_return,
			    struct elf_place *places)
{
	struct elf_line line[PLACES_MAX];
	unsigned int count = 0;

	memset(places, 0, PLACES_MAX * sizeof(*places));
	if (file->lines)
		count = elf_lines_find(file->lines, vaddr - is_return, line, PLACES_MAX);
	for (unsigned int i = 0; i < count; i++)
		place_from_line(file->cache, &places[i], &line[i]);
	if (count == 0)
		count = 1;
	place_from_symbol(file, &places[count - 1], vaddr, is_return);
	return count;
}

static void answers_forget(struct elf_cache *cache)
{
	map_each (&cache->answers, entry)
		free(entry->value);
	map_done(&cache->mem, &cache->answers);
	cache->answers = (struct map){ 0 };
}

static void answer_keep(struct elf_cache *cache, uint64_t key, const struct answer *answer,
			const struct elf_place *places)
{
	size_t size = answer->count * sizeof(*places);
	struct answer *kept = malloc(sizeof(*kept) + size);

	if (!kept)
		return;
	*kept = *answer;
	memcpy(kept->place, places, size);
	if (cache->answers.count >= ADDRESSES_MAX)
		answers_forget(cache);
	free(map_remove(&cache->answers, key));
	if (map_put(&cache->mem, &cache->answers, key, kept) != 0)
		free(kept);
}

static unsigned int hand_out(struct elf_place *to, unsigned int max, const struct elf_place *from,
			     unsigned int count)
{
	if (count > max)
		count = max;
	memcpy(to, from, count * sizeof(*to));
	return count;
}

unsigned int elf_file_places(struct elf_file *file, uint64_t vaddr, bool is_return,
			     struct elf_place *places, unsigned int max)
{
	struct answer answer = { .vaddr = vaddr, .is_return = is_return }, *known;
	uint64_t key = vaddr ^ (uint64_t)is_return << 63;
	struct elf_place found[PLACES_MAX];

	places_prepare(file);
	file->used = true;
	if (!file->cache) {
		memset(places, 0, sizeof(*places));
		return 1;
	}
	known = map_get(&file->cache->answers, key);
	if (known && known->vaddr == vaddr && known->is_return == is_return)
		return hand_out(places, max, known->place, known->count);
	answer.count = look_up(file, vaddr, is_return, found);
	answer_keep(file->cache, key, &answer, found);
	return hand_out(places, max, found, answer.count);
}

void elf_places_free(struct elf_file *file)
{
	if (file->cache) {
		answers_forget(file->cache);
		map_each (&file->cache->texts, entry)
			free(entry->value);
		map_done(&file->cache->mem, &file->cache->texts);
	}
	free(file->cache);
	elf_lines_free(file->lines);
	elf_symbols_free(file->symbols);
	file->cache = NULL;
	file->lines = NULL;
	file->symbols = NULL;
}

bool elf_file_rest(struct elf_file *file)
{
	bool used = file->used;

	file->used = false;
	if (used || !file->cache)
		return false;
	elf_places_free(file);
	elf_image_done(&file->debug);
	/* one that is no ELF file any more has no places from now on */
	file->prepared = elf_image_renew(&file->image) != 0;
	return true;
}

bool elf_file_close(struct elf_file *file)
{
	if (file->cache || file->image.fd < 0)
		return false;
	elf_image_done(&file->image);
	file->prepared = true;
	return true;
}
