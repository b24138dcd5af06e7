// SPDX-License-Identifier: BSD-2-Clause
#include "run/signals.h"

#include <errno.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

static bool signals_are_ignored(int signal)
{
	struct sigaction action;

	return sigaction(signal, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

static void signals_are_wanted(sigset_t *set, bool with_command)
{
	sigemptyset(set);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGTERM);
	if (!signals_are_ignored(SIGHUP))
		sigaddset(set, SIGHUP);
	if (!with_command)
		return;
	sigaddset(set, SIGUSR1);
	sigaddset(set, SIGUSR2);
	if (!signals_are_ignored(SIGQUIT))
		sigaddset(set, SIGQUIT);
}

int signals_init(struct signals *signals, bool with_command)
{
	sigset_t set;

	memset(signals, 0, sizeof(*signals));
	signals_are_wanted(&set, with_command);
	signals->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals->fd < 0)
		return -errno;
	sigprocmask(SIG_BLOCK, &set, &signals->inherited_mask);
	signals->inherited_pipe = signal(SIGPIPE, SIG_IGN);
	signals->inherited_child =
		signal(SIGCHLD, SIG_DFL); /* if ignored, the command's status would be lost */
	return 0;
}

void signals_done(struct signals *signals)
{
	if (signals->fd >= 0)
		close(signals->fd);
	signals->fd = -1;
}

void signals_restore(const struct signals *signals)
{
	signal(SIGPIPE, signals->inherited_pipe);
	signal(SIGCHLD, signals->inherited_child);
	sigprocmask(SIG_SETMASK, &signals->inherited_mask, NULL);
}

int signals_read(struct signals *signals, bool *ret_sent)
{
	struct signalfd_siginfo info;

	if (read(signals->fd, &info, sizeof(info)) != sizeof(info))
		return 0;
	*ret_sent =
		info.ssi_code <= 0; /* SI_USER, SI_QUEUE, SI_TKILL; the kernel's own are positive */
	return (int)info.ssi_signo;
}

bool signals_ask_to_end(int signal)
{
	return signal == SIGINT || signal == SIGTERM || signal == SIGHUP;
}

void signals_release(struct signals *signals)
{
	sigset_t set;
	bool sent;

	while (signals_read(signals, &sent))
		;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	signal(SIGINT, SIG_DFL);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}
