// SPDX-License-Identifier: BSD-2-Clause
/*
 *     { "format": 2, "reported": [ { "fingerprint": "0123456789abcdef", "rule": "leak.growth",
 *       "severity": "warning", "count": 3, "reported": 1763769600 }, ... ] }
 *
 * Times are wall clock times in seconds: the monotonic clock starts again at each boot. Format 1 is
 * still read: in it, both keys "reported" are named "told", and a warning "warn".
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
#include <unistd.h>

#include "base/clock.h"
#include "engine/engine.h"
#include "util/io.h"

#define FORMAT 2
#define OLD_FORMAT 1
#define KEY "reported"
#define OLD_KEY "told"
#define OLD_NAME "told.json"
#define FILE_BYTES_MAX (4 << 20) /* REPORTED_MAX entries need less */

/* --- reading --- */

static int reported_rule(const char *id, enum rule *ret_rule)
{
	for (unsigned int r = 0; r < RULE_COUNT; r++) {
		if (strcmp(rule_info((enum rule)r)->id, id) == 0) {
			*ret_rule = (enum rule)r;
			return 0;
		}
	}
	return -EINVAL;
}

static int parse_fingerprint(const char *text, uint64_t *ret_fingerprint)
{
	if (strlen(text) != 16 || strspn(text, "0123456789abcdef") != 16)
		return -EINVAL;
	*ret_fingerprint = strtoull(text, NULL, 16);
	return 0;
}

/* A time in the future counts as just now: the clock was set back. */
static uint64_t report_age_ns(int64_t reported_s)
{
	int64_t now_s = (int64_t)(clock_ns(CLOCK_REALTIME) / SEC_NS);

	if (reported_s >= now_s || reported_s < 0)
		return reported_s < 0 ? INT64_MAX / 2 : 0;
	return now_s - reported_s > INT32_MAX ? INT64_MAX / 2
					      : (uint64_t)(now_s - reported_s) * SEC_NS;
}

static int read_row(json_t *entry, const char *time_key, struct reported_row *row)
{
	const char *fingerprint, *rule, *severity;
	json_int_t count, reported_s;

	if (json_unpack(entry, "{s:s, s:s, s:s, s:I, s:I}", "fingerprint", &fingerprint, "rule",
			&rule, "severity", &severity, "count", &count, time_key, &reported_s) < 0)
		return -EINVAL;
	if (parse_fingerprint(fingerprint, &row->fingerprint) || reported_rule(rule, &row->rule) ||
	    severity_parse(severity, &row->severity) || count < 1)
		return -EINVAL;
	row->count = (uint64_t)count;
	row->reported_ns = clock_monotonic_ns() - report_age_ns(reported_s);
	return 0;
}

/* Rows with a rule that this version does not know are skipped: the file is still valid. */
static int take_rows(json_t *rows, const char *time_key, struct engine *engine)
{
	struct reported_row row;
	json_t *entry;
	size_t i;
	int count = 0;

	json_array_foreach(rows, i, entry)
	{
		if (i == REPORTED_MAX)
			break;
		if (read_row(entry, time_key, &row) == 0 &&
		    engine_restore_reported(engine, &row) == 0)
			count++;
	}
	return count;
}

static const char *key_of_format(json_t *root)
{
	int format;

	if (!root || json_unpack(root, "{s:i}", "format", &format) < 0)
		return NULL;
	if (format == OLD_FORMAT)
		return OLD_KEY;
	return format == FORMAT ? KEY : NULL;
}

static int take_text(const char *text, size_t size, struct engine *engine)
{
	json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
	const char *key = key_of_format(root);
	json_t *rows = key ? json_object_get(root, key) : NULL;
	int count = json_is_array(rows) ? take_rows(rows, key, engine) : -EBADMSG;

	json_decref(root);
	return count;
}

/* Another user who could write the file could suppress every finding. */
static int check_state_file(int fd)
{
	struct stat status;

	if (fstat(fd, &status) < 0)
		return -errno;
	if (!S_ISREG(status.st_mode))
		return S_ISDIR(status.st_mode) ? -EISDIR : -EINVAL;
	if ((status.st_uid != geteuid() && status.st_uid != 0) || status.st_mode & 022)
		return -EPERM;
	return 0;
}

static int load_open(int fd, struct engine *engine)
{
	size_t size;
	char *text;
	int count = check_state_file(fd);

	if (!count)
		count = read_bounded(fd, FILE_BYTES_MAX, &text, &size);
	if (count)
		return count;
	count = take_text(text, size, engine);
	free(text);
	return count;
}

static int load_named(const char *path, struct engine *engine)
{
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), count;

	if (fd < 0)
		return -errno;
	count = load_open(fd, engine);
	close(fd);
	return count;
}

/* The default file of versions with format 1, in the same directory. */
static int load_old(const char *path, struct engine *engine)
{
	const char *slash = strrchr(path, '/');
	int directory_length = slash ? (int)(slash + 1 - path) : 0, count;
	char *old;

	if (asprintf(&old, "%.*s%s", directory_length, path, OLD_NAME) < 0)
		return -ENOMEM;
	count = load_named(old, engine);
	free(old);
	return count;
}

int reported_load(const char *path, struct engine *engine)
{
	int count = load_named(path, engine);

	return count == -ENOENT ? load_old(path, engine) : count;
}

/* --- writing --- */

struct saving {
	json_t *reported; /* NULL: out of memory */
	uint64_t wall_ns, now_ns;
};

static void save_row(void *ctx, const struct reported_row *row)
{
	struct saving *saving = ctx;
	char fingerprint[17];
	/* Signed: after a reboot a row may be older than the clock. */
	int64_t age_ns = (int64_t)(saving->now_ns - row->reported_ns);
	json_t *entry;

	snprintf(fingerprint, sizeof(fingerprint), "%016" PRIx64, row->fingerprint);
	entry = json_pack("{s:s, s:s, s:s, s:I, s:I}", "fingerprint", fingerprint, "rule",
			  rule_info(row->rule)->id, "severity", severity_name(row->severity),
			  "count", (json_int_t)(row->count & INT64_MAX), KEY,
			  (json_int_t)(((int64_t)saving->wall_ns - age_ns) / (int64_t)SEC_NS));
	if (saving->reported && json_array_append_new(saving->reported, entry) < 0) {
		json_decref(saving->reported);
		saving->reported = NULL;
	}
}

static char *state_text(struct engine *engine)
{
	struct saving saving = { .reported = json_array(),
				 .wall_ns = clock_ns(CLOCK_REALTIME),
				 .now_ns = clock_monotonic_ns() };
	json_t *root;
	char *text;

	engine_each_reported(engine, save_row, &saving);
	if (!saving.reported)
		return NULL;
	root = json_pack("{s:i, s:o}", "format", FORMAT, KEY, saving.reported);
	text = root ? json_dumps(root, JSON_COMPACT) : NULL;
	json_decref(root);
	return text;
}

/* Only fdtrace uses this name: an existing file is removed, and a link is never followed. */
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
	char *text = state_text(engine), *beside = NULL;
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
