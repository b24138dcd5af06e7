/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The languages whose frames are walked here: the only place that calls their walkers, each a
 * file of its own included before this one. A language whose functions native code runs (with
 * native frames) has no row here: user space names its frames.
 */
#ifndef FDTRACE_LANGUAGE_BPF_H
#define FDTRACE_LANGUAGE_BPF_H

/* A mapping of an interpreter has been met; bias: an address of the process minus one in the file. */
static __always_inline void interpreter_found(struct fdt_space *space, u32 interpreter, u64 bias)
{
	switch (FDT_INTERPRETER_LANGUAGE(interpreter)) {
	case LANGUAGE_PYTHON: python_found(space, interpreter, bias); break;
	}
}

static __always_inline bool space_has_interpreter(const struct fdt_space *space)
{
	return space->python.interpreter;
}

/*
 * Adds the interpreted frames to the stack in s, behind the native ones, and mixes them into its
 * hash. A process may have several interpreters: each walk goes on where the one before ended.
 */
static __always_inline void interpreted_walk(struct fdt_scratch *s, struct fdt_space *space)
{
	python_walk(s, space);
}

/* Sends what user space could not read any more when it names these frames. */
static __always_inline void interpreted_send(struct fdt_scratch *s)
{
	python_send_codes(s);
}

#endif
