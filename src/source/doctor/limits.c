// SPDX-License-Identifier: BSD-2-Clause
#include "source/doctor/limits.h"

#include <errno.h>
#include <mntent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "source/doctor/attempt.h"

int limits_mount(const char *type, const char *option, char *path, size_t size)
{
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	struct mntent *entry;
	int err = -ENOENT;

	while (mounts && err && (entry = getmntent(mounts))) {
		if (strcmp(entry->mnt_type, type) || (option && !hasmntopt(entry, option)))
			continue;
		snprintf(path, size, "%s", entry->mnt_dir);
		err = 0;
	}
	if (mounts)
		endmntent(mounts);
	return err;
}

/* ---- memory ---- */

/* Version 1 says a number near 2^63 where there is no limit. */
static uint64_t read_limit(const char *folder, const char *name)
{
	char path[4600], text[32];
	uint64_t value;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	if (attempt_read_line(path, text, sizeof(text)) || !strcmp(text, "max"))
		return UINT64_MAX;
	value = strtoull(text, NULL, 10);
	return value && value < 1ull << 62 ? value : UINT64_MAX;
}

/* The least of a group and all above it. Inside a cgroup namespace that is the mount itself. */
static uint64_t least_of(const char *root, const char *group, const char *name)
{
	char folder[4500];
	uint64_t least = UINT64_MAX, here;

	snprintf(folder, sizeof(folder), "%s%s", root, group);
	for (;;) {
		char *slash;

		here = read_limit(folder, name);
		least = here < least ? here : least;
		slash = strrchr(folder, '/');
		if (!slash || slash < folder + strlen(root))
			return least;
		*slash = '\0';
	}
}

/*
 * One line of /proc/self/cgroup: "0::/a/b" of version 2, "4:memory:/a/b" of version 1. false: it says
 * nothing about memory, or its files cannot be seen.
 */
static bool limit_of_line(char *line, uint64_t *ret_bytes)
{
	char *controllers = strchr(line, ':'), *group;
	const char *name = "memory.limit_in_bytes";
	char root[256];
	int err = -ENOENT;

	group = controllers ? strchr(controllers + 1, ':') : NULL;
	if (!group)
		return false;
	*group++ = '\0';
	if (!*++controllers) {
		name = "memory.max";
		err = limits_mount("cgroup2", NULL, root, sizeof(root));
	} else if (strstr(controllers, "memory")) {
		err = limits_mount("cgroup", "memory", root, sizeof(root));
	}
	if (err || access(root, X_OK)) /* mounted, but out of sight */
		return false;
	*ret_bytes = least_of(root, group, name);
	return true;
}

int limits_memory(uint64_t *ret_bytes)
{
	FILE *groups = fopen("/proc/self/cgroup", "re");
	uint64_t least = UINT64_MAX, here;
	char line[4200];
	bool known = false;

	while (groups && fgets(line, sizeof(line), groups)) {
		line[strcspn(line, "\n")] = '\0';
		if (!limit_of_line(line, &here))
			continue;
		known = true;
		least = here < least ? here : least;
	}
	if (groups)
		fclose(groups);
	*ret_bytes = least;
	return known ? 0 : -ENOENT;
}

/* ---- preemption ---- */

/* "none voluntary (full) lazy": what stands in brackets is in force. */
static bool limits_chosen(const char *text, char *buffer, size_t size)
{
	const char *open = strchr(text, '('), *close = open ? strchr(open, ')') : NULL;

	if (!close)
		return false;
	snprintf(buffer, size, "%.*s", (int)(close - open - 1), open + 1);
	return true;
}

/* Where it is fixed uname(2) names it. */
void limits_preemption(char *buffer, size_t size)
{
	struct utsname name;
	char text[64];

	buffer[0] = '\0';
	if (!attempt_read_line("/sys/kernel/debug/sched/preempt", text, sizeof(text)) &&
	    limits_chosen(text, buffer, size))
		return;
	if (uname(&name) || strstr(name.version, "PREEMPT_DYNAMIC"))
		return;
	snprintf(buffer, size, "%s",
		 strstr(name.version, "PREEMPT_RT")     ? "rt"
		 : strstr(name.version, "PREEMPT_LAZY") ? "lazy"
		 : strstr(name.version, "PREEMPT")      ? "full"
							: "none");
}
