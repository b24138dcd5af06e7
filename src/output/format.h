/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The formats that findings can be written in. A new one is a file that defines
 * output_format_NAME, and a row here.
 */
#ifndef FDTRACE_OUTPUT_FORMAT_H
#define FDTRACE_OUTPUT_FORMAT_H

#include "output/sink.h"

#define OUTPUT_FORMATS(X) \
	X(text)           \
	X(json)

struct output_format {
	const char *name;
	/* The least severity that it shows unless the user asks for another. */
	enum severity min_severity;
	/*
	 * Makes a sink that writes this format; the caller frees it with sink_free(). What the
	 * format cannot express, its sink_ops leave NULL. 0 or -ENOMEM.
	 */
	int (*sink_new)(const struct sink_options *options, struct sink **ret_sink);
};

#define OUTPUT_FORMAT_DECLARE(name) extern const struct output_format output_format_##name;
OUTPUT_FORMATS(OUTPUT_FORMAT_DECLARE)
#undef OUTPUT_FORMAT_DECLARE

extern const struct output_format *const output_formats[];
extern const size_t output_format_count;

/* The format of this name, which need not end after `length`; or NULL. */
const struct output_format *output_format_find(const char *name, size_t length);

#endif
