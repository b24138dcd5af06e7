// SPDX-License-Identifier: BSD-2-Clause
/* What stands in the way, judged from injected facts; and the words for it. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "source/doctor/interpreters.h"
#include "source/doctor/obstacle.h"

static struct circumstances healthy(void)
{
	return (struct circumstances){ .proc = true,
				       .initial_user_namespace = true,
				       .initial_pid_namespace = true,
				       .may_trace = true,
				       .sysfs = true,
				       .ring_bytes = 16 << 20,
				       .capabilities = "all there (uid 0)",
				       .lockdown = "[none] integrity confidentiality" };
}

static void nothing_stands_in_the_way_of_the_healthy(void **state)
{
	struct circumstances c = healthy();

	(void)state;
	assert_int_equal(obstacle_of(&c), OBSTACLE_NONE);
	c.lockdown[0] = '\0'; /* not told, and not asked */
	c.filtered = true;    /* a filter that allows bpf(2) */
	c.read_kernel = c.loop = -EOPNOTSUPP;
	c.initial_user_namespace = false; /* bpf(2) was delegated */
	assert_int_equal(obstacle_of(&c), OBSTACLE_NONE);
}

static void a_refused_call_is_told_apart(void **state)
{
	struct circumstances c = healthy();

	(void)state;
	c.load = -EPERM;
	assert_int_equal(obstacle_of(&c), OBSTACLE_SECURITY_MODULE);
	c.filtered = true;
	assert_int_equal(obstacle_of(&c), OBSTACLE_SECCOMP);
	c.load = -ENOSYS; /* as some runtimes' filters say */
	assert_int_equal(obstacle_of(&c), OBSTACLE_SECCOMP);
	c.filtered = false;
	assert_int_equal(obstacle_of(&c), OBSTACLE_NO_BPF);
	c.load = -EACCES;
	c.may_trace = false;
	assert_int_equal(obstacle_of(&c), OBSTACLE_CAPABILITIES);
	c.initial_user_namespace = false; /* with or without capabilities there */
	assert_int_equal(obstacle_of(&c), OBSTACLE_USER_NAMESPACE);
	c.may_trace = true;
	assert_int_equal(obstacle_of(&c), OBSTACLE_USER_NAMESPACE);
	c.proc = false; /* then nothing of this is known */
	assert_int_equal(obstacle_of(&c), OBSTACLE_PROC);
}

static void what_bpf_cannot_help_comes_next(void **state)
{
	struct circumstances c = healthy();

	(void)state;
	c.ring = -ENOMEM;
	assert_int_equal(obstacle_of(&c), OBSTACLE_MEMORY);
	c.loop = -EINVAL;
	assert_int_equal(obstacle_of(&c), OBSTACLE_OLD_KERNEL);
	c.read_kernel =
		-EINVAL; /* lockdown takes this helper away, whether securityfs is there or not */
	assert_int_equal(obstacle_of(&c), OBSTACLE_LOCKDOWN);
	c.initial_pid_namespace = false;
	assert_int_equal(obstacle_of(&c), OBSTACLE_PID_NAMESPACE);
	c.btf = -ENOENT;
	assert_int_equal(obstacle_of(&c), OBSTACLE_BTF);
	c.sysfs = false;
	assert_int_equal(obstacle_of(&c), OBSTACLE_SYSFS);
	c.may_trace = false; /* where everybody may use some of bpf(2) */
	assert_int_equal(obstacle_of(&c), OBSTACLE_CAPABILITIES);
}

static void lockdown_goes_by_what_is_in_force(void **state)
{
	struct circumstances c = healthy();

	(void)state;
	strcpy(c.lockdown, "none [integrity] confidentiality");
	assert_int_equal(obstacle_of(&c), OBSTACLE_NONE);
	strcpy(c.lockdown, "none integrity [confidentiality]");
	assert_int_equal(obstacle_of(&c), OBSTACLE_LOCKDOWN);
}

static void a_lack_of_descriptors_is_no_lack_of_memory(void **state)
{
	struct circumstances c = healthy();
	struct error t;

	(void)state;
	c.load = c.ring = -EMFILE;
	assert_int_equal(obstacle_of(&c), OBSTACLE_NONE);
	assert_int_equal(obstacle_explain(OBSTACLE_NONE, &c, -EMFILE, "libbpf's words", &t),
			 -EMFILE);
	assert_string_equal(t.what, "cannot load programs into the kernel: Too many open files");
	assert_string_equal(t.cause, "libbpf's words");
	assert_non_null(strstr(t.remedy, "fdtrace doctor"));
}

static void memory_for_other_maps_may_be_missing(void **state)
{
	struct circumstances c = healthy();
	struct error t;

	(void)state;
	assert_int_equal(obstacle_explain(OBSTACLE_NONE, &c, -ENOMEM, "libbpf's words", &t),
			 -ENOMEM);
	assert_string_equal(t.cause,
			    "a control group's limit, or too little memory: libbpf's words");
}

/* Whatever errno the refusal came with. */
static void expect_words(enum obstacle obstacle, int err, int result, const char *cause,
			 const char *remedy)
{
	struct circumstances c = healthy();
	struct error t;

	c.btf = -ENOENT;
	c.ring = -ENOMEM;
	assert_int_equal(obstacle_explain(obstacle, &c, err, "libbpf's words", &t), result);
	assert_int_equal(t.status, EXIT_CANNOT);
	assert_string_not_equal(t.what, "");
	assert_non_null(strstr(t.cause, cause));
	assert_non_null(strstr(t.remedy, remedy));
	assert_null(strstr(t.cause, "libbpf"));
}

static void each_says_what_stopped_it_and_what_to_do(void **state)
{
	(void)state;
	expect_words(OBSTACLE_PROC, -EPERM, -ENOENT, "/proc", "mount -t proc");
	expect_words(OBSTACLE_USER_NAMESPACE, -EPERM, -EPERM, "of a user namespace only", "sudo");
	expect_words(OBSTACLE_CAPABILITIES, -EPERM, -EPERM, "CAP_BPF and CAP_PERFMON", "--cap-add");
	expect_words(OBSTACLE_SECCOMP, -ENOSYS, -EPERM, "seccomp", "seccomp=unconfined");
	expect_words(OBSTACLE_NO_BPF, -ENOSYS, -ENOTSUP, "bpf(2)", "CONFIG_BPF_SYSCALL");
	expect_words(OBSTACLE_SECURITY_MODULE, -EPERM, -EPERM, "SELinux", "ausearch");
	expect_words(OBSTACLE_SYSFS, -ENOENT, -ENOENT, "/sys is not mounted", "mount -t sysfs");
	expect_words(OBSTACLE_BTF, -ESRCH, -ENOENT, "does not exist", "CONFIG_DEBUG_INFO_BTF");
	expect_words(OBSTACLE_PID_NAMESPACE, -EPERM, -ENOTSUP, "pids here differ", "--pid=host");
	expect_words(OBSTACLE_LOCKDOWN, -EINVAL, -EPERM, "confidentiality", "lockdown=integrity");
	expect_words(OBSTACLE_LOCKDOWN, -EPERM, -EPERM, "confidentiality", "lockdown=integrity");
	expect_words(OBSTACLE_OLD_KERNEL, -EINVAL, -ENOTSUP, "bpf_loop", "5.17");
	expect_words(OBSTACLE_MEMORY, -ENOMEM, -ENOMEM, "control group", "ring.size");
}

static void unreadable_types_are_not_called_missing(void **state)
{
	struct circumstances c = healthy();
	struct error t;

	(void)state;
	c.btf = -EACCES;
	obstacle_explain(OBSTACLE_BTF, &c, -EACCES, "", &t);
	assert_string_equal(t.cause, "/sys/kernel/btf/vmlinux cannot be read: Permission denied");
}

static void each_has_a_word_of_its_own(void **state)
{
	(void)state;
	for (int i = 0; i < OBSTACLE_COUNT; i++) {
		const char *name = obstacle_name((enum obstacle)i);

		assert_non_null(name);
		for (const char *at = name; *at; at++)
			assert_true(islower((unsigned char)*at) || *at == '_');
		for (int j = 0; j < i; j++)
			assert_string_not_equal(name, obstacle_name((enum obstacle)j));
	}
}

static void known_interpreters_are_a_short_list(void **state)
{
	char text[64], small[8];

	(void)state;
	interpreters_known(text, sizeof(text));
	assert_string_equal(text, "2.7, 3.6 to 3.13");
	interpreters_known(small, sizeof(small));
	assert_string_equal(small, "2.7, 3.");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_stands_in_the_way_of_the_healthy),
		cmocka_unit_test(a_refused_call_is_told_apart),
		cmocka_unit_test(what_bpf_cannot_help_comes_next),
		cmocka_unit_test(lockdown_goes_by_what_is_in_force),
		cmocka_unit_test(a_lack_of_descriptors_is_no_lack_of_memory),
		cmocka_unit_test(memory_for_other_maps_may_be_missing),
		cmocka_unit_test(each_says_what_stopped_it_and_what_to_do),
		cmocka_unit_test(unreadable_types_are_not_called_missing),
		cmocka_unit_test(each_has_a_word_of_its_own),
		cmocka_unit_test(known_interpreters_are_a_short_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
