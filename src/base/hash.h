/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * FNV-1a, 64 bits: for fingerprints, which must be equal on every machine and in every version. And
 * the golden ratio, for tables in memory: a key times it is spread over all bits, best over the upper.
 */
#ifndef FDTRACE_BASE_HASH_H
#define FDTRACE_BASE_HASH_H

#include <stdint.h>

#define HASH_START 0xcbf29ce484222325ull
#define HASH_PRIME 0x100000001b3ull
#define HASH_GOLDEN 0x9e3779b97f4a7c15ull /* 2^64 divided by the golden ratio */

/* The text and its end, so that "ab","c" and "a","bc" differ. */
static inline uint64_t hash_text(uint64_t hash, const char *text)
{
	do
		hash = (hash ^ (unsigned char)*text) * HASH_PRIME;
	while (*text++);
	return hash;
}

static inline uint64_t hash_number(uint64_t hash, uint64_t number)
{
	for (int byte = 0; byte < 8; byte++, number >>= 8)
		hash = (hash ^ (number & 0xff)) * HASH_PRIME;
	return hash;
}

#endif
