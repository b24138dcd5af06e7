/* SPDX-License-Identifier: BSD-2-Clause */
/* All destinations of a line: the channels of a configuration and the store of evidence. */
#ifndef FDTRACE_DAEMON_LINES_H
#define FDTRACE_DAEMON_LINES_H

#include <stddef.h>
#include <stdint.h>
#include "daemon/config.h"

struct channel;
struct finding;
struct error;

struct lines {
	struct output_config configs[CONFIG_OUTPUTS_MAX]; /* its paths must not be used */
	char *paths[CONFIG_OUTPUTS_MAX];
	struct channel *channels[CONFIG_OUTPUTS_MAX];
	unsigned int count;
	struct evidence *evidence; /* NULL: none kept */
	bool evidence_failed;      /* and reported */
	uint64_t findings;         /* put so far */
};

/*
 * Opens what the configuration names. Channels of *lines whose configuration is unchanged keep
 * their queue and are reopened; the others get one last try. 0, or -errno with *error filled:
 * *lines is as before.
 */
int lines_apply(struct lines *lines, const struct config *config, uint64_t now_ns,
		struct error *error);
void lines_done(struct lines *lines);

/* As struct outputs_lines wants them; ctx: struct lines. Always 0: a channel looks after itself. */
int lines_put(void *ctx, const char *json, size_t length, const struct finding *finding);
int lines_keep(void *ctx, const char *json, size_t length, const struct finding *finding);

void lines_tick(struct lines *lines, uint64_t now_ns);

#endif
