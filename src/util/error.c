// SPDX-License-Identifier: BSD-2-Clause
#include "util/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

int error_set(struct error *error, int number, int status, const char *what, ...)
{
	struct error filled = { .number = number, .status = status };
	va_list args;

	va_start(args, what);
	vsnprintf(filled.what, sizeof(filled.what), what, args);
	va_end(args);
	*error = filled;
	return -number;
}

int error_explain(struct error *error, const char *cause, const char *remedy)
{
	struct error filled = *error;

	snprintf(filled.cause, sizeof(filled.cause), "%s", cause ? cause : "");
	snprintf(filled.remedy, sizeof(filled.remedy), "%s", remedy ? remedy : "");
	*error = filled;
	return -error->number;
}

int error_no_memory(struct error *error)
{
	return error_set(error, ENOMEM, EXIT_INTERNAL, "out of memory");
}
