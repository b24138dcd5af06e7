// SPDX-License-Identifier: BSD-2-Clause
#include "model/language.h"

const char *language_name(enum language language)
{
	static const char *const names[] = {
#define LANGUAGE(id, name) [LANGUAGE_##id] = (name),
		FDT_LANGUAGES(LANGUAGE)
#undef LANGUAGE
	};

	return names[(unsigned int)language < LANGUAGE_COUNT ? language : LANGUAGE_NATIVE];
}
