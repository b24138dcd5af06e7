/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Stacks between the BPF programs and their loader: the records that carry them, and the
 * tables by which the programs walk. None of it is recorded: user space turns these records
 * into FDT_SITE events (event.h), which are what the engine and a recording see.
 *
 * How a stack is taken, at the exit of a system call:
 *   1. native frames, by tables made from .eh_frame (one set per ELF file, see fdt_elf). The
 *      mapping that holds an address is found when it is first met (bpf_find_vma) and kept per
 *      address space (fdt_space); exec begins a new one, fork copies it, munmap drops from it;
 *   2. interpreted frames, where one of these mappings is an interpreter, by its language's walk;
 *   3. a 64-bit hash of both is the site of the event. A hash that is new brings its stack as
 *      an FDT_STACK record, ahead of the event in the ring, and before that an FDT_CODE for
 *      each function of theirs that has not been sent.
 * A file without tables is asked for (FDT_ELF); until they are there, and wherever else the
 * walk ends early, a copy of the stack's memory goes along (FDT_COPY) for user space to unwind.
 */
#ifndef FDTRACE_STACK_H
#define FDTRACE_STACK_H

#include "fdtrace/event.h"
#include "fdtrace/language.h"
#include "fdtrace/python.h"

/* enum fdt_event_kind goes on: made by the kernel, for the loader only */
#define FDT_STACK 9
#define FDT_CODE 10
#define FDT_ELF 11
#define FDT_COPY 12

/* ---- the tables of ELF files ---- */

#define FDT_PAGE_SIZE 4096u /* of text, whatever the machine's pages are */

#define FDT_VDSO_DEV (~0u) /* no device has that number: stands for the kernel's own mapping */

/* A file as the kernel identifies it. dev is s_dev: major << 20 | minor. */
struct fdt_elf_key {
	__u64 inode;
	__u32 dev;
	__u32 pad;
};

/* An executable PT_LOAD segment, by the pages of the file that mappings of it have. */
#define FDT_SEGMENTS_MAX 4 /* of a file: what lies in others is not looked up */
struct fdt_segment {
	__u32 first_page, end_page; /* both 0: none */
	__u64 delta; /* p_vaddr - p_offset: a file offset plus this is its address in the file */
};

/* Of all executable segments, which share one table; an address outside them has no rows. */
struct fdt_elf {
	__u32 id;          /* 1, 2, 3 ...: never used again in a run */
	__u32 interpreter; /* FDT_INTERPRETER(); 0: not an interpreter */
	__u64 first_vaddr; /* of text page 0; a multiple of FDT_PAGE_SIZE */
	__u32 page0;       /* index of its text page 0 in the map of pages */
	__u32 pages;       /* 0: no table (not available; do not ask again) */
	struct fdt_segment segment[FDT_SEGMENTS_MAX];
};

/*
 * The rows of one page of text: row[first .. first + count) of a slab, ascending. The first
 * one stands for the page's beginning, so a search never leaves the page. count 0: no code.
 */
struct fdt_text_page {
	__u32 slab;
	__u16 first;
	__u16 count;
};

#define FDT_SLAB_ROWS 1024
struct fdt_slab {
	__u32 row[FDT_SLAB_ROWS]; /* offset in page | rule << 16: from there on this rule holds */
};
#define FDT_ROW(offset, rule) ((__u32)(offset) | (__u32)(rule) << 16)
#define FDT_ROW_OFFSET(row) ((row)&0xfff)
#define FDT_ROW_RULE(row) ((row) >> 16)

/* Rules are shared by all files; a few thousand describe all of a distribution. Rule 0: no CFI. */
#define FDT_RULES_MAX 65536
enum fdt_rule_kind {
	FDT_RULE_NONE = 0, /* no CFI here: code made at run time, or padding */
	FDT_RULE_SP,       /* CFA = stack pointer + cfa * 8; return address at CFA - 8 */
	FDT_RULE_BP,       /* CFA = frame pointer + cfa * 8 */
	FDT_RULE_PLT,      /* CFA = stack pointer + 8, + 8 more in the last 5 bytes of each 16 */
	FDT_RULE_END,      /* outermost: the return address is undefined */
	FDT_RULE_SIGNAL,   /* a signal frame: registers lie in the ucontext on the stack */
	FDT_RULE_OTHER,    /* describable by DWARF only: user space has to unwind it */
};
/* bp: the frame pointer was saved at CFA - bp * 8; 0: it still holds the caller's */
#define FDT_RULE(kind, cfa, bp) ((__u32)(cfa) | (__u32)(kind) << 16 | (__u32)(bp) << 24)
#define FDT_RULE_CFA(rule) ((rule)&0xffff)
#define FDT_RULE_KIND(rule) ((rule) >> 16 & 0xff)
#define FDT_RULE_SAVED_BP(rule) ((rule) >> 24)

/* ---- interpreters ---- */

/* An interpreter file: its language, and its index (1, 2, 3 ...) over all languages. */
#define FDT_INTERPRETERS_MAX 256 /* in a run */
#define FDT_INTERPRETER(language, index) ((__u32)(language) << 24 | (__u32)(index))
#define FDT_INTERPRETER_LANGUAGE(interpreter) ((interpreter) >> 24)
#define FDT_INTERPRETER_INDEX(interpreter) ((interpreter)&0xffffff)

/* ---- stacks ---- */

#define FDT_NATIVE_MAX 320
#define FDT_INTERPRETED_MAX 128

/* Where a walk ended; only the first means that the stack is whole. */
enum fdt_walk_end {
	/* native: at _start or clone; interpreted: at the thread's first frame */
	FDT_END_WHOLE = 0,
	FDT_END_NO_TABLE,   /* in a file that has no table (yet) */
	FDT_END_NO_MODULE,  /* in no file's mapping, and the frame pointer did not help */
	FDT_END_NO_RULE,    /* in a file's text that no rule describes */
	FDT_END_OTHER_RULE, /* at a rule that only DWARF can follow */
	FDT_END_UNREADABLE, /* memory could not be read */
	FDT_END_DEPTH,      /* more frames than fit */
	FDT_END_BAD_STACK,  /* the stack pointer would have moved the wrong way */
	FDT_END_NOT_TAKEN,  /* not asked for, or not available (32-bit program) */
	/* interpreted frames only: */
	FDT_END_NO_INTERPRETER, /* none in this process */
	FDT_END_NO_THREAD,      /* no thread state: starting, ending, or a foreign thread */
	FDT_END_NO_FRAME,       /* no frame: C code of the interpreter at start or exit */
	FDT_END_UNKNOWN_BUILD,  /* an interpreter that is not supported */
};

/* flags of struct fdt_frame */
#define FDT_FRAME_GUESSED 1 /* native: found by the frame pointer in code without CFI */
#define FDT_FRAME_ENTRY 2   /* interpreted: the oldest frame that its native evaluation loop runs */
#define FDT_FRAME_RETURN 4  /* native: address is a return address; the call lies before it */
#define FDT_FRAME_OFFSET 8  /* native: address is an offset in a file that has no table yet */

/*
 * Native: elf != 0: address is one in that file (vaddr); elf 0: an address of the process, in memory
 * that may be executed but is of no file. With FDT_FRAME_OFFSET elf is the device and instruction
 * the inode of the file, as in struct fdt_elf_key.
 * Interpreted: elf is the interpreter, and the pair of address and instruction says where in
 * which function, in terms of its language.
 */
struct fdt_frame {
	__u64 address; /* interpreted: of the function (its code object) */
	__u32 elf;     /* fdt_elf.id; interpreted: FDT_INTERPRETER() */
	__u16 flags;
	__u16 language;    /* enum language */
	__u64 instruction; /* native: 0, or an inode */
};

/* struct fdt_frame follow: native ones, then interpreted ones, each innermost first. */
struct fdt_stack {
	struct fdt_head head; /* of the task that made the call */
	__u64 hash;           /* the site that events will carry */
	__u64 space;          /* fdt_space.serial */
	__u16 native_count;
	__u16 interpreted_count;
	__u8 native_end; /* enum fdt_walk_end */
	__u8 interpreted_end;
	__u16 copied; /* 1: an FDT_COPY with the same hash follows */
	__u64 pad;
};

/* fdt_code.failed */
#define FDT_CODE_NO_FILENAME 1 /* could not be read */
#define FDT_CODE_NO_QUALNAME 2
#define FDT_CODE_NO_TABLE 4
#define FDT_CODE_TABLE_CUT 8 /* to FDT_CODE_TABLE_MAX */

#define FDT_CODE_NAME_MAX 256
#define FDT_CODE_TABLE_MAX 16384

/*
 * An interpreted function when it is first seen: user space may come too late to read it. Its
 * file, qualified name and line table follow, one after the other, in terms of its language.
 */
struct fdt_code {
	struct fdt_head head;
	__u64 space;
	__u64 address;     /* as in struct fdt_frame */
	__u32 interpreter; /* FDT_INTERPRETER() */
	__u32 firstline;
	__u32 filename_state, qualname_state; /* what characters they are made of */
	__u16 filename_bytes, qualname_bytes; /* as they are in memory, cut to FDT_CODE_NAME_MAX */
	__u16 table_bytes;
	__u16 failed; /* FDT_CODE_... */
};

/* The names of a path, the last one first; each ends with a NUL and is cut if it is longer. */
#define FDT_PATH_NAMES 16
#define FDT_PATH_NAME_MAX 64

/*
 * A mapping of a file that has no table. Sent once per file and a few seconds. The process may have
 * ended when this is read, and /proc with it: so the path goes along, from the root of its mounts.
 */
struct fdt_elf_wanted {
	struct fdt_head head;
	struct fdt_elf_key key;
	__u64 start, end;   /* of the mapping, in the process */
	__u64 offset_bytes; /* in the file */
	__u64 space;
	__u32 name_count;
	__u32 path_cut;           /* 1: the path has more names; there is at least the last one */
	__u64 at_entry, at_mount; /* the kernel side's own */
	char name[FDT_PATH_NAMES][FDT_PATH_NAME_MAX];
};

/* ---- address spaces ---- */

#define FDT_MODULES_MAX 64

/* A mapping of an ELF file's text. Valid while end != 0. */
struct fdt_module {
	__u64 start, end;
	__u64 bias; /* an address of the process minus this is one in the file */
	__u32 elf;  /* fdt_elf.id; 0: a file without a table */
	__u32 page0;
	__u64 first_vaddr;
	__u32 pages;
	__u32 pad;
};

#define FDT_COPY_MAX 16384 /* bytes of stack */
/* Registers in DWARF's order on x86-64: 0 rax, 1 rdx, 2 rcx, 3 rbx, 4 rsi, 5 rdi, 6 rbp, 7 rsp, 8-15, 16 rip. */
#define FDT_REGS 17
#define FDT_REG_SP 7
#define FDT_REG_PC 16

/*
 * The bytes of the stack follow. The process may have ended when this is read, and /proc with it: so
 * the mappings go along that its walks have met first, and the one in which this one ended.
 */
#define FDT_COPY_MODULES 8
struct fdt_copy {
	struct fdt_head head;
	__u64 hash;
	__u64 space;
	__u64 reg[FDT_REGS];
	__u32 size;        /* bytes of stack, from reg[FDT_REG_SP] upwards */
	__u32 has_unknown; /* 1: the walk ended in a file without a table: this one */
	struct fdt_elf_key key;
	__u64 start, end, offset_bytes;
	struct fdt_module module[FDT_COPY_MODULES];
};

#define FDT_RAW_MAX 20480 /* no record of these kinds is longer */

/* ---- address spaces ---- */

/* What is known of one mm_struct. */
struct fdt_space {
	__u64 serial; /* 1, 2, 3 ...: a new one at exec and fork; names functions' addresses */
	__u32 count;  /* of modules ever put; the oldest is overwritten */
	__u32 epoch;  /* of the modules: if it is no longer current, they may have been replaced */
	struct fdt_space_python python; /* a member for each language that is walked */
	struct fdt_module module[FDT_MODULES_MAX];
};

/* --stacks; user space may lower it while running to keep to stacks.budget */
enum fdt_stack_level {
	FDT_STACKS_OFF = 0,
	FDT_STACKS_ERRORS,   /* EBADF, EMFILE, ENFILE only */
	FDT_STACKS_FEW,      /* and one of every 64 calls */
	FDT_STACKS_NO_CLOSE, /* all but closes by the opening thread, if known */
	FDT_STACKS_ALL,
};

FDT_SIZE_IS(fdt_elf_key, 16);
FDT_SIZE_IS(fdt_segment, 16);
FDT_SIZE_IS(fdt_elf, 24 + FDT_SEGMENTS_MAX * 16);
FDT_SIZE_IS(fdt_text_page, 8);
FDT_SIZE_IS(fdt_frame, 24);
FDT_SIZE_IS(fdt_stack, 64);
FDT_SIZE_IS(fdt_code, 72);
FDT_SIZE_IS(fdt_elf_wanted, 104 + FDT_PATH_NAMES * FDT_PATH_NAME_MAX);
FDT_SIZE_IS(fdt_copy, 232 + FDT_COPY_MODULES * 48);
FDT_SIZE_IS(fdt_module, 48);
FDT_SIZE_IS(fdt_space, 40 + FDT_MODULES_MAX * 48);

#endif
