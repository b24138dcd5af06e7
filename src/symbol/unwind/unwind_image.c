// SPDX-License-Identifier: BSD-2-Clause
#include <dwarf.h>
#include <errno.h>
#include <gelf.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

#include "symbol/unwind/eh_frame.h"
#include "symbol/elf/elf_file.h"
#include "symbol/unwind/unwind_image.h"

#define SEGMENTS 2
#define PROGRAM_MAX 16384 /* bytes; libdw runs it at each step */
#define FRAME_AT (sizeof(Elf64_Ehdr) + SEGMENTS * sizeof(Elf64_Phdr))

/* .eh_frame_hdr: LSB 5.0 core, 10.6.2 */
struct search_head {
	uint8_t version, frame_encoding, count_encoding, table_encoding;
	int32_t frame; /* relative to itself */
	uint32_t count;
};

struct search_row {
	int32_t start, fde; /* relative to the head */
};

static void ignore_rule(void *ctx, uint64_t vaddr, uint32_t rule)
{
	(void)ctx, (void)vaddr, (void)rule;
}

static bool symbol_distance(uint64_t from, uint64_t to, int32_t *ret_distance)
{
	int64_t value = (int64_t)(to - from);

	*ret_distance = (int32_t)value;
	return *ret_distance == value;
}

/* Of the FDEs that can be followed to their end. Returns how many. */
static uint32_t fill_rows(struct search_row *row, uint64_t head_vaddr, const struct eh_frame *frame,
			  const struct eh_fde *fdes, size_t count)
{
	struct eh_reader reader = { .frame = frame };
	uint32_t filled = 0;

	for (size_t i = 0; i < count; i++)
		if (fdes[i].program_end - fdes[i].program <= PROGRAM_MAX &&
		    !eh_frame_rules(&reader, &fdes[i], ignore_rule, NULL) &&
		    symbol_distance(head_vaddr, fdes[i].start, &row[filled].start) &&
		    symbol_distance(head_vaddr, frame->vaddr + fdes[i].offset, &row[filled].fde))
			filled++;
	return filled;
}

static void fill_headers(struct unwind_image *image, uint64_t head_at, uint64_t head_vaddr)
{
	Elf64_Ehdr header = {
		.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
			     EV_CURRENT },
		.e_type = ET_DYN,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_phoff = sizeof(header),
		.e_ehsize = sizeof(header),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = SEGMENTS,
	};
	/* libdwfl takes the bias from the first PT_LOAD and where the module begins */
	Elf64_Phdr segments[SEGMENTS] = {
		{ .p_type = PT_LOAD,
		  .p_flags = PF_R | PF_X,
		  .p_vaddr = image->text.vaddr,
		  .p_memsz = image->text.size,
		  .p_align = 1 },
		{ .p_type = PT_GNU_EH_FRAME,
		  .p_offset = head_at,
		  .p_vaddr = head_vaddr,
		  .p_filesz = image->elf_size - head_at,
		  .p_memsz = image->elf_size - head_at,
		  .p_align = 4 },
	};

	memcpy(image->elf, &header, sizeof(header));
	memcpy((char *)image->elf + sizeof(header), segments, sizeof(segments));
}

static int fill_image(struct unwind_image *image, const struct eh_frame *frame,
		      const struct eh_fde *fdes, size_t count)
{
	size_t head_at = (FRAME_AT + frame->size + 3) & ~(size_t)3;
	uint64_t head_vaddr = frame->vaddr + (head_at - FRAME_AT);
	struct search_head head = { 1,
				    DW_EH_PE_pcrel | DW_EH_PE_sdata4,
				    DW_EH_PE_udata4,
				    DW_EH_PE_datarel | DW_EH_PE_sdata4,
				    0,
				    0 };
	char *bytes = calloc(1, head_at + sizeof(head) + count * sizeof(struct search_row));

	if (!bytes)
		return -ENOMEM;
	memcpy(bytes + FRAME_AT, frame->data, frame->size);
	symbol_distance(head_vaddr + offsetof(struct search_head, frame), frame->vaddr,
			&head.frame);
	head.count = fill_rows((struct search_row *)(bytes + head_at + sizeof(head)), head_vaddr,
			       frame, fdes, count);
	memcpy(bytes + head_at, &head, sizeof(head));
	image->elf = bytes;
	image->elf_size = head_at + sizeof(head) + head.count * sizeof(struct search_row);
	fill_headers(image, head_at, head_vaddr);
	if (!head.count) {
		free(image->elf);
		image->elf = NULL;
		image->elf_size = 0;
	}
	return 0;
}

/* A file that can't be used leaves the image without contents: then it is not tried again. */
static int image_read(struct unwind_image *image, struct elf_file *file)
{
	struct eh_frame frame;
	struct eh_fde *fdes;
	GElf_Ehdr header;
	size_t count;
	int err;

	if (!elf_file_text(file, &image->text) || !gelf_getehdr(elf_file_elf(file), &header) ||
	    __builtin_add_overflow(image->text.vaddr, image->text.size, &image->text_end) ||
	    eh_frame_find(elf_file_elf(file), &frame))
		return 0;
	image->entry = header.e_entry;
	err = eh_frame_fdes(&frame, &fdes, &count);
	if (err)
		return err == -ENOMEM ? err : 0;
	err = fill_image(image, &frame, fdes, count);
	free(fdes);
	return err;
}

/* file: NULL if it is no ELF file of this machine; freed. */
static int image_new(struct elf_file *file, struct unwind_image **ret_image)
{
	struct unwind_image *image = calloc(1, sizeof(*image));
	int err = image ? 0 : -ENOMEM;

	if (!err && file)
		err = image_read(image, file);
	elf_file_free(file);
	if (err) {
		free(image);
		return err;
	}
	image->refs = 1;
	*ret_image = image;
	return 0;
}

static void image_free(struct unwind_image *image)
{
	if (image)
		free(image->elf);
	free(image);
}

/* Drops unused ones, the longest unused first, until there is room. */
static int images_make_room(struct unwind_images *images)
{
	while (images->count >= UNWIND_IMAGES_MAX || images->bytes >= UNWIND_IMAGES_BYTES) {
		struct unwind_image **at, **oldest = NULL, *image;

		for (at = &images->first; *at; at = &(*at)->next)
			if (!(*at)->refs)
				oldest = at;
		if (!oldest)
			return -E2BIG;
		image = *oldest;
		*oldest = image->next;
		images->count--;
		images->bytes -= image->elf_size;
		image_free(image);
	}
	return 0;
}

static bool is_of(const struct unwind_image *image, const struct stat *file)
{
	return image->inode == file->st_ino && image->dev == file->st_dev &&
	       image->size == file->st_size && image->changed.tv_sec == file->st_ctim.tv_sec &&
	       image->changed.tv_nsec == file->st_ctim.tv_nsec;
}

static void put_first(struct unwind_images *images, struct unwind_image *image)
{
	image->next = images->first;
	images->first = image;
}

static struct unwind_image *image_find(struct unwind_images *images, const struct stat *file)
{
	for (struct unwind_image **at = &images->first; *at; at = &(*at)->next) {
		struct unwind_image *image = *at;

		if (!is_of(image, file))
			continue;
		*at = image->next;
		put_first(images, image);
		image->refs++;
		return image;
	}
	return NULL;
}

static int image_open(int fd, const struct stat *st, struct unwind_image **ret_image)
{
	struct elf_file *file = NULL;
	int err = elf_file_open(fd, "", &file);

	if (err == -ENOMEM)
		return err;
	err = image_new(err ? NULL : file, ret_image);
	if (err)
		return err;
	(*ret_image)->dev = st->st_dev;
	(*ret_image)->inode = st->st_ino;
	(*ret_image)->size = st->st_size;
	(*ret_image)->changed = st->st_ctim;
	return 0;
}

int unwind_image_get(struct unwind_images *images, int fd, struct unwind_image **ret_image)
{
	struct stat st;
	int err = fstat(fd, &st) ? -errno : 0;

	*ret_image = err ? NULL : image_find(images, &st);
	if (!err && !*ret_image)
		err = images_make_room(images);
	if (err || *ret_image) {
		close(fd);
		return err;
	}
	err = image_open(fd, &st, ret_image);
	if (err)
		return err;
	put_first(images, *ret_image);
	images->count++;
	images->bytes += (*ret_image)->elf_size;
	return 0;
}

static int vdso_read(struct unwind_image **ret_image)
{
	const Elf64_Ehdr *vdso = (const void *)getauxval(AT_SYSINFO_EHDR);
	struct elf_file *file;
	int err;

	if (!vdso)
		return -ENOENT;
	err = elf_file_from_memory(vdso, vdso->e_shoff + (size_t)vdso->e_shnum * vdso->e_shentsize,
				   "[vdso]", &file);
	return err ? err : image_new(file, ret_image);
}

int unwind_image_get_vdso(struct unwind_images *images, struct unwind_image **ret_image)
{
	int err = 0;

	if (images->vdso)
		images->vdso->refs++;
	else
		err = vdso_read(&images->vdso);
	*ret_image = images->vdso;
	return err;
}

void unwind_image_put(struct unwind_image *image)
{
	if (image)
		image->refs--;
}

void unwind_images_done(struct unwind_images *images)
{
	while (images->first) {
		struct unwind_image *image = images->first;

		images->first = image->next;
		image_free(image);
	}
	image_free(images->vdso);
	*images = (struct unwind_images){ 0 };
}
