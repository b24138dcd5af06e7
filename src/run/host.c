// SPDX-License-Identifier: BSD-2-Clause
#include "run/host.h"

#include <errno.h>
#include <string.h>

#include "engine/engine.h"
#include "fdtrace/event.h"
#include "run/environ.h"
#include "run/naming.h"
#include "run/outputs.h"
#include "source/source.h"
#include "util/container.h"

static int host_name(void *ctx, uint32_t pid, int32_t fd, const struct fdt_file *file, char *buffer,
		     size_t size)
{
	struct host *host = ctx;
	_Alignas(8) char event[FDT_SIZE_MAX];
	int err = naming_lookup(host->naming, pid, fd, file, buffer, size);

	if (err)
		return err;
	outputs_record(host->outputs, event,
		       naming_event(event, pid, fd, file, *host->now_ns, buffer));
	return 0;
}

static int host_detail(void *ctx, uint32_t pid, int32_t fd, const struct fdt_file *file,
		       struct fdt_detail *ret_detail)
{
	struct host *host = ctx;
	int err = naming_inspect(host->naming, pid, fd, file, ret_detail);

	if (err)
		return err;
	ret_detail->head.time_ns = *host->now_ns;
	outputs_record(host->outputs, ret_detail, sizeof(*ret_detail));
	return 0;
}

static int host_environment(void *ctx, uint32_t pid, struct fdt_environ *ret_environment)
{
	struct host *host = ctx;
	int err = environ_read((pid_t)pid, ret_environment);

	if (err)
		return err;
	ret_environment->head.time_ns = *host->now_ns;
	outputs_record(host->outputs, ret_environment, sizeof(*ret_environment));
	return 0;
}

static void host_record_place(struct host *host, uint32_t pid, const struct container *c)
{
	_Alignas(8) char event[sizeof(struct fdt_cgroup) + FDT_CGROUP_MAX];
	struct fdt_cgroup *place = (struct fdt_cgroup *)event;
	size_t length = strlen(c->cgroup);

	*place = (struct fdt_cgroup){ .head = { .kind = FDT_CGROUP,
						.size = (uint16_t)(sizeof(*place) + length),
						.tgid = pid,
						.tid = pid,
						.time_ns = *host->now_ns },
				      .inner_pid = c->inner_pid };
	memcpy(place->cgroup, c->cgroup, length);
	outputs_record(host->outputs, event, place->head.size);
}

static int host_place(void *ctx, uint32_t pid, char *cgroup, size_t size, size_t *ret_length,
		      uint32_t *ret_inner_pid)
{
	struct container c;
	int err = container_of(pid, &c);

	if (err)
		return err;
	*ret_length = strnlen(c.cgroup, size);
	memcpy(cgroup, c.cgroup, *ret_length);
	*ret_inner_pid = c.inner_pid;
	host_record_place(ctx, pid, &c);
	return 0;
}

static void host_forget_stack(void *ctx, uint64_t hash)
{
	struct host *host = ctx;

	if (host->source->ops->forget_site)
		host->source->ops->forget_site(host->source, hash);
}

const struct engine_host *host_answers(void)
{
	static const struct engine_host answers = { .name = host_name,
						    .detail = host_detail,
						    .environment = host_environment,
						    .place = host_place,
						    .stack_forgotten = host_forget_stack };

	return &answers;
}

static int host_inspect(void *ctx, uint32_t pid, int32_t fd, struct fdt_detail *ret_detail)
{
	struct source *source = ctx;

	return source->ops->inspect ? source->ops->inspect(source, pid, fd, ret_detail) : -ENOTSUP;
}

int host_begin(struct host *host)
{
	return naming_new(host_inspect, host->source, &host->naming);
}

void host_done(struct host *host)
{
	naming_free(host->naming);
	host->naming = NULL;
}

void host_note(struct host *host, const struct fdt_head *event)
{
	if (!host->naming)
		return;
	if (event->kind == FDT_SLOT)
		naming_note(host->naming, (const struct fdt_slot *)event);
	else if (event->kind == FDT_VEC)
		naming_note_found(host->naming, (const struct fdt_vec *)event);
}

void host_look_up(struct host *host, unsigned int count, naming_known_fn known, naming_fn event,
		  void *ctx)
{
	if (host->naming)
		naming_resolve(host->naming, *host->now_ns, count, known, event, ctx);
}
