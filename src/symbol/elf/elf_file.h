/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One ELF file that traced processes run: its identity, and what its addresses are called.
 * Opened once per file, kept while fdtrace runs, whoever maps it and whatever happens to its
 * name meanwhile. Everything in the file may be hostile: malformed contents give less, never a
 * crash, an endless loop or unbounded memory.
 *
 * Addresses here are those of the file (p_vaddr), not of a process.
 */
#ifndef FDTRACE_SYMBOL_ELF_FILE_H
#define FDTRACE_SYMBOL_ELF_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <libelf.h>

#include "fdtrace/stack.h"

struct elf_file;

#define ELF_FILE_MAX_BYTES (4ull << 30) /* a larger file is refused */

/*
 * Reads the headers. Takes fd over in any case. name: the path as the process sees it, for
 * messages and frames (copied). 0; -ENOEXEC: no ELF file of 64 bits of this machine; -EFBIG;
 * -ENOMEM; or another -errno.
 */
int elf_file_open(int fd, const char *name, struct elf_file **ret_file);

/* The same for the vdso or another image in memory; the bytes are copied. */
int elf_file_from_memory(const void *image, size_t size, const char *name,
			 struct elf_file **ret_file);
void elf_file_free(struct elf_file *file); /* NULL is allowed */

/*
 * Gives back the memory of everything read so far; it is read again where it is needed. Before the
 * first elf_file_places(). 0; or -ENOEXEC: the file is no ELF file any more, free it.
 */
int elf_file_settle(struct elf_file *file);

/* A further descriptor of the file, or -1. */
int elf_file_dup(const struct elf_file *file);

Elf *elf_file_elf(const struct elf_file *file); /* borrowed; until elf_file_settle() */
const char *elf_file_name(const struct elf_file *file);
const char *elf_file_base_name(const struct elf_file *file);

/* The build-id in hex, "" if the file has none. */
const char *elf_file_build_id(const struct elf_file *file);

/*
 * The executable PT_LOAD segments: usually one; Node has three, and tools that lay out a program
 * again (BOLT) add some whose delta = p_vaddr - p_offset is another. Offsets are those that
 * mappings of them have: of whole pages.
 */
#define ELF_TEXT_MAX (1ull << 30) /* from the first to the end of the last; others are left out */
struct elf_segment {
	uint64_t offset, end; /* in the file */
	uint64_t delta;
};
struct elf_text {
	uint64_t vaddr, size; /* from the first to the end of the last, with what is between them */
	unsigned int count;
	struct elf_segment segment[FDT_SEGMENTS_MAX]; /* no two overlap */
};

/* false: there is none. */
bool elf_file_text(const struct elf_file *file, struct elf_text *ret_text);

/* The delta of what is mapped from an offset of the file; false: not one of the segments. */
bool elf_text_delta(const struct elf_text *text, uint64_t offset, uint64_t *ret_delta);

/*
 * A symbol of .symtab or .dynsym by its exact name (for interpreters): address and size.
 * 0, or -ENOENT.
 */
int elf_file_symbol(struct elf_file *file, const char *name, uint64_t *ret_vaddr,
		    uint64_t *ret_size);

/* Whether it is a program that no dynamic linker starts, and so has its C library inside. */
bool elf_file_is_static(const struct elf_file *file);

/* Reads bytes of the file's image at an address. 0, or -EFAULT. */
int elf_file_read(struct elf_file *file, uint64_t vaddr, void *buffer, size_t size);

/*
 * What is at an address. function: demangled; NULL if nothing is known (then print
 * module+0xoffset: a symbol is believed only within its size, or, if it has none, up to the next
 * symbol of the same section). source, line: from DWARF, in the file itself or a separate debug
 * file found by build-id or debuglink; NULL, 0 if there is none. raw: the symbol as it is in the
 * table, not demangled. Strings live as long as the file.
 */
struct elf_place {
	const char *function;
	const char *raw;
	const char *source;
	unsigned int line;
	/* Of the address in the function, from its symbol; 0: inlined, or no symbol. */
	uint64_t offset;
	bool inlined; /* this one has been inlined into the next */
};

/*
 * The innermost first: several where functions were inlined, at most max, at least one (it may be
 * all unknown). is_return: the address is behind a call: what lies before it is looked up.
 */
unsigned int elf_file_places(struct elf_file *file, uint64_t vaddr, bool is_return,
			     struct elf_place *places, unsigned int max);

/*
 * Its functions are to be named, but no lines are looked up: for the C library and its like, whose
 * debug information takes a tenth of a second to open. Before the first elf_file_places().
 */
void elf_file_symbols_only(struct elf_file *file);

/*
 * If no place was asked for since the last call: lets go of all that places need, until the next is
 * asked for, and returns true. Strings of places are invalid from then on.
 */
bool elf_file_rest(struct elf_file *file);

/*
 * Closes the file for good, unless it holds what places need (elf_file_rest()) or is closed: false.
 * Its name remains; it has no places, symbols or bytes any more.
 */
bool elf_file_close(struct elf_file *file);

#endif
