/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef FDTRACE_SYMBOL_PYTHON_LANGUAGE_H
#define FDTRACE_SYMBOL_PYTHON_LANGUAGE_H

#include "symbol/language.h"

/* CPython's row in the table of languages. */
extern const struct language_ops python_language;

#endif
