// SPDX-License-Identifier: BSD-2-Clause
/*
 * The queue of a channel and when it is opened. When it is full, new lines are dropped, so that the
 * waiting ones have no gaps: the first lines of an incident are worth more than its hundredth, and
 * a line that is half sent cannot be taken back. Lines are queued again once half of the queue is
 * gone; a marker stands where lines are missing.
 */
#include "daemon/channel.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "daemon/channel_private.h"
#include "util/escape.h"
#include "util/log.h"
#include "util/error.h"

#define PAUSE_MAX (30 * SEC_NS)

static const struct kind *const kinds[] = {
	[OUTPUT_STDOUT] = &kind_stdout,   [OUTPUT_FILE] = &kind_file,
	[OUTPUT_JOURNAL] = &kind_journal, [OUTPUT_SYSLOG] = &kind_syslog,
	[OUTPUT_UNIX] = &kind_unix,
};

struct waiting *waiting_new(size_t size)
{
	struct waiting *w = malloc(sizeof(*w) + size);

	if (w)
		*w = (struct waiting){ .size = size };
	return w;
}

struct waiting *waiting_wrap(const char *before, size_t before_size, const struct line *line,
			     bool newline)
{
	size_t length = line->length;
	struct waiting *w;

	if (length && line->json[length - 1] == '\n')
		length--;
	w = waiting_new(before_size + length + newline);
	if (!w)
		return NULL;
	memcpy(w->data, before, before_size);
	memcpy(w->data + before_size, line->json, length);
	if (newline)
		w->data[before_size + length] = '\n';
	return w;
}

unsigned int line_priority(const struct line *line)
{
	if (line->severity == SEVERITY_ERROR)
		return 3;
	return line->severity == SEVERITY_WARNING ? 4 : 6;
}

static void append_waiting(struct channel *c, struct waiting *w)
{
	*c->last = w;
	c->last = &w->next;
	c->counters.queued_bytes += w->size;
}

static void remove_first(struct channel *c)
{
	struct waiting *w = c->first;

	c->first = w->next;
	if (!c->first)
		c->last = &c->first;
	c->counters.queued_bytes -= w->size;
	free(w);
}

static void drop_line(struct channel *c)
{
	c->counters.dropped++;
	c->unreported++;
}

/* The first line in the queue can never be sent: it is too long for a datagram. */
static void drop_first_waiting(struct channel *c)
{
	if (!c->first->marker)
		drop_line(c);
	remove_first(c);
}

static void pause_it(struct channel *c, uint64_t now_ns)
{
	c->retry_ns = now_ns + c->pause_ns;
	c->pause_ns = c->pause_ns * 2 > PAUSE_MAX ? PAUSE_MAX : c->pause_ns * 2;
}

/* Once, until it works again. */
static void complain_once(struct channel *c, int err, const char *what)
{
	c->counters.failures++;
	if (!c->complained)
		log_warn("%s: cannot %s: %s; queueing up to %" PRIu64 " bytes of lines", c->name,
			 what, strerror(-err), c->config.queue_bytes);
	c->complained = true;
}

static void note_works(struct channel *c)
{
	if (c->complained)
		log_info("%s: output recovered", c->name);
	c->complained = false;
	c->pause_ns = SEC_NS;
}

static void close_it(struct channel *c)
{
	if (c->fd > STDERR_FILENO)
		close(c->fd);
	c->fd = -1;
	if (c->first && !c->kind->same_stream)
		c->first->sent = 0;
}

static bool open_it(struct channel *c, uint64_t now_ns)
{
	int err;

	if (c->fd >= 0)
		return true;
	if (now_ns < c->retry_ns)
		return false;
	err = c->kind->open(c);
	if (!err)
		return true;
	complain_once(c, err, "open");
	pause_it(c, now_ns);
	return false;
}

static bool disk_is_full(int err)
{
	return err == -ENOSPC || err == -EDQUOT || err == -EFBIG;
}

static void not_taken(struct channel *c, int err, uint64_t now_ns)
{
	if (err == -EMSGSIZE) {
		drop_first_waiting(c);
		return;
	}
	complain_once(c, err, "write");
	if (disk_is_full(err)) {
		c->retry_ns = now_ns + SEC_NS;
		return;
	}
	close_it(c);
	pause_it(c, now_ns);
}

/* The kind of socket is only known once it is open, so each line is prepared for either. */
static size_t begin_of(const struct channel *c, const struct waiting *w)
{
	return c->stream ? 0 : w->frame_before;
}

static size_t end_of(const struct channel *c, const struct waiting *w)
{
	return w->size - (c->stream ? 0 : w->frame_after);
}

static void note_taken(struct channel *c, size_t size)
{
	struct waiting *w = c->first;

	note_works(c);
	w->sent += size;
	if (begin_of(c, w) + w->sent < end_of(c, w))
		return;
	c->counters.sent += !c->first->marker;
	remove_first(c);
}

/* Sends until the queue is empty or the receiver accepts no more. */
static void flush_queue(struct channel *c, uint64_t now_ns)
{
	while (c->first && now_ns >= c->retry_ns && open_it(c, now_ns)) {
		const struct waiting *w = c->first;
		size_t from = begin_of(c, w) + w->sent;
		ssize_t size = c->kind->send(c, w->data + from, end_of(c, w) - from);

		if (size > 0)
			note_taken(c, (size_t)size);
		else if (size == -EAGAIN || !size)
			break;
		else if (size != -EINTR)
			not_taken(c, (int)size, now_ns);
	}
}

static bool queue_fits(const struct channel *c, const struct waiting *w)
{
	return w->size <= c->config.queue_bytes - c->counters.queued_bytes;
}

static struct waiting *make_marker(struct channel *c, uint64_t now_ns)
{
	struct line line = { .severity = SEVERITY_WARNING };
	char *json = channel_marker(c, c->unreported, now_ns, &line.length), message[64];
	struct waiting *w;

	if (!json)
		return NULL;
	snprintf(message, sizeof(message), "%" PRIu64 " lines were dropped", c->unreported);
	line.json = json;
	line.message = message;
	w = c->kind->form(c, &line);
	free(json);
	if (w)
		w->marker = true;
	return w;
}

/* Queues the marker for the gap as soon as there is room for more than that. False: still full. */
static bool resume_channel(struct channel *c, uint64_t now_ns)
{
	struct waiting *w;

	if (!c->unreported)
		return true;
	if (c->counters.queued_bytes > c->config.queue_bytes / 2)
		return false;
	w = make_marker(c, now_ns);
	if (!w || !queue_fits(c, w)) {
		free(w);
		return false;
	}
	append_waiting(c, w);
	c->unreported = 0;
	c->markers++;
	return true;
}

static bool is_line_wanted(const struct channel *c, const struct line *line)
{
	return line->is_finding ? line->severity >= c->config.min_severity : c->config.summaries;
}

void channel_put(struct channel *c, const struct line *line, uint64_t now_ns)
{
	struct waiting *w;

	if (!is_line_wanted(c, line))
		return;
	c->now_ns = now_ns;
	flush_queue(c, now_ns);
	w = resume_channel(c, now_ns) ? c->kind->form(c, line) : NULL;
	if (!w || !queue_fits(c, w)) {
		free(w);
		drop_line(c);
		return;
	}
	append_waiting(c, w);
	flush_queue(c, now_ns);
}

void channel_tick(struct channel *c, uint64_t now_ns)
{
	c->now_ns = now_ns;
	if (c->fd >= 0 && c->kind->moved && c->kind->moved(c))
		close_it(c);
	open_it(c, now_ns);
	flush_queue(c, now_ns);
	if (c->unreported && resume_channel(c, now_ns))
		flush_queue(c, now_ns);
}

void channel_reopen(struct channel *c, uint64_t now_ns)
{
	close_it(c);
	c->retry_ns = 0;
	c->pause_ns = SEC_NS;
	channel_tick(c, now_ns);
}

static void name_it(struct channel *c)
{
	int done = snprintf(c->name, sizeof(c->name), "%s", c->kind->name);

	if (!c->config.path)
		return;
	c->name[done++] = ' ';
	escape_text(c->name + done, sizeof(c->name) - (size_t)done, c->config.path,
		    strlen(c->config.path));
}

static struct channel *make_channel(const struct output_config *config)
{
	struct channel *c = calloc(1, sizeof(*c));
	const char *path = config->path;

	if (!c)
		return NULL;
	c->kind = kinds[config->type];
	c->config = *config;
	if (c->config.queue_bytes < CHANNEL_QUEUE_MIN)
		c->config.queue_bytes = CHANNEL_QUEUE_MIN;
	c->fd = -1;
	c->last = &c->first;
	c->pause_ns = SEC_NS;
	path = path ? path : c->kind->usual_path;
	c->config.path = path ? strdup(path) : NULL;
	name_it(c);
	hostinfo_gather(&c->host);
	if (!path || c->config.path)
		return c;
	free(c);
	return NULL;
}

int channel_open(const struct output_config *config, struct channel **ret_channel,
		 struct error *error)
{
	struct channel *c = make_channel(config);
	int err;

	if (!c)
		return error_no_memory(error);
	err = c->kind->open(c);
	if (err && c->kind->for_good(err)) {
		error_set(error, -err, EXIT_CANNOT, "cannot write %s: %s", c->name, strerror(-err));
		error_explain(error, NULL, c->kind->remedy(err));
		c->complained = true; /* once is enough */
		channel_free(c);
		return err;
	}
	if (err)
		complain_once(c, err, "open");
	*ret_channel = c;
	return 0;
}

static uint64_t all_that_waits(const struct channel *c)
{
	uint64_t lines = c->unreported;

	for (const struct waiting *w = c->first; w; w = w->next)
		lines += !w->marker;
	return lines;
}

void channel_free(struct channel *c)
{
	uint64_t lines;

	if (!c)
		return;
	c->retry_ns = 0;
	channel_tick(c, c->now_ns);
	lines = all_that_waits(c);
	if (lines)
		log_warn("%s: %" PRIu64 " lines lost at shutdown", c->name, lines);
	while (c->first)
		remove_first(c);
	close_it(c);
	free((char *)c->config.path);
	free(c);
}

const char *channel_name(const struct channel *c)
{
	return c->name;
}

void channel_counters(const struct channel *c, struct channel_counters *ret_counters)
{
	*ret_counters = c->counters;
}
