/* SPDX-License-Identifier: BSD-2-Clause */
/* In which container, pod and unit a process is, by its cgroup path (v1 and v2). */
#ifndef FDTRACE_DAEMON_CONTAINER_H
#define FDTRACE_DAEMON_CONTAINER_H

#include <stddef.h>
#include <stdint.h>

struct container {
	char id[65];        /* 64 hex digits; "": in none */
	char runtime[16];   /* "docker" "containerd" "cri-o" "podman" "" */
	char pod_uid[40];   /* Kubernetes: with dashes; "" */
	char unit[128];     /* systemd: "nginx.service", "session-3.scope"; "" */
	char cgroup[256];   /* path as the kernel tells it; "" if not known */
	uint32_t inner_pid; /* as the process itself sees it; 0: not known */
};

/* The text of /proc/PID/cgroup, any bytes. Never fails: what is not understood stays "". */
void container_parse(const char *text, size_t length, struct container *ret_container);

/* Reads /proc/PID/cgroup and the NSpid line of /proc/PID/status. 0 or -errno; cleared then. */
int container_of(uint32_t pid, struct container *ret_container);

#endif
