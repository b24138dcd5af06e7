// SPDX-License-Identifier: BSD-2-Clause
#include "symbol/frames.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "model/language.h"
#include "symbol/elf/elf_file.h"
#include "symbol/files.h"
#include "symbol/python/python.h"

#define TEXT_MAX 512
#define PLACES_MAX 8 /* functions inlined into each other at one address */
#define FRAMES_MAX (FDT_NATIVE_MAX * 2 + FDT_PYTHON_MAX)

struct text_frame {
	uint64_t identity;
	uint16_t flags;
	uint16_t size;
	char text[TEXT_MAX];
};

struct resolving {
	const struct frames_sources *sources;
	const struct frames_taken *taken;
	struct text_frame *frame; /* FRAMES_MAX */
	unsigned int count;
	unsigned int python_done; /* Python frames that have found their place */
	unsigned int python_at;   /* where frames without a native counterpart go */
	uint16_t site_flags;
};

static struct text_frame *add(struct resolving *r, uint64_t identity, unsigned int flags)
{
	struct text_frame *frame = &r->frame[r->count < FRAMES_MAX ? r->count++ : FRAMES_MAX - 1];

	frame->identity = identity;
	frame->flags = (uint16_t)flags;
	frame->size = 0;
	return frame;
}

__attribute__((format(printf, 2, 3))) static void say(struct text_frame *frame, const char *format,
						      ...)
{
	va_list args;
	int length;

	va_start(args, format);
	length = vsnprintf(frame->text, sizeof(frame->text), format, args);
	va_end(args);
	frame->size = (uint16_t)(length < 0                      ? 0
				 : (size_t)length < TEXT_MAX - 1 ? (size_t)length
								 : TEXT_MAX - 1);
}

/* ---- Python ---- */

/* The last two parts of a path: what a virtual environment or a home directory is called differs. */
static const char *path_tail(const char *path)
{
	const char *slash = strrchr(path, '/'), *before = slash;

	while (before && before > path && before[-1] != '/')
		before--;
	return before ?: path;
}

/* Python's own library; what was installed into it belongs to the application's side. */
static bool is_standard_library(const char *path)
{
	const char *lib = strstr(path, "/lib/python");

	if (strncmp(path, "<frozen ", 8) == 0)
		return true;
	return lib && !strstr(lib, "/site-packages/") && !strstr(lib, "/dist-packages/");
}

static bool is_finalizer(const char *function)
{
	const char *name = strrchr(function, '.');

	return strcmp(name ? name + 1 : function, "__del__") == 0;
}

static void add_python(struct resolving *r, const struct fdt_frame *frame)
{
	const struct fdt_stack *stack = r->taken->stack;
	const struct symbol_file *file = files_python(r->sources->files, stack->python);
	struct python_place place;
	struct text_frame *text;

	if (!file || python_place(r->sources->codes, &file->offsets, stack->space, frame, &place) ||
	    (!place.function && !place.file)) {
		say(add(r, 0, FDT_SITE_FRAME_OF(LANGUAGE_PYTHON)), "?? (python)");
		return;
	}
	place.function = place.function ?: "??";
	place.file = place.file ?: "python";
	text = add(r, hash_text(hash_text(HASH_START, path_tail(place.file)), place.function),
		   FDT_SITE_FRAME_OF(LANGUAGE_PYTHON) |
			   (is_standard_library(place.file) ? FDT_SITE_FRAME_LIBRARY : 0));
	if (place.line)
		say(text, "%s (%s:%u)", place.function, place.file, place.line);
	else
		say(text, "%s (%s)", place.function, place.file);
	if (is_finalizer(place.function))
		r->site_flags |= FDT_SITE_FINALIZER;
}

/* The frames that one native evaluation loop runs, the entry last. */
static void add_python_run(struct resolving *r)
{
	const struct frames_taken *taken = r->taken;

	while (r->python_done < taken->stack->python_count) {
		const struct fdt_frame *frame = &taken->python[r->python_done++];

		add_python(r, frame);
		if (frame->flags & FDT_FRAME_ENTRY)
			break;
	}
	r->python_at = r->count;
}

/* ---- native ---- */

static bool is_one_of(const char *name, const char *const *names)
{
	for (; *names; names++)
		if (strcmp(name, *names) == 0)
			return true;
	return false;
}

/* What closes behind the program's back; only what is nearer to the call than any Python frame. */
static void note_interpreter(struct resolving *r, const char *symbol)
{
	static const char *const finalizers[] = { "PyObject_CallFinalizer",
						  "PyObject_CallFinalizerFromDealloc",
						  "_PyGen_Finalize",
						  "_Py_Dealloc",
						  "subtype_dealloc",
						  "iobase_finalize",
						  "_PyIOBase_finalize",
						  "file_dealloc",
						  NULL };
	static const char *const collectors[] = { "PyGC_Collect",
						  "_PyGC_CollectNoFail",
						  "_PyGC_CollectIfEnabled",
						  "gc_collect_main",
						  "gc_collect_generations",
						  "gc_collect_with_callback",
						  "collect",
						  "collect_generations",
						  "finalize_garbage",
						  NULL };
	static const char *const endings[] = { "Py_FinalizeEx", "Py_Finalize", NULL };

	if (is_one_of(symbol, endings))
		r->site_flags |= FDT_SITE_AT_EXIT;
	if (r->python_done)
		return;
	if (is_one_of(symbol, finalizers))
		r->site_flags |= FDT_SITE_FINALIZER;
	if (is_one_of(symbol, collectors))
		r->site_flags |= FDT_SITE_COLLECTOR;
}

/* The same in every run: where the code lies in a file that is told by its build-id. */
static uint64_t native_identity(struct elf_file *elf, uint64_t vaddr)
{
	const char *build_id = elf_file_build_id(elf);

	return hash_number(hash_text(HASH_START, build_id[0] ? build_id : elf_file_base_name(elf)),
			   vaddr);
}

static void add_place(struct resolving *r, const struct symbol_file *file, uint64_t vaddr,
		      const struct elf_place *place, unsigned int flags)
{
	struct text_frame *frame = add(r, native_identity(file->elf, vaddr),
				       flags | (place->inlined ? FDT_SITE_FRAME_INLINED : 0));
	const char *module = elf_file_base_name(file->elf);

	if (place->function && place->source && place->line)
		say(frame, "%s (%s:%u)", place->function, place->source, place->line);
	else if (place->function)
		say(frame, "%s (%s+0x%" PRIx64 ")", place->function, module, vaddr);
	else
		say(frame, "?? (%s+0x%" PRIx64 ")", module, vaddr);
}

static void add_file_frame(struct resolving *r, const struct symbol_file *file,
			   const struct fdt_frame *frame, unsigned int flags)
{
	struct elf_place place[PLACES_MAX];
	unsigned int count = elf_file_places(file->elf, frame->address,
					     frame->flags & FDT_FRAME_RETURN, place, PLACES_MAX);
	const char *symbol = count ? place[count - 1].raw : NULL;

	if (file->is_system || (symbol && strcmp(symbol, "_start") == 0))
		flags |= FDT_SITE_FRAME_SYSTEM;
	if (file->is_interpreter && symbol) {
		note_interpreter(r, symbol);
		if (python_is_eval(symbol) && r->python_done < r->taken->stack->python_count) {
			add_python_run(r);
			return;
		}
	}
	for (unsigned int i = 0; i < count; i++)
		add_place(r, file, frame->address, &place[i], flags);
}

/* Code made at run time, or a mapping nobody knows. */
static void add_bare_frame(struct resolving *r, const struct fdt_frame *frame, unsigned int flags)
{
	const struct fdt_head *head = &r->taken->stack->head;
	const char *name = NULL;

	if (r->sources->perf_maps)
		name = perf_maps_find(r->sources->perf_maps, (pid_t)head->tgid,
				      frame->address - !!(frame->flags & FDT_FRAME_RETURN),
				      head->time_ns);
	if (name)
		say(add(r, hash_text(HASH_START, name), flags), "%s (perf map)", name);
	else
		say(add(r, 0, flags), "?? (0x%" PRIx64 ")", (uint64_t)frame->address);
}

static void add_native(struct resolving *r, const struct fdt_frame *frame)
{
	const struct symbol_file *file = files_by_id(r->sources->files, frame->elf);
	unsigned int flags = frame->flags & FDT_FRAME_GUESSED ? FDT_SITE_FRAME_GUESSED : 0;

	if (file && file->elf)
		add_file_frame(r, file, frame, flags);
	else
		add_bare_frame(r, frame, flags);
}

/* ---- all of it ---- */

static void swap_frames(struct text_frame *a, struct text_frame *b)
{
	struct text_frame other = *a;

	*a = *b;
	*b = other;
}

static void reverse(struct text_frame *frame, unsigned int from, unsigned int to)
{
	for (; from + 1 < to; from++, to--)
		swap_frames(&frame[from], &frame[to - 1]);
}

/*
 * Python frames for which no evaluation loop was recognised (a stripped or cold part of it, a
 * native walk that ended early) stand behind the last ones that were, in their order.
 */
static void add_python_rest(struct resolving *r)
{
	unsigned int from = r->python_at, middle = r->count;

	while (r->python_done < r->taken->stack->python_count)
		add_python(r, &r->taken->python[r->python_done++]);
	if (middle == r->count)
		return;
	reverse(r->frame, from, middle);
	reverse(r->frame, middle, r->count);
	reverse(r->frame, from, r->count);
}

static void resolve_all(struct resolving *r)
{
	const struct fdt_stack *stack = r->taken->stack;

	for (unsigned int i = 0; i < stack->native_count; i++)
		add_native(r, &r->taken->native[i]);
	add_python_rest(r);
	if (stack->python_end == FDT_END_NO_THREAD || stack->python_end == FDT_END_NO_FRAME)
		r->site_flags |= FDT_SITE_NO_INTERPRETED;
	if (stack->python_end == FDT_END_UNKNOWN_BUILD)
		r->site_flags |= FDT_SITE_UNKNOWN_BUILD;
	if ((stack->native_end != FDT_END_WHOLE && stack->native_end != FDT_END_NOT_TAKEN) ||
	    stack->python_end == FDT_END_DEPTH || stack->python_end == FDT_END_UNREADABLE)
		r->site_flags |= FDT_SITE_CUT;
}

static size_t frame_bytes(const struct text_frame *frame)
{
	return (sizeof(struct fdt_site_frame) + frame->size + 7u) & ~(size_t)7;
}

/* How many frames of both ends fit: the inner half of the room is filled first. */
static void choose(const struct resolving *r, unsigned int *ret_head, unsigned int *ret_tail)
{
	size_t room = FDT_SIZE_MAX - sizeof(struct fdt_site), used = 0;
	unsigned int head = 0, tail = 0;

	while (head < r->count && used + frame_bytes(&r->frame[head]) <= room / 2)
		used += frame_bytes(&r->frame[head++]);
	while (head + tail < r->count && used + frame_bytes(&r->frame[r->count - 1 - tail]) <= room)
		used += frame_bytes(&r->frame[r->count - 1 - tail++]);
	*ret_head = head;
	*ret_tail = tail;
}

static char *put_frame(char *at, const struct text_frame *frame)
{
	struct fdt_site_frame head = { .identity = frame->identity,
				       .flags = frame->flags,
				       .text_size = frame->size };

	memset(at, 0, frame_bytes(frame));
	memcpy(at, &head, sizeof(head));
	memcpy(at + sizeof(head), frame->text, frame->size);
	return at + frame_bytes(frame);
}

static size_t write_event(const struct resolving *r, void *buffer)
{
	const struct fdt_stack *stack = r->taken->stack;
	struct fdt_site *site = buffer;
	char *at = (char *)(site + 1);
	unsigned int head, tail;

	choose(r, &head, &tail);
	*site = (struct fdt_site){ .head = stack->head, .hash = stack->hash };
	for (unsigned int i = 0; i < head; i++)
		at = put_frame(at, &r->frame[i]);
	for (unsigned int i = r->count - tail; i < r->count; i++)
		at = put_frame(at, &r->frame[i]);
	site->frame_count = (uint16_t)(head + tail);
	site->frames_left_out = (uint16_t)(r->count - head - tail);
	site->left_out_at = (uint16_t)head;
	site->head.kind = FDT_SITE;
	site->head.flags = r->site_flags;
	site->head.size = (uint16_t)(at - (char *)buffer);
	return site->head.size;
}

size_t frames_resolve(const struct frames_sources *sources, const struct frames_taken *taken,
		      void *buffer)
{
	struct resolving r = { .sources = sources, .taken = taken };
	size_t size;

	r.frame = malloc(FRAMES_MAX * sizeof(*r.frame));
	if (!r.frame)
		return 0;
	resolve_all(&r);
	size = write_event(&r, buffer);
	free(r.frame);
	return size;
}
