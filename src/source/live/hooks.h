/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which programs are loaded and where they are attached: the tracepoint set or the function set,
 * and in which form. Both report the same events. What each of them does not see: see hooks_blind().
 */
#ifndef FDTRACE_SOURCE_HOOKS_H
#define FDTRACE_SOURCE_HOOKS_H

#include <stdbool.h>
#include <stdint.h>

struct btf;
struct fdtrace_bpf;
struct hooks;
struct error;
enum fdt_loss_cause;

enum hook_set { HOOKS_AUTO, HOOKS_FUNCTION, HOOKS_TRACEPOINT };

/*
 * Before the skeleton is loaded: marks what is to be. HOOKS_AUTO: the tracepoint set, which sees
 * failures and uses, and where that is not possible the function set. -ENOTSUP with *error filled:
 * this kernel does not have the set that was asked for. The skeleton must outlive the hooks.
 */
int hooks_choose(struct fdtrace_bpf *skel, enum hook_set wanted, const struct btf *btf,
		 struct hooks **ret_hooks, struct error *error);
void hooks_free(struct hooks *hooks);

/* Attaches all; birth and death of tasks first. 0 or -errno. */
int hooks_attach(struct hooks *hooks);

/* Those on system calls or functions, off and on again; birth, exec and death stay. 0 or -errno. */
int hooks_turn(struct hooks *hooks, bool on);

/*
 * Reports what programs have missed since the last call, and puts another form in the place of a program
 * that misses. report returns 0 to go on; what it returned last is returned.
 */
int hooks_misses(struct hooks *hooks,
		 int (*report)(void *ctx, enum fdt_loss_cause cause, uint64_t count,
			       const char *program),
		 void *ctx);

/* Of the iterator that takes snapshots; valid while attached. */
int hooks_iterator_fd(const struct hooks *hooks);

/* What was chosen; never HOOKS_AUTO. */
enum hook_set hooks_set(const struct hooks *hooks);
/* "tracepoint" or "function". */
const char *hooks_name(const struct hooks *hooks);
/* Closes that fail are seen. */
bool hooks_see_failed_closes(const struct hooks *hooks);
/* What the set in force does not see, as the end of a sentence; "": nothing that the other sees. */
const char *hooks_blind(const struct hooks *hooks);

#endif
