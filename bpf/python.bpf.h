/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Python frames. The thread state is what pthread_getspecific() would return to the thread, so
 * it is right with the GIL released, in fork and vfork children and in other pid namespaces.
 * Memory of the process may hold anything: addresses are only ever given to
 * bpf_probe_read_user, each loop is bounded, each offset is checked where it is used.
 */
#ifndef FDTRACE_PYTHON_BPF_H
#define FDTRACE_PYTHON_BPF_H

#define CODE_HEAD_BYTES 208
#define STRING_HEAD_BYTES 40
#define VAR_SIZE 16     /* PyVarObject.ob_size, and PyASCIIObject.length */
#define STRING_STATE 32 /* PyASCIIObject.state */
#define STATE_COMPACT (1u << 5)
#define STATE_BYTES (1u << 2 | STATE_COMPACT | 1u << 6) /* what 2.7's byte strings are sent as */
#define CODES_MAX 65536

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FDT_INTERPRETERS_MAX);
	__type(key, u32);
	__type(value, struct fdt_python);
} fdt_pythons SEC(".maps");

static __always_inline void python_found(struct fdt_space *space, u32 interpreter, u64 bias)
{
	u32 index = FDT_INTERPRETER_INDEX(interpreter);
	struct fdt_python *offsets = bpf_map_lookup_elem(&fdt_pythons, &index);

	if (!offsets || space->python.interpreter)
		return;
	space->python.tss_known = 0;
	space->python.runtime = offsets->runtime_vaddr + bias;
	barrier();
	space->python.interpreter = interpreter;
}

struct fdt_code_key {
	u64 space;
	u64 address;
};

/* Code objects that have been sent; the value changes when the address is used again. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, CODES_MAX);
	__type(key, struct fdt_code_key);
	__type(value, u64);
} fdt_codes SEC(".maps");

struct fdt_sent_code {
	struct fdt_code code;
	u8 data[2 * FDT_CODE_NAME_MAX + FDT_CODE_TABLE_MAX]; /* belongs to code */
	u8 object[CODE_HEAD_BYTES];
	u8 string[STRING_HEAD_BYTES];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct fdt_sent_code);
} fdt_codes_busy SEC(".maps");

struct fdt_counter codes_sent;
struct fdt_counter codes_lost; /* for which the ring had no room: sent when next met */

#if ARCH_WALKS_STACKS

#define PTHREAD_KEYS 32 /* in the first block, see PTHREAD_SPECIFIC */
#define THREADS_MAX 512 /* of the list, where it has to be walked */
#define CHUNK_NEAR 65536

/* A frame's own fields: what lies behind may be beyond the end of a mapping. */
#define FRAME_BYTES 128      /* up to 3.10: less than a PyFrameObject */
#define FRAME_BYTES_STACK 72 /* 3.11 on: _PyInterpreterFrame without localsplus */
#define OWNED_BY_CSTACK 3    /* 3.12 on: enum _frameowner */

#define READ_USER(to, from) bpf_probe_read_user(&(to), sizeof(to), (void *)(from))

/* ---- the thread state ---- */

static __always_inline u64 thread_word(struct fdt_scratch *s, u32 at)
{
	OPAQUE(at);
	return at <= sizeof(s->python.thread_state) - sizeof(u64)
		       ? *(u64 *)(s->python.thread_state + at)
		       : 0;
}

/* As far as it is needed and no further. */
static __always_inline bool thread_read(struct fdt_scratch *s, u64 address)
{
	u32 size = s->python.offsets.thread_id;

	if (size < s->python.offsets.thread_frame)
		size = s->python.offsets.thread_frame;
	if (size < s->python.offsets.thread_datastack)
		size = s->python.offsets.thread_datastack;
	size += sizeof(u64);
	OPAQUE(size);
	if (size > sizeof(s->python.thread_state))
		return false;
	return !bpf_probe_read_user(s->python.thread_state, size, (void *)address);
}

/* fsbase: the thread pointer, which CPython keeps as thread_id. */
static __always_inline bool thread_is(struct fdt_scratch *s, u64 address, u64 fsbase)
{
	return address && thread_read(s, address) &&
	       thread_word(s, s->python.offsets.thread_id) == fsbase;
}

static __always_inline bool key_read(struct fdt_scratch *s, struct fdt_space *space)
{
	u32 word[2] = {}; /* Py_tss_t: _is_initialized, _key */

	space->python.tss_known = 0;
	if (READ_USER(word, space->python.runtime + s->python.offsets.tss_key - sizeof(u32)) ||
	    !word[0])
		return false;
	space->python.tss_key = word[1];
	space->python.tss_known = 1;
	return true;
}

static __always_inline u64 thread_specific(u64 fsbase, u32 key)
{
	u64 state = 0;

	READ_USER(state, fsbase + PTHREAD_SPECIFIC + (u64)key * PTHREAD_SPECIFIC_SIZE);
	return state;
}

/* address[0]: thread state, [1]: interpreter, [2]: fsbase */
static long thread_step(__attribute__((unused)) u64 i, struct fdt_scratch **context)
{
	struct fdt_scratch *s = *context;
	u64 state = s->address[0], next = 0;

	if (!state) { /* the end of this interpreter's list */
		if (READ_USER(next, s->address[1] + s->python.offsets.interpreter_next) || !next)
			return 1;
		s->address[1] = next;
		READ_USER(state, next + s->python.offsets.interpreter_threads);
		s->address[0] = state;
		return 0;
	}
	if (thread_is(s, state, s->address[2])) {
		s->address[3] = 1;
		return 1;
	}
	if (READ_USER(next, state + s->python.offsets.thread_next))
		return 1;
	s->address[0] = next;
	return 0;
}

static __always_inline bool thread_search(struct fdt_scratch *s, struct fdt_space *space,
					  u64 fsbase)
{
	struct fdt_scratch *context = s;
	u64 interpreter = 0, state = 0;

	if (READ_USER(interpreter,
		      space->python.runtime + s->python.offsets.runtime_interpreters) ||
	    !interpreter)
		return false;
	READ_USER(state, interpreter + s->python.offsets.interpreter_threads);
	s->address[0] = state;
	s->address[1] = interpreter;
	s->address[2] = fsbase;
	s->address[3] = 0;
	bpf_loop(THREADS_MAX, thread_step, &context, 0);
	return s->address[3];
}

/* A child of fork makes a key of its own: what was known may no longer hold. */
static __always_inline bool thread_find(struct fdt_scratch *s, struct fdt_space *space, u64 fsbase)
{
	u64 state;

	if (s->python.offsets.flags & FDT_PY_LIST_WALK)
		return thread_search(s, space, fsbase);
	if (!space->python.tss_known && !key_read(s, space))
		return false;
	if (space->python.tss_key >= PTHREAD_KEYS)
		return thread_search(s, space, fsbase);
	state = thread_specific(fsbase, space->python.tss_key);
	if (!state)
		return false;
	if (thread_is(s, state, fsbase))
		return true;
	if (!key_read(s, space) || space->python.tss_key >= PTHREAD_KEYS)
		return false;
	return thread_is(s, thread_specific(fsbase, space->python.tss_key), fsbase);
}

/* ---- frames ---- */

static __always_inline u32 python_frame_bytes(const struct fdt_scratch *s)
{
	return s->python.offsets.flags & FDT_PY_OWNER ? FRAME_BYTES_STACK : FRAME_BYTES;
}

/*
 * From 3.11 on frames lie one behind the other, the newest last: a window that ends with it
 * holds most of the older ones, too.
 */
static __always_inline bool frame_window(struct fdt_scratch *s, u64 frame)
{
	struct fdt_window *w = &s->window;
	u32 bytes = python_frame_bytes(s);
	u64 base = frame + bytes - WINDOW_BYTES, low = frame & ~(u64)(FDT_PAGE_SIZE - 1), length;

	if (frame - s->python.chunk < CHUNK_NEAR)
		low = s->python.chunk;
	if (base < low || base > frame)
		base = low;
	length = frame + bytes - base;
	OPAQUE(length);
	if (length > WINDOW_BYTES || bpf_probe_read_user(w->bytes, length, (void *)base)) {
		base = frame;
		length = bytes;
		OPAQUE(length);
		if (length > FRAME_BYTES || bpf_probe_read_user(w->bytes, length, (void *)base))
			return false;
	}
	w->address = base;
	w->length = length;
	return true;
}

/* Where in the window a frame begins; more than fits: it cannot be read. */
static __always_inline u64 frame_in_window(struct fdt_scratch *s, u64 frame)
{
	struct fdt_window *w = &s->window;
	u64 at = frame - w->address;
	u32 bytes = python_frame_bytes(s);

	if (w->length >= bytes && at <= w->length - bytes)
		return at;
	return frame_window(s, frame) ? frame - w->address : WINDOW_BYTES;
}

/* at: of the frame in the window; checked by the caller */
#define FRAME_FIELD(s, at, offset, type)                               \
	({                                                             \
		u32 field_ = (offset);                                 \
		OPAQUE(field_);                                        \
		field_ <= FRAME_BYTES - sizeof(type)                   \
			? *(type *)((s)->window.bytes + (at) + field_) \
			: (type)0;                                     \
	})

static __always_inline long python_stop(struct fdt_scratch *s, u8 why)
{
	s->stack.interpreted_end = why;
	return 1;
}

static __always_inline bool frame_is_shim(struct fdt_scratch *s, u64 at)
{
	return s->python.offsets.flags & FDT_PY_SHIM &&
	       FRAME_FIELD(s, at, s->python.offsets.frame_owner, u8) == OWNED_BY_CSTACK;
}

static __always_inline u16 frame_flags(struct fdt_scratch *s, u64 at)
{
	u16 flags = s->python.offsets.flags;

	if (!(flags & FDT_PY_OWNER))
		return FDT_FRAME_ENTRY;
	if (flags & FDT_PY_IS_ENTRY && FRAME_FIELD(s, at, s->python.offsets.frame_is_entry, u8))
		return FDT_FRAME_ENTRY;
	return 0;
}

/* The shim says that what was called before (and so met before) was called from C. */
static __always_inline long frame_mark_entry(struct fdt_scratch *s)
{
	u32 n = s->stack.native_count + s->stack.interpreted_count - 1;

	OPAQUE(n);
	if (s->stack.interpreted_count && n < FDT_NATIVE_MAX + FDT_INTERPRETED_MAX)
		s->frame[n].flags |= FDT_FRAME_ENTRY;
	return 0;
}

static __always_inline long frame_note(struct fdt_scratch *s, u64 at)
{
	u32 n = s->stack.native_count + s->stack.interpreted_count;
	u64 code = FRAME_FIELD(s, at, s->python.offsets.frame_code, u64), instruction;

	if (s->stack.interpreted_count >= FDT_INTERPRETED_MAX)
		return python_stop(s, FDT_END_DEPTH);
	OPAQUE(n);
	if (n >= FDT_NATIVE_MAX + FDT_INTERPRETED_MAX)
		return python_stop(s, FDT_END_DEPTH);
	if (s->python.offsets.flags & FDT_PY_LASTI)
		instruction = (s64)FRAME_FIELD(s, at, s->python.offsets.frame_instruction, s32);
	else
		instruction = FRAME_FIELD(s, at, s->python.offsets.frame_instruction, u64) - code;
	s->frame[n].address = code;
	s->frame[n].elf = s->python.interpreter;
	s->frame[n].flags = frame_flags(s, at);
	s->frame[n].language = LANGUAGE_PYTHON;
	s->frame[n].instruction = instruction;
	s->hash = mix_hash(mix_hash(s->hash, code), instruction);
	s->stack.interpreted_count++;
	return 0;
}

static long frame_step(__attribute__((unused)) u64 i, struct fdt_scratch **context)
{
	struct fdt_scratch *s = *context;
	u64 frame = s->python.frame, at;

	if (!frame)
		return python_stop(s, FDT_END_WHOLE);
	at = frame_in_window(s, frame);
	OPAQUE(at);
	if (at > WINDOW_BYTES - FRAME_BYTES_STACK)
		return python_stop(s, FDT_END_UNREADABLE);
	s->python.frame = FRAME_FIELD(s, at, s->python.offsets.frame_previous, u64);
	return frame_is_shim(s, at) ? frame_mark_entry(s) : frame_note(s, at);
}

/* ---- the walk ---- */

static __always_inline bool frame_first(struct fdt_scratch *s)
{
	u64 frame = thread_word(s, s->python.offsets.thread_frame);

	s->python.chunk = s->python.offsets.thread_datastack
				  ? thread_word(s, s->python.offsets.thread_datastack)
				  : 0;
	if (s->python.offsets.flags & FDT_PY_CFRAME && frame &&
	    READ_USER(frame, frame + s->python.offsets.cframe_frame))
		return false;
	s->python.frame = frame;
	return true;
}

static __always_inline void python_frames(struct fdt_scratch *s)
{
	struct fdt_scratch *context = s;

	if (!frame_first(s)) {
		s->stack.interpreted_end = FDT_END_UNREADABLE;
		return;
	}
	s->window.length = 0;
	s->stack.interpreted_end = FDT_END_DEPTH;
	bpf_loop(2 * FDT_INTERPRETED_MAX + 2, frame_step, &context, 0);
	if (!s->stack.interpreted_count && s->stack.interpreted_end == FDT_END_WHOLE)
		s->stack.interpreted_end = FDT_END_NO_FRAME;
}

/* Adds the Python frames to the stack in s, behind those that are there. */
static __noinline int python_walk(struct fdt_scratch *s, struct fdt_space *space)
{
	struct fdt_python *python;
	u32 index;

	if (!s || !space)
		return 0;
	s->python.interpreter = space->python.interpreter;
	index = FDT_INTERPRETER_INDEX(s->python.interpreter);
	python = index ? bpf_map_lookup_elem(&fdt_pythons, &index) : 0;
	s->stack.interpreted_end = python ? FDT_END_NO_THREAD : FDT_END_NO_INTERPRETER;
	if (!python)
		return 0;
	s->python.offsets = *python;
	if (!s->python.offsets.version)
		s->stack.interpreted_end = FDT_END_UNKNOWN_BUILD;
	else if (thread_find(s, space, thread_pointer(plain_task(CURRENT))))
		python_frames(s);
	return 0;
}

#else /* other architectures: the thread state is not found yet */

static __noinline int python_walk(struct fdt_scratch *s, struct fdt_space *space)
{
	if (!s || !space)
		return 0;
	s->stack.interpreted_end = FDT_END_NOT_TAKEN;
	return 0;
}

#endif

/* ---- code objects ---- */

static __always_inline u64 object_word(struct fdt_sent_code *c, u32 at)
{
	OPAQUE(at);
	return at <= CODE_HEAD_BYTES - sizeof(u64) ? *(u64 *)(c->object + at) : 0;
}

/* Another code object at the same address differs in at least one of these. */
static __always_inline u64 code_tag(struct fdt_scratch *s, struct fdt_sent_code *c)
{
	u64 tag = mix_hash(object_word(c, VAR_SIZE),
			   object_word(c, s->python.offsets.code_linetable));

	tag = mix_hash(tag, object_word(c, s->python.offsets.code_filename));
	return mix_hash(tag, (u32)object_word(c, s->python.offsets.code_firstline));
}

/* The characters of a name, as they are in memory, at c->data + at (at most 256). -1: unreadable. */
static __always_inline s32 name_copy(struct fdt_scratch *s, struct fdt_sent_code *c, u64 string,
				     u32 at, u32 *ret_state)
{
	u32 state = STATE_BYTES;
	u64 offset = s->python.offsets.string_ascii, length;

	if (!string || bpf_probe_read_user(c->string, STRING_HEAD_BYTES, (void *)string))
		return -1;
	length = *(u64 *)(c->string + VAR_SIZE);
	if (!(s->python.offsets.flags & FDT_PY_STR2))
		state = *(u32 *)(c->string + STRING_STATE);
	if (!(state & STATE_COMPACT))
		return -1;
	if (length > FDT_CODE_NAME_MAX)
		length = FDT_CODE_NAME_MAX;
	if (!FDT_PY_STATE_ASCII(state)) {
		offset = s->python.offsets.string_compact;
		length *= FDT_PY_STATE_KIND(state);
	}
	if (length > FDT_CODE_NAME_MAX)
		length = FDT_CODE_NAME_MAX;
	OPAQUE(length);
	OPAQUE(at);
	if (length > FDT_CODE_NAME_MAX || at > FDT_CODE_NAME_MAX)
		return -1;
	*ret_state = state;
	return bpf_probe_read_user(c->data + at, length, (void *)(string + offset)) ? -1
										    : (s32)length;
}

static __always_inline u32 table_copy(struct fdt_scratch *s, struct fdt_sent_code *c, u32 at)
{
	u64 table = object_word(c, s->python.offsets.code_linetable), length = 0;

	if (bpf_probe_read_user(&length, sizeof(length), (void *)(table + VAR_SIZE))) {
		c->code.failed |= FDT_CODE_NO_TABLE;
		return 0;
	}
	if (length > FDT_CODE_TABLE_MAX) {
		length = FDT_CODE_TABLE_MAX;
		c->code.failed |= FDT_CODE_TABLE_CUT;
	}
	OPAQUE(length);
	OPAQUE(at);
	if (length > FDT_CODE_TABLE_MAX || at > 2 * FDT_CODE_NAME_MAX)
		return 0;
	if (bpf_probe_read_user(c->data + at, length,
				(void *)(table + s->python.offsets.bytes_data))) {
		c->code.failed |= FDT_CODE_NO_TABLE;
		return 0;
	}
	return length;
}

static __always_inline u32 code_fill(struct fdt_scratch *s, struct fdt_sent_code *c)
{
	struct fdt_code *code = &c->code;
	s32 got;

	code->failed = 0;
	code->filename_state = code->qualname_state = 0;
	code->filename_bytes = code->qualname_bytes = 0;
	code->firstline = (u32)object_word(c, s->python.offsets.code_firstline);
	got = name_copy(s, c, object_word(c, s->python.offsets.code_filename), 0,
			&code->filename_state);
	if (got < 0)
		code->failed |= FDT_CODE_NO_FILENAME;
	else
		code->filename_bytes = got;
	got = name_copy(s, c, object_word(c, s->python.offsets.code_qualname), code->filename_bytes,
			&code->qualname_state);
	if (got < 0)
		code->failed |= FDT_CODE_NO_QUALNAME;
	else
		code->qualname_bytes = got;
	code->table_bytes = table_copy(s, c, code->filename_bytes + code->qualname_bytes);
	return code->filename_bytes + code->qualname_bytes + code->table_bytes;
}

/* A lost record is forgotten, so that the next new stack brings it again. */
static __always_inline void code_send(struct fdt_scratch *s, struct fdt_sent_code *c,
				      const struct fdt_code_key *key)
{
	struct task_struct *task = plain_task(CURRENT);
	u32 size = sizeof(struct fdt_code) + code_fill(s, c);

	OPAQUE(size);
	if (size > sizeof(struct fdt_code) + sizeof(c->data))
		return;
	head_fill(&c->code.head, FDT_CODE, FDT_OP_NONE, size, coarse_ns(), task, (u64)task->files);
	c->code.space = key->space;
	c->code.address = key->address;
	c->code.interpreter = s->python.interpreter;
	if (bpf_ringbuf_output(&fdt_ring, c, size, wakeup_flags(size))) {
		__sync_fetch_and_add(&codes_lost.value, 1);
		bpf_map_delete_elem(&fdt_codes, key);
		return;
	}
	__sync_fetch_and_add(&codes_sent.value, 1);
}

struct fdt_code_walk {
	struct fdt_scratch *scratch;
	struct fdt_sent_code *sent;
};

static long code_step(u64 i, struct fdt_code_walk *walk)
{
	struct fdt_scratch *s = walk->scratch;
	struct fdt_sent_code *c = walk->sent;
	u32 n = s->stack.native_count + (u32)i;
	struct fdt_code_key key;
	u64 tag, *sent;

	OPAQUE(n);
	if (i >= s->stack.interpreted_count || n >= FDT_NATIVE_MAX + FDT_INTERPRETED_MAX)
		return 1;
	if (s->frame[n].language != LANGUAGE_PYTHON)
		return 0;
	key.space = s->stack.space;
	key.address = s->frame[n].address;
	if (bpf_probe_read_user(c->object, CODE_HEAD_BYTES, (void *)key.address))
		return 0;
	tag = code_tag(s, c);
	sent = bpf_map_lookup_elem(&fdt_codes, &key);
	if (sent && *sent == tag)
		return 0;
	bpf_map_update_elem(&fdt_codes, &key, &tag, BPF_ANY);
	code_send(s, c, &key);
	return 0;
}

/* Sends the code objects of the stack in s that have not been sent. */
static __noinline int python_send_codes(struct fdt_scratch *s)
{
	struct fdt_code_walk walk = { .scratch = s };
	u32 zero = 0;

	walk.sent = bpf_map_lookup_elem(&fdt_codes_busy, &zero);
	if (!s || !walk.sent)
		return 0;
	bpf_loop(FDT_INTERPRETED_MAX, code_step, &walk, 0);
	return 0;
}

#endif
