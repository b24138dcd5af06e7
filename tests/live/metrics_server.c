// SPDX-License-Identifier: BSD-2-Clause
/*
 * fdtrace's metrics with made-up facts: serves them, and writes the textfile if one is named.
 * Usage: metrics_server LISTEN remote|local [TEXTFILE]
 * Says where it listens, then for each line it reads: "N": another N findings were made, "soft N":
 * its own limit of descriptors becomes N. It answers "done FDS", FDS being how many descriptors it
 * has open. The end of its input ends it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "daemon/metrics.h"
#include "util/error.h"

static struct metrics facts = {
	.version = FDTRACE_VERSION,
	.coverage = "tracepoint",
	.coverage_ratio = 0.5,
	.overhead_ratio = 0.004,
	.program_count = 1,
	.programs = { { "handle_exit", 1.25 } },
	.limit_used_max = 0.75,
	.usage_count = 3,
	.usages = { { "/usr/sbin/nginx", "nginx.service", 0.75 },
		    { "/tmp/bad\xff\xfe\r\nname \"quoted\" \\ back", "", 0.5 },
		    { "/usr/sbin/nginx", "nginx.service", 0.25 } },
	.channel_count = 1,
	.channels = { { "file /var/log/fdtrace/\"x\"\n.jsonl", 7, 1 } },
	.last_event_s = 1700000000.5,
};

static void publish(struct metrics_server *server, const char *textfile)
{
	size_t length, textfile_length;
	char *text = metrics_text(&facts, &length, &textfile_length);
	int err;

	if (!text)
		exit(1);
	metrics_server_publish(server, text, length);
	err = textfile ? metrics_textfile(textfile, text, textfile_length) : 0;
	if (err)
		fprintf(stderr, "textfile: %s\n", strerror(-err));
	free(text);
}

static void obey(const char *line)
{
	struct rlimit limit;
	unsigned long soft;

	if (sscanf(line, "soft %lu", &soft) == 1) {
		getrlimit(RLIMIT_NOFILE, &limit);
		limit.rlim_cur = soft;
		if (setrlimit(RLIMIT_NOFILE, &limit))
			exit(1);
		return;
	}
	facts.counters.by_rule[RULE_LEAK_GROWTH].reported[SEVERITY_WARNING] +=
		strtoul(line, NULL, 10);
}

int main(int argc, char **argv)
{
	struct metrics_process process;
	struct metrics_server *server;
	struct error error;
	char line[64];

	if (argc < 3)
		return EXIT_USAGE;
	if (metrics_server_open(argv[1], strcmp(argv[2], "remote") == 0, &server, &error) ||
	    metrics_server_run(server, &error)) {
		fprintf(stderr, "%s\n%s\n%s\n", error.what, error.cause, error.remedy);
		return error.status;
	}
	printf("listens %s\n", metrics_server_address(server));
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		obey(line);
		publish(server, argc > 3 ? argv[3] : NULL);
		metrics_process(&process);
		printf("done %.0f\n", process.open_fds);
		fflush(stdout);
	}
	metrics_server_stop(server);
	return 0;
}
