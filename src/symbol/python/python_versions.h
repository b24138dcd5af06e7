/* SPDX-License-Identifier: BSD-2-Clause */
/* Where CPython keeps what is needed to walk its frames: builds that are known. */
#ifndef FDTRACE_SYMBOL_PYTHON_VERSIONS_H
#define FDTRACE_SYMBOL_PYTHON_VERSIONS_H

#include <stddef.h>
#include <stdint.h>
#include "fdtrace/python.h"

struct python_build {
	uint64_t runtime_size; /* of _PyRuntime, in bytes; 0: the version has none (2.7, 3.6) */
	struct fdt_python offsets;
};

/* The build with a _PyRuntime of that size, or NULL. */
const struct python_build *python_build_by_size(uint64_t runtime_size);

/* The build of a version (0x0207); NULL: none is known. */
const struct python_build *python_build_by_version(uint16_t version);

/* The known versions one after the other, oldest first; NULL behind the last. */
const struct python_build *python_build_at(size_t index);

/* _Py_DebugOffsets of 3.13 (Include/internal/pycore_runtime.h), in words of 64 bits. */
#define PYTHON_DEBUG_COOKIE "xdebugpy"
enum python_debug_word {
	PYTHON_DEBUG_VERSION = 1, /* as Py_Version */
	PYTHON_DEBUG_FREE_THREADED = 2,
	PYTHON_DEBUG_RUNTIME_SIZE = 3,
	PYTHON_DEBUG_INTERPRETERS = 5,
	PYTHON_DEBUG_INTERPRETER_NEXT = 8,
	PYTHON_DEBUG_INTERPRETER_THREADS = 9,
	PYTHON_DEBUG_THREAD_NEXT = 21,
	PYTHON_DEBUG_THREAD_FRAME = 23,
	PYTHON_DEBUG_THREAD_ID = 24,
	PYTHON_DEBUG_THREAD_DATASTACK = 26,
	PYTHON_DEBUG_FRAME_PREVIOUS = 29,
	PYTHON_DEBUG_FRAME_CODE = 30,
	PYTHON_DEBUG_FRAME_INSTRUCTION = 31,
	PYTHON_DEBUG_FRAME_OWNER = 33,
	PYTHON_DEBUG_CODE_FILENAME = 35,
	PYTHON_DEBUG_CODE_QUALNAME = 37,
	PYTHON_DEBUG_CODE_LINETABLE = 38,
	PYTHON_DEBUG_CODE_FIRSTLINE = 39,
	PYTHON_DEBUG_CODE_ADAPTIVE = 43,
	PYTHON_DEBUG_BYTES_DATA = 66,
	PYTHON_DEBUG_STRING_ASCII = 70,
	PYTHON_DEBUG_WORDS = 71,
};

/*
 * What the words say about a 3.13. The TSS key is not among them: the list of threads is to be
 * walked. 0, or -EINVAL: an offset is beyond what any 3.13 has, or what the kernel side reads.
 */
int python_build_from_debug(const uint64_t words[PYTHON_DEBUG_WORDS],
			    struct fdt_python *ret_offsets);

#endif
