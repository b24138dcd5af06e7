// SPDX-License-Identifier: BSD-2-Clause
/*
 * Code objects by (space, address): a hash table of chains, and a list by last use. Both their
 * number and their bytes are bounded: a process may make as many as it likes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "symbol/python/python.h"
#include "symbol/python/python_lines.h"

#define BUCKETS 16384 /* a power of two */
#define CODES_MAX_BYTES (128u << 20)
#define NAME_ROOM (4 * FDT_CODE_NAME_MAX + 8) /* a byte becomes 3 at most, and an end */

struct code {
	struct code *next;          /* in its bucket */
	struct code *newer, *older; /* by use */
	uint64_t space, address;
	unsigned int firstline;
	size_t bytes;   /* of the whole allocation */
	bool has_table; /* an empty one says something, too: all on the first line */
	size_t table_bytes;
	const char *filename, *qualname; /* behind the table; NULL: could not be read */
	uint8_t table[];
};

struct python_codes {
	struct code *bucket[BUCKETS];
	struct code *newest, *oldest;
	size_t count, bytes;
};

static struct code **bucket_of(struct python_codes *codes, uint64_t space, uint64_t address)
{
	uint64_t hash = (address ^ space << 40 ^ space) * HASH_GOLDEN;

	return &codes->bucket[hash >> 32 & (BUCKETS - 1)];
}

static struct code **code_find(struct python_codes *codes, uint64_t space, uint64_t address)
{
	struct code **at = bucket_of(codes, space, address);

	while (*at && ((*at)->space != space || (*at)->address != address))
		at = &(*at)->next;
	return at;
}

/* ---- the list by use ---- */

static void use_remove(struct python_codes *codes, struct code *code)
{
	*(code->newer ? &code->newer->older : &codes->newest) = code->older;
	*(code->older ? &code->older->newer : &codes->oldest) = code->newer;
}

static void use_add(struct python_codes *codes, struct code *code)
{
	code->newer = NULL;
	code->older = codes->newest;
	*(code->older ? &code->older->newer : &codes->oldest) = code;
	codes->newest = code;
}

static void code_drop(struct python_codes *codes, struct code **at)
{
	struct code *code = *at;

	*at = code->next;
	use_remove(codes, code);
	codes->count--;
	codes->bytes -= code->bytes;
	free(code);
}

static void drop_oldest(struct python_codes *codes)
{
	code_drop(codes, code_find(codes, codes->oldest->space, codes->oldest->address));
}

/* ---- what a record says ---- */

static int record_check(const struct fdt_code *record)
{
	size_t size = sizeof(*record);

	if (record->head.size < size || record->filename_bytes > FDT_CODE_NAME_MAX ||
	    record->qualname_bytes > FDT_CODE_NAME_MAX || record->table_bytes > FDT_CODE_TABLE_MAX)
		return -EINVAL;
	size += record->filename_bytes + record->qualname_bytes + record->table_bytes;
	return record->head.size < size ? -EINVAL : 0;
}

struct code_names {
	char filename[NAME_ROOM], qualname[NAME_ROOM];
	size_t filename_bytes, qualname_bytes; /* with their ends; 0: not known */
};

static void names_decode(const struct fdt_code *record, struct code_names *ret_names)
{
	const uint8_t *data = (const uint8_t *)(record + 1);

	ret_names->filename_bytes = ret_names->qualname_bytes = 0;
	if (!(record->failed & FDT_CODE_NO_FILENAME))
		ret_names->filename_bytes =
			1 + python_name(record->filename_state, data, record->filename_bytes,
					ret_names->filename, NAME_ROOM);
	if (!(record->failed & FDT_CODE_NO_QUALNAME))
		ret_names->qualname_bytes =
			1 + python_name(record->qualname_state, data + record->filename_bytes,
					record->qualname_bytes, ret_names->qualname, NAME_ROOM);
}

static struct code *code_new(const struct fdt_code *record)
{
	const uint8_t *table =
		(const uint8_t *)(record + 1) + record->filename_bytes + record->qualname_bytes;
	struct code_names names;
	struct code *code;
	size_t bytes;
	char *end;

	names_decode(record, &names);
	bytes = sizeof(*code) + record->table_bytes + names.filename_bytes + names.qualname_bytes;
	code = calloc(1, bytes);
	if (!code)
		return NULL;
	code->space = record->space;
	code->address = record->address;
	code->firstline = record->firstline;
	code->bytes = bytes;
	code->has_table = !(record->failed & FDT_CODE_NO_TABLE);
	code->table_bytes = record->table_bytes;
	memcpy(code->table, table, record->table_bytes);
	end = (char *)code->table + record->table_bytes;
	if (names.filename_bytes > 0)
		code->filename = memcpy(end, names.filename, names.filename_bytes);
	end += names.filename_bytes;
	if (names.qualname_bytes > 0)
		code->qualname = memcpy(end, names.qualname, names.qualname_bytes);
	return code;
}

/* ---- interface ---- */

int python_codes_new(struct python_codes **ret_codes)
{
	struct python_codes *codes = calloc(1, sizeof(*codes));

	if (!codes)
		return -ENOMEM;
	*ret_codes = codes;
	return 0;
}

void python_codes_free(struct python_codes *codes)
{
	if (!codes)
		return;
	while (codes->oldest)
		drop_oldest(codes);
	free(codes);
}

int python_codes_note(struct python_codes *codes, const struct fdt_code *record)
{
	struct code **at, *code;
	int err = record_check(record);

	if (err != 0)
		return err;
	code = code_new(record);
	if (!code)
		return -ENOMEM;
	at = code_find(codes, record->space, record->address);
	if (*at)
		code_drop(codes, at);
	while (codes->oldest &&
	       (codes->count >= PYTHON_CODES_MAX || codes->bytes + code->bytes > CODES_MAX_BYTES))
		drop_oldest(codes);
	at = bucket_of(codes, code->space, code->address);
	code->next = *at;
	*at = code;
	use_add(codes, code);
	codes->count++;
	codes->bytes += code->bytes;
	return 0;
}

/* Bytes from the first instruction. f_lasti counts instructions in 3.10, bytes before. */
static int64_t address_of(const struct fdt_python *python, const struct fdt_frame *frame)
{
	int64_t instruction = (int64_t)frame->instruction;

	if (python->version >= 0x030b)
		return (int64_t)(frame->instruction - python->code_adaptive);
	return python->version == 0x030a ? (int64_t)((uint64_t)instruction * 2) : instruction;
}

int python_place(struct python_codes *codes, const struct fdt_python *python, uint64_t space,
		 const struct fdt_frame *frame, struct python_place *ret_place)
{
	struct code *code = *code_find(codes, space, frame->address);

	if (!code)
		return -ENOENT;
	use_remove(codes, code);
	use_add(codes, code);
	ret_place->function = code->qualname;
	ret_place->file = code->filename;
	ret_place->line = 0;
	if (code->has_table)
		ret_place->line = python_line(python->version, code->table, code->table_bytes,
					      code->firstline, address_of(python, frame));
	return 0;
}
