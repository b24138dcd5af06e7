/* SPDX-License-Identifier: BSD-2-Clause */
/* Thresholds: what --set, a configuration file and a recording's set.* keys give. */
#ifndef FDTRACE_CORE_SETTINGS_H
#define FDTRACE_CORE_SETTINGS_H

#include <stddef.h>
#include <stdint.h>

struct settings {
	uint64_t
		leak_window_ns; /* leak.window=10s: minima are compared between windows this long */
	uint64_t
		leak_min_count; /* leak.min_count=32: fewer open descriptors of a site are no leak */
	uint64_t leak_min_age_ns;      /* leak.min_age=30s: nor younger ones */
	uint64_t leak_exit_severity;   /* leak.exit=info: enum severity */
	uint64_t exec_unused_after_ns; /* exec.unused_after=5s */
	uint64_t orphan_after_ns;      /* orphan.after=60s: dead so long (leak.orphan) */
	uint64_t sweep_min;            /* sweep.min=32: tries in a row that make a sweep */
	uint64_t findings_burst;       /* findings.burst=20: told one by one, of a rule and image */
	uint64_t findings_every_ns;    /* findings.every=10s: then one so often; 0: all are told */
	uint64_t audit_interval_ns;    /* audit.interval=10s; 0: never */
	uint64_t memory_max_bytes;     /* memory.max=256M: the engine's tables */
	uint64_t ring_size_bytes;      /* ring.size=16M: power of two, multiple of a page */
	uint64_t drain_interval_ns;    /* drain.interval=20ms: the ring is read so often */
	uint64_t
		budget_ppm; /* budget=1% of the time of all CPUs, in millionths: the daemon, and -a */
	uint64_t stacks_budget_ppm;   /* stacks.budget=1% of one CPU, in millionths */
	uint64_t stacks_tables_bytes; /* stacks.tables=16M: unwind tables, in kernel memory */
	uint64_t stacks_memory_bytes; /* stacks.memory=32M: stacks in words */
	uint64_t evidence_max_bytes;  /* evidence.max=64M: what explain reads; 0: none is kept */
	uint64_t fault_drop_percent;  /* fault.drop=0: run/fault.h */
	uint64_t fault_delay_percent; /* fault.delay=0 */
};

/* One row for each key: drives parsing, range checks, --set help and the recording. */
enum setting_type {
	SETTING_TIME,
	SETTING_COUNT,
	SETTING_SIZE,
	SETTING_POWER /* a size, power of two */,
	SETTING_SEVERITY,
	SETTING_PERCENT, /* stored in millionths */
};
struct setting {
	const char *key; /* "leak.window" */
	enum setting_type type;
	size_t offset;               /* of the uint64_t in struct settings */
	uint64_t standard, min, max; /* in ns, units, bytes, enum severity, millionths */
	const char *help;            /* one line */
};
const struct setting *settings_table(size_t *ret_count);

void settings_default(struct settings *settings);

/*
 * "leak.min_age=30s". Times take ms, s, m, h, d (a bare number: seconds); sizes K, M, G (1024);
 * shares % (a bare number: percent) and ppm (millionths).
 * 0; -ENOENT no such key; -EINVAL value not understood; -ERANGE outside min..max or not a
 * power of two where one is needed. On error
 * *settings is untouched and *ret_setting (may be NULL) is the row if the key is known.
 */
int settings_parse(struct settings *settings, const char *assignment,
		   const struct setting **ret_setting);

/* A time alone, as above ("30s", "5m", "1"). 0; -EINVAL not understood; -ERANGE beyond 64 bits. */
int time_parse(const char *text, uint64_t *ret_ns);

/* The value as settings_parse reads it ("10s", "32", "16M", "info"). */
void setting_format(const struct setting *setting, uint64_t value, char *buffer, size_t size);

#endif
