// SPDX-License-Identifier: BSD-2-Clause
#include "util/nearest.h"

#include <string.h>

#define LENGTH_MAX 48

static size_t least_of_three(size_t a, size_t b, size_t c)
{
	size_t ab = a < b ? a : b;

	return ab < c ? ab : c;
}

/* Levenshtein's distance, kept in one row. Both lengths are at most LENGTH_MAX. */
static size_t edit_distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
	size_t row[LENGTH_MAX + 1];

	for (size_t j = 0; j <= b_length; j++)
		row[j] = j;
	for (size_t i = 1; i <= a_length; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= b_length; j++) {
			size_t above = row[j];

			row[j] = least_of_three(above + 1, row[j - 1] + 1,
						diagonal + (a[i - 1] != b[j - 1]));
			diagonal = above;
		}
	}
	return row[b_length];
}

void nearest_try(struct nearest *nearest, const char *candidate)
{
	size_t length = strlen(candidate);
	size_t edits;

	if (nearest->length == 0 || nearest->length > LENGTH_MAX || length > LENGTH_MAX)
		return;
	edits = edit_distance(nearest->word, nearest->length, candidate, length);
	if (edits > 1 + nearest->length / 4 || edits >= length)
		return;
	if (!nearest->best || edits < nearest->distance) {
		nearest->best = candidate;
		nearest->distance = edits;
	}
}
