// SPDX-License-Identifier: BSD-2-Clause
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

bool mem_has_room(const struct mem *m, size_t bytes)
{
	return !m->max_bytes || (bytes <= m->max_bytes && m->used_bytes <= m->max_bytes - bytes);
}

static bool mem_refuse(struct mem *m, size_t more)
{
	if (m->fail_at && --m->fail_at == 0)
		return true;
	return !mem_has_room(m, more);
}

static void mem_account(struct mem *m, size_t gone, size_t more)
{
	m->used_bytes = m->used_bytes - gone + more;
	if (m->used_bytes > m->peak_bytes)
		m->peak_bytes = m->used_bytes;
}

void *mem_alloc(struct mem *m, size_t bytes)
{
	void *block = mem_refuse(m, bytes) ? NULL : calloc(1, bytes);

	if (!block) {
		m->refused++;
		return NULL;
	}
	mem_account(m, 0, bytes);
	return block;
}

void *mem_alloc_beyond(struct mem *m, size_t bytes)
{
	size_t max_bytes = m->max_bytes;
	void *block;

	m->max_bytes = 0;
	block = mem_alloc(m, bytes);
	m->max_bytes = max_bytes;
	return block;
}

void *mem_resize(struct mem *m, void *block, size_t old_bytes, size_t new_bytes)
{
	size_t more = new_bytes > old_bytes ? new_bytes - old_bytes : 0;
	char *fresh = mem_refuse(m, more) ? NULL : realloc(block, new_bytes);

	if (!fresh) {
		m->refused++;
		return NULL;
	}
	if (more)
		memset(fresh + old_bytes, 0, more);
	mem_account(m, old_bytes, new_bytes);
	return fresh;
}

void mem_free(struct mem *m, void *block, size_t bytes)
{
	if (!block)
		return;
	free(block);
	mem_account(m, bytes, 0);
}
