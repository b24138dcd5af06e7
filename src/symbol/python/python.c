// SPDX-License-Identifier: BSD-2-Clause
#include <errno.h>
#include <gelf.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "symbol/python/python.h"
#include "symbol/python/python_versions.h"

#define RODATA_MAX_BYTES (64u << 20) /* of one section that is searched */

struct recognition {
	struct elf_file *file;
	struct fdt_python *python;
	char *description;
	size_t size;
};

static int __attribute__((format(printf, 2, 3)))
refuse_build(const struct recognition *r, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(r->description, r->size, format, args);
	va_end(args);
	return -ENOTSUP;
}

static int accept_as(const struct recognition *r, const struct fdt_python *offsets, uint64_t vaddr,
		     unsigned int patch)
{
	*r->python = *offsets;
	r->python->runtime_vaddr = vaddr;
	snprintf(r->description, r->size, "CPython %u.%u", offsets->version >> 8,
		 offsets->version & 0xff);
	if (patch != 0) {
		size_t used = strlen(r->description);

		snprintf(r->description + used, r->size - used, ".%u", patch);
	}
	return 1;
}

/* ---- second opinions on the version ---- */

/* Py_Version (3.11 on): PY_VERSION_HEX. 0: not there. */
static uint32_t version_of_image(struct elf_file *file)
{
	uint64_t vaddr, size;
	uint32_t version;

	if (elf_file_symbol(file, "Py_Version", &vaddr, &size) != 0 ||
	    elf_file_read(file, vaddr, &version, sizeof(version)) != 0)
		return 0;
	return version;
}

static bool is_constants(const GElf_Shdr *header)
{
	return header->sh_type == SHT_PROGBITS && header->sh_size <= RODATA_MAX_BYTES &&
	       (header->sh_flags & (SHF_ALLOC | SHF_WRITE | SHF_EXECINSTR)) == SHF_ALLOC;
}

static bool image_has_text(struct elf_file *file, const char *text)
{
	Elf_Scn *section = NULL;
	GElf_Shdr header;

	while ((section = elf_nextscn(elf_file_elf(file), section))) {
		Elf_Data *data;

		if (!gelf_getshdr(section, &header) || !is_constants(&header))
			continue;
		data = elf_rawdata(section, NULL);
		if (data && data->d_buf && memmem(data->d_buf, data->d_size, text, strlen(text)))
			return true;
	}
	return false;
}

/*
 * Before 3.11: every build has its library folder in it, wherever it was installed, as a text of
 * its own or the end of a longer one (getpath.c); the file's name is as good.
 */
static bool image_is_version(struct elf_file *file, uint16_t version)
{
	char text[32];

	snprintf(text, sizeof(text), "python%u.%u", version >> 8, version & 0xff);
	if (strstr(elf_file_base_name(file), text))
		return true;
	return image_has_text(file, text);
}

/* ---- 3.7 on: _PyRuntime ---- */

static bool same_but_for_key(const struct fdt_python *a, struct fdt_python b)
{
	b.tss_key = a->tss_key;
	b.flags = a->flags;
	b.runtime_vaddr = a->runtime_vaddr;
	return memcmp(a, &b, sizeof(b)) == 0;
}

/* 3.13 on: the image says itself where things are; what is known must agree with it. */
static int recognise_debug(const struct recognition *r, const uint64_t *words, uint64_t vaddr,
			   uint64_t size)
{
	const struct python_build *known = python_build_by_size(size);
	unsigned int major = words[PYTHON_DEBUG_VERSION] >> 24 & 0xff;
	unsigned int minor = words[PYTHON_DEBUG_VERSION] >> 16 & 0xff;
	unsigned int patch = words[PYTHON_DEBUG_VERSION] >> 8 & 0xff;
	struct fdt_python offsets;

	if (words[PYTHON_DEBUG_FREE_THREADED] != 0)
		return refuse_build(
			r, "CPython %u.%u.%u, free-threaded: such builds are not understood", major,
			minor, patch);
	if (major != 3 || minor != 13)
		return refuse_build(r, "CPython %u.%u.%u: this version is not known", major, minor,
				    patch);
	if (words[PYTHON_DEBUG_RUNTIME_SIZE] != size ||
	    python_build_from_debug(words, &offsets) != 0 ||
	    (known && !same_but_for_key(&known->offsets, offsets)))
		return refuse_build(
			r, "unknown build of CPython 3.13.%u (its debug offsets contradict)",
			patch);
	return accept_as(r, known ? &known->offsets : &offsets, vaddr, patch);
}

static int recognise_size(const struct recognition *r, uint64_t vaddr, uint64_t size)
{
	const struct python_build *build = python_build_by_size(size);
	uint32_t version = version_of_image(r->file);

	if (!build && version != 0)
		return refuse_build(r, "unknown build of CPython %u.%u.%u (size %llu)",
				    version >> 24, version >> 16 & 0xff, version >> 8 & 0xff,
				    (unsigned long long)size);
	if (!build)
		return refuse_build(r, "unknown build of CPython (size %llu)",
				    (unsigned long long)size);
	if (build->offsets.version >= 0x030b ? version >> 16 != build->offsets.version
					     : !image_is_version(r->file, build->offsets.version))
		return refuse_build(
			r, "unknown build of CPython (size %llu as %u.%u, but another version)",
			(unsigned long long)size, build->offsets.version >> 8,
			build->offsets.version & 0xff);
	return accept_as(r, &build->offsets, vaddr, version >> 8 & 0xff);
}

static int recognise_runtime(const struct recognition *r, uint64_t vaddr, uint64_t size)
{
	uint64_t words[PYTHON_DEBUG_WORDS];

	if (size >= sizeof(words) && elf_file_read(r->file, vaddr, words, sizeof(words)) == 0 &&
	    memcmp(words, PYTHON_DEBUG_COOKIE, sizeof(words[0])) == 0)
		return recognise_debug(r, words, vaddr, size);
	return recognise_size(r, vaddr, size);
}

/* ---- 2.7, 3.6: a static variable that one exported function returns ---- */

#define HEAD_CODE_BYTES 8 /* mov interp_head(%rip),%rax; ret */

static bool decode_head(struct elf_file *file, uint64_t function, uint64_t *ret_vaddr)
{
	unsigned char code[HEAD_CODE_BYTES + 4], *at = code;
	const unsigned char endbr[] = { 0xf3, 0x0f, 0x1e, 0xfa };
	int32_t distance;

	if (elf_file_read(file, function, code, sizeof(code)) != 0)
		return false;
	if (memcmp(code, endbr, sizeof(endbr)) == 0)
		at += sizeof(endbr);
	if (at[0] != 0x48 || at[1] != 0x8b || at[2] != 0x05 || at[7] != 0xc3)
		return false;
	memcpy(&distance, at + 3, sizeof(distance));
	*ret_vaddr = function + (uint64_t)(at - code) + 7 + (uint64_t)(int64_t)distance;
	return true;
}

static int recognise_head(const struct recognition *r, uint64_t function)
{
	static const uint16_t versions[] = { 0x0207, 0x0306 };
	uint64_t vaddr;

	for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
		if (!image_is_version(r->file, versions[i]))
			continue;
		if (!decode_head(r->file, function, &vaddr))
			return refuse_build(r,
					    "unknown build of CPython %u.%u "
					    "(PyInterpreterState_Head is not understood)",
					    versions[i] >> 8, versions[i] & 0xff);
		return accept_as(r, &python_build_by_version(versions[i])->offsets, vaddr, 0);
	}
	return refuse_build(
		r, "unknown build of CPython (neither 2.7 nor 3.6, and without _PyRuntime)");
}

static bool is_pypy(struct elf_file *file)
{
	uint64_t vaddr, size;

	return elf_file_symbol(file, "pypy_main_startup", &vaddr, &size) == 0 ||
	       elf_file_symbol(file, "rpython_startup_code", &vaddr, &size) == 0;
}

int python_recognise(struct elf_file *file, struct fdt_python *ret_python, char *description,
		     size_t size)
{
	struct recognition r = { file, ret_python, description, size };
	uint64_t vaddr, symbol_size;

	if (elf_file_symbol(file, "_PyRuntime", &vaddr, &symbol_size) == 0 && vaddr != 0)
		return recognise_runtime(&r, vaddr, symbol_size);
	if (is_pypy(file))
		return refuse_build(&r, "PyPy: its frames are not understood");
	if (elf_file_symbol(file, "PyInterpreterState_Head", &vaddr, &symbol_size) == 0 &&
	    vaddr != 0)
		return recognise_head(&r, vaddr);
	return 0;
}

/* The name, or a part of it that the compiler has set apart (".cold", ".part.0"). */
static bool is_part_of(const char *symbol, const char *name)
{
	size_t length = strlen(name);

	return strncmp(symbol, name, length) == 0 &&
	       (symbol[length] == '\0' || symbol[length] == '.');
}

/* From 3.6 on PyEval_EvalFrameEx only jumps to the other one, and leaves no frame. */
bool python_is_eval(const char *symbol)
{
	return is_part_of(symbol, "_PyEval_EvalFrameDefault") ||
	       is_part_of(symbol, "PyEval_EvalFrameEx");
}
