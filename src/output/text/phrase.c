// SPDX-License-Identifier: BSD-2-Clause
#include "output/text/phrase.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "model/sockets.h"

#define US UINT64_C(1000)
#define COARSE_NS (4 * MSEC_NS) /* the slowest timer tick in use: CONFIG_HZ=250 */

void phrase_number(char *buffer, size_t size, uint64_t number)
{
	char digits[24], out[32];
	int length = snprintf(digits, sizeof(digits), "%" PRIu64, number), done = 0;

	for (int i = 0; i < length; i++) {
		if (i && (length - i) % 3 == 0)
			out[done++] = ',';
		out[done++] = digits[i];
	}
	snprintf(buffer, size, "%.*s", done, out);
}

void phrase_count(char *buffer, size_t size, uint64_t count, const char *one, const char *many)
{
	char number[PHRASE_SIZE];

	phrase_number(number, sizeof(number), count);
	snprintf(buffer, size, "%s %s", number, count == 1 ? one : many);
}

/* number and unit stand apart so that a column of them can be aligned; no unit: it is in number. */
static const char *measure_span(char *number, size_t size, uint64_t ns)
{
	uint64_t seconds = ns / SEC_NS;

	if (ns < MSEC_NS) {
		snprintf(number, size, "%" PRIu64, ns / US);
		return "us";
	}
	if (ns < SEC_NS) {
		snprintf(number, size, "%" PRIu64 ".%" PRIu64, ns / MSEC_NS,
			 ns % MSEC_NS / (MSEC_NS / 10));
		return "ms";
	}
	if (seconds < 60) {
		snprintf(number, size, "%" PRIu64 ".%" PRIu64, seconds,
			 ns % SEC_NS / (SEC_NS / 10));
		return "s";
	}
	if (seconds < 3600)
		snprintf(number, size, "%" PRIu64 "m%02" PRIu64 "s", seconds / 60, seconds % 60);
	else if (seconds < 86400)
		snprintf(number, size, "%" PRIu64 "h%02" PRIu64 "m", seconds / 3600,
			 seconds / 60 % 60);
	else
		snprintf(number, size, "%" PRIu64 "d%02" PRIu64 "h", seconds / 86400,
			 seconds / 3600 % 24);
	return "";
}

void phrase_duration(char *buffer, size_t size, uint64_t duration_ns)
{
	char number[PHRASE_SIZE];
	const char *unit = measure_span(number, sizeof(number), duration_ns);

	snprintf(buffer, size, "%s%s%s", number, unit[0] ? " " : "", unit);
}

void phrase_relative(char *buffer, size_t size, uint64_t time_ns, uint64_t moment_ns)
{
	bool before = time_ns < moment_ns;
	uint64_t distance = before ? moment_ns - time_ns : time_ns - moment_ns;
	char number[PHRASE_SIZE];
	const char *unit;

	if (!distance) {
		snprintf(buffer, size, "0   ");
		return;
	}
	if (distance < COARSE_NS) {
		snprintf(buffer, size, "<4 ms");
		return;
	}
	unit = measure_span(number, sizeof(number), distance);
	snprintf(buffer, size, "%c%s %-2s", before ? '-' : '+', number, unit);
}

void phrase_wall(char *buffer, size_t size, uint64_t time_ns, int64_t wall_offset_ns, bool date)
{
	int64_t wall =
		(int64_t)(time_ns + (uint64_t)wall_offset_ns); /* a damaged recording may wrap */
	int64_t ns = wall % (int64_t)SEC_NS;
	time_t seconds = (time_t)(wall / (int64_t)SEC_NS) - (ns < 0);
	struct tm local = { 0 };
	char text[PHRASE_SIZE];

	if (ns < 0)
		ns += (int64_t)SEC_NS;
	localtime_r(&seconds, &local);
	strftime(text, sizeof(text), date ? "%Y-%m-%d %H:%M:%S" : "%H:%M:%S", &local);
	snprintf(buffer, size, "%s.%03d", text, (int)(ns / (int64_t)MSEC_NS));
}

void phrase_error(char *buffer, size_t size, int error)
{
	const char *name = error > 0 ? strerrorname_np(error) : NULL;

	if (name)
		snprintf(buffer, size, "%s", name);
	else
		snprintf(buffer, size, "errno %d", error);
}

const char *phrase_name(enum fd_kind kind, const char *name)
{
	const char *word = fd_kind_name(kind);
	size_t length = strlen(word);

	if (!name)
		return "";
	if (strncmp(name, word, length))
		return name;
	length += name[length] == '6'; /* "tcp6" */
	return name[length] == ' ' ? name + length + 1 : name;
}

const char *phrase_tcp_state(const struct descriptor *d)
{
	if (d->kind != FD_KIND_TCP || !d->detail || !(d->detail->facts & FDT_FACT_SOCKET))
		return NULL;
	return tcp_state_name(d->detail->state);
}

static size_t put_holders(char *buffer, size_t size, const struct other_end *end)
{
	size_t done = 0;

	for (unsigned int i = 0; i < end->holder_count && done < size; i++)
		done += (size_t)snprintf(
			buffer + done, size - done, "%s %s[%" PRIu32 "] fd %" PRId32, i ? "," : "",
			end->holders[i].name, end->holders[i].pid, end->holders[i].fd);
	return done;
}

void phrase_other_end(char *buffer, size_t size, const struct other_end *end)
{
	char holders[FINDING_HOLDERS_MAX * 48], more[PHRASE_SIZE] = "";

	if (end->holder_total > end->holder_count)
		snprintf(more, sizeof(more), ", %u more", end->holder_total - end->holder_count);
	if (end->closed)
		snprintf(buffer, size, "other end closed");
	else if (end->holder_count && put_holders(holders, sizeof(holders), end))
		snprintf(buffer, size, "other end:%s%s", holders, more);
	else
		snprintf(buffer, size, "%s",
			 end->elsewhere ? "other end held by processes not traced" : "");
}

void phrase_rate(char *buffer, size_t size, double per_minute)
{
	uint64_t tenths;

	if (!isfinite(per_minute) || fabs(per_minute) < 0.05 || fabs(per_minute) > 1e12) {
		snprintf(buffer, size, "-");
		return;
	}
	tenths = (uint64_t)(fabs(per_minute) * 10 +
			    0.5); /* by hand, because %f follows the locale */
	snprintf(buffer, size, "%c%" PRIu64 ".%" PRIu64, per_minute < 0 ? '-' : '+', tenths / 10,
		 tenths % 10);
}
