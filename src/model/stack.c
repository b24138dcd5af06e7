// SPDX-License-Identifier: BSD-2-Clause
#include "model/stack.h"

#include <errno.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

/* An entry and its places in the map, which is up to twice as large as what is in it. */
#define HASH_BYTES (sizeof(struct stack_hash) + 2 * sizeof(struct map_entry))

/* ---- reading an event ---- */

struct reader {
	const char *at, *end;
};

struct wire_frame {
	uint64_t identity;
	uint16_t flags;
	const char *text;
	size_t length; /* up to the first NUL: what is kept is a string */
};

static struct reader frames_begin(const struct fdt_site *event, size_t size)
{
	return (struct reader){ (const char *)(event + 1), (const char *)event + size };
}

/* False: it does not fit what is left of the event. */
static bool frames_next(struct reader *r, struct wire_frame *ret)
{
	size_t left = (size_t)(r->end - r->at), padded;
	struct fdt_site_frame head;

	if (left < sizeof(head))
		return false;
	memcpy(&head, r->at, sizeof(head));
	if (left - sizeof(head) < head.text_size)
		return false;
	*ret = (struct wire_frame){ .identity = head.identity,
				    .flags = head.flags,
				    .text = r->at + sizeof(head) };
	ret->length = strnlen(ret->text, head.text_size);
	padded = (sizeof(head) + head.text_size + 7) & ~(size_t)7;
	r->at = left < padded ? r->end : r->at + padded;
	return true;
}

int stack_check(const struct fdt_site *event, size_t size)
{
	struct reader r = frames_begin(event, size);
	struct wire_frame frame;

	if (!event->hash || event->left_out_at > event->frame_count)
		return -EINVAL;
	for (unsigned int i = 0; i < event->frame_count; i++)
		if (!frames_next(&r, &frame))
			return -EINVAL;
	return r.at == r.end ? 0 : -EINVAL;
}

static uint64_t hash_bytes(uint64_t hash, const char *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		hash = (hash ^ (unsigned char)bytes[i]) * HASH_PRIME;
	return hash;
}

static uint64_t hash_content(const struct fdt_site *event, size_t size)
{
	struct reader r = frames_begin(event, size);
	uint64_t hash = hash_number(HASH_START, event->head.flags);
	struct wire_frame frame;

	hash = hash_number(hash, (uint64_t)event->frames_left_out << 16 | event->left_out_at);
	while (frames_next(&r, &frame)) {
		hash = hash_number(hash, frame.identity);
		hash = hash_number(hash, (uint64_t)frame.flags << 32 | frame.length);
		hash = hash_bytes(hash, frame.text, frame.length);
	}
	return hash;
}

static bool is_frame(const struct stack_frame *frame, const struct wire_frame *wire)
{
	return frame->identity == wire->identity && frame->flags == wire->flags &&
	       strlen(frame->text) == wire->length &&
	       memcmp(frame->text, wire->text, wire->length) == 0;
}

/* A program chooses its functions' names and might have made two stacks with one hash. */
static bool is_stack(const struct stack *stack, const struct fdt_site *event, size_t size)
{
	struct reader r = frames_begin(event, size);
	struct wire_frame wire;

	if (stack->flags != event->head.flags || stack->frame_count != event->frame_count ||
	    stack->left_out != event->frames_left_out || stack->left_out_at != event->left_out_at)
		return false;
	for (unsigned int i = 0; i < stack->frame_count; i++)
		if (!frames_next(&r, &wire) || !is_frame(&stack->frames[i], &wire))
			return false;
	return true;
}

/* ---- the store ---- */

static void unlink_idle(struct stacks *s, struct stack_hash *entry)
{
	if (!entry->idle)
		return;
	*(entry->older ? &entry->older->newer : &s->oldest) = entry->newer;
	*(entry->newer ? &entry->newer->older : &s->newest) = entry->older;
	entry->idle = false;
}

static void link_idle(struct stacks *s, struct stack_hash *entry)
{
	entry->older = s->newest;
	entry->newer = NULL;
	*(s->newest ? &s->newest->newer : &s->oldest) = entry;
	s->newest = entry;
	entry->idle = true;
}

static void remove_hash(struct stacks *s, struct stack_hash *entry)
{
	unlink_idle(s, entry);
	map_remove(&s->hashes, entry->hash);
	stacks_drop(s, entry->stack);
	mem_free(s->mem, entry, sizeof(*entry));
	s->used_bytes -= HASH_BYTES;
}

static void stacks_ask(struct stacks *s, uint64_t hash)
{
	if (s->ask)
		s->ask(s->ctx, hash);
}

static void forget_oldest(struct stacks *s)
{
	uint64_t hash = s->oldest->hash;

	remove_hash(s, s->oldest);
	s->forgotten++;
	stacks_ask(s, hash);
}

/* False: what is held by sites takes all the room. */
static bool stacks_make_room(struct stacks *s, size_t bytes)
{
	while (s->oldest && (s->used_bytes + bytes > s->max_bytes || !mem_has_room(s->mem, bytes)))
		forget_oldest(s);
	return s->used_bytes + bytes <= s->max_bytes;
}

static void link_content(struct stacks *s, struct stack *stack)
{
	struct stack *first = map_get(&s->contents, stack->content);

	stack->next = first->next;
	first->next = stack;
}

static void unlink_content(struct stacks *s, struct stack *stack)
{
	struct stack *first = map_get(&s->contents, stack->content);

	if (first != stack) {
		while (first->next != stack)
			first = first->next;
		first->next = stack->next;
		return;
	}
	map_remove(&s->contents, stack->content);
	if (stack->next) /* cannot fail: a place has just become free */
		map_put(s->mem, &s->contents, stack->content, stack->next);
}

void stacks_drop(struct stacks *s, struct stack *stack)
{
	if (!stack || --stack->refs)
		return;
	unlink_content(s, stack);
	s->used_bytes -= stack->bytes;
	s->count--;
	mem_free(s->mem, stack, stack->bytes);
}

static size_t bytes_needed(const struct fdt_site *event, size_t size)
{
	struct reader r = frames_begin(event, size);
	size_t bytes = sizeof(struct stack) + event->frame_count * sizeof(struct stack_frame);
	struct wire_frame frame;

	while (frames_next(&r, &frame))
		bytes += frame.length + 1;
	return bytes;
}

/* One block: the stack, its frames, their texts. */
static void stack_fill(struct stack *stack, const struct fdt_site *event, size_t size)
{
	struct stack_frame *frames = (struct stack_frame *)(stack + 1);
	char *text = (char *)(frames + event->frame_count);
	struct reader r = frames_begin(event, size);
	struct wire_frame wire;

	stack->flags = event->head.flags;
	stack->frame_count = event->frame_count;
	stack->left_out = event->frames_left_out;
	stack->left_out_at = event->left_out_at;
	stack->frames = frames;
	for (unsigned int i = 0; frames_next(&r, &wire); i++) {
		memcpy(text, wire.text, wire.length);
		frames[i] = (struct stack_frame){ text, wire.identity, wire.flags };
		text += wire.length + 1;
	}
}

static struct stack *stack_new(struct stacks *s, uint64_t content, const struct fdt_site *event,
			       size_t size)
{
	size_t bytes = bytes_needed(event, size);
	struct stack *stack = stacks_make_room(s, bytes) ? mem_alloc(s->mem, bytes) : NULL;

	if (!stack)
		return NULL;
	stack_fill(stack, event, size);
	stack->place = stack_find_place(stack);
	stack->refs = 1;
	stack->bytes = bytes;
	stack->content = content;
	if (map_get(&s->contents, content)) {
		link_content(s, stack);
	} else if (map_put(s->mem, &s->contents, content, stack)) {
		mem_free(s->mem, stack, bytes);
		return NULL;
	}
	s->used_bytes += bytes;
	s->count++;
	return stack;
}

struct stack *stacks_put(struct stacks *s, const struct fdt_site *event, size_t size)
{
	uint64_t content = hash_content(event, size);
	struct stack *stack = map_get(&s->contents, content);

	while (stack && !is_stack(stack, event, size))
		stack = stack->next;
	if (!stack)
		return stack_new(s, content, event, size);
	stack->refs++;
	return stack;
}

static struct stack_hash *hash_new(struct stacks *s, uint64_t hash)
{
	struct stack_hash *entry;

	if (!stacks_make_room(s, HASH_BYTES))
		return NULL;
	entry = mem_alloc(s->mem, sizeof(*entry));
	if (!entry)
		return NULL;
	entry->hash = hash;
	if (map_put(s->mem, &s->hashes, hash, entry)) {
		mem_free(s->mem, entry, sizeof(*entry));
		return NULL;
	}
	s->used_bytes += HASH_BYTES;
	return entry;
}

struct stack_hash *stacks_hash(struct stacks *s, uint64_t hash)
{
	struct stack_hash *entry = map_get(&s->hashes, hash);

	if (!entry)
		return hash_new(s, hash);
	if (entry->idle && entry != s->newest) {
		unlink_idle(s, entry);
		link_idle(s, entry);
	}
	return entry;
}

void stacks_settle(struct stacks *s, struct stack_hash *entry)
{
	if (entry->sites)
		unlink_idle(s, entry);
	else if (!entry->stack)
		remove_hash(s, entry);
	else if (!entry->idle)
		link_idle(s, entry);
}

void stacks_done(struct stacks *s)
{
	while (s->oldest)
		remove_hash(s, s->oldest);
	map_done(s->mem, &s->hashes);
	map_done(s->mem, &s->contents);
}
