// SPDX-License-Identifier: BSD-2-Clause
#include "util/hostinfo.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"

#define TEXT(key, field)                                                                     \
	{                                                                                    \
		key, offsetof(struct hostinfo, field), sizeof(((struct hostinfo *)0)->field) \
	}
#define WALL_OFFSET_KEY "clock.wall_offset_ns"

static const struct text_key {
	const char *key;
	size_t offset, size;
} text_keys[] = {
	TEXT("version", version), TEXT("host.name", host_name), TEXT("host.id", host_id),
	TEXT("boot.id", boot_id), TEXT("kernel", kernel),       TEXT("coverage", coverage),
	TEXT("mode", mode),       TEXT("start_id", start_id),   TEXT("not_seen", not_seen),
};
#define TEXT_KEYS (sizeof(text_keys) / sizeof(text_keys[0]))

/* First line of a small file; "" if there is none. */
static void read_line(const char *path, char *buffer, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = -1;

	if (fd >= 0) {
		length = read(fd, buffer, size - 1);
		close(fd);
	}
	buffer[length > 0 ? length : 0] = '\0';
	buffer[strcspn(buffer, "\n")] = '\0';
}

/*
 * The wall clock is read between two readings of the other, so the error is at most half of their
 * distance.
 */
int64_t hostinfo_wall_offset(void)
{
	int64_t before = (int64_t)clock_monotonic_ns();
	int64_t wall = (int64_t)clock_ns(CLOCK_REALTIME);
	int64_t after = (int64_t)clock_monotonic_ns();

	return wall - (before + (after - before) / 2);
}

static void make_start_id(struct hostinfo *info)
{
	uint64_t hash = hash_text(hash_text(HASH_START, info->boot_id), info->host_name);

	hash = hash_number(hash, clock_monotonic_ns());
	hash = hash_number(hash, (uint64_t)getpid());
	snprintf(info->start_id, sizeof(info->start_id), "%016" PRIx64, hash);
}

/* In a container uname(2) gives the container's name; the environment can override it. */
static void name_host(struct hostinfo *info)
{
	const char *name = getenv(HOST_NAME_VARIABLE);

	if (name && name[0])
		snprintf(info->host_name, sizeof(info->host_name), "%s", name);
}

void hostinfo_gather(struct hostinfo *info)
{
	struct utsname names;

	memset(info, 0, sizeof(*info));
	snprintf(info->version, sizeof(info->version), "%s", FDTRACE_VERSION);
	if (!uname(&names)) {
		snprintf(info->host_name, sizeof(info->host_name), "%s", names.nodename);
		snprintf(info->kernel, sizeof(info->kernel), "%s", names.release);
	}
	name_host(info);
	read_line("/etc/machine-id", info->host_id, sizeof(info->host_id));
	read_line("/proc/sys/kernel/random/boot_id", info->boot_id, sizeof(info->boot_id));
	info->wall_offset_ns = hostinfo_wall_offset();
	make_start_id(info);
}

static void copy_text(char *out, size_t size, const char *text, size_t length)
{
	if (length >= size)
		length = size - 1;
	memcpy(out, text, length);
	out[length] = '\0';
}

static int parse_offset(struct hostinfo *info, const char *text, size_t length)
{
	char number[32], *end;
	long long value;

	if (!length || length >= sizeof(number))
		return -EINVAL;
	copy_text(number, sizeof(number), text, length);
	errno = 0;
	value = strtoll(number, &end, 10);
	if (errno || *end || end != number + length)
		return -EINVAL;
	info->wall_offset_ns = value;
	return 0;
}

int hostinfo_parse(struct hostinfo *info, const char *text, size_t length)
{
	const char *equals = memchr(text, '=', length), *value;
	size_t key_length, value_length;

	if (!equals)
		return -ENOENT;
	key_length = (size_t)(equals - text);
	value = equals + 1;
	value_length = length - key_length - 1;
	if (key_length == strlen(WALL_OFFSET_KEY) && !memcmp(text, WALL_OFFSET_KEY, key_length))
		return parse_offset(info, value, value_length);
	for (size_t i = 0; i < TEXT_KEYS; i++) {
		const struct text_key *k = &text_keys[i];

		if (key_length != strlen(k->key) || memcmp(text, k->key, key_length))
			continue;
		copy_text((char *)info + k->offset, k->size, value, value_length);
		return 0;
	}
	return -ENOENT;
}

void hostinfo_parse_coverage(struct hostinfo *info, const char *text, size_t length)
{
	static const char key[] = "coverage=";

	if (length >= sizeof(key) - 1 && !memcmp(text, key, sizeof(key) - 1))
		hostinfo_parse(info, text, length);
}

void hostinfo_each(const struct hostinfo *info, void (*meta)(void *ctx, const char *key_value),
		   void *ctx)
{
	char line[128];

	for (size_t i = 0; i < TEXT_KEYS; i++) {
		snprintf(line, sizeof(line), "%s=%s", text_keys[i].key,
			 (const char *)info + text_keys[i].offset);
		meta(ctx, line);
	}
	snprintf(line, sizeof(line), WALL_OFFSET_KEY "=%" PRId64, info->wall_offset_ns);
	meta(ctx, line);
}
