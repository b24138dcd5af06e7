// SPDX-License-Identifier: BSD-2-Clause
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "util/container.h"

#define A "3f2a9c1b7d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8"
#define B "0011223344556677889900aabbccddeeff0011223344556677889900aabbccdd"
#define UID "1b4c2a33-9d1e-4f0a-8b77-0123456789ab"
#define UID_ "1b4c2a33_9d1e_4f0a_8b77_0123456789ab"
#define STATIC_UID "8f5a1c2d3e4f5061728394a5b6c7d8e9"

struct row {
	const char *path, *id, *runtime, *pod_uid, *unit;
};

static const struct row paths[] = {
	/* no container */
	{ "/", "", "", "", "" },
	{ "/init.scope", "", "", "", "init.scope" },
	{ "/system.slice/nginx.service", "", "", "", "nginx.service" },
	{ "/system.slice/system-getty.slice/getty@tty1.service", "", "", "", "getty@tty1.service" },
	{ "/user.slice/user-1000.slice/session-3.scope", "", "", "", "session-3.scope" },
	{ "/user.slice/user-1000.slice/user@1000.service/init.scope", "", "", "",
	  "user@1000.service" },
	{ "/user.slice/user-1000.slice/user@1000.service/app.slice/app-firefox-7.scope", "", "", "",
	  "app-firefox-7.scope" },
	{ "/user.slice/user-1000.slice/user@1000.service/app.slice/pipewire.service", "", "", "",
	  "pipewire.service" },
	{ "/system.slice/systemd-udevd.service/udev", "", "", "", "systemd-udevd.service" },
	{ "/system.slice/dev-disk-by\\x2duuid.swap", "", "", "", "dev-disk-by\\x2duuid.swap" },
	{ "/system.slice/_cpu.service", "", "", "", "cpu.service" },
	{ "/system.slice/app.service (deleted)", "", "", "", "app.service" },
	{ "/machine.slice", "", "", "", "" },
	{ "/lxc.payload.web/system.slice/ssh.service", "", "", "", "ssh.service" },
	/* docker */
	{ "/docker/" A, A, "docker", "", "" },
	{ "/system.slice/docker-" A ".scope", A, "docker", "", "" },
	{ "/system.slice/docker.service", "", "", "", "docker.service" },
	{ "/user.slice/user-1000.slice/user@1000.service/user.slice/docker-" A ".scope", A,
	  "docker", "", "" },
	{ "/system.slice/docker-" A ".scope/system.slice/nginx.service", A, "docker", "",
	  "nginx.service" },
	{ "/system.slice/docker-" A ".scope (deleted)", A, "docker", "", "" },
	{ "/ecs/5d6f7a8b/" A, A, "", "", "" },
	/* containerd */
	{ "/system.slice/nerdctl-" A ".scope", A, "containerd", "", "" },
	{ "/k8s.io/" A, A, "containerd", "", "" },
	{ "/default/redis", "", "", "", "" },
	/* podman */
	{ "/machine.slice/libpod-" A ".scope", A, "podman", "", "" },
	{ "/machine.slice/libpod-" A ".scope/container", A, "podman", "", "" },
	{ "/libpod_parent/libpod-" A, A, "podman", "", "" },
	{ "/machine.slice/libpod-conmon-" A ".scope", "", "", "", "libpod-conmon-" A ".scope" },
	{ "/system.slice/web.service/libpod-payload-" A, A, "podman", "", "web.service" },
	{ "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" A ".scope/container",
	  A, "podman", "", "" },
	/* Kubernetes */
	{ "/kubepods/burstable/pod" UID "/" A, A, "", UID, "" },
	{ "/kubepods/pod" UID "/" A, A, "", UID, "" },
	{ "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" UID_
	  ".slice/cri-containerd-" A ".scope",
	  A, "containerd", UID, "" },
	{ "/kubepods.slice/kubepods-pod" UID_ ".slice/crio-" A ".scope", A, "cri-o", UID, "" },
	{ "/kubepods.slice/kubepods-pod" UID_ ".slice/crio-" A ".scope/container", A, "cri-o", UID,
	  "" },
	{ "/kubepods.slice/kubepods-pod" UID_ ".slice/crio-conmon-" A ".scope", "", "", UID,
	  "crio-conmon-" A ".scope" },
	{ "/kubepods/burstable/pod" UID "/crio-" A, A, "cri-o", UID, "" },
	{ "/kubepods/burstable/pod" UID "/crio-conmon-" A, "", "", UID, "" },
	{ "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" UID_ ".slice/docker-" A
	  ".scope",
	  A, "docker", UID, "" },
	{ "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" STATIC_UID
	  ".slice/cri-containerd-" A ".scope",
	  A, "containerd", STATIC_UID, "" },
	{ "/system.slice/containerd.service/kubepods-burstable-pod" UID_ ".slice:cri-containerd:" A,
	  A, "containerd", UID, "" },
	/* seen from inside a cgroup namespace */
	{ "/../../kubepods-besteffort-pod" UID_ ".slice/cri-containerd-" A ".scope", A,
	  "containerd", UID, "" },
	{ "/../cri-containerd-" A ".scope", A, "containerd", "", "" },
	/* one in another: the innermost counts */
	{ "/docker/" A "/docker/" B, B, "docker", "", "" },
	{ "/system.slice/docker-" A ".scope/kubelet.slice/kubelet-kubepods.slice/"
	  "kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-pod" UID_
	  ".slice/cri-containerd-" B ".scope",
	  B, "containerd", UID, "" },
	{ "/docker/" A "/kubelet/kubepods/besteffort/pod" UID "/" B, B, "", UID, "" },
	{ "/kubepods/pod" UID "/" A "/docker/" B, B, "docker", UID, "" },
	{ "/machine.slice/libpod-" A ".scope/container/libpod_parent/libpod-" B, B, "podman", "",
	  "" },
	/* nearly */
	{ "/docker/" A "0", "", "", "", "" },
	{ "/docker/3f2a9c1b7d4e", "", "", "", "" },
	{ "/docker/G" B, "", "", "", "" },
	{ "/system.slice/docker-3F2A9C1B7D4E5F60718293A4B5C6D7E8F90A1B2C3D4E5F60718293A4B5C6D7E8"
	  ".scope",
	  "", "", "",
	  "docker-3F2A9C1B7D4E5F60718293A4B5C6D7E8F90A1B2C3D4E5F60718293A4B5C6D7E8.scope" },
	{ "/system.slice/evil" A ".scope", "", "", "", "evil" A ".scope" },
	{ "/kubepods/pod1b4c2a33-9d1e-4f0a-8b77-0123456789aZ", "", "", "", "" },
	{ "/kubepods/pod1b4c2a33x9d1e-4f0a-8b77-0123456789ab", "", "", "", "" },
	{ "/kubepods/tripod" UID, "", "", "", "" },
	{ "/.service", "", "", "", "" },
	{ "/_", "", "", "", "" },
	{ "/:::", "", "", "", "" },
	{ "/:" A, A, "", "", "" },
	{ "//docker//" A "//", A, "docker", "", "" },
	{ "", "", "", "", "" },
};

static void compare(const struct row *row, const struct container *c)
{
	if (strcmp(c->id, row->id) || strcmp(c->runtime, row->runtime) ||
	    strcmp(c->pod_uid, row->pod_uid) || strcmp(c->unit, row->unit))
		fail_msg("%s: id \"%s\" runtime \"%s\" pod \"%s\" unit \"%s\"", row->path, c->id,
			 c->runtime, c->pod_uid, c->unit);
}

/* In memory of exactly that size: a byte read beyond it is found out. */
static void parse_path(const char *path, size_t size, struct container *ret)
{
	char *exact = malloc(size ? size : 1);

	assert_non_null(exact);
	memcpy(exact, path, size);
	container_parse_path(exact, size, ret);
	free(exact);
}

static void parse(const char *text, size_t size, struct container *ret)
{
	char *exact = malloc(size ? size : 1);

	assert_non_null(exact);
	memcpy(exact, text, size);
	container_parse(exact, size, ret);
	free(exact);
}

static void paths_of_the_world(void **state)
{
	struct container c;

	(void)state;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		parse_path(paths[i].path, strlen(paths[i].path), &c);
		compare(&paths[i], &c);
		assert_int_equal(c.inner_pid, 0);
	}
}

/* The same path alone, and with a newline behind. */
static void one_hierarchy(void **state)
{
	static char line[1024];
	struct container c;

	(void)state;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		int size = snprintf(line, sizeof(line), "0::%s\n", paths[i].path);

		for (int cut = 0; cut < 2; cut++) {
			parse(line, (size_t)(size - cut), &c);
			compare(&paths[i], &c);
		}
	}
}

static void the_hierarchy_that_tells_most(void **state)
{
	static const struct {
		const char *text, *cgroup;
		struct row row;
	} rows[] = {
		{ "12:pids:/docker/" A "\n1:name=systemd:/docker/" A "\n0::/\n",
		  "/docker/" A,
		  { "v1, docker", A, "docker", "", "" } },
		{ "11:memory:/\n1:name=systemd:/system.slice/nginx.service\n"
		  "0::/system.slice/nginx.service\n",
		  "/system.slice/nginx.service",
		  { "hybrid", "", "", "", "nginx.service" } },
		{ "4:memory:/user.slice\n1:name=systemd:/user.slice/user-0.slice/session-1.scope\n",
		  "/user.slice/user-0.slice/session-1.scope",
		  { "v1", "", "", "", "session-1.scope" } },
		{ "4:memory:/some/where\n3:cpu,cpuacct:/\n0::/\n",
		  "/some/where",
		  { "a folder in one of them", "", "", "", "" } },
		{ "3:cpu,cpuacct:/\n1:name=systemd:/\n0::/\n",
		  "/",
		  { "nothing anywhere", "", "", "", "" } },
		{ "2:name=a:b:/x.service\n0::/\n", "/", { "a colon too many", "", "", "", "" } },
		{ "1:name=systemd:/docker/" A "\n0::/system.slice/docker-" B ".scope\n",
		  "/system.slice/docker-" B ".scope",
		  { "the unified one counts most", B, "docker", "", "" } },
	};
	struct container c;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		parse(rows[i].text, strlen(rows[i].text), &c);
		compare(&rows[i].row, &c);
		assert_string_equal(c.cgroup, rows[i].cgroup);
	}
}

static void what_is_no_cgroup_file(void **state)
{
	static const char *const texts[] = { "",
					     "\n",
					     ":",
					     "::",
					     ":::",
					     "0::",
					     "0:\n:/x.service",
					     "0::relative.service",
					     "no colons at all",
					     "\xff\xfe\x00\x01",
					     "\n\n\n0:::\n" };
	struct container c;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		parse(texts[i], strlen(texts[i]), &c);
		assert_string_equal(c.cgroup, "");
		assert_string_equal(c.id, "");
		assert_string_equal(c.unit, "");
	}
}

static void a_nul_ends_it(void **state)
{
	static const char text[] = "0::/a.service\0/docker/" A "\n0::/docker/" A "\n";
	struct container c;

	(void)state;
	parse(text, sizeof(text) - 1, &c);
	assert_string_equal(c.cgroup, "/a.service");
	assert_string_equal(c.unit, "a.service");
	assert_string_equal(c.id, "");
}

/* Too long for the fields: cut, and the end of the path still tells. */
static void long_names(void **state)
{
	static char path[70000];
	struct container c;
	size_t size;

	(void)state;
	memset(path, 'x', sizeof(path));
	path[0] = '/';
	size = 60000;
	memcpy(path + size, "/docker/" A, sizeof("/docker/" A) - 1);
	size += sizeof("/docker/" A) - 1;
	parse_path(path, size, &c);
	assert_string_equal(c.id, A);
	assert_int_equal(strlen(c.cgroup), sizeof(c.cgroup) - 1);

	memcpy(path + 60000 - 8, ".service", 8);
	parse_path(path, 60000, &c);
	assert_int_equal(strlen(c.unit), sizeof(c.unit) - 1);
	assert_memory_equal(c.unit, "xxxx", 4);

	memset(path, '/', sizeof(path));
	parse_path(path, sizeof(path), &c);
	assert_string_equal(c.id, "");
	memset(path, ':', sizeof(path));
	parse(path, sizeof(path), &c);
	assert_string_equal(c.cgroup, "");
}

/* Every prefix of a real text, and every byte of it changed: nothing is read beyond the end. */
static void damaged_texts(void **state)
{
	static const char text[] = "1:name=systemd:/kubepods.slice/kubepods-pod" UID_
				   ".slice/cri-containerd-" A ".scope\n0::/system.slice/a.service"
				   " (deleted)\n";
	char changed[sizeof(text)];
	struct container c;

	(void)state;
	for (size_t i = 0; i < sizeof(text); i++)
		parse(text, i, &c);
	assert_string_equal(c.id, A);
	for (size_t i = 0; i < sizeof(text) - 1; i++) {
		static const char bytes[] = { '\0', '\n', ':', '/', '-', '\xff' };

		for (size_t b = 0; b < sizeof(bytes); b++) {
			memcpy(changed, text, sizeof(text));
			changed[i] = bytes[b];
			parse(changed, sizeof(text) - 1, &c);
			assert_true(c.id[0] == '\0' || strlen(c.id) == 64);
			assert_true(c.pod_uid[0] == '\0' || strlen(c.pod_uid) == 36);
		}
	}
}

static void ourselves(void **state)
{
	struct container c;

	(void)state;
	assert_int_equal(container_of((uint32_t)getpid(), &c), 0);
	assert_int_equal(c.cgroup[0], '/');
	assert_int_equal(c.inner_pid, getpid());
}

static void nobody(void **state)
{
	struct container c = { .id = "old", .cgroup = "old", .inner_pid = 7 };

	(void)state;
	assert_true(container_of(UINT32_MAX, &c) < 0);
	assert_string_equal(c.id, "");
	assert_string_equal(c.cgroup, "");
	assert_int_equal(c.inner_pid, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths_of_the_world),
		cmocka_unit_test(one_hierarchy),
		cmocka_unit_test(the_hierarchy_that_tells_most),
		cmocka_unit_test(what_is_no_cgroup_file),
		cmocka_unit_test(a_nul_ends_it),
		cmocka_unit_test(long_names),
		cmocka_unit_test(damaged_texts),
		cmocka_unit_test(ourselves),
		cmocka_unit_test(nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
