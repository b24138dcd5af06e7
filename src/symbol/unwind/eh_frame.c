// SPDX-License-Identifier: BSD-2-Clause
#include <dwarf.h>
#include <errno.h>
#include <gelf.h>
#include <stdlib.h>
#include <string.h>

#include "fdtrace/stack.h"
#include "symbol/unwind/cfi.h"
#include "symbol/unwind/eh_frame.h"

#define CIE_PROGRAM_MAX 64 /* it is run for many FDEs; 7 bytes are usual */

/* ---- finding the section ---- */

static int frame_take(struct eh_frame *ret_frame, const Elf_Data *data, uint64_t vaddr)
{
	if (!data || !data->d_buf || !data->d_size)
		return -ENODATA;
	if (data->d_size > EH_FRAME_MAX_BYTES)
		return -E2BIG;
	*ret_frame = (struct eh_frame){ data->d_buf, data->d_size, vaddr };
	return 0;
}

static int find_by_section(Elf *elf, struct eh_frame *ret_frame)
{
	Elf_Scn *section = NULL;
	size_t names;
	GElf_Shdr header;

	if (elf_getshdrstrndx(elf, &names))
		return -ENODATA;
	while ((section = elf_nextscn(elf, section))) {
		const char *name;

		if (!gelf_getshdr(section, &header) || header.sh_type == SHT_NOBITS)
			continue;
		name = elf_strptr(elf, names, header.sh_name);
		if (!name || strcmp(name, ".eh_frame"))
			continue;
		if (header.sh_size > EH_FRAME_MAX_BYTES)
			return -E2BIG;
		return frame_take(ret_frame, elf_rawdata(section, NULL), header.sh_addr);
	}
	return -ENODATA;
}

static bool find_segment(Elf *elf, uint32_t type, uint64_t vaddr, GElf_Phdr *ret_header)
{
	size_t count;

	if (elf_getphdrnum(elf, &count))
		return false;
	for (size_t i = 0; i < count && i < 256; i++)
		if (gelf_getphdr(elf, i, ret_header) && ret_header->p_type == type &&
		    (type != PT_LOAD || (vaddr >= ret_header->p_vaddr &&
					 vaddr - ret_header->p_vaddr < ret_header->p_filesz)))
			return true;
	return false;
}

/* .eh_frame_hdr says where .eh_frame begins; only its own end shows how long it is. */
static int find_by_header(Elf *elf, struct eh_frame *ret_frame)
{
	GElf_Phdr header, load;
	struct cursor c;
	Elf_Data *data;
	uint64_t vaddr, skip, size;
	uint8_t encoding;

	if (!find_segment(elf, PT_GNU_EH_FRAME, 0, &header) || header.p_filesz < 8)
		return -ENODATA;
	data = elf_getdata_rawchunk(elf, header.p_offset, 12, ELF_T_BYTE);
	if (!data || !data->d_buf)
		return -ENODATA;
	c = (struct cursor){ data->d_buf, (uint8_t *)data->d_buf + data->d_size, false };
	cursor_skip(&c, 1);
	encoding = cursor_u8(&c);
	cursor_skip(&c, 2);
	vaddr = cfi_pointer(&c, encoding, data->d_buf, header.p_vaddr);
	if (c.bad || !find_segment(elf, PT_LOAD, vaddr, &load))
		return -ENODATA;
	skip = vaddr - load.p_vaddr;
	size = load.p_filesz - skip;
	if (size > EH_FRAME_MAX_BYTES)
		return -E2BIG;
	return frame_take(ret_frame,
			  elf_getdata_rawchunk(elf, load.p_offset + skip, size, ELF_T_BYTE), vaddr);
}

int eh_frame_find(Elf *elf, struct eh_frame *ret_frame)
{
	int err = find_by_section(elf, ret_frame);

	return err == -ENODATA ? find_by_header(elf, ret_frame) : err;
}

/* ---- CIEs and FDEs ---- */

struct entry {
	uint32_t offset; /* of its length */
	uint32_t cie;    /* of an FDE */
	bool is_cie;
	struct cursor body;
};

/* Reads the head of an entry; c goes on behind it. False: the end, or nothing more to read. */
static bool entry_next(const struct eh_frame *frame, struct cursor *c, struct entry *ret_entry)
{
	uint32_t offset = c->at - frame->data, id_at;
	uint64_t length = cursor_number(c, 4), id;

	if (length == UINT32_MAX)
		length = cursor_number(c, 8);
	if (c->bad || !length)
		return false;
	*ret_entry = (struct entry){ .offset = offset, .body = cursor_part(c, length) };
	id_at = ret_entry->body.at - frame->data;
	id = cursor_number(&ret_entry->body, 4);
	ret_entry->is_cie = !id;
	ret_entry->cie = id <= id_at ? id_at - id : UINT32_MAX;
	return !c->bad;
}

static void read_augmentation(struct eh_cie *cie, const char *letters, struct cursor *c)
{
	struct cursor data;

	if (!*letters)
		return;
	if (*letters++ != 'z') {
		cursor_fail(c);
		return;
	}
	cie->augmented = true;
	data = cursor_part(c, cursor_uleb(c));
	for (; *letters && !data.bad; letters++) {
		if (*letters == 'R')
			cie->pointers = cursor_u8(&data);
		else if (*letters == 'L')
			cursor_u8(&data);
		else if (*letters == 'P')
			cfi_pointer(&data, cursor_u8(&data) & 0xf, data.at, 0);
		else if (*letters == 'S')
			cie->is_signal = true;
		else
			cursor_fail(&data); /* not on x86-64 */
	}
	if (data.bad)
		cursor_fail(c);
}

/* NULL: it has no end. */
static const char *read_string(struct cursor *c)
{
	const char *string = (const char *)c->at;
	const uint8_t *end = memchr(c->at, '\0', cursor_left(c));

	if (!end) {
		cursor_fail(c);
		return NULL;
	}
	c->at = end + 1;
	return string;
}

static int run_initial(const struct eh_frame *frame, struct eh_cie *cie, struct cursor code)
{
	struct cfi_run run = {
		.cie = cie, .code = code, .section = frame->data, .section_vaddr = frame->vaddr
	};
	int err;

	if (cursor_left(&code) > CIE_PROGRAM_MAX)
		return -EBADMSG;
	/* As the ABI has it: what is not said about the return address can't be found. */
	run.state.ra.where = CFI_ELSEWHERE;
	err = cfi_execute(&run);
	cie->initial = run.state;
	return err;
}

static int cie_read(const struct eh_frame *frame, uint32_t offset, struct eh_cie *cie)
{
	struct cursor c = { frame->data + offset, frame->data + frame->size, false };
	struct entry entry;
	const char *augmentation;
	uint8_t version;

	*cie = (struct eh_cie){ .offset = offset };
	if (!entry_next(frame, &c, &entry) || !entry.is_cie)
		return -EBADMSG;
	c = entry.body;
	version = cursor_u8(&c);
	augmentation = read_string(&c);
	if (!augmentation || (version != 1 && version != 3))
		return -EBADMSG;
	cie->code_align = cursor_uleb(&c);
	cie->data_align = cursor_sleb(&c);
	cie->foreign = (version == 1 ? cursor_u8(&c) : cursor_uleb(&c)) != CFI_REGISTER_RA;
	read_augmentation(cie, augmentation, &c);
	return c.bad ? -EBADMSG : run_initial(frame, cie, c);
}

/* Those used last are kept: nearly all FDEs share a few. NULL: malformed. */
static const struct eh_cie *cie_get(struct eh_reader *reader, uint32_t offset)
{
	struct eh_cie *cie = &reader->cie[offset / 4 % EH_CIES_KEPT];

	if (offset >= reader->frame->size)
		return NULL;
	if (cie->id == offset + 1)
		return cie;
	if (cie_read(reader->frame, offset, cie))
		cie->id = 0;
	else
		cie->id = offset + 1;
	return cie->id ? cie : NULL;
}

/* False: malformed, or of no code. */
static bool fde_read(struct eh_reader *reader, struct entry *entry, struct eh_fde *fde)
{
	const struct eh_frame *frame = reader->frame;
	const struct eh_cie *cie = cie_get(reader, entry->cie);
	struct cursor *c = &entry->body;
	uint64_t size;

	if (!cie)
		return false;
	fde->offset = entry->offset;
	fde->cie = entry->cie;
	fde->start = cfi_pointer(c, cie->pointers, frame->data, frame->vaddr);
	size = cfi_pointer(c, cie->pointers & 0xf, frame->data, frame->vaddr);
	if (cie->augmented)
		cursor_skip(c, cursor_uleb(c));
	fde->program = c->at - frame->data;
	fde->program_end = c->end - frame->data;
	return !c->bad && size && !__builtin_add_overflow(fde->start, size, &fde->end);
}

static int compare_fdes(const void *left, const void *right)
{
	const struct eh_fde *a = left, *b = right;

	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	return a->offset < b->offset ? -1 : a->offset > b->offset;
}

static int fde_append(struct eh_fde **fdes, size_t count, const struct eh_fde *fde)
{
	struct eh_fde *more;

	/* grows at powers of two */
	if (!(count & (count - 1)) && (count >= 1024 || !count)) {
		more = realloc(*fdes, (count ? count * 2 : 1024) * sizeof(*more));
		if (!more)
			return -ENOMEM;
		*fdes = more;
	}
	(*fdes)[count] = *fde;
	return 0;
}

/*
 * Sorts, and leaves each address to one of them: that which begins last before it, as a binary
 * search in .eh_frame_hdr has it. Returns how many remain.
 */
static size_t fdes_arrange(struct eh_fde *fdes, size_t count)
{
	size_t kept = 0;

	qsort(fdes, count, sizeof(*fdes), compare_fdes);
	for (size_t i = 0; i < count; i++) {
		struct eh_fde *before = kept ? &fdes[kept - 1] : NULL;

		if (before && before->start == fdes[i].start)
			continue;
		if (before && before->end > fdes[i].start)
			before->end = fdes[i].start;
		fdes[kept++] = fdes[i];
	}
	return kept;
}

int eh_frame_fdes(const struct eh_frame *frame, struct eh_fde **ret_fdes, size_t *ret_count)
{
	struct cursor c = { frame->data, frame->data + frame->size, false };
	struct eh_reader reader = { .frame = frame };
	struct eh_fde *fdes = NULL, fde;
	struct entry entry;
	size_t count = 0;
	int err = 0;

	while (!err && entry_next(frame, &c, &entry)) {
		if (entry.is_cie || !fde_read(&reader, &entry, &fde))
			continue;
		err = count == EH_FRAME_FDES_MAX ? -E2BIG : fde_append(&fdes, count, &fde);
		count++;
	}
	if (!err && !count)
		err = -EBADMSG;
	if (err) {
		free(fdes);
		return err;
	}
	*ret_count = fdes_arrange(fdes, count);
	*ret_fdes = fdes;
	return 0;
}

/* ---- rules ---- */

struct rules {
	void (*rule)(void *ctx, uint64_t vaddr, uint32_t rule);
	void *ctx;
};

static void on_row(struct cfi_run *run)
{
	struct rules *rules = run->ctx;

	rules->rule(rules->ctx, run->at, cfi_rule(&run->state));
}

static uint32_t rule_of_all(const struct eh_cie *cie)
{
	if (cie && cie->is_signal)
		return FDT_RULE(FDT_RULE_SIGNAL, 0, 0);
	if (!cie || cie->foreign)
		return FDT_RULE(FDT_RULE_OTHER, 0, 0);
	return 0;
}

int eh_frame_rules(struct eh_reader *reader, const struct eh_fde *fde,
		   void (*rule)(void *ctx, uint64_t vaddr, uint32_t rule), void *ctx)
{
	const struct eh_frame *frame = reader->frame;
	const struct eh_cie *cie = cie_get(reader, fde->cie);
	uint32_t whole = rule_of_all(cie);
	struct rules rules = { rule, ctx };
	struct cfi_run run = {
		.cie = cie, .row = on_row, .ctx = &rules, .at = fde->start, .end = fde->end
	};
	int err;

	if (whole)
		rule(ctx, fde->start, whole);
	if (!cie)
		return -EBADMSG;
	run.code = (struct cursor){ frame->data + fde->program, frame->data + fde->program_end,
				    false };
	run.section = frame->data;
	run.section_vaddr = frame->vaddr;
	run.state = cie->initial;
	if (whole)
		run.row = NULL; /* only to see whether it is well-formed */
	err = cfi_execute(&run);
	if (err && !whole)
		rule(ctx, run.at, FDT_RULE(FDT_RULE_OTHER, 0, 0));
	return err;
}
