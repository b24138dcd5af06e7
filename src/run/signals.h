/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Signals, read from a descriptor. SIGHUP and SIGQUIT stay ignored if they were (nohup). SIGINT is
 * read even then: a shell ignores it for its background jobs, and `kill -INT` must work.
 */
#ifndef FDTRACE_RUN_SIGNALS_H
#define FDTRACE_RUN_SIGNALS_H

#include <signal.h>
#include <stdbool.h>

struct signals {
	int fd;                       /* polls readable when signals_read() has something */
	sigset_t inherited_mask;      /* as it was before signals_init() */
	void (*inherited_pipe)(int);  /* disposition of SIGPIPE */
	void (*inherited_child)(int); /* of SIGCHLD */
};

/*
 * Ignores SIGPIPE and blocks what is read from fd. With a command, signals that mean nothing to
 * fdtrace (SIGQUIT, SIGUSR1, SIGUSR2) are also read, to be passed on. 0 or -errno.
 */
int signals_init(struct signals *signals, bool with_command);
void signals_done(struct signals *signals);

/* In a forked child: everything as fdtrace itself found it. */
void signals_restore(const struct signals *signals);

/*
 * The next signal, or 0 if there is none. *ret_sent: a process sent it to us; false: it came from
 * the terminal, and the command, in the same process group, has it already.
 */
int signals_read(struct signals *signals, bool *ret_sent);

/* SIGINT, SIGTERM or SIGHUP. */
bool signals_ask_to_end(int signal);

/*
 * Forgets the signals that have arrived; from now on SIGINT and SIGTERM kill fdtrace even while it
 * waits for something (the kernel then removes all hooks).
 */
void signals_release(struct signals *signals);

#endif
