/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The languages whose frames fdtrace names: one row for each, its identifier and the name people
 * read. Numbers are part of recordings (see FDT_SITE_FRAME_LANGUAGE): new rows go to the end.
 * src/symbol/README.md says what else a language needs.
 */
#ifndef FDTRACE_LANGUAGE_H
#define FDTRACE_LANGUAGE_H

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
