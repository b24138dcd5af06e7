// SPDX-License-Identifier: BSD-2-Clause
#include "daemon/publish.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "daemon/channel.h"
#include "daemon/config.h"
#include "util/container.h"
#include "daemon/lines.h"
#include "run/coverage.h"
#include "source/live/cost.h"
#include "util/hostinfo.h"
#include "util/log.h"

#define PUBLISH_NS (5 * SEC_NS)
#define USAGES_NS (15 * SEC_NS) /* it reads two files of each of a few hundred processes */

int publisher_begin(struct publisher *p, const struct config *config, struct error *error)
{
	*p = (struct publisher){ 0 };
	if (!config->metrics_listen)
		return 0;
	return metrics_server_open(config->metrics_listen, config->metrics_remote, &p->server,
				   error);
}

int publisher_run(struct publisher *p, struct error *error)
{
	return p->server ? metrics_server_run(p->server, error) : 0;
}

void publisher_done(struct publisher *p)
{
	metrics_server_stop(p->server);
	p->server = NULL;
}

bool publisher_is_due(struct publisher *p, const struct config *config, uint64_t now_ns)
{
	if ((!p->server && !config->metrics_textfile) || now_ns < p->publish_ns)
		return false;
	p->publish_ns = now_ns + PUBLISH_NS;
	return true;
}

static void unit_of(void *ctx, uint32_t pid, char *buffer, size_t size)
{
	struct container c;

	(void)ctx;
	if (container_of(pid, &c) == 0)
		snprintf(buffer, size, "%s", c.unit);
}

static void gather_coverage(struct metrics *m, const struct publish_sources *from)
{
	m->coverage = from->coverage_words;
	m->coverage_ratio = 1;
	if (!from->coverage)
		return;
	m->coverage_ratio = from->coverage->decision.share;
	m->overhead_ratio = from->coverage->decision.overhead;
}

static void gather_programs(struct metrics *m, const struct bpf_cost *cost)
{
	for (unsigned int i = 0; i < cost->program_count && i < METRICS_PROGRAMS; i++) {
		m->programs[i].name = cost->program[i].name;
		m->programs[i].seconds = (double)cost->program[i].run_ns / 1e9;
		m->program_count = i + 1;
	}
}

static void gather_channels(struct metrics *m, const struct lines *lines)
{
	for (unsigned int i = 0; i < lines->count && i < METRICS_CHANNELS; i++) {
		struct channel_counters counters;

		channel_counters(lines->channels[i], &counters);
		m->channels[i].name = channel_name(lines->channels[i]);
		m->channels[i].sent = counters.sent;
		m->channels[i].dropped = counters.dropped;
		m->channel_count = i + 1;
	}
}

static void gather_metrics(struct publisher *p, const struct publish_sources *from, uint64_t now_ns,
			   struct metrics *m)
{
	*m = (struct metrics){ .version = FDTRACE_VERSION };
	engine_counters(from->engine, &m->counters);
	m->resyncs = m->counters.resyncs;
	m->last_event_s = (double)((int64_t)m->counters.last_ns + hostinfo_wall_offset()) / 1e9;
	gather_coverage(m, from);
	gather_programs(m, from->cost);
	gather_channels(m, from->lines);
	if (now_ns >= p->usages_ns) {
		p->usages_ns = now_ns + USAGES_NS;
		p->limit_used_max = metrics_usages_update(&p->usages, from->engine, unit_of, NULL);
	}
	m->limit_used_max = p->limit_used_max;
	metrics_usages_give(&p->usages, m);
}

static void write_textfile(struct publisher *p, const char *path, const char *text, size_t length)
{
	int err = metrics_textfile(path, text, length);

	if (err && !p->textfile_failed)
		log_warn("%s: cannot be written: %s; keeping its previous metrics", path,
			 strerror(-err));
	p->textfile_failed = err;
}

void publisher_publish(struct publisher *p, const struct publish_sources *from, uint64_t now_ns)
{
	size_t length, textfile_length;
	struct metrics metrics;
	char *text;

	gather_metrics(p, from, now_ns, &metrics);
	text = metrics_text(&metrics, &length, &textfile_length);
	if (!text)
		return; /* out of memory: the old ones stay */
	if (p->server)
		metrics_server_publish(p->server, text, length);
	if (from->config->metrics_textfile)
		write_textfile(p, from->config->metrics_textfile, text, textfile_length);
	free(text);
}
