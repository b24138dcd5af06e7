/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the kernel side needs to walk CPython's frames, by version, and what it keeps for that.
 * Offsets are in bytes. Where they come from: src/symbol/python/python_versions.c.
 */
#ifndef FDTRACE_PYTHON_H
#define FDTRACE_PYTHON_H

#include "fdtrace/event.h"

/* struct fdt_python.flags */
#define FDT_PY_CFRAME 1    /* 3.11, 3.12: tstate points to a _PyCFrame, which points to the frame */
#define FDT_PY_LASTI 2     /* up to 3.10: the frame holds an index (int), not an address */
#define FDT_PY_OWNER 4     /* 3.11 on: frames say who owns them */
#define FDT_PY_SHIM 8      /* 3.12 on: a frame owned by the C stack marks an entry */
#define FDT_PY_IS_ENTRY 16 /* 3.11: the frame has a flag of its own for that */
#define FDT_PY_STR2 64     /* 2.7: names are byte strings */
#define FDT_PY_LIST_WALK 128 /* 2.7, 3.6: no TSS key: the list of thread states is walked */

struct fdt_python {
	__u64 runtime_vaddr; /* of _PyRuntime (2.7, 3.6: of the variable interp_head) in the file */
	__u16 version;       /* 0x030b: 3.11 */
	__u16 flags;
	__u16 tss_key; /* in _PyRuntime: of autoTSSkey._key (u32), after its flag `initialised` */
	__u16 runtime_interpreters;
	__u16 interpreter_next, interpreter_threads;
	__u16 thread_next, thread_id, thread_frame, thread_datastack;
	__u16 cframe_frame;
	__u16 frame_code, frame_instruction, frame_previous, frame_owner, frame_is_entry;
	__u16 code_filename, code_qualname, code_firstline, code_linetable, code_adaptive;
	__u16 string_ascii, string_compact, bytes_data; /* offsets of the characters */
};

/* How struct fdt_code.*_state says what characters a name is made of: PyASCIIObject.state */
#define FDT_PY_STATE_KIND(state) ((state) >> 2 & 7) /* bytes a character */
#define FDT_PY_STATE_ASCII(state) ((state) >> 6 & 1)

/* What is known of CPython in one address space. */
struct fdt_space_python {
	__u64 runtime;     /* address of _PyRuntime (2.7, 3.6: of interp_head) */
	__u32 interpreter; /* FDT_INTERPRETER(); 0: none found so far */
	__u32 tss_key;     /* of its thread state, once read; see tss_known */
	__u32 tss_known;
	__u32 pad;
};

/* Variables of a walk. */
struct fdt_python_walk {
	__u64 frame; /* the next */
	__u64 chunk; /* start of the thread's data stack chunk; 0: not known */
	struct fdt_python offsets;
	__u32 interpreter;
	__u32 pad;
	__u8 thread_state[384];
};

FDT_SIZE_IS(fdt_python, 56);
FDT_SIZE_IS(fdt_space_python, 24);

#endif
