// SPDX-License-Identifier: BSD-2-Clause
/*
 * A configuration and a file of suppressions of any bytes: fuzz_config ROUNDS FILE...; see feed.h.
 */
#include "feed.h"

#include <sys/mman.h>
#include <unistd.h>

#include "daemon/config.h"
#include "run/suppress.h"
#include "util/error.h"

static void feed_config(const char *path)
{
	struct config *config = NULL;
	struct error error = { 0 };
	int err = config_load(path, &config, &error);

	check(!err == !error.what[0], "an error has words, and nothing else has");
	check(!err == !!config, "a configuration or an error");
	check(err || config->output_count >= 1, "there is an output");
	config_free(config);
}

static void feed_suppressions(const char *path)
{
	struct suppression_list *list = NULL;
	struct error error = { 0 };
	int err = suppress_read(&path, 1, &list, &error);

	check(!err == !error.what[0], "an error has words, and nothing else has");
	for (size_t i = 0; !err && i < list->count; i++)
		check(list->entries[i].name != NULL, "an entry has a name");
	suppress_free(list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	char path[32];

	check(fd >= 0 && write(fd, data, size) == (ssize_t)size, "a file in memory");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	feed_config(path);
	feed_suppressions(path);
	close(fd);
	return 0;
}
