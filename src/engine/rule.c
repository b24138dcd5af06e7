// SPDX-License-Identifier: BSD-2-Clause
#include "engine/rule.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct rule_info table[RULE_COUNT] = {
#define RULE_ROW(NAME, id, family, severity, on, says) \
	[RULE_##NAME] = { id, family, SEVERITY_##severity, on, says },
	RULES(RULE_ROW)
#undef RULE_ROW
};

const char *severity_name(enum severity severity)
{
	switch (severity) {
	case SEVERITY_WARNING: return "warning";
	case SEVERITY_ERROR: return "error";
	default: return "info";
	}
}

int severity_parse(const char *text, enum severity *ret_severity)
{
	static const struct {
		const char *name;
		enum severity severity;
	} names[] = {
		{ "info", SEVERITY_INFO },
		{ "warning", SEVERITY_WARNING },
		{ "warn", SEVERITY_WARNING }, /* its name until November 2026: old files hold it */
		{ "error", SEVERITY_ERROR },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(text, names[i].name) == 0) {
			*ret_severity = names[i].severity;
			return 0;
		}
	}
	return -EINVAL;
}

const struct rule_info *rule_info(enum rule rule)
{
	return &table[rule];
}

rule_set rule_set_default(void)
{
	rule_set set = 0;

	for (unsigned int r = 0; r < RULE_COUNT; r++)
		set |= (rule_set)table[r].on << r;
	return set;
}

static bool equal(const char *name, const char *word, size_t length)
{
	return strlen(name) == length && memcmp(name, word, length) == 0;
}

/* The rules a word names; 0: none. */
static rule_set named(const char *word, size_t length)
{
	bool all = equal("all", word, length);
	rule_set set = 0;

	for (unsigned int r = 0; r < RULE_COUNT; r++) {
		if (all || equal(table[r].id, word, length) ||
		    equal(table[r].category, word, length))
			set |= (rule_set)1 << r;
	}
	return set;
}

int rule_set_parse(const char *text, rule_set *ret_set, const char **ret_bad,
		   size_t *ret_bad_length)
{
	rule_set set = *text == '-' ? rule_set_default() : 0;
	const char *word = text;

	for (;;) {
		size_t length = strcspn(word, ",");
		size_t minus = *word == '-';
		rule_set found = named(word + minus, length - minus);

		if (!found) {
			*ret_bad = word + minus;
			*ret_bad_length = length - minus;
			return -EINVAL;
		}
		set = minus ? set & ~found : set | found;
		if (!word[length])
			break;
		word += length + 1;
	}
	*ret_set = set;
	return 0;
}

/* An empty set has no list of ids, but "-all" reads back as one. */
void rule_set_format(rule_set set, char *buffer, size_t size)
{
	size_t used = 0;

	if (!set) {
		snprintf(buffer, size, "-all");
		return;
	}
	if (size)
		buffer[0] = '\0';
	for (unsigned int r = 0; r < RULE_COUNT; r++) {
		if (!(set & (rule_set)1 << r) || used >= size)
			continue;
		used += (size_t)snprintf(buffer + used, size - used, "%s%s", used ? "," : "",
					 table[r].id);
	}
}
