// SPDX-License-Identifier: BSD-2-Clause
#include "symbol/stacks.h"

#include <errno.h>
#include <stdio.h>
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

/* ---- copies ---- */

#define KNOWN_MAX (FDT_COPY_MODULES + 1)

static void mapping_insert(struct unwind_mapping *mapping, unsigned int *count,
			   const struct unwind_mapping *added)
{
	unsigned int at = (*count)++;

	for (; at && mapping[at - 1].start > added->start; at--)
		mapping[at] = mapping[at - 1];
	mapping[at] = *added;
}

/* false: of a file of which nothing is known any more. */
static bool mapping_of_module(const struct stacks *s, const struct fdt_module *module,
			      struct unwind_mapping *ret_mapping)
{
	const struct symbol_file *file = files_by_id(s->files, module->elf);
	struct elf_text text;

	if (module->end <= module->start || !file || !file->elf || !elf_file_text(file->elf, &text))
		return false;
	*ret_mapping = (struct unwind_mapping){ .start = module->start,
						.end = module->end,
						.inode = file->key.inode,
						.dev = file->key.dev };
	snprintf(ret_mapping->name, sizeof(ret_mapping->name), "%s", file->name);
	for (unsigned int i = 0; i < text.count; i++) {
		const struct elf_segment *segment = &text.segment[i];

		ret_mapping->offset_bytes = module->start - module->bias - segment->delta;
		if (ret_mapping->offset_bytes >= segment->offset &&
		    ret_mapping->offset_bytes < segment->end)
			return true;
	}
	return false;
}

/* As the kernel side saw them. The file in which its walk ended has mostly been opened since. */
static unsigned int known_mappings(struct stacks *s, const struct fdt_copy *copy,
				   struct unwind_mapping *mapping)
{
	struct unwind_mapping one;
	unsigned int count = 0;

	for (int i = 0; i < FDT_COPY_MODULES; i++)
		if (mapping_of_module(s, &copy->module[i], &one))
			mapping_insert(mapping, &count, &one);
	if (!copy->has_unknown || copy->end <= copy->start || !files_await(s->files, &copy->key))
		return count;
	one = (struct unwind_mapping){ .start = copy->start,
				       .end = copy->end,
				       .offset_bytes = copy->offset_bytes,
				       .inode = copy->key.inode,
				       .dev = copy->key.dev };
	mapping_insert(mapping, &count, &one);
	return count;
}

static int open_known(void *ctx, const struct unwind_mapping *mapping)
{
	const struct fdt_elf_key key = { .inode = mapping->inode, .dev = mapping->dev };

	return files_open(ctx, &key);
}

/* false: the address lies in no mapping. */
static bool frame_of_address(struct stacks *s, uint64_t space, uint64_t address, bool is_return,
			     struct fdt_frame *ret_frame)
{
	struct unwind_mapping mapping;

	*ret_frame =
		(struct fdt_frame){ .address = address, .flags = is_return ? FDT_FRAME_RETURN : 0 };
	if (unwind_copy_mapping(s->unwind, space, address - is_return, &mapping))
		return false;
	if (!mapping.inode && strcmp(mapping.name, "[vdso]") != 0)
		return true;
	ret_frame->address = address - mapping.start + mapping.offset_bytes;
	ret_frame->flags |= FDT_FRAME_OFFSET;
	ret_frame->elf = mapping.inode ? mapping.dev : FDT_VDSO_DEV;
	ret_frame->instruction = mapping.inode;
	return true;
}

/* The unwound copy takes the place of the native frames, if it goes further than they do. */
static void replace_native(struct stacks *s, struct taken *taken, const struct fdt_copy *copy)
{
	struct unwind_mapping mapping[KNOWN_MAX];
	struct unwind_known known = { mapping, known_mappings(s, copy, mapping), open_known,
				      s->files };
	struct fdt_frame frame[FDT_NATIVE_MAX];
	uint64_t address[FDT_NATIVE_MAX];
	enum fdt_walk_end end;
	unsigned int count = 0, found = 0;
	int err = unwind_copy_frames(s->unwind, (pid_t)copy->head.tgid, copy, &known, address,
				     FDT_NATIVE_MAX, &count, &end);

	while (!err && found < count &&
	       frame_of_address(s, copy->space, address[found], found > 0, &frame[found]))
		found++;
	if (err || found < taken->stack.native_count) {
		log_debug("a copied stack of pid %u: %u frames%s%s", copy->head.tgid, found,
			  err ? ", " : "", err ? strerror(-err) : "");
		return;
	}
	files_collect(s->files, 0);
	memcpy(taken->native, frame, found * sizeof(*frame));
	taken->stack.native_count = (uint16_t)found;
	taken->stack.native_end = (uint8_t)(found < count ? FDT_END_NO_MODULE : end);
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
	files_want(s->files, wanted);
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
