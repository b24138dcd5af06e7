// SPDX-License-Identifier: BSD-2-Clause
/*
 * Weak stand-ins until channels and evidence have their own files: stdout and plain files, without a
 * queue; no evidence. To be removed with the first of them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "daemon/channel.h"
#include "daemon/evidence.h"
#include "util/io.h"
#include "util/trouble.h"

#define WEAK __attribute__((weak))

struct channel {
	struct output_config config;
	int fd;
};

WEAK int channel_open(const struct output_config *config, struct channel **ret_channel,
		      struct trouble *trouble)
{
	struct channel *channel = calloc(1, sizeof(*channel));

	if (!channel)
		return trouble_set(trouble, ENOMEM, EXIT_INTERNAL, NULL, NULL, "out of memory");
	channel->config = *config;
	channel->fd = config->type == OUTPUT_STDOUT
			      ? STDOUT_FILENO
			      : open(config->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
	if (channel->fd < 0) {
		free(channel);
		return trouble_set(trouble, errno, EXIT_CANNOT, NULL, NULL, "cannot write %s",
				   config->path);
	}
	*ret_channel = channel;
	return 0;
}

WEAK void channel_free(struct channel *channel)
{
	if (channel && channel->fd != STDOUT_FILENO)
		close(channel->fd);
	free(channel);
}

WEAK void channel_put(struct channel *channel, const struct line *line, uint64_t now_ns)
{
	(void)now_ns;
	if (line->is_finding ? line->severity >= channel->config.min_severity
			     : channel->config.summaries)
		write_all(channel->fd, line->json, line->length);
}

WEAK void channel_tick(struct channel *channel, uint64_t now_ns)
{
	(void)channel;
	(void)now_ns;
}

WEAK void channel_reopen(struct channel *channel, uint64_t now_ns)
{
	(void)channel;
	(void)now_ns;
}

WEAK int evidence_open(const char *path, uint64_t max_bytes, struct evidence **ret_evidence,
		       struct trouble *trouble)
{
	(void)path;
	(void)max_bytes;
	(void)ret_evidence;
	return trouble_set(trouble, ENOSYS, EXIT_CANNOT, NULL, NULL, "no evidence is kept");
}

WEAK void evidence_free(struct evidence *evidence)
{
	(void)evidence;
}

WEAK int evidence_put(struct evidence *evidence, uint64_t fingerprint, const char *line,
		      size_t length)
{
	(void)evidence;
	(void)fingerprint;
	(void)line;
	(void)length;
	return -ENOSYS;
}
