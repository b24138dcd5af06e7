// SPDX-License-Identifier: BSD-2-Clause
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "symbol/elf/elf_places.h"
#include "symbol/elf/elf_private.h"

/* A library has no interpreter either, but no entry point: linkers set that to 0, or it is ld.so. */
static bool image_is_static(const struct elf_image *image)
{
	GElf_Ehdr header;
	GElf_Phdr segment;

	if (!gelf_getehdr(image->elf, &header) || !header.e_entry)
		return false;
	for (size_t i = 0; i < image->phnum; i++)
		if (gelf_getphdr(image->elf, (int)i, &segment) && segment.p_type == PT_INTERP)
			return false;
	return true;
}

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
	file->is_static = image_is_static(image);
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

bool elf_file_is_static(const struct elf_file *file)
{
	return file->is_static;
}

int elf_file_settle(struct elf_file *file)
{
	return elf_image_renew(&file->image);
}

int elf_file_dup(const struct elf_file *file)
{
	return file->image.fd < 0 ? -1 : fcntl(file->image.fd, F_DUPFD_CLOEXEC, 3);
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

/* As it is mapped. false: not of code, or where nothing can be mapped. */
static bool segment_of_header(const GElf_Phdr *header, struct elf_segment *ret_segment)
{
	uint64_t end;

	if (header->p_type != PT_LOAD || !(header->p_flags & PF_X) ||
	    header->p_memsz > UINT64_MAX - header->p_vaddr ||
	    header->p_offset > ELF_FILE_MAX_BYTES || header->p_filesz > ELF_FILE_MAX_BYTES)
		return false;
	end = header->p_offset + header->p_filesz + FDT_PAGE_SIZE - 1;
	*ret_segment = (struct elf_segment){
		.offset = header->p_offset / FDT_PAGE_SIZE * FDT_PAGE_SIZE,
		.end = end / FDT_PAGE_SIZE * FDT_PAGE_SIZE,
		.delta = header->p_vaddr - header->p_offset,
	};
	return true;
}

/*
 * False: a mapping of it would not tell which of two segments it is of. Neighbours with the same
 * delta may share a page.
 */
static bool text_has_room(const struct elf_text *text, const struct elf_segment *segment)
{
	for (unsigned int i = 0; i < text->count; i++) {
		const struct elf_segment *other = &text->segment[i];

		if (segment->offset < other->end && other->offset < segment->end &&
		    segment->delta != other->delta)
			return false;
	}
	return text->count < FDT_SEGMENTS_MAX;
}

/* The first one always; those that are too far from it are left out. */
static void segment_add(struct elf_text *text, const GElf_Phdr *header,
			const struct elf_segment *segment)
{
	uint64_t start = header->p_vaddr, end = header->p_vaddr + header->p_memsz;

	if (text->count && text->vaddr < start)
		start = text->vaddr;
	if (text->count && text->vaddr + text->size > end)
		end = text->vaddr + text->size;
	if (!text_has_room(text, segment) || (text->count && end - start > ELF_TEXT_MAX))
		return;
	text->vaddr = start;
	text->size = end - start;
	text->segment[text->count++] = *segment;
}

bool elf_file_text(const struct elf_file *file, struct elf_text *ret_text)
{
	struct elf_text text = { 0 };
	struct elf_segment segment;
	GElf_Phdr header;

	for (size_t i = 0; i < file->image.phnum; i++) {
		if (!gelf_getphdr(file->image.elf, (int)i, &header))
			break;
		if (segment_of_header(&header, &segment))
			segment_add(&text, &header, &segment);
	}
	*ret_text = text;
	return text.count > 0;
}

bool elf_text_delta(const struct elf_text *text, uint64_t offset, uint64_t *ret_delta)
{
	for (unsigned int i = 0; i < text->count; i++) {
		const struct elf_segment *segment = &text->segment[i];

		if (offset < segment->offset || offset >= segment->end)
			continue;
		*ret_delta = segment->delta;
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
