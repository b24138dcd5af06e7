// SPDX-License-Identifier: BSD-2-Clause
#include "symbol/stacks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fdtrace/event.h"
#include "base/clock.h"
#include "symbol/frames.h"
#include "symbol/language.h"
#include "symbol/unwind/unwind_copy.h"
#include "util/log.h"

#define PENDING 64 /* stacks whose copies are on their way: the next records of their CPUs */

/* A stack as it was taken, with room for native frames from elsewhere. */
struct taken {
	struct fdt_stack stack;
	struct fdt_frame native[FDT_NATIVE_MAX];
	struct fdt_frame interpreted[FDT_INTERPRETED_MAX];
};

struct stacks {
	struct files *files;
	struct languages *languages;
	struct perf_maps *perf_maps;
	struct unwind_copy *unwind;
	struct stacks_counters counters;
	struct taken *pending[PENDING];
	unsigned int next_pending;
	_Alignas(8) char event[FDT_SIZE_MAX];
};

int stacks_new(const struct files_kernel *kernel, struct stacks **ret_stacks)
{
	struct stacks *stacks = calloc(1, sizeof(*stacks));
	int err;

	if (!stacks)
		return -ENOMEM;
	err = files_new(kernel, &stacks->files);
	err = err ?: languages_new(&stacks->languages);
	err = err ?: perf_maps_new(&stacks->perf_maps);
	err = err ?: unwind_copy_new(&stacks->unwind);
	if (err)
		stacks_free(stacks);
	else
		*ret_stacks = stacks;
	return err;
}

void stacks_free(struct stacks *stacks)
{
	if (!stacks)
		return;
	for (int i = 0; i < PENDING; i++)
		free(stacks->pending[i]);
	unwind_copy_free(stacks->unwind);
	perf_maps_free(stacks->perf_maps);
	languages_free(stacks->languages);
	files_free(stacks->files);
	free(stacks);
}

/* ---- resolving ---- */

static int resolve_stack(struct stacks *s, const struct frames_taken *taken, stacks_event_fn event,
			 void *ctx)
{
	const struct frames_sources sources = { s->files, s->languages, s->perf_maps };
	uint64_t began = clock_monotonic_ns();
	size_t size = frames_resolve(&sources, taken, s->event);

	s->counters.resolve_ns += clock_monotonic_ns() - began;
	if (!size)
		return 0;
	s->counters.resolved++;
	s->counters.cut += !!(((struct fdt_head *)(void *)s->event)->flags & FDT_SITE_CUT);
	return event(ctx, s->event, size);
}

static int resolve_taken(struct stacks *s, const struct taken *taken, stacks_event_fn event,
			 void *ctx)
{
	const struct frames_taken all = { &taken->stack, taken->native, taken->interpreted };

	return resolve_stack(s, &all, event, ctx);
}

/* ---- records ---- */

static int count_malformed(struct stacks *s)
{
	s->counters.malformed++;
	return 0;
}

/* Frames that are missing are better than no stack: a copy that never comes costs only those. */
static int keep_pending(struct stacks *s, const struct fdt_stack *stack,
			const struct fdt_frame *frame, stacks_event_fn event, void *ctx)
{
	unsigned int at = s->next_pending++ % PENDING;
	struct taken *taken = calloc(1, sizeof(*taken));
	int err = 0;

	if (s->pending[at])
		err = resolve_taken(s, s->pending[at], event, ctx);
	free(s->pending[at]);
	s->pending[at] = taken;
	if (!taken)
		return err;
	taken->stack = *stack;
	memcpy(taken->native, frame, stack->native_count * sizeof(*frame));
	memcpy(taken->interpreted, frame + stack->native_count,
	       stack->interpreted_count * sizeof(*frame));
	return err;
}

static int apply_stack(struct stacks *s, const struct fdt_stack *stack, size_t size,
		       stacks_event_fn event, void *ctx)
{
	const struct fdt_frame *frame = (const void *)(stack + 1);
	struct frames_taken taken = { stack, frame, NULL };

	if (size < sizeof(*stack) || stack->native_count > FDT_NATIVE_MAX ||
	    stack->interpreted_count > FDT_INTERPRETED_MAX ||
	    size < sizeof(*stack) +
			    sizeof(*frame) * (stack->native_count + stack->interpreted_count))
		return count_malformed(s);
	taken.interpreted = frame + stack->native_count;
	if (stack->copied)
		return keep_pending(s, stack, frame, event, ctx);
	return resolve_stack(s, &taken, event, ctx);
}

static struct taken *take_pending(struct stacks *s, uint64_t hash)
{
	for (unsigned int i = 0; i < PENDING; i++) {
		struct taken *taken = s->pending[i];

		if (taken && taken->stack.hash == hash) {
			s->pending[i] = NULL;
			return taken;
		}
	}
	return NULL;
}

/* An address of the process becomes one of a file, if the file is known. */
static struct fdt_frame frame_of_address(struct stacks *s, uint64_t space, uint64_t address,
					 bool is_return)
{
	struct fdt_frame frame = { .address = address, .flags = is_return ? FDT_FRAME_RETURN : 0 };
	struct unwind_mapping mapping;
	const struct symbol_file *file;
	struct fdt_elf_key key = {};
	struct elf_text text;
	uint64_t delta;

	if (unwind_copy_mapping(s->unwind, space, address - is_return, &mapping))
		return frame;
	key.inode = mapping.inode;
	key.dev = mapping.dev;
	file = files_by_key(s->files, &key);
	if (!file || !file->elf || !elf_file_text(file->elf, &text) ||
	    !elf_text_delta(&text, mapping.offset_bytes, &delta))
		return frame;
	frame.elf = file->id;
	frame.address = address - mapping.start + mapping.offset_bytes + delta;
	return frame;
}

/* The unwound copy takes the place of the native frames, if it goes further than they do. */
static void replace_native(struct stacks *s, struct taken *taken, const struct fdt_copy *copy)
{
	uint64_t address[FDT_NATIVE_MAX];
	enum fdt_walk_end end;
	unsigned int count = 0;
	int err = unwind_copy_frames(s->unwind, (pid_t)copy->head.tgid, copy, address,
				     FDT_NATIVE_MAX, &count, &end);

	if (err || count < taken->stack.native_count) {
		log_debug("a copied stack of pid %u: %u frames%s%s", copy->head.tgid, count,
			  err ? ", " : "", err ? strerror(-err) : "");
		return;
	}
	files_collect(s->files, 0);
	for (unsigned int i = 0; i < count; i++)
		taken->native[i] = frame_of_address(s, copy->space, address[i], i > 0);
	taken->stack.native_count = (uint16_t)count;
	taken->stack.native_end = (uint8_t)end;
	s->counters.copies++;
}

static int apply_copy(struct stacks *s, const struct fdt_copy *copy, size_t size,
		      stacks_event_fn event, void *ctx)
{
	struct taken *taken;
	int err;

	if (size < sizeof(*copy) || copy->size > FDT_COPY_MAX || size < sizeof(*copy) + copy->size)
		return count_malformed(s);
	taken = take_pending(s, copy->hash);
	if (!taken)
		return 0;
	replace_native(s, taken, copy);
	err = resolve_taken(s, taken, event, ctx);
	free(taken);
	return err;
}

static int apply_code(struct stacks *s, const struct fdt_code *code, size_t size)
{
	if (size < sizeof(*code) || size < code->head.size || languages_note(s->languages, code))
		return count_malformed(s);
	s->counters.codes++;
	return 0;
}

static int apply_wanted(struct stacks *s, const struct fdt_elf_wanted *wanted, size_t size)
{
	if (size < sizeof(*wanted))
		return count_malformed(s);
	unwind_copy_stale(s->unwind, wanted->space);
	files_want(s->files, (pid_t)wanted->head.tgid, &wanted->key, wanted->start, wanted->end);
	return 0;
}

int stacks_apply(struct stacks *s, const void *record, size_t size, stacks_event_fn event,
		 void *ctx)
{
	const struct fdt_head *head = record;

	switch (head->kind) {
	case FDT_STACK: return apply_stack(s, record, size, event, ctx);
	case FDT_CODE: return apply_code(s, record, size);
	case FDT_ELF: return apply_wanted(s, record, size);
	case FDT_COPY: return apply_copy(s, record, size, event, ctx);
	}
	return 0;
}

void stacks_prepare(struct stacks *s, pid_t pid)
{
	files_want_process(s->files, pid);
}

void stacks_prepare_path(struct stacks *s, const char *path)
{
	files_want_path(s->files, path);
}

/* Once for each such file, to explain why interpreted frames are missing. */
static void warn_of_unsupported(struct stacks *s)
{
	const struct symbol_file *file;
	const char *description;

	while ((file = files_next_unsupported(s->files, &description)))
		log_warn("no %s frames of %s: %s; native stacks only",
			 language_name(file->language->id), elf_file_name(file->elf), description);
}

void stacks_tick(struct stacks *s, int timeout_ms)
{
	files_collect(s->files, timeout_ms);
	warn_of_unsupported(s);
	files_rest(s->files);
}

void stacks_counters(const struct stacks *s, struct stacks_counters *ret_counters)
{
	*ret_counters = s->counters;
	files_counters(s->files, &ret_counters->files);
}
