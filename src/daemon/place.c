// SPDX-License-Identifier: BSD-2-Clause
#include "daemon/place.h"

#include <fnmatch.h>

#include "daemon/config.h"

static bool matches_any(const char *const *globs, unsigned int count, const char *cgroup)
{
	for (unsigned int i = 0; i < count; i++)
		if (fnmatch(globs[i], cgroup, FNM_NOESCAPE) == 0)
			return true;
	return false;
}

bool place_wanted(const struct config *config, const char *cgroup)
{
	if (!cgroup || !cgroup[0])
		return true;
	if (matches_any(config->exclude_cgroups, config->exclude_cgroup_count, cgroup))
		return false;
	return !config->cgroup_count || matches_any(config->cgroups, config->cgroup_count, cgroup);
}
