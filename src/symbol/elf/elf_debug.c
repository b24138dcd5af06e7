// SPDX-License-Identifier: BSD-2-Clause
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

#include "symbol/elf/elf_debug.h"

#define DEBUG_FOLDER "/usr/lib/debug"
#define CHECKSUM_MAX (1ull << 30) /* bytes that are read to compare a checksum */

/* The folder may be a traced program's: no waiting for the other end of a FIFO. */
static int debug_open_path(const char *path, struct elf_image *ret_debug)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	return fd < 0 ? -errno : elf_image_open(fd, ret_debug);
}

static int accept_build_id(const char *build_id, struct elf_image *debug,
			   struct elf_image *ret_debug)
{
	if (strcmp(debug->build_id, build_id) != 0) {
		elf_image_done(debug);
		return -ENOENT;
	}
	*ret_debug = *debug;
	return 0;
}

static int by_build_id(const char *build_id, struct elf_image *ret_debug)
{
	struct elf_image debug;
	char path[PATH_MAX];

	if (strlen(build_id) < 4)
		return -ENOENT;
	snprintf(path, sizeof(path), DEBUG_FOLDER "/.build-id/%.2s/%s.debug", build_id,
		 build_id + 2);
	if (debug_open_path(path, &debug) != 0)
		return -ENOENT;
	return accept_build_id(build_id, &debug, ret_debug);
}

int elf_debug_supplement(const unsigned char *build_id, size_t size, struct elf_image *ret_debug)
{
	char hex[2 * ELF_BUILD_ID_MAX + 1] = "";

	if (size > ELF_BUILD_ID_MAX)
		return -ENOENT;
	for (size_t i = 0; i < size; i++)
		snprintf(hex + 2 * i, 3, "%02x", build_id[i]);
	return by_build_id(hex, ret_debug);
}

struct link_section {
	char name[NAME_MAX + 1];
	uint32_t checksum;
};

static bool link_parse(Elf_Scn *section, struct link_section *ret_link)
{
	Elf_Data *data = elf_rawdata(section, NULL);
	size_t length, at;

	if (!data || !data->d_buf)
		return false;
	length = strnlen(data->d_buf, data->d_size);
	at = (length + 4) & ~(size_t)3; /* of the checksum */
	if (length == 0 || length > NAME_MAX || at + 4 > data->d_size ||
	    memchr(data->d_buf, '/', length))
		return false;
	memcpy(ret_link->name, data->d_buf, length + 1);
	memcpy(&ret_link->checksum, (char *)data->d_buf + at, 4);
	return true;
}

static bool link_read(Elf *elf, struct link_section *ret_link)
{
	Elf_Scn *section = NULL;
	GElf_Shdr header;
	size_t names;

	if (elf_getshdrstrndx(elf, &names) != 0)
		return false;
	while ((section = elf_nextscn(elf, section))) {
		const char *name;

		if (!gelf_getshdr(section, &header) || header.sh_type != SHT_PROGBITS ||
		    header.sh_size > 4096)
			continue;
		name = elf_strptr(elf, names, header.sh_name);
		if (name && strcmp(name, ".gnu_debuglink") == 0)
			return link_parse(section, ret_link);
	}
	return false;
}

static bool checksum_is(const struct elf_image *debug, uint32_t wanted)
{
	unsigned char buffer[65536];
	uLong sum = crc32(0, NULL, 0);

	if (debug->size > CHECKSUM_MAX)
		return false;
	for (uint64_t at = 0; at < debug->size; at += sizeof(buffer)) {
		uint64_t left = debug->size - at;
		size_t size = left < sizeof(buffer) ? left : sizeof(buffer);

		if (elf_image_bytes(debug, at, buffer, size) != 0)
			return false;
		sum = crc32(sum, buffer, (uInt)size);
	}
	return sum == wanted;
}

static int by_link_at(const struct elf_image *image, const struct link_section *link,
		      const char *path, struct elf_image *ret_debug)
{
	struct elf_image debug;

	if (debug_open_path(path, &debug) != 0)
		return -ENOENT;
	if (!checksum_is(&debug, link->checksum) || strcmp(debug.build_id, image->build_id) != 0) {
		elf_image_done(&debug);
		return -ENOENT;
	}
	*ret_debug = debug;
	return 0;
}

static int by_link(const struct elf_image *image, const char *name, struct elf_image *ret_debug)
{
	const char *slash = strrchr(name, '/');
	struct link_section link;
	int err = -ENOENT;

	if (name[0] != '/' || !link_read(image->elf, &link))
		return -ENOENT;
	for (int i = 0; i < 3 && err != 0; i++) {
		const char *root = i == 2 ? DEBUG_FOLDER : "", *below = i == 1 ? "/.debug" : "";
		char path[PATH_MAX];

		if ((size_t)snprintf(path, sizeof(path), "%s%.*s%s/%s", root, (int)(slash - name),
				     name, below, link.name) < sizeof(path))
			err = by_link_at(image, &link, path, ret_debug);
	}
	return err;
}

int elf_debug_find(const struct elf_image *image, const char *name, struct elf_image *ret_debug)
{
	int err = by_build_id(image->build_id, ret_debug);

	if (err != 0)
		err = by_link(image, name, ret_debug);
	return err;
}
