/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ELF files that traced processes run, by the identity the kernel gives them. Each is read
 * once: its unwind table, whether it is an interpreter, and later its symbols. Reading is
 * done by a thread of its own, since a large file takes a quarter of a second and the ring
 * buffer does not wait; everything else here belongs to the caller's thread.
 */
#ifndef FDTRACE_SYMBOL_FILES_H
#define FDTRACE_SYMBOL_FILES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "fdtrace/stack.h"
#include "symbol/elf/elf_file.h"
#include "symbol/language.h"
#include "symbol/unwind/unwind_table.h"

#define FILES_MAX 4096 /* of a run; later ones get no table and no symbols */

/* How tables reach the kernel side. Each returns 0 or -errno; -ENOSPC: no more room. */
struct files_kernel {
	void *ctx;
	/* Fills in elf->page0. table NULL: the file has none; elf->pages is 0 then. */
	int (*put_elf)(void *ctx, const struct fdt_elf_key *key, struct fdt_elf *elf,
		       const struct unwind_table *table);
	/* What a language's walk needs, for FDT_INTERPRETER(). */
	int (*put_interpreter)(void *ctx, uint32_t interpreter, const void *parameters);
};

struct symbol_file {
	struct fdt_elf_key key;
	const char *name;                    /* the last part of its path; "": unknown */
	uint32_t id;                         /* fdt_elf.id */
	uint32_t interpreter;                /* FDT_INTERPRETER(); 0: none, or not supported */
	const struct language_ops *language; /* of the interpreter, supported or not; or NULL */
	const void *parameters;              /* as its recognise() filled them in; or NULL */
	bool is_system;       /* C library, dynamic linker, vdso, the interpreter itself */
	bool is_runtime;      /* of a language that is not walked: runtimes.h */
	struct elf_file *elf; /* NULL: it could not be read */
};

struct files;

struct files_counters {
	uint64_t files, with_table, without_table; /* known; of these */
	uint64_t refused;                          /* no room for their table any more */
	uint64_t rows;
	uint64_t build_ns; /* spent on reading */
};

/* 0 or -errno. *kernel is copied. */
int files_new(const struct files_kernel *kernel, struct files **ret_files);
void files_free(struct files *files); /* NULL is allowed; waits for the thread */

/*
 * Asks for the file behind a mapping of a process; end 0: for its executable. Opens it at once, through
 * /proc/PID/map_files or by its path under /proc/PID/root, so that it is the right one even if
 * it was deleted or replaced; if the process has ended, by its path from our root, if that leads
 * to the same inode. 0; -EALREADY: known or on its way; or -errno: what is known is its name.
 */
int files_want(struct files *files, const struct fdt_elf_wanted *wanted);

/* Asks for every file whose text that process maps. Returns how many were asked for. */
unsigned int files_want_process(struct files *files, pid_t pid);

/* The same for a program that is about to be run. What a script asks to be run by counts. */
int files_want_path(struct files *files, const char *path);

/*
 * Hands what has been read to the kernel side. Waits up to timeout_ms for what was asked for; -1:
 * until all of it is done.
 */
void files_collect(struct files *files, int timeout_ms);

/*
 * A file that was asked for, once it has been read: for that a short while is waited, now and then.
 * NULL: it could not be opened, or takes longer.
 */
const struct symbol_file *files_await(struct files *files, const struct fdt_elf_key *key);

/* The last part of the path of a file that was asked for but has not been read, or NULL. */
const char *files_name(const struct files *files, const struct fdt_elf_key *key);

/* A descriptor of the file, for the caller to close; -ENOENT: unknown, or no longer open. */
int files_open(const struct files *files, const struct fdt_elf_key *key);

/*
 * To be called now and then: lets go of the symbols of files that no place was asked of for 20 to 40
 * seconds. They are read again where they are needed.
 */
void files_rest(struct files *files);

/* NULL: there is none. Lives until files_free(). */
const struct symbol_file *files_by_id(const struct files *files, uint32_t id);
const struct symbol_file *files_by_key(const struct files *files, const struct fdt_elf_key *key);
/* The interpreter with that FDT_INTERPRETER(). */
const struct symbol_file *files_interpreter(const struct files *files, uint32_t interpreter);

void files_counters(const struct files *files, struct files_counters *ret_counters);

/*
 * The next interpreter that is not supported, and why; each file once. NULL: there is none. It has
 * a language and an ELF file.
 */
const struct symbol_file *files_next_unsupported(struct files *files, const char **ret_description);

#endif
