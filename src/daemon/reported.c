// SPDX-License-Identifier: BSD-2-Clause
/*
 *     { "format": 1, "told": [ { "fingerprint": "0123456789abcdef", "rule": "leak.growth",
 *       "severity": "warning", "count": 3, "told": 1763769600 }, ... ] }
 *
 * Times are of the wall clock, in seconds: the other one begins anew with each boot.
 */
#include "daemon/reported.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "engine/engine.h"
#include "util/io.h"

#define FORMAT 1
#define FILE_BYTES_MAX (4 << 20) /* REPORTED_MAX entries need less */
#define SEC INT64_C(1000000000)

static int64_t now_on(clockid_t clock)
{
	struct timespec now = { 0 };

	clock_gettime(clock, &now);
	return (int64_t)now.tv_sec * SEC + now.tv_nsec;
}

/* --- reading --- */

static int rule_of(const char *id, enum rule *ret_rule)
{
	for (unsigned int r = 0; r < RULE_COUNT; r++) {
		if (strcmp(rule_info((enum rule)r)->id, id) == 0) {
			*ret_rule = (enum rule)r;
			return 0;
		}
	}
	return -EINVAL;
}

static int fingerprint_of(const char *text, uint64_t *ret_fingerprint)
{
	if (strlen(text) != 16 || strspn(text, "0123456789abcdef") != 16)
		return -EINVAL;
	*ret_fingerprint = strtoull(text, NULL, 16);
	return 0;
}

/* What lies in the future was told a moment ago: the clock was put back. */
static uint64_t age_ns(int64_t told_s)
{
	int64_t now_s = now_on(CLOCK_REALTIME) / SEC;

	if (told_s >= now_s || told_s < 0)
		return told_s < 0 ? INT64_MAX / 2 : 0;
	return now_s - told_s > INT32_MAX ? INT64_MAX / 2 : (uint64_t)((now_s - told_s) * SEC);
}

static int read_row(json_t *entry, struct reported_row *row)
{
	const char *fingerprint, *rule, *severity;
	json_int_t count, told;

	if (json_unpack(entry, "{s:s, s:s, s:s, s:I, s:I}", "fingerprint", &fingerprint, "rule",
			&rule, "severity", &severity, "count", &count, "told", &told) < 0)
		return -EINVAL;
	if (fingerprint_of(fingerprint, &row->fingerprint) || rule_of(rule, &row->rule) ||
	    severity_parse(severity, &row->severity) || count < 1)
		return -EINVAL;
	row->count = (uint64_t)count;
	row->reported_ns = (uint64_t)now_on(CLOCK_MONOTONIC) - age_ns(told);
	return 0;
}

/* A rule that this version does not know is left out; it does not make the file a bad one. */
static int take_rows(json_t *told, struct engine *engine)
{
	struct reported_row row;
	json_t *entry;
	size_t i;
	int count = 0;

	json_array_foreach(told, i, entry)
	{
		if (i == REPORTED_MAX)
			break;
		if (read_row(entry, &row) == 0 && engine_restore_reported(engine, &row) == 0)
			count++;
	}
	return count;
}

static int take_text(const char *text, size_t size, struct engine *engine)
{
	json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL), *told;
	int format, count = -EBADMSG;

	if (root && json_unpack(root, "{s:i, s:o}", "format", &format, "told", &told) == 0 &&
	    format == FORMAT && json_is_array(told))
		count = take_rows(told, engine);
	json_decref(root);
	return count;
}

static int read_all(int fd, char *text, size_t size, size_t *ret_got)
{
	size_t got = 0;
	ssize_t more;

	do {
		more = read(fd, text + got, size - got);
		if (more > 0)
			got += (size_t)more;
	} while (got < size && (more > 0 || (more < 0 && errno == EINTR)));
	*ret_got = got;
	return more < 0 ? -errno : 0;
}

/* Whoever else could write the file could keep us from telling anything. */
static int check_file(int fd, size_t *ret_size)
{
	struct stat status;

	if (fstat(fd, &status) < 0)
		return -errno;
	if (!S_ISREG(status.st_mode))
		return S_ISDIR(status.st_mode) ? -EISDIR : -EINVAL;
	if ((status.st_uid != geteuid() && status.st_uid != 0) || status.st_mode & 022)
		return -EPERM;
	if (status.st_size > FILE_BYTES_MAX)
		return -EFBIG;
	*ret_size = (size_t)status.st_size;
	return 0;
}

static int load_from(int fd, struct engine *engine)
{
	size_t size = 0, got = 0;
	char *text;
	int err = check_file(fd, &size);

	if (err)
		return err;
	text = malloc(size + 1);
	if (!text)
		return -ENOMEM;
	err = read_all(fd, text, size, &got);
	if (!err)
		err = take_text(text, got, engine);
	free(text);
	return err;
}

int reported_load(const char *path, struct engine *engine)
{
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), count;

	if (fd < 0)
		return -errno;
	count = load_from(fd, engine);
	close(fd);
	return count;
}

/* --- writing --- */

struct saving {
	json_t *reported; /* NULL: no memory */
	int64_t wall_ns, now_ns;
};

static void put_row(void *ctx, const struct reported_row *row)
{
	struct saving *saving = ctx;
	char fingerprint[17];
	int64_t age = saving->now_ns - (int64_t)row->reported_ns;
	json_t *entry;

	snprintf(fingerprint, sizeof(fingerprint), "%016" PRIx64, row->fingerprint);
	entry = json_pack("{s:s, s:s, s:s, s:I, s:I}", "fingerprint", fingerprint, "rule",
			  rule_info(row->rule)->id, "severity", severity_name(row->severity),
			  "count", (json_int_t)(row->count & INT64_MAX), "told",
			  (json_int_t)((saving->wall_ns - age) / SEC));
	if (saving->reported && json_array_append_new(saving->reported, entry) < 0) {
		json_decref(saving->reported);
		saving->reported = NULL;
	}
}

static char *text_of(struct engine *engine)
{
	struct saving saving = { .reported = json_array(),
				 .wall_ns = now_on(CLOCK_REALTIME),
				 .now_ns = now_on(CLOCK_MONOTONIC) };
	json_t *root;
	char *text;

	engine_each_reported(engine, put_row, &saving);
	if (!saving.reported)
		return NULL;
	root = json_pack("{s:i, s:o}", "format", FORMAT, "told", saving.reported);
	text = root ? json_dumps(root, JSON_COMPACT) : NULL;
	json_decref(root);
	return text;
}

/* The name is ours alone: what somebody left there is taken away, never followed. */
static int write_beside(const char *path, const char *text)
{
	int fd, err;

	if (unlink(path) < 0 && errno != ENOENT)
		return -errno;
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY, 0600);
	if (fd < 0)
		return -errno;
	err = write_all(fd, text, strlen(text));
	if (!err && fsync(fd) < 0)
		err = -errno;
	if (close(fd) < 0 && !err)
		err = -errno;
	return err;
}

int reported_save(const char *path, struct engine *engine)
{
	char *text = text_of(engine), *beside = NULL;
	int err = -ENOMEM;

	if (text && asprintf(&beside, "%s.tmp", path) >= 0) {
		err = write_beside(beside, text);
		if (!err && rename(beside, path) < 0)
			err = -errno;
		if (err)
			unlink(beside);
		free(beside);
	}
	free(text);
	return err;
}
