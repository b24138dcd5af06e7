// SPDX-License-Identifier: BSD-2-Clause
#include "run/budget.h"

#include <string.h>

#include "base/clock.h"

#define PPM 1000000

#define STEP_NS (SEC_NS / 10)          /* until the next decision */
#define SAVED_NS (30 * SEC_NS)         /* how much income can be saved */
#define DEBT_NS (5 * SEC_NS)           /* the largest debt: all CPUs for this long */
#define COST_NS (3 * SEC_NS)           /* the cost with hooks on is averaged over this */
#define SHARE_NS (60 * SEC_NS)         /* the published figures are averages over this */
#define OFF_MIN_NS SEC_NS              /* each change costs a snapshot of all tables */
#define FULL_AFTER_NS (10 * SEC_NS)    /* full coverage: hooks on for this long, and ... */
#define FULL_BELOW 0.9                 /* ... cheaper than this part of the budget */
#define CENSUS_AFTER_NS (300 * SEC_NS) /* without a window for this long */
#define CENSUS_MIN_NS (2 * SEC_NS)
#define CENSUS_MAX_NS (60 * SEC_NS)
#define CENSUS_PART 0.25
#define CENSUS_PART_SUSPECTS 0.05

const char *coverage_name(enum coverage coverage)
{
	static const char *const names[] = {
		[COVERAGE_FULL] = "full", [COVERAGE_DUTY] = "duty", [COVERAGE_CENSUS] = "census"
	};

	return names[coverage];
}

static double savings_max(double income)
{
	return income * SAVED_NS;
}

void budget_init(struct budget *b, uint64_t ppm, uint64_t now_ns)
{
	memset(b, 0, sizeof(*b));
	b->ppm = ppm < PPM ? ppm : PPM;
	b->last_ns = b->since_ns = b->census_ns = now_ns;
	b->on = ppm > 0;
	b->coverage = b->on ? COVERAGE_FULL : COVERAGE_CENSUS;
	b->run_ns = b->own_ns = UINT64_MAX; /* not known yet */
}

void budget_set(struct budget *b, uint64_t ppm)
{
	b->ppm = ppm < PPM ? ppm : PPM;
	b->age_ns = 0;
	b->debt = 0;
	if (b->credit < 0)
		b->credit = 0;
}

/* A counter that went back was restarted: it is a new base, not a cost. */
static double budget_rise(uint64_t *last, uint64_t now)
{
	uint64_t before = *last;

	*last = now;
	return now > before ? (double)(now - before) : 0;
}

/* CPU time since the last sample, at most what all CPUs had. */
static double budget_spent(struct budget *b, const struct budget_sample *sample, double passed,
			   unsigned int cpus)
{
	double used = budget_rise(&b->run_ns, sample->run_ns) +
		      budget_rise(&b->own_ns, sample->own_cpu_ns);

	return used < passed * cpus ? used : passed * cpus;
}

/* The mean since the beginning; once that is `over` ago, a moving average. */
static void budget_smooth(double *mean, double now, double passed, double over)
{
	*mean += (now - *mean) * (passed < over ? passed / over : 1);
}

static void note_cost(struct budget *b, double rate, double passed)
{
	if (!b->cost_known)
		b->cost = rate;
	b->cost_known = true;
	budget_smooth(&b->cost, rate, passed, COST_NS);
}

static void note_census(struct budget *b, double used)
{
	if (!b->census_known)
		b->census_cost = used;
	b->census_known = true;
	b->census_cost += (used - b->census_cost) / 4;
	b->census_ordered = false;
}

/* Only windows make debts: what fdtrace costs without them cannot be avoided. */
static void budget_save(struct budget *b, double income, double passed, double used,
			unsigned int cpus)
{
	double most = savings_max(income), least = b->on ? -(double)DEBT_NS * cpus : b->debt;

	b->credit += income * passed - used;
	if (b->credit > most)
		b->credit = most;
	if (b->credit < least)
		b->credit = least;
}

static void budget_account(struct budget *b, const struct budget_sample *sample, double income,
			   unsigned int cpus)
{
	double passed = (double)(sample->now_ns - b->last_ns);
	bool first = b->own_ns == UINT64_MAX;
	double used = budget_spent(b, sample, passed, cpus);

	if (first) /* begin with savings, because starting is expensive */
		b->credit = savings_max(income);
	b->last_ns = sample->now_ns;
	if (passed <= 0 || first)
		return;
	b->age_ns += (uint64_t)passed;
	if (b->age_ns > SHARE_NS)
		b->age_ns = SHARE_NS;
	budget_smooth(&b->share, b->on, passed, (double)b->age_ns);
	budget_smooth(&b->overhead, used / passed / cpus, passed, (double)b->age_ns);
	if (b->on)
		note_cost(b, used / passed, passed);
	else if (b->census_ordered)
		note_census(b, used);
	budget_save(b, income, passed, used, cpus);
}

static void budget_turn(struct budget *b, bool on, uint64_t now_ns)
{
	b->on = on;
	b->since_ns = now_ns;
	b->census_ns = now_ns; /* the window has kept the tables true until now */
	b->census_ordered = false;
	b->debt = b->credit < 0 ? b->credit : 0;
	b->coverage = COVERAGE_DUTY;
}

static void while_on(struct budget *b, double income, uint64_t now_ns)
{
	uint64_t on_ns = now_ns - b->since_ns;

	if (b->ppm == PPM) {
		b->coverage = COVERAGE_FULL;
		return;
	}
	if (b->credit <= 0 && on_ns >= BUDGET_WINDOW_NS)
		budget_turn(b, false, now_ns);
	else if (on_ns >= FULL_AFTER_NS && b->cost < income * FULL_BELOW)
		b->coverage = COVERAGE_FULL;
}

/* Whether the account pays for the part of a window that its own income does not. */
static bool can_pay_window(const struct budget *b, double income)
{
	double price = (b->cost - income) * BUDGET_WINDOW_NS, most = savings_max(income);

	return b->credit > 0 && b->credit >= (price < most ? price : most);
}

static uint64_t census_period(const struct budget *b, double income, bool suspects)
{
	double part = suspects ? CENSUS_PART_SUSPECTS : CENSUS_PART, period;

	if (income <= 0)
		return CENSUS_MAX_NS;
	period = b->census_cost / (income * part);
	return period < CENSUS_MIN_NS   ? CENSUS_MIN_NS
	       : period > CENSUS_MAX_NS ? CENSUS_MAX_NS
					: (uint64_t)period;
}

/* Returns whether a census is due. */
static bool while_off(struct budget *b, double income, const struct budget_sample *sample)
{
	uint64_t now_ns = sample->now_ns, off_ns = now_ns - b->since_ns;

	if (b->ppm && off_ns >= OFF_MIN_NS && can_pay_window(b, income)) {
		budget_turn(b, true, now_ns);
		return false;
	}
	if (off_ns >= CENSUS_AFTER_NS)
		b->coverage = COVERAGE_CENSUS;
	if (now_ns - b->census_ns < census_period(b, income, sample->suspects))
		return false;
	b->census_ns = now_ns;
	b->census_ordered = true;
	return true;
}

struct budget_decision budget_step(struct budget *b, const struct budget_sample *given)
{
	struct budget_sample sample = *given;
	struct budget_decision decision = { 0 };
	unsigned int cpus = sample.cpus ?: 1;
	double income = (double)b->ppm / PPM * cpus;

	if (sample.now_ns < b->last_ns)
		sample.now_ns = b->last_ns;
	budget_account(b, &sample, income, cpus);
	if (b->on)
		while_on(b, income, sample.now_ns);
	else
		decision.census = while_off(b, income, &sample);
	decision.hooks = b->on;
	decision.next_ns = sample.now_ns + STEP_NS;
	decision.coverage = b->coverage;
	decision.share = b->share;
	decision.overhead = b->overhead;
	return decision;
}
