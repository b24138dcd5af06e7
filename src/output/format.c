// SPDX-License-Identifier: BSD-2-Clause
#include "output/format.h"

#include <string.h>

#define ROW(name) &output_format_##name,
const struct output_format *const output_formats[] = { OUTPUT_FORMATS(ROW) };
#undef ROW

const size_t output_format_count = sizeof(output_formats) / sizeof(*output_formats);

const struct output_format *output_format_find(const char *name, size_t length)
{
	for (size_t i = 0; i < output_format_count; i++) {
		const char *known = output_formats[i]->name;

		if (strlen(known) == length && !memcmp(known, name, length))
			return output_formats[i];
	}
	return NULL;
}
