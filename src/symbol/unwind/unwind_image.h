/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What libdwfl gets to see of an ELF file: a small image in memory that has the file's text
 * segment, its .eh_frame, and a search table of those FDEs that were found well-formed. So no
 * mapped file can be cut off below libdwfl's feet, no register number makes it allocate
 * gigabytes, and debug sections do not tempt it. Shared by all processes that run the file.
 */
#ifndef FDTRACE_SYMBOL_UNWIND_IMAGE_H
#define FDTRACE_SYMBOL_UNWIND_IMAGE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "symbol/elf/elf_file.h"

#define UNWIND_IMAGES_MAX 1024
#define UNWIND_IMAGES_BYTES (256u << 20)

struct unwind_image {
	/* of the file; a changed one is another */
	dev_t dev;
	ino_t inode;
	off_t size;
	struct timespec changed;

	struct elf_text text;
	uint64_t text_end; /* vaddr */
	uint64_t entry;
	void *elf; /* NULL: no .eh_frame, or no ELF file of this machine at all */
	size_t elf_size;

	unsigned int refs;
	struct unwind_image *next;
};

/* Zeroed before its first use. The latest used are first. */
struct unwind_images {
	struct unwind_image *first;
	struct unwind_image *vdso;
	unsigned int count;
	size_t bytes;
};

/*
 * A reference to the image of a regular file. Takes fd over in any case. 0; -E2BIG: there are too
 * many in use; -ENOMEM; or another -errno.
 */
int unwind_image_get(struct unwind_images *images, int fd, struct unwind_image **ret_image);
/* The same of the vdso, which is the same in all processes of 64 bits. */
int unwind_image_get_vdso(struct unwind_images *images, struct unwind_image **ret_image);
/* Gives the reference back; the image stays while there is room. NULL is allowed. */
void unwind_image_put(struct unwind_image *image);
/* No image may be referred to any more. */
void unwind_images_done(struct unwind_images *images);

#endif
