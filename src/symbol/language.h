/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a language brings so that its frames are named: one struct language_ops, in a folder of
 * its own, and one row in language.c. Nothing else in symbol/ knows any language. README.md in
 * this folder says how to add one.
 *
 * A process's memory and files are hostile: whatever is passed in here may hold any bytes.
 */
#ifndef FDTRACE_SYMBOL_LANGUAGE_H
#define FDTRACE_SYMBOL_LANGUAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fdtrace/stack.h"
#include "model/language.h"
#include "symbol/elf/elf_file.h"

/* A frame in words. Strings are UTF-8 as far as the process's were, and live until the next note. */
struct language_frame {
	const char *function;    /* qualified where the language has that; NULL: unknown */
	const char *file;        /* its source; NULL: unknown */
	const char *module;      /* the part of file that is the same wherever it is installed */
	unsigned int line;       /* 0: unknown */
	unsigned int flags;      /* FDT_SITE_FRAME_LIBRARY, _SYSTEM: how it ranks; 0: application */
	unsigned int site_flags; /* FDT_SITE_*, of the whole stack */
};

struct language_ops {
	enum language id;
	const char *word;       /* "python": what is written for an unknown file */
	size_t parameters_size; /* of what recognise() fills in for the walk, a struct of its own */

	/*
	 * Whether the file is an interpreter of this language. 1: one that can be walked:
	 * *ret_parameters is filled in; 0: it is not; -ENOTSUP: it is, but is not supported.
	 * description: which it is, or why it is not supported, in one line for the user. Called
	 * in the reading thread, so it may only use its arguments.
	 */
	int (*recognise)(struct elf_file *file, void *ret_parameters, char *description,
			 size_t size);

	/* What is kept of the functions of all processes. 0 or -ENOMEM; NULL may be freed. */
	int (*state_new)(void **ret_state);
	void (*state_free)(void *state);

	/* Keeps what the kernel side sent about a function. 0, -EINVAL: malformed, or -ENOMEM. */
	int (*note)(void *state, const struct fdt_code *record);

	/* What an interpreted frame is called. 0, or -ENOENT: nothing is known of it. */
	int (*resolve)(void *state, const void *parameters, uint64_t space,
		       const struct fdt_frame *frame, struct language_frame *ret_frame);

	/* Whether this native function of the interpreter runs frames: they belong in its place. */
	bool (*is_loop)(const char *symbol);

	/*
	 * FDT_SITE_* that a native function of the interpreter stands for. is_inner: no
	 * interpreted frame is nearer to the call.
	 */
	unsigned int (*native_flags)(const char *symbol, bool is_inner);
};

/* NULL: native code, or an unknown number. */
const struct language_ops *language_ops(unsigned int language);

/* An interpreter that was recognised. All zero: the file is none. */
struct language_found {
	const struct language_ops *ops;
	bool is_supported;
	void *parameters; /* owned; NULL unless supported */
	char description[128];
};

/* Asks each language in turn. 0 or -ENOMEM. */
int language_recognise(struct elf_file *file, struct language_found *ret_found);
void language_found_done(struct language_found *found);

/* The states of all languages. */
struct languages;

int languages_new(struct languages **ret_languages); /* 0 or -ENOMEM */
void languages_free(struct languages *languages);    /* NULL is allowed */
int languages_note(struct languages *languages, const struct fdt_code *record);
int languages_resolve(struct languages *languages, const void *parameters, uint64_t space,
		      const struct fdt_frame *frame, struct language_frame *ret_frame);

#endif
