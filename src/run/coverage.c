// SPDX-License-Identifier: BSD-2-Clause
#include "run/coverage.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "run/outputs.h"
#include "run/session_private.h"
#include "source/live/cost.h"
#include "util/log.h"

#define REPORT_NS (60 * SEC_NS) /* between two lines about changes */
#define WORDS_NS (5 * SEC_NS)   /* how old the share in findings may be */

void coverage_begin(struct coverage_keeper *k, struct source *source, const char *hook_set,
		    uint64_t ppm)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	*k = (struct coverage_keeper){ .source = source,
				       .hook_set = hook_set,
				       .cpus = cpus > 0 ? (unsigned int)cpus : 1 };
	budget_init(&k->budget, ppm, clock_ns(CLOCK_MONOTONIC));
	/* the present state; the first step may turn them off */
	k->decision = (struct budget_decision){ .hooks = true, .share = 1 };
}

void coverage_set_budget(struct coverage_keeper *k, uint64_t ppm)
{
	if (k->budget.ppm == ppm)
		return;
	budget_set(&k->budget, ppm);
	k->asked_ns = k->worded_ns = 0;
}

static struct budget_decision coverage_decide(struct coverage_keeper *k, uint64_t now_ns,
					      bool suspects)
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

static void coverage_order_words(struct coverage_keeper *k, uint64_t now_ns,
				 struct coverage_orders *orders)
{
	if (now_ns - k->worded_ns < WORDS_NS)
		return;
	k->worded_ns = now_ns;
	orders->words = true;
}

/* A change that is over before it may be reported is not reported. */
static void coverage_order_report(struct coverage_keeper *k, uint64_t now_ns,
				  struct coverage_orders *orders)
{
	enum coverage now = k->decision.coverage;

	if (now == k->reported || (k->reported_ns && now_ns - k->reported_ns < REPORT_NS))
		return;
	orders->report = orders->words = true;
	orders->change = (struct coverage_change){ .from = coverage_name(k->reported),
						   .to = coverage_name(now),
						   .share = k->decision.share,
						   .overhead = k->decision.overhead };
	k->reported = now;
	k->reported_ns = now_ns;
}

struct coverage_orders coverage_step(struct coverage_keeper *k, bool suspects)
{
	uint64_t now_ns = clock_ns(CLOCK_MONOTONIC);
	struct coverage_orders orders = { 0 };
	bool hooks = k->decision.hooks;

	if (now_ns < k->asked_ns)
		return orders;
	k->decision = coverage_decide(k, now_ns, suspects);
	k->asked_ns = k->decision.next_ns;
	orders.turn = k->decision.hooks != hooks;
	orders.hooks = k->decision.hooks;
	orders.census = k->decision.census;
	coverage_order_words(k, now_ns, &orders);
	coverage_order_report(k, now_ns, &orders);
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

/* --- a session's budget --- */

bool coverage_is_off(const struct session *s)
{
	return s->keeps_budget && !s->coverage.decision.hooks;
}

/* Findings and summaries state it from now on, and so does a replay of the recording. */
static void coverage_put_words(struct session *s)
{
	struct hostinfo *host = &s->meta.host;
	char text[sizeof(host->coverage) + 16], words[sizeof(host->coverage)];

	coverage_words(&s->coverage, words, sizeof(words));
	if (!strcmp(words, host->coverage))
		return;
	memcpy(host->coverage, words, sizeof(words));
	snprintf(text, sizeof(text), "coverage=%s", words);
	meta_text(text, stream_record, s);
}

static void coverage_report(struct session *s, struct coverage_change *change)
{
	change->time_ns = s->now_ns;
	log_info(
		"coverage is %s (was %s): hooks on %.1f %% of the last minute, overhead %.2f %% of "
		"all CPUs",
		change->to, change->from, change->share * 100, change->overhead * 100);
	outputs_coverage(s->config->outputs, change);
}

/* --verify compares the tables before the hooks are switched off. */
static int coverage_turn_hooks(struct session *s, bool on)
{
	struct source *source = s->config->source;
	int err = on ? 0 : turn_verify_all(s);

	return err ? err : source->ops->hooks(source, on, stream_event, s, s->error);
}

/* Hooks that cannot be turned on again end the run: nothing would be traced from then on. */
int coverage_keep(struct session *s)
{
	struct coverage_orders orders;
	int err = 0;

	if (!s->keeps_budget || !s->engine)
		return 0;
	orders = coverage_step(&s->coverage, engine_suspects(s->engine));
	if (orders.turn)
		err = coverage_turn_hooks(s, orders.hooks);
	if (!err && orders.census)
		err = stream_snapshot(s, FDT_WHY_CENSUS);
	if (orders.words)
		coverage_put_words(s);
	if (orders.report)
		coverage_report(s, &orders.change);
	return err;
}
