// SPDX-License-Identifier: BSD-2-Clause
#include "run/coverage.h"

#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "source/live/cost.h"
#include "source/source.h"

#define TELL_NS (60 * SEC_NS) /* between two lines about changes */
#define WORDS_NS (5 * SEC_NS) /* the share in findings is no older */

void coverage_begin(struct coverage_keeper *k, struct source *source, const char *hook_set,
		    uint64_t ppm)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	*k = (struct coverage_keeper){ .source = source,
				       .hook_set = hook_set,
				       .cpus = cpus > 0 ? (unsigned int)cpus : 1 };
	budget_init(&k->budget, ppm, clock_ns(CLOCK_MONOTONIC));
	/* as they are now; the first step may turn them off */
	k->decision = (struct budget_decision){ .hooks = true, .share = 1 };
}

void coverage_set_budget(struct coverage_keeper *k, uint64_t ppm)
{
	if (k->budget.ppm == ppm)
		return;
	budget_set(&k->budget, ppm);
	k->asked_ns = k->worded_ns = 0;
}

static struct budget_decision decide(struct coverage_keeper *k, uint64_t now_ns, bool suspects)
{
	struct bpf_cost cost;
	struct budget_sample sample = { .now_ns = now_ns,
					.own_cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID),
					.cpus = k->cpus,
					.suspects = suspects };

	k->source->ops->cost(k->source, now_ns, &cost);
	sample.run_ns = cost.run_ns;
	return budget_step(&k->budget, &sample);
}

static void order_words(struct coverage_keeper *k, uint64_t now_ns, struct coverage_orders *orders)
{
	if (now_ns - k->worded_ns < WORDS_NS)
		return;
	k->worded_ns = now_ns;
	orders->words = true;
}

/* A change that did not last until it may be told is not told. */
static void order_telling(struct coverage_keeper *k, uint64_t now_ns,
			  struct coverage_orders *orders)
{
	enum coverage now = k->decision.coverage;

	if (now == k->told || (k->reported_ns && now_ns - k->reported_ns < TELL_NS))
		return;
	orders->tell = orders->words = true;
	orders->change = (struct coverage_change){ .from = coverage_name(k->told),
						   .to = coverage_name(now),
						   .share = k->decision.share,
						   .overhead = k->decision.overhead };
	k->told = now;
	k->reported_ns = now_ns;
}

struct coverage_orders coverage_step(struct coverage_keeper *k, bool suspects)
{
	uint64_t now_ns = clock_ns(CLOCK_MONOTONIC);
	struct coverage_orders orders = { 0 };
	bool hooks = k->decision.hooks;

	if (now_ns < k->asked_ns)
		return orders;
	k->decision = decide(k, now_ns, suspects);
	k->asked_ns = k->decision.next_ns;
	orders.turn = k->decision.hooks != hooks;
	orders.hooks = k->decision.hooks;
	orders.census = k->decision.census;
	order_words(k, now_ns, &orders);
	order_telling(k, now_ns, &orders);
	return orders;
}

void coverage_words(const struct coverage_keeper *k, char *buffer, size_t size)
{
	double percent = k->decision.share * 100;

	if (k->decision.coverage == COVERAGE_FULL)
		snprintf(buffer, size, "%s", k->hook_set);
	else if (k->decision.coverage == COVERAGE_CENSUS)
		snprintf(buffer, size, "census");
	else
		snprintf(buffer, size, "%s %.*f %%", k->hook_set, percent < 9.95, percent);
}
