// SPDX-License-Identifier: BSD-2-Clause
/* The standard process_* metrics, for this process. */
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "daemon/metrics.h"

static double cpu_seconds(void)
{
	struct timespec used;

	if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used))
		return -1;
	return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

/* The start of a small file of /proc. False: it cannot be read. */
static bool read_proc_text(const char *path, char *buffer, size_t size)
{
	FILE *file = fopen(path, "re");
	size_t length;

	if (!file)
		return false;
	length = fread(buffer, 1, size - 1, file);
	buffer[length] = '\0';
	fclose(file);
	return length > 0;
}

/* proc(5): the second number of statm is the resident set, in pages. */
static double resident_bytes(void)
{
	unsigned long long pages;
	char text[256];

	if (!read_proc_text("/proc/self/statm", text, sizeof(text)) ||
	    sscanf(text, "%*u %llu", &pages) != 1)
		return -1;
	return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

/* Without the descriptor of the directory that is read. */
static double open_fds(void)
{
	DIR *folder = opendir("/proc/self/fd");
	double count = -1;

	if (!folder)
		return -1;
	for (const struct dirent *entry; (entry = readdir(folder));)
		count += entry->d_name[0] != '.';
	closedir(folder);
	return count;
}

static double max_fds(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return -1;
	return limit.rlim_cur == RLIM_INFINITY ? (double)INFINITY : (double)limit.rlim_cur;
}

/* proc(5): field 22 of stat, in clock ticks since boot; the name, field 2, may hold anything. */
static double start_after_boot(void)
{
	unsigned long long ticks;
	char text[1024];
	const char *at;

	if (!read_proc_text("/proc/self/stat", text, sizeof(text)) || !(at = strrchr(text, ')')))
		return -1;
	if (sscanf(at + 1,
		   " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d "
		   "%llu",
		   &ticks) != 1)
		return -1;
	return (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

static double boot_time(void)
{
	char line[256];
	double boot = -1;
	FILE *file = fopen("/proc/stat", "re");

	if (!file)
		return -1;
	while (boot < 0 && fgets(line, sizeof(line), file))
		if (strncmp(line, "btime ", 6) == 0)
			boot = strtod(line + 6, NULL);
	fclose(file);
	return boot;
}

void metrics_process(struct metrics_process *ret_process)
{
	double boot_s = boot_time(), after_s = start_after_boot();

	*ret_process =
		(struct metrics_process){ .cpu_s = cpu_seconds(),
					  .resident_bytes = resident_bytes(),
					  .open_fds = open_fds(),
					  .max_fds = max_fds(),
					  .start_s = boot_s < 0 || after_s < 0 ? -1
									       : boot_s + after_s };
}
