// SPDX-License-Identifier: BSD-2-Clause
/*
 * Descriptors across exec: forgotten, marked close-on-exec, used by the new image, named to it,
 * and piling up because a program restarts itself.
 *
 * The new image is told nothing in digits unless the variant is about that: a number on the
 * command line counts as meant to be inherited.
 */
#include <fcntl.h>
#include "program.h"

#define KNOWN_FD 77 /* agreed between the two images without naming it */
#define RELOADS 8

static int open_one(int flags)
{
	return must(open("/proc/self/exe", O_RDONLY | flags));
}

static int restart_as(const char *variant, const char *argument)
{
	execl("/proc/self/exe", "inherit", variant, argument, (char *)NULL);
	return PROGRAM_BROKEN;
}

static int forgotten(void)
{
	open_one(0);
	open_one(0);
	return restart_as("end", NULL);
}

static int marked(void)
{
	open_one(O_CLOEXEC);
	open_one(O_CLOEXEC);
	return restart_as("end", NULL);
}

static int used(void)
{
	int fd = open_one(O_CLOEXEC);

	must(dup2(fd, KNOWN_FD));
	return restart_as("use", NULL);
}

static int named(void)
{
	char number[16];

	snprintf(number, sizeof(number), "%d", open_one(0));
	return restart_as("end", number);
}

static int end(void)
{
	return 0;
}

static int use(void)
{
	char byte;

	must(read(KNOWN_FD, &byte, 1));
	must(close(KNOWN_FD));
	return 0;
}

/* round: one letter for each restart so far */
static int reload(const char *round)
{
	char next[RELOADS + 2];

	if (strlen(round) >= RELOADS)
		return 0;
	open_one(0);
	snprintf(next, sizeof(next), "%sx", round);
	return restart_as("reload", next);
}

static const struct variant variants[] = {
	{ "forgotten", forgotten },
	{ "marked", marked },
	{ "used", used },
	{ "named", named },
	{ "end", end },
	{ "use", use },
	{ NULL, NULL },
};

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "reload"))
		return reload(argc > 2 ? argv[2] : "");
	return run_variant(variants, argc > 1 ? argv[1] : NULL);
}
