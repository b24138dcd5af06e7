// SPDX-License-Identifier: BSD-2-Clause
/* The line that marks where lines were dropped. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/hash.h"
#include "daemon/channel_private.h"
#include "output/json/json.h"
#include "output/json/json_build.h"
#include "output/json/json_text.h"

/* Several channels may lead to one store, so the channel is part of the id. */
static void put_marker_event(struct builder *b, json_t *line, const struct channel *c)
{
	json_t *event = json_put_object(b, line, "event");
	uint32_t channel = (uint32_t)hash_text(HASH_START, c->name);

	json_put_text(b, event, "kind", "state");
	json_put(b, event, "category", json_pack("[s]", "process"));
	json_put(b, event, "type", json_pack("[s]", "info"));
	json_put_text(b, event, "dataset", "fdtrace.state");
	json_put_format(b, event, "id", "%s-d%08" PRIx32 ".%" PRIu64, c->host.start_id, channel,
			c->markers + 1);
	json_put_number(b, event, "sequence", c->markers + 1);
	json_put_text(b, event, "action", "drop");
}

static json_t *marker_object(struct builder *b, const struct channel *c, uint64_t count,
			     uint64_t now_ns)
{
	json_t *line = json_object(), *fdtrace;

	json_put_time(b, line, "@timestamp", now_ns);
	json_put_text(b, line, "severity", severity_name(SEVERITY_WARNING));
	json_put_format(b, line, "message", "%" PRIu64 " lines were dropped", count);
	json_put_host(b, line);
	put_marker_event(b, line, c);
	json_put_ecs(b, line);
	fdtrace = json_put_object(b, line, "fdtrace");
	json_put_number(b, fdtrace, "schema", JSON_SCHEMA);
	json_put_number(b, fdtrace, "dropped", count);
	return line;
}

char *channel_marker(const struct channel *c, uint64_t count, uint64_t now_ns, size_t *ret_length)
{
	struct builder b = { .host = &c->host };
	json_t *object = marker_object(&b, c, count, now_ns);
	char *line = NULL;

	if (b.failed || json_line(object, &line, ret_length))
		line = NULL;
	json_decref(object);
	json_builder_done(&b);
	return line;
}
