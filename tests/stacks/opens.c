// SPDX-License-Identifier: BSD-2-Clause
/*
 * Opens a file in FOLDER for each line it reads, under the name in that line, and keeps it open;
 * a name that begins with "other" in another function. Usage: opens FOLDER
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline, noclone))

static int opened; /* so that no call is the last thing its function does */

NOINLINE static void inner(const char *path)
{
	opened += open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) >= 0; /* inner */
}

NOINLINE static void other(const char *path)
{
	opened += open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) >= 0; /* other */
}

NOINLINE static void outer(const char *folder, const char *name)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	if (strncmp(name, "other", 5) == 0)
		other(path);
	else
		inner(path); /* outer */
	opened++;
}

int main(int argc, char **argv)
{
	char name[128];

	puts("ready");
	fflush(stdout);
	while (argc == 2 && fgets(name, sizeof(name), stdin)) {
		name[strcspn(name, "\n")] = '\0';
		outer(argv[1], name); /* main */
		puts("opened");
		fflush(stdout);
	}
	return argc != 2;
}
