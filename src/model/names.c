// SPDX-License-Identifier: BSD-2-Clause
#include "model/names.h"

#include <stdbool.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "fdtrace/event.h"

#define NAMESAKES_MAX 64 /* names of one key that are looked through */

static const char unlinked[] = " (deleted)";

struct name {
	uint64_t key, file, inode;
	uint64_t serial;
	uint64_t before; /* serial of the name of the same key before it; itself: none */
	uint32_t dev;
	uint32_t size; /* of text, its NUL included */
	enum name_origin origin;
	char text[];
};

/* On the path of every close: two multiplications. */
uint64_t names_key(uint64_t file, uint64_t inode, uint32_t dev)
{
	return file * HASH_GOLDEN ^ (inode + ((uint64_t)dev << 32)) * 0xc2b2ae3d27d4eb4full;
}

uint32_t names_now(const struct names *names)
{
	return (uint32_t)names->serial;
}

static void name_drop(struct names *names, struct name *name)
{
	if (!name)
		return;
	if (map_get(&names->map, name->key) == name)
		map_remove(&names->map, name->key);
	mem_free(names->mem, name, sizeof(*name) + name->size);
}

static struct name **names_place(const struct names *names, uint64_t serial)
{
	return &names->ring[serial % NAMES_MAX];
}

static struct name *names_find(const struct names *names, uint64_t file, uint64_t inode,
			       uint32_t dev)
{
	struct name *name = map_get(&names->map, names_key(file, inode, dev));

	if (!name || name->file != file || name->inode != inode || name->dev != dev)
		return NULL;
	return name;
}

static bool name_is(const struct name *name, const char *text, uint32_t length)
{
	return name && name->size == length + 1 && !memcmp(name->text, text, length);
}

static struct name *name_new(struct names *names, uint64_t key, const char *text, uint32_t length)
{
	struct name *name = mem_alloc(names->mem, sizeof(*name) + length + 1);
	const struct name *before = map_get(&names->map, key);

	if (!name)
		return NULL;
	name->key = key;
	name->size = length + 1;
	name->serial = names->serial;
	name->before = before ? before->serial : name->serial;
	memcpy(name->text, text, length);
	return name;
}

static void names_add(struct names *names, struct name *name)
{
	struct name **place = names_place(names, name->serial);

	name_drop(names, *place);
	*place = NULL;
	if (map_put(names->mem, &names->map, name->key, name)) {
		mem_free(names->mem, name, sizeof(*name) + name->size);
		return;
	}
	*place = name;
	names->serial++;
}

void names_put(struct names *names, uint64_t file, uint64_t inode, uint32_t dev, const char *text,
	       size_t size, enum name_origin origin)
{
	uint32_t length = strnlen(text, size < NAME_SIZE_MAX ? size : NAME_SIZE_MAX - 1);
	uint64_t key = names_key(file, inode, dev);
	struct name *name = names_find(names, file, inode, dev);

	if (name_is(name, text, length)) {
		name->origin = origin;
		return;
	}
	if (!names->ring)
		names->ring = mem_alloc(names->mem, NAMES_MAX * sizeof(*names->ring));
	name = names->ring ? name_new(names, key, text, length) : NULL;
	if (!name) {
		map_remove(&names->map, key); /* rather no name than one of before */
		return;
	}
	name->file = file;
	name->inode = inode;
	name->dev = dev;
	name->origin = origin;
	names_add(names, name);
}

static bool ends_as_unlinked(const char *text, size_t length)
{
	size_t suffix = sizeof(unlinked) - 1;

	return length >= suffix && !memcmp(text + length - suffix, unlinked, suffix);
}

/*
 * As a look-up has it (run/naming.c): " (deleted)" is a mark, and where it is how a name itself ends,
 * the path begins with "/.". What a path begins with that was cut, none does by itself.
 */
static size_t name_compose(const struct fdt_name *event, size_t length, char *buffer, size_t size)
{
	unsigned int flags = event->head.flags;
	const char *prefix = "", *suffix = flags & FDT_NAME_UNLINKED ? unlinked : "";
	size_t before, after = strlen(suffix);

	if (flags & FDT_NAME_CUT)
		prefix = "...";
	else if (!after && ends_as_unlinked(event->text, length))
		prefix = "/.";
	before = strlen(prefix);
	if (length > size - before - after)
		length = size - before - after;
	memcpy(buffer, prefix, before);
	memcpy(buffer + before, event->text, length);
	memcpy(buffer + before + length, suffix, after);
	return before + length + after;
}

void names_put_event(struct names *names, const struct fdt_name *event, size_t size)
{
	const struct fdt_file *file = &event->file;
	size_t length = strnlen(event->text, size - sizeof(*event));
	char text[NAME_SIZE_MAX - 1];

	if (event->head.op != FDT_OP_OPEN) {
		names_put(names, file->file, file->inode, file->dev, event->text, length,
			  NAME_LOOKED_UP);
		return;
	}
	length = name_compose(event, length, text, sizeof(text));
	names_put(names, file->file, file->inode, file->dev, text, length, NAME_AS_OPENED);
}

const char *names_get(const struct names *names, uint64_t file, uint64_t inode, uint32_t dev,
		      enum name_origin *ret_origin)
{
	const struct name *name = names_find(names, file, inode, dev);

	if (name && ret_origin)
		*ret_origin = name->origin;
	return name ? name->text : NULL;
}

/* The one that the key had before; NULL: none, or it is no longer kept. */
static const struct name *name_before(const struct names *names, const struct name *name)
{
	const struct name *before = *names_place(names, name->before);

	if (name->before == name->serial || !before || before->serial != name->before ||
	    before->key != name->key)
		return NULL;
	return before;
}

const char *names_get_key(const struct names *names, uint64_t key, uint32_t then)
{
	uint64_t next = names->serial - ((uint32_t)names->serial - then);
	const struct name *name = map_get(&names->map, key);

	for (unsigned int i = 0; name && name->serial >= next; i++)
		name = i < NAMESAKES_MAX ? name_before(names, name) : NULL;
	return name ? name->text : NULL;
}

void names_done(struct names *names)
{
	for (uint32_t i = 0; names->ring && i < NAMES_MAX; i++)
		name_drop(names, names->ring[i]);
	mem_free(names->mem, names->ring, NAMES_MAX * sizeof(*names->ring));
	map_done(names->mem, &names->map);
}
