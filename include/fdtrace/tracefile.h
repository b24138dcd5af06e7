/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The recording (`fdtrace -r FILE`, `fdtrace replay FILE`): this header, then records as in
 * event.h, one after the other, each padded with zeros to a multiple of 8 bytes.
 *
 * The first records are FDT_META; their keys are listed below. A record that was derived
 * from live lookups (FDT_NAME, FDT_PROCESS of a running process) stands before the event
 * whose finding needed it, so a replay needs no second look. A reader treats the file as
 * hostile: every size is checked, unknown kinds are skipped, a cut tail is reported.
 */
#ifndef FDTRACE_TRACEFILE_H
#define FDTRACE_TRACEFILE_H

#include <linux/types.h>

#define FDT_TRACEFILE_MAGIC "fdtrace\n"
#define FDT_TRACEFILE_BYTE_ORDER 0x01020304u /* as the writer stores it */

struct fdt_tracefile_header {
	char magic[8];
	__u32 byte_order;
	__u32 abi;         /* FDT_ABI of the writer */
	__u32 header_size; /* where the first record begins */
	__u32 pad;
};

_Static_assert(sizeof(struct fdt_tracefile_header) == 24, "recording header changed its size");

/*
 * Keys of FDT_META records ("key=value"):
 *   version            of the fdtrace that recorded
 *   host.name host.id boot.id kernel
 *   coverage           "tracepoint" or "function"
 *   mode               "pid", "command" or "all"
 *   clock.wall_offset_ns  CLOCK_REALTIME minus CLOCK_MONOTONIC at the start
 *   start_id           unique to this run of fdtrace (prefix of event.id)
 *   set.KEY            each threshold in force (settings.h), e.g. set.leak.window=10s
 *   rules              rules in force, as --rules takes them
 */

#endif
