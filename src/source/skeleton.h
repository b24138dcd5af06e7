/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The types that a generated skeleton (*.skel.h) uses: it spells them as the programs do. To be
 * included before one.
 */
#ifndef FDTRACE_SOURCE_SKELETON_H
#define FDTRACE_SOURCE_SKELETON_H

#include <stdint.h>

typedef uint8_t u8;
typedef int32_t s32;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

#endif
