// SPDX-License-Identifier: BSD-2-Clause
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "symbol/mapping.h"

struct list {
	struct unwind_mapping *mapping;
	unsigned int count, capacity;
};

/* A line of proc_pid_maps(5). False: not executable, or not understood. */
static bool parse_line(const char *line, struct unwind_mapping *mapping)
{
	unsigned int major, minor;
	char permissions[5];
	int name_at = 0;

	if (sscanf(line, "%lx-%lx %4s %lx %x:%x %lu %n", &mapping->start, &mapping->end,
		   permissions, &mapping->offset_bytes, &major, &minor, &mapping->inode,
		   &name_at) < 7)
		return false;
	mapping->dev = major << 20 | minor;
	snprintf(mapping->name, sizeof(mapping->name), "%.*s", (int)strcspn(line + name_at, "\n"),
		 line + name_at);
	return permissions[2] == 'x';
}

static int list_add(struct list *list, const struct unwind_mapping *mapping)
{
	if (list->count == list->capacity) {
		unsigned int capacity = list->capacity ? list->capacity * 2 : 32;
		void *more = realloc(list->mapping, capacity * sizeof(*mapping));

		if (!more)
			return -ENOMEM;
		list->mapping = more;
		list->capacity = capacity;
	}
	list->mapping[list->count++] = *mapping;
	return 0;
}

static int read_lines(FILE *maps, struct list *list)
{
	struct unwind_mapping mapping;
	char *line = NULL;
	size_t size = 0, total = 0;
	ssize_t length;
	int err = 0;

	while (!err && list->count < MAPPINGS_MAX && total < MAPS_MAX_BYTES &&
	       (length = getline(&line, &size, maps)) > 0) {
		total += length;
		if (parse_line(line, &mapping))
			err = list_add(list, &mapping);
	}
	free(line);
	return err;
}

int mappings_read(pid_t pid, struct unwind_mapping **ret_mappings, unsigned int *ret_count)
{
	struct list list = { 0 };
	char path[64];
	FILE *maps;
	int err;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	maps = fopen(path, "re");
	if (!maps)
		return errno == ENOENT ? -ESRCH : -errno;
	err = read_lines(maps, &list);
	fclose(maps);
	if (!err && !list.count) /* a zombie still has the file, but no memory */
		err = -ESRCH;
	if (err) {
		free(list.mapping);
		return err;
	}
	*ret_mappings = list.mapping;
	*ret_count = list.count;
	return 0;
}

/* Only a look at it (O_PATH): to open a device or a FIFO would have effects. */
static int mapping_open_regular(const char *path, uint64_t inode)
{
	int look = open(path, O_PATH | O_CLOEXEC), fd = -EACCES;
	char self[64];
	struct stat file;

	if (look < 0)
		return -errno;
	snprintf(self, sizeof(self), "/proc/self/fd/%d", look);
	if (!fstat(look, &file) && S_ISREG(file.st_mode) && (!inode || file.st_ino == inode)) {
		fd = open(self, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
		if (fd < 0)
			fd = -errno;
	}
	close(look);
	return fd;
}

int mapping_open(pid_t pid, const struct unwind_mapping *mapping)
{
	char path[64 + sizeof(mapping->name)];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/map_files/%lx-%lx", pid, mapping->start,
		 mapping->end);
	fd = mapping_open_regular(path, 0);
	if (fd >= 0 || mapping->name[0] != '/' || !mapping->inode)
		return fd;
	snprintf(path, sizeof(path), "/proc/%d/root%s", pid, mapping->name);
	return mapping_open_regular(path, mapping->inode);
}
