/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * In which container, pod and unit a process is, by its cgroup path (v1 and v2). Names of
 * cgroups are chosen by their makers: any byte but '/' and newline, and a process that may make
 * cgroups below its own can name one like a container.
 */
#ifndef FDTRACE_RUN_CONTAINER_H
#define FDTRACE_RUN_CONTAINER_H

#include <stddef.h>
#include <stdint.h>

struct container {
	char id[65];        /* 64 hex digits of the innermost one; "": in none */
	char runtime[16];   /* "docker" "containerd" "cri-o" "podman"; "": the path does not say */
	char pod_uid[40];   /* Kubernetes: with dashes (of static pods 32 hex digits); "" */
	char unit[128];     /* systemd: "nginx.service", "session-3.scope"; "" */
	char cgroup[512];   /* path as the kernel reports it, cut; "" if not known */
	uint32_t inner_pid; /* as the process itself sees it; 0: not known */
};

/*
 * The text of /proc/PID/cgroup, any bytes. Never fails: what is not recognised stays "". Of several
 * hierarchies the most informative is used, preferably the unified one.
 */
void container_parse(const char *text, size_t length, struct container *ret_container);

/* One path, as in struct container. */
void container_parse_path(const char *path, size_t length, struct container *ret_container);

/* Reads /proc/PID/cgroup and the NSpid line of /proc/PID/status. 0 or -errno; cleared then. */
int container_of(uint32_t pid, struct container *ret_container);

#endif
