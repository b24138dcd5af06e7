// SPDX-License-Identifier: BSD-2-Clause
/*
 * Stands in for libc's user database in the static program, where it would need the shared
 * libraries of the libc it was built with. Only libcap-ng's capng_change_id() asks for it, which
 * fdtrace does not call: users and groups are numbers here.
 */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stddef.h>

struct passwd *getpwuid(uid_t uid)
{
	(void)uid;
	errno = ENOSYS;
	return NULL;
}

int initgroups(const char *user, gid_t group)
{
	(void)user, (void)group;
	errno = ENOSYS;
	return -1;
}
