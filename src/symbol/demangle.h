/* SPDX-License-Identifier: BSD-2-Clause */
/* Names of C++ and Rust functions as people write them (libiberty). */
#ifndef FDTRACE_SYMBOL_DEMANGLE_H
#define FDTRACE_SYMBOL_DEMANGLE_H

/*
 * To be freed by the caller. NULL: not a mangled name, longer than DEMANGLE_MAX, or no memory;
 * then the symbol is its own name. Hostile symbols can't make it recurse without bound.
 */
#define DEMANGLE_MAX 1024
char *demangle(const char *symbol);

#endif
