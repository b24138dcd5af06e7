// SPDX-License-Identifier: BSD-2-Clause
#include "source/doctor/privilege.h"

#include <cap-ng.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* linux/capability.h; older headers of libcap-ng lack the newer ones */
#ifndef CAP_PERFMON
#define CAP_PERFMON 38
#endif
#ifndef CAP_BPF
#define CAP_BPF 39
#endif
#ifndef CAP_CHECKPOINT_RESTORE
#define CAP_CHECKPOINT_RESTORE 40
#endif

static bool have(unsigned int capability)
{
	return capng_get_caps_process() == 0 && capng_have_capability(CAPNG_EFFECTIVE, capability);
}

bool privilege_to_trace(void)
{
	return have(CAP_SYS_ADMIN) || (have(CAP_BPF) && have(CAP_PERFMON));
}

/* The folder is for its owner only, so that reading it is a matter of file permissions, too. */
static bool may_list(void)
{
	return have(CAP_DAC_READ_SEARCH) || have(CAP_DAC_OVERRIDE);
}

bool privilege_to_inspect(void)
{
	return have(CAP_SYS_PTRACE) && may_list();
}

static void privilege_add(char *list, size_t size, const char *name)
{
	size_t used = strlen(list);

	snprintf(list + used, size - used, "%s%s", used ? ", " : "", name);
}

void privilege_describe(char *buffer, size_t size)
{
	char missing[96] = "";

	if (!privilege_to_trace() && !have(CAP_BPF))
		privilege_add(missing, sizeof(missing), "CAP_BPF");
	if (!privilege_to_trace() && !have(CAP_PERFMON))
		privilege_add(missing, sizeof(missing), "CAP_PERFMON");
	if (!have(CAP_SYS_PTRACE))
		privilege_add(missing, sizeof(missing), "CAP_SYS_PTRACE");
	if (!may_list())
		privilege_add(missing, sizeof(missing), "CAP_DAC_READ_SEARCH");
	if (missing[0])
		snprintf(buffer, size, "%s missing (uid %u)", missing, (unsigned int)getuid());
	else
		snprintf(buffer, size, "all present (uid %u)", (unsigned int)getuid());
}

void privilege_drop(bool signals)
{
	const unsigned int needed[] = { CAP_BPF,
					CAP_PERFMON,
					CAP_SYS_PTRACE,
					CAP_DAC_READ_SEARCH,
					CAP_CHECKPOINT_RESTORE,
					signals ? CAP_KILL : CAP_BPF };
	bool held[sizeof(needed) / sizeof(needed[0])];

	if (!have(CAP_BPF) || !have(CAP_PERFMON))
		return;
	for (size_t i = 0; i < sizeof(held); i++)
		held[i] = have(needed[i]);
	capng_clear(CAPNG_SELECT_BOTH);
	for (size_t i = 0; i < sizeof(held); i++)
		if (held[i])
			capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, needed[i]);
	capng_apply(CAPNG_SELECT_BOTH); /* without CAP_SETPCAP the bounding set stays */
	capng_apply(CAPNG_SELECT_CAPS);
}
