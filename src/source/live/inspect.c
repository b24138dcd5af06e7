// SPDX-License-Identifier: BSD-2-Clause
#include "source/live/inspect.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "fdtrace/loader.h"
#include "source/live/programs.h"

#include "source/skeleton.h"
#include "inspect.skel.h"

struct inspector {
	struct inspect_bpf *skel;
	struct bpf_link *link; /* an iterator over the task link_tgid, or over all if that is 0 */
	uint32_t link_tgid;
	bool all_tasks; /* before Linux 6.1 an iterator cannot be limited to a task */
};

/* By which CLOCK_MONOTONIC_COARSE advances. 0: not known. */
static u64 jiffy_ns(void)
{
	struct timespec step;

	if (clock_getres(CLOCK_MONOTONIC_COARSE, &step) < 0 || step.tv_sec)
		return 0;
	return (u64)step.tv_nsec;
}

static int inspector_load(struct inspector *i)
{
	int err;

	i->skel = inspect_bpf__open();
	if (!i->skel)
		return -errno;
	i->skel->rodata->jiffy_ns = jiffy_ns();
	err = inspect_bpf__load(i->skel);
	if (!err)
		programs_log(i->skel->obj);
	return err;
}

int inspector_new(struct inspector **ret_inspector)
{
	struct inspector *i = calloc(1, sizeof(*i));
	int err;

	if (!i)
		return -ENOMEM;
	err = inspector_load(i);
	if (err) {
		inspector_free(i);
		return err;
	}
	*ret_inspector = i;
	return 0;
}

void inspector_free(struct inspector *i)
{
	if (!i)
		return;
	bpf_link__destroy(i->link);
	inspect_bpf__destroy(i->skel);
	free(i);
}

static struct bpf_link *inspector_attach(struct inspector *i, uint32_t tgid)
{
	union bpf_iter_link_info info = { .task.tid = tgid };
	LIBBPF_OPTS(bpf_iter_attach_opts, opts, .link_info = &info, .link_info_len = sizeof(info));

	return bpf_program__attach_iter(i->skel->progs.fdt_inspect, tgid ? &opts : NULL);
}

/* Kept for the next question: most often about the same process. */
static int inspector_use_link(struct inspector *i, uint32_t tgid)
{
	uint32_t wanted = i->all_tasks ? 0 : tgid;

	if (i->link && i->link_tgid == wanted)
		return 0;
	bpf_link__destroy(i->link);
	i->link = inspector_attach(i, wanted);
	if (!i->link && wanted && errno != ESRCH) {
		i->all_tasks = true;
		wanted = 0;
		i->link = inspector_attach(i, wanted);
	}
	i->link_tgid = wanted;
	return i->link ? 0 : -errno;
}

static int inspector_read_answer(int fd, struct fdt_detail *ret_detail)
{
	struct fdt_detail answer;
	ssize_t n;

	do
		n = read(fd, &answer, sizeof(answer));
	while (n < 0 &&
	       (errno == EAGAIN || errno == EINTR)); /* many tasks, none of them asked for */
	if (n != sizeof(answer))
		return n < 0 ? -errno : -EBADF;
	*ret_detail = answer;
	return 0;
}

int inspector_ask(struct inspector *i, uint32_t tgid, int32_t number, struct fdt_detail *ret_detail)
{
	int err = inspector_use_link(i, tgid), fd;

	if (err)
		return err == -ESRCH ? -EBADF : err;
	i->skel->bss->query = (struct fdt_query){ .tgid = tgid, .fd = (uint32_t)number };
	fd = bpf_iter_create(bpf_link__fd(i->link));
	if (fd < 0)
		return fd;
	err = inspector_read_answer(fd, ret_detail);
	close(fd);
	return err;
}
