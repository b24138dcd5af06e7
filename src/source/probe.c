// SPDX-License-Identifier: BSD-2-Clause
/* Each line is found out by trying: a tiny program of that kind is loaded and attached. */
#include "source/probe.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "source/attempt.h"
#include "source/bpf.h"
#include "source/libbpf_log.h"
#include "source/privilege.h"
#include "source/procfs.h"
#include "util/trouble.h"

#define TRIAL_RING_BYTES (1 << 20)

static void __attribute__((format(printf, 5, 6)))
line(struct probe_report *report, enum verdict verdict, const char *what, const char *consequence,
     const char *found, ...)
{
	struct probe_line *out = &report->line[report->count];
	va_list args;

	if (report->count == PROBE_LINES_MAX)
		return;
	report->count++;
	out->verdict = verdict;
	snprintf(out->what, sizeof(out->what), "%s", what);
	snprintf(out->consequence, sizeof(out->consequence), "%s", consequence);
	va_start(args, found);
	vsnprintf(out->found, sizeof(out->found), found, args);
	va_end(args);
}

/* ---- the lines ---- */

static void probe_kernel(struct probe_report *report)
{
	struct utsname name;
	int loops = libbpf_probe_bpf_helper(BPF_PROG_TYPE_TRACEPOINT, BPF_FUNC_loop, NULL);

	if (uname(&name))
		memset(&name, 0, sizeof(name));
	if (loops == 1)
		line(report, VERDICT_OK, "kernel", "", "%s %s", name.release, name.machine);
	else
		line(report, VERDICT_FAIL, "kernel",
		     loops < 0 ? "it could not be asked what it offers: see below"
			       : "lacks bpf_loop: Linux 5.17 or newer is needed",
		     "%s %s", name.release, name.machine);
}

static void probe_capabilities(struct probe_report *report)
{
	char text[128];

	privilege_describe(text, sizeof(text));
	if (!privilege_to_trace())
		line(report, VERDICT_FAIL, "capabilities",
		     "nothing can be loaded: run as root, or docker run --cap-add BPF --cap-add "
		     "PERFMON --cap-add SYS_PTRACE (and DAC_READ_SEARCH if not as root)",
		     "%s", text);
	else if (!privilege_to_inspect())
		line(report, VERDICT_WARN, "capabilities",
		     "tables are seen, but no names of other users' files: docker run --cap-add "
		     "SYS_PTRACE, or as root",
		     "%s", text);
	else
		line(report, VERDICT_OK, "capabilities", "", "%s", text);
}

static void probe_lockdown(struct probe_report *report)
{
	char text[64];
	int err = attempt_read_line("/sys/kernel/security/lockdown", text, sizeof(text));

	if (err)
		line(report, VERDICT_OK, "lockdown", "", "not told (%s)", strerror(-err));
	else if (strstr(text, "[confidentiality]"))
		line(report, VERDICT_FAIL, "lockdown",
		     "programs may not read kernel memory: boot without lockdown=confidentiality",
		     "%s", text);
	else
		line(report, VERDICT_OK, "lockdown", "", "%s", text);
}

static void probe_bpf(struct probe_report *report)
{
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "fdtrace_probe", 4, 8, 1, NULL);

	if (fd >= 0)
		line(report, VERDICT_OK, "bpf(2)", "", "allowed");
	else
		line(report, VERDICT_FAIL, "bpf(2)",
		     fd == -EPERM ? "no capability, or a seccomp filter (docker run --security-opt "
				    "seccomp=unconfined)"
				  : "this kernel is built without it",
		     "%s", strerror(-fd));
	if (fd >= 0)
		close(fd);
}

static void probe_ring(struct probe_report *report)
{
	int fd =
		bpf_map_create(BPF_MAP_TYPE_RINGBUF, "fdtrace_probe", 0, 0, TRIAL_RING_BYTES, NULL);

	if (fd >= 0)
		line(report, VERDICT_OK, "ring buffer", "", "1 MiB was granted");
	else
		line(report, VERDICT_FAIL, "ring buffer",
		     "events have no way out: more memory, or --set ring.size=256K", "%s",
		     strerror(-fd));
	if (fd >= 0)
		close(fd);
}

/* A line for something that either works or costs what is said. */
static void trial(struct probe_report *report, int err, enum verdict otherwise, const char *what,
		  const char *found, const char *consequence)
{
	if (!err)
		line(report, VERDICT_OK, what, "", "%s", found);
	else
		line(report, otherwise, what, consequence, "%s: %s", found, strerror(-err));
}

static void probe_btf_tracepoints(struct probe_report *report, const struct btf *btf)
{
	static const char *const names[] = { "sys_exit", "task_newtask", "sched_process_exec",
					     "sched_process_exit" };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		int err = attempt_btf_tracepoint(btf, names[i]);

		if (!err)
			continue;
		line(report, VERDICT_FAIL, "BTF tracepoints",
		     "the tracepoint hooks are not to be had", "%s: %s", names[i], strerror(-err));
		return;
	}
	line(report, VERDICT_OK, "BTF tracepoints",
	     "a few tens of ns on every system call of the machine", "sys_exit, fork, exec, exit");
}

static void probe_attachments(struct probe_report *report, const struct btf *btf)
{
	probe_btf_tracepoints(report, btf);
	trial(report, attempt_tracepoint("raw_syscalls", "sys_exit"), VERDICT_WARN,
	      "classic tracepoint", "raw_syscalls/sys_exit",
	      "needed where the kernel skips events of preempted threads (7.x): mount -t tracefs "
	      "nodev /sys/kernel/tracing");
	trial(report, attempt_iterator(btf, "task"), VERDICT_FAIL, "task iterator", "iter/task",
	      "tables as they are now cannot be read: no start, no repair after loss");
	trial(report, attempt_btf_tracepoint(btf, "io_uring_complete"), VERDICT_WARN, "io_uring",
	      "io_uring_complete", "descriptors made by io_uring are found by the next audit only");
	trial(report, attempt_fexit(btf, "fd_install"), VERDICT_WARN, "function hooks",
	      "fexit of fd_install", "not used by this version");
	trial(report, attempt_kprobe("fd_install", false), VERDICT_WARN, "kprobes",
	      "kprobe on fd_install", "not used by this version");
}

static void probe_btf(struct probe_report *report)
{
	struct btf *btf = btf__load_vmlinux_btf();

	if (!btf) {
		line(report, VERDICT_FAIL, "BTF", "use a kernel built with CONFIG_DEBUG_INFO_BTF",
		     "%s", strerror(errno));
		return;
	}
	line(report, VERDICT_OK, "BTF", "", "/sys/kernel/btf/vmlinux");
	probe_attachments(report, btf);
	btf__free(btf);
}

static void probe_task_storage(struct probe_report *report)
{
	int err = libbpf_probe_bpf_map_type(BPF_MAP_TYPE_TASK_STORAGE, NULL);

	trial(report,
	      err == 1  ? 0
	      : err < 0 ? err
			: -EOPNOTSUPP,
	      VERDICT_FAIL, "task storage", "one note for each thread",
	      "Linux 5.11 or newer is needed");
}

static void probe_limits(struct probe_report *report)
{
	struct rlimit memlock;
	char paranoid[16];

	if (!getrlimit(RLIMIT_MEMLOCK, &memlock) && memlock.rlim_cur != RLIM_INFINITY)
		line(report, VERDICT_OK, "memlock",
		     "raised by itself where the kernel still counts it", "%llu KiB",
		     (unsigned long long)memlock.rlim_cur / 1024);
	else
		line(report, VERDICT_OK, "memlock", "", "unlimited");
	if (!attempt_read_line("/proc/sys/kernel/perf_event_paranoid", paranoid, sizeof(paranoid)))
		line(report, VERDICT_OK, "perf_event_paranoid", "", "%s", paranoid);
}

static void probe_pid_namespace(struct probe_report *report)
{
	if (procfs_initial_pid_namespace())
		line(report, VERDICT_OK, "pid namespace", "", "the initial one");
	else
		line(report, VERDICT_FAIL, "pid namespace",
		     "process numbers here are not those that the hooks see: docker run --pid=host",
		     "not the initial one");
}

static int ignore(void *ctx, const void *event, size_t size)
{
	(void)ctx, (void)event, (void)size;
	return 0;
}

/* What the overhead budget of a fleet rests on. */
static void probe_budget(struct probe_report *report, struct source *source)
{
	struct trouble trouble;

	if (bpf_source_hooks(source, false, ignore, NULL, &trouble) ||
	    bpf_source_hooks(source, true, ignore, NULL, &trouble))
		line(report, VERDICT_WARN, "budget",
		     "overhead cannot be bounded: do not set budget=", "%s", trouble.what);
	else
		line(report, VERDICT_OK, "budget",
		     "-a --set budget=1%: beyond it hooks are off part of the time, and it is told",
		     "hooks go off and on again");
}

/* The proof: everything is loaded and attached, and taken away again. */
static void probe_programs(struct probe_report *report)
{
	struct bpf_source_options options = { .hooks = HOOKS_AUTO,
					      .ring_size_bytes = TRIAL_RING_BYTES };
	struct trouble trouble;
	struct source *source;

	report->can_trace = !bpf_source_open(&options, &source, &trouble);
	if (report->can_trace) {
		line(report, VERDICT_OK, "programs", "", "all load and attach; hooks: %s",
		     bpf_source_coverage(source));
		probe_budget(report, source);
		source_free(source);
		return;
	}
	line(report, VERDICT_FAIL, "programs", trouble.cause, "%s", trouble.what);
}

static bool any(const struct probe_report *report, enum verdict verdict)
{
	for (unsigned int i = 0; i < report->count; i++)
		if (report->line[i].verdict == verdict)
			return true;
	return false;
}

static void summarize(struct probe_report *report)
{
	const char *text = "nothing until the failures above are fixed";

	if (report->can_trace && any(report, VERDICT_FAIL))
		text = "descriptor events, but see the failures above";
	else if (report->can_trace)
#if defined(__x86_64__)
		text = "every descriptor event of system calls, and what audits find of the rest, "
		       "with native and Python stacks";
#else
		text = "every descriptor event of system calls, and what audits find of the rest; "
		       "no stacks on this architecture yet";
#endif
	snprintf(report->summary, sizeof(report->summary), "Would trace: %s.", text);
}

void probe_machine(struct probe_report *report)
{
	*report = (struct probe_report){ 0 };
	libbpf_log_begin();
	probe_kernel(report);
	probe_capabilities(report);
	probe_pid_namespace(report);
	probe_lockdown(report);
	probe_bpf(report);
	probe_ring(report);
	probe_task_storage(report);
	probe_btf(report);
	probe_limits(report);
	probe_programs(report);
	summarize(report);
}
