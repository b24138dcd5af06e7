// SPDX-License-Identifier: BSD-2-Clause
#include <limits.h>
#include <stdbool.h>
#include <string.h>

#include "fdtrace/python.h"
#include "symbol/python/python_lines.h"
#include "util/utf8.h"

static unsigned int line_or_none(int64_t line)
{
	return line > 0 && line <= INT_MAX ? (unsigned int)line : 0;
}

/* ---- up to 3.9: Objects/lnotab_notes.txt ---- */

static unsigned int line_by_lnotab(bool is_signed, const uint8_t *table, size_t size, int64_t line,
				   int64_t address)
{
	int64_t at = 0;

	for (size_t i = 0; i + 1 < size; i += 2) {
		at += table[i];
		if (at > address)
			break;
		line += is_signed ? (int8_t)table[i + 1] : table[i + 1];
	}
	return line_or_none(line);
}

/* ---- 3.10: PEP 626 ---- */

#define NO_LINE (-128)

static unsigned int line_by_ranges(const uint8_t *table, size_t size, int64_t line, int64_t address)
{
	int64_t end = 0;

	for (size_t i = 0; i + 1 < size; i += 2) {
		int8_t delta = (int8_t)table[i + 1];

		end += table[i];
		if (delta != NO_LINE)
			line += delta;
		if (address < end)
			return delta == NO_LINE ? 0 : line_or_none(line);
	}
	return 0;
}

/* ---- 3.11 on: Objects/locations.md ---- */

#define UNIT_BYTES 2
#define VARINT_MORE 0x40
#define VARINT_SHIFT_MAX 30 /* numbers are 32 bits */

enum location_kind {
	LOCATION_ONE_LINE0 = 10,
	LOCATION_ONE_LINE2 = 12,
	LOCATION_NO_COLUMNS = 13,
	LOCATION_LONG = 14,
	LOCATION_NONE = 15,
};

/* The sign is the lowest bit. false: the number does not end. */
static bool signed_varint(const uint8_t *table, size_t size, size_t at, int64_t *ret_number)
{
	uint64_t number = 0;

	for (unsigned int shift = 0; shift <= VARINT_SHIFT_MAX && at < size; shift += 6, at++) {
		number |= (uint64_t)(table[at] & 0x3f) << shift;
		if (!(table[at] & VARINT_MORE)) {
			*ret_number = number & 1 ? -(int64_t)(number >> 1) : (int64_t)(number >> 1);
			return true;
		}
	}
	return false;
}

static bool location_delta(const uint8_t *table, size_t size, size_t at, int64_t *ret_delta)
{
	unsigned int kind = table[at] >> 3 & 15;

	*ret_delta = 0;
	if (kind == LOCATION_NO_COLUMNS || kind == LOCATION_LONG)
		return signed_varint(table, size, at + 1, ret_delta);
	if (kind >= LOCATION_ONE_LINE0 && kind <= LOCATION_ONE_LINE2)
		*ret_delta = kind - LOCATION_ONE_LINE0;
	return true;
}

static unsigned int line_by_locations(const uint8_t *table, size_t size, int64_t line,
				      int64_t address)
{
	int64_t end = 0, delta;
	size_t at = 0;

	while (at < size) {
		if (!location_delta(table, size, at, &delta))
			return 0;
		line += delta;
		end += ((table[at] & 7) + 1) * UNIT_BYTES;
		if (address < end)
			return (table[at] >> 3 & 15) == LOCATION_NONE ? 0 : line_or_none(line);
		do
			at++;
		while (at < size && !(table[at] & 0x80));
	}
	return 0;
}

unsigned int python_line(uint16_t version, const uint8_t *table, size_t size,
			 unsigned int firstline, int64_t address)
{
	if (address < 0)
		return line_or_none(firstline);
	if (version >= 0x030b)
		return line_by_locations(table, size, firstline, address);
	if (version == 0x030a)
		return line_by_ranges(table, size, firstline, address);
	return line_by_lnotab(version >= 0x0306, table, size, firstline, address);
}

/* ---- names ---- */

#define UTF8_MAX 4
#define REPLACEMENT 0xfffdu

static size_t utf8_put(uint32_t c, char *to)
{
	if (c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff) || c == 0)
		c = REPLACEMENT;
	if (c < 0x80) {
		to[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		to[0] = (char)(0xc0 | c >> 6);
		to[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		to[0] = (char)(0xe0 | c >> 12);
		to[1] = (char)(0x80 | (c >> 6 & 0x3f));
		to[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	to[0] = (char)(0xf0 | c >> 18);
	to[1] = (char)(0x80 | (c >> 12 & 0x3f));
	to[2] = (char)(0x80 | (c >> 6 & 0x3f));
	to[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

/* One character; returns how many bytes it takes, at least 1. */
static size_t character_at(uint32_t state, const uint8_t *bytes, size_t length, uint32_t *ret_c)
{
	unsigned int kind = FDT_PY_STATE_KIND(state);
	uint16_t two;
	size_t used;

	*ret_c = REPLACEMENT;
	if (FDT_PY_STATE_ASCII(state)) {
		used = utf8_decode((const char *)bytes, length, ret_c);
		return used > 0 ? used : 1;
	}
	if (kind == 1) {
		*ret_c = bytes[0];
	} else if (kind == 2 && length >= 2) {
		memcpy(&two, bytes, sizeof(two));
		*ret_c = two;
	} else if (kind == 4 && length >= 4) {
		memcpy(ret_c, bytes, sizeof(*ret_c));
	} else {
		return length; /* no kind there is, or half a character */
	}
	return kind;
}

size_t python_name(uint32_t state, const uint8_t *bytes, size_t length, char *text, size_t size)
{
	size_t used = 0;
	uint32_t c;

	if (size == 0)
		return 0;
	for (size_t at = 0; at < length && used + UTF8_MAX < size;) {
		at += character_at(state, bytes + at, length - at, &c);
		used += utf8_put(c, text + used);
	}
	text[used] = '\0';
	return used;
}
