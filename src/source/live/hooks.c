// SPDX-License-Identifier: BSD-2-Clause
#include "source/live/hooks.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fdtrace/event.h"
#include "fdtrace/loader.h"
#include "source/live/functions.h"
#include "source/live/libbpf_log.h"
#include "util/log.h"
#include "util/trouble.h"

/* The generated skeleton spells types as the programs do. */
typedef uint8_t u8;
typedef int32_t s32;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
#include "fdtrace.skel.h"

#define HOOKS_MAX 24
#define OTHERS_MAX 5 /* as many programs have another form */

struct hook {
	struct bpf_program *program;
	struct bpf_link *link;
	const char *function; /* NULL: the program itself says where */
	bool kprobe, at_return;
	bool turns; /* goes off and on */
	bool stays; /* it has no other form here */
	u64 missed; /* told so far */
};

struct hooks {
	struct fdtrace_bpf *skel;
	struct fdtrace_bpf *others[OTHERS_MAX]; /* of programs that took the place of others */
	unsigned int count, other_count;
	struct hook hook[HOOKS_MAX];
	enum hook_set set;
	struct functions functions;
	u64 missed_returns;
	bool off;
};

/* ---- choosing ---- */

static struct hook *add(struct hooks *h, struct bpf_program *program)
{
	struct hook *hook = &h->hook[h->count++];

	*hook = (struct hook){ .program = program };
	bpf_program__set_autoload(program, true);
	return hook;
}

static void add_turning(struct hooks *h, struct bpf_program *program)
{
	add(h, program)->turns = true;
}

/* A program at the exit of a function whose name depends on the kernel. */
static int add_exit(struct hooks *h, struct bpf_program *program, const char *function)
{
	add_turning(h, program);
	return bpf_program__set_attach_target(program, 0, function);
}

static void add_kprobe(struct hooks *h, struct bpf_program *program, const char *function,
		       bool at_return)
{
	struct hook *hook = add(h, program);

	hook->turns = true;
	hook->function = function;
	hook->kprobe = true;
	hook->at_return = at_return;
}

/* entered NULL: the return is enough. */
static int add_choice(struct hooks *h, const struct function_choice *choice,
		      struct bpf_program *by_exit, struct bpf_program *entered,
		      struct bpf_program *left)
{
	if (choice->hook == FUNCTION_EXIT)
		return add_exit(h, by_exit, choice->name);
	if (choice->hook == FUNCTION_NONE)
		return 0;
	if (entered)
		add_kprobe(h, entered, choice->name, false);
	add_kprobe(h, left, choice->name, true);
	return 0;
}

static int add_functions(struct hooks *h)
{
	const struct functions *f = &h->functions;
	struct fdtrace_bpf *skel = h->skel;
	int err;

	skel->rodata->by_functions = true;
	err = add_choice(h, &f->installed, skel->progs.fdt_fdinstall_x, skel->progs.fdt_fdinstall_e,
			 skel->progs.fdt_fdinstall_r);
	err = err
		      ?: add_choice(h, &f->replaced, skel->progs.fdt_do_dup2_x,
				    skel->progs.fdt_do_dup2_e, skel->progs.fdt_do_dup2_r);
	err = err
		      ?: add_choice(h, &f->emptied, skel->progs.fdt_pick_file_x,
				    skel->progs.fdt_pick_file_e, skel->progs.fdt_pick_file_r);
	err = err ?: add_choice(h, &f->uring_emptied, skel->progs.fdt_close_get_x, NULL, NULL);
	err = err
		      ?: add_choice(h, &f->failed_close, skel->progs.fdt_fclosefd_x,
				    skel->progs.fdt_fclosefd_e, skel->progs.fdt_fclosefd_r);
	err = err
		      ?: add_choice(h, &f->old_failed_close, skel->progs.fdt_close_fd_x,
				    skel->progs.fdt_close_fd_e, skel->progs.fdt_close_fd_r);
	err = err
		      ?: add_choice(h, &f->unshared, skel->progs.fdt_unshare_x, NULL,
				    skel->progs.fdt_unshare_r);
	return err
		       ?: add_choice(h, &f->range, skel->progs.fdt_close_rng_x, NULL,
				     skel->progs.fdt_close_rng_r);
}

/* Parameters of the tracepoint of that name, the context first; 0: there is no such tracepoint. */
static u32 tracepoint_params(const struct btf *btf, const char *name)
{
	const struct btf_type *type;
	char symbol[64];
	int id;

	snprintf(symbol, sizeof(symbol), "btf_trace_%s", name);
	id = btf__find_by_name_kind(btf, symbol, BTF_KIND_TYPEDEF);
	if (id < 0)
		return 0;
	type = btf__type_by_id(btf, btf__type_by_id(btf, (u32)id)->type); /* pointer to */
	return btf_vlen(btf__type_by_id(btf, type->type));                /* prototype */
}

static int add_tracepoints(struct hooks *h, const struct btf *btf)
{
	u32 uring = tracepoint_params(btf, "io_uring_complete");

	h->skel->rodata->uring_args = uring ? uring - 1 : 0;
	add_turning(h, h->skel->progs.fdt_sys_exit);
	if (uring >= 4)
		add(h, h->skel->progs.fdt_uring_done);
	return 0;
}

static int choose_set(struct hooks *h, enum hook_set wanted, const struct btf *btf,
		      struct trouble *trouble)
{
	char lacking[256];

	h->set = HOOKS_TRACEPOINT;
	if (wanted == HOOKS_TRACEPOINT ||
	    (wanted == HOOKS_AUTO && tracepoint_params(btf, "sys_exit")))
		return add_tracepoints(h, btf);
	h->set = HOOKS_FUNCTION;
	if (functions_choose(btf, &h->functions, lacking, sizeof(lacking)))
		return trouble_set(trouble, ENOTSUP, EXIT_CANNOT,
				   "use --hooks=tracepoint, or see: fdtrace doctor", lacking,
				   "this kernel has no function hooks");
	return add_functions(h);
}

int hooks_choose(struct fdtrace_bpf *skel, enum hook_set wanted, const struct btf *btf,
		 struct hooks **ret_hooks, struct trouble *trouble)
{
	struct hooks *h = calloc(1, sizeof(*h));
	struct bpf_program *program;
	int err;

	*ret_hooks = h;
	if (!h)
		return trouble_set(trouble, ENOMEM, EXIT_INTERNAL, NULL, NULL, "out of memory");
	h->skel = skel;
	bpf_object__for_each_program (program, skel->obj)
		bpf_program__set_autoload(program, false);
	skel->rodata->exit_tells_last = tracepoint_params(btf, "sched_process_exit") >= 3;
	/* Birth and death first, so that no process is half seen. */
	add(h, skel->progs.fdt_exit);
	add(h, skel->progs.fdt_newtask);
	add(h, skel->progs.fdt_exec);
	err = choose_set(h, wanted, btf, trouble);
	add(h, skel->progs.fdt_snapshot);
	return err;
}

/* ---- attaching ---- */

static int attach_one(struct hook *hook)
{
	if (hook->link)
		return 0;
	hook->link = hook->kprobe ? bpf_program__attach_kprobe(hook->program, hook->at_return,
							       hook->function)
				  : bpf_program__attach(hook->program);
	return hook->link ? 0 : -errno;
}

static void detach_one(struct hook *hook)
{
	bpf_link__destroy(hook->link);
	hook->link = NULL;
}

int hooks_attach(struct hooks *h)
{
	int err = 0;

	for (unsigned int i = 0; !err && i < h->count; i++)
		err = attach_one(&h->hook[i]);
	return err;
}

int hooks_turn(struct hooks *h, bool on)
{
	int err = 0;

	for (unsigned int i = 0; !err && i < h->count; i++) {
		if (!h->hook[i].turns)
			continue;
		if (on)
			err = attach_one(&h->hook[i]);
		else
			detach_one(&h->hook[i]);
	}
	if (err) /* all or none */
		hooks_turn(h, false);
	else
		h->off = !on;
	return err;
}

int hooks_iterator_fd(const struct hooks *h)
{
	for (unsigned int i = 0; i < h->count; i++)
		if (h->hook[i].program == h->skel->progs.fdt_snapshot)
			return bpf_link__fd(h->hook[i].link);
	return -1;
}

void hooks_free(struct hooks *h)
{
	if (!h)
		return;
	for (unsigned int i = 0; i < h->count; i++)
		detach_one(&h->hook[i]);
	for (unsigned int i = 0; i < h->other_count; i++)
		fdtrace_bpf__destroy(h->others[i]);
	free(h);
}

/* ---- other forms of programs that miss ---- */

static int share_maps(struct fdtrace_bpf *to, const struct fdtrace_bpf *from)
{
	struct bpf_map *map = NULL;
	int err = 0;

	bpf_object__for_each_map(map, to->obj)
	{
		const char *name = bpf_map__name(map);
		const struct bpf_map *other = bpf_object__find_map_by_name(from->obj, name);

		err = err ?: other ? bpf_map__reuse_fd(map, bpf_map__fd(other)) : -ENOENT;
	}
	return err;
}

/* Only these programs, on the maps of the first. NULL: not to be had. second may be NULL. */
static struct fdtrace_bpf *load_other(struct hooks *h, const char *first, const char *second)
{
	struct fdtrace_bpf *other = fdtrace_bpf__open();
	struct bpf_program *program;

	if (!other)
		return NULL;
	bpf_object__for_each_program (program, other->obj) {
		const char *name = bpf_program__name(program);

		bpf_program__set_autoload(program, strcmp(name, first) == 0 ||
							   (second && strcmp(name, second) == 0));
	}
	if (!share_maps(other, h->skel) && !fdtrace_bpf__load(other))
		return other;
	fdtrace_bpf__destroy(other);
	return NULL;
}

static struct hook hook_of(const struct fdtrace_bpf *other, const char *name, const char *function,
			   bool at_return)
{
	return (struct hook){ .program = bpf_object__find_program_by_name(other->obj, name),
			      .function = function,
			      .kprobe = function != NULL,
			      .at_return = at_return,
			      .turns = true };
}

struct other_form {
	const char *first, *second, *function; /* programs; NULL function: a tracepoint */
};

/* first NULL: there is none. */
static struct other_form other_form_of(const struct hooks *h, const struct hook *hook)
{
	const struct fdtrace_bpf *skel = h->skel;

	if (hook->program == skel->progs.fdt_sys_exit)
		return (struct other_form){ "sys_exit_classic", NULL, NULL };
	if (hook->program == skel->progs.fdt_fdinstall_x)
		return (struct other_form){ "install_entered", "install_left",
					    h->functions.installed.name };
	if (hook->program == skel->progs.fdt_do_dup2_x)
		return (struct other_form){ "replace_entered", "replace_left",
					    h->functions.replaced.name };
	if (hook->program == skel->progs.fdt_pick_file_x)
		return (struct other_form){ "empty_entered", "empty_left",
					    h->functions.emptied.name };
	if (hook->program == skel->progs.fdt_fclosefd_x)
		return (struct other_form){ "close_entered", "close_left",
					    h->functions.failed_close.name };
	if (hook->program == skel->progs.fdt_close_fd_x)
		return (struct other_form){ "old_close_entered", "old_close_left",
					    h->functions.old_failed_close.name };
	return (struct other_form){ 0 };
}

/*
 * Programs on BTF tracepoints (Linux 7.x) and at exits of functions are skipped while another
 * thread has been preempted inside them; classic tracepoints and kprobes run with preemption
 * off. Both are in force for a moment: asserting a slot twice does no harm.
 */
static void change_form(struct hooks *h, struct hook *hook)
{
	const char *name = bpf_program__name(hook->program);
	struct other_form form = other_form_of(h, hook);
	struct hook first, second = { 0 };
	struct fdtrace_bpf *other;
	int err;

	if (hook->stays || !form.first || h->other_count == OTHERS_MAX || h->count == HOOKS_MAX)
		return;
	hook->stays = true;
	libbpf_log_begin();
	other = load_other(h, form.first, form.second);
	if (!other) {
		log_warn("this kernel skips events of preempted threads in %s, and the form that "
			 "would see them is not to be had (%s)",
			 name, libbpf_log_end());
		return;
	}
	h->others[h->other_count++] = other;
	first = hook_of(other, form.first, form.function, false);
	if (form.second)
		second = hook_of(other, form.second, form.function, true);
	err = h->off ? 0 : attach_one(&first);
	err = err || h->off || !form.second ? err : attach_one(&second);
	if (err) {
		detach_one(&first);
		log_warn("this kernel skips events of preempted threads in %s, and %s is not to be "
			 "had instead (%s); mount tracefs on /sys/kernel/tracing",
			 name, form.first, strerror(-err));
		return;
	}
	detach_one(hook);
	*hook = first;
	if (form.second)
		h->hook[h->count++] = second;
	log_info("this kernel skips events of preempted threads in %s: using %s from now on", name,
		 form.first);
}

static u64 misses_of(const struct bpf_program *program)
{
	struct bpf_prog_info info;
	u32 size = sizeof(info);

	memset(&info, 0, sizeof(info));
	if (bpf_program__fd(program) < 0 ||
	    bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &size))
		return 0;
	return info.recursion_misses;
}

static int tell_returns(struct hooks *h,
			int (*tell)(void *ctx, enum fdt_loss_cause cause, uint64_t count,
				    const char *program),
			void *ctx)
{
	u64 missed = __atomic_load_n(&h->skel->bss->missed_returns.value, __ATOMIC_RELAXED);
	u64 more = missed - h->missed_returns;

	h->missed_returns = missed;
	return more ? tell(ctx, FDT_LOSS_KRETPROBE, more, "return") : 0;
}

int hooks_misses(struct hooks *h,
		 int (*tell)(void *ctx, enum fdt_loss_cause cause, uint64_t count,
			     const char *program),
		 void *ctx)
{
	unsigned int count = h->count; /* what is added now has missed nothing */
	int err = tell_returns(h, tell, ctx);

	for (unsigned int i = 0; i < count; i++) {
		struct hook *hook = &h->hook[i];
		u64 missed = misses_of(hook->program), more = missed - hook->missed;

		hook->missed = missed;
		if (!more || err)
			continue;
		err = tell(ctx, FDT_LOSS_RECURSION, more, bpf_program__name(hook->program));
		change_form(h, hook);
	}
	return err;
}

/* ---- in words ---- */

enum hook_set hooks_set(const struct hooks *h)
{
	return h->set;
}

const char *hooks_name(const struct hooks *h)
{
	return h->set == HOOKS_FUNCTION ? "function" : "tracepoint";
}

bool hooks_see_failed_closes(const struct hooks *h)
{
	return h->set != HOOKS_FUNCTION || h->functions.failed_close.hook ||
	       h->functions.old_failed_close.hook;
}

const char *hooks_blind(const struct hooks *h)
{
	if (h->set != HOOKS_FUNCTION)
		return "";
	return hooks_see_failed_closes(h)
		       ? "failures of calls other than close, and uses, marks and locks"
		       : "failures of calls, and uses, marks and locks";
}
