// SPDX-License-Identifier: BSD-2-Clause
#include "run/fault.h"

#include <errno.h>
#include <stdlib.h>

#include "fdtrace/event.h"

#define HELD_MAX 64

struct fault {
	unsigned int drop, delay;
	unsigned int seed; /* the same faults in every run */
	unsigned int held_count;
	struct fdt_slot held[HELD_MAX];
};

int fault_new(unsigned int drop, unsigned int delay, struct fault **ret_fault)
{
	struct fault *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->drop = drop;
	f->delay = delay;
	f->seed = 1;
	*ret_fault = f;
	return 0;
}

void fault_free(struct fault *f)
{
	free(f);
}

static int release_held(struct fault *f, unsigned int index, source_event_fn fn, void *ctx)
{
	struct fdt_slot event = f->held[index];

	f->held[index] = f->held[--f->held_count];
	return fn(ctx, &event, sizeof(event));
}

/* Nothing is held back beyond the next tick. */
static int release_all(struct fault *f, source_event_fn fn, void *ctx)
{
	int err = 0;

	while (f->held_count && !err)
		err = release_held(f, f->held_count - 1, fn, ctx);
	return err;
}

static int pass_slot(struct fault *f, const struct fdt_slot *event, source_event_fn fn, void *ctx)
{
	unsigned int dice = (unsigned int)rand_r(&f->seed) % 100;
	int err;

	if (dice < f->drop)
		return 0;
	if (dice < f->drop + f->delay && f->held_count < HELD_MAX) {
		f->held[f->held_count++] = *event;
		return 0;
	}
	err = fn(ctx, event, sizeof(*event));
	if (!err && f->held_count && dice % 4 == 0)
		err = release_held(f, (unsigned int)rand_r(&f->seed) % f->held_count, fn, ctx);
	return err;
}

int fault_pass(struct fault *f, const void *event, size_t size, source_event_fn fn, void *ctx)
{
	const struct fdt_head *head = event;
	int err = 0;

	if (head->kind == FDT_SLOT && size == sizeof(struct fdt_slot))
		return pass_slot(f, event, fn, ctx);
	if (head->kind == FDT_TICK)
		err = release_all(f, fn, ctx);
	return err ? err : fn(ctx, event, size);
}
