// SPDX-License-Identifier: BSD-2-Clause
/* inspect PID FD: writes what the inspector says of that descriptor, a struct fdt_detail, to stdout. */
#include "program.h"
#include "source/live/inspect.h"

int main(int argc, char **argv)
{
	struct inspector *inspector;
	struct fdt_detail detail;

	if (argc != 3)
		return PROGRAM_BROKEN;
	errno = -inspector_new(&inspector);
	must(errno ? -1 : 0);
	errno = -inspector_ask(inspector, (uint32_t)atoi(argv[1]), atoi(argv[2]), &detail);
	must(errno ? -1 : 0);
	must(write(1, &detail, sizeof(detail)));
	inspector_free(inspector);
	return 0;
}
