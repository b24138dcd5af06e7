// SPDX-License-Identifier: BSD-2-Clause
#include "engine/rule.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct rule_info table[RULE_COUNT] = {
	[RULE_LEAK_GROWTH] = { "leak.growth", "leak", SEVERITY_WARNING, true,
			       "one site's open descriptors keep rising" },
	[RULE_LEAK_STALE] = { "leak.stale", "leak", SEVERITY_WARNING, true,
			      "a growing few stay open long after others from the same site were "
			      "closed" },
	[RULE_LEAK_ORPHAN] = { "leak.orphan", "leak", SEVERITY_WARNING, true,
			       "certainly dead: the peer has gone, or the file is deleted and "
			       "unused" },
	[RULE_LEAK_EXIT] = { "leak.exit", "leak", SEVERITY_INFO, true,
			     "descriptors still open at exit, grouped by opening site" },
	[RULE_LIMIT_EMFILE] = { "limit.emfile", "limit", SEVERITY_ERROR, true,
				"a call failed because the table was full; lists what fills it" },
	[RULE_EXEC_INHERIT] = { "exec.inherit", "exec", SEVERITY_INFO, true,
				"descriptors inherited across exec, which the new program never "
				"used" },
	[RULE_EXEC_HELD] = { "exec.held", "exec", SEVERITY_WARNING, true,
			     "a child still holds, unused, what its opener has closed" },
	[RULE_CLOSE_UNOWNED] = { "close.unowned", "close", SEVERITY_ERROR, true,
				 "a descriptor was closed by one thread while another still used "
				 "it" },
	[RULE_CLOSE_DOUBLE] = { "close.double", "close", SEVERITY_INFO, true,
				"a descriptor was closed twice, with no visible effect" },
	[RULE_CLOSE_SWEEP] = { "close.sweep", "close", SEVERITY_WARNING, true,
			       "a loop over descriptor numbers closed descriptors of others" },
	[RULE_CLOSE_STDIO] = { "close.stdio", "close", SEVERITY_WARNING, true,
			       "0, 1 or 2 was closed and a data file or socket opened there" },
	[RULE_CLOSE_LOCK] = { "close.lock", "close", SEVERITY_WARNING, true,
			      "closing another descriptor of the file released a record lock" },
	[RULE_USE_CLOSED] = { "use.closed", "use", SEVERITY_WARNING, true,
			      "a thread used a descriptor it had already closed" },
	[RULE_USE_STALE] = { "use.stale", "use", SEVERITY_WARNING, false,
			     "a thread kept using a number that was meanwhile reused" },
	[RULE_EPOLL_FOREIGN] = { "epoll.foreign", "epoll", SEVERITY_WARNING, true,
				 "a forked process changed an epoll that it shares with its "
				 "parent" },
	[RULE_EPOLL_STALE] = { "epoll.stale", "epoll", SEVERITY_WARNING, true,
			       "an epoll still watches a closed descriptor, because a copy is "
			       "open" },
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
