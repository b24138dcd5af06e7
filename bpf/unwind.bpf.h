/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Native frames by .eh_frame: Debian's programs and libraries have no frame pointers, so each
 * step looks up how the code at hand has moved the stack pointer (fdtrace/stack.h).
 */
#ifndef FDTRACE_UNWIND_BPF_H
#define FDTRACE_UNWIND_BPF_H

#if ARCH_WALKS_STACKS

#define WORD sizeof(u64)
#define FP_STEP_MAX \
	65536 /* a frame pointer further away than that is believed to be something else */

static __always_inline bool window_fill(struct fdt_window *w, u64 address)
{
	u64 length = WINDOW_BYTES;

	if (bpf_probe_read_user(w->bytes, WINDOW_BYTES, (void *)address)) {
		length = FDT_PAGE_SIZE - (address & (FDT_PAGE_SIZE - 1));
		OPAQUE(length);
		if (length > WINDOW_BYTES)
			length = WINDOW_BYTES;
		if (length < WORD || bpf_probe_read_user(w->bytes, length, (void *)address)) {
			w->length = 0;
			return false;
		}
	}
	w->address = address;
	w->length = length;
	return true;
}

/* A word of the stack. */
static __always_inline bool stack_word(struct fdt_scratch *s, u64 address, u64 *ret_word)
{
	struct fdt_window *w = &s->window;
	u64 at = address - w->address;

	if (w->length < WORD || at > w->length - WORD) {
		if (!window_fill(w, address))
			return false;
		at = 0;
	}
	OPAQUE(at);
	if (at > WINDOW_BYTES - WORD)
		return false;
	*ret_word = *(u64 *)(w->bytes + at);
	return true;
}

/* ---- which file an address belongs to ---- */

static __always_inline void name_file(struct fdt_elf_key *key, struct file *file)
{
	struct inode *inode = BPF_CORE_READ(file, f_inode);

	key->inode = BPF_CORE_READ(inode, i_ino);
	key->dev = BPF_CORE_READ(inode, i_sb, s_dev);
}

#define VM_EXEC 0x4
/* Where the walk is stands in the event, not on the stack: see fdt_scratch. */
static __always_inline bool path_step(struct fdt_elf_wanted *event)
{
	struct dentry *entry = (struct dentry *)event->at_entry;
	u32 count = event->name_count;

	switch (path_up(false, &event->at_entry, &event->at_mount)) {
	case PATH_ROOT: event->path_cut = 0; return false;
	case PATH_MOUNT: return true;
	}
	if (count >= FDT_PATH_NAMES)
		return false;
	bpf_probe_read_kernel_str(event->name[count], FDT_PATH_NAME_MAX,
				  BPF_CORE_READ(entry, d_name.name));
	event->name_count = count + 1;
	return true;
}

static long on_path_step(__attribute__((unused)) u64 i, struct fdt_elf_wanted **event)
{
	return !path_step(*event);
}

/* The names of a file's path, from the last one up. Files are met for the first time, so this is rare. */
static __always_inline void path_put(struct fdt_elf_wanted *event, struct file *file)
{
	event->name_count = 0;
	event->path_cut = 1;
	path_begin(false, (u64)file, &event->at_entry, &event->at_mount);
	if (file)
		bpf_loop(PATH_STEPS, on_path_step, &event, 0);
}

/* What is given to a callback has to stand on the stack: a pointer to what has no room there. */
static long on_mapping(struct task_struct *task, struct vm_area_struct *vma,
		       struct fdt_mapping **mapping)
{
	struct file *file = vma->vm_file;
	struct fdt_mapping *m = *mapping;

	m->start = vma->vm_start;
	m->end = vma->vm_end;
	m->offset_bytes = (u64)vma->vm_pgoff * FDT_PAGE_SIZE;
	m->is_code = !!(vma->vm_flags & VM_EXEC);
	if (file) {
		name_file(&m->key, file);
		m->file = (u64)file;
		m->is_file = 1;
	} else if (m->start == vdso_address(task)) {
		m->key.dev = FDT_VDSO_DEV;
		m->offset_bytes = 0;
		m->is_file = 1;
	}
	return 0;
}

#define WANTED_AGAIN_NS 2000000000ull

/* Asks user space for the tables of a file, once in a while. */
static __always_inline void want_elf(const struct fdt_mapping *m, u64 serial)
{
	u64 now = coarse_ns(), *asked = bpf_map_lookup_elem(&fdt_wanted_elfs, &m->key);
	struct fdt_elf_wanted *event;
	struct task_struct *task;

	if (asked && now - *asked < WANTED_AGAIN_NS)
		return;
	bpf_map_update_elem(&fdt_wanted_elfs, &m->key, &now, BPF_ANY);
	event = bpf_ringbuf_reserve(&fdt_ring, sizeof(*event), 0);
	if (!event)
		return;
	task = plain_task(CURRENT);
	head_fill(&event->head, FDT_ELF, FDT_OP_NONE, sizeof(*event), now, task, (u64)task->files);
	event->key = m->key;
	event->start = m->start;
	event->end = m->end;
	event->offset_bytes = m->offset_bytes;
	event->space = serial;
	path_put(event, (struct file *)m->file);
	bpf_ringbuf_submit(event, BPF_RB_FORCE_WAKEUP);
}

static __always_inline void want_file(struct fdt_mapping *m, struct file *file)
{
	name_file(&m->key, file);
	m->file = (u64)file;
	if (!bpf_map_lookup_elem(&fdt_elfs, &m->key))
		want_elf(m, 0);
}

/* A program that has not been seen before: its tables may be there when it opens its first file. */
static __noinline int want_executable(struct linux_binprm *bprm)
{
	struct fdt_mapping m = {};

	if (bprm && stacks_native)
		want_file(&m, BPF_CORE_READ(bprm, file));
	return 0;
}

/* The same for a library that is being loaded. */
GLOBAL int want_mapped(u32 fd, u64 start, u64 length, u64 offset_bytes)
{
	struct fdt_mapping m = { .start = start,
				 .end = start + length,
				 .offset_bytes = offset_bytes };
	u64 file = stack_level && stacks_native ? slot_file(current_table(), fd) : 0;

	if (file)
		want_file(&m, (struct file *)file);
	return 0;
}

/* false: of no segment that is known, so that nothing can be said of its addresses. */
static __always_inline bool mapping_bias(const struct fdt_mapping *m, const struct fdt_elf *elf,
					 u64 *ret_bias)
{
	u64 page = m->offset_bytes / FDT_PAGE_SIZE;

	for (u32 i = 0; i < FDT_SEGMENTS_MAX; i++) {
		const struct fdt_segment *segment = &elf->segment[i];

		if (page < segment->first_page || page >= segment->end_page)
			continue;
		*ret_bias = m->start - m->offset_bytes - segment->delta;
		return true;
	}
	return false;
}

/*
 * Another CPU may be reading the entry: what end guards is changed only while end is 0. When all
 * are taken the oldest makes room, and is looked up again when it is next met. Returns the index.
 */
static __always_inline u32 module_put(struct fdt_space *space, const struct fdt_mapping *m,
				      const struct fdt_elf *elf, u64 bias)
{
	u32 at = __sync_fetch_and_add(&space->count, 1) % FDT_MODULES_MAX;
	struct fdt_module *module = &space->module[at];

	module->end = 0;
	barrier();
	module->start = m->start;
	module->bias = bias;
	module->elf = elf->id;
	module->page0 = elf->page0;
	module->pages = elf->pages;
	module->first_vaddr = elf->first_vaddr;
	barrier();
	module->end = m->end;
	return at;
}

/* The module of an address that no known one holds. FDT_MODULES_MAX: none; s->stack.native_end says why. */
static __always_inline u32 module_learn(struct fdt_scratch *s, struct fdt_space *space, u64 pc)
{
	struct fdt_mapping *m = &s->mapping;
	struct fdt_elf *elf;
	u64 bias = 0;

	*m = (struct fdt_mapping){};
	s->stack.native_end = FDT_END_NO_MODULE;
	if (bpf_find_vma(CURRENT, pc, on_mapping, &m, 0) || !m->is_file)
		return FDT_MODULES_MAX;
	s->stack.native_end = FDT_END_NO_TABLE;
	elf = bpf_map_lookup_elem(&fdt_elfs, &m->key);
	if (!elf) {
		want_elf(m, space->serial);
		return FDT_MODULES_MAX;
	}
	if (!mapping_bias(m, elf, &bias))
		return FDT_MODULES_MAX;
	if (elf->interpreter)
		interpreter_found(space, elf->interpreter, bias);
	return module_put(space, m, elf, bias);
}

static __always_inline bool module_holds(const struct fdt_module *module, u64 pc)
{
	return pc >= module->start && pc < module->end;
}

static __always_inline u32 module_search(struct fdt_scratch *s, struct fdt_space *space, u64 pc)
{
	for (u32 at = 0; at < FDT_MODULES_MAX; at++) {
		if (module_holds(&space->module[at], pc))
			return at;
		if (at >= space->count)
			break;
	}
	return module_learn(s, space, pc);
}

/* Mostly the one of the frame before, or where this place was found before. */
static __always_inline u32 module_find(struct fdt_scratch *s, struct fdt_space *space, u64 pc)
{
	u32 at = s->last_module;
	u8 *hint;

	if (at < FDT_MODULES_MAX && module_holds(&space->module[at], pc))
		return at;
	hint = &s->module_hint[pc / FDT_PAGE_SIZE % MODULE_HINTS];
	at = *hint;
	if (at < FDT_MODULES_MAX && module_holds(&space->module[at], pc))
		return at;
	at = module_search(s, space, pc);
	*hint = at;
	return at;
}

/* ---- the rule at an address ---- */

#define SEARCH_STEPS 10 /* 2^10 = FDT_SLAB_ROWS */

/* The last row at or before the offset. */
static __always_inline u32 row_find(const struct fdt_slab *slab, u32 first, u32 count, u32 offset)
{
	u32 low = first, high = first + count;

	for (u32 i = 0; i < SEARCH_STEPS; i++) {
		u32 middle = (low + high) / 2;

		if (middle == low)
			break;
		if (FDT_ROW_OFFSET(slab->row[middle % FDT_SLAB_ROWS]) <= offset)
			low = middle;
		else
			high = middle;
	}
	return slab->row[low % FDT_SLAB_ROWS];
}

static __always_inline u32 rule_search(const struct fdt_module *module, u64 offset)
{
	u64 index = offset / FDT_PAGE_SIZE;
	u32 key = module->page0 + (u32)index, *rule;
	struct fdt_text_page *page;
	struct fdt_slab *slab;

	if (index >= module->pages)
		return FDT_RULE(FDT_RULE_NONE, 0, 0);
	page = bpf_map_lookup_elem(&fdt_text_pages, &key);
	if (!page || !page->count)
		return FDT_RULE(FDT_RULE_NONE, 0, 0);
	key = page->slab;
	slab = bpf_map_lookup_elem(&fdt_slabs, &key);
	if (!slab)
		return FDT_RULE(FDT_RULE_NONE, 0, 0);
	key = FDT_ROW_RULE(row_find(slab, page->first, page->count, offset % FDT_PAGE_SIZE));
	rule = bpf_map_lookup_elem(&fdt_rules, &key);
	return rule ? *rule : FDT_RULE(FDT_RULE_NONE, 0, 0);
}

/* The files' ids spread what lies at the same place in each of them. */
static __always_inline u32 rule_at(struct fdt_scratch *s, const struct fdt_module *module,
				   u64 vaddr)
{
	u64 offset = vaddr - module->first_vaddr;
	u32 elf = module->elf, at = ((u32)offset ^ (u32)offset >> 10 ^ elf * 331) % RULES_KNOWN;
	struct fdt_known_rule *known = &s->known_rule[at];

	if (offset >> 32)
		return rule_search(module, offset);
	if (known->elf != elf || known->offset != (u32)offset) {
		known->rule = rule_search(module, offset);
		known->offset = offset;
		known->elf = elf;
	}
	return known->rule;
}

/* ---- steps ---- */

static __always_inline long stop_walk(struct fdt_scratch *s, u8 why)
{
	s->stack.native_end = why;
	return 1;
}

/* Code made at run time has no CFI, but mostly a frame pointer; believed if it moves up a little. */
static __always_inline long step_by_pointer(struct fdt_scratch *s, struct fdt_frame *frame, u8 why)
{
	u64 bp = s->bp, saved = 0, pc = 0;

	if (bp < s->sp || bp - s->sp > FP_STEP_MAX || bp % WORD || !s->is_return)
		return stop_walk(s, why);
	if (!stack_word(s, bp, &saved) || !stack_word(s, bp + WORD, &pc) || pc < FDT_PAGE_SIZE)
		return stop_walk(s, why);
	frame->flags |= FDT_FRAME_GUESSED;
	s->sp = bp + 2 * WORD;
	s->bp = saved;
	s->pc = pc;
	return 0;
}

static __always_inline long step_out_of_signal(struct fdt_scratch *s)
{
	u64 sp = s->sp;

	if (!stack_word(s, sp + SIGNAL_PC, &s->pc) || !stack_word(s, sp + SIGNAL_BP, &s->bp) ||
	    !stack_word(s, sp + SIGNAL_SP, &s->sp))
		return stop_walk(s, FDT_END_UNREADABLE);
	s->is_return = 0;
	return 0;
}

static __always_inline long step_by_cfa(struct fdt_scratch *s, u64 cfa, u32 saved_bp)
{
	u64 pc = 0;

	if (cfa <= s->sp)
		return stop_walk(s, FDT_END_BAD_STACK);
	if (saved_bp && !stack_word(s, cfa - saved_bp * WORD, &s->bp))
		return stop_walk(s, FDT_END_UNREADABLE);
	if (!stack_word(s, cfa - WORD, &pc))
		return stop_walk(s, FDT_END_UNREADABLE);
	if (!pc)
		return stop_walk(s, FDT_END_WHOLE);
	s->sp = cfa;
	s->pc = pc;
	s->is_return = 1;
	return 0;
}

static __always_inline long step_by_rule(struct fdt_scratch *s, struct fdt_frame *frame, u32 rule)
{
	u64 distance = (u64)FDT_RULE_CFA(rule) * WORD;

	switch (FDT_RULE_KIND(rule)) {
	case FDT_RULE_SP: return step_by_cfa(s, s->sp + distance, FDT_RULE_SAVED_BP(rule));
	case FDT_RULE_BP: return step_by_cfa(s, s->bp + distance, FDT_RULE_SAVED_BP(rule));
	case FDT_RULE_PLT: return step_by_cfa(s, s->sp + WORD + ((s->pc & 15) >= 11 ? WORD : 0), 0);
	case FDT_RULE_SIGNAL: return step_out_of_signal(s);
	case FDT_RULE_END: return stop_walk(s, FDT_END_WHOLE);
	case FDT_RULE_NONE: return step_by_pointer(s, frame, FDT_END_NO_RULE);
	default: return stop_walk(s, FDT_END_OTHER_RULE);
	}
}

struct fdt_unwind {
	struct fdt_scratch *scratch;
	struct fdt_space *space;
};

/* Addresses of files are hashed as such: the same in all processes that run them. */
static __always_inline void note_frame(struct fdt_scratch *s, struct fdt_frame *frame, u64 address,
				       u64 of)
{
	frame->address = address;
	frame->flags = s->is_return ? FDT_FRAME_RETURN : 0;
	frame->language = LANGUAGE_NATIVE;
	frame->instruction = 0;
	s->hash = mix_hash(s->hash, address ^ of << 48);
	s->stack.native_count++;
}

/*
 * In no file whose table is known. Where nothing can be executed there was no call: the step that
 * led there was a mistake, and it is no frame.
 */
static __always_inline long unwind_outside(struct fdt_scratch *s, struct fdt_space *space,
					   struct fdt_frame *frame)
{
	const struct fdt_mapping *m = &s->mapping;

	if (!m->is_code)
		return stop_walk(s, FDT_END_NO_MODULE);
	if (!m->is_file) {
		frame->elf = 0;
		note_frame(s, frame, s->pc, space->serial);
		return step_by_pointer(s, frame, FDT_END_NO_MODULE);
	}
	note_frame(s, frame, s->pc - m->start + m->offset_bytes, m->key.inode);
	frame->flags |= FDT_FRAME_OFFSET;
	frame->elf = m->key.dev;
	frame->instruction = m->key.inode;
	return 1;
}

static long unwind_step(__attribute__((unused)) u64 i, struct fdt_unwind *u)
{
	struct fdt_scratch *s = u->scratch;
	struct fdt_space *space = u->space;
	u32 n = s->stack.native_count, at;
	struct fdt_module *module;
	struct fdt_frame *frame;
	u64 pc = s->pc - !!s->is_return;

	if (n >= FDT_NATIVE_MAX)
		return stop_walk(s, FDT_END_DEPTH);
	frame = &s->frame[n];
	at = module_find(s, space, pc);
	if (at >= FDT_MODULES_MAX)
		return unwind_outside(s, space, frame);
	s->last_module = at;
	module = &space->module[at];
	frame->elf = module->elf;
	note_frame(s, frame, s->pc - module->bias, module->elf);
	if (!module->pages)
		return stop_walk(s, FDT_END_NO_TABLE);
	return step_by_rule(s, frame, rule_at(s, module, pc - module->bias));
}

/* Fills the native part of the stack in s. */
static __always_inline int unwind_stack(struct fdt_scratch *s, struct fdt_space *space)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(CURRENT);
	struct fdt_registers user = registers_of(regs);
	struct fdt_unwind u = { s, space };

	if (!s || !space)
		return 0;
	s->sp = user.sp;
	s->bp = user.bp;
	s->pc = user.pc;
	s->is_return = 0;
	s->last_module = 0;
	s->window.length = 0;
	bpf_loop(FDT_NATIVE_MAX + 1, unwind_step, &u, 0);
	return 0;
}

/* Text was unmapped: what is loaded there next is something else. */
static __always_inline void modules_unmapped(struct fdt_space *space, u64 start, u64 end)
{
	for (u32 i = 0; i < FDT_MODULES_MAX; i++) {
		struct fdt_module *module = &space->module[i];

		if (module->end && module->start < end && start < module->end)
			module->end = 0;
		if (i >= space->count)
			break;
	}
}

#else /* no native frames yet */

GLOBAL int want_mapped(__attribute__((unused)) u32 fd, __attribute__((unused)) u64 start,
		       __attribute__((unused)) u64 length, __attribute__((unused)) u64 offset_bytes)
{
	return 0;
}

static __always_inline int want_executable(__attribute__((unused)) struct linux_binprm *bprm)
{
	return 0;
}

static __always_inline int unwind_stack(struct fdt_scratch *s,
					__attribute__((unused)) struct fdt_space *space)
{
	s->stack.native_end = FDT_END_NOT_TAKEN;
	return 0;
}

static __always_inline void modules_unmapped(__attribute__((unused)) struct fdt_space *space,
					     __attribute__((unused)) u64 start,
					     __attribute__((unused)) u64 end)
{
}

#endif
#endif
