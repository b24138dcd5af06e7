/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The command of run mode. Its process exists before the first BPF object is loaded and waits
 * for the signal to start. It never runs untraced: without that signal it exits.
 */
#ifndef FDTRACE_RUN_LAUNCH_H
#define FDTRACE_RUN_LAUNCH_H

#include <stdbool.h>
#include <sys/types.h>

struct launch;
struct signals;
struct error;

/*
 * Forks a child that waits. Signals and descriptors of the command will be as fdtrace found
 * them. argv is borrowed, NULL-terminated. 0 or -errno with *error filled (status 125).
 */
int launch_new(char **argv, const struct signals *signals, struct launch **ret_launch,
	       struct error *error);

pid_t launch_pid(const struct launch *launch);

/*
 * Lets the child execute the command and waits until it has. 0; else -errno with *error
 * filled: status 127 if the command does not exist, 126 where it cannot be executed.
 */
int launch_go(struct launch *launch, struct error *error);

/* A descriptor that polls readable once the command has ended. */
int launch_poll_fd(const struct launch *launch);
bool launch_ended(struct launch *launch);

/* Passes a signal on; does nothing if the command has ended. */
void launch_signal(const struct launch *launch, int signal);

/* Waits for the command, passing signals on. Returns its exit code, or 128 + the signal that killed it. */
int launch_wait(struct launch *launch, struct signals *signals);

/* A child that was not started yet exits without running anything. NULL is allowed. */
void launch_free(struct launch *launch);

#endif
