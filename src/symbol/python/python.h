/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CPython seen from outside: which interpreter an ELF file is, and what its frames mean. The
 * frames themselves are walked by the kernel side (bpf/python.bpf.h) with the offsets given here.
 */
#ifndef FDTRACE_SYMBOL_PYTHON_H
#define FDTRACE_SYMBOL_PYTHON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "fdtrace/stack.h"
#include "symbol/elf/elf_file.h"

/*
 * Whether the file is an interpreter (python itself, libpython, a program with Python in it):
 * 1: one whose frames can be walked: *ret_python filled, description "CPython 3.11 (Debian)" or alike;
 * 0: no interpreter at all; -ENOTSUP: one that is not supported (PyPy, a free-threaded build, an
 * unknown one): description says which and why, for one clear line to the user.
 */
int python_recognise(struct elf_file *file, struct fdt_python *ret_python, char *description,
		     size_t size);

/* Code objects sent by the kernel side. */
struct python_codes;

#define PYTHON_CODES_MAX 65536 /* the least used go first */

int python_codes_new(struct python_codes **ret_codes); /* 0 or -ENOMEM */
void python_codes_free(struct python_codes *codes);    /* NULL is allowed */

/* Keeps what the record says; a code object of the same space and address is replaced. 0, -EINVAL, -ENOMEM. */
int python_codes_note(struct python_codes *codes, const struct fdt_code *record);

/*
 * A frame in words. Strings are UTF-8 as far as the interpreter's were; they live until the next
 * note. NULL: could not be read.
 */
struct python_place {
	/* Qualified name where the version has it ("A.f.<locals>.g"), else the name. */
	const char *function;
	const char *file;  /* co_filename */
	unsigned int line; /* 0: not known */
};

/* 0, or -ENOENT: the code object was never sent. */
int python_place(struct python_codes *codes, const struct fdt_python *python, uint64_t space,
		 const struct fdt_frame *frame, struct python_place *ret_place);

/* A native function of the interpreter that runs Python code (a Python frame belongs there). */
bool python_is_eval(const char *symbol);

#endif
