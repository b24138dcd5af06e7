// SPDX-License-Identifier: BSD-2-Clause
#include "source/live/kinds.h"

#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/perf_event.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static void kind_samples_take(struct kind_samples *samples, int fd, enum fd_kind kind, int owned)
{
	if (fd < 0)
		return;
	if (samples->count < KIND_SAMPLES_MAX)
		samples->sample[samples->count++] = (struct kind_sample){ fd, kind, owned };
	else if (owned)
		close(fd);
}

void kind_samples_add(struct kind_samples *samples, int fd, enum fd_kind kind)
{
	kind_samples_take(samples, fd, kind, 0);
}

static int make_signalfd(void)
{
	sigset_t none;

	sigemptyset(&none);
	return signalfd(-1, &none, SFD_CLOEXEC);
}

static int make_perf_event(void)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_SOFTWARE,
					.size = sizeof(attr),
					.config = PERF_COUNT_SW_DUMMY,
					.disabled = 1,
					.exclude_kernel = 1 };

	return (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

/* Without CAP_SYS_ADMIN, which is dropped by now, a group must report file handles (Linux 5.13). */
static int make_fanotify(void)
{
	return fanotify_init(FAN_CLOEXEC | FAN_CLASS_NOTIF | FAN_REPORT_FID, O_RDONLY | O_CLOEXEC);
}

/* Its descriptor is close-on-exec without being asked. */
static int make_io_uring(void)
{
	struct io_uring_params params;

	memset(&params, 0, sizeof(params));
	return (int)syscall(SYS_io_uring_setup, 1, &params);
}

void kind_samples_init(struct kind_samples *samples)
{
	samples->count = 0;
	kind_samples_take(samples, eventfd(0, EFD_CLOEXEC), FD_KIND_EVENTFD, 1);
	kind_samples_take(samples, epoll_create1(EPOLL_CLOEXEC), FD_KIND_EPOLL, 1);
	kind_samples_take(samples, timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC), FD_KIND_TIMERFD,
			  1);
	kind_samples_take(samples, make_signalfd(), FD_KIND_SIGNALFD, 1);
	kind_samples_take(samples, inotify_init1(IN_CLOEXEC), FD_KIND_INOTIFY, 1);
	kind_samples_take(samples, make_fanotify(), FD_KIND_FANOTIFY, 1);
	kind_samples_take(samples, (int)syscall(SYS_pidfd_open, getpid(), 0), FD_KIND_PIDFD, 1);
	kind_samples_take(samples, make_perf_event(), FD_KIND_PERF, 1);
	kind_samples_take(samples, make_io_uring(), FD_KIND_IO_URING, 1);
	kind_samples_take(samples, (int)syscall(SYS_userfaultfd, O_CLOEXEC), FD_KIND_USERFAULTFD,
			  1);
}

void kind_samples_done(struct kind_samples *samples)
{
	for (unsigned int i = 0; i < samples->count; i++)
		if (samples->sample[i].owned)
			close(samples->sample[i].fd);
	samples->count = 0;
}
