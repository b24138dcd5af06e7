/* SPDX-License-Identifier: BSD-2-Clause */
/* A stack in words: native and interpreted frames, interleaved, as an FDT_SITE event (fdtrace/event.h). */
#ifndef FDTRACE_SYMBOL_FRAMES_H
#define FDTRACE_SYMBOL_FRAMES_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "fdtrace/stack.h"

struct files;
struct languages;
struct perf_maps;

/* What a frame is looked up in. All borrowed; perf_maps may be NULL. */
struct frames_sources {
	struct files *files;
	struct languages *languages;
	struct perf_maps *perf_maps;
};

/*
 * The stack as taken: *stack and its frames, innermost first. Where the native ones come from
 * elsewhere (a copy that was unwound), stack->native_count and native_end have been set to fit.
 */
struct frames_taken {
	const struct fdt_stack *stack;
	const struct fdt_frame *native;      /* stack->native_count */
	const struct fdt_frame *interpreted; /* stack->interpreted_count */
};

/* Makes the event in buffer, of FDT_SIZE_MAX bytes and aligned to 8. Returns its size; 0: no memory. */
size_t frames_resolve(const struct frames_sources *sources, const struct frames_taken *taken,
		      void *buffer);

/* Perf maps of the processes looked up lately. */
int perf_maps_new(struct perf_maps **ret_maps); /* 0 or -ENOMEM */
void perf_maps_free(struct perf_maps *maps);    /* NULL is allowed */
/* Name of the function at an address of a process, or NULL. Lives until the next call. */
const char *perf_maps_find(struct perf_maps *maps, pid_t pid, uint64_t address, uint64_t now_ns);

#endif
