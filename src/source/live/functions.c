// SPDX-License-Identifier: BSD-2-Clause
#include "source/live/functions.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "source/doctor/attempt.h"

#if defined(__x86_64__)
#define SYS_PREFIX "__x64_"
#elif defined(__aarch64__)
#define SYS_PREFIX "__arm64_"
#endif

/* As they are preferred; a name that this kernel lacks, or has inlined, cannot be hooked. */
static const char *const installed[] = { "fd_install", NULL };
static const char *const replaced[] = { "do_dup2", "do_replace_fd_locked", NULL };
static const char *const emptied[] = { "file_close_fd_locked", "pick_file", NULL };
static const char *const failed_close[] = { "file_close_fd", "close_fd_get_file", NULL };
static const char *const old_failed_close[] = { "close_fd", NULL };
static const char *const unshared[] = { "ksys_unshare", NULL };
static const char *const range[] = { "__close_range", SYS_PREFIX "sys_close_range", NULL };

/*
 * Programs at a function's exit run preemptible where the kernel is, and while one of them is
 * preempted others on that CPU are skipped. Which model is in force is only visible in debugfs; where it
 * does not, the name of the kernel may rule it out.
 */
static bool kernel_is_preemptible(void)
{
	char text[128];
	struct utsname name;

	if (attempt_read_line("/sys/kernel/debug/sched/preempt", text, sizeof(text)) == 0)
		return strstr(text, "(full)") || strstr(text, "(lazy)");
	return uname(&name) < 0 || strstr(name.version, "PREEMPT");
}

/* There spinlocks are mutexes, so what runs under one is preemptible as well. */
static bool kernel_is_realtime(void)
{
	struct utsname name;

	return !uname(&name) && strstr(name.version, "PREEMPT_RT");
}

static bool function_can_hook(const struct btf *btf, const char *name, enum function_hook hook)
{
	if (hook == FUNCTION_EXIT)
		return attempt_fexit(btf, name) == 0;
	return attempt_kprobe(name, false) == 0 && attempt_kprobe(name, true) == 0;
}

/* The first that can be hooked so; else the first that can be hooked in the other way. */
static struct function_choice function_choose(const struct btf *btf, const char *const *names,
					      enum function_hook preferred)
{
	/* Misses of programs at exits are reported, so these are better than nothing. */
	enum function_hook otherwise = preferred == FUNCTION_PAIR ? FUNCTION_EXIT : FUNCTION_PAIR;

	for (const char *const *name = names; *name; name++)
		if (function_can_hook(btf, *name, preferred))
			return (struct function_choice){ *name, preferred };
	for (const char *const *name = names; *name; name++)
		if (function_can_hook(btf, *name, otherwise))
			return (struct function_choice){ *name, otherwise };
	return (struct function_choice){ 0 };
}

static struct function_choice function_choose_exit(const struct btf *btf, const char *name)
{
	if (function_can_hook(btf, name, FUNCTION_EXIT))
		return (struct function_choice){ name, FUNCTION_EXIT };
	return (struct function_choice){ 0 };
}

static int function_put_lacking(const char *const *names, char *buffer, unsigned int size)
{
	int used = snprintf(buffer, size, "cannot hook %s", names[0]);

	for (const char *const *name = names + 1; *name && used > 0 && used < (int)size; name++)
		used += snprintf(buffer + used, size - (unsigned int)used, ", nor %s", *name);
	return -ENOTSUP;
}

int functions_choose(const struct btf *btf, struct functions *f, char *buffer, unsigned int size)
{
	enum function_hook always, locked;

	*f = (struct functions){ .preemptible = kernel_is_preemptible() };
	always = f->preemptible ? FUNCTION_PAIR : FUNCTION_EXIT;
	locked = kernel_is_realtime() ? FUNCTION_PAIR : FUNCTION_EXIT;
	f->installed = function_choose(btf, installed, always);
	f->replaced = function_choose(btf, replaced, always);
	f->emptied = function_choose(btf, emptied, locked);
	if (!f->installed.hook)
		return function_put_lacking(installed, buffer, size);
	if (!f->replaced.hook)
		return function_put_lacking(replaced, buffer, size);
	if (!f->emptied.hook)
		return function_put_lacking(emptied, buffer, size);
	f->uring_emptied = function_choose_exit(btf, "__close_fd_get_file");
	f->failed_close = function_choose(btf, failed_close, always);
	f->old_failed_close = function_choose(btf, old_failed_close, always);
	f->unshared = function_choose(btf, unshared, always);
	f->range = function_choose(btf, range, always);
	return 0;
}
