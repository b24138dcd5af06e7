// SPDX-License-Identifier: BSD-2-Clause
#include "symbol/frames.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "symbol/elf/elf_file.h"
#include "symbol/files.h"
#include "symbol/language.h"
#include "symbol/runtimes.h"

#define TEXT_MAX 512
#define PLACES_MAX 8 /* functions inlined into each other at one address */
#define FRAMES_MAX (FDT_NATIVE_MAX * 2 + FDT_INTERPRETED_MAX)

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
	unsigned int interpreted_done; /* interpreted frames that have found their place */
	unsigned int interpreted_at;   /* where frames without a native counterpart go */
	uint16_t site_flags;
};

static struct text_frame *add_frame(struct resolving *r, uint64_t identity, unsigned int flags)
{
	struct text_frame *frame = &r->frame[r->count < FRAMES_MAX ? r->count++ : FRAMES_MAX - 1];

	frame->identity = identity;
	frame->flags = (uint16_t)flags;
	frame->size = 0;
	return frame;
}

__attribute__((format(printf, 2, 3))) static void add_text(struct text_frame *frame,
							   const char *format, ...)
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

/* ---- interpreted ---- */

/* A frame of which nothing is known has no identity. */
static void add_unknown_interpreted(struct resolving *r, const struct fdt_frame *frame)
{
	const struct language_ops *ops = language_ops(frame->language);

	add_text(add_frame(r, 0, FDT_SITE_FRAME_OF(frame->language)), "?? (%s)",
		 ops ? ops->word : "?");
}

static void add_interpreted(struct resolving *r, const struct fdt_frame *frame)
{
	const struct symbol_file *file = files_interpreter(r->sources->files, frame->elf);
	struct language_frame found;
	struct text_frame *text;

	if (!file || file->language->id != frame->language ||
	    languages_resolve(r->sources->languages, file->parameters, r->taken->stack->space,
			      frame, &found) ||
	    (!found.function && !found.file)) {
		add_unknown_interpreted(r, frame);
		return;
	}
	found.function = found.function ?: "??";
	found.file = found.file ?: file->language->word;
	found.module = found.module ?: found.file;
	text = add_frame(r, hash_text(hash_text(HASH_START, found.module), found.function),
			 FDT_SITE_FRAME_OF(frame->language) | found.flags);
	if (found.line)
		add_text(text, "%s (%s:%u)", found.function, found.file, found.line);
	else
		add_text(text, "%s (%s)", found.function, found.file);
	r->site_flags |= (uint16_t)found.site_flags;
}

/* The frames that one native evaluation loop runs, the entry last. */
static void add_interpreted_run(struct resolving *r)
{
	const struct frames_taken *taken = r->taken;

	while (r->interpreted_done < taken->stack->interpreted_count) {
		const struct fdt_frame *frame = &taken->interpreted[r->interpreted_done++];

		add_interpreted(r, frame);
		if (frame->flags & FDT_FRAME_ENTRY)
			break;
	}
	r->interpreted_at = r->count;
}

/* ---- native ---- */

/* The next interpreted frame is one that a function of this language runs. */
static bool is_next_of(const struct resolving *r, const struct language_ops *language)
{
	return r->interpreted_done < r->taken->stack->interpreted_count &&
	       r->taken->interpreted[r->interpreted_done].language == language->id;
}

/* The same in every run: where the code lies in a file that its build-id identifies. */
static uint64_t native_identity(struct elf_file *elf, uint64_t vaddr)
{
	const char *build_id = elf_file_build_id(elf);

	return hash_number(hash_text(HASH_START, build_id[0] ? build_id : elf_file_base_name(elf)),
			   vaddr);
}

static void add_place(struct resolving *r, const struct symbol_file *file, uint64_t vaddr,
		      const struct elf_place *place, unsigned int flags)
{
	bool is_runtime =
		file->is_runtime || runtime_is_function(place, elf_file_is_static(file->elf));
	struct text_frame *frame = add_frame(r, native_identity(file->elf, vaddr),
					     flags | (place->inlined ? FDT_SITE_FRAME_INLINED : 0) |
						     (is_runtime ? FDT_SITE_FRAME_LIBRARY : 0));
	const char *module = elf_file_base_name(file->elf);

	if (place->function && place->source && place->line)
		add_text(frame, "%s (%s:%u)", place->function, place->source, place->line);
	else if (place->function)
		add_text(frame, "%s (%s+0x%" PRIx64 ")", place->function, module, vaddr);
	else
		add_text(frame, "?? (%s+0x%" PRIx64 ")", module, vaddr);
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
	if (file->language && symbol) {
		r->site_flags |=
			(uint16_t)file->language->native_flags(symbol, !r->interpreted_done);
		if (is_next_of(r, file->language) && file->language->is_loop(symbol)) {
			add_interpreted_run(r);
			return;
		}
	}
	for (unsigned int i = 0; i < count; i++)
		add_place(r, file, frame->address, &place[i], flags);
}

/* Code made at run time, or an unknown mapping. */
static void add_bare_frame(struct resolving *r, const struct fdt_frame *frame, unsigned int flags)
{
	const struct fdt_head *head = &r->taken->stack->head;
	const char *name = NULL;

	if (r->sources->perf_maps)
		name = perf_maps_find(r->sources->perf_maps, (pid_t)head->tgid,
				      frame->address - !!(frame->flags & FDT_FRAME_RETURN),
				      head->time_ns);
	if (name)
		add_text(add_frame(r, hash_text(HASH_START, name), flags), "%s (perf map)", name);
	else
		add_text(add_frame(r, 0, flags), "?? (0x%" PRIx64 ")", (uint64_t)frame->address);
}

/* Of the file nothing is known but what it is called. */
static void add_named_frame(struct resolving *r, const char *name, uint64_t offset,
			    unsigned int flags)
{
	uint64_t identity = name ? hash_number(hash_text(HASH_START, name), offset) : 0;

	add_text(add_frame(r, identity, flags), "?? (%s+0x%" PRIx64 ")", name ?: "unknown file",
		 offset);
}

/* The file had no table when the stack was taken. By now it may have been read. */
static void add_offset_frame(struct resolving *r, const struct fdt_frame *frame, unsigned int flags)
{
	const struct fdt_elf_key key = { .inode = frame->instruction, .dev = frame->elf };
	const struct symbol_file *file = files_await(r->sources->files, &key);
	struct fdt_frame known = *frame;
	struct elf_text text;
	uint64_t delta;

	if (!file || !file->elf || !elf_file_text(file->elf, &text) ||
	    !elf_text_delta(&text, frame->address, &delta)) {
		add_named_frame(r, file ? file->name : files_name(r->sources->files, &key),
				frame->address, flags);
		return;
	}
	known.address += delta;
	add_file_frame(r, file, &known, flags);
}

static void add_native(struct resolving *r, const struct fdt_frame *frame)
{
	const struct symbol_file *file = files_by_id(r->sources->files, frame->elf);
	unsigned int flags = frame->flags & FDT_FRAME_GUESSED ? FDT_SITE_FRAME_GUESSED : 0;

	if (frame->flags & FDT_FRAME_OFFSET)
		add_offset_frame(r, frame, flags);
	else if (!file)
		add_bare_frame(r, frame, flags);
	else if (file->elf)
		add_file_frame(r, file, frame, flags);
	else
		add_named_frame(r, file->name, frame->address, flags);
}

/* ---- all of it ---- */

static void swap_frames(struct text_frame *a, struct text_frame *b)
{
	struct text_frame other = *a;

	*a = *b;
	*b = other;
}

static void reverse_frames(struct text_frame *frame, unsigned int from, unsigned int to)
{
	for (; from + 1 < to; from++, to--)
		swap_frames(&frame[from], &frame[to - 1]);
}

/*
 * Interpreted frames for which no evaluation loop was recognised (a stripped or cold part of it, a
 * native walk that ended early) stand behind the last ones that were, in their order.
 */
static void add_interpreted_rest(struct resolving *r)
{
	unsigned int from = r->interpreted_at, middle = r->count;

	while (r->interpreted_done < r->taken->stack->interpreted_count)
		add_interpreted(r, &r->taken->interpreted[r->interpreted_done++]);
	if (middle == r->count)
		return;
	reverse_frames(r->frame, from, middle);
	reverse_frames(r->frame, middle, r->count);
	reverse_frames(r->frame, from, r->count);
}

static void resolve_all(struct resolving *r)
{
	const struct fdt_stack *stack = r->taken->stack;

	for (unsigned int i = 0; i < stack->native_count; i++)
		add_native(r, &r->taken->native[i]);
	add_interpreted_rest(r);
	if (stack->interpreted_end == FDT_END_NO_THREAD ||
	    stack->interpreted_end == FDT_END_NO_FRAME)
		r->site_flags |= FDT_SITE_NO_INTERPRETED;
	if (stack->interpreted_end == FDT_END_UNKNOWN_BUILD)
		r->site_flags |= FDT_SITE_UNKNOWN_BUILD;
	if ((stack->native_end != FDT_END_WHOLE && stack->native_end != FDT_END_NOT_TAKEN) ||
	    stack->interpreted_end == FDT_END_DEPTH || stack->interpreted_end == FDT_END_UNREADABLE)
		r->site_flags |= FDT_SITE_CUT;
}

static size_t text_frame_bytes(const struct text_frame *frame)
{
	return (sizeof(struct fdt_site_frame) + frame->size + 7u) & ~(size_t)7;
}

/* How many frames of both ends fit: the inner half of the room is filled first. */
static void choose_frames(const struct resolving *r, unsigned int *ret_head, unsigned int *ret_tail)
{
	size_t room = FDT_SIZE_MAX - sizeof(struct fdt_site), used = 0;
	unsigned int head = 0, tail = 0;

	while (head < r->count && used + text_frame_bytes(&r->frame[head]) <= room / 2)
		used += text_frame_bytes(&r->frame[head++]);
	while (head + tail < r->count &&
	       used + text_frame_bytes(&r->frame[r->count - 1 - tail]) <= room)
		used += text_frame_bytes(&r->frame[r->count - 1 - tail++]);
	*ret_head = head;
	*ret_tail = tail;
}

static char *write_frame(char *at, const struct text_frame *frame)
{
	struct fdt_site_frame head = { .identity = frame->identity,
				       .flags = frame->flags,
				       .text_size = frame->size };

	memset(at, 0, text_frame_bytes(frame));
	memcpy(at, &head, sizeof(head));
	memcpy(at + sizeof(head), frame->text, frame->size);
	return at + text_frame_bytes(frame);
}

static size_t write_event(const struct resolving *r, void *buffer)
{
	const struct fdt_stack *stack = r->taken->stack;
	struct fdt_site *site = buffer;
	char *at = (char *)(site + 1);
	unsigned int head, tail;

	choose_frames(r, &head, &tail);
	*site = (struct fdt_site){ .head = stack->head, .hash = stack->hash };
	for (unsigned int i = 0; i < head; i++)
		at = write_frame(at, &r->frame[i]);
	for (unsigned int i = r->count - tail; i < r->count; i++)
		at = write_frame(at, &r->frame[i]);
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
