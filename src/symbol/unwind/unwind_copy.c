// SPDX-License-Identifier: BSD-2-Clause
#include <elfutils/libdwfl.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "symbol/mapping.h"
#include "symbol/unwind/unwind_copy.h"
#include "symbol/unwind/unwind_image.h"

#define PAGES_ASKED 64      /* addresses outside of all files that are remembered per space */
#define REREADS_A_SECOND 20 /* each takes some 0.3 ms, with more files to open a few ms */
#define PAGE_BYTES 4096
#define ENTRY_BYTES 128 /* of ld.so's _start, which has no CFI */

struct module {
	struct unwind_image *image; /* NULL: not of a file, or it could not be had */
	uint64_t bias;
};

/* Mappings as they were read once, and the Dwfl made of them. */
struct layout {
	unsigned int count;
	struct unwind_mapping *mapping;
	struct module *module; /* one for each mapping */
	Dwfl *dwfl;
};

struct space {
	uint64_t serial; /* 0: free */
	uint64_t used;
	bool stale;
	struct layout *layout;
	uint64_t asked[PAGES_ASKED]; /* pages for which the mappings were read again already */
	unsigned int next_asked;
};

/* One stack on its way. */
struct walk {
	const struct fdt_copy *copy;
	const struct layout *layout;
	uint64_t *addresses;
	unsigned int max, count;
	unsigned int refused; /* reads outside the copy, since the last frame */
	uint64_t pc;          /* of the last frame, for look-ups */
	uint64_t sp;
	uint64_t unknown; /* the first address that no mapping holds, or 0 */
	bool ended;
	enum fdt_walk_end end;
};

struct unwind_copy {
	struct space space[UNWIND_COPY_SPACES];
	uint64_t clock;
	struct unwind_images images;
	Elf *machine; /* shows libdwfl for which machine to unwind, whatever the files are */
	Elf64_Ehdr machine_header;
	uint64_t second; /* of the rereads counted */
	unsigned int rereads;
	struct walk walk;
};

/* ---- what libdwfl asks ---- */

static pid_t next_thread(Dwfl *dwfl, void *arg, void **thread)
{
	(void)dwfl, (void)arg, (void)thread;
	return 0;
}

static bool get_thread(Dwfl *dwfl, pid_t tid, void *arg, void **thread)
{
	(void)dwfl, (void)tid;
	*thread = arg;
	return true;
}

static bool read_word(Dwfl *dwfl, Dwarf_Addr address, Dwarf_Word *ret_word, void *arg)
{
	struct walk *walk = &((struct unwind_copy *)arg)->walk;
	const struct fdt_copy *copy = walk->copy;
	uint64_t offset = address - copy->reg[FDT_REG_SP];

	(void)dwfl;
	if (copy->size < sizeof(*ret_word) || offset > copy->size - sizeof(*ret_word)) {
		walk->refused++;
		return false;
	}
	memcpy(ret_word, (const char *)(copy + 1) + offset, sizeof(*ret_word));
	return true;
}

static bool set_registers(Dwfl_Thread *thread, void *arg)
{
	const struct fdt_copy *copy = ((struct unwind_copy *)arg)->walk.copy;
	Dwarf_Word reg[FDT_REGS];

	for (int i = 0; i < FDT_REGS; i++)
		reg[i] = copy->reg[i];
	dwfl_thread_state_register_pc(thread, reg[FDT_REG_PC]);
	return dwfl_thread_state_registers(thread, 0, FDT_REGS, reg);
}

static const Dwfl_Thread_Callbacks thread_callbacks = {
	.next_thread = next_thread,
	.get_thread = get_thread,
	.memory_read = read_word,
	.set_initial_registers = set_registers,
};

static int find_elf(Dwfl_Module *module, void **user, const char *name, Dwarf_Addr base,
		    char **file_name, Elf **ret_elf)
{
	const struct unwind_image *image = *user;

	(void)module, (void)name, (void)base, (void)file_name;
	*ret_elf = image ? elf_memory(image->elf, image->elf_size) : NULL;
	return -1; /* no fd */
}

/* libdwfl's own callback would look for debug files, and ask servers for them. */
static int find_no_debuginfo(Dwfl_Module *module, void **user, const char *name, Dwarf_Addr base,
			     const char *file_name, const char *link, GElf_Word crc,
			     char **ret_name)
{
	(void)module, (void)user, (void)name, (void)base;
	(void)file_name, (void)link, (void)crc, (void)ret_name;
	return -1;
}

static const Dwfl_Callbacks callbacks = {
	.find_elf = find_elf,
	.find_debuginfo = find_no_debuginfo,
};

/* ---- layouts ---- */

static void layout_free(struct layout *layout)
{
	if (!layout)
		return;
	dwfl_end(layout->dwfl);
	for (unsigned int i = 0; layout->module && i < layout->count; i++)
		unwind_image_put(layout->module[i].image);
	free(layout->module);
	free(layout->mapping);
	free(layout);
}

/* The index of the mapping that holds an address, or layout->count. */
static unsigned int mapping_find(const struct layout *layout, uint64_t address)
{
	unsigned int low = 0, high = layout->count;

	while (low < high) {
		unsigned int middle = (low + high) / 2;

		if (address >= layout->mapping[middle].end)
			low = middle + 1;
		else
			high = middle;
	}
	return low < layout->count && address >= layout->mapping[low].start ? low : layout->count;
}

/* A file that can't be had leaves the module without an image: unwinding will end there. */
static int image_of(struct unwind_copy *unwind, pid_t pid, const struct unwind_known *known,
		    const struct unwind_mapping *mapping, struct unwind_image **ret_image)
{
	int fd, err;

	if (!strcmp(mapping->name, "[vdso]"))
		err = unwind_image_get_vdso(&unwind->images, ret_image);
	else if (!mapping->inode)
		return 0;
	else {
		fd = known ? known->open(known->ctx, mapping) : mapping_open(pid, mapping);
		if (fd < 0)
			return 0;
		err = unwind_image_get(&unwind->images, fd, ret_image);
	}
	return err == -ENOMEM ? err : 0;
}

/* Whether the mapping is of the image's text, and so the image can be put there. */
static bool copy_fits(const struct unwind_image *image, const struct unwind_mapping *mapping,
		      uint64_t bias)
{
	uint64_t vaddr = mapping->start - bias;

	return image->elf && vaddr < image->text_end &&
	       vaddr + (mapping->end - mapping->start) > image->text.vaddr &&
	       bias + image->text_end > bias + image->text.vaddr;
}

/*
 * Reports the module of a mapping. Where the text lies in several mappings (mprotect), they are
 * one module. *end: of the modules so far; those of a usual process do not overlap.
 */
static int layout_report_module(struct layout *layout, unsigned int index, uint64_t *end)
{
	const struct unwind_mapping *mapping = &layout->mapping[index];
	struct module *module = &layout->module[index];
	struct unwind_image *image = module->image;
	Dwfl_Module *reported;
	uint64_t start, delta;
	void **user;

	if (!image || !elf_text_delta(&image->text, mapping->offset_bytes, &delta))
		return 0;
	module->bias = mapping->start - mapping->offset_bytes - delta;
	start = module->bias + image->text.vaddr;
	if (!copy_fits(image, mapping, module->bias) || start < *end)
		return 0;
	reported = dwfl_report_module(layout->dwfl, mapping->name, start,
				      module->bias + image->text_end);
	if (!reported)
		return -ENOMEM;
	dwfl_module_info(reported, &user, NULL, NULL, NULL, NULL, NULL, NULL);
	*user = image;
	*end = module->bias + image->text_end;
	return 0;
}

static int layout_report(struct unwind_copy *unwind, struct layout *layout, pid_t pid,
			 const struct unwind_known *known)
{
	uint64_t end = 0;
	int err = 0;

	layout->dwfl = dwfl_begin(&callbacks);
	if (!layout->dwfl)
		return -ENOMEM;
	dwfl_report_begin(layout->dwfl);
	for (unsigned int i = 0; !err && i < layout->count; i++) {
		err = image_of(unwind, pid, known, &layout->mapping[i], &layout->module[i].image);
		if (!err)
			err = layout_report_module(layout, i, &end);
	}
	if (dwfl_report_end(layout->dwfl, NULL, NULL) && !err)
		err = -ENOMEM;
	if (!err &&
	    !dwfl_attach_state(layout->dwfl, unwind->machine, pid, &thread_callbacks, unwind))
		err = -ENOMEM;
	return err;
}

static int mappings_copy(const struct unwind_known *known, struct unwind_mapping **ret_mappings,
			 unsigned int *ret_count)
{
	*ret_mappings = calloc(known->count, sizeof(**ret_mappings));
	if (!*ret_mappings)
		return -ENOMEM;
	memcpy(*ret_mappings, known->mapping, known->count * sizeof(**ret_mappings));
	*ret_count = known->count;
	return 0;
}

/* Of the process as it is now, or of what is known of it. */
static int layout_read(struct unwind_copy *unwind, pid_t pid, const struct unwind_known *known,
		       struct layout **ret_layout)
{
	struct layout *layout = calloc(1, sizeof(*layout));
	int err;

	if (!layout)
		return -ENOMEM;
	err = known ? mappings_copy(known, &layout->mapping, &layout->count)
		    : mappings_read(pid, &layout->mapping, &layout->count);
	if (!err) {
		layout->module = calloc(layout->count, sizeof(*layout->module));
		err = layout->module ? layout_report(unwind, layout, pid, known) : -ENOMEM;
	}
	if (err)
		layout_free(layout);
	else
		*ret_layout = layout;
	return err;
}

/* ---- spaces ---- */

static struct space *space_find(struct unwind_copy *unwind, uint64_t serial)
{
	for (unsigned int i = 0; serial && i < UNWIND_COPY_SPACES; i++)
		if (unwind->space[i].serial == serial)
			return &unwind->space[i];
	return NULL;
}

static void space_clear(struct space *space)
{
	layout_free(space->layout);
	*space = (struct space){ 0 };
}

/* Found, or in the place of the one not used for longest. */
static struct space *copy_space_get(struct unwind_copy *unwind, uint64_t serial)
{
	struct space *space = space_find(unwind, serial);

	if (!space) {
		space = &unwind->space[0];
		for (unsigned int i = 1; i < UNWIND_COPY_SPACES; i++)
			if (unwind->space[i].used < space->used)
				space = &unwind->space[i];
		space_clear(space);
		space->serial = serial;
	}
	space->used = ++unwind->clock;
	return space;
}

void unwind_copy_stale(struct unwind_copy *unwind, uint64_t serial)
{
	struct space *space = space_find(unwind, serial);

	if (space)
		space->stale = true;
}

/* Whether reading mappings once more is within what a second has to spare. */
static bool may_reread(struct unwind_copy *unwind)
{
	uint64_t second = clock_ns(CLOCK_MONOTONIC_COARSE) / SEC_NS;

	if (second != unwind->second) {
		unwind->second = second;
		unwind->rereads = 0;
	}
	return unwind->rereads++ < REREADS_A_SECOND;
}

/* An address without a mapping is a reason to read them again, but once: it may be of a JIT. */
static bool ask_again(struct unwind_copy *unwind, struct space *space, uint64_t address)
{
	uint64_t page = address / PAGE_BYTES + 1;

	for (unsigned int i = 0; i < PAGES_ASKED; i++)
		if (space->asked[i] == page)
			return false;
	if (!may_reread(unwind))
		return false;
	space->asked[space->next_asked++ % PAGES_ASKED] = page;
	return true;
}

static int space_reread(struct unwind_copy *unwind, struct space *space, pid_t pid,
			const struct unwind_known *known)
{
	struct layout *layout;
	int err = layout_read(unwind, pid, known, &layout);

	if (err)
		return err;
	layout_free(space->layout);
	space->layout = layout;
	space->stale = known != NULL; /* there may be more of it */
	return 0;
}

/* What there is serves on, if the process has ended meanwhile. */
static int space_prepare(struct unwind_copy *unwind, struct space *space, pid_t pid)
{
	if (!space->layout)
		return space_reread(unwind, space, pid, NULL);
	if (space->stale && may_reread(unwind))
		return space_reread(unwind, space, pid, NULL) == -ENOMEM ? -ENOMEM : 0;
	return 0;
}

/* ---- a walk ---- */

static int walk_end(struct walk *walk, enum fdt_walk_end end)
{
	walk->end = end;
	walk->ended = true;
	return DWARF_CB_ABORT;
}

/* Frames lie ever higher; only a signal may have changed to another stack. */
static bool is_stuck(struct walk *walk, Dwfl_Frame *frame, bool is_signal)
{
	uint64_t before = walk->sp;

	if (dwfl_frame_reg(frame, FDT_REG_SP, &walk->sp))
		return false;
	return walk->count && !is_signal && walk->sp <= before;
}

static int on_frame(Dwfl_Frame *frame, void *arg)
{
	struct walk *walk = arg;
	bool is_exact; /* the innermost, or interrupted by a signal: no return address */
	Dwarf_Addr pc;

	walk->refused = 0; /* dwfl_frame_pc() may read what the next step needs */
	if (!dwfl_frame_pc(frame, &pc, &is_exact))
		return walk_end(walk, FDT_END_BAD_STACK);
	if (walk->count && !pc)
		return walk_end(walk, FDT_END_WHOLE);
	if (is_stuck(walk, frame, is_exact))
		return walk_end(walk, FDT_END_BAD_STACK);
	if (walk->count == walk->max)
		return walk_end(walk, FDT_END_DEPTH);
	walk->addresses[walk->count++] = pc;
	walk->pc = is_exact ? pc : pc - 1;
	if (!walk->unknown && mapping_find(walk->layout, walk->pc) == walk->layout->count)
		walk->unknown = walk->pc;
	return DWARF_CB_OK;
}

/* Why libdwfl went no further. Its 0 may mean the outermost frame or memory that it was refused. */
static enum fdt_walk_end walk_reason(const struct walk *walk, bool failed)
{
	const struct layout *layout = walk->layout;
	unsigned int index = mapping_find(layout, walk->pc);
	const struct unwind_image *image;
	uint64_t vaddr;

	if (index == layout->count ||
	    (!layout->module[index].image && !layout->mapping[index].inode))
		return FDT_END_NO_MODULE;
	image = layout->module[index].image;
	if (!image || !image->elf)
		return FDT_END_NO_TABLE;
	vaddr = walk->pc - layout->module[index].bias;
	if (failed && vaddr >= image->entry && vaddr - image->entry < ENTRY_BYTES)
		return FDT_END_WHOLE;
	if (walk->refused)
		return FDT_END_UNREADABLE;
	return failed ? FDT_END_NO_RULE : FDT_END_WHOLE;
}

static void walk_run(struct unwind_copy *unwind, const struct space *space)
{
	struct walk *walk = &unwind->walk;
	int result;

	walk->layout = space->layout;
	walk->count = walk->refused = 0;
	walk->unknown = walk->sp = 0;
	walk->ended = false;
	walk->pc = walk->copy->reg[FDT_REG_PC];
	result = dwfl_getthread_frames(space->layout->dwfl, dwfl_pid(space->layout->dwfl), on_frame,
				       walk);
	if (!walk->ended)
		walk->end = walk_reason(walk, result != 0);
}

/* Mappings in which not even the innermost address lies are not those of that space: an exec. */
static bool is_foreign_image(const struct layout *layout, const struct fdt_copy *copy)
{
	return mapping_find(layout, copy->reg[FDT_REG_PC]) == layout->count;
}

int unwind_copy_frames(struct unwind_copy *unwind, pid_t pid, const struct fdt_copy *copy,
		       const struct unwind_known *known, uint64_t *addresses, unsigned int max,
		       unsigned int *ret_count, enum fdt_walk_end *ret_end)
{
	struct space *space;
	struct walk *walk = &unwind->walk;
	bool is_new;
	int err;

	if (!max || !copy->space || copy->size > FDT_COPY_MAX)
		return -EINVAL;
	space = copy_space_get(unwind, copy->space);
	is_new = !space->layout;
	err = space_prepare(unwind, space, pid);
	if (known && known->count &&
	    (err == -ESRCH || (!err && is_foreign_image(space->layout, copy))))
		err = space_reread(unwind, space, pid, known);
	if (err)
		return err;
	*walk = (struct walk){ .copy = copy, .addresses = addresses, .max = max };
	walk_run(unwind, space);
	if (walk->unknown && !is_new && ask_again(unwind, space, walk->unknown) &&
	    !space_reread(unwind, space, pid, NULL))
		walk_run(unwind, space);
	*ret_count = walk->count;
	*ret_end = walk->end;
	if (is_new && is_foreign_image(space->layout, copy))
		space_clear(space);
	return 0;
}

int unwind_copy_mapping(struct unwind_copy *unwind, uint64_t serial, uint64_t address,
			struct unwind_mapping *ret_mapping)
{
	const struct space *space = space_find(unwind, serial);
	unsigned int index;

	if (!space || !space->layout)
		return -ENOENT;
	index = mapping_find(space->layout, address);
	if (index == space->layout->count)
		return -ENOENT;
	*ret_mapping = space->layout->mapping[index];
	return 0;
}

/* ---- the whole ---- */

int unwind_copy_new(struct unwind_copy **ret_unwind)
{
	struct unwind_copy *unwind = calloc(1, sizeof(*unwind));

	if (!unwind)
		return -ENOMEM;
	elf_version(EV_CURRENT);
	unwind->machine_header = (Elf64_Ehdr){
		.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
			     EV_CURRENT },
		.e_type = ET_DYN,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_ehsize = sizeof(Elf64_Ehdr),
	};
	unwind->machine = elf_memory((char *)&unwind->machine_header, sizeof(Elf64_Ehdr));
	if (!unwind->machine) {
		free(unwind);
		return -ENOMEM;
	}
	*ret_unwind = unwind;
	return 0;
}

void unwind_copy_free(struct unwind_copy *unwind)
{
	if (!unwind)
		return;
	for (unsigned int i = 0; i < UNWIND_COPY_SPACES; i++)
		layout_free(unwind->space[i].layout);
	unwind_images_done(&unwind->images);
	elf_end(unwind->machine);
	free(unwind);
}
