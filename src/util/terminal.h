/* SPDX-License-Identifier: BSD-2-Clause */
/* What text for a person may use on a descriptor: columns, colours, characters beyond ASCII. */
#ifndef FDTRACE_UTIL_TERMINAL_H
#define FDTRACE_UTIL_TERMINAL_H

#include <stdbool.h>

enum color { COLOR_AUTO, COLOR_ALWAYS, COLOR_NEVER };

#define TERMINAL_WIDTH_MAX 10000

/*
 * Columns: `asked` (--width), else those of the terminal, else $COLUMNS; 80 for a terminal that
 * does not say. 0: unlimited.
 */
unsigned int terminal_width(int fd, unsigned int asked);

/*
 * COLOR_AUTO: not if $NO_COLOR is set; else if $FORCE_COLOR or $CLICOLOR_FORCE is set and not "0";
 * else on terminals that are not dumb.
 */
bool terminal_color(int fd, enum color color);

/* A terminal whose locale (LC_ALL, LC_CTYPE, LANG) has another character set than UTF-8. */
bool terminal_is_ascii(int fd);

#endif
