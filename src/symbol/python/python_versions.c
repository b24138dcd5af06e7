// SPDX-License-Identifier: BSD-2-Clause
/*
 * Every number is offsetof() or sizeof() of the version's own headers (with Py_BUILD_CORE), on
 * 64-bit Linux: 2.7 and 3.6: pystate.h, frameobject.h, code.h, stringobject.h; 3.7:
 * internal/pystate.h; from 3.8 on internal/pycore_{pystate,runtime,interp,frame}.h and
 * cpython/{code,pystate,unicodeobject}.h. 3.8: by the headers, checked on a running 3.8.18.
 * The releases they were taken from: 2.7.18, 3.6.15, 3.7.16, 3.8.18, 3.9.18, 3.10.13, 3.11.2
 * and 3.11.7 (the same), 3.12.1, 3.13.0. A patch release may move members of _PyRuntime, and
 * then its size changes: that is why builds go by size.
 */
#include <errno.h>

#include "symbol/python/python_versions.h"

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

#define FLAGS_OBJECTS FDT_PY_LASTI
#define FLAGS_311 (FDT_PY_CFRAME | FDT_PY_OWNER | FDT_PY_IS_ENTRY)
#define FLAGS_312 (FDT_PY_CFRAME | FDT_PY_OWNER | FDT_PY_SHIM)
#define FLAGS_313 (FDT_PY_OWNER | FDT_PY_SHIM)

static const struct python_build builds[] = {
	{ 0,
	  { .version = 0x0207,
	    .flags = FLAGS_OBJECTS | FDT_PY_STR2 | FDT_PY_LIST_WALK,
	    .interpreter_threads = 8,
	    .thread_next = 0,
	    .thread_id = 144,
	    .thread_frame = 16,
	    .frame_code = 32,
	    .frame_instruction = 120,
	    .frame_previous = 24,
	    .code_filename = 80,
	    .code_qualname = 88,
	    .code_firstline = 96,
	    .code_linetable = 104,
	    .string_ascii = 36,
	    .string_compact = 36,
	    .bytes_data = 36 } },
	{ 0,
	  { .version = 0x0306,
	    .flags = FLAGS_OBJECTS | FDT_PY_LIST_WALK,
	    .interpreter_threads = 8,
	    .thread_next = 8,
	    .thread_id = 152,
	    .thread_frame = 24,
	    .frame_code = 32,
	    .frame_instruction = 120,
	    .frame_previous = 24,
	    .code_filename = 96,
	    .code_qualname = 104,
	    .code_firstline = 36,
	    .code_linetable = 112,
	    .string_ascii = 48,
	    .string_compact = 72,
	    .bytes_data = 32 } },
	{ 1520,
	  { .version = 0x0307,
	    .flags = FLAGS_OBJECTS,
	    .tss_key = 1508,
	    .runtime_interpreters = 24,
	    .interpreter_threads = 8,
	    .thread_next = 8,
	    .thread_id = 176,
	    .thread_frame = 24,
	    .frame_code = 32,
	    .frame_instruction = 104,
	    .frame_previous = 24,
	    .code_filename = 96,
	    .code_qualname = 104,
	    .code_firstline = 36,
	    .code_linetable = 112,
	    .string_ascii = 48,
	    .string_compact = 72,
	    .bytes_data = 32 } },
	{ 1464,
	  { .version = 0x0308,
	    .flags = FLAGS_OBJECTS,
	    .tss_key = 1396,
	    .runtime_interpreters = 32,
	    .interpreter_threads = 8,
	    .thread_next = 8,
	    .thread_id = 176,
	    .thread_frame = 24,
	    .frame_code = 32,
	    .frame_instruction = 104,
	    .frame_previous = 24,
	    .code_filename = 104,
	    .code_qualname = 112,
	    .code_firstline = 40,
	    .code_linetable = 120,
	    .string_ascii = 48,
	    .string_compact = 72,
	    .bytes_data = 32 } },
	{ 656,
	  { .version = 0x0309,
	    .flags = FLAGS_OBJECTS,
	    .tss_key = 588,
	    .runtime_interpreters = 32,
	    .interpreter_threads = 8,
	    .thread_next = 8,
	    .thread_id = 176,
	    .thread_frame = 24,
	    .frame_code = 32,
	    .frame_instruction = 104,
	    .frame_previous = 24,
	    .code_filename = 104,
	    .code_qualname = 112,
	    .code_firstline = 40,
	    .code_linetable = 120,
	    .string_ascii = 48,
	    .string_compact = 72,
	    .bytes_data = 32 } },
	{ 672,
	  { .version = 0x030a,
	    .flags = FLAGS_OBJECTS,
	    .tss_key = 588,
	    .runtime_interpreters = 32,
	    .interpreter_threads = 8,
	    .thread_next = 8,
	    .thread_id = 176,
	    .thread_frame = 24,
	    .frame_code = 32,
	    .frame_instruction = 96,
	    .frame_previous = 24,
	    .code_filename = 104,
	    .code_qualname = 112,
	    .code_firstline = 40,
	    .code_linetable = 120,
	    .string_ascii = 48,
	    .string_compact = 72,
	    .bytes_data = 32 } },
	{ 166688,
	  { .version = 0x030b,
	    .flags = FLAGS_311,
	    .tss_key = 596,
	    .runtime_interpreters = 40,
	    .interpreter_threads = 16,
	    .thread_next = 8,
	    .thread_id = 152,
	    .thread_frame = 56, /* cframe */
	    .thread_datastack = 296,
	    .cframe_frame = 8,
	    .frame_code = 32,
	    .frame_instruction = 56,
	    .frame_previous = 48,
	    .frame_owner = 69,
	    .frame_is_entry = 68,
	    .code_filename = 112,
	    .code_qualname = 128,
	    .code_firstline = 72,
	    .code_linetable = 136,
	    .code_adaptive = 184,
	    .string_ascii = 48,
	    .string_compact = 72,
	    .bytes_data = 32 } },
	{ 459944,
	  { .version = 0x030c,
	    .flags = FLAGS_312,
	    .tss_key = 1548,
	    .runtime_interpreters = 40,
	    .interpreter_threads = 72,
	    .thread_next = 8,
	    .thread_id = 136,
	    .thread_frame = 56, /* cframe */
	    .thread_datastack = 232,
	    .cframe_frame = 0,
	    .frame_code = 0,
	    .frame_instruction = 56,
	    .frame_previous = 8,
	    .frame_owner = 70,
	    .code_filename = 112,
	    .code_qualname = 128,
	    .code_firstline = 68,
	    .code_linetable = 136,
	    .code_adaptive = 192,
	    .string_ascii = 40,
	    .string_compact = 56,
	    .bytes_data = 32 } },
	{ 283320,
	  { .version = 0x030d,
	    .flags = FLAGS_313,
	    .tss_key = 2164,
	    .runtime_interpreters = 632,
	    .interpreter_next = 7264,
	    .interpreter_threads = 7344,
	    .thread_next = 8,
	    .thread_id = 152,
	    .thread_frame = 72,
	    .thread_datastack = 232,
	    .frame_code = 0,
	    .frame_instruction = 56,
	    .frame_previous = 8,
	    .frame_owner = 70,
	    .code_filename = 112,
	    .code_qualname = 128,
	    .code_firstline = 68,
	    .code_linetable = 136,
	    .code_adaptive = 200,
	    .string_ascii = 40,
	    .string_compact = 56,
	    .bytes_data = 32 } },
};

const struct python_build *python_build_at(size_t index)
{
	return index < ARRAY_SIZE(builds) ? &builds[index] : NULL;
}

const struct python_build *python_build_by_size(uint64_t runtime_size)
{
	for (size_t i = 0; runtime_size != 0 && i < ARRAY_SIZE(builds); i++)
		if (builds[i].runtime_size == runtime_size)
			return &builds[i];
	return NULL;
}

const struct python_build *python_build_by_version(uint16_t version)
{
	for (size_t i = 0; i < ARRAY_SIZE(builds); i++)
		if (builds[i].offsets.version == version)
			return &builds[i];
	return NULL;
}

#define WORD 8
/* What the kernel side reads of each (bpf/python.bpf.h): an offset must lie within. */
#define THREAD_BYTES 384
#define FRAME_BYTES 72
#define CODE_BYTES 208
#define FAR_BYTES 65535

struct debug_field {
	enum python_debug_word word;
	size_t member; /* of struct fdt_python */
	uint64_t max;
};

#define FIELD(word, member, max)                               \
	{                                                      \
		word, offsetof(struct fdt_python, member), max \
	}

static const struct debug_field debug_fields[] = {
	FIELD(PYTHON_DEBUG_INTERPRETERS, runtime_interpreters, FAR_BYTES),
	FIELD(PYTHON_DEBUG_INTERPRETER_NEXT, interpreter_next, FAR_BYTES),
	FIELD(PYTHON_DEBUG_INTERPRETER_THREADS, interpreter_threads, FAR_BYTES),
	FIELD(PYTHON_DEBUG_THREAD_NEXT, thread_next, THREAD_BYTES - WORD),
	FIELD(PYTHON_DEBUG_THREAD_FRAME, thread_frame, THREAD_BYTES - WORD),
	FIELD(PYTHON_DEBUG_THREAD_ID, thread_id, THREAD_BYTES - WORD),
	FIELD(PYTHON_DEBUG_THREAD_DATASTACK, thread_datastack, THREAD_BYTES - WORD),
	FIELD(PYTHON_DEBUG_FRAME_PREVIOUS, frame_previous, FRAME_BYTES - WORD),
	FIELD(PYTHON_DEBUG_FRAME_CODE, frame_code, FRAME_BYTES - WORD),
	FIELD(PYTHON_DEBUG_FRAME_INSTRUCTION, frame_instruction, FRAME_BYTES - WORD),
	FIELD(PYTHON_DEBUG_FRAME_OWNER, frame_owner, FRAME_BYTES - 1),
	FIELD(PYTHON_DEBUG_CODE_FILENAME, code_filename, CODE_BYTES - WORD),
	FIELD(PYTHON_DEBUG_CODE_QUALNAME, code_qualname, CODE_BYTES - WORD),
	FIELD(PYTHON_DEBUG_CODE_LINETABLE, code_linetable, CODE_BYTES - WORD),
	FIELD(PYTHON_DEBUG_CODE_FIRSTLINE, code_firstline, CODE_BYTES - WORD),
	FIELD(PYTHON_DEBUG_CODE_ADAPTIVE, code_adaptive, FAR_BYTES),
	FIELD(PYTHON_DEBUG_BYTES_DATA, bytes_data, FAR_BYTES),
	FIELD(PYTHON_DEBUG_STRING_ASCII, string_ascii, FAR_BYTES),
};

int python_build_from_debug(const uint64_t words[PYTHON_DEBUG_WORDS],
			    struct fdt_python *ret_offsets)
{
	/* PyCompactUnicodeObject is not described; it has two words more, in all versions since 3.12 */
	struct fdt_python offsets = { .version = 0x030d, .flags = FLAGS_313 | FDT_PY_LIST_WALK };

	for (size_t i = 0; i < ARRAY_SIZE(debug_fields); i++) {
		const struct debug_field *field = &debug_fields[i];
		uint64_t value = words[field->word];

		if (value > field->max)
			return -EINVAL;
		*(uint16_t *)((char *)&offsets + field->member) = (uint16_t)value;
	}
	if (offsets.string_ascii > FAR_BYTES - 2 * WORD)
		return -EINVAL;
	offsets.string_compact = (uint16_t)(offsets.string_ascii + 2 * WORD);
	*ret_offsets = offsets;
	return 0;
}
