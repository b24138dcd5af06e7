// SPDX-License-Identifier: BSD-2-Clause
#include "util/utf8.h"

static bool is_continuation(const char *text, size_t length, size_t index)
{
	return index < length && ((unsigned char)text[index] & 0xc0) == 0x80;
}

static size_t sequence_length(unsigned char first)
{
	if (first < 0x80)
		return 1;
	if (first < 0xc2)
		return 0;
	if (first < 0xe0)
		return 2;
	if (first < 0xf0)
		return 3;
	return first < 0xf5 ? 4 : 0;
}

static bool is_scalar(uint32_t character, size_t size)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};

	return character >= least[size] && character <= 0x10ffff &&
	       (character < 0xd800 || character > 0xdfff);
}

size_t utf8_decode(const char *text, size_t length, uint32_t *ret_character)
{
	static const unsigned char mask[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
	size_t size = length ? sequence_length((unsigned char)text[0]) : 0;
	uint32_t character;

	if (!size)
		return 0;
	character = (unsigned char)text[0] & mask[size];
	for (size_t i = 1; i < size; i++) {
		if (!is_continuation(text, length, i))
			return 0;
		character = character << 6 | ((unsigned char)text[i] & 0x3f);
	}
	if (!is_scalar(character, size))
		return 0;
	*ret_character = character;
	return size;
}

struct range {
	uint32_t first, last;
};

static bool in_ranges(const struct range *range, size_t count, uint32_t character)
{
	for (size_t i = 0; i < count && character >= range[i].first; i++)
		if (character <= range[i].last)
			return true;
	return false;
}
#define IN_RANGES(ranges, character)                                                               \
	in_ranges(ranges, sizeof(ranges) / sizeof((ranges)[0]), character)

bool utf8_is_unsafe(uint32_t character)
{
	static const struct range unsafe[] = {
		{0x00, 0x1f},     {0x7f, 0x9f}, /* C0, DEL, C1 */
		{0x061c, 0x061c}, {0x200e, 0x200f}, /* Arabic letter mark, LRM, RLM */
		{0x2028, 0x202e}, /* line, paragraph; LRE RLE PDF LRO RLO */
		{0x2066, 0x2069}, /* LRI RLI FSI PDI */
	};

	return IN_RANGES(unsafe, character);
}

/* The large blocks of Unicode's East_Asian_Width W and F; single symbols below U+2E80 are left out. */
static const struct range wide[] = {
	{0x1100, 0x115f},   {0x2e80, 0x303e},   {0x3041, 0x4dbf},   {0x4e00, 0xa4cf},
	{0xa960, 0xa97c},   {0xac00, 0xd7a3},   {0xf900, 0xfaff},   {0xfe30, 0xfe6f},
	{0xff00, 0xff60},   {0xffe0, 0xffe6},   {0x16fe0, 0x18cff}, {0x1b000, 0x1b2ff},
	{0x1f300, 0x1f64f}, {0x1f680, 0x1f6ff}, {0x1f900, 0x1faff}, {0x20000, 0x3fffd},
};

static const struct range combining[] = {
	{0x0300, 0x036f}, {0x0483, 0x0489}, {0x0591, 0x05bd}, {0x0610, 0x061a},   {0x064b, 0x065f},
	{0x1ab0, 0x1aff}, {0x1dc0, 0x1dff}, {0x200b, 0x200d}, {0x2060, 0x2064},   {0x20d0, 0x20ff},
	{0xfe00, 0xfe0f}, {0xfe20, 0xfe2f}, {0xfeff, 0xfeff}, {0xe0000, 0xe01ef},
};

unsigned int utf8_columns(uint32_t character)
{
	if (character < 0x300)
		return 1;
	if (IN_RANGES(combining, character))
		return 0;
	return IN_RANGES(wide, character) ? 2 : 1;
}

size_t utf8_text_columns(const char *text, size_t length)
{
	size_t columns = 0;

	while (length) {
		uint32_t character = 0;
		size_t size = utf8_decode(text, length, &character);

		columns += size ? utf8_columns(character) : 1;
		size += !size;
		text += size;
		length -= size;
	}
	return columns;
}
