// SPDX-License-Identifier: BSD-2-Clause
#include "util/container.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ID_DIGITS 64
#define UID_SIZE 36        /* 8-4-4-4-12 */
#define STATIC_UID_SIZE 32 /* what the kubelet gives pods from files: hex digits alone */
#define FILE_MAX 8192

/* A piece of a path; not NUL-terminated, any byte. */
struct piece {
	const char *text;
	size_t size;
};

static bool is_hex(const struct piece *p, size_t from, size_t count)
{
	for (size_t i = from; i < from + count; i++) {
		char c = p->text[i];

		if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
			return false;
	}
	return true;
}

static bool is_word(const struct piece *p, const char *word)
{
	return p->size == strlen(word) && !memcmp(p->text, word, p->size);
}

static bool ends_with(const struct piece *p, const char *end)
{
	size_t size = strlen(end);

	return p->size >= size && !memcmp(p->text + p->size - size, end, size);
}

static void copy_piece(char *to, size_t size, const struct piece *p)
{
	size_t length = p->size < size ? p->size : size - 1;

	memcpy(to, p->text, length);
	to[length] = '\0';
}

/* The prefix names the runtime; of a bare id, the folder around it may. */
static const char *runtime_by_prefix(const struct piece *prefix)
{
	static const struct {
		const char *prefix, *runtime;
	} known[] = {
		{ "docker-", "docker" },
		{ "cri-containerd-", "containerd" },
		{ "crio-", "cri-o" },
		{ "libpod-", "podman" },
		{ "libpod-payload-", "podman" },
		{ "nerdctl-", "containerd" },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (is_word(prefix, known[i].prefix))
			return known[i].runtime;
	return NULL;
}

static const char *runtime_by_parent(const struct piece *parent)
{
	static const struct {
		const char *parent, *runtime;
	} known[] = {
		{ "docker", "docker" },        { "moby", "docker" },
		{ "k8s.io", "containerd" },    { "cri-containerd", "containerd" },
		{ "libpod_parent", "podman" }, { "crio", "cri-o" },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (is_word(parent, known[i].parent))
			return known[i].runtime;
	return "";
}

/*
 * "docker-ID.scope", "crio-ID", "ID". The monitor of a container (conmon) has a cgroup
 * named after it, but is not in it.
 */
static bool take_container(const struct piece *name, const struct piece *parent,
			   struct container *ret)
{
	struct piece p = *name, id;
	const char *runtime;

	if (ends_with(&p, ".scope"))
		p.size -= strlen(".scope");
	if (p.size < ID_DIGITS || !is_hex(&p, p.size - ID_DIGITS, ID_DIGITS))
		return false;
	id = (struct piece){ p.text + p.size - ID_DIGITS, ID_DIGITS };
	p.size -= ID_DIGITS;
	runtime = p.size ? runtime_by_prefix(&p) : runtime_by_parent(parent);
	if (!runtime)
		return false;
	copy_piece(ret->id, sizeof(ret->id), &id);
	snprintf(ret->runtime, sizeof(ret->runtime), "%s", runtime);
	if (!is_word(&p, "libpod-payload-")) /* else the unit that runs the container holds it */
		ret->unit[0] = '\0';         /* that of the runtime */
	return true;
}

static bool is_uid(const struct piece *p)
{
	static const char groups[] = { 8, 4, 4, 4, 12 };
	size_t at = 0;

	if (p->size == STATIC_UID_SIZE)
		return is_hex(p, 0, STATIC_UID_SIZE);
	if (p->size != UID_SIZE)
		return false;
	for (size_t i = 0; i < sizeof(groups); i++) {
		if (i && p->text[at] != '-' && p->text[at] != '_')
			return false;
		at += i > 0;
		if (!is_hex(p, at, (size_t)groups[i]))
			return false;
		at += (size_t)groups[i];
	}
	return true;
}

/* "podUID", or "kubepods-burstable-podUID.slice" where systemd wants '-' for the levels only. */
static bool take_pod(const struct piece *name, struct container *ret)
{
	static const size_t sizes[] = { UID_SIZE, STATIC_UID_SIZE };
	struct piece p = *name, uid;

	if (ends_with(&p, ".slice"))
		p.size -= strlen(".slice");
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct piece before = { p.text, p.size - sizes[i] };

		if (p.size < sizes[i] || !ends_with(&before, "pod"))
			continue;
		if (before.size != 3 && !ends_with(&before, "-pod"))
			continue;
		uid = (struct piece){ p.text + before.size, sizes[i] };
		if (!is_uid(&uid))
			continue;
		copy_piece(ret->pod_uid, sizeof(ret->pod_uid), &uid);
		for (char *c = ret->pod_uid; *c; c++)
			*c = *c == '_' ? '-' : *c;
		return true;
	}
	return false;
}

static bool is_unit(const struct piece *p)
{
	static const char *const kinds[] = { ".service", ".scope", ".socket", ".mount", ".swap" };

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (p->size > strlen(kinds[i]) && ends_with(p, kinds[i]))
			return true;
	return false;
}

/* The innermost; but the manager of a user or container is itself in init.scope, below its unit. */
static void take_unit(const struct piece *name, struct container *ret)
{
	struct piece p = *name;

	if (p.size &&
	    p.text[0] == '_') { /* names that could be the kernel's are escaped like this */
		p.text++;
		p.size--;
	}
	if (!is_unit(&p) || (is_word(&p, "init.scope") && ret->unit[0]))
		return;
	copy_piece(ret->unit, sizeof(ret->unit), &p);
}

static void take_name(const struct piece *name, const struct piece *parent, struct container *ret)
{
	if (!take_container(name, parent, ret) && !take_pod(name, ret))
		take_unit(name, ret);
}

/*
 * The runtime was configured to pass SLICE:PREFIX:ID to systemd, but there is none, so it made
 * a folder of that name.
 */
static void take_triple(const struct piece *name, struct container *ret)
{
	const char *colon = memchr(name->text, ':', name->size), *last = colon;
	struct piece slice, prefix, id;

	if (!colon)
		return;
	for (const char *at = colon; at < name->text + name->size; at++)
		last = *at == ':' ? at : last;
	slice = (struct piece){ name->text, (size_t)(colon - name->text) };
	id = (struct piece){ last + 1, (size_t)(name->text + name->size - last - 1) };
	prefix = (struct piece){ colon, 0 };
	if (last > colon)
		prefix = (struct piece){ colon + 1, (size_t)(last - colon - 1) };
	take_pod(&slice, ret);
	take_container(&id, &prefix, ret);
}

static void take_component(const struct piece *name, const struct piece *parent,
			   struct container *ret)
{
	if (memchr(name->text, ':', name->size))
		take_triple(name, ret);
	else
		take_name(name, parent, ret);
}

void container_parse_path(const char *path, size_t length, struct container *ret)
{
	static const char deleted[] = " (deleted)";
	struct piece whole = { path, strnlen(path, length) }, name, parent = { path, 0 };
	const char *end;

	memset(ret, 0, sizeof(*ret));
	if (ends_with(&whole, deleted))
		whole.size -= strlen(deleted);
	copy_piece(ret->cgroup, sizeof(ret->cgroup), &whole);
	end = path + whole.size;
	for (const char *at = path; at < end; at += name.size + 1) {
		const char *slash = memchr(at, '/', (size_t)(end - at));

		name = (struct piece){ at, (size_t)((slash ? slash : end) - at) };
		if (!name.size)
			continue;
		take_component(&name, &parent, ret);
		parent = name;
	}
}

/* "ID:CONTROLLERS:PATH"; false: it is not. */
static bool split_cgroup_line(const struct piece *line, struct piece *ret_controllers,
			      struct piece *ret_path)
{
	const char *end = line->text + line->size, *second;
	const char *first = memchr(line->text, ':', line->size);

	second = first ? memchr(first + 1, ':', (size_t)(end - first - 1)) : NULL;
	if (!second || second + 1 == end || second[1] != '/')
		return false;
	*ret_controllers = (struct piece){ first + 1, (size_t)(second - first - 1) };
	*ret_path = (struct piece){ second + 1, (size_t)(end - second - 1) };
	return true;
}

/* How informative a hierarchy is; among equals the unified one wins, then that of systemd. */
static unsigned int hierarchy_worth(const struct piece *controllers, const struct container *c)
{
	unsigned int said = c->id[0] ? 3 : c->pod_uid[0] || c->unit[0] ? 2 : c->cgroup[1] != '\0';

	return 4 * said + (controllers->size == 0                 ? 2
			   : is_word(controllers, "name=systemd") ? 1
								  : 0);
}

void container_parse(const char *text, size_t length, struct container *ret)
{
	const char *end = text + strnlen(text, length);
	struct piece line, controllers, path;
	unsigned int best = 0;

	memset(ret, 0, sizeof(*ret));
	for (const char *at = text; at < end; at += line.size + 1) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		struct container found;

		line = (struct piece){ at, (size_t)((newline ? newline : end) - at) };
		if (!split_cgroup_line(&line, &controllers, &path))
			continue;
		container_parse_path(path.text, path.size, &found);
		if (ret->cgroup[0] && hierarchy_worth(&controllers, &found) <= best)
			continue;
		best = hierarchy_worth(&controllers, &found);
		*ret = found;
	}
}

/* The number of bytes, or -errno; at most size - 1, followed by a NUL. */
static ssize_t read_proc_file(uint32_t pid, const char *name, char *buffer, size_t size)
{
	char path[48];
	size_t used = 0;
	ssize_t got;
	int fd, err = 0;

	snprintf(path, sizeof(path), "/proc/%u/%s", pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	do {
		got = read(fd, buffer + used, size - 1 - used);
		if (got > 0)
			used += (size_t)got;
		else if (got < 0 && errno != EINTR)
			err = -errno;
	} while (!err && got && used < size - 1);
	close(fd);
	buffer[used] = '\0';
	return err ? err : (ssize_t)used;
}

/* The last number of "NSpid:\t4121\t7": in the innermost namespace. */
static uint32_t inner_pid(const char *status)
{
	const char *line = strstr(status, "\nNSpid:"), *last;
	size_t length;

	if (!line)
		return 0;
	line += strlen("\nNSpid:");
	length = strcspn(line, "\n");
	last = line + length;
	while (last > line && last[-1] >= '0' && last[-1] <= '9')
		last--;
	return (uint32_t)strtoul(last, NULL, 10);
}

int container_of(uint32_t pid, struct container *ret)
{
	char text[FILE_MAX];
	ssize_t size = read_proc_file(pid, "cgroup", text, sizeof(text));

	memset(ret, 0, sizeof(*ret));
	if (size < 0)
		return (int)size;
	container_parse(text, (size_t)size, ret);
	size = read_proc_file(pid, "status", text, sizeof(text));
	if (size > 0)
		ret->inner_pid = inner_pid(text);
	return 0;
}
