// SPDX-License-Identifier: BSD-2-Clause
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwelf.h>
#include <errno.h>
#include <gelf.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "symbol/elf/elf_debug.h"
#include "symbol/elf/elf_lines.h"

/* libdw believes what it reads, and keeps all that it has decoded: these are the bounds. */
#define STEPS_MAX 4000000u       /* entries and ranges looked at, for one address */
#define CPU_MAX_NS 10000000000ll /* spent on one file */
#define RANGES_MAX (1u << 20)    /* of compilation units */
#define LINE_UNIT_MAX (4u << 20) /* bytes of a unit's line program: libdw needs 100 times that */
#define LINE_KEPT_MAX (8u << 20) /* bytes decoded until libdw has to forget and start again */

struct unit_range {
	uint64_t start, end;
	Dwarf_Off unit; /* of its DIE */
};

struct elf_lines {
	Elf *elf;
	Dwarf *dwarf;
	Dwarf *supplement_dwarf;
	struct elf_image supplement;
	Elf_Data *programs; /* .debug_line */
	struct unit_range *range;
	size_t range_count, range_room;
	uint64_t decoded; /* bytes of line programs that libdw keeps */
	unsigned int steps;
	int64_t cpu_ns;
};

static Elf_Scn *next_debug_section(Elf *elf, Elf_Scn *section, GElf_Shdr *header, const char **name)
{
	size_t names;

	if (elf_getshdrstrndx(elf, &names) != 0)
		return NULL;
	while ((section = elf_nextscn(elf, section))) {
		if (!gelf_getshdr(section, header) || header->sh_type == SHT_NOBITS)
			continue;
		*name = elf_strptr(elf, names, header->sh_name);
		if (*name &&
		    (strncmp(*name, ".debug_", 7) == 0 || strncmp(*name, ".zdebug_", 8) == 0))
			return section;
	}
	return NULL;
}

/* Whether there is anything to read, and not too much. Compressed: what it says it will become. */
static bool sections_fit(Elf *elf)
{
	bool has_info = false;
	Elf_Scn *section = NULL;
	uint64_t total = 0;
	GElf_Shdr header;
	GElf_Chdr compressed;
	const char *name;

	while ((section = next_debug_section(elf, section, &header, &name))) {
		uint64_t size = header.sh_size;

		if (name[1] == 'z') /* the old form says its size nowhere */
			return false;
		if (header.sh_flags & SHF_COMPRESSED) {
			if (!gelf_getchdr(section, &compressed))
				return false;
			size = compressed.ch_size;
		}
		if (size > ELF_DWARF_MAX_BYTES || (total += size) > ELF_DWARF_MAX_BYTES)
			return false;
		has_info |= strcmp(name, ".debug_info") == 0;
	}
	return has_info;
}

/* libdw would look for the supplement by itself, and open whatever path the file names. */
static int supplement_open(struct elf_lines *lines)
{
	const void *build_id;
	const char *name;
	ssize_t size = dwelf_dwarf_gnu_debugaltlink(lines->dwarf, &name, &build_id);

	if (size == 0)
		return 0;
	if (size < 0 || elf_debug_supplement(build_id, (size_t)size, &lines->supplement) != 0)
		return -ENOENT;
	if (!sections_fit(lines->supplement.elf))
		return -ENOENT;
	lines->supplement_dwarf = dwarf_begin_elf(lines->supplement.elf, DWARF_C_READ, NULL);
	if (!lines->supplement_dwarf)
		return -ENOENT;
	dwarf_setalt(lines->dwarf, lines->supplement_dwarf);
	return 0;
}

static void programs_find(struct elf_lines *lines)
{
	Elf_Scn *section = NULL;
	GElf_Shdr header;
	const char *name;

	while ((section = next_debug_section(lines->elf, section, &header, &name)))
		if (strcmp(name, ".debug_line") == 0)
			lines->programs = elf_getdata(section, NULL);
}

static void dwarf_close(struct elf_lines *lines)
{
	dwarf_end(lines->dwarf); /* NULL is allowed */
	dwarf_end(lines->supplement_dwarf);
	lines->dwarf = lines->supplement_dwarf = NULL;
	elf_image_done(&lines->supplement);
	lines->decoded = 0;
}

static int dwarf_open(struct elf_lines *lines)
{
	lines->dwarf = dwarf_begin_elf(lines->elf, DWARF_C_READ, NULL);
	if (lines->dwarf && supplement_open(lines) == 0)
		return 0;
	dwarf_close(lines);
	return -ENOENT;
}

static int range_add(struct elf_lines *lines, const struct unit_range *range)
{
	if (lines->range_count == lines->range_room) {
		size_t room = lines->range_room ? 2 * lines->range_room : 256;
		struct unit_range *grown = reallocarray(lines->range, room, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		lines->range = grown;
		lines->range_room = room;
	}
	lines->range[lines->range_count++] = *range;
	return 0;
}

static int unit_add(struct elf_lines *lines, Dwarf_Die *unit)
{
	struct unit_range range = { .unit = dwarf_dieoffset(unit) };
	ptrdiff_t at = 0;
	Dwarf_Addr base;
	int err = 0;

	while (err == 0 && lines->range_count < RANGES_MAX &&
	       (at = dwarf_ranges(unit, at, &base, &range.start, &range.end)) > 0)
		if (range.start < range.end && range.start != 0) /* 0: dropped by the linker */
			err = range_add(lines, &range);
	return err;
}

static int compare_units(const void *a, const void *b)
{
	const struct unit_range *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

/* Not from .debug_aranges: clang does not write it. */
static int units_read(struct elf_lines *lines)
{
	Dwarf_Off at = 0, next;
	Dwarf_Die unit;
	size_t header;
	int err = 0;

	while (err == 0 && dwarf_nextcu(lines->dwarf, at, &next, &header, NULL, NULL, NULL) == 0) {
		if (dwarf_offdie(lines->dwarf, at + header, &unit) &&
		    dwarf_tag(&unit) == DW_TAG_compile_unit)
			err = unit_add(lines, &unit);
		at = next;
	}
	if (lines->range_count > 0)
		qsort(lines->range, lines->range_count, sizeof(*lines->range), compare_units);
	return err;
}

int elf_lines_new(Elf *elf, struct elf_lines **ret_lines)
{
	struct elf_lines *lines;
	int err;

	if (!sections_fit(elf))
		return -ENOENT;
	lines = calloc(1, sizeof(*lines));
	if (!lines)
		return -ENOMEM;
	lines->elf = elf;
	lines->supplement.fd = -1;
	err = dwarf_open(lines);
	if (err == 0) {
		programs_find(lines);
		err = units_read(lines);
	}
	if (err != 0)
		elf_lines_free(lines);
	else
		*ret_lines = lines;
	return err;
}

void elf_lines_free(struct elf_lines *lines)
{
	if (!lines)
		return;
	dwarf_close(lines);
	free(lines->range);
	free(lines);
}

/* Units may overlap where one is malformed; then a few before are tried as well. */
static bool unit_at(struct elf_lines *lines, uint64_t vaddr, Dwarf_Die *ret_unit)
{
	size_t low = 0, high = lines->range_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (lines->range[middle].start <= vaddr)
			low = middle + 1;
		else
			high = middle;
	}
	for (size_t last = low > 16 ? low - 16 : 0; low > last; low--)
		if (vaddr < lines->range[low - 1].end)
			return dwarf_offdie(lines->dwarf, lines->range[low - 1].unit, ret_unit);
	return false;
}

/* Whether libdw may decode the unit's line program. */
static bool program_fits(struct elf_lines *lines, Dwarf_Die *unit)
{
	Dwarf_Attribute attribute;
	Dwarf_Word offset;
	uint32_t size;

	if (!lines->programs || !lines->programs->d_buf ||
	    dwarf_formudata(dwarf_attr(unit, DW_AT_stmt_list, &attribute), &offset) != 0 ||
	    offset > lines->programs->d_size || lines->programs->d_size - offset < sizeof(size))
		return false;
	memcpy(&size, (char *)lines->programs->d_buf + offset, sizeof(size));
	if (size > LINE_UNIT_MAX)
		return false;
	lines->decoded += size;
	return true;
}

static bool die_holds(struct elf_lines *lines, Dwarf_Die *die, uint64_t vaddr)
{
	Dwarf_Addr base, start, end;
	ptrdiff_t at = 0;

	while (++lines->steps < STEPS_MAX && (at = dwarf_ranges(die, at, &base, &start, &end)) > 0)
		if (vaddr >= start && vaddr < end)
			return true;
	return false;
}

static bool is_code(int tag)
{
	return tag == DW_TAG_subprogram || tag == DW_TAG_inlined_subroutine ||
	       tag == DW_TAG_lexical_block || tag == DW_TAG_try_block || tag == DW_TAG_catch_block;
}

/* Rust and clang keep functions in there. */
static bool may_hold_functions(int tag)
{
	return tag == DW_TAG_namespace || tag == DW_TAG_structure_type ||
	       tag == DW_TAG_class_type || tag == DW_TAG_union_type ||
	       tag == DW_TAG_enumeration_type || tag == DW_TAG_module;
}

struct walk {
	Dwarf_Die die[ELF_LINES_DEPTH]; /* the way down */
	unsigned int depth, floor; /* it does not go back above the floor: code was entered there */
	Dwarf_Die found[ELF_LINES_DEPTH]; /* functions, the outermost first */
	unsigned int count;
};

/* Whether the walk goes into the DIE it is at. */
static bool walk_enters(struct elf_lines *lines, struct walk *walk, uint64_t vaddr)
{
	Dwarf_Die *die = &walk->die[walk->depth];
	int tag = dwarf_tag(die);

	if (!is_code(tag))
		return walk->count == 0 && may_hold_functions(tag);
	if (!die_holds(lines, die, vaddr))
		return false;
	if (tag == DW_TAG_subprogram)
		walk->count = 0;
	if (tag == DW_TAG_subprogram || tag == DW_TAG_inlined_subroutine)
		walk->found[walk->count++] = *die;
	walk->floor = walk->depth + 1;
	return true;
}

/* To the next sibling, here or further up. false: there is none. */
static bool walk_on(struct walk *walk)
{
	while (dwarf_siblingof(&walk->die[walk->depth], &walk->die[walk->depth]) != 0) {
		if (walk->depth <= walk->floor)
			return false;
		walk->depth--;
	}
	return true;
}

/* Not dwarf_getscopes(): it recurses as deep as the file likes. */
static void walk_down(struct elf_lines *lines, struct walk *walk, Dwarf_Die *unit, uint64_t vaddr)
{
	if (dwarf_child(unit, &walk->die[0]) != 0)
		return;
	do {
		bool enters = walk_enters(lines, walk, vaddr);

		if (enters && walk->depth + 1 < ELF_LINES_DEPTH &&
		    dwarf_child(&walk->die[walk->depth], &walk->die[walk->depth + 1]) == 0)
			walk->depth++;
		else if (walk->floor > walk->depth || !walk_on(walk))
			return;
	} while (++lines->steps < STEPS_MAX);
}

static const char *function_name(Dwarf_Die *die)
{
	Dwarf_Attribute attribute;
	const char *name = NULL;

	if (dwarf_attr_integrate(die, DW_AT_linkage_name, &attribute) ||
	    dwarf_attr_integrate(die, DW_AT_MIPS_linkage_name, &attribute))
		name = dwarf_formstring(&attribute);
	return name ? name : dwarf_diename(die);
}

static void source_at(Dwarf_Die *unit, uint64_t vaddr, struct elf_line *line)
{
	Dwarf_Line *found = dwarf_getsrc_die(unit, vaddr);
	int number;

	if (!found || dwarf_lineno(found, &number) != 0 || number <= 0)
		return;
	line->source = dwarf_linesrc(found, NULL, NULL);
	line->line = line->source ? (unsigned int)number : 0;
}

static Dwarf_Word attribute_number(Dwarf_Die *die, unsigned int name)
{
	Dwarf_Attribute attribute;
	Dwarf_Word value;

	return dwarf_formudata(dwarf_attr(die, name, &attribute), &value) == 0 ? value : 0;
}

/* Where an inlined function was called. */
static void source_of_call(Dwarf_Die *unit, Dwarf_Die *inlined, struct elf_line *line)
{
	Dwarf_Word file = attribute_number(inlined, DW_AT_call_file);
	Dwarf_Files *files;
	size_t count;

	if (dwarf_getsrcfiles(unit, &files, &count) != 0 || file >= count)
		return;
	line->source = dwarf_filesrc(files, file, NULL, NULL);
	line->line = line->source ? (unsigned int)attribute_number(inlined, DW_AT_call_line) : 0;
}

static unsigned int unit_find(struct elf_lines *lines, Dwarf_Die *unit, uint64_t vaddr,
			      struct elf_line *ret_line, unsigned int max)
{
	struct walk walk = { .depth = 0 };
	bool has_sources = program_fits(lines, unit);
	unsigned int count = 0;

	walk_down(lines, &walk, unit, vaddr);
	do {
		struct elf_line *line = &ret_line[count];
		Dwarf_Die *die = walk.count > count ? &walk.found[walk.count - 1 - count] : NULL;

		*line = (struct elf_line){ 0 };
		if (has_sources && count == 0)
			source_at(unit, vaddr, line);
		else if (has_sources)
			source_of_call(unit, die + 1, line);
		if (die) {
			line->function = function_name(die);
			line->inlined = dwarf_tag(die) == DW_TAG_inlined_subroutine;
		}
	} while (++count < max && count < walk.count);
	return count;
}

unsigned int elf_lines_find(struct elf_lines *lines, uint64_t vaddr, struct elf_line *ret_line,
			    unsigned int max)
{
	uint64_t began_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	unsigned int count = 0;
	Dwarf_Die unit;

	if (lines->cpu_ns > CPU_MAX_NS)
		return 0;
	if (lines->decoded > LINE_KEPT_MAX)
		dwarf_close(lines);
	lines->steps = 0;
	if ((lines->dwarf || dwarf_open(lines) == 0) && max > 0 && unit_at(lines, vaddr, &unit))
		count = unit_find(lines, &unit, vaddr, ret_line, max);
	lines->cpu_ns += (int64_t)(clock_ns(CLOCK_THREAD_CPUTIME_ID) - began_ns);
	return count;
}
