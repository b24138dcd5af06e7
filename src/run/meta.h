/* SPDX-License-Identifier: BSD-2-Clause */
/* What a recording says about its run (FDT_META; keys in tracefile.h), written and read back. */
#ifndef FDTRACE_RUN_META_H
#define FDTRACE_RUN_META_H

#include <stddef.h>

#include "engine/engine.h"
#include "util/hostinfo.h"

struct run_meta {
	struct hostinfo host;
	struct settings settings;
	rule_set rules;
	enum engine_mode mode;
};

/* Emits all of it as FDT_META events, one per key. */
void meta_write(const struct run_meta *meta,
		void (*emit)(void *ctx, const void *event, size_t size), void *ctx);

/* Emits one more "key=value". */
void meta_text(const char *text, void (*emit)(void *ctx, const void *event, size_t size),
	       void *ctx);

/* Reads one event of `size` bytes; unknown keys and invalid values are ignored. */
void meta_read(struct run_meta *meta, const struct fdt_meta *event, size_t size);

const char *engine_mode_name(enum engine_mode mode); /* "pid", "command", "all" */

#endif
