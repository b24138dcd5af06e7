// SPDX-License-Identifier: BSD-2-Clause
/* The test of the function hooks: its child does its work, and silence is noticed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fdtrace/event.h"
#include "source/live/self_test.h"

static void hear_slot(struct self_test *test, pid_t pid, unsigned int op, int fd)
{
	struct fdt_slot event = { .head = { .kind = FDT_SLOT,
					    .op = (uint8_t)op,
					    .size = sizeof(event),
					    .tgid = (uint32_t)pid },
				  .fd = fd };

	self_test_event(test, &event, sizeof(event));
}

static void what_is_not_heard_is_named(void **state)
{
	struct self_test *test;
	pid_t pid;

	(void)state;
	assert_int_equal(self_test_new(&test), 0);
	pid = self_test_pid(test);
	assert_true(pid > 0);
	assert_int_equal(self_test_run(test), 0);
	assert_string_equal(self_test_missing(test, true), "open");
	hear_slot(test, pid + 1, FDT_OP_OPEN, 3); /* another's */
	assert_string_equal(self_test_missing(test, true), "open");
	for (int fd = 0; fd < 256; fd++)
		hear_slot(test, pid, FDT_OP_OPEN, fd);
	assert_string_equal(self_test_missing(test, true), "dup2");
	for (int fd = 0; fd < 256; fd++)
		hear_slot(test, pid, FDT_OP_REPLACE, fd);
	assert_string_equal(self_test_missing(test, true), "a descriptor received");
	for (int fd = 0; fd < 256; fd++) {
		hear_slot(test, pid, FDT_OP_RECEIVE, fd);
		hear_slot(test, pid, FDT_OP_CLOSE, fd);
	}
	assert_string_equal(self_test_missing(test, true), "close_range");
	self_test_free(test);
}

/* One that was never let go ends with the test. */
static void a_child_that_waits_is_not_left_behind(void **state)
{
	struct self_test *test;

	(void)state;
	assert_int_equal(self_test_new(&test), 0);
	self_test_free(test);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_not_heard_is_named),
		cmocka_unit_test(a_child_that_waits_is_not_left_behind),
	};

	(void)argv;
	if (argc > 1) /* this is the child, after its exec */
		return 0;
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
