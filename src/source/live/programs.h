/* SPDX-License-Identifier: BSD-2-Clause */
/* What the kernel made of the programs it was given. */
#ifndef FDTRACE_SOURCE_PROGRAMS_H
#define FDTRACE_SOURCE_PROGRAMS_H

struct bpf_object;

/*
 * One line at debug level for each loaded program of the object: its instructions as the kernel
 * keeps them; how many the verifier went through, which must be fewer than a million (0 before
 * Linux 5.16, which does not say); and how long that took. Call it right after the load: the
 * time of the last program ends now.
 */
void programs_log(const struct bpf_object *object);

#endif
