// SPDX-License-Identifier: BSD-2-Clause
#include "util/trouble.h"

#include <stdarg.h>
#include <stdio.h>

int trouble_set(struct trouble *t, int err, int status, const char *remedy, const char *cause,
		const char *what, ...)
{
	struct trouble filled = { .status = status }; /* the arguments may point into *t */
	va_list args;

	if (what) {
		va_start(args, what);
		vsnprintf(filled.what, sizeof(filled.what), what, args);
		va_end(args);
	}
	snprintf(filled.cause, sizeof(filled.cause), "%s", cause ? cause : "");
	snprintf(filled.remedy, sizeof(filled.remedy), "%s", remedy ? remedy : "");
	*t = filled;
	return -err;
}
