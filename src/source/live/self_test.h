/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Do the hooks report what they should? A compiler may have inlined a function on some path, and a
 * kernel may have renamed or split it: attaching alone proves nothing. So a child of ours opens,
 * duplicates, passes and closes descriptors, and each of these has to be heard of.
 */
#ifndef FDTRACE_SOURCE_SELF_TEST_H
#define FDTRACE_SOURCE_SELF_TEST_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct self_test;

/* Forks the child, which waits. It lives until self_test_free(). -errno: there is none. */
int self_test_new(struct self_test **ret_test);
pid_t self_test_pid(const struct self_test *test); /* to be traced before the next */

/* Lets it do its work; returns when it has ended. 0 or -errno: it could not do it. */
int self_test_run(struct self_test *test);

/* Each event that came since. Others' are ignored. */
void self_test_event(struct self_test *test, const void *event, size_t size);

/*
 * NULL: all was seen. Else what was not, as in "no event for dup3". failures: a close that
 * failed has to be heard of, too.
 */
const char *self_test_missing(const struct self_test *test, bool failures);
void self_test_free(struct self_test *test);

#endif
