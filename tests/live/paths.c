// SPDX-License-Identifier: BSD-2-Clause
/*
 * Files that are open for a moment, or by a program of a moment, in the folder argv[2]:
 *
 *   left     ten stay open, and it ends at once
 *   moment   a file, a folder, a FIFO, a device and a memfd are closed as soon as they are open
 *   unlinked, renamed   one stays open whose name is removed or changed
 *   reused   a closed file's inode and address may be another's when a descriptor is closed twice
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include "program.h"

static int create(const char *name)
{
	return must(open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600));
}

static void left(void)
{
	char name[16];

	for (int i = 0; i < 10; i++) {
		snprintf(name, sizeof(name), "left.%d", i);
		create(name);
	}
}

static void moment(void)
{
	must(mkfifo("fifo", 0600));
	must(close(create("file")));
	must(close(must(open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC))));
	must(close(must(open("fifo", O_RDWR | O_CLOEXEC))));
	must(close(must(open("/dev/null", O_RDWR | O_CLOEXEC))));
	must(close(must(memfd_create("anonymous", MFD_CLOEXEC))));
}

static void unlinked(void)
{
	create("unlinked");
	must(unlink("unlinked"));
	must(open("/proc/self/fd/3", O_RDONLY | O_CLOEXEC));
}

static void renamed(void)
{
	create("before");
	must(rename("before", "after"));
	must(open("after", O_RDONLY | O_CLOEXEC));
}

static void reused(void)
{
	int fd = create("orders.db");

	must(close(fd));
	must(unlink("orders.db"));
	must_fail(close(fd), EBADF);
	must(close(create("access.log")));
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} variants[] = { { "left", left },
			 { "moment", moment },
			 { "unlinked", unlinked },
			 { "renamed", renamed },
			 { "reused", reused } };

	if (argc < 3)
		return PROGRAM_BROKEN;
	must(chdir(argv[2]));
	for (size_t i = 0; i < sizeof(variants) / sizeof(variants[0]); i++)
		if (strcmp(argv[1], variants[i].name) == 0) {
			variants[i].run();
			return 0;
		}
	return PROGRAM_BROKEN;
}
