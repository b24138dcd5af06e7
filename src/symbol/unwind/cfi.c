// SPDX-License-Identifier: BSD-2-Clause
#include <dwarf.h>
#include <errno.h>
#include <string.h>

#include "fdtrace/stack.h"
#include "symbol/unwind/cfi.h"

#define REMEMBERED_MAX 16 /* gcc and clang nest one or two */
#define WORD 8

#define ADVANCE_LOC8 0x1d /* DW_CFA_MIPS_advance_loc8 */

/* In .plt: CFA = rsp + 8 + ((rip & 15) >= 11) * 8. */
static const uint8_t plt_expression[] = {
	DW_OP_breg7, 8,        DW_OP_breg16, 0,         DW_OP_lit15, DW_OP_and,
	DW_OP_lit11, DW_OP_ge, DW_OP_lit3,   DW_OP_shl, DW_OP_plus,
};

struct machine {
	struct cfi_run *run;
	struct cfi_state remembered[REMEMBERED_MAX];
	unsigned int depth;
};

uint64_t cfi_pointer(struct cursor *c, uint8_t encoding, const uint8_t *section, uint64_t vaddr)
{
	uint64_t base = 0, value;

	if ((encoding & 0xf0) == DW_EH_PE_pcrel)
		base = vaddr + (c->at - section);
	else if (encoding & 0xf0)
		return cursor_fail(c);
	switch (encoding & 0xf) {
	case DW_EH_PE_absptr:
	case DW_EH_PE_udata8:
	case DW_EH_PE_sdata8: value = cursor_number(c, 8); break;
	case DW_EH_PE_udata4: value = cursor_number(c, 4); break;
	case DW_EH_PE_sdata4: value = cursor_signed(c, 4); break;
	case DW_EH_PE_udata2: value = cursor_number(c, 2); break;
	case DW_EH_PE_sdata2: value = cursor_signed(c, 2); break;
	case DW_EH_PE_uleb128: value = cursor_uleb(c); break;
	case DW_EH_PE_sleb128: value = cursor_sleb(c); break;
	default: return cursor_fail(c);
	}
	return base + value;
}

/* A register's number, checked; libdw, which may read the same FDE, allocates that many. */
static uint64_t get_register(struct machine *m)
{
	uint64_t number = cursor_uleb(&m->run->code);

	return number < CFI_REGISTERS ? number : cursor_fail(&m->run->code);
}

/* An offset in units of the CIE's data alignment. */
static int64_t cfi_scale(struct machine *m, int64_t factor)
{
	int64_t offset;

	if (__builtin_mul_overflow(factor, m->run->cie->data_align, &offset))
		return cursor_fail(&m->run->code);
	return offset;
}

static int64_t unsigned_scaled(struct machine *m)
{
	uint64_t factor = cursor_uleb(&m->run->code);

	return factor > INT64_MAX ? (int64_t)cursor_fail(&m->run->code) : cfi_scale(m, factor);
}

static int64_t unsigned_offset(struct machine *m)
{
	uint64_t offset = cursor_uleb(&m->run->code);

	return offset > INT64_MAX ? (int64_t)cursor_fail(&m->run->code) : (int64_t)offset;
}

static int64_t negated_scaled(struct machine *m)
{
	int64_t offset = unsigned_scaled(m);

	return offset == INT64_MIN ? (int64_t)cursor_fail(&m->run->code) : -offset;
}

static void set_register(struct machine *m, uint64_t number, enum cfi_where where, int64_t offset)
{
	struct cfi_state *state = &m->run->state;
	struct cfi_register value = { where, offset };

	if (number == CFI_REGISTER_BP)
		state->bp = value;
	else if (number == CFI_REGISTER_RA)
		state->ra = value;
	else if (number == CFI_REGISTER_SP)
		state->sp_ruled = true;
}

static void restore_register(struct machine *m, uint64_t number)
{
	const struct cfi_state *initial = &m->run->cie->initial;

	if (number == CFI_REGISTER_BP)
		m->run->state.bp = initial->bp;
	else if (number == CFI_REGISTER_RA)
		m->run->state.ra = initial->ra;
	else if (number == CFI_REGISTER_SP)
		m->run->state.sp_ruled = initial->sp_ruled;
}

static void set_cfa(struct machine *m, uint64_t number, int64_t offset)
{
	m->run->state.cfa = CFI_CFA_REGISTER;
	m->run->state.cfa_register = number;
	m->run->state.cfa_offset = offset;
}

/* Only the register or the offset: there has to be such a CFA already. */
static void change_cfa(struct machine *m, uint64_t number, int64_t offset)
{
	if (m->run->state.cfa == CFI_CFA_REGISTER)
		set_cfa(m, number, offset);
	else
		cursor_fail(&m->run->code);
}

static void skip_block(struct machine *m)
{
	cursor_skip(&m->run->code, cursor_uleb(&m->run->code));
}

static void set_cfa_expression(struct machine *m)
{
	struct cursor *code = &m->run->code;
	uint64_t size = cursor_uleb(code);
	struct cursor block = cursor_part(code, size);
	bool plt = size == sizeof(plt_expression) && !block.bad &&
		   !memcmp(block.at, plt_expression, sizeof(plt_expression));

	m->run->state.cfa = plt ? CFI_CFA_PLT : CFI_CFA_EXPRESSION;
}

/* The state has held up to there. Behind the end there may be instructions, but no code. */
static void go_to(struct machine *m, uint64_t vaddr)
{
	struct cfi_run *run = m->run;

	if (vaddr < run->at) {
		cursor_fail(&run->code);
		return;
	}
	if (vaddr > run->end)
		vaddr = run->end;
	if (vaddr > run->at && run->row)
		run->row(run);
	run->at = vaddr;
}

static void cfi_advance(struct machine *m, uint64_t units)
{
	uint64_t bytes, vaddr;

	if (m->run->code.bad || __builtin_mul_overflow(units, m->run->cie->code_align, &bytes) ||
	    __builtin_add_overflow(m->run->at, bytes, &vaddr))
		cursor_fail(&m->run->code);
	else
		go_to(m, vaddr);
}

static void set_location(struct machine *m)
{
	struct cfi_run *run = m->run;
	uint64_t vaddr =
		cfi_pointer(&run->code, run->cie->pointers, run->section, run->section_vaddr);

	if (!run->code.bad)
		go_to(m, vaddr);
}

static void state_remember(struct machine *m)
{
	if (m->depth == REMEMBERED_MAX)
		cursor_fail(&m->run->code);
	else
		m->remembered[m->depth++] = m->run->state;
}

static void restore_remembered(struct machine *m)
{
	if (!m->depth)
		cursor_fail(&m->run->code);
	else
		m->run->state = m->remembered[--m->depth];
}

static void rule_saved(struct machine *m, uint64_t number, int64_t offset)
{
	set_register(m, number, CFI_SAVED, offset);
}

static void rule_elsewhere(struct machine *m, uint64_t number)
{
	set_register(m, number, CFI_ELSEWHERE, 0);
}

/* Instructions about one register: all begin with its number. */
static void about_register(struct machine *m, uint8_t opcode)
{
	uint64_t number = get_register(m);

	switch (opcode) {
	case DW_CFA_offset_extended: rule_saved(m, number, unsigned_scaled(m)); break;
	case DW_CFA_offset_extended_sf:
		rule_saved(m, number, cfi_scale(m, cursor_sleb(&m->run->code)));
		break;
	case DW_CFA_GNU_negative_offset_extended: rule_saved(m, number, negated_scaled(m)); break;
	case DW_CFA_restore_extended: restore_register(m, number); break;
	case DW_CFA_undefined: set_register(m, number, CFI_UNDEFINED, 0); break;
	case DW_CFA_same_value: set_register(m, number, CFI_SAME, 0); break;
	case DW_CFA_register: get_register(m), rule_elsewhere(m, number); break;
	case DW_CFA_val_offset: unsigned_scaled(m), rule_elsewhere(m, number); break;
	case DW_CFA_val_offset_sf: cursor_sleb(&m->run->code), rule_elsewhere(m, number); break;
	case DW_CFA_expression:
	case DW_CFA_val_expression: skip_block(m), rule_elsewhere(m, number); break;
	case DW_CFA_def_cfa: set_cfa(m, number, unsigned_offset(m)); break;
	case DW_CFA_def_cfa_sf: set_cfa(m, number, cfi_scale(m, cursor_sleb(&m->run->code))); break;
	case DW_CFA_def_cfa_register: change_cfa(m, number, m->run->state.cfa_offset); break;
	default: cursor_fail(&m->run->code);
	}
}

static void execute_extended(struct machine *m, uint8_t opcode)
{
	struct cursor *code = &m->run->code;
	uint64_t cfa_register = m->run->state.cfa_register;

	switch (opcode) {
	case DW_CFA_nop: break;
	case DW_CFA_set_loc: set_location(m); break;
	case DW_CFA_advance_loc1: cfi_advance(m, cursor_u8(code)); break;
	case DW_CFA_advance_loc2: cfi_advance(m, cursor_number(code, 2)); break;
	case DW_CFA_advance_loc4: cfi_advance(m, cursor_number(code, 4)); break;
	case ADVANCE_LOC8: cfi_advance(m, cursor_number(code, 8)); break;
	case DW_CFA_remember_state: state_remember(m); break;
	case DW_CFA_restore_state: restore_remembered(m); break;
	case DW_CFA_def_cfa_offset: change_cfa(m, cfa_register, unsigned_offset(m)); break;
	case DW_CFA_def_cfa_offset_sf:
		change_cfa(m, cfa_register, cfi_scale(m, cursor_sleb(code)));
		break;
	case DW_CFA_def_cfa_expression: set_cfa_expression(m); break;
	case DW_CFA_GNU_args_size: cursor_uleb(code); break;
	default: about_register(m, opcode);
	}
}

static void execute_one(struct machine *m)
{
	uint8_t opcode = cursor_u8(&m->run->code), operand = opcode & 0x3f;

	switch (opcode & 0xc0) {
	case DW_CFA_advance_loc: cfi_advance(m, operand); break;
	case DW_CFA_offset: rule_saved(m, operand, unsigned_scaled(m)); break;
	case DW_CFA_restore: restore_register(m, operand); break;
	default: execute_extended(m, opcode);
	}
}

int cfi_execute(struct cfi_run *run)
{
	struct machine m = { .run = run };

	while (!run->code.bad && cursor_left(&run->code))
		execute_one(&m);
	if (run->code.bad)
		return -EBADMSG;
	go_to(&m, run->end);
	return 0;
}

/* *ret_words: saved at CFA - words * 8; 0: not at all. */
static bool saved_bp_fits(const struct cfi_register *bp, uint32_t *ret_words)
{
	*ret_words = 0;
	if (bp->where == CFI_SAME || bp->where == CFI_UNDEFINED)
		return true;
	if (bp->where != CFI_SAVED || bp->offset % WORD || bp->offset >= 0 ||
	    bp->offset < -255 * WORD)
		return false;
	*ret_words = -bp->offset / WORD;
	return true;
}

static uint32_t rule_by_register(const struct cfi_state *state, uint32_t saved_bp)
{
	int64_t offset = state->cfa_offset;
	bool is_sp = state->cfa_register == CFI_REGISTER_SP;

	if ((!is_sp && state->cfa_register != CFI_REGISTER_BP) || offset % WORD || offset < 0 ||
	    offset / WORD > UINT16_MAX)
		return FDT_RULE(FDT_RULE_OTHER, 0, 0);
	return FDT_RULE(is_sp ? FDT_RULE_SP : FDT_RULE_BP, offset / WORD, saved_bp);
}

uint32_t cfi_rule(const struct cfi_state *state)
{
	uint32_t saved_bp;

	if (state->ra.where == CFI_UNDEFINED)
		return FDT_RULE(FDT_RULE_END, 0, 0);
	if (state->sp_ruled || state->ra.where != CFI_SAVED || state->ra.offset != -WORD ||
	    !saved_bp_fits(&state->bp, &saved_bp))
		return FDT_RULE(FDT_RULE_OTHER, 0, 0);
	if (state->cfa == CFI_CFA_REGISTER)
		return rule_by_register(state, saved_bp);
	if (state->cfa == CFI_CFA_PLT && !saved_bp)
		return FDT_RULE(FDT_RULE_PLT, 0, 0);
	return FDT_RULE(FDT_RULE_OTHER, 0, 0);
}
