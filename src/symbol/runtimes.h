/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which native code belongs to the runtime of a language and not to the application: the engine of
 * an interpreter, a standard library, the C library inside a static program. Its frames rank as
 * FDT_SITE_FRAME_LIBRARY, so that a finding names who called it. One row for each in runtimes.c.
 */
#ifndef FDTRACE_SYMBOL_RUNTIMES_H
#define FDTRACE_SYMBOL_RUNTIMES_H

#include <stdbool.h>

#include "symbol/elf/elf_file.h"

/* Whether all of the file is a runtime's. path: as the process sees it. */
bool runtime_is_file(const char *path);

/* Whether the function is a runtime's, wherever it lies. is_static: in a program with its own C library. */
bool runtime_is_function(const struct elf_place *place, bool is_static);

#endif
