// SPDX-License-Identifier: BSD-2-Clause
#include "source/doctor/interpreters.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "symbol/elf/elf_file.h"
#include "symbol/mapping.h"
#include "symbol/python/python.h"
#include "symbol/python/python_versions.h"

#define PROCESSES_MAX 4096
#define FILES_MAX 64

/* ---- what is known ---- */

static bool follows(unsigned int version, unsigned int earlier)
{
	return version == earlier + 1;
}

void interpreters_known(char *buffer, size_t size)
{
	const struct python_build *build, *next;
	unsigned int previous = 0;
	size_t used = 0;

	buffer[0] = '\0';
	for (size_t i = 0; (build = python_build_at(i)) && used < size; i++) {
		unsigned int version = build->offsets.version;

		next = python_build_at(i + 1);
		if (follows(version, previous) && next && follows(next->offsets.version, version)) {
			previous = version;
			continue; /* in the middle of a range */
		}
		used += (size_t)snprintf(buffer + used, size - used, "%s%u.%u",
					 !i                           ? ""
					 : follows(version, previous) ? " to "
								      : ", ",
					 version >> 8, version & 0xff);
		previous = version;
	}
}

/* ---- files ---- */

/* Takes fd over. As python_recognise(), or -errno. */
static int recognise(int fd, const char *name, char *description, size_t size)
{
	struct fdt_python python;
	struct elf_file *file;
	int err = elf_file_open(fd, name, &file);

	if (err)
		return err;
	err = python_recognise(file, &python, description, size);
	elf_file_free(file);
	return err;
}

/* Regular files only: opening others may wait, or do things. */
static int open_regular(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0)
		return -errno;
	if (!fstat(fd, &st) && S_ISREG(st.st_mode))
		return fd;
	close(fd);
	return -ENOENT;
}

/* The file's name of the libpython that the program is linked to. */
static bool needed_libpython(struct elf_file *file, char *name, size_t size)
{
	Elf *elf = elf_file_elf(file);
	Elf_Scn *section = NULL;
	GElf_Shdr header;
	GElf_Dyn entry;

	while ((section = elf_nextscn(elf, section))) {
		Elf_Data *data;

		if (!gelf_getshdr(section, &header) || header.sh_type != SHT_DYNAMIC)
			continue;
		data = elf_getdata(section, NULL);
		for (int i = 0; data && gelf_getdyn(data, i, &entry); i++) {
			const char *text =
				entry.d_tag == DT_NEEDED
					? elf_strptr(elf, header.sh_link, entry.d_un.d_val)
					: NULL;

			if (!text || strncmp(text, "libpython", 9) || strchr(text, '/'))
				continue;
			snprintf(name, size, "%s", text);
			return true;
		}
	}
	return false;
}

static int recognise_library(const char *name, char *description, size_t size)
{
	static const char *const folders[] = { "/usr/lib64", "/usr/lib/x86_64-linux-gnu",
					       "/usr/lib/aarch64-linux-gnu", "/usr/lib",
					       "/usr/local/lib" };
	char path[256];
	int err = -ENOENT;

	for (size_t i = 0; err < 0 && i < sizeof(folders) / sizeof(*folders); i++) {
		snprintf(path, sizeof(path), "%s/%s", folders[i], name);
		err = open_regular(path);
	}
	return err < 0 ? err : recognise(err, name, description, size);
}

int interpreters_system(char *description, size_t size)
{
	int fd = open_regular("/usr/bin/python3"), err;
	char library[128] = "";
	struct fdt_python python;
	struct elf_file *file;

	if (fd < 0)
		fd = open_regular("/usr/local/bin/python3");
	err = fd < 0 ? fd : elf_file_open(fd, "python3", &file);
	if (err)
		return err;
	err = python_recognise(file, &python, description, size);
	if (!err)
		needed_libpython(file, library, sizeof(library));
	elf_file_free(file);
	return *library ? recognise_library(library, description, size) : err;
}

/* ---- processes ---- */

struct seen {
	unsigned long dev, inode;
	int index; /* in struct interpreters; -1: none */
};

struct search {
	struct interpreters *result;
	struct seen seen[FILES_MAX];
	unsigned int count;
};

static bool is_called_python(const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;

	return strstr(name, "python") || strstr(name, "pypy");
}

/* Its index, or -1. */
static int interpreters_add(struct interpreters *all, const char *description, bool walked)
{
	unsigned int i = 0;

	while (i < all->count && strcmp(all->found[i].description, description))
		i++;
	if (i == INTERPRETERS_MAX) {
		all->more = true;
		return -1;
	}
	if (i == all->count) {
		all->found[i] = (struct interpreter){ .walked = walked };
		snprintf(all->found[i].description, sizeof(all->found[i].description), "%s",
			 description);
		all->count++;
	}
	return (int)i;
}

/* Which interpreter a mapped file is; each file is read once. */
static int index_of(struct search *search, pid_t pid, const struct unwind_mapping *mapping)
{
	struct seen *seen = search->seen;
	char description[96];
	int fd, known;

	for (unsigned int i = 0; i < search->count; i++)
		if (seen[i].inode == mapping->inode && seen[i].dev == mapping->dev)
			return seen[i].index;
	if (search->count == FILES_MAX) {
		search->result->more = true;
		return -1;
	}
	fd = mapping_open(pid, mapping);
	known = fd < 0 ? fd : recognise(fd, mapping->name, description, sizeof(description));
	seen += search->count++;
	*seen = (struct seen){ mapping->dev, mapping->inode, -1 };
	if (known == 1 || known == -ENOTSUP)
		seen->index = interpreters_add(search->result, description, known == 1);
	return seen->index;
}

static void look_at(struct search *search, pid_t pid)
{
	struct unwind_mapping *mappings;
	unsigned int count;
	int index = -1;

	if (mappings_read(pid, &mappings, &count))
		return;
	for (unsigned int i = 0; index < 0 && i < count; i++)
		if (is_called_python(mappings[i].name))
			index = index_of(search, pid, &mappings[i]);
	if (index >= 0)
		search->result->found[index].processes++;
	free(mappings);
}

void interpreters_running(struct interpreters *ret_interpreters)
{
	struct search search = { .result = ret_interpreters };
	DIR *proc = opendir("/proc");
	unsigned int processes = 0;
	struct dirent *entry;

	*ret_interpreters = (struct interpreters){ 0 };
	while (proc && (entry = readdir(proc)) && processes < PROCESSES_MAX) {
		pid_t pid = atoi(entry->d_name);

		if (pid <= 0)
			continue;
		processes++;
		look_at(&search, pid);
	}
	if (processes == PROCESSES_MAX)
		ret_interpreters->more = true;
	if (proc)
		closedir(proc);
}
