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
#include "util/error.h"

#include "source/skeleton.h"
#include "fdtrace.skel.h"

#define HOOKS_MAX 24
#define OTHERS_MAX 5 /* as many programs have another form */

struct hook {
	struct bpf_program *program;
	struct bpf_link *link;
	const char *function; /* NULL: the program itself says where */
	bool kprobe, at_return;
	bool detachable;  /* goes off and on */
	bool no_fallback; /* it has no other form here */
	u64 missed;       /* reported so far */
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

static struct hook *hooks_add(struct hooks *h, struct bpf_program *program)
{
	struct hook *hook = &h->hook[h->count++];

	*hook = (struct hook){ .program = program };
	bpf_program__set_autoload(program, true);
	return hook;
}

static void hooks_add_detachable(struct hooks *h, struct bpf_program *program)
{
	hooks_add(h, program)->detachable = true;
}

/* A program at the exit of a function whose name depends on the kernel. */
static int hooks_add_exit(struct hooks *h, struct bpf_program *program, const char *function)
{
	hooks_add_detachable(h, program);
	return bpf_program__set_attach_target(program, 0, function);
}

static void hooks_add_kprobe(struct hooks *h, struct bpf_program *program, const char *function,
			     bool at_return)
{
	struct hook *hook = hooks_add(h, program);

	hook->detachable = true;
	hook->function = function;
	hook->kprobe = true;
	hook->at_return = at_return;
}

/* By which programs a function can be hooked. */
struct function_programs {
	const struct function_choice *choice;
	struct bpf_program *by_exit;
	struct bpf_program *entered; /* NULL: the return is enough */
	struct bpf_program *left;    /* NULL: only its exit can be hooked */
};

#define FUNCTION_ROWS 8

static void hooks_list_functions(const struct hooks *h,
				 struct function_programs rows[FUNCTION_ROWS])
{
	const struct functions *f = &h->functions;
	struct fdtrace_bpf *s = h->skel;
	const struct function_programs all[FUNCTION_ROWS] = {
		{ &f->installed, s->progs.fdt_fdinstall_x, s->progs.fdt_fdinstall_e,
		  s->progs.fdt_fdinstall_r },
		{ &f->replaced, s->progs.fdt_do_dup2_x, s->progs.fdt_do_dup2_e,
		  s->progs.fdt_do_dup2_r },
		{ &f->emptied, s->progs.fdt_pick_file_x, s->progs.fdt_pick_file_e,
		  s->progs.fdt_pick_file_r },
		{ &f->uring_emptied, s->progs.fdt_close_get_x, NULL, NULL },
		{ &f->failed_close, s->progs.fdt_fclosefd_x, s->progs.fdt_fclosefd_e,
		  s->progs.fdt_fclosefd_r },
		{ &f->old_failed_close, s->progs.fdt_close_fd_x, s->progs.fdt_close_fd_e,
		  s->progs.fdt_close_fd_r },
		{ &f->unshared, s->progs.fdt_unshare_x, NULL, s->progs.fdt_unshare_r },
		{ &f->range, s->progs.fdt_close_rng_x, NULL, s->progs.fdt_close_rng_r },
	};

	memcpy(rows, all, sizeof(all));
}

static int hooks_add_function(struct hooks *h, const struct function_programs *row)
{
	const struct function_choice *choice = row->choice;

	if (choice->hook == FUNCTION_EXIT)
		return hooks_add_exit(h, row->by_exit, choice->name);
	if (choice->hook == FUNCTION_NONE)
		return 0;
	if (row->entered)
		hooks_add_kprobe(h, row->entered, choice->name, false);
	hooks_add_kprobe(h, row->left, choice->name, true);
	return 0;
}

static int hooks_add_functions(struct hooks *h)
{
	struct function_programs rows[FUNCTION_ROWS];
	int err = 0;

	h->skel->rodata->by_functions = true;
	hooks_list_functions(h, rows);
	for (unsigned int i = 0; !err && i < FUNCTION_ROWS; i++)
		err = hooks_add_function(h, &rows[i]);
	return err;
}

/* Parameters of the tracepoint of that name, the context first; 0: there is no such tracepoint. */
static u32 hooks_tracepoint_params(const struct btf *btf, const char *name)
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

static int hooks_add_tracepoints(struct hooks *h, const struct btf *btf)
{
	u32 uring = hooks_tracepoint_params(btf, "io_uring_complete");

	h->skel->rodata->uring_args = uring ? uring - 1 : 0;
	hooks_add_detachable(h, h->skel->progs.fdt_sys_exit);
	if (uring >= 4)
		hooks_add(h, h->skel->progs.fdt_uring_done);
	return 0;
}

static int hooks_choose_set(struct hooks *h, enum hook_set wanted, const struct btf *btf,
			    struct error *error)
{
	char lacking[256];

	h->set = HOOKS_TRACEPOINT;
	if (wanted == HOOKS_TRACEPOINT ||
	    (wanted == HOOKS_AUTO && hooks_tracepoint_params(btf, "sys_exit")))
		return hooks_add_tracepoints(h, btf);
	h->set = HOOKS_FUNCTION;
	if (functions_choose(btf, &h->functions, lacking, sizeof(lacking))) {
		error_set(error, ENOTSUP, EXIT_CANNOT, "this kernel has no function hooks");
		return error_explain(error, lacking,
				     "use --hooks=tracepoint, or see: fdtrace doctor");
	}
	return hooks_add_functions(h);
}

int hooks_choose(struct fdtrace_bpf *skel, enum hook_set wanted, const struct btf *btf,
		 struct hooks **ret_hooks, struct error *error)
{
	struct hooks *h = calloc(1, sizeof(*h));
	struct bpf_program *program;
	int err;

	*ret_hooks = h;
	if (!h)
		return error_no_memory(error);
	h->skel = skel;
	bpf_object__for_each_program (program, skel->obj)
		bpf_program__set_autoload(program, false);
	skel->rodata->exit_tells_last = hooks_tracepoint_params(btf, "sched_process_exit") >= 3;
	/* Birth and death first, so that no process is half seen. */
	hooks_add(h, skel->progs.fdt_exit);
	hooks_add(h, skel->progs.fdt_newtask);
	hooks_add(h, skel->progs.fdt_exec);
	err = hooks_choose_set(h, wanted, btf, error);
	hooks_add(h, skel->progs.fdt_snapshot);
	return err;
}

/* ---- attaching ---- */

static int hook_attach(struct hook *hook)
{
	if (hook->link)
		return 0;
	hook->link = hook->kprobe ? bpf_program__attach_kprobe(hook->program, hook->at_return,
							       hook->function)
				  : bpf_program__attach(hook->program);
	return hook->link ? 0 : -errno;
}

static void hook_detach(struct hook *hook)
{
	bpf_link__destroy(hook->link);
	hook->link = NULL;
}

int hooks_attach(struct hooks *h)
{
	int err = 0;

	for (unsigned int i = 0; !err && i < h->count; i++)
		err = hook_attach(&h->hook[i]);
	return err;
}

int hooks_turn(struct hooks *h, bool on)
{
	int err = 0;

	for (unsigned int i = 0; !err && i < h->count; i++) {
		if (!h->hook[i].detachable)
			continue;
		if (on)
			err = hook_attach(&h->hook[i]);
		else
			hook_detach(&h->hook[i]);
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
		hook_detach(&h->hook[i]);
	for (unsigned int i = 0; i < h->other_count; i++)
		fdtrace_bpf__destroy(h->others[i]);
	free(h);
}

/* ---- other forms of programs that miss ---- */

static int hooks_share_maps(struct fdtrace_bpf *to, const struct fdtrace_bpf *from)
{
	struct bpf_map *map = NULL;

	bpf_object__for_each_map(map, to->obj)
	{
		const char *name = bpf_map__name(map);
		const struct bpf_map *other = bpf_object__find_map_by_name(from->obj, name);
		int err = other ? bpf_map__reuse_fd(map, bpf_map__fd(other)) : -ENOENT;

		if (err)
			return err;
	}
	return 0;
}

/* Only these programs, on the maps of the first. NULL: they cannot be loaded. second may be NULL. */
static struct fdtrace_bpf *hooks_load_other(struct hooks *h, const char *first, const char *second)
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
	if (!hooks_share_maps(other, h->skel) && !fdtrace_bpf__load(other))
		return other;
	fdtrace_bpf__destroy(other);
	return NULL;
}

static struct hook hooks_make_other(const struct fdtrace_bpf *other, const char *name,
				    const char *function, bool at_return)
{
	return (struct hook){ .program = bpf_object__find_program_by_name(other->obj, name),
			      .function = function,
			      .kprobe = function != NULL,
			      .at_return = at_return,
			      .detachable = true };
}

struct other_form {
	const char *first, *second, *function; /* programs; NULL function: a tracepoint */
};

/* first NULL: there is none. */
static struct other_form hooks_other_form(const struct hooks *h, const struct hook *hook)
{
	struct function_programs rows[FUNCTION_ROWS];

	if (hook->program == h->skel->progs.fdt_sys_exit)
		return (struct other_form){ bpf_program__name(h->skel->progs.fdt_sys_exit_c), NULL,
					    NULL };
	hooks_list_functions(h, rows);
	for (unsigned int i = 0; i < FUNCTION_ROWS; i++)
		if (hook->program == rows[i].by_exit && rows[i].entered)
			return (struct other_form){ bpf_program__name(rows[i].entered),
						    bpf_program__name(rows[i].left),
						    rows[i].choice->name };
	return (struct other_form){ 0 };
}

/* Both or none; second may be NULL. */
static int hook_attach_pair(struct hook *first, struct hook *second)
{
	int err = hook_attach(first);

	if (!err && second)
		err = hook_attach(second);
	if (err)
		hook_detach(first);
	return err;
}

/*
 * Programs on BTF tracepoints (Linux 7.x) and at exits of functions are skipped while another
 * thread has been preempted inside them; classic tracepoints and kprobes run with preemption
 * off. Both are in force for a moment: asserting a slot twice does no harm.
 */
static void hook_change_form(struct hooks *h, struct hook *hook)
{
	const char *name = bpf_program__name(hook->program);
	struct other_form form = hooks_other_form(h, hook);
	struct hook first, second = { 0 };
	struct fdtrace_bpf *other;
	int err;

	if (hook->no_fallback || !form.first || h->other_count == OTHERS_MAX ||
	    h->count == HOOKS_MAX)
		return;
	hook->no_fallback = true;
	libbpf_log_begin();
	other = hooks_load_other(h, form.first, form.second);
	if (!other) {
		log_warn("%s misses events of preempted threads, and the fallback program "
			 "could not be loaded (%s)",
			 name, libbpf_log_end());
		return;
	}
	h->others[h->other_count++] = other;
	first = hooks_make_other(other, form.first, form.function, false);
	if (form.second)
		second = hooks_make_other(other, form.second, form.function, true);
	err = h->off ? 0 : hook_attach_pair(&first, form.second ? &second : NULL);
	if (err) {
		log_warn("%s misses events of preempted threads, and %s could not be attached "
			 "instead (%s); mount tracefs on /sys/kernel/tracing",
			 name, form.first, strerror(-err));
		return;
	}
	hook_detach(hook);
	*hook = first;
	if (form.second)
		h->hook[h->count++] = second;
	log_info("%s misses events of preempted threads: using %s from now on", name, form.first);
}

static u64 hook_misses(const struct bpf_program *program)
{
	struct bpf_prog_info info;
	u32 size = sizeof(info);

	memset(&info, 0, sizeof(info));
	if (bpf_program__fd(program) < 0 ||
	    bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &size))
		return 0;
	return info.recursion_misses;
}

static int hooks_report_returns(struct hooks *h,
				int (*report)(void *ctx, enum fdt_loss_cause cause, uint64_t count,
					      const char *program),
				void *ctx)
{
	u64 missed = __atomic_load_n(&h->skel->bss->missed_returns.value, __ATOMIC_RELAXED);
	u64 more = missed - h->missed_returns;

	h->missed_returns = missed;
	return more ? report(ctx, FDT_LOSS_KRETPROBE, more, "return") : 0;
}

int hooks_misses(struct hooks *h,
		 int (*report)(void *ctx, enum fdt_loss_cause cause, uint64_t count,
			       const char *program),
		 void *ctx)
{
	unsigned int count = h->count; /* what is added now has missed nothing */
	int err = hooks_report_returns(h, report, ctx);

	for (unsigned int i = 0; i < count; i++) {
		struct hook *hook = &h->hook[i];
		u64 missed = hook_misses(hook->program), more = missed - hook->missed;

		hook->missed = missed;
		if (!more || err)
			continue;
		err = report(ctx, FDT_LOSS_RECURSION, more, bpf_program__name(hook->program));
		hook_change_form(h, hook);
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
