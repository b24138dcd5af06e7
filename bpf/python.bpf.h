/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Python frames. */
#ifndef FDTRACE_PYTHON_BPF_H
#define FDTRACE_PYTHON_BPF_H

/* Fills the Python part of the stack in s, behind the native frames. */
static __noinline int python_walk(struct fdt_scratch *s, struct fdt_space *space)
{
	if (!s || !space)
		return 0;
	s->stack.python_end = FDT_END_NO_PYTHON;
	return 0;
}

/* Tells the code objects of the stack in s that have not been told. */
static __noinline int python_tell_codes(struct fdt_scratch *s)
{
	return !s;
}

#endif
