/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * All evidence of the findings of this host, by fingerprint: JSON lines without the 4,000-byte
 * cap, in a bounded folder. `fdtrace explain` reads it: the latest EVIDENCE_KEPT lines of each
 * fingerprint. The oldest are removed first. Runs that write at the same time neither wait for each
 * other nor lose anything; stores of older versions are read, too.
 */
#ifndef FDTRACE_RUN_EVIDENCE_H
#define FDTRACE_RUN_EVIDENCE_H

#include <stddef.h>
#include <stdint.h>

struct error;

#define EVIDENCE_PATH "/var/lib/fdtrace/evidence"
#define EVIDENCE_BYTES (64u << 20)
#define EVIDENCE_KEPT 4
#define EVIDENCE_ENVIRON "FDTRACE_EVIDENCE" /* instead of EVIDENCE_PATH */

struct evidence;

/* $FDTRACE_EVIDENCE or EVIDENCE_PATH. */
const char *evidence_path(void);

/* Makes the folder (0700) if needed; refuses one that others may write to. 0 or -errno with *error. */
int evidence_open(const char *path, uint64_t max_bytes, struct evidence **ret_evidence,
		  struct error *error);
void evidence_free(struct evidence *evidence); /* NULL is allowed */

/*
 * line: JSON, newline included. 0 or -errno: the store stays as it was. Waits for no other run. Any
 * put may remove lines, the oldest first, to keep to max_bytes; runs that write at the same time may
 * exceed that by a 32nd each. A put after each 32nd lists the folder; no put looks at each file.
 */
int evidence_put(struct evidence *evidence, uint64_t fingerprint, const char *line, size_t length);

/*
 * Every line of the fingerprints that begin with these 4 to 16 hex digits, oldest first. 0;
 * -ENOENT: there is none; -EINVAL: not hex digits; -ENOTUNIQ: several fingerprints begin with them.
 */
int evidence_find(const char *path, const char *prefix,
		  int (*line)(void *ctx, const char *line, size_t length), void *ctx,
		  struct error *error);

#endif
