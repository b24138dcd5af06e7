// SPDX-License-Identifier: BSD-2-Clause
/* Tables made from .eh_frame: against libdw's reading, against glibc's walk, and of damaged files. */
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <errno.h>
#include <fcntl.h>
#include <dlfcn.h>
#include <limits.h>
#include <gnu/libc-version.h>
#include <link.h>
#include <stdio.h>
#include <unistd.h>

#include "own_stack.h"
#include "small_elf.h"
#include "symbol/unwind/unwind_table.h"

#define OTHER FDT_RULE(FDT_RULE_OTHER, 0, 0)

static struct elf_file *open_file(const char *path)
{
	struct elf_file *file;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(elf_file_open(fd, path, &file), 0);
	return file;
}

/* What the kernel side would find (bpf/unwind.bpf.h). */
static uint32_t rule_at(const struct unwind_table *table, uint64_t vaddr)
{
	uint64_t index = (vaddr - table->first_vaddr) / FDT_PAGE_SIZE;
	const struct unwind_page *page;
	uint32_t at;

	if (vaddr < table->first_vaddr || index >= table->page_count)
		return 0;
	page = &table->page[index];
	if (!page->count)
		return 0;
	for (at = page->first + page->count - 1; at > page->first; at--)
		if (FDT_ROW_OFFSET(table->row[at]) <= vaddr % FDT_PAGE_SIZE)
			break;
	return table->rule[FDT_ROW_RULE(table->row[at])];
}

/* What fdtrace/stack.h promises of a table, whatever the file was. */
static void assert_sound(const struct unwind_table *table)
{
	uint32_t rows = 0;

	assert_in_range(table->rule_count, 2, UNWIND_RULES_MAX);
	assert_int_equal(table->rule[0], FDT_RULE(FDT_RULE_NONE, 0, 0));
	assert_int_equal(table->first_vaddr % FDT_PAGE_SIZE, 0);
	for (uint32_t i = 0; i < table->page_count; i++) {
		const struct unwind_page *page = &table->page[i];
		const uint32_t *row = table->row + page->first;

		assert_true(page->count <= FDT_SLAB_ROWS);
		assert_int_equal(page->first, rows);
		rows += page->count;
		assert_true(rows <= table->row_count);
		for (uint32_t j = 0; j < page->count; j++) {
			assert_true(FDT_ROW_RULE(row[j]) < table->rule_count);
			assert_true(j ? FDT_ROW_OFFSET(row[j]) > FDT_ROW_OFFSET(row[j - 1])
				      : FDT_ROW_OFFSET(row[j]) == 0);
			assert_true(!j || FDT_ROW_RULE(row[j]) != FDT_ROW_RULE(row[j - 1]));
		}
	}
	assert_int_equal(rows, table->row_count);
	assert_int_equal(table->rows_described + table->rows_other, rows);
}

/* ---- against libdw, which reads the same section in its own way ---- */

static bool at_cfa_plus(const Dwarf_Op *ops, size_t count, int64_t *ret_offset)
{
	if (!count || ops[0].atom != DW_OP_call_frame_cfa || count > 2 ||
	    (count == 2 && ops[1].atom != DW_OP_plus_uconst))
		return false;
	*ret_offset = count == 2 ? (int64_t)ops[1].number : 0;
	return true;
}

static uint32_t saved_bp_by_libdw(Dwarf_Frame *frame)
{
	Dwarf_Op memory[3], *ops;
	int64_t offset = 0;
	size_t count;

	assert_int_equal(dwarf_frame_register(frame, 6, memory, &ops, &count), 0);
	if (!count)
		return 0;
	assert_true(at_cfa_plus(ops, count, &offset));
	return -offset / 8;
}

static uint32_t cfa_rule_by_libdw(Dwarf_Frame *frame)
{
	Dwarf_Op *ops;
	size_t count;
	bool is_sp;

	assert_int_equal(dwarf_frame_cfa(frame, &ops, &count), 0);
	if (count != 1)
		return count == 9 && ops[0].atom == DW_OP_breg7 && ops[4].atom == DW_OP_lit11
			       ? FDT_RULE(FDT_RULE_PLT, 0, 0)
			       : OTHER;
	if (ops[0].atom != DW_OP_bregx)
		ops[0].number2 = ops[0].number, ops[0].number = ops[0].atom - DW_OP_breg0;
	is_sp = ops[0].number == 7;
	if (!is_sp && ops[0].number != 6)
		return OTHER;
	return FDT_RULE(is_sp ? FDT_RULE_SP : FDT_RULE_BP, ops[0].number2 / 8,
			saved_bp_by_libdw(frame));
}

static uint32_t rule_by_libdw(Dwarf_Frame *frame)
{
	Dwarf_Op memory[3], *ops;
	int64_t offset;
	size_t count;
	bool is_signal;
	int ra = dwarf_frame_info(frame, NULL, NULL, &is_signal);

	if (is_signal)
		return FDT_RULE(FDT_RULE_SIGNAL, 0, 0);
	assert_int_equal(dwarf_frame_register(frame, ra, memory, &ops, &count), 0);
	if (!count && ops == memory)
		return FDT_RULE(FDT_RULE_END, 0, 0);
	if (!at_cfa_plus(ops, count, &offset) || offset != -8)
		return OTHER;
	return cfa_rule_by_libdw(frame);
}

struct comparison {
	const struct unwind_table *table;
	Dwarf_CFI *cfi;
	unsigned long equal, gaps;
};

static void compare_at(struct comparison *c, uint64_t vaddr)
{
	uint32_t rule = rule_at(c->table, vaddr);
	Dwarf_Frame *frame;

	if (dwarf_cfi_addrframe(c->cfi, vaddr, &frame)) {
		c->gaps++;
		return;
	}
	if (rule != rule_by_libdw(frame))
		print_message("# at 0x%lx\n", vaddr);
	assert_int_equal(rule, rule_by_libdw(frame));
	free(frame);
	c->equal++;
}

/* At each row and one byte before it: what is said must be the same, and begin at the same byte. */
static void compare_all(const char *path, unsigned long rows_at_least)
{
	struct elf_file *file = open_file(path);
	struct unwind_table table;
	struct comparison c = { .table = &table };

	assert_int_equal(unwind_table_build(file, &table), 0);
	assert_sound(&table);
	c.cfi = dwarf_getcfi_elf(elf_file_elf(file));
	assert_non_null(c.cfi);
	for (uint32_t i = 0; i < table.page_count; i++)
		for (uint32_t j = 0; j < table.page[i].count; j++) {
			uint64_t vaddr = table.first_vaddr + i * (uint64_t)FDT_PAGE_SIZE +
					 FDT_ROW_OFFSET(table.row[table.page[i].first + j]);

			compare_at(&c, vaddr);
			compare_at(&c, vaddr - 1);
		}
	print_message("# %s: %u rows, %u need DWARF, %u rules; %lu equal to libdw's, %lu in gaps\n",
		      path, table.row_count, table.rows_other, table.rule_count, c.equal, c.gaps);
	assert_true(c.equal >= rows_at_least && c.equal > 9 * c.gaps);
	dwarf_cfi_end(c.cfi);
	unwind_table_done(&table);
	elf_file_free(file);
}

static const char *libc_path(void)
{
	static char path[PATH_MAX];
	struct link_map *map;
	Dl_info info;

	assert_true(dladdr1((void *)gnu_get_libc_version, &info, (void **)&map, RTLD_DL_LINKMAP));
	snprintf(path, sizeof(path), "%s", info.dli_fname);
	return path;
}

static void own_program_as_libdw(void **state)
{
	(void)state;
	compare_all("/proc/self/exe", 500);
}

static void libc_as_libdw(void **state)
{
	(void)state;
	compare_all(libc_path(), 20000);
}

static void python_as_libdw(void **state)
{
	(void)state;
	compare_all("/usr/bin/python3", 20000);
}

/* ---- against glibc's backtrace(): a walk as the kernel side makes it ---- */

#define OBJECTS_MAX 32

struct object {
	uint64_t bias, start, end;
	struct elf_file *file;
	struct unwind_table table;
};

struct objects {
	struct object object[OBJECTS_MAX];
	unsigned int count;
};

static int add_object(struct dl_phdr_info *info, size_t size, void *ctx)
{
	struct objects *objects = ctx;
	struct object *o = &objects->object[objects->count];
	const char *path = *info->dlpi_name ? info->dlpi_name : "/proc/self/exe";

	(void)size;
	if (path[0] != '/') /* the vdso */
		return 0;
	assert_true(objects->count < OBJECTS_MAX);
	objects->count++;
	o->bias = info->dlpi_addr;
	o->file = open_file(path);
	assert_int_equal(unwind_table_build(o->file, &o->table), 0);
	o->start = o->bias + o->table.first_vaddr;
	o->end = o->start + (uint64_t)o->table.page_count * FDT_PAGE_SIZE;
	return 0;
}

static void free_objects(struct objects *objects)
{
	for (unsigned int i = 0; i < objects->count; i++) {
		unwind_table_done(&objects->object[i].table);
		elf_file_free(objects->object[i].file);
	}
}

static uint32_t rule_of_pc(const struct objects *objects, uint64_t pc)
{
	for (unsigned int i = 0; i < objects->count; i++) {
		const struct object *o = &objects->object[i];

		if (pc >= o->start && pc < o->end)
			return rule_at(&o->table, pc - o->bias);
	}
	return 0;
}

static uint64_t word_at(const struct own_stack *own, uint64_t address)
{
	uint64_t offset = address - own->copy.reg[7];

	assert_true(offset <= own->copy.size - 8 && offset % 8 == 0);
	return own->memory[offset / 8];
}

static unsigned int walk(const struct objects *objects, const struct own_stack *own,
			 uint64_t *addresses)
{
	uint64_t pc = own->copy.reg[16], sp = own->copy.reg[7], bp = own->copy.reg[6], cfa;
	unsigned int count = 0;

	for (;;) {
		uint32_t rule = rule_of_pc(objects, pc - !!count);

		assert_true(count < OWN_FRAMES_MAX);
		addresses[count++] = pc;
		if (FDT_RULE_KIND(rule) == FDT_RULE_END)
			return count;
		assert_in_range(FDT_RULE_KIND(rule), FDT_RULE_SP, FDT_RULE_BP);
		cfa = (FDT_RULE_KIND(rule) == FDT_RULE_SP ? sp : bp) + FDT_RULE_CFA(rule) * 8;
		assert_true(cfa > sp);
		if (FDT_RULE_SAVED_BP(rule))
			bp = word_at(own, cfa - FDT_RULE_SAVED_BP(rule) * 8);
		pc = word_at(own, cfa - 8);
		sp = cfa;
	}
}

static void walk_as_glibc(void (*take)(struct own_stack *own))
{
	static struct own_stack own;
	uint64_t addresses[OWN_FRAMES_MAX];
	struct objects objects = { 0 };

	own.bytes_wanted = FDT_COPY_MAX;
	take(&own);
	dl_iterate_phdr(add_object, &objects);
	own_assert_equal(&own, addresses, walk(&objects, &own, addresses));
	free_objects(&objects);
}

static void recurse_deep(struct own_stack *own)
{
	own_recurse(own, 20);
}

static void recursion_as_glibc(void **state)
{
	(void)state;
	walk_as_glibc(recurse_deep);
}

static void callback_as_glibc(void **state)
{
	(void)state;
	walk_as_glibc(own_sort);
}

/* ---- made by hand ---- */

#define TEXT 0x1000
#define FRAME 0x400 /* of .eh_frame in the image and in memory */

/* No sections; found by .eh_frame_hdr, as in a stripped file. */
struct image {
	uint8_t bytes[64 * 1024];
	size_t size;
	size_t length_at; /* of the entry that is being made */
};

static void byte(struct image *image, unsigned int value)
{
	assert_true(image->size < sizeof(image->bytes));
	image->bytes[image->size++] = value;
}

static void bytes(struct image *image, const void *from, size_t size)
{
	for (size_t i = 0; i < size; i++)
		byte(image, ((const uint8_t *)from)[i]);
}

static void word(struct image *image, uint32_t value)
{
	bytes(image, &value, 4);
}

static void entry_begin(struct image *image, uint32_t cie)
{
	image->length_at = image->size;
	word(image, 0);
	word(image, cie ? image->size - cie : 0);
}

static void entry_end(struct image *image)
{
	uint32_t length;

	while (image->size % 4)
		byte(image, DW_CFA_nop);
	length = image->size - image->length_at - 4;
	memcpy(image->bytes + image->length_at, &length, 4);
}

static uint32_t put_cie(struct image *image, const char *augmentation)
{
	uint32_t at = image->size;

	entry_begin(image, 0);
	byte(image, 1);
	bytes(image, augmentation, strlen(augmentation) + 1);
	byte(image, 1);    /* code alignment */
	byte(image, 0x78); /* data alignment: -8 */
	byte(image, 16);
	byte(image, 1); /* size of the augmentation */
	byte(image, DW_EH_PE_udata4);
	bytes(image, "\x0c\x07\x08\x90\x01", 5); /* CFA = rsp + 8, return address at CFA - 8 */
	entry_end(image);
	return at;
}

static void fde_begin(struct image *image, uint32_t cie, uint32_t start, uint32_t size)
{
	entry_begin(image, cie);
	word(image, start);
	word(image, size);
	byte(image, 0);
}

static void put_fde(struct image *image, uint32_t cie, uint32_t start, uint32_t size,
		    const char *code, size_t length)
{
	fde_begin(image, cie, start, size);
	bytes(image, code, length);
	entry_end(image);
}

static void image_begin(struct image *image, uint32_t text_size, uint64_t entry)
{
	Elf64_Ehdr header = { .e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64,
					   ELFDATA2LSB, EV_CURRENT },
			      .e_type = ET_DYN,
			      .e_machine = EM_X86_64,
			      .e_version = EV_CURRENT,
			      .e_entry = entry,
			      .e_phoff = sizeof(header),
			      .e_ehsize = sizeof(header),
			      .e_phentsize = sizeof(Elf64_Phdr),
			      .e_phnum = 3 };
	Elf64_Phdr segment[] = {
		{ .p_type = PT_LOAD, .p_flags = PF_R, .p_filesz = 0x10000, .p_memsz = 0x10000 },
		{ .p_type = PT_LOAD,
		  .p_flags = PF_R | PF_X,
		  .p_offset = TEXT,
		  .p_vaddr = TEXT,
		  .p_filesz = text_size,
		  .p_memsz = text_size },
		{ .p_type = PT_GNU_EH_FRAME,
		  .p_offset = FRAME - 16,
		  .p_vaddr = FRAME - 16,
		  .p_filesz = 12 },
	};

	memset(image, 0, sizeof(*image));
	bytes(image, &header, sizeof(header));
	bytes(image, segment, sizeof(segment));
	image->size = FRAME - 16;
	word(image, 0xffu << 24 | 0xff << 16 | DW_EH_PE_udata4 << 8 | 1);
	word(image, FRAME);
	image->size = FRAME;
}

static int build_image(const struct image *image, struct unwind_table *table)
{
	struct elf_file *file;
	int err = elf_file_from_memory(image->bytes, sizeof(image->bytes), "image", &file);

	if (err)
		return err;
	err = unwind_table_build(file, table);
	elf_file_free(file);
	return err;
}

static struct image image;

#define CODE_MAX 6

/* An image with `count` executable segments more than the usual one, which lie as told. */
static void image_add_code(struct image *to, const Elf64_Phdr *code, unsigned int count)
{
	Elf64_Ehdr header;
	Elf64_Phdr segment;

	assert_true(count <= CODE_MAX);
	memcpy(&header, to->bytes, sizeof(header));
	for (unsigned int i = 0; i < count; i++) {
		segment = code[i];
		segment.p_type = PT_LOAD;
		segment.p_flags = PF_R | PF_X;
		memcpy(to->bytes + header.e_phoff + header.e_phnum++ * sizeof(segment), &segment,
		       sizeof(segment));
	}
	memcpy(to->bytes, &header, sizeof(header));
}

static bool image_text(const struct image *from, struct elf_text *text)
{
	struct elf_file *file;
	bool found;

	assert_int_equal(elf_file_from_memory(from->bytes, sizeof(from->bytes), "image", &file), 0);
	found = elf_file_text(file, text);
	elf_file_free(file);
	return found;
}

static uint64_t delta_at(const struct elf_text *text, uint64_t offset)
{
	uint64_t delta = UINT64_MAX;

	return elf_text_delta(text, offset, &delta) ? delta : UINT64_MAX;
}

/* As in Node: the first is small, the program is in the second; and one laid out anew behind it. */
static void rows_of_all_segments(void **state)
{
	static const Elf64_Phdr code[] = {
		{ .p_offset = 0x4000, .p_vaddr = 0x4000, .p_filesz = 0x2000, .p_memsz = 0x2000 },
		{ .p_offset = 0x6000, .p_vaddr = 0x9000, .p_filesz = 0x800, .p_memsz = 0x800 },
	};
	struct unwind_table table;
	struct elf_text text;
	uint32_t cie;

	(void)state;
	image_begin(&image, 0x1000, 0);
	image_add_code(&image, code, 2);
	cie = put_cie(&image, "zR");
	put_fde(&image, cie, TEXT, 0x40, "", 0);
	put_fde(&image, cie, 0x5000, 0x40, "\x0e\x20", 2);
	put_fde(&image, cie, 0x9000, 0x40, "\x0e\x40", 2);
	word(&image, 0);
	assert_true(image_text(&image, &text));
	assert_int_equal(text.count, 3);
	assert_int_equal(text.vaddr, TEXT);
	assert_int_equal(text.vaddr + text.size, 0x9800);
	assert_int_equal(delta_at(&text, TEXT), 0);
	assert_int_equal(delta_at(&text, 0x5000), 0);
	assert_int_equal(delta_at(&text, 0x6000), 0x3000);
	assert_int_equal(delta_at(&text, 0x3000), UINT64_MAX);
	assert_int_equal(delta_at(&text, 0x7000), UINT64_MAX);
	assert_int_equal(build_image(&image, &table), 0);
	assert_sound(&table);
	assert_int_equal(rule_at(&table, TEXT), FDT_RULE(FDT_RULE_SP, 1, 0));
	assert_int_equal(rule_at(&table, 0x3000), 0);
	assert_int_equal(rule_at(&table, 0x5000), FDT_RULE(FDT_RULE_SP, 4, 0));
	assert_int_equal(rule_at(&table, 0x9000), FDT_RULE(FDT_RULE_SP, 8, 0));
	unwind_table_done(&table);
}

/* Never a wrong address: which segment is meant must be sure, and the table must have a bound. */
static void doubtful_segments_are_left_out(void **state)
{
	static const Elf64_Phdr code[] = {
		/* the same pages of the file as the first one, elsewhere */
		{ .p_offset = 0x1800, .p_vaddr = 0x8800, .p_filesz = 0x10, .p_memsz = 0x10 },
		{ .p_offset = 0x4000, .p_vaddr = 1ull << 40, .p_filesz = 0x10, .p_memsz = 0x10 },
		{ .p_offset = 0x5000, .p_vaddr = UINT64_MAX - 8, .p_filesz = 16, .p_memsz = 16 },
		{ .p_offset = UINT64_MAX - 8, .p_vaddr = 0x6000, .p_filesz = 16, .p_memsz = 16 },
		{ .p_offset = 0x6000, .p_vaddr = 0x6000, .p_filesz = UINT64_MAX, .p_memsz = 16 },
		{ .p_offset = 0x7000, .p_vaddr = 0x800, .p_filesz = 0x10, .p_memsz = 0x10 },
	};
	struct elf_text text;

	(void)state;
	image_begin(&image, 0x1000, 0);
	image_add_code(&image, code, 6);
	assert_true(image_text(&image, &text));
	assert_int_equal(text.count, 2);
	assert_int_equal(text.vaddr, 0x800); /* in whatever order */
	assert_int_equal(text.vaddr + text.size, TEXT + 0x1000);
	assert_int_equal(delta_at(&text, TEXT), 0);
	assert_int_equal(delta_at(&text, 0x7000), 0x800 - 0x7000ull);
	assert_int_equal(delta_at(&text, 0x4000), UINT64_MAX);
}

static void segments_are_bounded(void **state)
{
	Elf64_Phdr code[CODE_MAX];
	struct elf_text text;

	(void)state;
	for (unsigned int i = 0; i < CODE_MAX; i++)
		code[i] = (Elf64_Phdr){ .p_offset = 0x3000 + 0x1000 * i,
					.p_vaddr = 0x3000 + 0x3000 * i,
					.p_filesz = 0x1000,
					.p_memsz = 0x1000 };
	image_begin(&image, 0x1000, 0);
	image_add_code(&image, code, CODE_MAX);
	assert_true(image_text(&image, &text));
	assert_int_equal(text.count, FDT_SEGMENTS_MAX);
	assert_int_equal(text.vaddr + text.size, code[FDT_SEGMENTS_MAX - 2].p_vaddr + 0x1000);
	assert_int_equal(delta_at(&text, code[FDT_SEGMENTS_MAX - 1].p_offset), UINT64_MAX);
}

static void rules_by_hand(void **state)
{
	struct unwind_table table;
	uint32_t cie, signal;

	(void)state;
	image_begin(&image, 0x2000, TEXT + 0x300);
	cie = put_cie(&image, "zR");
	signal = put_cie(&image, "zRS");
	/* push rbp; mov rsp, rbp; ...; DWARF only */
	put_fde(&image, cie, TEXT, 0x40, "\x41\x0e\x10\x86\x02\x43\x0d\x06\x48\x16\x06\x02\x91\x00",
		14);
	put_fde(&image, cie, TEXT + 0x48, 0x10, "\x07\x10", 2); /* return address undefined */
	put_fde(&image, signal, TEXT + 0x100, 0x10, "", 0);
	put_fde(&image, cie, TEXT + 0xff8, 0x10, "\x0e\x20", 2); /* over the end of the page */
	word(&image, 0);
	assert_int_equal(build_image(&image, &table), 0);
	assert_sound(&table);
	assert_int_equal(table.page_count, 2);
	assert_int_equal(rule_at(&table, TEXT), FDT_RULE(FDT_RULE_SP, 1, 0));
	assert_int_equal(rule_at(&table, TEXT + 1), FDT_RULE(FDT_RULE_SP, 2, 2));
	assert_int_equal(rule_at(&table, TEXT + 4), FDT_RULE(FDT_RULE_BP, 2, 2));
	assert_int_equal(rule_at(&table, TEXT + 12), OTHER);
	assert_int_equal(rule_at(&table, TEXT + 0x47), OTHER); /* padding */
	assert_int_equal(rule_at(&table, TEXT + 0x48), FDT_RULE(FDT_RULE_END, 0, 0));
	assert_int_equal(rule_at(&table, TEXT + 0x58), 0);
	assert_int_equal(rule_at(&table, TEXT + 0x100), FDT_RULE(FDT_RULE_SIGNAL, 0, 0));
	assert_int_equal(rule_at(&table, TEXT + 0x110), 0);
	assert_int_equal(rule_at(&table, TEXT + 0x300), FDT_RULE(FDT_RULE_END, 0, 0));
	assert_int_equal(rule_at(&table, TEXT + 0x380), 0);
	assert_int_equal(rule_at(&table, TEXT + 0xff8), FDT_RULE(FDT_RULE_SP, 4, 0));
	assert_int_equal(rule_at(&table, TEXT + 0x1007), FDT_RULE(FDT_RULE_SP, 4, 0));
	assert_int_equal(rule_at(&table, TEXT + 0x1008), 0);
	assert_int_equal(table.rows_other, 1);
	unwind_table_done(&table);
}

static void crowded_page_is_cut(void **state)
{
	struct unwind_table table;
	uint32_t cie;

	(void)state;
	image_begin(&image, 0x3000, 0);
	cie = put_cie(&image, "zR");
	put_fde(&image, cie, TEXT, 0x800, "", 0);
	fde_begin(&image, cie, TEXT + 0x1000, 0x1800);
	for (int i = 0; i < 1025; i++)
		bytes(&image, i % 2 ? "\x0e\x10\x41" : "\x0e\x08\x41", 3);
	entry_end(&image);
	assert_int_equal(build_image(&image, &table), 0);
	assert_sound(&table);
	assert_int_equal(table.pages_cut, 1);
	assert_int_equal(rule_at(&table, TEXT), FDT_RULE(FDT_RULE_SP, 1, 0));
	assert_int_equal(table.page[1].count, 1);
	assert_int_equal(rule_at(&table, TEXT + 0x1000), OTHER);
	assert_int_equal(rule_at(&table, TEXT + 0x1fff), OTHER);
	assert_int_equal(rule_at(&table, TEXT + 0x2000), FDT_RULE(FDT_RULE_SP, 1, 0));
	unwind_table_done(&table);
}

/* Each FDE is wrong in its own way; what they should not spoil lies around them. */
static void malformed_costs_its_own(void **state)
{
	static const struct {
		const char *code;
		size_t length;
	} bad[] = {
		{ "\x0b", 1 },                         /* nothing was remembered */
		{ "\x05\xff\xff\xff\xff\x0f\x01", 7 }, /* register 4,294,967,295 */
		{ "\x10\x03\xff\x7f", 4 },             /* an expression past the end */
		{ "\x0e", 1 },                         /* an operand is missing */
		{ "\x3f", 1 },                         /* no such instruction */
	};
	struct unwind_table table;
	uint32_t cie, at = TEXT;

	(void)state;
	image_begin(&image, 0x2000, 0);
	cie = put_cie(&image, "zR");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++, at += 0x20) {
		put_fde(&image, cie, at, 0x10, "", 0);
		fde_begin(&image, cie, at + 0x10, 0x10);
		bytes(&image, "\x44\x0e\x30\x44", 4);
		while ((image.size + bad[i].length) % 4)
			byte(&image, DW_CFA_nop); /* the bad one has to be the last */
		bytes(&image, bad[i].code, bad[i].length);
		entry_end(&image);
	}
	put_fde(&image, cie, TEXT + 4, 0x1000, "\x0e\x40", 2); /* over all of them */
	assert_int_equal(build_image(&image, &table), 0);
	assert_sound(&table);
	for (at = TEXT; at < TEXT + 0x20 * 5; at += 0x20) {
		assert_int_equal(rule_at(&table, at), FDT_RULE(FDT_RULE_SP, 1, 0));
		assert_int_equal(rule_at(&table, at + 0x10), FDT_RULE(FDT_RULE_SP, 1, 0));
		assert_int_equal(rule_at(&table, at + 0x14), FDT_RULE(FDT_RULE_SP, 6, 0));
		assert_int_equal(rule_at(&table, at + 0x1f), OTHER);
	}
	assert_int_equal(rule_at(&table, TEXT + 4), FDT_RULE(FDT_RULE_SP, 8, 0));
	unwind_table_done(&table);
}

/* As many rules as the format allows: the rest needs DWARF, and the search stays short. */
static void rules_are_bounded(void **state)
{
	struct unwind_table table;
	uint32_t cie;

	(void)state;
	image_begin(&image, 0x8000, 0);
	cie = put_cie(&image, "zR");
	fde_begin(&image, cie, TEXT, 0x8000);
	for (unsigned int i = 0; i < 5000; i++) {
		byte(&image, DW_CFA_def_cfa_offset);
		byte(&image, 0x80 | (i & 0xf) << 3);
		byte(&image, 0x80 | (i >> 4 & 0x7f));
		byte(&image, i >> 11);
		byte(&image, DW_CFA_advance_loc + 5);
	}
	entry_end(&image);
	assert_int_equal(build_image(&image, &table), 0);
	assert_sound(&table);
	assert_in_range(table.rule_count, 3000, UNWIND_RULES_MAX);
	assert_int_equal(rule_at(&table, TEXT + 5), FDT_RULE(FDT_RULE_SP, 1, 0));
	assert_int_equal(rule_at(&table, TEXT + 5 * 4999), OTHER);
	unwind_table_done(&table);
}

/* ---- damaged files ---- */

static uint32_t random_state;

/* xorshift; the same in every run */
static uint32_t random_next(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 17;
	random_state ^= random_state << 5;
	return random_state;
}

static void build_damaged(const uint8_t *bytes_, size_t size, unsigned int *ret_built)
{
	struct unwind_table table;
	struct elf_file *file;

	if (elf_file_from_memory(bytes_, size, "damaged", &file))
		return;
	if (!unwind_table_build(file, &table)) {
		assert_sound(&table);
		unwind_table_done(&table);
		++*ret_built;
	}
	elf_file_free(file);
}

/* Changes a few bytes of [from, from + size) of the image at a time, and puts them back. */
static unsigned int build_mutants(uint8_t *image_, size_t image_size, size_t from, size_t size,
				  unsigned int rounds)
{
	static const uint8_t edges[] = { 0, 0xff, 0x7f, 0x80, 0x01, 0x0f, 0x10 };
	size_t at[4];
	uint8_t before[4];
	unsigned int built = 0;

	random_state = 20260722;
	while (rounds--) {
		unsigned int changes = 1 + random_next() % 4;

		for (unsigned int i = 0; i < changes; i++) {
			at[i] = from + random_next() % size;
			before[i] = image_[at[i]];
			image_[at[i]] = random_next() % 2 ? edges[random_next() % sizeof(edges)]
							  : random_next();
		}
		build_damaged(image_, image_size, &built);
		while (changes--)
			image_[at[changes]] = before[changes];
	}
	return built;
}

static void damaged_by_hand(void **state)
{
	uint32_t cie;
	size_t size;

	(void)state;
	image_begin(&image, 0x2000, 0);
	cie = put_cie(&image, "zR");
	put_fde(&image, cie, TEXT, 0x40, "\x41\x0e\x10\x86\x02\x43\x0d\x06\x48\x16\x06\x02\x91\x00",
		14);
	put_fde(&image, put_cie(&image, "zRS"), TEXT + 0x40, 0x40, "\x0a\x44\x0b", 3);
	put_fde(&image, cie, TEXT + 0xff8, 0x10, "\x03\x04\x00\x12\x07\x7f", 6);
	size = image.size;
	assert_true(build_mutants(image.bytes, sizeof(image.bytes), 0, size, 20000) > 5000);
}

static void damaged_real_one(void **state)
{
	struct small_elf small = small_elf_read();

	(void)state;
	/* what is damaged in .eh_frame costs an FDE or ends the list, so most still give a table */
	assert_true(build_mutants(small.bytes, small.size, small.frame_at, small.frame_size, 5000) >
		    4000);
	assert_true(build_mutants(small.bytes, small.size, 0, 4096, 5000) > 1000);
	free(small.bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(own_program_as_libdw),
		cmocka_unit_test(libc_as_libdw),
		cmocka_unit_test(python_as_libdw),
		cmocka_unit_test(recursion_as_glibc),
		cmocka_unit_test(callback_as_glibc),
		cmocka_unit_test(rules_by_hand),
		cmocka_unit_test(crowded_page_is_cut),
		cmocka_unit_test(malformed_costs_its_own),
		cmocka_unit_test(rules_are_bounded),
		cmocka_unit_test(damaged_by_hand),
		cmocka_unit_test(damaged_real_one),
		cmocka_unit_test(rows_of_all_segments),
		cmocka_unit_test(doubtful_segments_are_left_out),
		cmocka_unit_test(segments_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
