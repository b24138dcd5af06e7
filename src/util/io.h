/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef FDTRACE_UTIL_IO_H
#define FDTRACE_UTIL_IO_H

#include <stddef.h>

/*
 * Writes everything: continues after short writes and EINTR, waits while fd is not ready. 0 or
 * -errno.
 */
int write_all(int fd, const void *data, size_t size);

/*
 * Reads to the end, at most max bytes, into *ret_text, which the caller frees. 0; -EFBIG if there
 * is more, -ENOMEM or another -errno, then *ret_text is NULL. The size is found by reading, since a
 * pipe has none.
 */
int read_bounded(int fd, size_t max, char **ret_text, size_t *ret_size);

/*
 * Makes sure that 0, 1 and 2 are open (closed ones on /dev/null), so that no descriptor of
 * ours ever lands there. Bit n of *ret_was_closed: n was closed. 0 or -errno.
 */
int stdio_guard(unsigned int *ret_was_closed);

#endif
