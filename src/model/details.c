// SPDX-License-Identifier: BSD-2-Clause
#include "model/details.h"

#include "base/mem.h"
#include "model/names.h"

struct known_detail {
	uint64_t key, serial;
	struct fdt_detail detail;
};

static uint64_t detail_key(const struct fdt_file *file)
{
	return names_key(file->file, file->inode, file->dev);
}

static void detail_drop(struct details *details, struct known_detail *known)
{
	if (!known)
		return;
	map_remove(&details->map, known->key);
	mem_free(details->mem, known, sizeof(*known));
}

static struct known_detail *detail_make(struct details *details, uint64_t key)
{
	struct known_detail *known;

	if (!details->ring)
		details->ring =
			mem_alloc(details->mem, DETAILS_MAX * sizeof(struct known_detail *));
	known = details->ring ? mem_alloc(details->mem, sizeof(*known)) : NULL;
	if (!known)
		return NULL;
	detail_drop(details, details->ring[details->next]);
	details->ring[details->next] = NULL;
	if (map_put(details->mem, &details->map, key, known)) {
		mem_free(details->mem, known, sizeof(*known));
		return NULL;
	}
	known->key = key;
	details->ring[details->next] = known;
	details->next = (details->next + 1) % DETAILS_MAX;
	return known;
}

void details_put(struct details *details, const struct fdt_detail *detail, uint64_t serial)
{
	uint64_t key = detail_key(&detail->file);
	struct known_detail *known = map_get(&details->map, key);

	if (!known)
		known = detail_make(details, key);
	if (!known)
		return;
	known->detail = *detail;
	known->serial = serial;
}

const struct fdt_detail *details_get(const struct details *details, const struct fdt_file *file,
				     uint64_t *ret_serial)
{
	const struct known_detail *known = map_get(&details->map, detail_key(file));

	if (!known || known->detail.file.file != file->file ||
	    known->detail.file.inode != file->inode || known->detail.file.dev != file->dev)
		return NULL;
	*ret_serial = known->serial;
	return &known->detail;
}

void details_done(struct details *details)
{
	for (uint32_t i = 0; details->ring && i < DETAILS_MAX; i++)
		detail_drop(details, details->ring[i]);
	mem_free(details->mem, details->ring, DETAILS_MAX * sizeof(struct known_detail *));
	map_done(details->mem, &details->map);
}
