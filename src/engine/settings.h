/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Thresholds and sizes: what --set, a configuration file and a recording's set.* keys give. One
 * table holds all that is known of a setting; parsing, --set help, the configuration file,
 * reloading and the checks of the documentation follow from its columns.
 */
#ifndef FDTRACE_CORE_SETTINGS_H
#define FDTRACE_CORE_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* In the order of the table. The unit is in the name; shares are in millionths (ppm). */
struct settings {
	uint64_t leak_window_ns;
	uint64_t leak_min_count;
	uint64_t leak_min_age_ns;
	uint64_t leak_exit_severity; /* enum severity */
	uint64_t exec_unused_after_ns;
	uint64_t orphan_after_ns;
	uint64_t sweep_min;
	uint64_t findings_burst;
	uint64_t findings_every_ns; /* 0: no limit */
	uint64_t audit_interval_ns; /* 0: never */
	uint64_t memory_max_bytes;
	uint64_t ring_size_bytes; /* a power of two */
	uint64_t drain_interval_ns;
	uint64_t names_rate;        /* a second, on each processor; 0: none */
	uint64_t budget_ppm;        /* of the time of all CPUs */
	uint64_t stacks_budget_ppm; /* of the time of one CPU */
	uint64_t stacks_tables_bytes;
	uint64_t stacks_memory_bytes;
	uint64_t evidence_max_bytes; /* 0: none is stored */
	uint64_t fault_drop_percent;
	uint64_t fault_delay_percent;
};

enum setting_type {
	SETTING_TIME,     /* ns */
	SETTING_COUNT,    /* a plain number */
	SETTING_SIZE,     /* bytes */
	SETTING_POWER,    /* bytes, a power of two */
	SETTING_SEVERITY, /* enum severity */
	SETTING_PERCENT,  /* stored in millionths */
};

/* Which part of the program reads it. */
enum setting_scope {
	SCOPE_ENGINE, /* the engine: rules, tables, memory */
	SCOPE_SOURCE, /* the hooks and the ring buffer */
	SCOPE_STACKS, /* stack traces, in the kernel and in the engine */
	SCOPE_RUN,    /* the loop around them */
};

/* What the service does with a value that SIGHUP brings. */
enum setting_reload {
	RELOAD_LIVE,    /* it is applied at once */
	RELOAD_RESTART, /* it is applied by a restart only, and a message says so */
};

/* One row for each setting. */
struct setting {
	const char *key; /* "leak.window" */
	enum setting_type type;
	size_t offset;               /* of the uint64_t in struct settings */
	uint64_t standard, min, max; /* in the unit of the type */
	enum setting_scope scope;
	enum setting_reload reload;
	const char *needs; /* when it has an effect, in words; NULL: always */
	const char *help;  /* one line that can be read on its own */
};
const struct setting *settings_table(size_t *ret_count);

uint64_t setting_value(const struct setting *setting, const struct settings *settings);

void settings_default(struct settings *settings);

/* The row of that key, whose length is given; NULL: there is none. */
const struct setting *setting_find(const char *key, size_t length);

/*
 * Times take ms, s, m, h, d (a bare number: seconds); sizes K, M, G (1024); shares % (a bare number:
 * percent) and ppm (millionths). 0; -EINVAL: an invalid value; -ERANGE: outside min..max, or not a
 * power of two where one is needed. On error *settings is untouched.
 */
int setting_parse(struct settings *settings, const struct setting *setting, const char *text);

/*
 * The same for "leak.min_age=30s"; also -ENOENT: an unknown key. *ret_setting (may be NULL) is the
 * row if the key is known.
 */
int settings_parse(struct settings *settings, const char *assignment,
		   const struct setting **ret_setting);

/* Takes over from *values the rows whose bits (1 << index in the table) are in `rows`. */
void settings_take(struct settings *settings, const struct settings *values, uint64_t rows);

/* Takes over from *next what can change while fdtrace runs; the rest of *in_force stays. */
void settings_reload(struct settings *in_force, const struct settings *next);

/* Calls `row` for each setting in which the two differ and that a restart alone applies. */
void settings_each_restart(const struct settings *in_force, const struct settings *next,
			   void (*row)(void *ctx, const struct setting *setting), void *ctx);

/* A time alone, as above ("30s", "5m", "1"). 0; -EINVAL invalid; -ERANGE beyond 64 bits. */
int time_parse(const char *text, uint64_t *ret_ns);

/* A size alone, as above ("64K", "1G", "512"). The same errors. */
int size_parse(const char *text, uint64_t *ret_bytes);

/* The value as settings_parse reads it ("10s", "32", "16M", "info"). */
void setting_format(const struct setting *setting, uint64_t value, char *buffer, size_t size);

#endif
