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

/* clang-format off */
static const struct setting table[] = {
	{ "leak.window", SETTING_TIME, offsetof(struct settings, leak_window_ns), 10 * SEC,
	  100 * MSEC, DAY, "minima are compared between windows this long" },
	{ "leak.min_count", SETTING_COUNT, offsetof(struct settings, leak_min_count), 32, 2, COUNT_MAX,
	  "fewer open descriptors of a site are no leak" },
	{ "leak.min_age", SETTING_TIME, offsetof(struct settings, leak_min_age_ns), 30 * SEC, 0,
	  30 * DAY, "nor are younger ones" },
	{ "leak.exit", SETTING_SEVERITY, offsetof(struct settings, leak_exit_severity), SEVERITY_INFO,
	  SEVERITY_INFO, SEVERITY_ERROR, "how grave it is to exit with descriptors open" },
	{ "exec.unused_after", SETTING_TIME, offsetof(struct settings, exec_unused_after_ns), 5 * SEC, 0,
	  DAY, "an inherited descriptor is unused after this time" },
	{ "orphan.after", SETTING_TIME, offsetof(struct settings, orphan_after_ns), 60 * SEC, 100 * MSEC,
	  30 * DAY, "dead descriptors are told after this time" },
	{ "sweep.min", SETTING_COUNT, offsetof(struct settings, sweep_min), 32, 4, COUNT_MAX,
	  "closes of numbers in a row that make a sweep" },
	{ "findings.burst", SETTING_COUNT, offsetof(struct settings, findings_burst), 20, 1, COUNT_MAX,
	  "findings of a rule in a process told one by one; then by number" },
	{ "findings.every", SETTING_TIME, offsetof(struct settings, findings_every_ns), 10 * SEC, 0, DAY,
	  "one more of them is told so often; 0: all are told" },
	{ "audit.interval", SETTING_TIME, offsetof(struct settings, audit_interval_ns), 10 * SEC, 0, DAY,
	  "compare with the kernel's tables so often; 0: never" },
	{ "memory.max", SETTING_SIZE, offsetof(struct settings, memory_max_bytes), 256 * MIB, MIB,
	  1024 * GIB, "bound of the engine's tables" },
	{ "ring.size", SETTING_POWER, offsetof(struct settings, ring_size_bytes), 16 * MIB, 64 * KIB,
	  GIB, "ring buffer between kernel and fdtrace; a power of two" },
	{ "drain.interval", SETTING_TIME, offsetof(struct settings, drain_interval_ns), 20 * MSEC, MSEC, SEC,
	  "it is read so often, and whenever an eighth of it has filled" },
	{ "budget", SETTING_PERCENT, offsetof(struct settings, budget_ppm), PERCENT, 0, 100 * PERCENT,
	  "overhead, of all CPUs; daemon, or -a if set: hooks go off to keep it" },
	{ "stacks.budget", SETTING_PERCENT, offsetof(struct settings, stacks_budget_ppm), PERCENT, 0,
	  100 * PERCENT, "time for walking stacks, of one CPU; 100%: no bound" },
	{ "stacks.tables", SETTING_SIZE, offsetof(struct settings, stacks_tables_bytes), 16 * MIB, MIB, GIB,
	  "kernel memory for unwind tables" },
	{ "stacks.memory", SETTING_SIZE, offsetof(struct settings, stacks_memory_bytes), 32 * MIB, MIB, GIB,
	  "bound of the stacks kept; the least used go first" },
	{ "evidence.max", SETTING_SIZE, offsetof(struct settings, evidence_max_bytes), 64 * MIB, 0, GIB,
	  "what root's runs keep on disk for explain; 0: nothing" },
	{ "fault.drop", SETTING_COUNT, offsetof(struct settings, fault_drop_percent), 0, 0, 100,
	  "for tests: percent of the assertions to drop" },
	{ "fault.delay", SETTING_COUNT, offsetof(struct settings, fault_delay_percent), 0, 0, 100,
	  "for tests: percent of them to bring late" },
};
/* clang-format on */

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

static uint64_t *field(struct settings *settings, const struct setting *setting)
{
	return (uint64_t *)((char *)settings + setting->offset);
}

void settings_default(struct settings *settings)
{
	for (size_t i = 0; i < TABLE_COUNT; i++)
		*field(settings, &table[i]) = table[i].standard;
}

static int parse_digits(const char **text, uint64_t *ret_number)
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

static int parse_units(const char *text, const struct unit *units, uint64_t *ret_value)
{
	uint64_t number;
	int err = parse_digits(&text, &number);

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

static int parse_value(const struct setting *setting, const char *text, uint64_t *ret_value)
{
	enum severity severity;
	int err;

	if (setting->type != SETTING_SEVERITY)
		return parse_units(text, units_of(setting->type), ret_value);
	err = severity_parse(text, &severity);
	if (!err)
		*ret_value = severity;
	return err;
}

static const struct setting *find(const char *key, size_t length)
{
	for (size_t i = 0; i < TABLE_COUNT; i++) {
		if (strlen(table[i].key) == length && memcmp(table[i].key, key, length) == 0)
			return &table[i];
	}
	return NULL;
}

static bool in_range(const struct setting *setting, uint64_t value)
{
	if (setting->type == SETTING_POWER && (value & (value - 1)))
		return false;
	return value >= setting->min && value <= setting->max;
}

int settings_parse(struct settings *settings, const char *assignment,
		   const struct setting **ret_setting)
{
	size_t key_length = strcspn(assignment, "=");
	const struct setting *setting = find(assignment, key_length);
	uint64_t value;
	int err;

	if (!setting)
		return -ENOENT;
	if (ret_setting)
		*ret_setting = setting;
	if (assignment[key_length] != '=')
		return -EINVAL;
	err = parse_value(setting, assignment + key_length + 1, &value);
	if (err)
		return err;
	if (!in_range(setting, value))
		return -ERANGE;
	*field(settings, setting) = value;
	return 0;
}

int time_parse(const char *text, uint64_t *ret_ns)
{
	return parse_units(text, time_units, ret_ns);
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
