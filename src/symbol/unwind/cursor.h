/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading numbers of untrusted bytes. Past the end, or at a number that is none, the cursor goes
 * bad: it stays at the end and gives zeros, so a reader may look at bad once, when it is done.
 */
#ifndef FDTRACE_SYMBOL_CURSOR_H
#define FDTRACE_SYMBOL_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cursor {
	const uint8_t *at, *end;
	bool bad;
};

static inline size_t cursor_left(const struct cursor *c)
{
	return c->end - c->at;
}

static inline uint64_t cursor_fail(struct cursor *c)
{
	c->at = c->end;
	c->bad = true;
	return 0;
}

/* Little-endian, 1 to 8 bytes. */
static inline uint64_t cursor_number(struct cursor *c, unsigned int bytes)
{
	uint64_t value = 0;

	if (cursor_left(c) < bytes)
		return cursor_fail(c);
	for (unsigned int i = 0; i < bytes; i++)
		value |= (uint64_t)c->at[i] << 8 * i;
	c->at += bytes;
	return value;
}

static inline uint8_t cursor_u8(struct cursor *c)
{
	return cursor_number(c, 1);
}

/* The same, sign-extended. */
static inline int64_t cursor_signed(struct cursor *c, unsigned int bytes)
{
	unsigned int shift = 64 - 8 * bytes;

	return (int64_t)(cursor_number(c, bytes) << shift) >> shift;
}

/* LEB128; longer than 64 bits is bad. *ret_shift: bits that were given. */
static inline uint64_t cursor_leb(struct cursor *c, unsigned int *ret_shift, uint8_t *ret_last)
{
	uint64_t value = 0;
	unsigned int shift = 0;
	uint8_t byte;

	do {
		if (shift > 63 || c->at == c->end)
			return cursor_fail(c);
		byte = *c->at++;
		value |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
	} while (byte & 0x80);
	*ret_shift = shift;
	*ret_last = byte;
	return value;
}

static inline uint64_t cursor_uleb(struct cursor *c)
{
	unsigned int shift;
	uint8_t last;

	return cursor_leb(c, &shift, &last);
}

static inline int64_t cursor_sleb(struct cursor *c)
{
	unsigned int shift = 64;
	uint8_t last = 0;
	uint64_t value = cursor_leb(c, &shift, &last);

	if (shift < 64 && last & 0x40)
		value |= ~0ull << shift;
	return (int64_t)value;
}

static inline void cursor_skip(struct cursor *c, uint64_t bytes)
{
	if (cursor_left(c) < bytes)
		cursor_fail(c);
	else
		c->at += bytes;
}

/* The next bytes as a cursor of their own; this one goes on behind them. */
static inline struct cursor cursor_part(struct cursor *c, uint64_t bytes)
{
	const uint8_t *from = c->at;

	cursor_skip(c, bytes);
	return (struct cursor){ c->bad ? c->end : from, c->at, c->bad };
}

#endif
