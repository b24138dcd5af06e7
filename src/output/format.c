// SPDX-License-Identifier: BSD-2-Clause
#include "output/format.h"

#include <string.h>

#define ROW(name) &output_format_##name,
static const struct output_format *const formats[] = { OUTPUT_FORMATS(ROW) };
#undef ROW

const struct output_format *output_format_find(const char *name)
{
	for (size_t i = 0; i < sizeof(formats) / sizeof(*formats); i++)
		if (!strcmp(formats[i]->name, name))
			return formats[i];
	return NULL;
}
