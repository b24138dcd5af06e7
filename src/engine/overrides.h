/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the command line changes of the settings and rules that would be in force without it: the
 * standard ones, a recording's, or the service's. It is parsed once, into values, and can then be
 * applied to whatever is read later.
 */
#ifndef FDTRACE_ENGINE_OVERRIDES_H
#define FDTRACE_ENGINE_OVERRIDES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/rule.h"
#include "engine/settings.h"

/* All zero: nothing is changed. Holds no memory of its own and no text. */
struct overrides {
	struct settings values; /* those in `given`; the others are undefined */
	uint64_t given;         /* bit n: row n of settings_table() */
	rule_set rules;         /* if has_rules */
	bool has_rules;
};

/* One --set. The later of two values for a key counts. Errors as of settings_parse(). */
int overrides_parse_setting(struct overrides *overrides, const char *assignment,
			    const struct setting **ret_setting);

/* One --rules. The later of two lists counts. Errors as of rule_set_parse(). */
int overrides_parse_rules(struct overrides *overrides, const char *list, const char **ret_bad,
			  size_t *ret_bad_length);

/* Whether the value was set; the row's offset in struct settings names it. */
bool overrides_has(const struct overrides *overrides, size_t offset);

/* Changes what was set and leaves the rest. Cannot fail: all values were checked. */
void overrides_apply(const struct overrides *overrides, struct settings *settings, rule_set *rules);

/* The standard settings and rules with these changes. */
void overrides_effective(const struct overrides *overrides, struct settings *ret_settings,
			 rule_set *ret_rules);

#endif
