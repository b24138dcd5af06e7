// SPDX-License-Identifier: BSD-2-Clause
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "symbol/elf/elf_file.h"
#include "symbol/elf/elf_image.h"
#include "util/arch.h"

#define NOTES_MAX 65536u /* bytes of a note segment that are read */

int elf_image_bytes(const struct elf_image *image, uint64_t offset, void *buffer, size_t size)
{
	char *to = buffer;

	if (offset > image->size || size > image->size - offset)
		return -EFAULT;
	if (image->bytes) {
		memcpy(buffer, (char *)image->bytes + offset, size);
		return 0;
	}
	while (size > 0) {
		ssize_t got = pread(image->fd, to, size, (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return -EFAULT;
		to += got;
		offset += (uint64_t)got;
		size -= (size_t)got;
	}
	return 0;
}

/* libelf allocates by these numbers, so they are checked before it sees them. */
static int image_check_header(const struct elf_image *image)
{
	Elf64_Ehdr header;

	if (elf_image_bytes(image, 0, &header, sizeof(header)) != 0 ||
	    memcmp(header.e_ident, ELFMAG, SELFMAG) != 0)
		return -ENOEXEC;
	if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB ||
	    header.e_machine != ARCH_ELF_MACHINE ||
	    (header.e_type != ET_EXEC && header.e_type != ET_DYN))
		return -ENOEXEC;
	if (header.e_phnum == PN_XNUM || (header.e_shnum == 0 && header.e_shoff != 0))
		return -ENOEXEC;
	return header.e_shnum > ELF_SECTIONS_MAX ? -ENOEXEC : 0;
}

/* Once more, in libelf's own copy: the file may have been changed in between. */
static int image_check_counts(struct elf_image *image)
{
	size_t sections;

	if (elf_kind(image->elf) != ELF_K_ELF || gelf_getclass(image->elf) != ELFCLASS64 ||
	    elf_getshdrnum(image->elf, &sections) != 0 ||
	    elf_getphdrnum(image->elf, &image->phnum) != 0)
		return -ENOEXEC;
	return sections > ELF_SECTIONS_MAX || image->phnum >= PN_XNUM ? -ENOEXEC : 0;
}

/* Finds the build-id in a run of notes. */
static bool notes_find_build_id(Elf_Data *data, char *hex)
{
	size_t offset = 0, name, description;
	GElf_Nhdr note;

	while ((offset = gelf_getnote(data, offset, &note, &name, &description)) > 0) {
		const unsigned char *bytes = (unsigned char *)data->d_buf + description;

		if (note.n_type != NT_GNU_BUILD_ID || note.n_namesz != sizeof(ELF_NOTE_GNU) ||
		    memcmp((char *)data->d_buf + name, ELF_NOTE_GNU, sizeof(ELF_NOTE_GNU)) != 0 ||
		    note.n_descsz == 0 || note.n_descsz > ELF_BUILD_ID_MAX)
			continue;
		for (size_t i = 0; i < note.n_descsz; i++, hex += 2) {
			hex[0] = "0123456789abcdef"[bytes[i] >> 4];
			hex[1] = "0123456789abcdef"[bytes[i] & 15];
		}
		*hex = '\0';
		return true;
	}
	return false;
}

static bool image_read_notes(struct elf_image *image, uint64_t offset, uint64_t size,
			     uint64_t align)
{
	Elf_Type type = align == 8 ? ELF_T_NHDR8 : ELF_T_NHDR;
	Elf_Data *data;

	if (size == 0 || size > NOTES_MAX || offset > image->size || size > image->size - offset)
		return false;
	data = elf_getdata_rawchunk(image->elf, (int64_t)offset, size, type);
	return data && notes_find_build_id(data, image->build_id);
}

static void image_read_build_id(struct elf_image *image)
{
	Elf_Scn *section = NULL;
	GElf_Phdr segment;
	GElf_Shdr header;

	for (size_t i = 0; i < image->phnum && gelf_getphdr(image->elf, (int)i, &segment); i++)
		if (segment.p_type == PT_NOTE &&
		    image_read_notes(image, segment.p_offset, segment.p_filesz, segment.p_align))
			return;
	/* a debug file's segments may point nowhere */
	while ((section = elf_nextscn(image->elf, section)))
		if (gelf_getshdr(section, &header) && header.sh_type == SHT_NOTE &&
		    image_read_notes(image, header.sh_offset, header.sh_size, header.sh_addralign))
			return;
}

/* image->fd or ->bytes, and ->size, are there; on failure they are let go. */
static int image_load(struct elf_image *image)
{
	int err = image_check_header(image);

	if (err == 0) {
		elf_version(EV_CURRENT);
		image->elf = image->bytes ? elf_memory(image->bytes, image->size)
					  : elf_begin(image->fd, ELF_C_READ, NULL);
		err = image->elf ? image_check_counts(image) : -ENOEXEC;
	}
	if (err != 0)
		elf_image_done(image);
	return err;
}

static int image_load_first(struct elf_image *image)
{
	int err = image_load(image);

	if (err == 0)
		image_read_build_id(image);
	return err;
}

int elf_image_renew(struct elf_image *image)
{
	elf_end(image->elf);
	image->elf = NULL;
	return image_load(image);
}

int elf_image_open(int fd, struct elf_image *ret_image)
{
	struct elf_image image = { .fd = fd };
	struct stat st;
	int err = fstat(fd, &st) != 0 ? -errno : 0;

	if (err == 0 && !S_ISREG(st.st_mode))
		err = -ENOEXEC;
	if (err == 0 && (uint64_t)st.st_size > ELF_FILE_MAX_BYTES)
		err = -EFBIG;
	if (err != 0) {
		close(fd);
		return err;
	}
	image.size = (uint64_t)st.st_size;
	err = image_load_first(&image);
	if (err == 0)
		*ret_image = image;
	return err;
}

int elf_image_copy(const void *bytes, size_t size, struct elf_image *ret_image)
{
	struct elf_image image = { .fd = -1, .size = size };
	int err;

	if (size > ELF_FILE_MAX_BYTES)
		return -EFBIG;
	image.bytes = malloc(size + 1);
	if (!image.bytes)
		return -ENOMEM;
	memcpy(image.bytes, bytes, size);
	err = image_load_first(&image);
	if (err == 0)
		*ret_image = image;
	return err;
}

void elf_image_done(struct elf_image *image)
{
	elf_end(image->elf); /* NULL is allowed */
	if (image->fd >= 0 && !image->bytes)
		close(image->fd);
	free(image->bytes);
	image->elf = NULL;
	image->fd = -1;
	image->bytes = NULL;
	image->size = image->phnum = 0;
}
