// SPDX-License-Identifier: BSD-2-Clause
#include "engine/settings.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include "engine/rule.h"

#define MSEC UINT64_C(1000000)
#define SEC (1000 * MSEC)
#define MINUTE (60 * SEC)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define KIB (UINT64_C(1) << 10)
#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

#define PERCENT UINT64_C(10000)

#define COUNT_MAX UINT64_C(1000000000)

#define AT(member) offsetof(struct settings, member)

/* clang-format off */
static const struct setting table[] = {
	{ "leak.window", SETTING_TIME, AT(leak_window_ns), 10 * SEC, 100 * MSEC, DAY,
	  SCOPE_ENGINE, RELOAD_LIVE, NULL,
	  "leak.growth compares the minima of windows of this length" },
	{ "leak.min_count", SETTING_COUNT, AT(leak_min_count), 32, 2, COUNT_MAX,
	  SCOPE_ENGINE, RELOAD_LIVE, NULL,
	  "do not report a site with fewer open descriptors" },
	{ "leak.min_age", SETTING_TIME, AT(leak_min_age_ns), 30 * SEC, 0, 30 * DAY,
	  SCOPE_ENGINE, RELOAD_LIVE, NULL,
	  "do not report a site whose oldest descriptor is younger" },
	{ "leak.exit", SETTING_SEVERITY, AT(leak_exit_severity), SEVERITY_INFO, SEVERITY_INFO, SEVERITY_ERROR,
	  SCOPE_ENGINE, RELOAD_LIVE, NULL,
	  "severity of leak.exit" },
	{ "exec.unused_after", SETTING_TIME, AT(exec_unused_after_ns), 5 * SEC, 0, DAY,
	  SCOPE_ENGINE, RELOAD_LIVE, NULL,
	  "an inherited descriptor counts as unused after this time" },
	{ "orphan.after", SETTING_TIME, AT(orphan_after_ns), 60 * SEC, 100 * MSEC, 30 * DAY,
	  SCOPE_ENGINE, RELOAD_LIVE, NULL,
	  "report dead descriptors after this time" },
	{ "sweep.min", SETTING_COUNT, AT(sweep_min), 32, 4, COUNT_MAX,
	  SCOPE_ENGINE, RELOAD_LIVE, NULL,
	  "closing this many consecutive numbers is a sweep" },
	{ "findings.burst", SETTING_COUNT, AT(findings_burst), 20, 1, COUNT_MAX,
	  SCOPE_ENGINE, RELOAD_LIVE, NULL,
	  "findings per rule and program reported before the rest is only counted" },
	{ "findings.every", SETTING_TIME, AT(findings_every_ns), 10 * SEC, 0, DAY,
	  SCOPE_ENGINE, RELOAD_LIVE, NULL,
	  "after that, report one finding per interval; 0: report all" },
	{ "audit.interval", SETTING_TIME, AT(audit_interval_ns), 10 * SEC, 0, DAY,
	  SCOPE_RUN, RELOAD_LIVE, NULL,
	  "how often to re-read the kernel's tables; 0: never" },
	{ "memory.max", SETTING_SIZE, AT(memory_max_bytes), 256 * MIB, MIB, 1024 * GIB,
	  SCOPE_ENGINE, RELOAD_RESTART, NULL,
	  "memory limit for fdtrace's tables" },
	{ "ring.size", SETTING_POWER, AT(ring_size_bytes), 16 * MIB, 64 * KIB, GIB,
	  SCOPE_SOURCE, RELOAD_RESTART, NULL,
	  "ring buffer between the kernel and fdtrace; a power of two" },
	{ "drain.interval", SETTING_TIME, AT(drain_interval_ns), 20 * MSEC, MSEC, SEC,
	  SCOPE_RUN, RELOAD_LIVE, NULL,
	  "how often the ring is read; also whenever it is 1/8 full" },
	{ "names.rate", SETTING_COUNT, AT(names_rate), 10000, 0, 1000000,
	  SCOPE_SOURCE, RELOAD_RESTART, NULL,
	  "paths taken as files are opened, a second and processor; 0: none" },
	{ "budget", SETTING_PERCENT, AT(budget_ppm), PERCENT, 0, 100 * PERCENT,
	  SCOPE_RUN, RELOAD_LIVE, "service, or -a if it is set",
	  "overhead limit, of all CPUs; hooks are switched off to keep to it" },
	{ "stacks.budget", SETTING_PERCENT, AT(stacks_budget_ppm), PERCENT, 0, 100 * PERCENT,
	  SCOPE_STACKS, RELOAD_RESTART, NULL,
	  "CPU time for walking stacks, of one CPU; 100%: no limit" },
	{ "stacks.tables", SETTING_SIZE, AT(stacks_tables_bytes), 16 * MIB, MIB, GIB,
	  SCOPE_STACKS, RELOAD_RESTART, NULL,
	  "kernel memory for unwind tables" },
	{ "stacks.memory", SETTING_SIZE, AT(stacks_memory_bytes), 32 * MIB, MIB, GIB,
	  SCOPE_STACKS, RELOAD_RESTART, NULL,
	  "memory for stack traces; the least used are dropped first" },
	{ "evidence.max", SETTING_SIZE, AT(evidence_max_bytes), 64 * MIB, 0, GIB,
	  SCOPE_RUN, RELOAD_LIVE, "runs as root; not the service",
	  "disk space for what explain reads; 0: store nothing" },
	{ "fault.drop", SETTING_COUNT, AT(fault_drop_percent), 0, 0, 100,
	  SCOPE_RUN, RELOAD_RESTART, NULL,
	  "for tests: percentage of events to drop" },
	{ "fault.delay", SETTING_COUNT, AT(fault_delay_percent), 0, 0, 100,
	  SCOPE_RUN, RELOAD_RESTART, NULL,
	  "for tests: percentage of events to delay" },
};
/* clang-format on */

#undef AT

#define TABLE_COUNT (sizeof(table) / sizeof(table[0]))

struct unit {
	const char *name;
	uint64_t factor;
};

/* Largest first: setting_format() takes the first that divides. */
static const struct unit time_units[] = { { "d", DAY }, { "h", HOUR }, { "m", MINUTE },
					  { "s", SEC }, { "", SEC },   { "ms", MSEC },
					  { NULL, 0 } };
static const struct unit size_units[] = {
	{ "G", GIB }, { "M", MIB }, { "K", KIB }, { "", 1 }, { NULL, 0 }
};
static const struct unit share_units[] = {
	{ "%", PERCENT }, { "", PERCENT }, { "ppm", 1 }, { NULL, 0 }
};
static const struct unit count_units[] = { { "", 1 }, { NULL, 0 } };

const struct setting *settings_table(size_t *ret_count)
{
	*ret_count = TABLE_COUNT;
	return table;
}

static uint64_t *setting_field(struct settings *settings, const struct setting *setting)
{
	return (uint64_t *)((char *)settings + setting->offset);
}

uint64_t setting_value(const struct setting *setting, const struct settings *settings)
{
	return *(const uint64_t *)((const char *)settings + setting->offset);
}

void settings_default(struct settings *settings)
{
	for (size_t i = 0; i < TABLE_COUNT; i++)
		*setting_field(settings, &table[i]) = table[i].standard;
}

static int digits_parse(const char **text, uint64_t *ret_number)
{
	const char *p = *text;
	uint64_t number = 0;

	if (*p < '0' || *p > '9')
		return -EINVAL;
	for (; *p >= '0' && *p <= '9'; p++) {
		if (__builtin_mul_overflow(number, 10, &number) ||
		    __builtin_add_overflow(number, (uint64_t)(*p - '0'), &number))
			return -ERANGE;
	}
	*text = p;
	*ret_number = number;
	return 0;
}

static int units_parse(const char *text, const struct unit *units, uint64_t *ret_value)
{
	uint64_t number;
	int err = digits_parse(&text, &number);

	if (err)
		return err;
	for (const struct unit *u = units; u->name; u++) {
		if (strcmp(text, u->name) != 0)
			continue;
		if (__builtin_mul_overflow(number, u->factor, &number))
			return -ERANGE;
		*ret_value = number;
		return 0;
	}
	return -EINVAL;
}

static const struct unit *units_of(enum setting_type type)
{
	switch (type) {
	case SETTING_TIME: return time_units;
	case SETTING_SIZE:
	case SETTING_POWER: return size_units;
	case SETTING_PERCENT: return share_units;
	default: return count_units;
	}
}

static int setting_parse_value(const struct setting *setting, const char *text, uint64_t *ret_value)
{
	enum severity severity;
	int err;

	if (setting->type != SETTING_SEVERITY)
		return units_parse(text, units_of(setting->type), ret_value);
	err = severity_parse(text, &severity);
	if (!err)
		*ret_value = severity;
	return err;
}

const struct setting *setting_find(const char *key, size_t length)
{
	for (size_t i = 0; i < TABLE_COUNT; i++) {
		if (strlen(table[i].key) == length && memcmp(table[i].key, key, length) == 0)
			return &table[i];
	}
	return NULL;
}

static bool setting_in_range(const struct setting *setting, uint64_t value)
{
	if (setting->type == SETTING_POWER && (value & (value - 1)))
		return false;
	return value >= setting->min && value <= setting->max;
}

int setting_parse(struct settings *settings, const struct setting *setting, const char *text)
{
	uint64_t value;
	int err = setting_parse_value(setting, text, &value);

	if (err)
		return err;
	if (!setting_in_range(setting, value))
		return -ERANGE;
	*setting_field(settings, setting) = value;
	return 0;
}

int settings_parse(struct settings *settings, const char *assignment,
		   const struct setting **ret_setting)
{
	size_t key_length = strcspn(assignment, "=");
	const struct setting *setting = setting_find(assignment, key_length);

	if (!setting)
		return -ENOENT;
	if (ret_setting)
		*ret_setting = setting;
	if (assignment[key_length] != '=')
		return -EINVAL;
	return setting_parse(settings, setting, assignment + key_length + 1);
}

void settings_take(struct settings *settings, const struct settings *values, uint64_t rows)
{
	for (size_t i = 0; i < TABLE_COUNT; i++)
		if (rows & UINT64_C(1) << i)
			*setting_field(settings, &table[i]) = setting_value(&table[i], values);
}

void settings_reload(struct settings *in_force, const struct settings *next)
{
	for (size_t i = 0; i < TABLE_COUNT; i++)
		if (table[i].reload == RELOAD_LIVE)
			*setting_field(in_force, &table[i]) = setting_value(&table[i], next);
}

void settings_each_restart(const struct settings *in_force, const struct settings *next,
			   void (*row)(void *ctx, const struct setting *setting), void *ctx)
{
	for (size_t i = 0; i < TABLE_COUNT; i++)
		if (table[i].reload == RELOAD_RESTART &&
		    setting_value(&table[i], in_force) != setting_value(&table[i], next))
			row(ctx, &table[i]);
}

int size_parse(const char *text, uint64_t *ret_bytes)
{
	return units_parse(text, size_units, ret_bytes);
}

int time_parse(const char *text, uint64_t *ret_ns)
{
	return units_parse(text, time_units, ret_ns);
}

void setting_format(const struct setting *setting, uint64_t value, char *buffer, size_t size)
{
	const struct unit *u = units_of(setting->type);

	if (setting->type == SETTING_SEVERITY) {
		snprintf(buffer, size, "%s", severity_name((enum severity)value));
		return;
	}
	if (value == 0) {
		snprintf(buffer, size, "0%s",
			 setting->type == SETTING_TIME      ? "s"
			 : setting->type == SETTING_PERCENT ? "%"
							    : "");
		return;
	}
	while (u[1].name && value % u->factor)
		u++;
	snprintf(buffer, size, "%" PRIu64 "%s", value / u->factor, u->name);
}
