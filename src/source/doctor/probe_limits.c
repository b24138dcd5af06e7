// SPDX-License-Identifier: BSD-2-Clause
/* What limits fdtrace, and what it is not limited by although one might think so. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "engine/settings.h"
#include "source/doctor/attempt.h"
#include "source/doctor/limits.h"
#include "source/doctor/probe_private.h"

#define OWN_BYTES (64ull << 20) /* beside the engine's tables and the ring buffer */

static void probe_memory(struct probe_report *report)
{
	uint64_t limit, wanted;
	struct settings settings;

	settings_default(&settings);
	wanted = settings.memory_max_bytes + settings.ring_size_bytes + OWN_BYTES;
	if (limits_memory(&limit))
		probe_fine(report, "memory", "no control group visible here");
	else if (limit == UINT64_MAX)
		probe_fine(report, "memory", "not limited by a control group");
	else if (limit >= wanted)
		probe_fine(report, "memory", "%llu MiB by a control group",
			   (unsigned long long)limit >> 20);
	else
		probe_report_line(report, VERDICT_WARN, "memory",
				  "the kernel may end fdtrace when tables are large",
				  "a higher limit, or --set memory.max=64M --set ring.size=4M",
				  "%llu MiB by a control group", (unsigned long long)limit >> 20);
}

/* The kernels that have what fdtrace needs count maps for control groups. */
static void probe_memlock(struct probe_report *report)
{
	struct rlimit memlock;

	if (!getrlimit(RLIMIT_MEMLOCK, &memlock) && memlock.rlim_cur != RLIM_INFINITY)
		probe_fine(report, "memlock", "%llu KiB: irrelevant since Linux 5.11",
			   (unsigned long long)memlock.rlim_cur / 1024);
	else
		probe_fine(report, "memlock", "unlimited");
}

static bool read_number(const char *path, int *ret_number)
{
	char text[32];

	if (attempt_read_line(path, text, sizeof(text)))
		return false;
	*ret_number = atoi(text);
	return true;
}

/* A setting that changes nothing for whoever has the capabilities. */
static void probe_harmless(struct probe_report *report, const char *what, const char *path,
			   const char *why)
{
	int number;

	if (read_number(path, &number))
		probe_fine(report, what, "%d: %s", number, why);
	else
		probe_fine(report, what, "unknown: %s", why);
}

/* Only the initial network namespace shows it, and only to root. */
static void probe_jit(struct probe_report *report)
{
	int number;

	if (!read_number("/proc/sys/net/core/bpf_jit_enable", &number))
		probe_fine(report, "bpf_jit_enable", "unknown");
	else if (number)
		probe_fine(report, "bpf_jit_enable", "%d: programs are compiled", number);
	else
		probe_report_line(report, VERDICT_WARN, "bpf_jit_enable",
				  "programs are interpreted: hooks cost several times as much",
				  "sysctl net.core.bpf_jit_enable=1", "0");
}

static bool probe_preemptible(const char *mode)
{
	return !strcmp(mode, "full") || !strcmp(mode, "lazy") || !strcmp(mode, "rt");
}

static void probe_preemption(struct probe_report *report)
{
	char mode[32];

	limits_preemption(mode, sizeof(mode));
	if (!*mode)
		probe_fine(report, "preemption", "dynamic (the mode is only visible in debugfs)");
	else if (probe_preemptible(mode))
		probe_fine(report, "preemption", "%s: events that are skipped are counted", mode);
	else
		probe_fine(report, "preemption", "%s: no event is skipped", mode);
}

static void probe_mounts(struct probe_report *report)
{
	char tracefs[40], debugfs[40];

	if (limits_mount("tracefs", NULL, tracefs, sizeof(tracefs)))
		snprintf(tracefs, sizeof(tracefs), "not mounted");
	if (limits_mount("debugfs", NULL, debugfs, sizeof(debugfs)))
		snprintf(debugfs, sizeof(debugfs), "not mounted");
	probe_fine(report, "tracefs", "%s; debugfs: %s", tracefs, debugfs);
}

/* Findings read /proc/PID/cgroup; where the files are does not matter for that. */
static void probe_cgroups(struct probe_report *report)
{
	char text[256];
	bool second = !limits_mount("cgroup2", NULL, text, sizeof(text));
	bool first = !limits_mount("cgroup", NULL, text, sizeof(text));

	if (access("/proc/self/status", F_OK))
		probe_report_line(report, VERDICT_UNKNOWN, "cgroups", "", "",
				  "unknown: /proc is not mounted");
	else if (attempt_read_line("/proc/self/cgroup", text, sizeof(text)) || !*text)
		probe_report_line(report, VERDICT_WARN, "cgroups",
				  "findings name neither unit nor container",
				  "use a kernel built with CONFIG_CGROUPS", "none");
	else
		probe_fine(report, "cgroups", "%s: findings name unit and container",
			   first && second ? "versions 1 and 2"
			   : second        ? "version 2"
			   : first         ? "version 1"
					   : "not mounted");
}

void probe_limits(struct probe_report *report)
{
	probe_memory(report);
	probe_memlock(report);
	probe_harmless(report, "perf_event_paranoid", "/proc/sys/kernel/perf_event_paranoid",
		       "irrelevant with CAP_PERFMON");
	probe_harmless(report, "unprivileged_bpf", "/proc/sys/kernel/unprivileged_bpf_disabled",
		       "irrelevant with CAP_BPF");
	probe_harmless(report, "kptr_restrict", "/proc/sys/kernel/kptr_restrict",
		       "irrelevant, no addresses are needed");
	probe_jit(report);
	probe_preemption(report);
	probe_mounts(report);
	probe_cgroups(report);
}
