/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The languages whose frames fdtrace names, by what the frames of a stack say. One row a language:
 * its identifier, the name people read. What reads a language's frames from a process, and how
 * they are named, is symbol/language.h's.
 */
#ifndef FDTRACE_MODEL_LANGUAGE_H
#define FDTRACE_MODEL_LANGUAGE_H

#define FDT_LANGUAGES(X)    \
	X(NATIVE, "native") \
	X(PYTHON, "Python")

enum language {
#define LANGUAGE(id, name) LANGUAGE_##id,
	FDT_LANGUAGES(LANGUAGE)
#undef LANGUAGE
		LANGUAGE_COUNT
};

#endif
