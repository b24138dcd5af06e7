// SPDX-License-Identifier: BSD-2-Clause
#include "model/names.h"

#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

struct name {
	uint64_t key, file, inode;
	uint32_t dev;
	uint32_t size; /* of text, its NUL included */
	char text[];
};

/* On the path of every close: two multiplications. */
uint64_t names_key(uint64_t file, uint64_t inode, uint32_t dev)
{
	return file * HASH_GOLDEN ^ (inode + ((uint64_t)dev << 32)) * 0xc2b2ae3d27d4eb4full;
}

static void name_drop(struct names *names, struct name *name)
{
	if (!name)
		return;
	if (map_get(&names->map, name->key) == name)
		map_remove(&names->map, name->key);
	mem_free(names->mem, name, sizeof(*name) + name->size);
}

void names_put(struct names *names, uint64_t file, uint64_t inode, uint32_t dev, const char *text,
	       size_t size)
{
	uint32_t length = strnlen(text, size < NAME_SIZE_MAX ? size : NAME_SIZE_MAX - 1);
	struct name *name;

	if (!names->ring)
		names->ring = mem_alloc(names->mem, NAMES_MAX * sizeof(*names->ring));
	name = names->ring ? mem_alloc(names->mem, sizeof(*name) + length + 1) : NULL;
	if (!name)
		return;
	name->size = length + 1;
	memcpy(name->text, text, length);
	name->file = file;
	name->inode = inode;
	name->dev = dev;
	name->key = names_key(file, inode, dev);
	name_drop(names, names->ring[names->next]);
	names->ring[names->next] = NULL;
	if (map_put(names->mem, &names->map, name->key, name)) {
		mem_free(names->mem, name, sizeof(*name) + name->size);
		return;
	}
	names->ring[names->next] = name;
	names->next = (names->next + 1) % NAMES_MAX;
}

const char *names_get(const struct names *names, uint64_t file, uint64_t inode, uint32_t dev)
{
	const struct name *name = map_get(&names->map, names_key(file, inode, dev));

	if (!name || name->file != file || name->inode != inode || name->dev != dev)
		return NULL;
	return name->text;
}

const char *names_get_key(const struct names *names, uint64_t key)
{
	const struct name *name = map_get(&names->map, key);

	return name ? name->text : NULL;
}

void names_done(struct names *names)
{
	for (uint32_t i = 0; names->ring && i < NAMES_MAX; i++)
		name_drop(names, names->ring[i]);
	mem_free(names->mem, names->ring, NAMES_MAX * sizeof(*names->ring));
	map_done(names->mem, &names->map);
}
