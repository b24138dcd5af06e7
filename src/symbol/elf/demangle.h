/* SPDX-License-Identifier: BSD-2-Clause */
/* Names of C++ and Rust functions as people write them (libiberty). */
#ifndef FDTRACE_SYMBOL_DEMANGLE_H
#define FDTRACE_SYMBOL_DEMANGLE_H

#define DEMANGLE_MAX 1024      /* bytes of a symbol */
#define DEMANGLE_NAME_MAX 4096 /* bytes of a name; std::map of std::map of ... reaches 1000 */

/*
 * "ns::Class::method", without parameters, return types and Rust's hash. To be freed by the
 * caller. NULL: not a mangled name, it or its name is too long, or no memory; then the symbol is
 * its own name. Hostile symbols can't make it recurse, or grow, without bound.
 */
char *demangle(const char *symbol);

#endif
