// SPDX-License-Identifier: BSD-2-Clause
#include <setjmp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <libiberty/demangle.h>

#include "symbol/elf/demangle.h"

/* No DMGL_PARAMS: "ns::Class::method", as gdb shows frames; overloads differ by their line. */
#define OPTIONS (DMGL_ANSI)

struct sink {
	char text[DEMANGLE_NAME_MAX + 1];
	size_t length;
	jmp_buf full;
};

/*
 * Substitutions can double the name with every ten bytes of the symbol, and libiberty does not ask
 * whether to continue: so it is left in the middle. It holds no memory then (a Rust name
 * with punycode in it: a few hundred bytes, lost).
 */
static void sink_add(const char *text, size_t length, void *ctx)
{
	struct sink *sink = ctx;

	if (length > DEMANGLE_NAME_MAX - sink->length)
		longjmp(sink->full, 1);
	if (length > 0) /* text may be NULL then */
		memcpy(sink->text + sink->length, text, length);
	sink->length += length;
}

static bool demangle_run(const char *symbol, struct sink *sink)
{
	if (setjmp(sink->full))
		return false;
	sink->length = 0;
	if (rust_demangle_callback(symbol, OPTIONS, sink_add, sink))
		return true;
	sink->length = 0;
	return symbol[1] == 'Z' && cplus_demangle_v3_callback(symbol, OPTIONS, sink_add, sink);
}

char *demangle(const char *symbol)
{
	struct sink sink;

	if (symbol[0] != '_' || (symbol[1] != 'Z' && symbol[1] != 'R') ||
	    strnlen(symbol, DEMANGLE_MAX + 1) > DEMANGLE_MAX)
		return NULL;
	if (!demangle_run(symbol, &sink) || sink.length == 0)
		return NULL;
	sink.text[sink.length] = '\0';
	return strdup(sink.text);
}
