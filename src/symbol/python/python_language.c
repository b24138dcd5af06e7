// SPDX-License-Identifier: BSD-2-Clause
/* CPython as one of the languages: how its frames rank, and what its functions stand for. */
#include "symbol/python/python_language.h"

#include <string.h>

#include "symbol/python/python.h"

static int python_recognise_file(struct elf_file *file, void *ret_parameters, char *description,
				 size_t size)
{
	return python_recognise(file, ret_parameters, description, size);
}

static int python_state_new(void **ret_state)
{
	struct python_codes *codes;
	int err = python_codes_new(&codes);

	if (!err)
		*ret_state = codes;
	return err;
}

static void python_state_free(void *state)
{
	python_codes_free(state);
}

static int python_note(void *state, const struct fdt_code *record)
{
	return python_codes_note(state, record);
}

/* Python's own library; what was installed into it belongs to the application's side. */
static bool python_is_library(const char *path)
{
	const char *lib = strstr(path, "/lib/python");

	if (strncmp(path, "<frozen ", 8) == 0)
		return true;
	return lib && !strstr(lib, "/site-packages/") && !strstr(lib, "/dist-packages/");
}

/* Behind the last folder of that name in a path; NULL: there is none. */
static const char *python_behind(const char *path, const char *folder)
{
	const char *found = NULL;

	for (const char *at = path; (at = strstr(at, folder)); at += strlen(folder))
		found = at + strlen(folder);
	return found;
}

/*
 * What is the same wherever a program is installed: the name of its file; of a package's own file the
 * package's, too; of what lies in a library its path there, without the version.
 */
static const char *python_module(const char *path)
{
	const char *installed =
		python_behind(path, "/site-packages/") ?: python_behind(path, "/dist-packages/");
	const char *slash = strrchr(path, '/'), *before = slash;

	if (!installed && python_is_library(path) && (installed = strstr(path, "/lib/python"))) {
		installed = strchr(installed + strlen("/lib/"), '/');
		installed = installed ? installed + 1 : NULL;
	}
	if (installed || !slash)
		return installed ?: path;
	if (strncmp(slash, "/__", 3) != 0) /* __init__.py, __main__.py */
		return slash + 1;
	while (before > path && before[-1] != '/')
		before--;
	return before;
}

static bool python_is_finalizer(const char *function)
{
	const char *name = strrchr(function, '.');

	return strcmp(name ? name + 1 : function, "__del__") == 0;
}

static int python_resolve(void *state, const void *parameters, uint64_t space,
			  const struct fdt_frame *frame, struct language_frame *ret_frame)
{
	struct python_place place;
	int err = python_place(state, parameters, space, frame, &place);

	if (err)
		return err;
	ret_frame->function = place.function;
	ret_frame->file = place.file;
	ret_frame->module = place.file ? python_module(place.file) : NULL;
	ret_frame->line = place.line;
	if (place.file && python_is_library(place.file))
		ret_frame->flags |= FDT_SITE_FRAME_LIBRARY;
	if (place.function && python_is_finalizer(place.function))
		ret_frame->site_flags |= FDT_SITE_FINALIZER;
	return 0;
}

static bool python_is_one_of(const char *name, const char *const *names)
{
	for (; *names; names++)
		if (strcmp(name, *names) == 0)
			return true;
	return false;
}

/* Finalizers and the collector close descriptors without the program asking for it. */
static unsigned int python_native_flags(const char *symbol, bool is_inner)
{
	static const char *const finalizers[] = { "PyObject_CallFinalizer",
						  "PyObject_CallFinalizerFromDealloc",
						  "_PyGen_Finalize",
						  "_Py_Dealloc",
						  "subtype_dealloc",
						  "iobase_finalize",
						  "_PyIOBase_finalize",
						  "file_dealloc",
						  NULL };
	static const char *const collectors[] = { "PyGC_Collect",
						  "_PyGC_CollectNoFail",
						  "_PyGC_CollectIfEnabled",
						  "gc_collect_main",
						  "gc_collect_generations",
						  "gc_collect_with_callback",
						  "collect",
						  "collect_generations",
						  "finalize_garbage",
						  NULL };
	static const char *const endings[] = { "Py_FinalizeEx", "Py_Finalize", NULL };

	unsigned int flags = 0;

	if (python_is_one_of(symbol, endings))
		flags |= FDT_SITE_AT_EXIT;
	if (is_inner && python_is_one_of(symbol, finalizers))
		flags |= FDT_SITE_FINALIZER;
	if (is_inner && python_is_one_of(symbol, collectors))
		flags |= FDT_SITE_COLLECTOR;
	return flags;
}

const struct language_ops python_language = {
	.id = LANGUAGE_PYTHON,
	.word = "python",
	.parameters_size = sizeof(struct fdt_python),
	.recognise = python_recognise_file,
	.state_new = python_state_new,
	.state_free = python_state_free,
	.note = python_note,
	.resolve = python_resolve,
	.is_loop = python_is_eval,
	.native_flags = python_native_flags,
};
