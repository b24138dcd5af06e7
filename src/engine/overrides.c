// SPDX-License-Identifier: BSD-2-Clause
#include "engine/overrides.h"

#define OVERRIDES_MOST (8 * sizeof(((struct overrides *)0)->given))

_Static_assert(sizeof(struct settings) / sizeof(uint64_t) <= OVERRIDES_MOST,
	       "overrides.given has a bit for each setting");

int overrides_parse_setting(struct overrides *overrides, const char *assignment,
			    const struct setting **ret_setting)
{
	const struct setting *setting = NULL;
	size_t count;
	int err = settings_parse(&overrides->values, assignment, &setting);

	if (!err)
		overrides->given |= UINT64_C(1) << (setting - settings_table(&count));
	if (ret_setting)
		*ret_setting = setting;
	return err;
}

int overrides_parse_rules(struct overrides *overrides, const char *list, const char **ret_bad,
			  size_t *ret_bad_length)
{
	int err = rule_set_parse(list, &overrides->rules, ret_bad, ret_bad_length);

	if (!err)
		overrides->has_rules = true;
	return err;
}

bool overrides_has(const struct overrides *overrides, size_t offset)
{
	size_t count;
	const struct setting *table = settings_table(&count);

	for (size_t i = 0; i < count; i++)
		if (table[i].offset == offset)
			return overrides->given & UINT64_C(1) << i;
	return false;
}

void overrides_apply(const struct overrides *overrides, struct settings *settings, rule_set *rules)
{
	settings_take(settings, &overrides->values, overrides->given);
	if (overrides->has_rules)
		*rules = overrides->rules;
}

void overrides_effective(const struct overrides *overrides, struct settings *ret_settings,
			 rule_set *ret_rules)
{
	settings_default(ret_settings);
	*ret_rules = rule_set_default();
	overrides_apply(overrides, ret_settings, ret_rules);
}
