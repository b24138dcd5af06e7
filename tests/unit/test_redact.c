// SPDX-License-Identifier: BSD-2-Clause
/* Secrets on command lines: hidden whichever way they are given, and little else with them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "util/redact.h"
#include "util/error.h"

static struct redaction *with(enum command_line mode, const char *pattern)
{
	struct redaction *r = NULL;
	struct error error;

	assert_int_equal(redaction_new(mode, &pattern, pattern ? 1 : 0, &r, &error), 0);
	return r;
}

/* '|' stands for the end of an argument. */
static void shown(const struct redaction *r, const char *arguments, const char *expected)
{
	char *args = strdup(arguments), *text;
	size_t size = strlen(args) + 1;

	for (char *c = args; *c; c++)
		if (*c == '|')
			*c = '\0';
	text = redact_arguments(r, args, size);
	assert_non_null(text);
	assert_string_equal(text, expected);
	free(text);
	free(args);
}

static void secrets_are_hidden(void **state)
{
	static const char *const cases[][2] = {
		{ "app|--password|hunter2|-v", "app --password [redacted] -v" },
		{ "app|--password=hunter 2|-v", "app --password=[redacted] -v" },
		{ "app|--password|two words|-v", "app --password [redacted] -v" },
		{ "app|--API_KEY=k", "app --API_KEY=[redacted]" },
		{ "app|--api-key|k", "app --api-key [redacted]" },
		{ "app|--auth-token:x", "app --auth-token:[redacted]" },
		{ "env|PGPASSWORD=x|psql", "env PGPASSWORD=[redacted] psql" },
		{ "app|-Dclient.secret=x", "app -Dclient.secret=[redacted]" },
		{ "sh|-c|mysql --password=x -h db|y", "sh -c mysql --password=[redacted] y" },
		{ "sh|-c|tool --token x y|z", "sh -c tool --token [redacted] z" },
		{ "curl|-u|me:pass|http://h", "curl -u me:[redacted] http://h" },
		{ "curl|-H|Authorization: Bearer x", "curl -H Authorization:[redacted]" },
		{ "app|postgres://me:p@ss@db:5432/x?a=b",
		  "app postgres://me:[redacted]@db:5432/x?a=b" },
		{ "app|amqp://a:b@h,amqp://c:d@i",
		  "app amqp://a:[redacted]@h,amqp://c:[redacted]@i" },
		{ "app|--password", "app --password" },
	};
	struct redaction *r = with(COMMAND_LINE_FULL, NULL);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		shown(r, cases[i][0], cases[i][1]);
	redaction_free(r);
}

static void the_rest_is_shown(void **state)
{
	static const char *const same[] = {
		"python3 app.py --port=80",
		"nginx: worker process",
		"sort -u file",
		"curl http://host:80/a@b",
		"ls passwords.txt",
		"vi /etc/passwd",
		"git clone git@host:token.git",
		"postgres: user db 10.0.0.1(5432) idle",
	};
	struct redaction *r = with(COMMAND_LINE_FULL, NULL);

	(void)state;
	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		char *args = strdup(same[i]);

		shown(r, args, same[i]);
		for (char *c = args; *c; c++)
			*c = *c == ' ' ? '|' : *c;
		shown(r, args, same[i]);
		free(args);
	}
	shown(NULL, "app|--password=x", "app --password=x");
	redaction_free(r);
}

static void less_can_be_shown(void **state)
{
	struct redaction *r = with(COMMAND_LINE_ARGV0, NULL);

	(void)state;
	shown(r, "app|x|y", "app");
	redaction_free(r);
	r = with(COMMAND_LINE_OFF, NULL);
	shown(r, "app|x|y", "");
	redaction_free(r);
}

static void patterns_are_obeyed(void **state)
{
	static const char *const cases[][3] = {
		{ "-p([^ ]+)", "mysql|-px1|-py2", "mysql -p[redacted] -p[redacted]" },
		{ "[0-9]{4}-[0-9]{4}", "pay|1234-5678|1", "pay [redacted] 1" },
		{ "^app", "app|app", "[redacted] app" },
		{ "x*", "axb", "a[redacted]b" },
		{ "()", "abc", "abc" },
		{ "(a)|b", "b a", "[redacted] [redacted]" },
		{ "$", "abc", "abc" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct redaction *r = with(COMMAND_LINE_FULL, cases[i][0]);

		shown(r, cases[i][1], cases[i][2]);
		redaction_free(r);
	}
}

static void a_bad_pattern_is_named(void **state)
{
	const char *patterns[] = { "fine", "(" };
	struct redaction *r = NULL;
	struct error error;

	(void)state;
	assert_int_equal(redaction_new(COMMAND_LINE_FULL, patterns, 2, &r, &error), -EINVAL);
	assert_non_null(strstr(error.what, "\"(\""));
	assert_true(error.cause[0]);
	assert_null(r);
}

/* No end, no arguments at all, far too many, any bytes. */
static void hostile_arguments_do_no_harm(void **state)
{
	static char many[1 << 20];
	struct redaction *r = with(COMMAND_LINE_FULL, "(--[a-z]*)+=");
	char *text;

	(void)state;
	shown(r, "", "");
	for (size_t i = 0; i < sizeof(many); i++)
		many[i] = "--ab\0:/@=u\xff "[i * 7 % 12];
	text = redact_arguments(r, many, sizeof(many));
	assert_non_null(text);
	assert_true(strlen(text) <= REDACT_BYTES_MAX * (sizeof(REDACTED) + 1));
	free(text);
	memset(many, 0, sizeof(many));
	text = redact_arguments(r, many, sizeof(many));
	assert_string_equal(text, "");
	free(text);
	redaction_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(secrets_are_hidden),
		cmocka_unit_test(the_rest_is_shown),
		cmocka_unit_test(less_can_be_shown),
		cmocka_unit_test(patterns_are_obeyed),
		cmocka_unit_test(a_bad_pattern_is_named),
		cmocka_unit_test(hostile_arguments_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
