// SPDX-License-Identifier: BSD-2-Clause
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "symbol/elf/elf_places.h"
#include "symbol/elf/elf_private.h"

static int elf_file_new(struct elf_image *image, const char *name, struct elf_file **ret_file)
{
	struct elf_file *file = calloc(1, sizeof(*file));

	if (file)
		file->name = strdup(name);
	if (!file || !file->name) {
		free(file);
		elf_image_done(image);
		return -ENOMEM;
	}
	file->image = *image;
	file->debug.fd = -1;
	*ret_file = file;
	return 0;
}

int elf_file_open(int fd, const char *name, struct elf_file **ret_file)
{
	struct elf_image image;
	int err = elf_image_open(fd, &image);

	return err != 0 ? err : elf_file_new(&image, name, ret_file);
}

int elf_file_from_memory(const void *image_bytes, size_t size, const char *name,
			 struct elf_file **ret_file)
{
	struct elf_image image;
	int err = elf_image_copy(image_bytes, size, &image);

	return err != 0 ? err : elf_file_new(&image, name, ret_file);
}

void elf_file_free(struct elf_file *file)
{
	if (!file)
		return;
	elf_places_free(file);
	elf_image_done(&file->debug);
	elf_image_done(&file->image);
	free(file->name);
	free(file);
}

int elf_file_settle(struct elf_file *file)
{
	return elf_image_renew(&file->image);
}

Elf *elf_file_elf(const struct elf_file *file)
{
	return file->image.elf;
}

const char *elf_file_name(const struct elf_file *file)
{
	return file->name;
}

const char *elf_file_base_name(const struct elf_file *file)
{
	const char *slash = strrchr(file->name, '/');

	return slash ? slash + 1 : file->name;
}

const char *elf_file_build_id(const struct elf_file *file)
{
	return file->image.build_id;
}

bool elf_file_text(const struct elf_file *file, struct elf_text *ret_text)
{
	GElf_Phdr segment;

	for (size_t i = 0; i < file->image.phnum; i++) {
		if (!gelf_getphdr(file->image.elf, (int)i, &segment))
			return false;
		if (segment.p_type != PT_LOAD || !(segment.p_flags & PF_X) ||
		    segment.p_memsz > UINT64_MAX - segment.p_vaddr)
			continue;
		*ret_text = (struct elf_text){ .vaddr = segment.p_vaddr,
					       .size = segment.p_memsz,
					       .delta = segment.p_vaddr - segment.p_offset };
		return true;
	}
	return false;
}

/* What lies behind p_filesz is zero in memory. */
static int segment_read_bytes(const struct elf_image *image, const GElf_Phdr *segment,
			      uint64_t offset, char *buffer, size_t size)
{
	size_t in_file = 0;

	if (offset < segment->p_filesz)
		in_file = size < segment->p_filesz - offset ? size : segment->p_filesz - offset;
	if (in_file > 0 && (offset > UINT64_MAX - segment->p_offset ||
			    elf_image_bytes(image, segment->p_offset + offset, buffer, in_file)))
		return -EFAULT;
	memset(buffer + in_file, 0, size - in_file);
	return 0;
}

int elf_file_read(struct elf_file *file, uint64_t vaddr, void *buffer, size_t size)
{
	GElf_Phdr segment;

	for (size_t i = 0; i < file->image.phnum; i++) {
		if (!gelf_getphdr(file->image.elf, (int)i, &segment))
			return -EFAULT;
		if (segment.p_type != PT_LOAD || vaddr < segment.p_vaddr ||
		    vaddr - segment.p_vaddr >= segment.p_memsz ||
		    size > segment.p_memsz - (vaddr - segment.p_vaddr))
			continue;
		return segment_read_bytes(&file->image, &segment, vaddr - segment.p_vaddr, buffer,
					  size);
	}
	return -EFAULT;
}
