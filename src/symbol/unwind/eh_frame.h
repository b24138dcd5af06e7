/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading .eh_frame: which code it describes, and by what rules (fdtrace/stack.h) a walker finds
 * the caller there. DWARF 5, 6.4; the section's own ways: LSB 5.0 core, 10.6.
 *
 * Read here and not by libdw: its interpreter allocates by the register numbers that the file
 * gives, starts again for each row, and asserts. Here the work is linear in the section's bytes and
 * the memory in its FDEs, whatever they hold. For x86-64.
 */
#ifndef FDTRACE_SYMBOL_EH_FRAME_H
#define FDTRACE_SYMBOL_EH_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <libelf.h>

#define EH_FRAME_MAX_BYTES (64u << 20)
#define EH_FRAME_FDES_MAX (1u << 20)

/* The bytes are borrowed: they live as long as the Elf. */
struct eh_frame {
	const uint8_t *data;
	size_t size;
	uint64_t vaddr;
};

/* 0; -ENODATA: there is none; -E2BIG. */
int eh_frame_find(Elf *elf, struct eh_frame *ret_frame);

struct eh_fde {
	uint64_t start, end; /* vaddrs; end is cut where the next one begins */
	uint32_t offset;     /* in the section */
	uint32_t cie;        /* offset of its CIE */
	uint32_t program, program_end;
};

/*
 * All FDEs that can be read, ascending, no two overlapping.
 * To be freed by the caller. 0; -EBADMSG: nothing could be read; -E2BIG; -ENOMEM.
 */
int eh_frame_fdes(const struct eh_frame *frame, struct eh_fde **ret_fdes, size_t *ret_count);

/* Where a register of the caller is. */
enum cfi_where { CFI_SAME, CFI_UNDEFINED, CFI_SAVED, CFI_ELSEWHERE };
struct cfi_register {
	enum cfi_where where;
	int64_t offset; /* saved at CFA + offset */
};

enum cfi_cfa { CFI_CFA_NONE, CFI_CFA_REGISTER, CFI_CFA_PLT, CFI_CFA_EXPRESSION };
struct cfi_state {
	enum cfi_cfa cfa;
	uint64_t cfa_register;
	int64_t cfa_offset;
	struct cfi_register bp, ra;
	bool sp_ruled; /* the caller's stack pointer is not the CFA */
};

struct eh_cie {
	uint32_t offset;
	uint32_t id; /* offset + 1; 0: this place is free */
	uint64_t code_align;
	int64_t data_align;
	uint8_t pointers; /* DW_EH_PE_ of the FDEs' addresses */
	bool augmented;   /* FDEs have augmentation data */
	bool is_signal;
	bool foreign; /* return address elsewhere than in column 16 */
	struct cfi_state initial;
};

/* Zeroed, but for frame, before its first use. */
#define EH_CIES_KEPT 16
struct eh_reader {
	const struct eh_frame *frame;
	struct eh_cie cie[EH_CIES_KEPT];
};

/*
 * Calls rule for the rows of the FDE, ascending, the first at its start: from vaddr on this
 * FDT_RULE() holds, up to the next or fde->end. What is
 * malformed is FDT_RULE_OTHER. Equal neighbours are not merged. 0; -EBADMSG: some of it was
 * malformed.
 */
int eh_frame_rules(struct eh_reader *reader, const struct eh_fde *fde,
		   void (*rule)(void *ctx, uint64_t vaddr, uint32_t rule), void *ctx);

#endif
