// SPDX-License-Identifier: BSD-2-Clause
/*
 * The local syslog daemon. /dev/log takes the BSD form without a host name; RFC 5424 sent there is
 * misread, so that form goes only to a socket that was configured for it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "daemon/channel_private.h"

#define FACILITY_DAEMON (3 << 3)
#define HEAD_SIZE 256

/* Names of the protocol, whatever the locale. */
static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
				    "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };

static size_t put_bsd(char head[HEAD_SIZE], unsigned int priority)
{
	time_t now = time(NULL);
	struct tm tm = { 0 };

	localtime_r(&now, &tm);
	return (size_t)snprintf(head, HEAD_SIZE,
				"<%u>%s %2d %02d:%02d:%02d fdtrace[%d]: ", priority,
				months[tm.tm_mon % 12], tm.tm_mday, tm.tm_hour, tm.tm_min,
				tm.tm_sec, (int)getpid());
}

/* PRINTUSASCII without blanks, or "-". */
static void put_syslog_word(char *out, size_t size, const char *word)
{
	size_t done = 0;

	for (; word && *word && done + 1 < size; word++)
		if (*word > ' ' && *word < 0x7f)
			out[done++] = *word;
	if (!done)
		out[done++] = '-';
	out[done] = '\0';
}

static size_t put_5424(char head[HEAD_SIZE], unsigned int priority, const struct channel *c,
		       const struct line *line)
{
	char host[65], id[33];
	struct timespec now = { 0 };
	struct tm tm = { 0 };

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	put_syslog_word(host, sizeof(host), c->host.host_name);
	put_syslog_word(id, sizeof(id), line->rule);
	return (size_t)snprintf(head, HEAD_SIZE,
				"<%u>1 %04d-%02d-%02dT%02d:%02d:%02d.%06ldZ %s fdtrace %d %s - ",
				priority, tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
				tm.tm_min, tm.tm_sec, now.tv_nsec / 1000, host, (int)getpid(), id);
}

/* RFC 6587: octets are counted on a stream. */
static struct waiting *count_octets(struct waiting *w)
{
	char count[24];
	int length = snprintf(count, sizeof(count), "%zu ", w->size);
	struct waiting *counted = waiting_new((size_t)length + w->size);

	if (counted) {
		memcpy(counted->data, count, (size_t)length);
		memcpy(counted->data + length, w->data, w->size);
		counted->frame_before = (size_t)length;
	}
	free(w);
	return counted;
}

static struct waiting *syslog_form(struct channel *c, const struct line *line)
{
	unsigned int priority = FACILITY_DAEMON | line_priority(line);
	bool rfc5424 = c->config.rfc5424;
	char head[HEAD_SIZE];
	size_t size = rfc5424 ? put_5424(head, priority, c, line) : put_bsd(head, priority);
	struct waiting *w = waiting_wrap(head, size, line, !rfc5424);

	if (w && rfc5424)
		return count_octets(w);
	if (w)
		w->frame_after = 1; /* the newline */
	return w;
}

const struct kind kind_syslog = { .name = "syslog",
				  .usual_path = "/dev/log",
				  .open = socket_open,
				  .for_good = socket_for_good,
				  .remedy = socket_remedy,
				  .form = syslog_form,
				  .send = socket_send };
