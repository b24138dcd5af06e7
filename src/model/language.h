/* SPDX-License-Identifier: BSD-2-Clause */
/* What the model knows of a language; fdtrace/language.h has the table. */
#ifndef FDTRACE_MODEL_LANGUAGE_H
#define FDTRACE_MODEL_LANGUAGE_H

#include "fdtrace/language.h"

/* "Python"; "native" for a number that is not in the table. */
const char *language_name(enum language language);

#endif
