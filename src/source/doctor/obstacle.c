// SPDX-License-Identifier: BSD-2-Clause
#include "source/doctor/obstacle.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "source/doctor/attempt.h"
#include "source/doctor/privilege.h"
#include "source/live/procfs.h"

/* ---- facts ---- */

static int obstacle_can_read(const char *path)
{
	return access(path, R_OK) ? -errno : 0;
}

void circumstances_gather(struct circumstances *ret_c)
{
	struct circumstances c = {
		.proc = !access("/proc/self/status", R_OK),
		.initial_user_namespace = procfs_initial_user_namespace(),
		.initial_pid_namespace = procfs_initial_pid_namespace(),
		.may_trace = privilege_to_trace(),
		.filtered = procfs_own_number("Seccomp") == 2,
		.sysfs = !access("/sys/kernel", F_OK),
		.load = attempt_load(),
		.btf = obstacle_can_read("/sys/kernel/btf/vmlinux"),
	};

	privilege_describe(c.capabilities, sizeof(c.capabilities));
	if (attempt_read_line("/sys/kernel/security/lockdown", c.lockdown, sizeof(c.lockdown)))
		c.lockdown[0] = '\0';
	*ret_c = c;
}

void circumstances_gather_all(struct circumstances *ret_c, uint64_t ring_bytes)
{
	circumstances_gather(ret_c);
	ret_c->read_kernel = attempt_helper(BPF_FUNC_probe_read_kernel);
	ret_c->loop = attempt_helper(BPF_FUNC_loop);
	ret_c->ring_bytes = ring_bytes;
	ret_c->ring = attempt_ring(ring_bytes);
}

/* ---- judgement ---- */

static enum obstacle why_no_bpf(const struct circumstances *c)
{
	if (!c->initial_user_namespace)
		return OBSTACLE_USER_NAMESPACE;
	if (!c->may_trace)
		return OBSTACLE_CAPABILITIES;
	if (c->filtered)
		return OBSTACLE_SECCOMP;
	return c->load == -ENOSYS ? OBSTACLE_NO_BPF : OBSTACLE_SECURITY_MODULE;
}

static bool is_refusal(int err)
{
	return err == -EPERM || err == -EACCES || err == -ENOSYS;
}

static bool locked_down(const struct circumstances *c)
{
	return strstr(c->lockdown, "[confidentiality]") || c->read_kernel == -EINVAL;
}

enum obstacle obstacle_of(const struct circumstances *c)
{
	if (!c->proc)
		return OBSTACLE_PROC;
	if (is_refusal(c->load))
		return why_no_bpf(c);
	if (!c->may_trace)
		return OBSTACLE_CAPABILITIES;
	if (c->btf)
		return c->sysfs ? OBSTACLE_BTF : OBSTACLE_SYSFS;
	if (!c->initial_pid_namespace)
		return OBSTACLE_PID_NAMESPACE;
	if (locked_down(c))
		return OBSTACLE_LOCKDOWN;
	if (c->loop == -EINVAL)
		return OBSTACLE_OLD_KERNEL;
	return c->ring == -ENOMEM || c->ring == -EPERM ? OBSTACLE_MEMORY : OBSTACLE_NONE;
}

static const char *const names[OBSTACLE_COUNT] = {
	[OBSTACLE_NONE] = "none",
	[OBSTACLE_PROC] = "proc",
	[OBSTACLE_USER_NAMESPACE] = "user_namespace",
	[OBSTACLE_CAPABILITIES] = "capabilities",
	[OBSTACLE_SECCOMP] = "seccomp",
	[OBSTACLE_NO_BPF] = "no_bpf",
	[OBSTACLE_SECURITY_MODULE] = "security_module",
	[OBSTACLE_SYSFS] = "sysfs",
	[OBSTACLE_BTF] = "btf",
	[OBSTACLE_PID_NAMESPACE] = "pid_namespace",
	[OBSTACLE_LOCKDOWN] = "lockdown",
	[OBSTACLE_OLD_KERNEL] = "old_kernel",
	[OBSTACLE_MEMORY] = "memory",
};

const char *obstacle_name(enum obstacle obstacle)
{
	return names[obstacle];
}

/* ---- words ---- */

struct words {
	const char *what;   /* NULL: cannot load programs into the kernel: errno in words */
	const char *cause;  /* NULL: made up on the spot */
	const char *remedy; /* NULL: the same */
};

#define DOCTOR "see: fdtrace doctor"

static const struct words words[OBSTACLE_COUNT] = {
	[OBSTACLE_NONE] = { NULL, NULL, DOCTOR },
	[OBSTACLE_PROC] = { "cannot read processes", "/proc is not mounted",
			    "mount -t proc proc /proc" },
	[OBSTACLE_USER_NAMESPACE] = { NULL, NULL,
				      "run it as root of the host, outside any user namespace (not "
				      "in a rootless container, without --userns): sudo fdtrace" },
	[OBSTACLE_CAPABILITIES] = { NULL, NULL, NULL },
	[OBSTACLE_SECCOMP] = { NULL,
			       "a seccomp filter forbids bpf(2); the capabilities are sufficient",
			       "docker run (or podman) --security-opt seccomp=unconfined; in a "
			       "unit of systemd: SystemCallFilter=bpf perf_event_open" },
	[OBSTACLE_NO_BPF] = { NULL, "this kernel was built without bpf(2)",
			      "use a kernel built with CONFIG_BPF_SYSCALL" },
	[OBSTACLE_SECURITY_MODULE] = { NULL,
				       "neither capabilities nor a seccomp filter is the reason: "
				       "a security module (SELinux, AppArmor) forbids bpf(2)",
				       "see the audit log (ausearch -m avc -ts recent); docker run "
				       "--security-opt label=disable --security-opt "
				       "apparmor=unconfined" },
	[OBSTACLE_SYSFS] = { "cannot read the kernel's types (BTF)", "/sys is not mounted",
			     "mount -t sysfs sysfs /sys" },
	[OBSTACLE_BTF] = { "cannot read the kernel's types (BTF)", NULL,
			   "use a kernel built with CONFIG_DEBUG_INFO_BTF" },
	[OBSTACLE_PID_NAMESPACE] = { "cannot trace from inside a pid namespace",
				     "pids here differ from those that the kernel's hooks "
				     "see",
				     "run it in the host's: docker run --pid=host" },
	[OBSTACLE_LOCKDOWN] = { NULL,
				"kernel lockdown is at confidentiality: programs may not read the "
				"kernel's memory",
				"boot with lockdown=integrity, or without lockdown= (secure boot "
				"may set it)" },
	[OBSTACLE_OLD_KERNEL] = { NULL, "this kernel lacks bpf_loop",
				  "Linux 5.17 or newer is required" },
	[OBSTACLE_MEMORY] = { NULL, NULL, "try: --set ring.size=4M" },
};

static void obstacle_report_memory(const struct circumstances *c, char *what, char *cause,
				   size_t size)
{
	struct rlimit memlock;
	char limit[32] = "unlimited";

	if (!getrlimit(RLIMIT_MEMLOCK, &memlock) && memlock.rlim_cur != RLIM_INFINITY)
		snprintf(limit, sizeof(limit), "%llu KiB",
			 (unsigned long long)memlock.rlim_cur / 1024);
	snprintf(what, size, "cannot trace: the kernel refused a ring buffer of %llu KiB",
		 (unsigned long long)c->ring_bytes / 1024);
	snprintf(cause, size,
		 "%s: memory, RLIMIT_MEMLOCK (%s) or a control group's limit does not allow it",
		 strerror(-c->ring), limit);
}

/* Root without them is in a container, or was made so. */
static const char *remedy_of_capabilities(void)
{
	return geteuid() ? "try it with sudo; in a container: docker run --cap-add BPF --cap-add "
			   "PERFMON --cap-add SYS_PTRACE"
			 : "docker run --cap-add BPF --cap-add PERFMON --cap-add SYS_PTRACE, or "
			   "sudo on the host";
}

const char *obstacle_remedy(enum obstacle obstacle)
{
	return obstacle == OBSTACLE_CAPABILITIES ? remedy_of_capabilities()
						 : words[obstacle].remedy;
}

/* What is not the same every time. */
static void make_up(enum obstacle obstacle, const struct circumstances *c, int err, const char *log,
		    struct error *t)
{
	snprintf(t->what, sizeof(t->what), "cannot load programs into the kernel: %s",
		 err == -EPERM || err == -EACCES ? "permission denied" : strerror(-err));
	if (obstacle == OBSTACLE_USER_NAMESPACE)
		snprintf(t->cause, sizeof(t->cause),
			 "%s of a user namespace only: its capabilities (%s) do not count for the "
			 "kernel itself",
			 geteuid() ? "user" : "root", c->capabilities);
	else if (obstacle == OBSTACLE_CAPABILITIES)
		snprintf(t->cause, sizeof(t->cause), "needs CAP_BPF and CAP_PERFMON: %s",
			 c->capabilities);
	else if (obstacle == OBSTACLE_BTF)
		snprintf(t->cause, sizeof(t->cause), "/sys/kernel/btf/vmlinux %s%s",
			 c->btf == -ENOENT ? "does not exist" : "cannot be read: ",
			 c->btf == -ENOENT ? "" : strerror(-c->btf));
	else if (obstacle == OBSTACLE_MEMORY)
		obstacle_report_memory(c, t->what, t->cause, sizeof(t->what));
	else
		snprintf(t->cause, sizeof(t->cause), "%s%s",
			 err == -ENOMEM ? "a control group's limit, or too little memory: " : "",
			 log);
}

/* As bpf_source_open() promises. */
static int error_of(enum obstacle obstacle, int err)
{
	switch (obstacle) {
	case OBSTACLE_USER_NAMESPACE:
	case OBSTACLE_CAPABILITIES:
	case OBSTACLE_SECCOMP:
	case OBSTACLE_SECURITY_MODULE:
	case OBSTACLE_LOCKDOWN: return EPERM;
	case OBSTACLE_PROC:
	case OBSTACLE_SYSFS:
	case OBSTACLE_BTF: return ENOENT;
	case OBSTACLE_MEMORY: return ENOMEM;
	case OBSTACLE_NO_BPF:
	case OBSTACLE_OLD_KERNEL:
	case OBSTACLE_PID_NAMESPACE: return ENOTSUP;
	default: return -err;
	}
}

int obstacle_explain(enum obstacle obstacle, const struct circumstances *c, int err,
		     const char *log, struct error *error)
{
	const struct words *w = &words[obstacle];
	struct error t;

	make_up(obstacle, c, err, log, &t);
	error_set(error, error_of(obstacle, err), EXIT_CANNOT, "%s", w->what ?: t.what);
	return error_explain(error, w->cause ?: t.cause, obstacle_remedy(obstacle));
}
