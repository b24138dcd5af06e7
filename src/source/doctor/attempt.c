// SPDX-License-Identifier: BSD-2-Clause
#include "source/doctor/attempt.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int attempt_read_line(const char *path, char *buffer, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), err;
	ssize_t length;

	if (fd < 0)
		return -errno;
	length = read(fd, buffer, size - 1);
	err = length < 0 ? -errno : 0;
	close(fd);
	buffer[err ? 0 : length] = '\0';
	buffer[strcspn(buffer, "\n")] = '\0';
	return err;
}

static int load_tiny(enum bpf_prog_type type, enum bpf_attach_type attach_type, int btf_id)
{
	static const struct bpf_insn code[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, options, .expected_attach_type = attach_type,
		    .attach_btf_id = (__u32)btf_id);

	return bpf_prog_load(type, "fdtrace_probe", "GPL", code, sizeof(code) / sizeof(*code),
			     &options);
}

static int given_back(int fd)
{
	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

int attempt_load(void)
{
	return given_back(load_tiny(BPF_PROG_TYPE_TRACEPOINT, (enum bpf_attach_type)0, 0));
}

int attempt_helper(int helper)
{
	int found;

	if (attempt_load())
		return -EOPNOTSUPP;
	found = libbpf_probe_bpf_helper(BPF_PROG_TYPE_TRACEPOINT, (enum bpf_func_id)helper, NULL);
	return found == 1 ? 0 : found == 0 ? -EINVAL : -EOPNOTSUPP;
}

int attempt_ring(uint64_t bytes)
{
	return given_back(
		bpf_map_create(BPF_MAP_TYPE_RINGBUF, "fdtrace_probe", 0, 0, (__u32)bytes, NULL));
}

static int attempt_tracing(const struct btf *btf, enum bpf_attach_type type, const char *name,
			   __u32 kind)
{
	int id = btf__find_by_name_kind(btf, name, kind), program, link, err;

	if (id < 0)
		return -ENOENT;
	program = load_tiny(BPF_PROG_TYPE_TRACING, type, id);
	if (program < 0)
		return program;
	link = type == BPF_TRACE_ITER ? bpf_link_create(program, 0, type, NULL)
				      : bpf_raw_tracepoint_open(NULL, program);
	err = link < 0 ? link : 0;
	if (link >= 0)
		close(link);
	close(program);
	return err;
}

int attempt_btf_tracepoint(const struct btf *btf, const char *name)
{
	char symbol[64];

	snprintf(symbol, sizeof(symbol), "btf_trace_%s", name);
	return attempt_tracing(btf, BPF_TRACE_RAW_TP, symbol, BTF_KIND_TYPEDEF);
}

int attempt_iterator(const struct btf *btf, const char *name)
{
	char symbol[64];

	snprintf(symbol, sizeof(symbol), "bpf_iter_%s", name);
	return attempt_tracing(btf, BPF_TRACE_ITER, symbol, BTF_KIND_FUNC);
}

int attempt_fexit(const struct btf *btf, const char *function)
{
	return attempt_tracing(btf, BPF_TRACE_FEXIT, function, BTF_KIND_FUNC);
}

static int attempt_perf_event(struct perf_event_attr *attr, enum bpf_prog_type type)
{
	int program = load_tiny(type, (enum bpf_attach_type)0, 0), event, err = 0;

	if (program < 0)
		return program;
	attr->size = sizeof(*attr);
	event = (int)syscall(SYS_perf_event_open, attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
	if (event < 0)
		err = -errno;
	else if (ioctl(event, PERF_EVENT_IOC_SET_BPF, program) ||
		 ioctl(event, PERF_EVENT_IOC_ENABLE, 0))
		err = -errno;
	if (event >= 0)
		close(event);
	close(program);
	return err;
}

int attempt_kprobe(const char *function, bool at_return)
{
	/* bit 0 of config, by .../kprobe/format/retprobe since 4.17 */
	struct perf_event_attr attr = { .config = at_return,
					.config1 = (__u64)(uintptr_t)function };
	char type[16];
	int err =
		attempt_read_line("/sys/bus/event_source/devices/kprobe/type", type, sizeof(type));

	if (err)
		return err;
	attr.type = (__u32)atoi(type);
	return attempt_perf_event(&attr, BPF_PROG_TYPE_KPROBE);
}

int attempt_tracepoint(const char *category, const char *name)
{
	static const char *const roots[] = { "/sys/kernel/tracing", "/sys/kernel/debug/tracing" };
	struct perf_event_attr attr = { .type = PERF_TYPE_TRACEPOINT, .sample_period = 1 };
	char path[128], id[16];
	int err = -ENOENT;

	for (size_t i = 0; err && i < sizeof(roots) / sizeof(*roots); i++) {
		snprintf(path, sizeof(path), "%s/events/%s/%s/id", roots[i], category, name);
		err = attempt_read_line(path, id, sizeof(id));
	}
	if (err)
		return err;
	attr.config = (__u64)atoi(id);
	return attempt_perf_event(&attr, BPF_PROG_TYPE_TRACEPOINT);
}
