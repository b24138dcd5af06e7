// SPDX-License-Identifier: BSD-2-Clause
/*
 * Puts lines into a channel: channel_lines TYPE PATH [rfc5424] (stdout, file, journal, syslog, unix; PATH -:
 * the usual one). Of standard input "{...}" is put, "+N" lets N seconds pass and ticks, "!" opens
 * anew, "?" prints "SENT DROPPED QUEUED FAILURES" on standard error.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/channel.h"
#include "util/log.h"
#include "util/error.h"

#define SECOND UINT64_C(1000000000)

static const char *const types[] = { "stdout", "file", "journal", "syslog", "unix" };

static uint64_t now_ns = SECOND;

static void put(struct channel *c, const char *text)
{
	struct line line = { .json = text,
			     .length = strlen(text),
			     .is_finding = true,
			     .severity = SEVERITY_ERROR,
			     .rule = "close.unowned",
			     .fingerprint = "9f31c2d4a7b80e15",
			     .message = "fd 4 was closed by worker()",
			     .pid = "4121" };

	channel_put(c, &line, now_ns);
}

static void print_counters(const struct channel *c)
{
	struct channel_counters n;

	channel_counters(c, &n);
	fprintf(stderr, "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", n.sent, n.dropped,
		n.queued_bytes, n.failures);
}

static void obey(struct channel *c, const char *text)
{
	switch (text[0]) {
	case '{': put(c, text); break;
	case '+':
		now_ns += strtoull(text + 1, NULL, 10) * SECOND;
		channel_tick(c, now_ns);
		break;
	case '!': channel_reopen(c, now_ns); break;
	case '?': print_counters(c); break;
	default: break;
	}
}

static int open_it(int argc, char **argv, struct channel **ret_channel)
{
	struct output_config config = { .min_severity = SEVERITY_INFO, .queue_bytes = 65536 };
	struct error error;
	unsigned int type = 0;
	int err;

	while (type < 5 && strcmp(types[type], argv[1]))
		type++;
	if (type == 5)
		return EXIT_USAGE;
	config.type = (enum output_type)type;
	config.path = strcmp(argv[2], "-") ? argv[2] : NULL;
	config.rfc5424 = argc > 3;
	err = channel_open(&config, ret_channel, &error);
	if (err)
		error_print(&error);
	return err ? EXIT_CANNOT : EXIT_OK;
}

int main(int argc, char **argv)
{
	static char text[1 << 20];
	struct channel *c = NULL;
	int status = argc < 3 ? EXIT_USAGE : open_it(argc, argv, &c);

	signal(SIGPIPE, SIG_IGN);
	log_set_level(LOG_QUIET);
	if (status)
		return status;
	while (fgets(text, sizeof(text), stdin))
		obey(c, text);
	channel_free(c);
	return EXIT_OK;
}
