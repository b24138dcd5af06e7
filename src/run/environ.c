// SPDX-License-Identifier: BSD-2-Clause
#include "run/environ.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define BLOCK_MAX (128 * 1024)
#define FIRST 3 /* every process has 0 to 2 */
#define NUMBERS (FDT_ENVIRON_WORDS * 64)

struct reading {
	__u64 *word;
	pid_t pid;
	unsigned long listen_fds; /* 0: none */
	bool for_another;         /* LISTEN_PID names another process */
};

/* value is NUL-terminated; name is not */
struct variable {
	const char *name;
	size_t name_size;
	const char *value;
};

static void set_number(struct reading *r, unsigned long number)
{
	if (number >= FIRST && number < NUMBERS)
		r->word[number / 64] |= UINT64_C(1) << number % 64;
}

static bool is_decimal_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Reads the decimal digits at *at and moves it behind them; NUMBERS if it cannot be a descriptor. */
static unsigned long parse_number_at(const char **at)
{
	unsigned long number = 0;

	for (; is_decimal_digit(**at); ++*at)
		if (number < NUMBERS)
			number = number * 10 + (unsigned long)(**at - '0');
	return number < NUMBERS ? number : NUMBERS;
}

static bool is_separator(char c)
{
	return c && strchr(",:; ", c);
}

/* Only numbers and separators. */
static bool is_list(const char *text)
{
	for (; *text; text++)
		if (!is_decimal_digit(*text) && !is_separator(*text))
			return false;
	return true;
}

static void set_list(struct reading *r, const char *text)
{
	while (*text) {
		if (is_decimal_digit(*text))
			set_number(r, parse_number_at(&text));
		else
			text++;
	}
}

static bool is_named(const struct variable *v, const char *name)
{
	return strlen(name) == v->name_size && !memcmp(v->name, name, v->name_size);
}

/* Ignores case. */
static bool has_word(const struct variable *v, const char *word)
{
	size_t size = strlen(word);

	for (size_t i = 0; i + size <= v->name_size; i++)
		if (!strncasecmp(v->name + i, word, size))
			return true;
	return false;
}

static bool speaks_of_descriptors(const struct variable *v)
{
	static const char *const words[] = { "FD",     "FILENO",    "PIPE",    "SOCK",   "LISTEN",
					     "NOTIFY", "JOBSERVER", "CHANNEL", "HANDLE", "NGINX" };

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (has_word(v, words[i]))
			return true;
	return false;
}

/* Values full of numbers and equal signs. */
static bool is_noise(const struct variable *v)
{
	static const char *const names[] = { "SHLVL", "COLUMNS", "LINES", "LS_COLORS" };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (is_named(v, names[i]))
			return true;
	return false;
}

/* sd_listen_fds(3) and its later additions: counts, not descriptors. */
static bool take_listen(struct reading *r, const struct variable *v)
{
	const char *at = v->value;
	char *end;

	if (is_named(v, "LISTEN_FDS"))
		r->listen_fds = parse_number_at(&at);
	else if (is_named(v, "LISTEN_PID"))
		r->for_another = strtoul(v->value, &end, 10) != (unsigned long)r->pid || *end;
	else
		return is_named(v, "LISTEN_FDNAMES") || is_named(v, "LISTEN_PIDFDID");
	return true;
}

/* After each mark: a number and, with pair, a comma and another number. */
static void set_marked(struct reading *r, const char *value, const char *mark, bool pair)
{
	const char *at = value;

	while ((at = strstr(at, mark))) {
		at += strlen(mark);
		if (!is_decimal_digit(*at))
			continue;
		set_number(r, parse_number_at(&at));
		if (pair && at[0] == ',' && is_decimal_digit(at[1])) {
			at++;
			set_number(r, parse_number_at(&at));
		}
	}
}

static void take_marked(struct reading *r, const char *value)
{
	set_marked(r, value, "fd:", false);
	set_marked(r, value, "fd=", false);
	set_marked(r, value, "/dev/fd/", false);
	set_marked(r, value, "/proc/self/fd/", false);
	set_marked(r, value, "--jobserver-auth=", true);
	set_marked(r, value, "--jobserver-fds=", true);
}

static void take_variable(struct reading *r, const struct variable *v)
{
	if (is_noise(v) || take_listen(r, v))
		return;
	if (speaks_of_descriptors(v) && is_list(v->value))
		set_list(r, v->value);
	take_marked(r, v->value);
}

static void take_environment_string(struct reading *r, const char *string)
{
	const char *equal = strchr(string, '=');

	if (equal)
		take_variable(r, &(struct variable){ string, (size_t)(equal - string), equal + 1 });
}

void environ_parse(const char *block, size_t size, pid_t pid, __u64 ret_word[FDT_ENVIRON_WORDS])
{
	struct reading r = { .word = ret_word, .pid = pid };
	const char *end;

	memset(ret_word, 0, FDT_ENVIRON_WORDS * sizeof(*ret_word));
	while (size && (end = memchr(block, '\0', size))) {
		take_environment_string(&r, block);
		size -= (size_t)(end + 1 - block);
		block = end + 1;
	}
	for (unsigned long i = 0; i < r.listen_fds && !r.for_another; i++)
		set_number(&r, FIRST + i);
}

/* The kernel gives at most a page at a time. */
static ssize_t read_block(int fd, char *block)
{
	size_t used = 0;
	ssize_t n;

	do {
		n = read(fd, block + used, BLOCK_MAX - used);
		if (n > 0)
			used += (size_t)n;
	} while (used < BLOCK_MAX && (n > 0 || (n < 0 && errno == EINTR)));
	return n < 0 && !used ? -errno : (ssize_t)used;
}

static ssize_t read_environment(pid_t pid, char *block)
{
	char path[32];
	ssize_t size;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/environ", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	size = read_block(fd, block);
	close(fd);
	return size;
}

int environ_read(pid_t pid, struct fdt_environ *ret_event)
{
	char *block = malloc(BLOCK_MAX);
	ssize_t size;

	if (!block)
		return -ENOMEM;
	size = read_environment(pid, block);
	if (size >= 0) {
		*ret_event = (struct fdt_environ){ .head = { .kind = FDT_ENVIRON,
							     .size = sizeof(*ret_event),
							     .tgid = (uint32_t)pid,
							     .tid = (uint32_t)pid } };
		environ_parse(block, (size_t)size, pid, ret_event->word);
	}
	free(block);
	return size < 0 ? (int)size : 0;
}
