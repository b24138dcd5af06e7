// SPDX-License-Identifier: BSD-2-Clause
#include "util/redact.h"

#include <ctype.h>
#include <errno.h>
#include <regex.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "util/escape.h"
#include "util/error.h"

struct redaction {
	enum command_line mode;
	unsigned int count;
	regex_t *patterns;
};

/* --- text that grows --- */

struct text {
	char *data;
	size_t length, capacity;
	bool failed;
};

static void text_put(struct text *t, const char *data, size_t length)
{
	if (t->length + length + 1 > t->capacity) {
		size_t capacity = 2 * (t->length + length) + 64;
		char *grown = t->failed ? NULL : realloc(t->data, capacity);

		t->failed |= !grown;
		if (!grown)
			return;
		t->data = grown;
		t->capacity = capacity;
	}
	memcpy(t->data + t->length, data, length);
	t->length += length;
	t->data[t->length] = '\0';
}

static void hide_secret(struct text *t)
{
	text_put(t, REDACTED, strlen(REDACTED));
}

static char *finish_text(struct text *t)
{
	text_put(t, "", 0);
	if (!t->failed)
		return t->data;
	free(t->data);
	return NULL;
}

/* --- what is always hidden, argument by argument --- */

static bool is_secret_name(const char *name, size_t length)
{
	static const char *const words[] = { "password",    "passwd",      "passphrase",
					     "secret",      "token",       "apikey",
					     "api-key",     "api_key",     "accesskey",
					     "access-key",  "access_key",  "privatekey",
					     "private-key", "private_key", "credential" };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		for (size_t at = 0; at + strlen(words[i]) <= length; at++)
			if (!strncasecmp(name + at, words[i], strlen(words[i])))
				return true;
	return false;
}

/* Characters of an option's or a variable's name; a longer text is not a name. */
static size_t name_length(const char *argument)
{
	size_t length = 0;

	while (isalnum((unsigned char)argument[length]) || strchr("-_.", argument[length])) {
		if (!argument[length])
			break;
		length++;
	}
	return length;
}

/* "scheme://user:password@host": where the password is. */
static bool find_password(const char *text, const char **ret_begin, const char **ret_end)
{
	const char *host = strstr(text, "://"), *at, *colon;
	size_t length;

	if (!host)
		return false;
	host += 3;
	length = strcspn(host, "/?# \t");
	at = memrchr(host, '@', length);
	colon = at ? memchr(host, ':', (size_t)(at - host)) : NULL;
	if (!colon)
		return false;
	*ret_begin = colon + 1;
	*ret_end = at;
	return true;
}

static void put_urls(struct text *t, const char *argument)
{
	const char *begin, *end, *scheme;

	while ((scheme = strstr(argument, "://"))) {
		if (find_password(scheme, &begin, &end)) {
			text_put(t, argument, (size_t)(begin - argument));
			hide_secret(t);
		} else {
			end = scheme + 3;
			text_put(t, argument, (size_t)(end - argument));
		}
		argument = end;
	}
	text_put(t, argument, strlen(argument));
}

static void put_up_to(struct text *t, const char *argument, const char *end)
{
	text_put(t, argument, (size_t)(end - argument));
	hide_secret(t);
}

enum next { NEXT_SHOWN, NEXT_SECRET, NEXT_LOGIN };

/* "-u user:password": the name may be shown. */
static void put_login(struct text *t, const char *argument)
{
	const char *colon = strchr(argument, ':');

	if (colon)
		put_up_to(t, argument, colon + 1);
	else
		text_put(t, argument, strlen(argument));
}

/* A word of an argument, mostly all of it. *ret_end: nothing more of the argument may be shown. */
static enum next put_argument_word(struct text *t, const char *word, bool *ret_end)
{
	size_t length = name_length(word);
	bool secret = is_secret_name(word, length);

	*ret_end = true;
	if (secret && (word[length] == '=' || word[length] == ':')) {
		put_up_to(t, word, word + length + 1);
		return NEXT_SHOWN;
	}
	if (!strcasecmp(word, "authorization:")) {
		put_up_to(t, word, word + strlen(word));
		return NEXT_SHOWN;
	}
	*ret_end = false;
	put_urls(t, word);
	if (word[0] != '-' || word[length])
		return NEXT_SHOWN;
	if (!strcmp(word, "-u") || !strcmp(word, "--user"))
		return NEXT_LOGIN;
	return secret ? NEXT_SECRET : NEXT_SHOWN;
}

/*
 * A shell's or a title's argument holds several words. Where a secret ends in it is not known: the
 * rest of the argument is hidden with it.
 */
static enum next put_argument_words(struct text *t, char *argument)
{
	for (;;) {
		char *blank = strchr(argument, ' ');
		enum next how;
		bool end;

		if (blank)
			*blank = '\0';
		how = put_argument_word(t, argument, &end);
		if (!blank || end)
			return how;
		text_put(t, " ", 1);
		if (how == NEXT_SECRET) {
			hide_secret(t);
			return NEXT_SHOWN;
		}
		argument = blank + 1;
	}
}

static enum next put_argument(struct text *t, enum next how, char *argument)
{
	if (how == NEXT_SECRET) {
		hide_secret(t);
		return NEXT_SHOWN;
	}
	if (how == NEXT_LOGIN) {
		put_login(t, argument);
		return NEXT_SHOWN;
	}
	return put_argument_words(t, argument);
}

/* --- patterns --- */

/* What matches, or its first group. */
static regmatch_t what_to_hide(const regex_t *pattern, const regmatch_t match[2])
{
	return pattern->re_nsub && match[1].rm_so >= 0 ? match[1] : match[0];
}

/* Takes ownership of text. If the matcher fails, nothing of the rest is shown. */
static char *apply_pattern(const regex_t *pattern, char *text)
{
	struct text t = { 0 };
	const char *from = text;
	regmatch_t match[2];
	int err;

	while (!(err = regexec(pattern, from, 2, match, from == text ? 0 : REG_NOTBOL))) {
		regmatch_t hidden = what_to_hide(pattern, match);
		regoff_t next = hidden.rm_eo;

		text_put(&t, from, (size_t)hidden.rm_so);
		if (hidden.rm_eo > hidden.rm_so)
			hide_secret(&t);
		if (!from[next])
			break;
		if (match[0].rm_eo == match[0].rm_so || next == 0)
			text_put(&t, from + next++, 1);
		from += next;
	}
	if (err == REG_NOMATCH)
		text_put(&t, from, strlen(from));
	else if (err)
		hide_secret(&t);
	free(text);
	return finish_text(&t);
}

/* --- all --- */

static char *join_arguments(const struct redaction *r, const char *args, size_t size)
{
	char *copy = malloc(size + 1);
	struct text t = { 0 };
	enum next how = NEXT_SHOWN;

	if (!copy)
		return NULL;
	memcpy(copy, args, size);
	copy[size] = '\0';
	for (size_t at = 0, length; at < size; at += length + 1) {
		length = strlen(copy + at);
		if (at)
			text_put(&t, " ", 1);
		if (r)
			how = put_argument(&t, how, copy + at);
		else
			text_put(&t, copy + at, length);
		if (r && r->mode == COMMAND_LINE_ARGV0)
			break;
	}
	free(copy);
	return finish_text(&t);
}

char *redact_arguments(const struct redaction *r, const char *args, size_t size)
{
	char *text;

	while (size && !args[size - 1])
		size--;
	if (r && r->mode == COMMAND_LINE_OFF)
		size = 0;
	if (r && size > REDACT_BYTES_MAX)
		size = REDACT_BYTES_MAX;
	text = join_arguments(r, args, size);
	for (unsigned int i = 0; r && text && i < r->count; i++)
		text = apply_pattern(&r->patterns[i], text);
	return text;
}

static int refuse_pattern(int code, const regex_t *regex, const char *pattern, struct error *error)
{
	char cause[256], shown[96];

	regerror(code, regex, cause, sizeof(cause));
	escape_text(shown, sizeof(shown), pattern, strlen(pattern));
	error_set(error, code == REG_ESPACE ? ENOMEM : EINVAL, EXIT_USAGE,
		  "redact: \"%s\" is not a valid regular expression", shown);
	return error_explain(error, cause, NULL);
}

int redaction_new(enum command_line mode, const char *const *patterns, unsigned int count,
		  struct redaction **ret_redaction, struct error *error)
{
	struct redaction *r = calloc(1, sizeof(*r));

	if (r)
		r->patterns = calloc(count ? count : 1, sizeof(r->patterns[0]));
	if (!r || !r->patterns) {
		free(r);
		return error_no_memory(error);
	}
	r->mode = mode;
	for (; r->count < count; r->count++) {
		regex_t *regex = &r->patterns[r->count];
		int code = regcomp(regex, patterns[r->count], REG_EXTENDED);

		if (code) {
			int err = refuse_pattern(code, regex, patterns[r->count], error);

			redaction_free(r);
			return err;
		}
	}
	*ret_redaction = r;
	return 0;
}

void redaction_free(struct redaction *r)
{
	if (!r)
		return;
	while (r->count)
		regfree(&r->patterns[--r->count]);
	free(r->patterns);
	free(r);
}

void redaction_take(struct redaction *redaction, struct redaction *from)
{
	struct redaction was = *redaction;

	*redaction = *from;
	*from = was;
	redaction_free(from);
}
