// SPDX-License-Identifier: BSD-2-Clause
/* Each line is found out by trying: a tiny program of that kind is loaded and attached. */
#include "source/doctor/probe.h"

#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "engine/settings.h"
#include "source/doctor/attempt.h"
#include "source/live/bpf.h"
#include "source/live/functions.h"
#include "source/live/libbpf_log.h"
#include "source/doctor/limits.h"
#include "source/doctor/privilege.h"
#include "source/doctor/probe_private.h"
#include "source/live/procfs.h"
#include "util/arch.h"
#include "util/error.h"

#define TRIAL_RING_BYTES (1 << 20)

/* ---- the machine and what fdtrace may do on it ---- */

static void probe_kernel(struct probe_report *report, const struct circumstances *c)
{
	struct utsname name;

	if (uname(&name))
		memset(&name, 0, sizeof(name));
	if (c->loop == -EINVAL)
		probe_report_line(report, VERDICT_FAIL, "kernel",
				  "bpf_loop is missing: tracing is impossible",
				  obstacle_remedy(OBSTACLE_OLD_KERNEL), "%s %s", name.release,
				  name.machine);
	else
		probe_fine(report, "kernel", "%s %s", name.release, name.machine);
}

static void probe_capabilities(struct probe_report *report, const struct circumstances *c)
{
	if (!c->may_trace)
		probe_report_line(report, VERDICT_FAIL, "capabilities", "no program can be loaded",
				  obstacle_remedy(OBSTACLE_CAPABILITIES), "%s", c->capabilities);
	else if (!privilege_to_inspect())
		probe_report_line(
			report, VERDICT_WARN, "capabilities",
			"no names or stacks of other users' processes",
			"docker run --cap-add SYS_PTRACE --cap-add DAC_READ_SEARCH, or as root",
			"%s", c->capabilities);
	else
		probe_fine(report, "capabilities", "%s", c->capabilities);
}

/* A namespace may have got the kernel's permission all the same (a BPF token). */
static void probe_user_namespace(struct probe_report *report, const struct circumstances *c)
{
	if (c->initial_user_namespace)
		probe_fine(report, "user namespace", "the initial one");
	else if (!c->load)
		probe_fine(report, "user namespace", "not the initial one, but bpf(2) is allowed");
	else
		probe_report_line(report, VERDICT_FAIL, "user namespace",
				  "its capabilities do not count for the kernel itself",
				  obstacle_remedy(OBSTACLE_USER_NAMESPACE),
				  geteuid() ? "not the initial one"
					    : "root of a user namespace only");
}

static void probe_pid_namespace(struct probe_report *report, const struct circumstances *c)
{
	if (!c->proc)
		probe_report_line(report, VERDICT_FAIL, "pid namespace", "processes cannot be read",
				  obstacle_remedy(OBSTACLE_PROC), "unknown: /proc is not mounted");
	else if (c->initial_pid_namespace)
		probe_fine(report, "pid namespace", "the initial one");
	else
		probe_report_line(report, VERDICT_FAIL, "pid namespace",
				  "pids here differ from those that the hooks see",
				  obstacle_remedy(OBSTACLE_PID_NAMESPACE), "not the initial one");
}

static void probe_lockdown(struct probe_report *report, const struct circumstances *c)
{
	const char *found = *c->lockdown ? c->lockdown : "unknown";

	if (strstr(c->lockdown, "[confidentiality]") || c->read_kernel == -EINVAL)
		probe_report_line(report, VERDICT_FAIL, "lockdown",
				  "programs may not read the kernel's memory",
				  obstacle_remedy(OBSTACLE_LOCKDOWN), "%s",
				  *c->lockdown ? c->lockdown : "confidentiality (found by trying)");
	else
		probe_fine(report, "lockdown", "%s%s", found,
			   c->read_kernel ? "" : "; programs may read kernel memory");
}

static void probe_bpf(struct probe_report *report, const struct circumstances *c)
{
	enum obstacle obstacle = obstacle_of(c);

	if (!c->load)
		probe_fine(report, "bpf system call", "allowed");
	else if (obstacle == OBSTACLE_SECCOMP || obstacle == OBSTACLE_SECURITY_MODULE)
		probe_report_line(report, VERDICT_FAIL, "bpf system call",
				  obstacle == OBSTACLE_SECCOMP ? "a seccomp filter forbids it"
							       : "a security module forbids it",
				  obstacle_remedy(obstacle), "%s", strerror(-c->load));
	else
		probe_report_line(report, VERDICT_FAIL, "bpf system call", "", "", "%s%s",
				  strerror(-c->load),
				  obstacle == OBSTACLE_CAPABILITIES     ? ": see capabilities"
				  : obstacle == OBSTACLE_USER_NAMESPACE ? ": see user namespace"
									: "");
}

static void probe_btf(struct probe_report *report, const struct circumstances *c)
{
	if (!c->btf)
		probe_fine(report, "BTF", "/sys/kernel/btf/vmlinux");
	else
		probe_report_line(report, VERDICT_FAIL, "BTF", "the kernel's types are unknown",
				  obstacle_remedy(c->sysfs ? OBSTACLE_BTF : OBSTACLE_SYSFS),
				  "/sys/kernel/btf/vmlinux: %s",
				  c->sysfs ? strerror(-c->btf) : "/sys is not mounted");
}

/* ---- hooks ---- */

/* A line for something that either works or costs what is said. */
static void trial(struct probe_report *report, int err, enum verdict otherwise, const char *what,
		  const char *found, const char *consequence, const char *remedy)
{
	if (!err)
		probe_fine(report, what, "%s", found);
	else
		probe_report_line(report, otherwise, what, consequence, remedy, "%s: %s", found,
				  strerror(-err));
}

static void probe_ring(struct probe_report *report, const struct circumstances *c)
{
	unsigned long long mib = (unsigned long long)c->ring_bytes >> 20;
	const char *remedy = obstacle_remedy(OBSTACLE_MEMORY);

	if (!c->ring)
		probe_fine(report, "ring buffer", "%llu MiB granted", mib);
	else if (!attempt_ring(TRIAL_RING_BYTES))
		probe_report_line(report, VERDICT_WARN, "ring buffer",
				  "bursts of events may be lost",
				  "more memory, or --set ring.size=1M",
				  "%llu MiB: %s; 1 MiB granted", mib, strerror(-c->ring));
	else
		probe_report_line(report, VERDICT_FAIL, "ring buffer",
				  "events cannot reach user space", remedy, "%llu MiB: %s", mib,
				  strerror(-c->ring));
}

static void probe_task_storage(struct probe_report *report)
{
	int found = libbpf_probe_bpf_map_type(BPF_MAP_TYPE_TASK_STORAGE, NULL);

	trial(report,
	      found == 1  ? 0
	      : found < 0 ? found
			  : -EOPNOTSUPP,
	      VERDICT_FAIL, "task storage", "task-local storage works",
	      "per-thread state cannot be kept", "Linux 5.11 or newer is required");
}

static void probe_tracepoints(struct probe_report *report, const struct btf *btf)
{
	static const char *const names[] = { "sys_exit", "task_newtask", "sched_process_exec",
					     "sched_process_exit" };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		int err = attempt_btf_tracepoint(btf, names[i]);

		if (!err)
			continue;
		probe_report_line(report, VERDICT_FAIL, "tracepoint hooks", "no events", "",
				  "%s: %s", names[i], strerror(-err));
		return;
	}
	probe_fine(report, "tracepoint hooks", "sys_exit, fork, exec, exit");
}

static void probe_classic(struct probe_report *report)
{
	int err = attempt_tracepoint("raw_syscalls", "sys_exit");
	char path[8];
	bool mounted = !limits_mount("tracefs", NULL, path, sizeof(path));

	if (!err)
		probe_fine(report, "classic tracepoint", "raw_syscalls/sys_exit");
	else
		probe_report_line(report, VERDICT_WARN, "classic tracepoint",
				  "events of preempted threads may be skipped (Linux 7.x)",
				  mounted ? "run as root, without lockdown=confidentiality"
					  : "mount -t tracefs nodev /sys/kernel/tracing",
				  "raw_syscalls/sys_exit: %s",
				  err == -ENOENT && !mounted ? "tracefs is not mounted"
							     : strerror(-err));
}

static const char *manner(const struct function_choice *choice)
{
	return choice->hook == FUNCTION_PAIR ? "kprobes" : "fexit";
}

/* What each is good for stands in functions.h. */
static void probe_functions(struct probe_report *report, const struct btf *btf)
{
	struct functions f;
	char lacking[96];

	if (functions_choose(btf, &f, lacking, sizeof(lacking)))
		probe_report_line(report, VERDICT_WARN, "function hooks",
				  "every system call on the machine costs 20 to 100 ns more", "",
				  "%s: %s", lacking,
				  strerror(-(attempt_fexit(btf, "fd_install")
						     ?: attempt_kprobe("fd_install", true))));
	else
		probe_fine(report, "function hooks", "%s (%s), %s (%s), %s (%s)", f.installed.name,
			   manner(&f.installed), f.replaced.name, manner(&f.replaced),
			   f.emptied.name, manner(&f.emptied));
}

static void probe_hooks(struct probe_report *report, const struct btf *btf)
{
	probe_task_storage(report);
	probe_tracepoints(report, btf);
	probe_classic(report);
	trial(report, attempt_iterator(btf, "task"), VERDICT_FAIL, "task iterator", "iter/task",
	      "tables cannot be read: neither at the start nor for repair after loss", "");
	trial(report, attempt_btf_tracepoint(btf, "io_uring_complete"), VERDICT_WARN, "io_uring",
	      "io_uring_complete",
	      "descriptors opened by io_uring are found only by the next audit", "");
	probe_functions(report, btf);
}

/* Trying them would fail for the reason already reported. */
static void leave_hooks(struct probe_report *report, const char *why)
{
	static const char *const lines[] = { "task storage",       "tracepoint hooks",
					     "classic tracepoint", "task iterator",
					     "io_uring",           "function hooks" };

	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++)
		probe_report_line(report, VERDICT_UNKNOWN, lines[i], "", "", "not tried: %s", why);
}

static void probe_all_hooks(struct probe_report *report, const struct circumstances *c)
{
	struct btf *btf;

	if (c->load) {
		probe_report_line(report, VERDICT_UNKNOWN, "ring buffer", "", "",
				  "not tried: see bpf system call");
		leave_hooks(report, "see bpf system call");
		return;
	}
	probe_ring(report, c);
	btf = c->btf ? NULL : btf__load_vmlinux_btf();
	if (btf)
		probe_hooks(report, btf);
	else
		leave_hooks(report, "see BTF");
	btf__free(btf);
}

/* ---- the proof ---- */

static int probe_ignore(void *ctx, const void *event, size_t size)
{
	(void)ctx, (void)event, (void)size;
	return 0;
}

/* What the overhead budget of a fleet rests on. */
static void probe_budget(struct probe_report *report, struct source *source)
{
	struct error error;

	if (source->ops->hooks(source, false, probe_ignore, NULL, &error) ||
	    source->ops->hooks(source, true, probe_ignore, NULL, &error))
		probe_report_line(report, VERDICT_WARN, "budget", "overhead cannot be bounded",
				  "do not set a budget", "%s", error.what);
	else
		probe_fine(report, "budget", "hooks can be detached and re-attached");
}

/* Everything is loaded and attached, and taken away again. */
static void probe_programs(struct probe_report *report, struct error *error)
{
	struct bpf_source_options options = { .hooks = HOOKS_AUTO,
					      .ring_size_bytes = TRIAL_RING_BYTES };
	struct source *source;

	report->can_trace = !bpf_source_open(&options, &source, error);
	if (!report->can_trace) {
		probe_report_line(report, VERDICT_FAIL, "programs", "", "", "%s", error->what);
		return;
	}
	probe_fine(report, "programs", "all load and attach; hooks: %s",
		   source_facts(source).coverage);
	probe_budget(report, source);
	source_free(source);
}

static void probe_architecture(struct probe_report *report)
{
	if (!ARCH_WALKS_STACKS)
		probe_report_line(report, VERDICT_WARN, "stacks",
				  "findings name system calls instead of functions", "",
				  "not supported yet on %s", ARCH_NAME);
}

/* ---- in the end ---- */

static void probe_summarize(struct probe_report *report, const struct error *error)
{
	if (!report->can_trace) {
		snprintf(report->summary, sizeof(report->summary), "nothing: %s",
			 error->cause[0] ? error->cause : error->what);
		snprintf(report->remedy, sizeof(report->remedy), "%s", error->remedy);
		return;
	}
	snprintf(report->summary, sizeof(report->summary),
		 "every descriptor event of system calls; audits find the rest; %s",
		 ARCH_WALKS_STACKS ? "with native and Python stacks"
				   : "stacks are not supported yet on " ARCH_NAME);
}

void probe_machine(struct probe_report *report)
{
	struct circumstances c;
	struct settings settings;
	struct error error = { 0 };

	*report = (struct probe_report){ 0 };
	libbpf_log_begin();
	settings_default(&settings);
	circumstances_gather_all(&c, settings.ring_size_bytes);
	probe_kernel(report, &c);
	probe_btf(report, &c);
	probe_capabilities(report, &c);
	probe_user_namespace(report, &c);
	probe_pid_namespace(report, &c);
	probe_lockdown(report, &c);
	probe_bpf(report, &c);
	probe_all_hooks(report, &c);
	probe_programs(report, &error);
	probe_interpreters(report);
	probe_limits(report);
	probe_architecture(report);
	snprintf(report->obstacle, sizeof(report->obstacle), "%s",
		 obstacle_name(report->can_trace ? OBSTACLE_NONE : obstacle_of(&c)));
	probe_summarize(report, &error);
}
