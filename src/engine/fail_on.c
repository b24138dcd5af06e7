// SPDX-License-Identifier: BSD-2-Clause
#include "engine/fail_on.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "engine/engine.h"

#define WORD_MAX 32 /* longer than the longest rule */

static bool is_minus_or_all(const char *word)
{
	return *word == '-' || strcmp(word, "all") == 0;
}

/* "close.*" is the family as "close" is. */
static void fail_on_drop_star(char *word)
{
	size_t length = strlen(word);

	if (length > 2 && !strcmp(word + length - 2, ".*") && !memchr(word, '.', length - 2))
		word[length - 2] = '\0';
}

static int fail_on_parse_word(struct fail_on *fail_on, char *word)
{
	enum severity severity;
	const char *bad;
	rule_set rules;
	size_t length;

	if (!strcmp(word, "new")) {
		fail_on->unknown = true;
		return 0;
	}
	if (!severity_parse(word, &severity)) {
		fail_on_severity(fail_on, severity);
		return 0;
	}
	fail_on_drop_star(word);
	if (is_minus_or_all(word) || rule_set_parse(word, &rules, &bad, &length))
		return -EINVAL;
	fail_on->rules |= rules;
	return 0;
}

int fail_on_parse(struct fail_on *fail_on, const char *text, const char **ret_bad,
		  size_t *ret_bad_length)
{
	struct fail_on parsed = *fail_on;

	for (;;) {
		size_t length = strcspn(text, ",");
		char word[WORD_MAX];

		snprintf(word, sizeof(word), "%.*s", (int)length, text);
		if (length >= sizeof(word) || fail_on_parse_word(&parsed, word)) {
			*ret_bad = text;
			*ret_bad_length = length;
			return -EINVAL;
		}
		if (!text[length])
			break;
		text += length + 1;
	}
	*fail_on = parsed;
	return 0;
}

void fail_on_severity(struct fail_on *fail_on, enum severity severity)
{
	if (!fail_on->severity || severity < fail_on->severity)
		fail_on->severity = severity;
}

bool fail_on_matches(const struct fail_on *fail_on, enum rule rule, enum severity severity)
{
	return fail_on->rules & (rule_set)1 << rule ||
	       (fail_on->severity && severity >= fail_on->severity);
}

uint64_t fail_on_count(const struct fail_on *fail_on, enum rule rule,
		       const struct engine_counters *counters)
{
	uint64_t count = 0;

	for (int severity = SEVERITY_INFO; severity <= SEVERITY_ERROR; severity++) {
		if (fail_on_matches(fail_on, rule, (enum severity)severity))
			count += counters->by_rule[rule].reported[severity];
	}
	return count;
}

uint64_t fail_on_total(const struct fail_on *fail_on, const struct engine_counters *counters)
{
	uint64_t total = 0;

	for (unsigned int r = 0; r < RULE_COUNT; r++)
		total += fail_on_count(fail_on, (enum rule)r, counters);
	return total;
}
