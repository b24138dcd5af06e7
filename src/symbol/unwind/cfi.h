/* SPDX-License-Identifier: BSD-2-Clause */
/* The call frame instructions of a CIE or an FDE, run for what the walker needs to know. */
#ifndef FDTRACE_SYMBOL_CFI_H
#define FDTRACE_SYMBOL_CFI_H

#include "symbol/unwind/cursor.h"
#include "symbol/unwind/eh_frame.h"

#define CFI_REGISTER_BP 6
#define CFI_REGISTER_SP 7
#define CFI_REGISTER_RA 16
#define CFI_REGISTERS 128 /* numbers from here on are taken for malformed: x86-64 has 126 */

struct cfi_run {
	const struct eh_cie *cie;
	struct cursor code;
	uint64_t section_vaddr; /* for pc-relative addresses */
	const uint8_t *section;
	uint64_t at, end; /* the code described from here on; up to there */
	struct cfi_state state;
	/* called with run->at and run->state before at goes on */
	void (*row)(struct cfi_run *run);
	void *ctx;
};

/* 0, or -EBADMSG; then state is that of run->at. */
int cfi_execute(struct cfi_run *run);

/* A pointer in an encoding (DW_EH_PE_). Makes c bad if it can't be had. */
uint64_t cfi_pointer(struct cursor *c, uint8_t encoding, const uint8_t *section, uint64_t vaddr);

/* What the state is to the walker: FDT_RULE(). */
uint32_t cfi_rule(const struct cfi_state *state);

#endif
